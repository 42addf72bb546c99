"""Each tensor type, or each file, on the GPU and the CPU, against transformers on the weights that `gguf` dequantises.

    pip install torch==2.13.0 transformers==5.24.0 peft==0.21.2 gguf==0.19.0
    python docs/benchmarks/tensor_types.py [--types Q5_1 Q5_K ...] [--files FILE ...] [--devices gpu cpu]

For a type, all matrices of the default model's layers have it that can (of rows of 256: `attn_output` and `ffn_down`).
For each: the reference's mean negative log-likelihood; what rounding to the device's format alone changes, by the same
reference; and what each device computes. Changes are "mean nll / mean |delta logprob| / its largest".
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / folder) for folder in ("py", "tests", "tools")]

from reference_adapters import base_model, nll
from reference_types import dequantized

from sotto import assets
from sotto.api import drive, open_device
from sotto.engine.engine import Engine
from sotto.formats import blocks
from sotto.formats.gguf import parse
from sotto.formats.gguf_writer import RawTensor, write
from sotto.reports import Settings
from sotto.source import MemorySource
from sotto.weights import layout
from typed import typed


def files(types: list[str], paths: list[Path]) -> Iterator[tuple[str, bytes]]:
    """What to run, by name."""
    for kind in types:
        wide = {"attn_output": (kind,), "ffn_down": (kind,)}
        narrow = {} if blocks.TYPES[kind].elements > 32 else {"narrow": (kind,)}
        yield kind, typed(Path(assets.default_model()), {**wide, **narrow})
    for path in paths:
        yield path.name, path.read_bytes()


def as_stored(data: bytes) -> bytes | None:
    """A model with the values that devices hold, as F32; None where these are the file's own."""
    header, tensors = parse(data), {}
    if all(layout.is_exact(record.type) for record in header.tensors.values()):
        return None
    for record in header.tensors.values():
        raw = np.frombuffer(data, np.uint8, record.nbytes, record.offset)
        if len(record.shape) == 2:
            rows, columns = record.shape
            planes = layout.convert(record.type, raw, rows, columns)
            values = layout.dequantize(layout.format_of(record.type), *planes, rows, columns)
        else:
            values = blocks.dequantize(record.type, raw, record.shape)
        tensors[record.name] = RawTensor(record.shape, "F32", values.astype("<f4").tobytes())
    return write(header.metadata, tensors)


def on_device(data: bytes, name: str, device: str, ids: list[int]) -> NDArray[np.float32]:
    """The negative log-likelihoods that Sotto computes."""
    opened = open_device(device)
    try:
        source = MemorySource(data, name, name)
        engine = drive(Engine.load(source, opened, None, Settings(2048, chunks=(64,), tune=False)))
        found: NDArray[np.float32] = -drive(engine.score(ids))
        engine.close()
        return found
    finally:
        opened.close()


def change(found: NDArray[np.floating], reference: NDArray[np.floating]) -> str:
    """Of log-likelihoods, for the table."""
    off = found - reference
    return f"{off.mean():+.4f} / {np.abs(off).mean():.5f} / {np.abs(off).max():.4f}"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--types", nargs="*", default=[])
    parser.add_argument("--files", nargs="*", type=Path, default=[])
    parser.add_argument("--devices", nargs="*", default=["gpu", "cpu"], choices=("gpu", "cpu"))
    parser.add_argument("--tokens", type=int, default=65)
    given = parser.parse_args()
    golden = json.loads((ROOT / "tests/golden/gemma3-270m.json").read_text("utf-8"))["perplexity"]
    ids = golden["ids"][: given.tokens]
    print("| | nll | stored |", *(f"{device} |" for device in given.devices))
    for name, data in files(given.types or ([] if given.files else layout.types()), given.files):
        reference = nll(base_model(dequantized(data)), ids)
        stored = as_stored(data)
        told = [f"{reference.mean():.4f}"]
        told.append("exact" if stored is None else change(nll(base_model(stored), ids), reference))
        told += [change(on_device(data, name, device, ids), reference) for device in given.devices]
        print(f"| {name} | {' | '.join(told)} |", flush=True)


if __name__ == "__main__":
    main()
