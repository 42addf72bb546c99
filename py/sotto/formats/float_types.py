"""The formats of GGUF that are plain numbers."""

from __future__ import annotations

import numpy as np

from .block_type import Bytes, Floats, FloatType


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
