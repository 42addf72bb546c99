"""numpy with the int8 activations of the C kernels: the reference that differs from them in the order of sums only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from sotto.devices.reference import kernels as reference

FLOATS = ("f16", "bf16", "f32")


def rounded(x: np.ndarray) -> np.ndarray:
    """x (T, K) as int8 codes times the scale of each block of 32, back in f32 (kernels/cpu/activations.h)."""
    blocks = x.reshape(x.shape[0], -1, 32)
    peak = np.abs(blocks).max(axis=-1, keepdims=True)
    factor = np.divide(np.float32(127), peak, out=np.zeros_like(peak), where=peak > 0)
    codes = np.rint(blocks * factor)
    return (codes * (peak / np.float32(127))).astype(np.float32).reshape(x.shape)


def with_int8(kernel: Callable[[reference.Call], None]) -> Callable[[reference.Call], None]:
    """numpy's matvec or matmul on rounded activations, unless the weights are floats."""

    def run(c: reference.Call) -> None:
        x = c.f32("x").reshape(-1, c.size("K"))
        raw = c.raw if c.format in FLOATS else {**c.raw, "x": rounded(x).view(np.uint8).reshape(-1)}
        kernel(replace(c, raw=raw))

    return run


KERNELS = {name: with_int8(reference.KERNELS[name]) for name in ("matvec", "matmul")}
