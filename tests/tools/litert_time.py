"""Times of Python's LiteRT. Usage: litert_time.py MODEL THREADS SECONDS RUNS

For each line on standard input the model runs for SECONDS, RUNS times at least. One line on standard output has for each
run its milliseconds and those of processor time.
"""

import sys
import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def main() -> None:
    """Answers until the input ends."""
    model, threads, seconds, runs = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    interpreter = Interpreter(model, num_threads=threads)
    interpreter.allocate_tensors()
    about = interpreter.get_input_details()[0]
    interpreter.set_tensor(about["index"], np.full(about["shape"], 128, about["dtype"]))
    for _ in range(3):
        interpreter.invoke()
    for _ in sys.stdin:
        begun, times = time.perf_counter(), []
        while time.perf_counter() - begun < seconds or len(times) < 2 * runs:
            start, before = time.perf_counter(), time.process_time()
            interpreter.invoke()
            times += [1e3 * (time.perf_counter() - start), 1e3 * (time.process_time() - before)]
        print(*times, flush=True)


main()
