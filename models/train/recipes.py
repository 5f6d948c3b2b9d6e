"""How the detector is trained."""

import losses
from fit import Trainer, prepare
from networks import Detector
from sets import SEED, WORK, say

# Batches that a folded network's mean and variance are taken from.
FOLDING_BATCHES = 40


def numbers(net):
    """A network's weights by name, NumPy."""
    return {name: variable.numpy() for name, variable in net.weights.items()}


class Work:
    """The seconds that trainings took."""

    def __init__(self):
        self.seconds = 0.0

    def fit(self, net, loss, batch, steps, rate, folder, seed=SEED):
        """Trains and leaves the averaged weights in the network."""
        trainer = Trainer(net, loss, batch, steps, rate, WORK / folder, seed, lambda text: say(f"{folder}: {text}"))
        values = trainer.run()
        for name, value in values.items():
            net.weights[name].assign(value)
        self.seconds += trainer.seconds
        return values


def train_detector(frames, work):
    """Parts of frames of half the size first, as they cost a quarter; then whole frames; then with rounded weights."""
    net, loss = Detector(SEED), losses.detector_loss
    work.fit(net, loss, lambda step: frames.half_batch(step, 16, SEED), 2000, 4e-3, "detector/half")
    values = work.fit(net, loss, lambda step: frames.batch(step, 8, SEED), 3600, 3e-3, "detector/whole")
    net.fold(values, [prepare(frames.batch(step, 8, SEED + 1)[0], [SEED, step]) for step in range(FOLDING_BATCHES)])
    work.fit(net, loss, lambda step: frames.batch(step, 8, SEED + 2), 2600, 1.5e-3, "detector/rounded")
    return net
