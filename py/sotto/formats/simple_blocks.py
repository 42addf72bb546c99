"""The formats of GGUF with one scale, or a scale and a minimum, for a block: ggml's first ones, and the ternary ones.

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


class Q40(CodeType):
    """d f16, qs[16]: element i is the low nibble of qs[i], element i + 16 the high one; value d * (q - 8)."""

    def __init__(self) -> None:
        super().__init__("Q4_0", 2, 32, 18, low=-8, high=7, group=32)

    def decode(self, blocks: Bytes) -> Decoded:
        q = nibbles(blocks[:, 2:]).view(np.int8)
        q -= 8
        return q, half(blocks, 0), None

    def encode(self, values: Floats) -> Bytes:
        scale, _, q = self.rounded(values)
        return np.concatenate([scale, pack_nibbles(q)], axis=1)

    def rounded(self, values: Floats) -> tuple[Bytes, Floats, Bytes]:
        """Blocks (count, 32) as ggml rounds them: scales as f16 bytes and as f32 (count, 1), and codes 0..15."""
        scale, seen = stored(signed_peak(values) / -8)
        q = divide(values, seen)
        np.rint(q, out=q)
        q += 8
        return scale, seen, np.clip(q, 0, 15, out=q).astype(np.uint8)


class Q41(CodeType):
    """d f16, m f16, qs[16]: nibbles as Q4_0; value d * q + m."""

    def __init__(self) -> None:
        super().__init__("Q4_1", 3, 32, 20, low=0, high=15, group=32, minimum=True)

    def decode(self, blocks: Bytes) -> Decoded:
        return nibbles(blocks[:, 4:]), half(blocks, 0), -half(blocks, 2)

    def encode(self, values: Floats) -> Bytes:
        scales, q = _from_lowest(values, 15)
        return np.concatenate([scales, pack_nibbles(q)], axis=1)


class Q50(CodeType):
    """d f16, qh u32, qs[16]: nibbles as Q4_0; bit i of qh is element i's fifth bit; value d * (q - 16)."""

    def __init__(self) -> None:
        super().__init__("Q5_0", 6, 32, 22, low=-16, high=15, group=32)

    def decode(self, blocks: Bytes) -> Decoded:
        q = nibbles(blocks[:, 6:])
        high = np.unpackbits(blocks[:, 2:6], axis=1, bitorder="little")
        high <<= 4
        q |= high
        signed = q.view(np.int8)
        signed -= 16
        return signed, half(blocks, 0), None

    def encode(self, values: Floats) -> Bytes:
        scale, seen = stored(signed_peak(values) / -16)
        q = np.clip(np.rint(divide(values, seen)) + 16, 0, 31).astype(np.uint8)
        high = np.packbits(q >> 4, axis=1, bitorder="little")
        return np.concatenate([scale, high, pack_nibbles(q & 15)], axis=1)


class Q51(CodeType):
    """d f16, m f16, qh u32, qs[16]: codes as Q5_0's; value d * q + m."""

    def __init__(self) -> None:
        super().__init__("Q5_1", 7, 32, 24, low=0, high=31, group=32, minimum=True)

    def decode(self, blocks: Bytes) -> Decoded:
        q = nibbles(blocks[:, 8:])
        q |= np.unpackbits(blocks[:, 4:8], axis=1, bitorder="little") << np.uint8(4)
        return q, half(blocks, 0), -half(blocks, 2)

    def encode(self, values: Floats) -> Bytes:
        scales, q = _from_lowest(values, 31)
        high = np.packbits(q >> 4, axis=1, bitorder="little")
        return np.concatenate([scales, high, pack_nibbles(q & np.uint8(15))], axis=1)


def _from_lowest(values: Floats, highest: int) -> tuple[Bytes, Bytes]:
    """The bytes of d and m, and codes 0..highest: each block's lowest value has the code 0."""
    lowest = values.min(axis=1, keepdims=True)
    scale, seen = stored((values.max(axis=1, keepdims=True) - lowest) / highest)
    minimum, lowest = stored(lowest)
    q = np.clip(np.rint(divide(values - lowest, seen)), 0, highest).astype(np.uint8)
    return np.concatenate([scale, minimum], axis=1), q


class Q80(CodeType):
    """d f16, q[32] i8; value d * q."""

    def __init__(self) -> None:
        super().__init__("Q8_0", 8, 32, 34, low=-128, high=127, group=32)

    def decode(self, blocks: Bytes) -> Decoded:
        return np.ascontiguousarray(blocks[:, 2:]).view(np.int8), half(blocks, 0), None

    def encode(self, values: Floats) -> Bytes:
        scale, seen = stored(np.abs(values).max(axis=1, keepdims=True) / 127)
        q = np.clip(np.rint(divide(values, seen)), -127, 127).astype(np.int8)
        return np.concatenate([scale, q.view(np.uint8)], axis=1)


class TQ10(CodeType):
    """qs[48], qh[4], d f16: numbers 0..2; value d * (q - 1).

    A byte holds five of them (of qh four) as the digits of a fraction of 256 in base 3: times 3, 9, 27, 81 modulo 256,
    the byte has the next digit in front. First come the first digits of qs[0..31], then the second ones; then those of
    qs[32..47]; then those of qh.
    """

    def __init__(self) -> None:
        super().__init__("TQ1_0", 34, 256, 54, low=-1, high=1, group=256)

    def decode(self, blocks: Bytes) -> Decoded:
        powers = np.array([1, 3, 9, 27, 81], np.uint8)[:, None]
        runs = [
            (blocks[:, None, first:end] * powers[:digits]).reshape(len(blocks), -1)
            for first, end, digits in ((0, 32, 5), (32, 48, 5), (48, 52, 4))
        ]
        q = ((np.concatenate(runs, axis=1).astype(np.uint16) * 3) >> 8).astype(np.int8) - np.int8(1)
        return q, half(blocks, 52), None


class TQ20(CodeType):
    """qs[64], d f16: two bits each; value d * (q - 1).

    Each 32 bytes are 128 elements: all the lowest bit pairs, then the next ones.
    """

    def __init__(self) -> None:
        super().__init__("TQ2_0", 35, 256, 66, low=-1, high=2, group=256)

    def decode(self, blocks: Bytes) -> Decoded:
        q = bits(blocks[:, :64].reshape(-1, 2, 32), 2).reshape(len(blocks), 256)
        return q.view(np.int8) - np.int8(1), half(blocks, 64), None
