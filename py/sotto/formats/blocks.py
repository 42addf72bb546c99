"""The formats in which GGUF files hold tensors, and what is done with them by their names.

The functions here are the numpy truth that the GPU layout and the kernels are tested against. A new format is one
class, listed in TYPES: what it holds decides how a device stores it (weights/layout.py).
"""

from __future__ import annotations

from math import prod

import numpy as np

from ..errors import UnsupportedModel
from .block_type import BlockType, Bytes, Codes, CodeType, Decoded, Floats, FloatType
from .float_types import BF16, F16, F32
from .grid_blocks import IQ1M, IQ1S, IQ2S, IQ2XS, IQ2XXS, IQ3S, IQ3XXS, IQ4NL, IQ4XS, MXFP4
from .k_blocks import Q2K, Q3K, Q4K, Q5K, Q6K
from .row_types import ROW_TYPES
from .simple_blocks import Q40, Q41, Q50, Q51, Q80, TQ10, TQ20

__all__ = [
    "ADVICE",
    "BF16",
    "CODE_TYPES",
    "F16",
    "F32",
    "FLOAT_TYPES",
    "Q40",
    "TYPES",
    "BlockType",
    "Bytes",
    "CodeType",
    "Codes",
    "Decoded",
    "FloatType",
    "Floats",
    "codes",
    "decodable",
    "dequantize",
    "find",
    "quantize",
]  # fmt: skip

ADVICE = "Take the Q4_0, Q4_K_M or Q8_0 file of the same collection."
"""What to do about a type that cannot be read: people choose files by such names."""

TYPES: dict[str, BlockType] = {
    kind.name: kind
    for kind in (
        F32(), F16(), BF16(),
        Q40(), Q4K(), Q50(), Q80(), Q6K(),
        Q51(), Q5K(), IQ4NL(), IQ4XS(), Q41(), Q3K(), Q2K(),
        IQ3S(), IQ3XXS(), IQ2S(), IQ2XS(), IQ2XXS(), IQ1M(), IQ1S(),
        TQ20(), TQ10(), MXFP4(),
        BlockType("Q8_1", 9, 32, 40),
        BlockType("Q8_K", 15, 256, 292),
        BlockType("I8", 24, 1, 1),
        BlockType("I16", 25, 1, 2),
        BlockType("I32", 26, 1, 4),
        BlockType("I64", 27, 1, 8),
        BlockType("F64", 28, 1, 8),
        BlockType("NVFP4", 40, 64, 36),
        BlockType("Q1_0", 41, 128, 18),
    )
}  # fmt: skip
"""Every format whose size is known. Those that can be decoded are a FloatType or a CodeType."""


def find(type_name: str) -> BlockType | None:
    """A format by its name: one of TYPES, or of `row_types`, whose scales lie elsewhere in a file."""
    return TYPES.get(type_name) or ROW_TYPES.get(type_name)


def decodable() -> list[FloatType | CodeType]:
    """The formats of TYPES that can be decoded, in their order there."""
    return [kind for kind in TYPES.values() if isinstance(kind, FloatType | CodeType)]


FLOAT_TYPES = frozenset(kind.name for kind in decodable() if isinstance(kind, FloatType))
CODE_TYPES = frozenset(kind.name for kind in decodable() if isinstance(kind, CodeType))


def dequantize(type_name: str, data: Bytes, shape: tuple[int, ...]) -> Floats:
    """The values of a whole tensor, or of whole rows of it, as float32 in the given shape.

    data: the uint8 bytes of exactly that shape. Raises UnsupportedModel for a type without a decoder here.
    """
    kind = find(type_name)
    if isinstance(kind, FloatType):
        return kind.decode(data).reshape(shape)
    return codes(type_name, data, prod(shape[:-1]), shape[-1]).values().reshape(shape)


def codes(type_name: str, data: Bytes, rows: int, cols: int) -> Codes:
    """The exact integer codes of `rows` whole rows of a quantised tensor (see `Codes`).

    Raises UnsupportedModel for a type that has no codes, ValueError when the bytes do not fit the shape.
    """
    kind = find(type_name)
    if not isinstance(kind, CodeType):
        raise UnsupportedModel(
            f"Tensors of type {type_name} cannot be read.",
            ADVICE,
        )
    return kind.codes(data, rows, cols)


def quantize(type_name: str, values: Floats) -> Bytes:
    """Bytes of `values` (..., cols) in the given format, flat uint8 (see the types' `encode`)."""
    kind = TYPES[type_name]
    values = np.ascontiguousarray(values, dtype=np.float32)
    if values.shape[-1] % kind.elements:
        raise ValueError(f"rows of {values.shape[-1]} elements cannot be stored as {type_name}")
    if isinstance(kind, FloatType):
        return kind.encode(values)
    if not isinstance(kind, CodeType):
        raise ValueError(f"{type_name} cannot be written")
    return kind.encode(values.reshape(-1, kind.elements)).reshape(-1)
