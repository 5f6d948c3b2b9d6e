"""Frames that `spotter demo --dataset` drew, with what is in them.

A set is a folder with `images.u8` (bytes, [N, height, width, 3], RGB) and `truth.json` (COCO). Batches follow from the
seed and the number of the step alone, so that a run which was interrupted goes on with the very batches it would have
had.
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from scene import CLASSES, HEIGHT, WIDTH

# Boxes at most that a frame's row of a batch has room for.
MAX_BOXES = 24


class DrawnSet:
    """`images`: uint8 [N, height, width, 3], on disk. `boxes`: float32 [N, MAX_BOXES, 4] as top, left, bottom, right in
    parts of the picture. `classes`: int32 [N, MAX_BOXES], 1 to 5; -1 to be ignored, 0 nothing."""

    def __init__(self, folder, height=HEIGHT, width=WIDTH, content=None):
        """`content` is the part of the picture that the frame fills: top, left, bottom, right (letterboxed sets)."""
        folder = Path(folder)
        self.truth = json.loads((folder / "truth.json").read_text())
        self.content = np.array(content or [0, 0, 1, 1], np.float32)
        frames = self.truth["images"]
        count = len(frames)
        size = (folder / "images.u8").stat().st_size
        if size != count * height * width * 3:
            raise ValueError(f"{folder}/images.u8 has {size} bytes, {count} frames of {width}x{height} need "
                             f"{count * height * width * 3}; draw the set again")
        self.images = np.memmap(folder / "images.u8", np.uint8, "r", shape=(count, height, width, 3))
        self.boxes = np.zeros((count, MAX_BOXES, 4), np.float32)
        self.classes = np.zeros((count, MAX_BOXES), np.int32)
        self._read(frames)

    def _read(self, frames):
        if [category["name"] for category in sorted(self.truth["categories"], key=lambda c: c["id"])] != CLASSES:
            raise ValueError(f"the set's categories are not {', '.join(CLASSES)}")
        places = {frame["id"]: place for place, frame in enumerate(frames)}
        filled = np.zeros(len(frames), int)
        top, left, bottom, right = self.content
        # The large ones first: what has no room is what is least seen.
        for note in sorted(self.truth["annotations"], key=lambda a: -a["bbox"][2] * a["bbox"][3]):
            place = places[note["image_id"]]
            if filled[place] == MAX_BOXES:
                continue
            frame = frames[place]
            x, y, w, h = note["bbox"]
            box = [y / frame["height"], x / frame["width"], (y + h) / frame["height"], (x + w) / frame["width"]]
            scale, start = [bottom - top, right - left] * 2, [top, left] * 2
            self.boxes[place, filled[place]] = np.array(box) * scale + start
            self.classes[place, filled[place]] = -1 if note["iscrowd"] else note["category_id"]
            filled[place] += 1

    def __len__(self):
        return len(self.images)

    def batch(self, step, size, seed):
        """Images uint8 [size, height, width, 3], boxes and classes of a step; every second frame is mirrored."""
        epoch, place = divmod(step * size, len(self) // size * size)
        order = np.random.default_rng([seed, epoch]).permutation(len(self))
        chosen = np.sort(order[place:place + size])
        images, boxes = self.images[chosen], self.boxes[chosen].copy()
        mirrored = np.random.default_rng([seed, step, 1]).random(size) < 0.5
        images[mirrored] = images[mirrored, :, ::-1]
        boxes[mirrored] = np.stack([boxes[mirrored, :, 0], 1 - boxes[mirrored, :, 3],
                                    boxes[mirrored, :, 2], 1 - boxes[mirrored, :, 1]], axis=-1)
        classes = self.classes[chosen].copy()
        boxes[classes == 0] = 0
        return images, boxes, classes

    def half_batch(self, step, size, seed):
        """The same of half the size: parts of the frames, from half of their sides to all of them. What is cut so that
        less than 40 % of it is left is to be ignored."""
        images, boxes, classes = self.batch(step, size, seed)
        random = np.random.default_rng([seed, step, 2])
        height, width = images.shape[1] // 2, images.shape[2] // 2
        parts = np.zeros((size, height, width, 3), np.uint8)
        for number, image in enumerate(images):
            part = random.uniform(0.5, 1.0)
            top, left = random.uniform(0, 1 - part, 2)
            edges = np.array([left, top, left + part, top + part]) * np.tile([2 * width, 2 * height], 2)
            parts[number] = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR, tuple(edges))
            whole = (boxes[number] - [top, left, top, left]) / part
            cut = np.clip(whole, 0, 1)
            area = lambda box: (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
            left_over = area(cut) / np.maximum(area(whole), 1e-9)
            boxes[number] = cut
            classes[number] = np.where(left_over <= 0.02, 0, np.where(left_over < 0.4, -1, classes[number]))
        return parts, boxes, classes
