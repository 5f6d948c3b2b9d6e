"""Mean average precision of `spotter detect --format coco` results against ground truth in COCO format.

usage: coco_map.py GROUND_TRUTH.json RESULTS.json

RESULTS is a list of {"image_id", "category", "bbox": [x, y, w, h] in pixels, "score"}. An image is found
by the stem of its file's name, which is what image_id holds (as a number if it is one), and a category
by its name: numbers of classes differ between models. Only the categories that the ground truth lists in
`eval_category_ids` count, since the others are not labelled. Prints one line of JSON.
"""

import contextlib
import json
import pathlib
import sys

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def key(stem):
    """`000000000139`, `139` and 139 are one image."""
    stem = str(stem)
    return str(int(stem)) if stem.isascii() and stem.isdigit() else stem


def main(truth_path, results_path):
    with open(truth_path, encoding="utf-8") as file:
        truth = json.load(file)
    with open(results_path, encoding="utf-8") as file:
        results = json.load(file)

    image_ids = {key(pathlib.PurePath(image["file_name"]).stem): image["id"] for image in truth["images"]}
    assert len(image_ids) == len(truth["images"]), "two images have the same name"
    category_ids = {category["name"]: category["id"] for category in truth["categories"]}

    # Copies: COCOeval writes into what it is given.
    ours, seen, other_images, other_categories = [], set(), 0, {}
    for result in results:
        image = image_ids.get(key(result["image_id"]))
        category = category_ids.get(result["category"])
        if image is None:
            other_images += 1
            continue
        seen.add(image)
        if category is None:
            other_categories[result["category"]] = other_categories.get(result["category"], 0) + 1
            continue
        ours.append({"image_id": image, "category_id": category, "bbox": result["bbox"], "score": result["score"]})

    summary = {
        "images": len(truth["images"]),
        "images_with_results": len(seen),
        "results": len(ours),
        "results_for_other_images": other_images,
        "results_for_other_categories": other_categories,
    }
    if ours:
        # pycocotools prints its progress.
        with contextlib.redirect_stdout(sys.stderr):
            coco = COCO()
            coco.dataset = truth
            coco.createIndex()
            evaluation = COCOeval(coco, coco.loadRes(ours), "bbox")
            if "eval_category_ids" in truth:
                evaluation.params.catIds = truth["eval_category_ids"]
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        stats = [round(float(value), 4) for value in evaluation.stats]
        summary |= {"mAP_50_95": stats[0], "mAP_50": stats[1], "AR_100": stats[8]}
    else:
        summary |= {"mAP_50_95": 0.0, "mAP_50": 0.0, "AR_100": 0.0}
    print(json.dumps(summary))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
