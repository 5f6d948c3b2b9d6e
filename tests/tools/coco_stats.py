"""All figures of pycocotools for many cases, so that another evaluator can be held against them.

usage: coco_stats.py CASES.json

CASES is a list of {"truth": a dataset in COCO's format, "results": a COCO results list, "threshold": score}.
Prints a JSON list with, for each case: `stats`, the twelve figures of COCOeval.summarize; `categories`,
for each category id in rising order [AP, AP at 0.50, AP at 0.75, AR with 100 detections]; `counts`, at an
overlap of 0.50 and from the threshold on: [objects, hits, misses].
"""

import contextlib
import json
import sys

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def mean(values):
    values = values[values > -1]
    return float(np.mean(values)) if values.size else -1.0


def results_of(truth, results):
    """As COCO.loadRes, which cannot take an empty list."""
    if results:
        return truth.loadRes(results)
    empty = COCO()
    empty.dataset = {"images": truth.dataset["images"], "categories": truth.dataset["categories"], "annotations": []}
    empty.createIndex()
    return empty


def counts(evaluation, threshold):
    """Detections of all categories from a score on, at the first overlap, for objects of any size."""
    area = evaluation.params.areaRng[0]
    objects = hits = misses = 0
    for cell in evaluation.evalImgs:
        if cell is None or cell["aRng"] != area:
            continue
        objects += int(np.count_nonzero(np.asarray(cell["gtIgnore"]) == 0))
        kept = np.asarray(cell["dtScores"], dtype=float) >= threshold
        matched = cell["dtMatches"][0] != 0
        counted = np.logical_and(kept, np.logical_not(cell["dtIgnore"][0]))
        hits += int(np.count_nonzero(np.logical_and(counted, matched)))
        misses += int(np.count_nonzero(np.logical_and(counted, np.logical_not(matched))))
    return [objects, hits, misses]


def evaluate(case):
    truth = COCO()
    truth.dataset = case["truth"]
    truth.createIndex()
    evaluation = COCOeval(truth, results_of(truth, case["results"]), "bbox")
    if "eval_category_ids" in case["truth"]:
        evaluation.params.catIds = case["truth"]["eval_category_ids"]
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    precision = evaluation.eval["precision"][:, :, :, 0, 2]
    recall = evaluation.eval["recall"][:, :, 0, 2]
    return {
        "stats": [float(value) for value in evaluation.stats],
        "categories": [
            [mean(precision[:, :, k]), mean(precision[0, :, k]), mean(precision[5, :, k]), mean(recall[:, k])]
            for k in range(precision.shape[2])
        ],
        "counts": counts(evaluation, case["threshold"]),
    }


def main(path):
    with open(path, encoding="utf-8") as file:
        cases = json.load(file)
    # pycocotools prints its progress.
    with contextlib.redirect_stdout(sys.stderr):
        answers = [evaluate(case) for case in cases]
    print(json.dumps(answers))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
