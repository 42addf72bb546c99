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
from sotto.formats import tiles
from sotto.formats.row_types import ROW_TYPES
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


def rows_of_codes(name: str) -> np.ndarray:
    """Random codes with their scales in front, as `row_types` have them."""
    kind = ROW_TYPES[name]
    generator = np.random.default_rng(1)
    codes = generator.integers(0, 256, kind.size((ROWS, COLUMNS)), np.uint8)
    return np.concatenate([np.zeros(kind.beside(ROWS, COLUMNS), np.uint8), codes])


def from_tiles(name: str, data: np.ndarray, convert: Callable[..., object], untile: tiles.Untile) -> None:
    """What is done with rows of a file for the web, their sums checked."""
    kind = ROW_TYPES[name]
    convert(name, tiles.rows_of(data, ROWS, COLUMNS, kind.bits, name, untile), ROWS, COLUMNS)


def in_tiles(name: str) -> np.ndarray:
    """Random scales and codes of a file for the web, with their sums between them."""
    kind = ROW_TYPES[name]
    codes = np.random.default_rng(1).integers(0, 256, kind.size((ROWS, COLUMNS)), np.uint8)
    sums = tiles.untiled(codes, ROWS, COLUMNS, kind.bits)[1]
    return np.concatenate([np.zeros(4 * ROWS, np.uint8), sums.view(np.uint8), codes])


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    compiled_convert, untile = compiled.converter(), compiled.untiler()
    print("| type | format | growth | compiled, MB/s | numpy, MB/s |")

    def row(title: str, name: str, data: np.ndarray, *works: Callable[[], object]) -> None:
        rates = [rate(data.size, work, given.rounds) for work in works]
        form = layout.format_of(name)
        grown = (form.weight_bytes(ROWS, COLUMNS) + form.scale_plane_bytes(ROWS, COLUMNS)) / data.size
        print(f"| {title} | {form.name} | {grown:.2f} | {rates[0]:,.0f} | {rates[1]:,.0f} |", flush=True)

    for name in (*layout.types(), "INT8", "INT4", "INT4/32"):
        data = rows_of_codes(name) if name in ROW_TYPES else random_rows(name, ROWS, COLUMNS)
        both = compiled_convert, layout.convert
        row(name, name, data, *(partial(convert, name, data, ROWS, COLUMNS) for convert in both))
    for name in ("INT8", "INT4"):
        data = in_tiles(name)
        fast = partial(from_tiles, name, data, compiled_convert, untile)
        row(
            f"{name} in tiles",
            name,
            data,
            fast,
            partial(from_tiles, name, data, layout.convert, tiles.untiled),
        )


if __name__ == "__main__":
    main()
