"""Block formats of GGUF, one class each: its sizes, its values as exact integer codes or as float32, and back.

A tensor is rows of `cols` elements; each row is a run of blocks and nothing crosses a row. The functions here
are the numpy truth that the GPU layout and the kernels are tested against. The blocks are those of ggml's
`ggml-common.h`; every multi-byte field is little endian.

A new format is one class, listed in TYPES: what it holds decides how a device stores it (weights/layout.py).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsupportedModel

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class BlockType:
    """One storage format: `elements` values in `nbytes` bytes; `id` is its number in a GGUF tensor record.

    Of one that is nothing more, the size is known and not the meaning.
    """

    name: str
    id: int
    elements: int
    nbytes: int

    def size(self, shape: tuple[int, ...]) -> int:
        """Bytes of a tensor of this type with the given shape (numpy order, rows last but one)."""
        count = 1
        for extent in shape:
            count *= extent
        return count // self.elements * self.nbytes


@dataclass(frozen=True)
class Codes:
    """A quantised matrix without loss: value[r, c] = scale[r, c // group] * q[r, c] - minimum[r, c // group].

    q: (rows, cols), uint8 for Q4_K (0..15), int8 for the rest; scale and minimum: (rows, cols / group)
    float32. `minimum` is None where the format has none.
    """

    q: NDArray[np.int8] | NDArray[np.uint8]
    scale: Floats
    minimum: Floats | None
    group: int

    def values(self) -> Floats:
        """The matrix as (rows, cols) float32, rounded as ggml rounds it (one product, one subtraction)."""
        rows, cols = self.q.shape
        out = self.q.reshape(rows, cols // self.group, self.group).astype(np.float32)
        out *= self.scale[:, :, None]
        if self.minimum is not None:
            out -= self.minimum[:, :, None]
        return out.reshape(rows, cols)


Decoded = tuple[NDArray[np.int8] | NDArray[np.uint8], Floats, Floats | None]


class FloatType(BlockType, ABC):
    """A format of plain numbers."""

    @abstractmethod
    def decode(self, data: Bytes) -> Floats:
        """Bytes -> the numbers, both flat."""

    @abstractmethod
    def encode(self, values: Floats) -> Bytes:
        """Numbers of any shape -> flat bytes, rounded to nearest."""


@dataclass(frozen=True)
class CodeType(BlockType, ABC):
    """A format of integer codes with scales (see `Codes`).

    Attributes:
        low, high: the codes' range.
        group: columns that share a scale.
        half: every scale is an f16 number; otherwise a product, which needs f32.
        minimum: whether there are minima.
    """

    low: int
    high: int
    group: int
    half: bool = True
    minimum: bool = False

    @abstractmethod
    def decode(self, blocks: Bytes) -> Decoded:
        """Blocks (count, nbytes) -> codes, scales and minima, one row a block."""

    @abstractmethod
    def encode(self, values: Floats) -> Bytes:
        """Values (count, elements) -> blocks (count, nbytes), by plain rounding to nearest.

        Meant for test models and small tables: it makes no search for the best scale as ggml's tools do.
        """


def _half(blocks: Bytes, start: int) -> Floats:
    """The float16 at byte `start` of each block, (count, 1) float32."""
    return np.ascontiguousarray(blocks[:, start : start + 2]).view("<f2").astype(np.float32)


def _nibbles(packed: Bytes) -> Bytes:
    """(count, n) bytes -> (count, 2 n): all the low nibbles of a row, then all its high nibbles."""
    count, n = packed.shape
    out = np.empty((count, 2 * n), np.uint8)
    np.bitwise_and(packed, 15, out=out[:, :n])
    np.right_shift(packed, 4, out=out[:, n:])
    return out


def _stored(scale: NDArray[np.floating[Any]]) -> tuple[Bytes, Floats]:
    """Scales (count, 1) as their float16 bytes, and as the float32 that a reader will see."""
    half = scale.astype("<f2")
    return half.view(np.uint8).reshape(len(scale), 2), half.astype(np.float32)


def _divide(values: NDArray[np.floating[Any]], by: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """values / by, with 0 where the divisor is 0 (a block of zeros)."""
    return values / np.where(by == 0, np.inf, by)


def _signed_peak(values: Floats) -> Floats:
    """The value of largest magnitude along the last axis, with its sign, axis kept."""
    at = np.abs(values).argmax(axis=-1)[..., None]
    return np.take_along_axis(values, at, axis=-1)


def _pack_nibbles(q: Bytes) -> Bytes:
    """The inverse of `_nibbles`: (count, 2 n) values 0..15 -> (count, n) bytes."""
    n = q.shape[1] // 2
    return q[:, :n] | (q[:, n:] << np.uint8(4))


class F32(FloatType):
    """As numpy's."""

    def __init__(self) -> None:
        super().__init__("F32", 0, 1, 4)

    def decode(self, data: Bytes) -> Floats:
        return data.view("<f4").astype(np.float32)

    def encode(self, values: Floats) -> Bytes:
        return values.astype("<f4").reshape(-1).view(np.uint8)


class F16(FloatType):
    """IEEE half precision."""

    def __init__(self) -> None:
        super().__init__("F16", 1, 1, 2)

    def decode(self, data: Bytes) -> Floats:
        return data.view("<f2").astype(np.float32)

    def encode(self, values: Floats) -> Bytes:
        return values.astype("<f2").reshape(-1).view(np.uint8)


class BF16(FloatType):
    """The upper half of an f32."""

    def __init__(self) -> None:
        super().__init__("BF16", 30, 1, 2)

    def decode(self, data: Bytes) -> Floats:
        return (data.view("<u2").astype(np.uint32) << np.uint32(16)).view(np.float32)

    def encode(self, values: Floats) -> Bytes:
        bits = values.reshape(-1).view(np.uint32)
        # Round to nearest, ties to even: half of the dropped unit, plus one more when the kept part is odd.
        rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
        return (rounded >> np.uint32(16)).astype("<u2").view(np.uint8)


class Q40(CodeType):
    """d f16, qs[16]: element i is the low nibble of qs[i], element i + 16 the high one; value d * (q - 8)."""

    def __init__(self) -> None:
        super().__init__("Q4_0", 2, 32, 18, low=-8, high=7, group=32)

    def decode(self, blocks: Bytes) -> Decoded:
        q = _nibbles(blocks[:, 2:]).view(np.int8)
        q -= 8
        return q, _half(blocks, 0), None

    def encode(self, values: Floats) -> Bytes:
        scale, seen = _stored(_signed_peak(values) / -8)
        q = np.clip(np.rint(_divide(values, seen)) + 8, 0, 15).astype(np.uint8)
        return np.concatenate([scale, _pack_nibbles(q)], axis=1)


class Q50(CodeType):
    """d f16, qh u32, qs[16]: nibbles as Q4_0; bit i of qh is element i's fifth bit; value d * (q - 16)."""

    def __init__(self) -> None:
        super().__init__("Q5_0", 6, 32, 22, low=-16, high=15, group=32)

    def decode(self, blocks: Bytes) -> Decoded:
        q = _nibbles(blocks[:, 6:])
        high = np.unpackbits(blocks[:, 2:6], axis=1, bitorder="little")
        high <<= 4
        q |= high
        signed = q.view(np.int8)
        signed -= 16
        return signed, _half(blocks, 0), None

    def encode(self, values: Floats) -> Bytes:
        scale, seen = _stored(_signed_peak(values) / -16)
        q = np.clip(np.rint(_divide(values, seen)) + 16, 0, 31).astype(np.uint8)
        high = np.packbits(q >> 4, axis=1, bitorder="little")
        return np.concatenate([scale, high, _pack_nibbles(q & 15)], axis=1)


class Q80(CodeType):
    """d f16, q[32] i8; value d * q."""

    def __init__(self) -> None:
        super().__init__("Q8_0", 8, 32, 34, low=-128, high=127, group=32)

    def decode(self, blocks: Bytes) -> Decoded:
        return np.ascontiguousarray(blocks[:, 2:]).view(np.int8), _half(blocks, 0), None

    def encode(self, values: Floats) -> Bytes:
        scale, seen = _stored(np.abs(values).max(axis=1, keepdims=True) / 127)
        q = np.clip(np.rint(_divide(values, seen)), -127, 127).astype(np.int8)
        return np.concatenate([scale, q.view(np.uint8)], axis=1)


class Q4K(CodeType):
    """d f16, dmin f16, scales[12], qs[128]: 8 sub-blocks of 32; value d * sc * q - dmin * mn.

    Each 32 bytes of qs hold two sub-blocks: low nibbles, then high nibbles. The 16 six-bit numbers sc[8] and
    mn[8] lie in 12 bytes: the first four of each in the low six bits of bytes 0..3 and 4..7, the other four
    as a nibble of bytes 8..11 under the two top bits of bytes 0..3 (sc) or 4..7 (mn).
    """

    def __init__(self) -> None:
        super().__init__("Q4_K", 12, 256, 144, low=0, high=15, group=32, half=False, minimum=True)

    def decode(self, blocks: Bytes) -> Decoded:
        count = len(blocks)
        packed = blocks[:, 4:16]
        a, b, c = packed[:, 0:4], packed[:, 4:8], packed[:, 8:12]
        scales = np.concatenate([a & 63, (c & 15) | ((a >> 6) << 4)], axis=1)
        minimums = np.concatenate([b & 63, (c >> 4) | ((b >> 6) << 4)], axis=1)
        q = _nibbles(blocks[:, 16:].reshape(count * 4, 32))
        return q, _half(blocks, 0) * scales, _half(blocks, 2) * minimums

    def encode(self, values: Floats) -> Bytes:
        count = len(values)
        parts = values.reshape(count, 8, 32)
        lowest = np.maximum(-parts.min(axis=2), 0)
        step = (parts.max(axis=2) + lowest) / 15
        scale, scale_seen = _stored(step.max(axis=1, keepdims=True) / 63)
        minimum, minimum_seen = _stored(lowest.max(axis=1, keepdims=True) / 63)
        sc = np.clip(np.rint(_divide(step, scale_seen)), 0, 63).astype(np.uint8)
        mn = np.clip(np.rint(_divide(lowest, minimum_seen)), 0, 63).astype(np.uint8)
        q = np.rint(_divide(parts + (minimum_seen * mn)[:, :, None], (scale_seen * sc)[:, :, None]))
        nibbles = np.clip(q, 0, 15).astype(np.uint8).reshape(count * 4, 64)
        packed = np.concatenate(
            [
                sc[:, :4] | ((sc[:, 4:] >> 4) << 6),
                mn[:, :4] | ((mn[:, 4:] >> 4) << 6),
                (sc[:, 4:] & 15) | ((mn[:, 4:] & 15) << 4),
            ],
            axis=1,
        )
        return np.concatenate([scale, minimum, packed, _pack_nibbles(nibbles).reshape(count, 128)], axis=1)


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
        q = _nibbles(blocks[:, :128].reshape(count * 2, 64)).reshape(count * 2, 4, 32)
        high = blocks[:, 128:192].reshape(count * 2, 1, 32) >> np.array([0, 2, 4, 6], np.uint8)[:, None]
        high &= 3
        high <<= 4
        q |= high
        signed = q.view(np.int8)
        signed -= 32
        scales = np.ascontiguousarray(blocks[:, 192:208]).view(np.int8)
        return signed, _half(blocks, 208) * scales, None

    def encode(self, values: Floats) -> Bytes:
        count = len(values)
        parts = values.reshape(count, 16, 16)
        step = _signed_peak(parts)[:, :, 0] / -32
        scale, seen = _stored(np.abs(step).max(axis=1, keepdims=True) / 127)
        sc = np.clip(np.rint(_divide(step, seen)), -127, 127).astype(np.int8)
        q = np.rint(_divide(parts, (seen * sc)[:, :, None])) + 32
        runs = np.clip(q, 0, 63).astype(np.uint8).reshape(count * 2, 4, 32)
        low = _pack_nibbles((runs & 15).reshape(count * 2, 128)).reshape(count, 128)
        shifts = np.array([0, 2, 4, 6], np.uint8)[:, None]
        high = np.bitwise_or.reduce((runs >> 4) << shifts, axis=1).reshape(count, 64)
        return np.concatenate([low, high, sc.view(np.uint8), scale], axis=1)


TYPES: dict[str, BlockType] = {
    kind.name: kind
    for kind in (
        F32(),
        F16(),
        BF16(),
        Q40(),
        Q4K(),
        Q50(),
        Q80(),
        Q6K(),
        BlockType("Q4_1", 3, 32, 20),
        BlockType("Q5_1", 7, 32, 24),
        BlockType("Q8_1", 9, 32, 40),
        BlockType("Q2_K", 10, 256, 84),
        BlockType("Q3_K", 11, 256, 110),
        BlockType("Q5_K", 13, 256, 176),
        BlockType("Q8_K", 15, 256, 292),
        BlockType("IQ2_XXS", 16, 256, 66),
        BlockType("IQ2_XS", 17, 256, 74),
        BlockType("IQ3_XXS", 18, 256, 98),
        BlockType("IQ1_S", 19, 256, 50),
        BlockType("IQ4_NL", 20, 32, 18),
        BlockType("IQ3_S", 21, 256, 110),
        BlockType("IQ2_S", 22, 256, 82),
        BlockType("IQ4_XS", 23, 256, 136),
        BlockType("I8", 24, 1, 1),
        BlockType("I16", 25, 1, 2),
        BlockType("I32", 26, 1, 4),
        BlockType("I64", 27, 1, 8),
        BlockType("F64", 28, 1, 8),
        BlockType("IQ1_M", 29, 256, 56),
        BlockType("TQ1_0", 34, 256, 54),
        BlockType("TQ2_0", 35, 256, 66),
        BlockType("MXFP4", 39, 32, 17),
        BlockType("NVFP4", 40, 64, 36),
        BlockType("Q1_0", 41, 128, 18),
    )
}
"""Every format whose size is known. Those that can be decoded are a FloatType or a CodeType."""


def decodable() -> list[FloatType | CodeType]:
    """The formats of TYPES that can be decoded, in their order there."""
    return [kind for kind in TYPES.values() if isinstance(kind, FloatType | CodeType)]


FLOAT_TYPES = frozenset(kind.name for kind in decodable() if isinstance(kind, FloatType))
CODE_TYPES = frozenset(kind.name for kind in decodable() if isinstance(kind, CodeType))


def dequantize(type_name: str, data: Bytes, shape: tuple[int, ...]) -> Floats:
    """The values of a whole tensor, or of whole rows of it, as float32 in the given shape.

    data: the uint8 bytes of exactly that shape. Raises UnsupportedModel for a type without a decoder here.
    """
    cols, kind = shape[-1], TYPES[type_name]
    if isinstance(kind, FloatType):
        return kind.decode(data).reshape(shape)
    rows = data.size // (cols // kind.elements * kind.nbytes)
    return codes(type_name, data, rows, cols).values().reshape(shape)


def codes(type_name: str, data: Bytes, rows: int, cols: int) -> Codes:
    """The exact integer codes of `rows` whole rows of a quantised tensor (see `Codes`).

    Raises UnsupportedModel for a type that has no codes, ValueError when the bytes do not fit the shape.
    """
    kind = TYPES[type_name]
    if not isinstance(kind, CodeType):
        raise UnsupportedModel(
            f"Tensors of type {type_name} cannot be read.",
            f"Choose a file of this model with {', '.join(sorted(k.name for k in decodable()))} tensors only.",
        )
    if cols % kind.elements or data.size != rows * cols // kind.elements * kind.nbytes:
        raise ValueError(f"{data.size} bytes are not {rows} x {cols} elements of {type_name}")
    q, scale, minimum = kind.decode(np.ascontiguousarray(data).reshape(-1, kind.nbytes))
    groups = cols // kind.group
    return Codes(
        q=q.reshape(rows, cols),
        scale=scale.reshape(rows, groups),
        minimum=None if minimum is None else minimum.reshape(rows, groups),
        group=kind.group,
    )


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
