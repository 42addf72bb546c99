"""Write a synthetic Gemma 3 as a file, for the peers that read GGUF.

    python docs/benchmarks/peers/synthetic_gguf.py SHAPE FILE.gguf        (SHAPE: 270m, 1b, 4b)

It is what `sotto bench --shape SHAPE` measures: the real model's sizes and int4 weights (Q4_0), random, with a
vocabulary that is good for token ids only.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "py"))

from sotto.api import drive
from sotto.models import synthetic

PIECE = 64 << 20  # bytes


def write(shape: str, path: Path) -> None:
    """Write the model of a shape; a file that was there before is replaced when the new one is whole."""
    source = synthetic.source(shape)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        for offset in range(0, source.size, PIECE):
            file.write(drive(source.read(offset, min(PIECE, source.size - offset))))
    part.replace(path)


def main() -> None:
    """Write one file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shape", choices=synthetic.SHAPES)
    parser.add_argument("file", type=Path)
    given = parser.parse_args()
    write(given.shape, given.file)


if __name__ == "__main__":
    main()
