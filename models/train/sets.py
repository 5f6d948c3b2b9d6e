"""The sets of frames that models are trained and judged on, and the folders."""

import os
import subprocess
import time
from pathlib import Path

from dataset import DrawnSet
from scene import HEIGHT, WIDTH

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "target" / "train"
MODELS = ROOT / "models"
SEED = 1
# Scenes of training have seeds from a million on, those of evaluation are below.
TRAINING_SEED, UNSEEN_SEED = 1_000_000, 2
# Frames that the files are judged by.
UNSEEN = 400
# Part of a letterboxed 320x192 picture that a 16:9 frame fills: top, left, bottom, right.
LETTERBOX = [6 / 192, 0, 186 / 192, 1]


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def drawn(name, frames, seed, size=(WIDTH, HEIGHT), fit="stretch", content=None):
    """A set of frames; drawn by the product's own program when it is not there."""
    folder = WORK / name
    if not (folder / "truth.json").exists():
        say(f"drawing {frames} frames of seed {seed}, {size[0]}x{size[1]} {fit}")
        program = os.environ.get("SPOTTER", ROOT / "target" / "release" / "spotter")
        subprocess.run([program, "demo", "--dataset", folder, "--frames", str(frames), "--seed", str(seed),
                        "--size", f"{size[0]}x{size[1]}", "--fit", fit], check=True)
    return DrawnSet(folder, size[1], size[0], content)


def training_set():
    return drawn("frames", 7000, TRAINING_SEED)


def unseen_set():
    return drawn("unseen", UNSEEN, UNSEEN_SEED)
