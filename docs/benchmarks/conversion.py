"""Measure how fast each tensor type is converted to the device's layout: MB of the file a second of one processor.

    python docs/benchmarks/conversion.py [--rounds 5]

Of plain Python: compiled (kernels/loading, under wasmtime, copies in and out included) and by numpy. The best of some
rounds; "growth" is the bytes on the device for a byte of the file.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "py"), str(ROOT / "tests")]

from rows import random_rows
from sotto.weights import compiled, layout

ROWS, COLUMNS = 1024, 2048  # a read of the loader's, or a part of it


def rate(nbytes: int, work: Callable[[], object], rounds: int) -> float:
    """MB a second of processor time, of the best round: what else runs counts less so."""
    seconds = []
    for _ in range(rounds + 1):  # the first one warms up
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return nbytes / min(seconds[1:]) / 1e6


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    library = compiled.Library()
    print("| type | format | growth | compiled, MB/s | numpy, MB/s |")
    for name in layout.types():
        data = random_rows(name, ROWS, COLUMNS)
        rates = [
            rate(data.size, partial(convert, name, data, ROWS, COLUMNS), given.rounds)
            for convert in (library.convert, layout.convert)
        ]
        planes = layout.convert(name, data, ROWS, COLUMNS)
        grown = sum(np.asarray(plane).nbytes for plane in planes) / data.size
        form = layout.format_of(name).name
        print(f"| {name} | {form} | {grown:.2f} | {rates[0]:,.0f} | {rates[1]:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
