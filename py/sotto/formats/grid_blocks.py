"""The formats of GGUF whose codes are looked up: IQ1 to IQ4 and MXFP4.

The blocks are those of ggml's `ggml-common.h`; how their fields are packed is in its `dequantize_row_*` functions.
In IQ1 to IQ3 an index stands for 8 or 4 elements at once, a point of grids.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .block_type import (
    Bytes,
    CodeType,
    Decoded,
    Floats,
    bits,
    divide,
    half,
    nibbles,
    pack_nibbles,
    pairs,
    signed_peak,
    stored,
)
from .grids import points

Codes = NDArray[np.int8]

UNEVEN = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.int8)
"""What the 16 codes of IQ4_NL and IQ4_XS stand for: steps that are finer near 0."""

E2M1 = np.array([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12], np.int8)
"""What the 16 codes of MXFP4 stand for, doubled: a sign, two bits of exponent, one of mantissa."""

SIGNS = 1 - 2 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little").view(
    np.int8
)
"""Eight signs by a byte of bits, the lowest first."""

_SEVEN = np.arange(128)
EVEN_SIGNS = SIGNS[_SEVEN | ((SIGNS[:128] < 0).sum(axis=1) % 2) << 7]
"""Eight signs by the first seven: an even number of them is negative."""

_QUARTERS = np.array([0, 7, 14, 21], np.uint32)


def _u16(blocks: Bytes, first: int, end: int) -> NDArray[np.uint16]:
    return np.ascontiguousarray(blocks[:, first:end]).view("<u2")


def _u32(blocks: Bytes, first: int, end: int) -> NDArray[np.uint32]:
    return np.ascontiguousarray(blocks[:, first:end]).view("<u4")


def _scale(d: Floats, steps: NDArray[Any], unit: float) -> Floats:
    """d (1/2 + steps) unit: of blocks (count, 1) and their parts (count, parts)."""
    product: Floats = d * (np.float32(0.5) + steps.astype(np.float32)) * np.float32(unit)
    return product


def _rows(q: NDArray[Any]) -> Codes:
    flat: Codes = q.reshape(len(q), -1)
    return flat


class IQ4NL(CodeType):
    """d f16, qs[16]: nibbles as Q4_0; value d * UNEVEN[nibble]."""

    def __init__(self) -> None:
        super().__init__("IQ4_NL", 20, 32, 18, low=-127, high=113, group=32)

    def decode(self, blocks: Bytes) -> Decoded:
        return UNEVEN[nibbles(blocks[:, 2:])], half(blocks, 0), None

    def encode(self, values: Floats) -> Bytes:
        scale, seen = stored(signed_peak(values) / -127)
        middles = (UNEVEN[1:] + UNEVEN[:-1].astype(np.float32)) / 2
        codes = np.searchsorted(middles, divide(values, seen).astype(np.float32)).astype(np.uint8)
        return np.concatenate([scale, pack_nibbles(codes)], axis=1)


class IQ4XS(CodeType):
    """d f16, scales_h u16, scales_l[4], qs[128]: 8 sub-blocks of 32; value d * (sc - 32) * UNEVEN[nibble].

    A sub-block is 16 bytes of qs, low nibbles and then high ones; the low four bits of its sc are a nibble of scales_l,
    the low one of a byte first, the upper two a bit pair of scales_h.
    """

    def __init__(self) -> None:
        super().__init__("IQ4_XS", 23, 256, 136, low=-127, high=113, group=32, half=False)

    def decode(self, blocks: Bytes) -> Decoded:
        count = len(blocks)
        upper = (_u16(blocks, 2, 4) >> np.arange(0, 16, 2, dtype=np.uint16)).astype(np.uint8) & np.uint8(3)
        scales = (pairs(blocks[:, 4:8]) | (upper << np.uint8(4))).view(np.int8) - np.int8(32)
        q = UNEVEN[nibbles(blocks[:, 8:].reshape(count * 8, 16))]
        return q.reshape(count, 256), half(blocks, 0) * scales, None


class MXFP4(CodeType):
    """e, qs[16]: nibbles as Q4_0; value 2^(e - 128) * E2M1[nibble] (OCP Microscaling Formats, E8M0 scales)."""

    def __init__(self) -> None:
        super().__init__("MXFP4", 39, 32, 17, low=-12, high=12, group=32, half=False)

    def decode(self, blocks: Bytes) -> Decoded:
        return (
            E2M1[nibbles(blocks[:, 1:])],
            np.ldexp(np.float32(1), blocks[:, :1].astype(np.int32) - 128),
            None,
        )


class IQ2XXS(CodeType):
    """d f16, 8 parts of 32 elements: 4 indices u8, then u32: 4 times 7 signs, and the scale in its top 4 bits."""

    def __init__(self) -> None:
        super().__init__("IQ2_XXS", 16, 256, 66, low=-43, high=43, group=32, half=False, grid="IQ2_XXS")

    def decode(self, blocks: Bytes) -> Decoded:
        parts = blocks[:, 2:].reshape(len(blocks), 8, 8)
        packed = _u32(parts.reshape(-1, 8), 4, 8).reshape(len(blocks), 8)
        signs = EVEN_SIGNS[(packed[:, :, None] >> _QUARTERS) & np.uint32(127)]
        q = points(self.grid)[parts[:, :, :4]] * signs
        return _rows(q), _scale(half(blocks, 0), packed >> np.uint32(28), 0.25), None


class IQ2XS(CodeType):
    """d f16, qs[32] u16: 9 bits of index and 7 signs each; scales[8]: nibbles, for 16 elements each."""

    def __init__(self) -> None:
        super().__init__("IQ2_XS", 17, 256, 74, low=-43, high=43, group=16, half=False, grid="IQ2_XS")

    def decode(self, blocks: Bytes) -> Decoded:
        packed = _u16(blocks, 2, 66)
        q = points(self.grid)[packed & np.uint16(511)] * EVEN_SIGNS[packed >> np.uint16(9)]
        return _rows(q), _scale(half(blocks, 0), pairs(blocks[:, 66:]), 0.25), None


class IQ2S(CodeType):
    """d f16, qs[32], signs[32], qh[8], scales[8]: as IQ2_XS, with 8 signs each; of an index bits 8 and 9 are in qh."""

    def __init__(self) -> None:
        super().__init__("IQ2_S", 22, 256, 82, low=-43, high=43, group=16, half=False, grid="IQ2_S")

    def decode(self, blocks: Bytes) -> Decoded:
        upper = bits(blocks[:, 66:74, None], 2).reshape(len(blocks), 32)
        index = blocks[:, 2:34] | (upper.astype(np.uint16) << np.uint16(8))
        q = points(self.grid)[index] * SIGNS[blocks[:, 34:66]]
        return _rows(q), _scale(half(blocks, 0), pairs(blocks[:, 74:]), 0.25), None


class IQ3XXS(CodeType):
    """d f16, qs[64]: indices of 4 elements; u32[8], for 32 elements each: signs and scale as in IQ2_XXS."""

    def __init__(self) -> None:
        super().__init__("IQ3_XXS", 18, 256, 98, low=-62, high=62, group=32, half=False, grid="IQ3_XXS")

    def decode(self, blocks: Bytes) -> Decoded:
        packed = _u32(blocks, 66, 98)
        signs = EVEN_SIGNS[(packed[:, :, None] >> _QUARTERS) & np.uint32(127)]
        q = points(self.grid)[blocks[:, 2:66]].reshape(signs.shape) * signs
        return _rows(q), _scale(half(blocks, 0), packed >> np.uint32(28), 0.5), None


class IQ3S(CodeType):
    """d f16, qs[64], qh[8], signs[32], scales[4]: as IQ3_XXS, with 8 signs each; of an index bit 8 is in qh.

    A scale is d * (1 + 2 nibble), for 32 elements.
    """

    def __init__(self) -> None:
        super().__init__("IQ3_S", 21, 256, 110, low=-15, high=15, group=32, half=False, grid="IQ3_S")

    def decode(self, blocks: Bytes) -> Decoded:
        upper = np.unpackbits(blocks[:, 66:74], axis=1, bitorder="little")
        index = blocks[:, 2:66] | (upper.astype(np.uint16) << np.uint16(8))
        signs = SIGNS[blocks[:, 74:106]]
        q = points(self.grid)[index].reshape(signs.shape) * signs
        return _rows(q), half(blocks, 0) * (1 + 2 * pairs(blocks[:, 106:])), None


class IQ1S(CodeType):
    """d f16, qs[32], qh[8] u16; value d * (2 s + 1) * (point + delta).

    Each qh is for 32 elements: bits 8 to 10 of four indices, s in bits 12 to 14, and in bit 15 the sign of delta, which
    is 1/8: so codes are in eighths.
    """

    def __init__(self) -> None:
        super().__init__("IQ1_S", 19, 256, 50, low=-9, high=9, group=32, half=False, grid="IQ1_S")

    def decode(self, blocks: Bytes) -> Decoded:
        packed = _u16(blocks, 34, 50)
        upper = (packed[:, :, None] >> np.array([0, 3, 6, 9], np.uint16)) & np.uint16(7)
        index = blocks[:, 2:34].reshape(upper.shape) | (upper << np.uint16(8))
        delta = np.where(packed >> np.uint16(15), np.int8(-1), np.int8(1))
        q = points(self.grid)[index] + delta[:, :, None, None]
        steps = (2 * ((packed >> np.uint16(12)) & np.uint16(7)) + 1).astype(np.float32)
        return _rows(q), half(blocks, 0) * steps * np.float32(0.125), None


class IQ1M(CodeType):
    """qs[32], qh[16], scales[4] u16: as IQ1_S, with a delta for 8 elements and a scale for 16.

    A nibble of qh has bits 8 to 10 of an index, and the sign of its delta; a u16 of scales four s of three bits, and in
    its top four bits a quarter of d, an f16, the lowest first.
    """

    def __init__(self) -> None:
        super().__init__("IQ1_M", 29, 256, 56, low=-9, high=9, group=16, half=False, grid="IQ1_S")

    def decode(self, blocks: Bytes) -> Decoded:
        packed, high = _u16(blocks, 48, 56), pairs(blocks[:, 32:48])
        index = blocks[:, :32] | ((high & 7).astype(np.uint16) << np.uint16(8))
        q = points(self.grid)[index] + np.where(high & 8, np.int8(-1), np.int8(1))[:, :, None]
        d = ((packed >> np.uint16(12)) << np.array([0, 4, 8, 12], np.uint16)).sum(axis=1, dtype=np.uint16)
        steps = (packed[:, :, None] >> np.array([0, 3, 6, 9], np.uint16)) & np.uint16(7)
        scales = (2 * steps + 1).astype(np.float32).reshape(len(blocks), 16)
        return _rows(q), d.view(np.float16).astype(np.float32)[:, None] * scales * np.float32(0.125), None
