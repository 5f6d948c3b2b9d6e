"""Trained weights as .tflite files."""

import numpy as np
import tensorflow as tf

from scene import CLASSES
from tflite_file import AXIS_LABELS, VALUE_LABELS, TfliteFile

# Pictures that the ranges of activations are taken from: as many as Axis advises.
CALIBRATION = 200


def convert(net, weights, size, quantised, per_channel=False, pictures=None):
    """A .tflite file of the network's outputs for pictures of `size` (height, width). Where `quantised`, all is 8 bits
    with uint8 at both ends, weights with one scale a tensor or one a filter."""
    net.values = weights
    function = tf.function(net.outputs).get_concrete_function(tf.TensorSpec([1, *size, 3], tf.float32))
    net.values = None
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    if quantised:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([picture] for picture in scaled(pictures))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
        converter._experimental_disable_per_channel = not per_channel
    return converter.convert()


def scaled(pictures):
    """Pictures one by one as the network takes them. Black and white are among the first one's pixels, so that the
    bytes of a picture are the whole range."""
    for number, picture in enumerate(pictures[:CALIBRATION]):
        x = (picture[None].astype(np.float32) - 127.5) / 127.5
        if number == 0:
            x[0, 0, :2] = [[-1], [1]]
        yield x


def detector(net, weights, pictures, size, kind):
    """The detector's files: `per_tensor`, `per_channel`, `float32` with the operator, `raw` without."""
    converted = convert(net, weights, size, kind != "float32", kind == "per_channel", pictures)
    file = TfliteFile(converted)
    about = f"Finds {', '.join(CLASSES)} in Spotter's drawn scene"
    if kind == "raw":
        file.raw_heads()
        return file.packed(about, CLASSES, 1, AXIS_LABELS)
    file.post_process()
    return file.packed(about, CLASSES, 1, VALUE_LABELS)


def single(net, weights, pictures, size, labels, name):
    """A file with one output `name` whose last axis has labels."""
    file = TfliteFile(convert(net, weights, size, True, False, pictures))
    file.rename_output(name)
    return file.packed(f"{name} of Spotter's drawn scene", labels, 0, AXIS_LABELS)
