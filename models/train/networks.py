"""The networks: MobileNet v2 with an SSD or a YOLOv5 head, and ResNet-18.

Pictures are float32 [B, height, width, 3] in -1..1. Filter counts are multiples of 6, as ARTPEC-8 likes them.
"""

import numpy as np
import tensorflow as tf

import anchors
from layers import Net, sixes
from scene import CLASSES, HEIGHT, STRIDES, WIDTH

# Widening, filters at width 1, blocks, stride (Sandler et al. 2018, arXiv 1801.04381, table 2). Before stride 8, where a
# block costs most, it is halved a block earlier and widened less; the last block of 320 filters, which only a
# classifier of many classes needs, is left out.
STAGES = [(1, 16, 1, 2), (3, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2)]
# What an anchor's objectness is taken to be before anything is learned.
PRIOR = 0.01


def logit(p):
    return float(np.log(p / (1 - p)))


class Detector(Net):
    """MobileNet v2, three levels joined from the coarse to the fine, a 3x3 convolution and two predictions each."""

    def __init__(self, seed=1, width=0.5, neck=48, activation=tf.nn.relu6, rounded=sixes, regular=False):
        """`rounded` makes filter counts of widths; `regular`: the blocks up to stride 8 have a 3x3 convolution
        instead of 1x1 and depthwise ones."""
        super().__init__(seed)
        self.width, self.neck, self.activation, self.rounded, self.regular = width, neck, activation, rounded, regular

    def backbone(self, x):
        """The features of stride 8, 16 and 32, before the block that halves them further (widened)."""
        act, levels, block = self.activation, [], 0
        x = self.conv("stem", x, self.rounded(32 * self.width), 3, 2, activation=act)
        for widening, filters, count, stride in STAGES:
            filters = self.rounded(filters * self.width)
            for number in range(count):
                before, step, name = x, stride if number == 0 else 1, f"block{block}"
                residual = step == 1 and filters == before.shape[-1]
                inside = before.shape[-1] * widening
                if self.regular and widening > 1 and block <= 5:
                    x = self.conv(f"{name}/wide", x, inside, 3, step, activation=act)
                else:
                    if widening > 1:
                        x = self.conv(f"{name}/wide", x, inside, activation=act)
                    if step == 2 and block > 3:
                        levels.append(x)
                    x = self.conv(f"{name}/deep", x, inside, 3, step, depthwise=True, activation=act)
                x = self.conv(f"{name}/thin", x, filters, activation=None)
                if residual:
                    x = self.linear(f"{name}/sum", x + before)
                block += 1
        return levels + [x]

    def features(self, x):
        """What the heads see of each stride, [B, h, w, neck]."""
        above, seen = None, []
        for stride, level in zip(STRIDES[::-1], self.backbone(x)[::-1]):
            y = self.conv(f"side{stride}", level, self.neck, activation=self.activation)
            if above is not None:
                above = tf.raw_ops.ResizeNearestNeighbor(images=above, size=y.shape[1:3], half_pixel_centers=True)
                y = self.linear(f"join{stride}", y + above)
            above = y
            seen.append(self.conv(f"head{stride}", y, self.neck, 3, activation=self.activation))
        return seen[::-1]

    def __call__(self, x):
        """Box codes [B, N, 4] and class logits [B, N, 6], the background first."""
        boxes, classes = [], []
        for stride, y in zip(STRIDES, self.features(x)):
            each = len(anchors.SHAPES)
            bias = [logit(1 - PRIOR)] + [logit(PRIOR)] * len(CLASSES)
            box = self.conv(f"box{stride}", y, 4 * each, activation=None, last=0.0)
            score = self.conv(f"class{stride}", y, (1 + len(CLASSES)) * each, activation=None, last=np.tile(bias, each))
            boxes.append(tf.reshape(box, [x.shape[0], -1, 4]))
            classes.append(tf.reshape(score, [x.shape[0], -1, 1 + len(CLASSES)]))
        return self.linear("boxes", tf.concat(boxes, 1)), tf.concat(classes, 1)

    def outputs(self, x):
        """What the exported model gives."""
        boxes, classes = self(x)
        return {"boxes": boxes, "scores": tf.sigmoid(classes)}


class Yolo(Detector):
    """The same with YOLOv5's head: one prediction a level, of centre, size, objectness and classes."""

    def __call__(self, x):
        """Logits [B, N, 5 + classes]."""
        rows, columns = [], 5 + len(CLASSES)
        for stride, y in zip(STRIDES, self.features(x)):
            each = len(anchors.SHAPES)
            bias = [0.0] * 4 + [logit(PRIOR)] + [logit(0.3)] * len(CLASSES)
            y = self.conv(f"yolo{stride}", y, columns * each, activation=None, last=np.tile(bias, each))
            rows.append(tf.reshape(y, [x.shape[0], -1, columns]))
        return tf.concat(rows, 1)

    def outputs(self, x):
        """[B, N, 5 + classes]: centre x, centre y, width, height in parts of the picture, objectness, classes.

        As YOLOv5 has it: centre = (2 p - 0.5 + cell) stride, size = (2 p)² anchor."""
        p = tf.sigmoid(self(x))
        slope, offset, size = yolo_rows()
        centre = p[..., 0:2] * slope + offset
        # Not `tf.square`, which TensorFlow Lite has not in 8 bits.
        extent = p[..., 2:4] * p[..., 2:4] * size
        return {"detections": tf.concat([centre, extent, p[..., 4:]], -1)}


def yolo_rows():
    """Factor and summand of each row's centre (x, y), and the factor of its squared size, float32 [1, N, 2]."""
    places, all_anchors = anchors.cells(), anchors.anchors()
    step = np.array(STRIDES)[places[:, 2].astype(int)][:, None] / np.array([WIDTH, HEIGHT])
    slope, offset = 2 * step, places[:, 1::-1] - step
    return [value[None].astype(np.float32) for value in (slope, offset, 4 * all_anchors[:, 3:1:-1])]


class ResNet18(Net):
    """ResNet-18 (He et al. 2015, arXiv 1512.03385, table 1) with a 3x3 stem for small pictures and narrow layers."""

    SIDE = 64
    WIDTHS = [18, 36, 72, 144]

    def __call__(self, x):
        """Logits [B, 6]: the background, then the scene's classes."""
        x = self.conv("stem", x, self.WIDTHS[0], 3, 2)
        x = tf.nn.max_pool2d(x, 3, 2, "SAME")
        for stage, width in enumerate(self.WIDTHS):
            for number in range(2):
                name, step, before = f"stage{stage}/{number}", 2 if stage and not number else 1, x
                x = self.conv(f"{name}/a", x, width, 3, step)
                x = self.conv(f"{name}/b", x, width, 3, activation=None)
                if step == 2:
                    before = self.conv(f"{name}/short", before, width, 1, 2, activation=None)
                x = tf.nn.relu6(x + before)
        x = tf.reduce_mean(x, [1, 2], keepdims=True)
        x = self.conv("classes", x, 1 + len(CLASSES), activation=None, last=0.0)
        return tf.reshape(x, [x.shape[0], 1 + len(CLASSES)])

    def outputs(self, x):
        """What the exported model gives."""
        return {"classes": tf.nn.softmax(self(x))}
