"""Square pictures of single figures, cut out of frames of 640x360, for the classifier."""

import numpy as np
from PIL import Image

from networks import ResNet18

# Figures lower or narrower than this many pixels of the frame are left out.
LEAST = 14
# The share of persons that is taken: there are as many as of all others together.
PERSONS = 0.3


def cut(drawn, seed):
    """Crops uint8 [N, 64, 64, 3] and classes [N]: 0 the background, then the scene's classes."""
    random = np.random.default_rng(seed)
    crops, classes = [], []
    for image, boxes, labels in zip(drawn.images, drawn.boxes, drawn.classes):
        height, width = image.shape[:2]
        frame = Image.fromarray(image)
        pixels = boxes * np.tile([height, width], 2)
        for box, label in zip(pixels, labels):
            size = box[2:] - box[:2]
            if label <= 0 or size.min() < LEAST or (label == 1 and random.random() > PERSONS):
                continue
            side = size.max() * random.uniform(1.05, 1.3)
            centre = (box[:2] + box[2:]) / 2 + random.uniform(-0.05, 0.05, 2) * size
            crops.append(square(frame, centre, side))
            classes.append(label)
        side = random.uniform(30, 150)
        centre = random.uniform([side / 2] * 2, [height - side / 2, width - side / 2])
        if not touches(centre, side, pixels[labels != 0]):
            crops.append(square(frame, centre, side))
            classes.append(0)
    return np.stack(crops), np.array(classes, np.int32)


def square(frame, centre, side):
    """A square around a place (y, x), moved into the frame and, where that is too small, cut smaller."""
    side = min(side, frame.height, frame.width)
    y, x = np.clip(centre, side / 2, np.array([frame.height, frame.width]) - side / 2)
    edges = (x - side / 2, y - side / 2, x + side / 2, y + side / 2)
    return np.asarray(frame.resize((ResNet18.SIDE,) * 2, Image.Resampling.BILINEAR, edges))


def touches(centre, side, boxes):
    """Whether a square shares more than a twentieth of itself, or of a box, with any box."""
    low, high = centre - side / 2, centre + side / 2
    size = np.maximum(np.minimum(high, boxes[:, 2:]) - np.maximum(low, boxes[:, :2]), 0)
    shared = size[:, 0] * size[:, 1]
    area = np.maximum((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), 1e-6)
    return bool(np.any(shared > 0.05 * np.minimum(side * side, area)))


def batch(crops, classes, step, size, seed):
    """A step's crops and classes: each class as often as every other; every second crop is mirrored."""
    random = np.random.default_rng([seed, step])
    places = [np.flatnonzero(classes == label) for label in range(classes.max() + 1)]
    chosen = np.array([random.choice(places[label]) for label in random.integers(0, len(places), size)])
    images, mirrored = crops[chosen], random.random(size) < 0.5
    images[mirrored] = images[mirrored, :, ::-1]
    return images, classes[chosen]
