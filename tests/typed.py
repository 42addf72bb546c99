"""Models with matrices of every tensor type that a file can have, for runs against a reference: the default model with
many types at once, and a tiny one with one of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import gguf as reference
import numpy as np

import nearest
import tiny
from sotto.formats import blocks
from sotto.formats.gguf import parse
from sotto.formats.gguf_writer import RawTensor, write

CASES: Mapping[str, Mapping[str, Sequence[str]]] = {
    # What a device holds as it is; the matrices with 640 columns, and attn_output with its 1,024.
    "exact": {
        "narrow": ("Q4_1", "IQ4_NL", "Q5_0", "Q8_0", "MXFP4", "Q4_0", "F16", "BF16", "F32"),
        "attn_output": (
            "Q3_K", "IQ4_XS", "IQ3_S", "IQ3_XXS", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S", "TQ2_0", "TQ1_0",
        ),
        "ffn_down": ("Q4_K", "Q6_K"),
    },
    # What is rounded to eight bits, as in files called Q5_K_S; and Q2_K.
    "rounded": {"narrow": ("Q5_1",), "attn_output": ("Q2_K", "Q5_K", "Q5_K"), "ffn_down": ("Q5_K",)},
}  # fmt: skip
"""By case: the types of some matrices, in turn from layer to layer."""


def typed(model: Path, types: Mapping[str, Sequence[str]]) -> bytes:
    """A file of these types, with the model's weights rounded: by the reference package where it can write a type,
    else by `blocks`, else by nearest.py."""
    data = model.read_bytes()
    header, tensors = parse(data), {}
    for record in header.tensors.values():
        raw = np.frombuffer(data, np.uint8, record.nbytes, record.offset)
        kind = _type(record.name, record.type, types)
        if kind != record.type:
            raw = encoded(kind, blocks.dequantize(record.type, raw, record.shape))
        tensors[record.name] = RawTensor(record.shape, kind, raw.tobytes())
    return write(header.metadata, tensors)


def _type(name: str, usual: str, types: Mapping[str, Sequence[str]]) -> str:
    """The type that a tensor gets."""
    block, _, rest = name.partition(".")
    layer, _, matrix = rest.removesuffix(".weight").partition(".")
    if block != "blk" or "norm" in matrix:
        return usual
    if matrix in types:
        return types[matrix][int(layer) % len(types[matrix])]
    if "narrow" not in types:
        return usual
    place = ("attn_q", "attn_k", "attn_v", "ffn_gate", "ffn_up").index(matrix)
    return types["narrow"][(int(layer) * 5 + place) % len(types["narrow"])]


def encoded(kind: str, values: np.ndarray) -> np.ndarray:
    """A matrix's bytes in a type."""
    if kind in nearest.ENCODERS:
        return nearest.encode(kind, values)
    try:
        found = reference.quants.quantize(values, reference.GGMLQuantizationType[kind])
    except NotImplementedError:
        return blocks.quantize(kind, values)
    return np.ascontiguousarray(found).view(np.uint8).reshape(-1)


SMALL = tiny.Tiny(
    layers=2, width=256, hidden=256, heads=2, head_dim=128, types=dict.fromkeys(tiny.DEFAULT_TYPES, "F32")
)
SMALL_IDS = [2, *np.random.default_rng(1).integers(300, 450, 39).tolist()]
"""Longer than the window."""


def small(kind: str) -> bytes:
    """A tiny model's file with all matrices of one type, the embedding too."""
    data = tiny.build(SMALL)
    tensors = tiny.tensors_of(data)
    for name, given in tensors.items():
        if len(given.shape) == 2:
            values = np.frombuffer(given.data, "<f4").reshape(given.shape)
            tensors[name] = RawTensor(given.shape, kind, encoded(kind, values).tobytes())
    return write(parse(data).metadata, tensors)


def typed_file(model: Path, case: str, sha256: str) -> bytes:
    """The same, checked to be what a reference was made of."""
    data = typed(model, CASES[case])
    found = hashlib.sha256(data).hexdigest()
    assert found == sha256, "the file is not that of the reference: run tools/reference_types.py again"
    return data
