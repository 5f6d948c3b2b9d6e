"""What Axis advises for its chips, measured: short trainings that differ in one thing.

All variants start from the same seed and see the same parts of frames, of half the size (160x96), for the same number
of steps; they are judged on whole unseen frames of that size. The figures are for comparison among themselves only.
Speed on the chips is not measured here.
"""

import json
import os
import subprocess

import numpy as np
import tensorflow as tf

import anchors
import evaluate
import export
import losses
from fit import prepare
from networks import Detector
from recipes import FOLDING_BATCHES, Work, numbers
from scene import HEIGHT, WIDTH
from sets import ROOT, SEED, UNSEEN, UNSEEN_SEED, WORK, drawn, say, training_set

STEPS = 900
HALF = (HEIGHT // 2, WIDTH // 2)


def eights(width):
    """The nearest multiple of 8 that loses no more than a tenth."""
    rounded = max(8, int(width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * width else rounded


VARIANTS = {
    "as delivered: sixes, ReLU6, depthwise": {},
    "widths in eights": {"rounded": eights},
    "ReLU": {"activation": tf.nn.relu},
    "hard-swish": {"activation": lambda x: x * tf.nn.relu6(x + 3) / 6},
    "regular 3×3 up to stride 8": {"regular": True},
}


def table():
    """Trains the variants and prints the table, Markdown; kept in `target/train/advice.md`."""
    rows = ["| variant | mAP 50 float | per-channel | per-tensor | MMACs | KiB | ms |", "|---|---|---|---|---|---|---|"]
    for number, (name, options) in enumerate(VARIANTS.items()):
        rows.append(row(name, Detector(SEED, **options), WORK / "advice" / str(number)))
        say(rows[-1])
    text = "\n".join(rows) + "\n"
    (WORK / "advice.md").write_text(text)
    print(text)


def row(name, net, folder):
    """A variant's line of the table."""
    frames = training_set()
    unseen = drawn("unseen-half", UNSEEN, UNSEEN_SEED, HALF[::-1])
    batch = lambda step: frames.half_batch(step, 16, SEED)
    values = Work().fit(net, losses.detector_loss, batch, STEPS, 4e-3, folder.relative_to(WORK))
    net.fold(values, [prepare(batch(step)[0], [SEED, step]) for step in range(FOLDING_BATCHES)])
    maps, content = [], b""
    for quantised, per_channel in [(False, False), (True, True), (True, False)]:
        pictures = np.concatenate([batch(step)[0] for step in range(13)])
        content = export.convert(net, numbers(net), HALF, quantised, per_channel, pictures)
        maps.append(figures(content, unseen))
    path = folder / "per_tensor.tflite"
    path.write_bytes(content)
    time = evaluate.Model(content).milliseconds(unseen.images[0])
    return (f"| {name} | {' | '.join(f'{value:.3f}' for value in maps)} | {macs(path) / 1e6:.1f} | "
            f"{len(content) / 1024:.0f} | {time:.2f} |")


def figures(content, unseen):
    """mAP 50 of a converted model without anchors."""
    model, of = evaluate.Model(content), anchors.anchors(*HALF)

    def answer(picture):
        codes, scores = sorted(model(picture), key=lambda output: output.shape[-1])
        return evaluate.detections([codes, scores, of])

    return evaluate.coco_figures(unseen, [answer(picture) for picture in unseen.images])["map50"]


def macs(path):
    """Multiplications with additions, as `spotter inspect` counts them."""
    program = os.environ.get("SPOTTER", ROOT / "target" / "release" / "spotter")
    told = subprocess.run([program, "inspect", path, "--json"], check=True, capture_output=True, text=True)
    return json.loads(told.stdout)["macs"]
