"""Write tests/golden/gemma3-270m-imports.json: what transformers computes of the default model's weights once they are
rounded as a folder of safetensors is when it is loaded.

    pip install torch==2.13.0 transformers==5.24.0 peft==0.21.2 gguf==0.19.0
    python tools/reference_imports.py

The rounding is done here by the schemes' definitions, apart from Sotto's own: a scale for a row is the largest absolute
value of the row, divided by 127 or 7, and a code the nearest whole number, ties to even. Blocks of 32 are Q4_0's, with
codes for the scale as it is stored. (ggml's are for the scale before it is f16, ties upwards. In this model, whose file
holds codes too, ties are frequent: the mean nll is 4.110 with ggml's codes and 4.161 with these.)
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from reference_adapters import GOLDEN, base_model, nll
from reference_types import engine

from sotto import assets
from sotto.formats import blocks
from sotto.formats.gguf import parse
from sotto.formats.gguf_writer import RawTensor, write

TOKENS = 257
EMBEDDING = "token_embd.weight"


def rows(values: NDArray[np.float32], highest: int) -> NDArray[np.float32]:
    """Values (rows, columns) as codes -highest .. highest with an f32 scale for a row, and back."""
    scale = np.abs(values).max(axis=1, keepdims=True) / np.float32(highest)
    found: NDArray[np.float32] = np.rint(values / scale) * scale
    return found


def blocks_of_32(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values (rows, columns) as codes -8 .. 7 with an f16 scale for 32 columns, and back: the value that is farthest
    from 0 is the code -8."""
    parts = values.reshape(-1, 32)
    peak = np.take_along_axis(parts, np.abs(parts).argmax(axis=1)[:, None], axis=1)
    scale = (peak / np.float32(-8)).astype(np.float16).astype(np.float32)
    codes = np.divide(parts, scale, out=np.zeros_like(parts), where=scale != 0)
    found: NDArray[np.float32] = (np.clip(np.rint(codes), -8, 7) * scale).reshape(values.shape)
    return found


def rounded(data: bytes, scheme: str) -> bytes:
    """The model of a GGUF file, its matrices rounded, as F32."""
    header, tensors = parse(data), {}
    for record in header.tensors.values():
        raw = np.frombuffer(data, np.uint8, record.nbytes, record.offset)
        values = blocks.dequantize(record.type, raw, record.shape)
        if len(record.shape) == 2:
            if scheme == "int4":
                values = rows(values, 7)
            elif scheme == "int8" or record.name == EMBEDDING:
                values = rows(values, 127)
            else:
                values = blocks_of_32(values)
        tensors[record.name] = RawTensor(record.shape, "F32", values.astype("<f4").tobytes())
    return write(header.metadata, tensors)


def main() -> None:
    """Make the references."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    ids = json.loads((GOLDEN / "gemma3-270m.json").read_text("utf-8"))["perplexity"]["ids"][:TOKENS]
    data = Path(assets.default_model()).read_bytes()
    found = {}
    for scheme in ("int8", "q4_0", "int4"):
        values = nll(base_model(rounded(data, scheme)), ids)
        print(f"{scheme}: mean nll {values.mean():.4f}")
        found[scheme] = [round(float(value), 5) for value in values]
    text = json.dumps({"engine": engine(), "tokens": TOKENS, "nll": found})
    (GOLDEN / "gemma3-270m-imports.json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
