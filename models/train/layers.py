"""Convolutions that are trained in two ways, one after the other.

First each has batch normalisation. Then that is folded into the filters and the bias, and the network goes on learning
as it will be run: weights rounded to 8 bits with one scale for a whole tensor, outputs without activation rounded to
8 bits of their range, with straight-through gradients. So the weights learn to bear what ARTPEC-8 asks for. Without
the passes of the normalisation over all activations a step of the second part takes half the time of the first.
"""

import numpy as np
import tensorflow as tf

# How much of a range is kept at each step.
RANGE_DECAY = 0.95
# Added to variances.
LEAST_VARIANCE = 1e-3


class Net:
    """Variables by name, and the layers that make and use them."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.weights = {}
        # Least and largest number of outputs without activation, once folded.
        self.ranges = {}
        self.folded = False
        # Where not None, [mean, variance] of each convolution's outputs are collected here.
        self.moments = None
        # Where not None, filters and biases (NumPy) that stand for the variables: an export.
        self.values = None

    def weight(self, name, shape, deviation=None, fill=0.0):
        """A trained variable; made when first asked for, drawn where there is a deviation."""
        if self.values is not None:
            return self.values[name]
        if name not in self.weights:
            value = self.random.normal(size=shape) * deviation if deviation else np.broadcast_to(fill, shape)
            self.weights[name] = tf.Variable(value.astype(np.float32), name=name)
        return self.weights[name]

    def conv(self, name, x, filters, kernel=1, stride=1, depthwise=False, activation=tf.nn.relu6, last=None):
        """A convolution, [B, h, w, filters]. `last`: the first bias of a layer that predicts and is not normalised."""
        channels = x.shape[-1]
        shape = [kernel, kernel, channels, 1 if depthwise else filters]
        filters = channels if depthwise else filters
        inputs = kernel * kernel * (1 if depthwise else channels)
        w = self.weight(f"{name}/w", shape, (2 / inputs) ** 0.5 if last is None else 0.05)
        b = self.weight(f"{name}/b", [filters], fill=0.0 if last is None else last)
        if self.folded and self.values is None:
            w = per_tensor(w)
        if depthwise:
            y = tf.nn.depthwise_conv2d(x, w, [1, stride, stride, 1], "SAME")
        else:
            y = tf.nn.conv2d(x, w, stride, "SAME")
        if self.folded or last is not None:
            y = y + b
        else:
            g = self.weight(f"{name}/g", [filters], fill=1.0)
            y, mean, variance = tf.compat.v1.nn.fused_batch_norm(y, g, b, epsilon=LEAST_VARIANCE)
            if self.moments is not None:
                # It gives the variance of a sample, but normalises by that of the batch.
                count = np.prod(y.shape[:3])
                self.moments.setdefault(name, []).append([mean.numpy(), variance.numpy() * (count - 1) / count])
        return activation(y) if activation else self.linear(name, y)

    def linear(self, name, x):
        """Outputs without activation: once folded, rounded to 8 bits of the range that they had of late."""
        if not self.folded or self.values is not None:
            return x
        now = tf.stack([tf.minimum(tf.reduce_min(x), 0), tf.maximum(tf.reduce_max(x), 0)])
        if name not in self.ranges:
            self.ranges[name] = tf.Variable(now, trainable=False, name=f"{name}/range")
        kept = self.ranges[name]
        kept.assign(RANGE_DECAY * kept + (1 - RANGE_DECAY) * now)
        return tf.quantization.fake_quant_with_min_max_vars(x, kept[0], kept[1])

    def fold(self, values, batches):
        """Makes filters and biases of trained values (by name, NumPy): each normalisation becomes part of its
        convolution, with the mean and variance that the batches of prepared pictures have."""
        for name, value in values.items():
            self.weights[name].assign(value)
        self.moments = {}
        for batch in batches:
            self(batch)
        moments = {name: np.mean(seen, axis=0) for name, seen in self.moments.items()}
        self.moments = None
        folded = {name: value for name, value in values.items() if not name.endswith("/g")}
        for name, (mean, variance) in moments.items():
            scale = values[f"{name}/g"] / np.sqrt(variance + LEAST_VARIANCE)
            w = values[f"{name}/w"]
            folded[f"{name}/w"] = w * (scale[:, None] if is_depthwise(w) else scale)
            folded[f"{name}/b"] = values[f"{name}/b"] - mean * scale
        self.begin_folded(folded)

    def begin_folded(self, values):
        """Goes on from filters and biases; those that are not among the values stay as they are."""
        kept = {name: variable for name, variable in self.weights.items() if not name.endswith("/g")}
        self.folded, self.weights = True, kept
        for name, value in values.items():
            if name in self.weights:
                self.weights[name].assign(value)


def is_depthwise(w):
    """Whether filters [h, w, channels, n] are of a depthwise convolution."""
    return w.shape[3] == 1 and w.shape[2] > 1


def per_tensor(w):
    """Weights rounded to 8 bits with one scale for the tensor, as the converter does it; gradients pass."""
    scale = tf.stop_gradient(tf.reduce_max(tf.abs(w))) / 127
    return w + tf.stop_gradient(tf.round(w / scale) * scale - w)


def sixes(width):
    """The nearest multiple of 6 that loses no more than a tenth."""
    rounded = max(6, int(width + 3) // 6 * 6)
    return rounded + 6 if rounded < 0.9 * width else rounded
