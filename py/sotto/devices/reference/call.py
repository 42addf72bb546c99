"""What the numpy references of the kernels share: how they see a dispatch, and the formulas that several use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Call:
    """One dispatch as a reference function sees it.

    Attributes:
        raw: the bytes of each binding by name, writable where the kernel may write.
        constants: the overrides that were set.
        format: the weight format, or ''.
        grid: workgroups in x, y and z.
        position, count: the step block.
        dequantized: the weight matrix of `weights` and `scales` for N rows, K columns.
        element: what a variant multiplies activations as: "f32", "f16" or "int8".
    """

    raw: Mapping[str, NDArray[np.uint8]]
    constants: Mapping[str, float]
    format: str
    grid: tuple[int, int, int]
    position: int
    count: int
    dequantized: Callable[[int, int], Floats]
    element: str = "f32"

    def f32(self, name: str) -> Floats:
        """A binding as flat float32."""
        return self.raw[name].view(np.float32)

    def u32(self, name: str) -> NDArray[np.uint32]:
        """A binding as flat uint32."""
        return self.raw[name].view(np.uint32)

    def f16(self, name: str) -> NDArray[np.float16]:
        """A binding as flat float16."""
        return self.raw[name].view(np.float16)

    def size(self, name: str) -> int:
        """An integer constant."""
        return int(self.constants[name])


def told(x: Floats) -> Floats:
    """x with NaN for every value that is not finite: a maximum and a sum of them tell of it."""
    return np.where(np.isfinite(x), x, np.float32(np.nan))


def normed(x: Floats, weight: Floats, eps: float) -> Floats:
    """RMSNorm over the last axis; the mean in float64."""
    mean = np.mean(np.square(x, dtype=np.float64), axis=-1, keepdims=True)
    y: Floats = (x / np.sqrt(mean + eps) * weight).astype(np.float32)
    return y


def rotated(x: Floats, angles: Floats) -> Floats:
    """RoPE: (..., E) by (..., E/2, 2) cosines and sines; dimension i turns with i + E/2."""
    first, second = np.split(x, 2, axis=-1)
    cos, sin = angles[..., 0], angles[..., 1]
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


@dataclass(frozen=True)
class Int8:
    """Activations (T, K) as int8: every block of 32 columns of a token has its own scale.

    codes: (T, K/32, 32) whole numbers; scales: (T, K/32, 1).
    """

    codes: Floats
    scales: Floats

    @classmethod
    def of(cls, x: Floats) -> Int8:
        blocks = x.reshape(len(x), -1, 32)
        peak = np.maximum(np.abs(blocks).max(axis=-1, keepdims=True), np.float32(1e-30))
        return cls(np.rint(blocks * (np.float32(127) / peak)), peak / np.float32(127))

    def values(self) -> Floats:
        """Back in f32, (T, K)."""
        return (self.codes * self.scales).reshape(len(self.codes), -1)


def gated(gate: Floats, up: Floats) -> Floats:
    """gelu(gate) * up, with the tanh form of GELU."""
    inner = np.float32(np.sqrt(2 / np.pi)) * (gate + np.float32(0.044715) * gate**3)
    product: Floats = np.float32(0.5) * gate * (1 + np.tanh(inner)) * up
    return product


def low_rank(c: Call, first: int, rows: int) -> Floats:
    """What adapters add to so many rows of a matrix, from the first given one on: (T, rows); 0 where there are none."""
    if "low" not in c.raw:
        return np.zeros((c.count, rows), np.float32)
    rank, width = c.size("RANK"), c.size("WIDTH")
    low = c.f32("low").reshape(-1, width // rank, rank)[: c.count]
    b = c.f16("b").reshape(-1, rank)[first : first + rows].astype(np.float32)
    row = first + np.arange(rows)
    stacked = sum((row >= c.constants.get(name, np.inf)).astype(int) for name in ("BEGIN_1", "BEGIN_2"))
    sums: Floats = np.einsum("tnr,nr->tn", low[:, stacked], b)
    return sums
