"""What the tests of the fused decode kernels are given."""

from __future__ import annotations

import numpy as np

from kernels.harness import given
from sotto import ops
from sotto.ops import Pending
from sotto.plan.plan import Plan
from sotto.plan.variants import SIMPLE, Variant

EPS = 1e-6
# Of variants that differ in constants only, the first.
TEXTS = {tuple(variant.options.values()): variant for variant in reversed(ops.DECODES)}.values()


def plan(variant: Variant, tokens: int) -> Plan:
    return Plan("test", tokens, choice=SIMPLE.but(variant))


def residuals(rng: np.random.Generator, tokens: int, dim: int) -> dict[str, np.ndarray]:
    """A residual stream as large as Gemma's, past the range of f16, a sublayer's output, and two norms."""
    return {
        "x": (rng.standard_normal((tokens, dim)) * 30_000).astype(np.float32),
        "pending": rng.standard_normal((tokens, dim)).astype(np.float32),
        "pending_norm": (rng.standard_normal(dim) * 20_000).astype(np.float32),
        "norm": rng.standard_normal(dim).astype(np.float32),
    }


def pending(tokens: int, dim: int) -> Pending:
    return Pending(given("pending", (tokens, dim)), given("pending_norm", (dim,)))
