"""How well .tflite files do: COCO's figures of detectors, the share of right answers of classifiers, size and time.

The files are run as any program runs them, by TensorFlow Lite; boxes of raw heads and of YOLOv5 are decoded here in
NumPy, apart from the product's decoders.
"""

import contextlib
import io
import time

import numpy as np
import tensorflow as tf
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

import anchors

# As COCO's results of detectors are made.
LEAST_SCORE, OVERLAP, MOST = 0.01, 0.6, 100


class Model:
    """A .tflite file, run on one core."""

    def __init__(self, content):
        self.interpreter = tf.lite.Interpreter(model_content=content, num_threads=1)
        self.interpreter.allocate_tensors()
        [self.input] = self.interpreter.get_input_details()
        self.outputs = self.interpreter.get_output_details()

    def __call__(self, picture):
        """All outputs as real numbers, in the file's order, for a uint8 picture."""
        if self.input["dtype"] == np.float32:
            picture = (picture.astype(np.float32) - 127.5) / 127.5
        self.interpreter.set_tensor(self.input["index"], picture[None])
        self.interpreter.invoke()
        return [self._real(output) for output in self.outputs]

    def _real(self, output):
        value = self.interpreter.get_tensor(output["index"])
        scale, zero = output["quantization"]
        return value if value.dtype == np.float32 else ((value.astype(np.float32) - zero) * np.float32(scale))

    def milliseconds(self, picture, count=60):
        """Median time of one run."""
        times = []
        for _ in range(count):
            began = time.perf_counter()
            self(picture)
            times.append(time.perf_counter() - began)
        return float(np.median(times)) * 1e3


def detections(outputs):
    """Boxes [n, 4] as top, left, bottom, right, classes 0 to 4 and scores of a detector's outputs, whichever its
    head."""
    if len(outputs) == 4:
        boxes, classes, scores, count = outputs
        count = int(count[0])
        return boxes[0, :count], classes[0, :count].astype(int), scores[0, :count]
    if len(outputs) == 3:
        codes, scores, of = outputs
        return suppressed(anchors.decode(codes[0], of), scores[0, :, 1:])
    [rows] = outputs
    x, y, w, h = rows[0, :, :4].T
    return suppressed(np.stack([y - h / 2, x - w / 2, y + h / 2, x + w / 2], 1), rows[0, :, 4:5] * rows[0, :, 5:])


def suppressed(boxes, scores):
    """The boxes that no better one of their class overlaps, best first."""
    found = []
    for label in range(scores.shape[1]):
        order = np.argsort(-scores[:, label], kind="stable")
        order = order[scores[order, label] >= LEAST_SCORE][:400]
        while len(order):
            best, order = order[0], order[1:]
            found.append((scores[best, label], label, best))
            order = order[overlaps(boxes[best], boxes[order]) <= OVERLAP]
    found.sort(key=lambda row: -row[0])
    found = found[:MOST]
    return (boxes[[row[2] for row in found]], np.array([row[1] for row in found], int),
            np.array([row[0] for row in found]))


def overlaps(box, others):
    """Intersection over union of one box with others."""
    size = np.maximum(np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2]), 0)
    shared = size[:, 0] * size[:, 1]
    area = lambda b: (b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1])
    return shared / (area(box) + area(others) - shared + 1e-12)


def coco_figures(drawn, answers):
    """mAP, mAP 50 and the mAP of each class of `answers`, one (boxes, classes, scores) a frame of the set."""
    rows = []
    top, left, bottom, right = drawn.content
    for frame, (boxes, classes, scores) in zip(drawn.truth["images"], answers):
        start, size = np.array([top, left] * 2), np.array([bottom - top, right - left] * 2)
        boxes = np.clip((boxes - start) / size, 0, 1)
        boxes = boxes * np.tile([frame["height"], frame["width"]], 2)
        for (y1, x1, y2, x2), label, score in zip(boxes, classes, scores):
            rows.append({"image_id": frame["id"], "category_id": int(label) + 1, "score": float(score),
                         "bbox": [float(x1), float(y1), float(x2 - x1), float(y2 - y1)]})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = drawn.truth
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(rows), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    # Overlaps, recalls, classes, areas (all), detections (100).
    precision = judge.eval["precision"][:, :, :, 0, 2]
    return {"map": float(judge.stats[0]), "map50": float(judge.stats[1]),
            "classes": [float(np.mean(precision[:, :, c][precision[:, :, c] > -1])) for c in range(precision.shape[2])]}


def detector_figures(content, drawn):
    """COCO's figures of a file on a set, its size, and its time on one core."""
    model = Model(content)
    answers = [detections(model(picture)) for picture in drawn.images]
    return coco_figures(drawn, answers) | {"frames": len(drawn), "bytes": len(content),
                                           "ms": model.milliseconds(drawn.images[0])}


def classifier_figures(content, crops, classes):
    """Share of right first answers of a file, in all and of each class."""
    model = Model(content)
    answers = np.array([np.argmax(model(crop)[0]) for crop in crops])
    by_class = [float(np.mean(answers[classes == c] == c)) for c in range(classes.max() + 1)]
    return {"top1": float(np.mean(answers == classes)), "classes": by_class, "bytes": len(content),
            "ms": model.milliseconds(crops[0])}
