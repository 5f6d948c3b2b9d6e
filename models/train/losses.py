"""What the detectors and the classifier are to lower.

An object belongs to the anchors that overlap it most: at most nine of all levels, each with at least half of the best
one's overlap (after ATSS, Zhang et al. 2019, arXiv 1912.02424, without its centres). Boxes are judged by CIoU (Zheng et
al. 2019, arXiv 1911.08287), scores by quality focal loss (Li et al. 2020, arXiv 2006.04388): an anchor's score is to be
the overlap of its box with the object, so that the best boxes come first.
"""

import numpy as np
import tensorflow as tf

import anchors
from networks import yolo_rows
from scene import CLASSES

ANCHORS_OF_OBJECT = 9
# Codes further out than this are pulled back, so that few bits cover the range of all.
WIDEST_CODE = 8.0


def corners(of):
    """Top, left, bottom, right of centre y, centre x, height, width."""
    return tf.concat([of[..., :2] - of[..., 2:] / 2, of[..., :2] + of[..., 2:] / 2], -1)


def overlap(a, b):
    """Intersection over union of boxes, pair by pair."""
    size = tf.maximum(tf.minimum(a[..., 2:], b[..., 2:]) - tf.maximum(a[..., :2], b[..., :2]), 0)
    shared = size[..., 0] * size[..., 1]
    area = lambda box: (box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1])
    return shared / (area(a) + area(b) - shared + 1e-9)


def match(of, boxes, classes):
    """Which object each anchor is for. Anchors [N, 4], boxes [B, M, 4], classes [B, M] (0 none, -1 ignored).

    Gives boxes [B, N, 4], one-hot classes [B, N, C] and a weight [B, N]: 0 where an ignored object would be."""
    overlaps = overlap(boxes[:, :, None], corners(of)[None, None]) * tf.cast(classes != 0, tf.float32)[..., None]
    best = tf.math.top_k(overlaps, ANCHORS_OF_OBJECT).values
    least = tf.maximum(tf.maximum(best[..., -1], 0.5 * best[..., 0]), 1e-6)
    taken = tf.where(overlaps >= least[..., None], overlaps, 0.0)
    which = tf.argmax(taken, 1)
    positive = tf.reduce_max(taken, 1) > 0
    found = tf.gather(classes, which, batch_dims=1)
    target = tf.one_hot(tf.where(positive, found, 0) - 1, len(CLASSES))
    weight = tf.where(positive & (found < 0), 0.0, 1.0)
    return tf.gather(boxes, which, batch_dims=1), target, weight


def ciou(a, b):
    """Overlap less the distance of centres and the difference of shapes."""
    iou = overlap(a, b)
    hull = tf.maximum(a[..., 2:], b[..., 2:]) - tf.minimum(a[..., :2], b[..., :2])
    between = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2
    size = lambda box: tf.maximum(box[..., 2:] - box[..., :2], 1e-4)
    slope = lambda box: tf.atan(size(box)[..., 1] / size(box)[..., 0])
    shape = 4 / np.pi**2 * tf.square(slope(a) - slope(b))
    weight = tf.stop_gradient(shape / (1 - iou + shape + 1e-6))
    distance = tf.reduce_sum(tf.square(between), -1) / (tf.reduce_sum(tf.square(hull), -1) + 1e-9)
    return iou, iou - distance - weight * shape


def focal(logits, target):
    """Quality focal loss, each score by itself."""
    cross = tf.nn.sigmoid_cross_entropy_with_logits(target, logits)
    return cross * tf.square(target - tf.sigmoid(logits))


def detector_loss(outputs, boxes, classes):
    """Loss of box codes and class logits (see `networks.Detector`)."""
    codes, logits = outputs
    of = tf.constant(anchors.anchors_of(codes.shape[1]))
    scaled = codes / anchors.CODE_SCALES
    centre = of[:, :2] + scaled[..., :2] * of[:, 2:]
    size = tf.exp(tf.clip_by_value(scaled[..., 2:], -4.0, 3.0)) * of[:, 2:]
    found = tf.concat([centre - size / 2, centre + size / 2], -1)
    truth, target, weight = match(of, boxes, classes)
    positive = tf.reduce_sum(target, -1) * weight
    iou, quality = ciou(found, truth)
    wanted = target * tf.stop_gradient(tf.clip_by_value(iou, 0.05, 1.0))[..., None]
    objects = tf.reduce_sum(wanted) + 1.0
    score = tf.reduce_sum(focal(logits[..., 1:], wanted), -1)
    background = focal(logits[..., 0], 1 - tf.reduce_sum(wanted, -1))
    far = tf.reduce_sum(tf.square(tf.nn.relu(tf.abs(codes) - WIDEST_CODE)), -1)
    scores = tf.reduce_sum((score + 0.25 * background) * weight) / objects
    places = tf.reduce_sum((1 - quality) * positive) / (tf.reduce_sum(positive) + 1.0)
    return scores + 2.0 * places + 0.05 * tf.reduce_mean(far), {"scores": scores, "boxes": places}


def yolo_loss(logits, boxes, classes):
    """Loss of the logits of `networks.Yolo`."""
    slope, offset, extent = yolo_rows()
    p = tf.sigmoid(logits)
    centre = p[..., 0:2] * slope + offset
    half = tf.square(p[..., 2:4]) * extent / 2
    found = tf.reverse(tf.concat([centre + half, centre - half], -1), [-1])
    truth, target, weight = match(tf.constant(anchors.anchors()), boxes, classes)
    positive = tf.reduce_sum(target, -1) * weight
    iou, quality = ciou(found, truth)
    wanted = tf.stop_gradient(tf.clip_by_value(iou, 0.05, 1.0)) * positive
    objects = tf.reduce_sum(positive) + 1.0
    scores = tf.reduce_sum(focal(logits[..., 4], wanted) * weight) / (tf.reduce_sum(wanted) + 1.0)
    cross = tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(target, logits[..., 5:]), -1)
    names = tf.reduce_sum(cross * positive) / objects
    places = tf.reduce_sum((1 - quality) * positive) / objects
    return scores + 2.0 * places + 0.5 * names, {"scores": scores, "boxes": places, "names": names}


def classifier_loss(logits, classes):
    """Cross entropy of logits [B, C] and classes [B], with a little doubt."""
    target = 0.9 * tf.one_hot(classes, logits.shape[-1]) + 0.1 / logits.shape[-1]
    loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(target, logits))
    return loss, {"names": loss}
