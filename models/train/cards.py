"""Model cards: what a file is, from what it was made, how good it is, and how to make it again."""

import hashlib

from scene import CLASSES, HEIGHT, WIDTH

WHAT = {
    "per_tensor": "SSD on MobileNet v2, all 8 bits, weights with one scale a tensor, as ARTPEC-8 wants it; "
                  "`TFLite_Detection_PostProcess` in the file",
    "per_channel": "The same weights with one scale a filter",
    "float32": "The same weights as 32-bit floating point numbers",
    "raw": "The same 8-bit weights, one scale a tensor, without `TFLite_Detection_PostProcess`: outputs are box codes, "
           "scores (the background first) and anchors (centre y, centre x, height, width)",
    "yolo": "YOLOv5's head on the same backbone and neck, trained on from the detector's weights; 8 bits, weights with "
            "one scale a tensor",
    "classifier": "ResNet-18 with widths 18, 36, 72, 144 for square pictures of single figures; 8 bits, weights with "
                  "one scale a tensor",
}
LAYOUT = {
    "per_tensor": ("ssd-postprocess", "per-tensor"), "per_channel": ("ssd-postprocess", "per-channel"),
    "float32": ("ssd-postprocess", "float"), "raw": ("ssd-raw", "per-tensor"), "yolo": ("yolov5", "per-tensor"),
    "classifier": ("classification", "per-tensor"),
}


def card(name, content, figures, minutes, kind):
    """The card of a file, Markdown."""
    head, quantisation = LAYOUT[kind]
    classifier = kind == "classifier"
    labels = ["background"] * classifier + CLASSES
    size = "64x64" if classifier else f"{WIDTH}x{HEIGHT}"
    task = {"classifier": "classifier", "yolo": "yolo"}.get(kind, "detector")
    use = ("Give it a picture with about a fifth of margin around the figure: Spotter shows classifiers the inner 87.5 % of "
           "a picture.\n\n" if classifier else "")
    return f"""# {name}

{WHAT[kind]}.

| | |
|---|---|
| file | `models/{name}.tflite` |
| bytes | {len(content)} |
| sha256 | `{hashlib.sha256(content).hexdigest()}` |
| head | {head} |
| quantisation | {quantisation} |
| input | {size} {"float32" if kind == "float32" else "uint8"} |
| labels | {", ".join(labels)} |
| licence | Apache-2.0 |

## Accuracy

{accuracy(figures, classifier, labels)}
Time of one run on one core of the machine that trained it (AVX-512, shared with other work): {figures["ms"]:.2g} ms.

## Data

{data(classifier)}

Evaluation is on scenes of another seed, which training has not seen. Pictures are drawn by `spotter demo` and scaled
by the product's own code.

## Training

`./build.sh train {task}` makes the file again: {minutes:.0f} minutes of training on two shared cores, seed 1. Adam,
quality focal loss and CIoU (detectors) or cross entropy (classifier); first with batch normalisation, then folded and
with weights rounded to 8 bits. `models/train/` is all there is to it. Threads add numbers in another order each time,
so that another run gives other bytes and figures that differ a little.

## Limits

{use}It knows drawn figures of Spotter's own scene, not photographs: on pictures of a real camera its answers mean nothing.
Figures lower than 4.5 % of the picture, or of which less than 40 % is to be seen, were neither taught nor counted.
"""


def accuracy(figures, classifier, labels):
    by_class = "\n".join(f"| {label} | {value:.3f} |" for label, value in zip(labels, figures["classes"]))
    if classifier:
        return (f"Right first answers on crops of 300 unseen frames: **{figures['top1']:.3f}**.\n\n"
                f"| class | right |\n|---|---|\n{by_class}\n")
    return (f"On {figures['frames']} unseen frames (COCO's figures): mAP 50 **{figures['map50']:.3f}**, mAP 50-95 "
            f"**{figures['map']:.3f}**.\n\n| class | AP 50-95 |\n|---|---|\n{by_class}\n")


def data(classifier):
    if classifier:
        return ("Squares around figures of 2000 frames of 640x360, and of places without any, each class as often as\n"
                "every other, mirrored, with other brightness, contrast and colour.")
    return ("Frames of random scenes (7000 for SSD, 5000 more for YOLOv5), mirrored, with other brightness, contrast\n"
            "and colour; in the first part of the training, parts of them of half the size.")
