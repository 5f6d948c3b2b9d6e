"""Trains Spotter's demo models: `./build.sh train [detector|yolo|classifier|advice|all]`.

Sets of frames and checkpoints are kept in `target/train`; a run that was interrupted goes on. Finished files are
written to `models/`, with a card each in `models/cards/`.
"""

import argparse
import hashlib
import json
import os
import re

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np  # noqa: E402

import advice  # noqa: E402
import cards  # noqa: E402
import crops  # noqa: E402
import evaluate  # noqa: E402
import export  # noqa: E402
import losses  # noqa: E402
from fit import prepare  # noqa: E402
from networks import ResNet18, Yolo  # noqa: E402
from recipes import FOLDING_BATCHES, Work, numbers, train_detector  # noqa: E402
from scene import CLASSES, HEIGHT, WIDTH  # noqa: E402
from sets import (LETTERBOX, MODELS, SEED, TRAINING_SEED, UNSEEN, UNSEEN_SEED, WORK, drawn, say,  # noqa: E402
                  training_set, unseen_set)

SIZE = (HEIGHT, WIDTH)


def write(name, content, card):
    """A file, its card, and its sum where the catalogue has the file; each whole or not at all."""
    (MODELS / "cards").mkdir(exist_ok=True)
    catalogue = (MODELS / "catalogue.json").read_text()
    pinned = re.sub(rf'("file": "{name}\.tflite",\s*"sha256": )"[0-9a-f]*"(,\s*"size": )\d+',
                    rf'\1"{hashlib.sha256(content).hexdigest()}"\g<2>{len(content)}', catalogue)
    for path, value in [(MODELS / f"{name}.tflite", content), (MODELS / "catalogue.json", pinned.encode()),
                        (MODELS / "cards" / f"{name}.md", cards.card(name, content, **card).encode())]:
        part = path.with_suffix(".part")
        part.write_bytes(value)
        os.replace(part, path)
    say(f"{name}: {json.dumps(card['figures'])}")


def detector():
    frames, work = training_set(), Work()
    net = train_detector(frames, work)
    np.savez(WORK / "detector" / "weights.npz", **numbers(net))
    names = {"per_tensor": "demo_ssd_mobilenet_v2", "per_channel": "demo_ssd_mobilenet_v2_per_channel",
             "float32": "demo_ssd_mobilenet_v2_float32", "raw": "demo_ssd_mobilenet_v2_raw"}
    for kind, name in names.items():
        content = export.detector(net, numbers(net), frames.images[:export.CALIBRATION], SIZE, kind)
        figures = evaluate.detector_figures(content, unseen_set())
        write(name, content, {"figures": figures, "minutes": work.seconds / 60, "kind": kind})


def yolo():
    frames = drawn("letterbox", 5000, TRAINING_SEED + 1, fit="letterbox", content=LETTERBOX)
    unseen = drawn("unseen-letterbox", UNSEEN, UNSEEN_SEED, fit="letterbox", content=LETTERBOX)
    net, work = Yolo(SEED), Work()
    net(prepare(frames.batch(0, 1, SEED)[0], [SEED, 0]))
    net.begin_folded(trained_detector())
    work.fit(net, losses.yolo_loss, lambda s: frames.batch(s, 8, SEED), 1600, 1.5e-3, "yolo")
    content = export.single(net, numbers(net), frames.images, SIZE, CLASSES, "detections")
    figures = evaluate.detector_figures(content, unseen)
    write("demo_yolov5", content, {"figures": figures, "minutes": work.seconds / 60, "kind": "yolo"})


def trained_detector():
    """Filters and biases of the detector; trained where it is not."""
    path = WORK / "detector" / "weights.npz"
    if not path.exists():
        detector()
    with np.load(path) as kept:
        return dict(kept)


def classifier():
    crops_of = {}
    for name, frames, seed in [("wide", 2000, TRAINING_SEED + 2), ("unseen-wide", 300, UNSEEN_SEED)]:
        crops_of[name] = crops.cut(drawn(name, frames, seed, (640, 360)), SEED)
    pictures, classes = crops_of["wide"]
    net, work = ResNet18(SEED), Work()
    batch = lambda step: crops.batch(pictures, classes, step, 64, SEED)
    values = work.fit(net, losses.classifier_loss, batch, 900, 3e-3, "classifier/whole")
    net.fold(values, [prepare(batch(step)[0], [SEED, step]) for step in range(FOLDING_BATCHES)])
    work.fit(net, losses.classifier_loss, batch, 200, 3e-4, "classifier/rounded", SEED + 2)
    calibration = batch(0)[0], batch(1)[0], batch(2)[0], batch(3)[0]
    content = export.single(net, numbers(net), np.concatenate(calibration), (ResNet18.SIDE,) * 2,
                            ["background"] + CLASSES, "classes")
    figures = evaluate.classifier_figures(content, *crops_of["unseen-wide"])
    write("demo_resnet18", content, {"figures": figures, "minutes": work.seconds / 60, "kind": "classifier"})


TASKS = {"detector": detector, "yolo": yolo, "classifier": classifier, "advice": advice.table}


def main():
    parser = argparse.ArgumentParser(prog="./build.sh train", description="Trains Spotter's demo models.")
    parser.add_argument("task", nargs="?", default="all", choices=[*TASKS, "all"])
    task = parser.parse_args().task
    for name in TASKS if task == "all" else [task]:
        say(f"{name}")
        TASKS[name]()


if __name__ == "__main__":
    main()
