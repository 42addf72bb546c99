"""Rows of tensors of every type of file, of random bytes: every code there is, and finite scales."""

from __future__ import annotations

import numpy as np

from sotto.formats.blocks import TYPES, dequantize, quantize

SCALES_AT = {  # where the f16 numbers of a block lie; of IQ1_M, where the upper half of one does
    "Q4_0": (0,), "Q4_1": (0, 2), "Q5_0": (0,), "Q5_1": (0, 2), "Q8_0": (0,), "Q2_K": (80, 82), "Q3_K": (108,),
    "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,), "IQ4_NL": (0,), "IQ4_XS": (0,), "MXFP4": (), "IQ2_XXS": (0,),
    "IQ2_XS": (0,), "IQ2_S": (0,), "IQ3_XXS": (0,), "IQ3_S": (0,), "IQ1_S": (0,), "IQ1_M": (54,), "TQ1_0": (52,),
    "TQ2_0": (64,), "F16": (0,), "BF16": (0,), "F32": (2,),
}  # fmt: skip


def random_rows(type_name: str, rows: int, columns: int) -> np.ndarray:
    """Arbitrary blocks of so many whole rows, flat u8; the same at each call."""
    kind = TYPES[type_name]
    data = np.random.default_rng([rows, columns, kind.id]).integers(
        0, 256, kind.size((rows, columns)), np.uint8
    )
    blocks = data.reshape(-1, kind.nbytes)
    for at in SCALES_AT[type_name]:
        blocks[::7, at] = 3
        blocks[::7, at + 1] &= 0x80  # numbers next to nothing
        blocks[:, at + 1] &= 0xBF  # clears the exponent's top bit: no infinity, no NaN
    if type_name == "MXFP4":
        blocks[:, 0] = 100 + blocks[:, 0] % 50
    return data


def weights_like(type_name: str, rows: int, columns: int) -> np.ndarray:
    """As `random_rows`, with scales that make them such weights as a model has: their standard deviation is
    1 / sqrt(columns)."""
    blocks = random_rows(type_name, rows, columns).reshape(-1, TYPES[type_name].nbytes)
    if type_name in ("F16", "BF16", "F32"):
        values = np.random.default_rng([rows, columns]).standard_normal((rows, columns)) / columns**0.5
        return quantize(type_name, values.astype(np.float32))
    _set_scales(type_name, blocks, 1.0)
    deviation = dequantize(type_name, blocks.reshape(-1), (rows, columns)).std()
    _set_scales(type_name, blocks, 1 / (deviation * columns**0.5))
    return blocks.reshape(-1)


def _set_scales(type_name: str, blocks: np.ndarray, value: float) -> None:
    half = np.array([value], "<f2").view(np.uint8)
    for at in SCALES_AT[type_name]:
        blocks[:, at : at + 2] = half
    if type_name == "MXFP4":
        blocks[:, 0] = 128 + round(np.log2(value))
    if type_name == "IQ1_M":  # a quarter in the top bits of each of four numbers
        quarters = np.array([half[0] << 4, half[0] & 0xF0, half[1] << 4, half[1] & 0xF0], np.uint8)
        blocks[:, 49::2] = blocks[:, 49::2] & 15 | quarters
        blocks[:, 54] = 0x77
