"""The anchors of the detectors, and how boxes are coded against them.

Boxes are top, left, bottom, right, anchors centre y, centre x, height, width, both in parts of the picture. Anchors
are kept in a model as bytes of scale 1/240, as its other numbers are: centres of cells of stride 8, 16 and 32 are
multiples of 1/240 in a picture of 192 by 320, and sizes are rounded to them, so nothing is lost.
"""

import numpy as np

from scene import HEIGHT, STRIDES, WIDTH

SCALE = 240
# Divisors of the coded centre and size: those of TensorFlow's Object Detection API.
CODE_SCALES = np.array([10, 10, 5, 5], np.float32)
# Sizes of a cell's anchors against a square of this many pixels a stride: upright, square, lying.
SIDES = {8: 18, 16: 42, 32: 96}
SHAPES = [(1.6, 0.6), (1.0, 1.0), (0.75, 1.6)]


def anchor_shapes(height=HEIGHT, width=WIDTH):
    """Heights and widths [3 strides, 3 anchors, 2] in parts of the picture."""
    sizes = [[[side * h / height, side * w / width] for h, w in SHAPES] for side in SIDES.values()]
    return (np.round(np.array(sizes) * SCALE) / SCALE).astype(np.float32)


def cells(height=HEIGHT, width=WIDTH):
    """Centre y, centre x of each anchor's cell and the anchor's number of its stride, [N, 3]: the order of rows is
    stride, row, column, anchor."""
    rows = []
    for level, stride in enumerate(STRIDES):
        y, x, _ = np.meshgrid((np.arange(height // stride) + 0.5) * stride / height,
                              (np.arange(width // stride) + 0.5) * stride / width, range(len(SHAPES)), indexing="ij")
        rows.append(np.stack([y.ravel(), x.ravel(), np.full(y.size, level)], axis=1))
    return np.concatenate(rows).astype(np.float32)


def anchors(height=HEIGHT, width=WIDTH):
    """All anchors, float32 [N, 4]: 3780 of the whole size."""
    places = cells(height, width)
    shapes = anchor_shapes(height, width)[places[:, 2].astype(int)]
    number = np.arange(len(places)) % len(SHAPES)
    return np.concatenate([places[:, :2], shapes[np.arange(len(places)), number]], axis=1)


def anchors_of(rows):
    """The anchors of a network's output of so many rows: of the whole size, or of half of it."""
    whole, half = anchors(), anchors(HEIGHT // 2, WIDTH // 2)
    return {len(whole): whole, len(half): half}[rows]


def as_bytes():
    """The anchors as uint8 with scale 1/240."""
    return np.round(anchors() * SCALE).astype(np.uint8)


def encode(boxes, of):
    """Codes ty, tx, th, tw of boxes against anchors `of` (NumPy, [..., 4])."""
    centre, size = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
    return np.concatenate([(centre - of[..., :2]) / of[..., 2:], np.log(size / of[..., 2:])], axis=-1) * CODE_SCALES


def decode(codes, of):
    """Boxes of codes against anchors `of` (NumPy, [..., 4]); undoes [`encode`]."""
    codes = codes / CODE_SCALES
    centre, size = of[..., :2] + codes[..., :2] * of[..., 2:], np.exp(codes[..., 2:]) * of[..., 2:]
    return np.concatenate([centre - size / 2, centre + size / 2], axis=-1)
