"""Write tests/golden/gemma3-270m-types.json and tiny-types.json: what transformers computes of models with every tensor
type.

    pip install torch==2.13.0 transformers==5.24.0 peft==0.21.2 gguf==0.19.0
    python tools/reference_types.py

The models are those of tests/typed.py, their weights dequantised by the package `gguf`, in f32.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers
from reference_adapters import GOLDEN, base_model, nll

from sotto import assets
from sotto.formats.gguf import parse
from sotto.formats.gguf_writer import RawTensor, write
from sotto.weights import layout
from typed import CASES, SMALL_IDS, small, typed

TOKENS = 513


def engine() -> str:
    """What computes the references, with its versions."""
    return f"transformers {transformers.__version__}, torch {torch.__version__}, gguf 0.19.0"


def dequantized(data: bytes) -> bytes:
    """The same model as F32, by the reference's decoders."""
    header, tensors = parse(data), {}
    for record in header.tensors.values():
        raw = np.frombuffer(data, np.uint8, record.nbytes, record.offset).reshape(record.shape[0], -1)
        kind = gguf.GGMLQuantizationType[record.type]
        if record.type in ("F16", "F32"):
            raw = raw.view({"F16": "<f2", "F32": "<f4"}[record.type])
        values = gguf.quants.dequantize(raw, kind).astype("<f4")
        tensors[record.name] = RawTensor(record.shape, "F32", values.tobytes())
    return write(header.metadata, tensors)


def main() -> None:
    """Make the references."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    write_small()
    golden = json.loads((GOLDEN / "gemma3-270m.json").read_text("utf-8"))["perplexity"]
    fields: dict[str, object] = {"engine": engine(), "tokens": TOKENS}
    for case in CASES:
        data = typed(Path(assets.default_model()), CASES[case])
        values = nll(base_model(dequantized(data)), golden["ids"][:TOKENS])
        print(f"{case}: mean nll {values.mean():.4f}")
        fields[case] = {
            "sha256": hashlib.sha256(data).hexdigest(),
            "nll": [round(float(value), 5) for value in values],
        }
    (GOLDEN / "gemma3-270m-types.json").write_text(json.dumps(fields) + "\n", "utf-8")


def write_small() -> None:
    """Of a tiny model in each type by itself."""
    found = {}
    for kind in layout.types():
        data = small(kind)
        values = nll(base_model(dequantized(data)), SMALL_IDS)
        found[kind] = {
            "sha256": hashlib.sha256(data).hexdigest(),
            "nll": [round(float(value), 5) for value in values],
        }
    (GOLDEN / "tiny-types.json").write_text(json.dumps({"engine": engine(), "types": found}) + "\n", "utf-8")


if __name__ == "__main__":
    main()
