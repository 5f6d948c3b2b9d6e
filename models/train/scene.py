"""What is known of the demo scene: its classes, and the two ways a picture of it reaches a model."""

CLASSES = ["person", "bicycle", "car", "bus", "dog"]
# Height and width of the detectors' input: near 16:9, both multiples of 32.
HEIGHT, WIDTH = 192, 320
STRIDES = [8, 16, 32]
