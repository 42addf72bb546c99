"""What a plan is asked when a device or a variant is held against another, and how far two results are apart."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..plan.plan import Plan, Tensor
from ..text.sampler import SampleOutputs


@dataclass(frozen=True)
class Result:
    """The numbers that a plan gave.

    Attributes:
        values: (count,) f32: log-probabilities of the tokens asked for, or the highest logits.
        ids: (count,) u32: the tokens of the logits; empty beside log-probabilities.
        picked: the most probable token, as the device picked it; None beside log-probabilities.
    """

    values: NDArray[np.float32]
    ids: NDArray[np.uint32]
    picked: int | None = None

    @classmethod
    def of(cls, plan: Plan, out: bytes, count: int) -> Result:
        """From a plan's outputs, of which `count` log-probabilities mean something."""
        if plan.scored:
            return cls(np.frombuffer(out, np.float32)[:count], np.empty(0, np.uint32))
        found = SampleOutputs.of(out)
        return cls(found.logits, found.ids, int(found.picks[0]))


def probe_inputs(plan: Plan, rows: int, position: int, count: int) -> bytes:
    """Inputs of a plan with tokens below `rows` that are always the same."""
    ids = np.random.default_rng(7).integers(0, rows, count + 1).tolist()
    return plan.inputs(position, ids[:count], ids[1:] if plan.scored else ())


def fake_cache(cache: Tensor, slots: int) -> NDArray[np.float16]:
    """Keys or values for the first slots of a cache, as if a text had been read; always the same."""
    shape = (slots, *cache.shape[1:])
    return (
        np.random.default_rng(zlib.crc32(cache.name.encode()))
        .standard_normal(shape, np.float32)
        .astype("<f2")
    )


def distance(got: Result, expected: Result) -> float:
    """The root of the mean squared difference, as a share of the spread of what was expected.

    Logits are compared token by token. One that only one side names was below the other side's lowest, and is taken
    to be that there: nothing where two tokens at the end of the list changed places, a lot where a token is wrong.

    Returns:
        nan or inf where a result holds what is no number, names a token twice, or picked another than its highest.
    """
    a, b = got.values, expected.values
    if got.picked is not None:
        ours = dict(zip(got.ids.tolist(), a.tolist(), strict=True))
        theirs = dict(zip(expected.ids.tolist(), b.tolist(), strict=True))
        if len(ours) < a.size or got.picked not in ours or ours[got.picked] < a.max():
            return float("inf")
        tokens = sorted({*ours, *theirs})
        a = np.array([ours.get(token, got.values.min()) for token in tokens], np.float32)
        b = np.array([theirs.get(token, expected.values.min()) for token in tokens], np.float32)
    return float(np.sqrt(np.mean((a - b) ** 2)) / np.std(expected.values))
