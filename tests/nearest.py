"""Writes the types of GGUF that `sotto.formats.blocks` only reads, by the nearest codes, for runs against a reference.

Scales inside a block are all the same, the largest that there is: that makes the packing short, and values coarse.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sotto.formats.grid_blocks import UNEVEN
from sotto.formats.grids import points

Bytes = np.ndarray  # (blocks, bytes) u8
Floats = np.ndarray  # (blocks, 256) f32


def encode(type_name: str, values: np.ndarray) -> np.ndarray:
    """Flat bytes of a matrix whose rows are whole blocks of 256. Raises KeyError for a type that is not here."""
    write = ENCODERS[type_name]
    return np.ascontiguousarray(write(values.reshape(-1, 256).astype(np.float32))).reshape(-1)


def _halves(scales: np.ndarray) -> tuple[Bytes, np.ndarray]:
    half = scales.astype("<f2")
    return half.view(np.uint8).reshape(-1, 2), half.astype(np.float32)


def _all(blocks: Floats, nbytes: int, value: int) -> Bytes:
    return np.full((len(blocks), nbytes), value, np.uint8)


def _two_bits(q: np.ndarray) -> Bytes:
    """256 numbers 0..3 a block as Q2_K has them."""
    runs = q.astype(np.uint8).reshape(len(q), 2, 4, 32) << np.array([0, 2, 4, 6], np.uint8)[:, None]
    return np.bitwise_or.reduce(runs, axis=2).reshape(len(q), 64)


def q2_k(v: Floats) -> Bytes:
    lowest = np.maximum(-v.min(axis=1, keepdims=True), 0)
    d, step = _halves((v.max(axis=1, keepdims=True) + lowest) / 45)
    least, minimum = _halves(lowest / 15)
    q = np.clip(np.rint((v + 15 * minimum) / (15 * step)), 0, 3)
    return np.concatenate([_all(v, 16, 0xFF), _two_bits(q), d, least], axis=1)


def q3_k(v: Floats) -> Bytes:
    d, step = _halves(np.abs(v).max(axis=1, keepdims=True) / (3.5 * 31))
    q = (np.clip(np.rint(v / (31 * step)), -4, 3) + 4).astype(np.uint8)
    mask = np.packbits(q.reshape(-1, 8, 32) >> 2, axis=1, bitorder="little").reshape(-1, 32)
    return np.concatenate([mask, _two_bits(q & 3), _all(v, 12, 0xFF), d], axis=1)


def iq4_xs(v: Floats) -> Bytes:
    d, step = _halves(np.abs(v).max(axis=1, keepdims=True) / (127 * 31))
    middles = (UNEVEN[1:] + UNEVEN[:-1].astype(np.float32)) / 2
    q = np.searchsorted(middles, v / (31 * step)).astype(np.uint8).reshape(-1, 8, 2, 16)
    nibbles = (q[:, :, 0] | q[:, :, 1] << 4).reshape(-1, 128)
    return np.concatenate([d, _all(v, 6, 0xFF), nibbles], axis=1)


def _nearest(table: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Of each group the nearest point's index, u16. In whole numbers, so that it is the same on every machine."""
    table = table.astype(np.float64)
    offsets = (table**2).sum(axis=1) * 128
    parts = np.array_split(np.rint(groups.astype(np.float64) * 256), max(1, len(groups) // 8192))
    return np.concatenate([(part @ table.T - offsets).argmax(axis=1) for part in parts]).astype(np.uint16)


def _in_grid(v: Floats, name: str, factor: float) -> tuple[Bytes, np.ndarray]:
    """d, whose `factor`-fold is all scales, and the indices (blocks, groups)."""
    table = points(name).astype(np.float32)
    d, step = _halves(np.abs(v).max(axis=1, keepdims=True) / (factor * table.max()))
    groups = (np.abs(v) / (factor * step)).reshape(-1, table.shape[1])
    return d, _nearest(table, groups).reshape(len(v), -1)


def _signs(v: Floats) -> Bytes:
    return np.packbits(v < 0, axis=1, bitorder="little")


def _even_signs(v: Floats) -> np.ndarray:
    """Seven signs of each eight, their number made even by the smallest value."""
    eights = v.reshape(-1, 8)
    minus = eights < 0
    rows = np.arange(len(eights))
    minus[rows, np.abs(eights).argmin(axis=1)] ^= minus.sum(axis=1) % 2 == 1
    return np.packbits(minus, axis=1, bitorder="little").reshape(len(v), 32).astype(np.uint32) & 127


def _with_scale(signs: np.ndarray) -> Bytes:
    """Four times seven signs and a scale of 15, as bytes of u32 (blocks, 32)."""
    four = signs.reshape(len(signs), 8, 4) << np.array([0, 7, 14, 21], np.uint32)
    return (np.bitwise_or.reduce(four, axis=2) | np.uint32(15 << 28)).astype("<u4").view(np.uint8)


def iq2_xxs(v: Floats) -> Bytes:
    d, index = _in_grid(v, "IQ2_XXS", 15.5 * 0.25)
    packed = _with_scale(_even_signs(v)).reshape(-1, 8, 4)
    parts = np.concatenate([index.astype(np.uint8).reshape(-1, 8, 4), packed], axis=2)
    return np.concatenate([d, parts.reshape(-1, 64)], axis=1)


def iq2_xs(v: Floats) -> Bytes:
    d, index = _in_grid(v, "IQ2_XS", 15.5 * 0.25)
    packed = (index | (_even_signs(v) << 9)).astype("<u2").view(np.uint8)
    return np.concatenate([d, packed, _all(v, 8, 0xFF)], axis=1)


def _upper(index: np.ndarray, bits: int) -> Bytes:
    """What of indices is above 8 bits, so many bits each, the first the lowest."""
    each = (index >> 8).reshape(len(index), -1, 8 // bits) << np.arange(0, 8, bits, dtype=np.uint16)
    return np.bitwise_or.reduce(each, axis=2).astype(np.uint8)


def iq2_s(v: Floats) -> Bytes:
    d, index = _in_grid(v, "IQ2_S", 15.5 * 0.25)
    low = (index & 255).astype(np.uint8)
    return np.concatenate([d, low, _signs(v), _upper(index, 2), _all(v, 8, 0xFF)], axis=1)


def iq3_xxs(v: Floats) -> Bytes:
    d, index = _in_grid(v, "IQ3_XXS", 15.5 * 0.5)
    return np.concatenate([d, index.astype(np.uint8), _with_scale(_even_signs(v))], axis=1)


def iq3_s(v: Floats) -> Bytes:
    d, index = _in_grid(v, "IQ3_S", 31)
    low = (index & 255).astype(np.uint8)
    return np.concatenate([d, low, _upper(index, 1), _signs(v), _all(v, 4, 0xFF)], axis=1)


def _shifted(v: Floats) -> tuple[np.ndarray, np.ndarray]:
    """Of IQ1: the scale d as its f16's bits, and the indices; every delta is positive."""
    half = (np.abs(v).max(axis=1, keepdims=True) / 36).astype("<f2")
    eighths = v / (15 / 8 * half.astype(np.float32))
    index = _nearest(points("IQ1_S") + 1, eighths.reshape(-1, 8))
    return half.view("<u2"), index.reshape(-1, 32)


def iq1_s(v: Floats) -> Bytes:
    d, index = _shifted(v)
    upper = np.bitwise_or.reduce((index >> 8).reshape(-1, 8, 4) << np.array([0, 3, 6, 9], np.uint16), axis=2)
    high = (upper | np.uint16(7 << 12)).astype("<u2").view(np.uint8)
    return np.concatenate([d.view(np.uint8).reshape(-1, 2), (index & 255).astype(np.uint8), high], axis=1)


def iq1_m(v: Floats) -> Bytes:
    d, index = _shifted(v)
    upper = (index >> 8).reshape(-1, 16, 2)
    high = (upper[:, :, 0] | upper[:, :, 1] << 4).astype(np.uint8)
    quarters = ((d >> np.array([0, 4, 8, 12], np.uint16)) & 15) << 12
    scales = (quarters | 0x0FFF).astype("<u2").view(np.uint8)
    return np.concatenate([(index & 255).astype(np.uint8), high, scales], axis=1)


ENCODERS: dict[str, Callable[[Floats], Bytes]] = {
    "Q2_K": q2_k, "Q3_K": q3_k, "IQ4_XS": iq4_xs, "IQ3_S": iq3_s, "IQ3_XXS": iq3_xxs, "IQ2_S": iq2_s, "IQ2_XS": iq2_xs,
    "IQ2_XXS": iq2_xxs, "IQ1_M": iq1_m, "IQ1_S": iq1_s,
}  # fmt: skip
