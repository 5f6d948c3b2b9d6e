"""Training: Adam, a learning rate that rises and falls once, an average of the weights, and checkpoints."""

import os
import time

import numpy as np
import tensorflow as tf

CHECKPOINT_SECONDS = 120
# Share of the steps in which the learning rate rises.
WARM_UP = 0.05
LARGEST_GRADIENT = 5.0


def prepare(images, seed):
    """Pictures as the networks take them, with other brightness, contrast and colour than they had. `seed`: two
    numbers."""
    x = (tf.cast(images, tf.float32) - 127.5) / 127.5
    count = x.shape[0]
    contrast, brightness, colour = tf.unstack(tf.random.stateless_uniform([3, count, 1, 1, 1], seed, -1.0, 1.0))
    x = x * (1 + 0.2 * contrast) + 0.15 * brightness
    x = x + (x - tf.reduce_mean(x, -1, keepdims=True)) * 0.3 * colour
    return tf.clip_by_value(x, -1.0, 1.0)


class Trainer:
    """Fits a network's weights to batches. `batch(step)` gives the pictures and what the loss needs beside the
    outputs; all that is random follows from the seed and the step."""

    def __init__(self, net, loss, batch, steps, rate, folder, seed=1, log=print):
        self.net, self.loss, self.batch, self.steps, self.rate = net, loss, batch, steps, rate
        self.folder, self.seed, self.log = folder, seed, log
        self.step, self.seconds = 0, 0.0
        # Makes the variables that are not there.
        net(prepare(batch(0)[0][:1], [seed, 0]))
        self.names = sorted(net.weights)
        self.variables = [net.weights[name] for name in self.names]
        zeros = lambda: [tf.Variable(tf.zeros_like(v), trainable=False) for v in self.variables]
        self.first, self.second = zeros(), zeros()
        self.average = [tf.Variable(v, trainable=False) for v in self.variables]
        self.update = tf.function(self._update)
        folder.mkdir(parents=True, exist_ok=True)

    def _update(self, images, truth, random, rate, count, keep):
        with tf.GradientTape() as tape:
            value, parts = self.loss(self.net(prepare(images, random)), *truth)
        gradients, _ = tf.clip_by_global_norm(tape.gradient(value, self.variables), LARGEST_GRADIENT)
        slow, fast = 1 - 0.9**count, 1 - 0.99**count
        for v, m, s, average, gradient in zip(self.variables, self.first, self.second, self.average, gradients):
            m.assign(0.9 * m + 0.1 * gradient)
            s.assign(0.99 * s + 0.01 * tf.square(gradient))
            v.assign_sub(rate * (m / slow) / (tf.sqrt(s / fast) + 1e-8))
            average.assign(keep * average + (1 - keep) * v)
        return value, parts

    def learning_rate(self):
        """Up in a straight line, down along a cosine to a hundredth."""
        done, rise = self.step / self.steps, WARM_UP
        if done < rise:
            return self.rate * (self.step + 1) / (rise * self.steps)
        return self.rate * (0.01 + 0.99 * (1 + np.cos(np.pi * (done - rise) / (1 - rise))) / 2)

    def run(self):
        """Trains to the end, from the checkpoint where there is one; gives the averaged weights by name."""
        self._resume()
        began = saved = time.time()
        shown = self.step
        while self.step < self.steps:
            images, *truth = self.batch(self.step)
            keep = min(0.998, (1 + self.step) / (10 + self.step))
            numbers = [self.learning_rate(), self.step + 1, keep]
            value, parts = self.update(tf.constant(images), [tf.constant(t) for t in truth],
                                       tf.constant([self.seed, self.step]),
                                       *(tf.constant(number, tf.float32) for number in numbers))
            self.step += 1
            if not np.isfinite(value):
                raise FloatingPointError(f"the loss of step {self.step} is {float(value)}; lower the learning rate")
            if self.step - shown >= 50 or self.step == self.steps:
                rest = " ".join(f"{name} {float(part):.3f}" for name, part in parts.items())
                pace = (time.time() - began) / max(1, self.step - self.resumed)
                self.log(f"step {self.step}/{self.steps} loss {float(value):.3f} {rest} "
                         f"{len(images) / pace:.0f} images/s {pace * (self.steps - self.step) / 60:.1f} min left")
                shown = self.step
            if time.time() - saved > CHECKPOINT_SECONDS or self.step == self.steps:
                now = time.time()
                self.seconds, saved = self.seconds + now - saved, now
                self._save()
        return {name: average.numpy() for name, average in zip(self.names, self.average)}

    def _state(self):
        state = {}
        for kind, values in [("weight", self.variables), ("first", self.first), ("second", self.second),
                             ("average", self.average)]:
            state |= {f"{kind}:{name}": value for name, value in zip(self.names, values)}
        return state | {f"range:{name}": value for name, value in self.net.ranges.items()}

    def _save(self):
        """First beside its place, then renamed: a checkpoint is there whole or not at all."""
        part = self.folder / "checkpoint.part.npz"
        values = {name: variable.numpy() for name, variable in self._state().items()}
        np.savez(part, step=self.step, steps=self.steps, seconds=self.seconds, **values)
        os.replace(part, self.folder / "checkpoint.npz")

    def _resume(self):
        self.resumed = 0
        path = self.folder / "checkpoint.npz"
        if not path.exists():
            return
        with np.load(path) as kept:
            if int(kept["steps"]) != self.steps:
                raise ValueError(f"{path} is of a run of {int(kept['steps'])} steps, this one has {self.steps}; "
                                 "delete the folder to begin again")
            for name, variable in self._state().items():
                variable.assign(kept[name])
            self.step, self.seconds = int(kept["step"]), float(kept["seconds"])
        self.resumed = self.step
        self.log(f"going on from step {self.step}")
