"""The K formats of GGUF: 256 elements in a block, and in it smaller ones whose scales are small whole numbers.

The blocks are those of ggml's `ggml-common.h`.
"""

from __future__ import annotations

import numpy as np

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
    signed_peak,
    stored,
)


class Q2K(CodeType):
    """scales[16], qs[64], d f16, dmin f16: 16 sub-blocks of 16; value d * sc * q - dmin * mn.

    sc is a scale's low nibble and mn its high one. Each 32 bytes of qs are 128 elements of two bits: all the lowest
    pairs, then the next ones.
    """

    def __init__(self) -> None:
        super().__init__("Q2_K", 10, 256, 84, low=0, high=3, group=16, half=False, minimum=True)

    def decode(self, blocks: Bytes) -> Decoded:
        scales = blocks[:, :16]
        q = bits(blocks[:, 16:80].reshape(-1, 2, 32), 2).reshape(len(blocks), 256)
        return q, half(blocks, 80) * (scales & 15), half(blocks, 82) * (scales >> 4)


class Q3K(CodeType):
    """hmask[32], qs[64], scales[12], d f16: 16 sub-blocks of 16; value d * (sc - 32) * q, q from -4 to 3.

    qs as in Q2_K; bit b of hmask[i] says of element 32 b + i that no 4 is taken off. The low nibbles of the 16 scales
    are the low nibbles of bytes 0..7, then their high ones; the upper bits likewise the bit pairs of bytes 8..11.
    """

    def __init__(self) -> None:
        super().__init__("Q3_K", 11, 256, 110, low=-4, high=3, group=16, half=False)

    def decode(self, blocks: Bytes) -> Decoded:
        count = len(blocks)
        q = bits(blocks[:, 32:96].reshape(-1, 2, 32), 2).reshape(count, 8, 32)
        q |= bits(blocks[:, :32], 1) << np.uint8(2)
        upper = bits(blocks[:, 104:108], 2).reshape(count, 16) << np.uint8(4)
        scales = (nibbles(blocks[:, 96:104]) | upper).view(np.int8) - np.int8(32)
        return q.reshape(count, 256).view(np.int8) - np.int8(4), half(blocks, 108) * scales, None


class Q4K(CodeType):
    """d f16, dmin f16, scales[12], qs[128]: 8 sub-blocks of 32; value d * sc * q - dmin * mn.

    Each 32 bytes of qs hold two sub-blocks: low nibbles, then high nibbles. For the scales see `_six_bits`.
    """

    def __init__(self) -> None:
        super().__init__("Q4_K", 12, 256, 144, low=0, high=15, group=32, half=False, minimum=True)

    def decode(self, blocks: Bytes) -> Decoded:
        scales, minimums = _six_bits(blocks[:, 4:16])
        q = nibbles(blocks[:, 16:].reshape(len(blocks) * 4, 32))
        return q, half(blocks, 0) * scales, half(blocks, 2) * minimums

    def encode(self, values: Floats) -> Bytes:
        head, q = _with_six_bits(values, 15)
        return np.concatenate([head, pack_nibbles(q.reshape(-1, 64)).reshape(len(values), 128)], axis=1)


class Q5K(CodeType):
    """d f16, dmin f16, scales[12], qh[32], qs[128]: as Q4_K; bit b of qh[i] is the fifth bit of element 32 b + i."""

    def __init__(self) -> None:
        super().__init__("Q5_K", 13, 256, 176, low=0, high=31, group=32, half=False, minimum=True)

    def decode(self, blocks: Bytes) -> Decoded:
        count = len(blocks)
        scales, minimums = _six_bits(blocks[:, 4:16])
        q = nibbles(blocks[:, 48:].reshape(count * 4, 32)).reshape(count, 8, 32)
        q |= bits(blocks[:, 16:48], 1) << np.uint8(4)
        return q.reshape(count, 256), half(blocks, 0) * scales, half(blocks, 2) * minimums

    def encode(self, values: Floats) -> Bytes:
        head, q = _with_six_bits(values, 31)
        high = np.packbits(q >> 4, axis=1, bitorder="little").reshape(len(values), 32)
        low = pack_nibbles((q & np.uint8(15)).reshape(-1, 64)).reshape(len(values), 128)
        return np.concatenate([head, high, low], axis=1)


def _six_bits(packed: Bytes) -> tuple[Bytes, Bytes]:
    """The 16 six-bit numbers sc[8] and mn[8] of 12 bytes.

    The first four of each lie in the low six bits of bytes 0..3 and 4..7, the other four as a nibble of bytes 8..11
    under the two top bits of bytes 0..3 (sc) or 4..7 (mn).
    """
    a, b, c = packed[:, 0:4], packed[:, 4:8], packed[:, 8:12]
    scales = np.concatenate([a & 63, (c & 15) | ((a >> 6) << 4)], axis=1)
    minimums = np.concatenate([b & 63, (c >> 4) | ((b >> 6) << 4)], axis=1)
    return scales, minimums


def _with_six_bits(values: Floats, highest: int) -> tuple[Bytes, Bytes]:
    """The first 16 bytes of blocks: d, dmin and the packed scales; and codes 0..highest, (count, 8, 32)."""
    parts = values.reshape(len(values), 8, 32)
    lowest = np.maximum(-parts.min(axis=2), 0)
    step = (parts.max(axis=2) + lowest) / highest
    scale, scale_seen = stored(step.max(axis=1, keepdims=True) / 63)
    minimum, minimum_seen = stored(lowest.max(axis=1, keepdims=True) / 63)
    sc = np.clip(np.rint(divide(step, scale_seen)), 0, 63).astype(np.uint8)
    mn = np.clip(np.rint(divide(lowest, minimum_seen)), 0, 63).astype(np.uint8)
    q = np.rint(divide(parts + (minimum_seen * mn)[:, :, None], (scale_seen * sc)[:, :, None]))
    packed = np.concatenate(
        [
            sc[:, :4] | ((sc[:, 4:] >> 4) << 6),
            mn[:, :4] | ((mn[:, 4:] >> 4) << 6),
            (sc[:, 4:] & 15) | ((mn[:, 4:] & 15) << 4),
        ],
        axis=1,
    )
    return np.concatenate([scale, minimum, packed], axis=1), np.clip(q, 0, highest).astype(np.uint8)


class Q6K(CodeType):
    """ql[128], qh[64], scales[16] i8, d f16: 16 sub-blocks of 16; value d * sc * (q - 32).

    Each half of the block is 128 elements from 64 bytes of ql and 32 of qh: four runs of 32 elements, the low
    four bits being the low nibbles of the 64 bytes and then their high nibbles, the top two bits being bits
    0-1, 2-3, 4-5, 6-7 of the same 32 bytes of qh.
    """

    def __init__(self) -> None:
        super().__init__("Q6_K", 14, 256, 210, low=-32, high=31, group=16, half=False)

    def decode(self, blocks: Bytes) -> Decoded:
        count = len(blocks)
        q = nibbles(blocks[:, :128].reshape(count * 2, 64)).reshape(count * 2, 4, 32)
        high = blocks[:, 128:192].reshape(count * 2, 1, 32) >> np.array([0, 2, 4, 6], np.uint8)[:, None]
        high &= 3
        high <<= 4
        q |= high
        signed = q.view(np.int8)
        signed -= 32
        scales = np.ascontiguousarray(blocks[:, 192:208]).view(np.int8)
        return signed, half(blocks, 208) * scales, None

    def encode(self, values: Floats) -> Bytes:
        count = len(values)
        parts = values.reshape(count, 16, 16)
        step = signed_peak(parts)[:, :, 0] / -32
        scale, seen = stored(np.abs(step).max(axis=1, keepdims=True) / 127)
        sc = np.clip(np.rint(divide(step, seen)), -127, 127).astype(np.int8)
        q = np.rint(divide(parts, (seen * sc)[:, :, None])) + 32
        runs = np.clip(q, 0, 63).astype(np.uint8).reshape(count * 2, 4, 32)
        low = pack_nibbles((runs & 15).reshape(count * 2, 128)).reshape(count, 128)
        shifts = np.array([0, 2, 4, 6], np.uint8)[:, None]
        high = np.bitwise_or.reduce((runs >> 4) << shifts, axis=1).reshape(count, 64)
        return np.concatenate([low, high, sc.view(np.uint8), scale], axis=1)
