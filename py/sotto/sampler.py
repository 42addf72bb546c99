"""Choosing the next token from the candidates that the GPU hands back.

The order is that of Hugging Face's generation, which Gemma's recommended settings are given for: repetition
penalty, temperature, top-k, top-p, min-p, then one draw. Everything happens among the candidates (the model's
most probable tokens, 64 of them unless set otherwise): the tail below them counts as impossible.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import DeviceError, SottoError


@dataclass(frozen=True)
class Sampling:
    """How to choose. The defaults are Gemma 3's own generation settings.

    temperature: 0 always takes the most probable token; 1 takes the model's probabilities as they are.
    top_k: how many candidates stay; 0 for all of them.
    top_p: the most probable candidates that together reach this probability stay.
    min_p: candidates with less than this share of the best one's probability go.
    repeat_penalty: above 1 makes tokens less probable that are among the `repeat_last` latest.
    seed: the same seed gives the same text; None draws one.

    Raises SottoError, naming the value, when one is out of range.
    """

    temperature: float = 1.0
    top_k: int = 64
    top_p: float = 0.95
    min_p: float = 0.0
    repeat_penalty: float = 1.0
    repeat_last: int = 64
    seed: int | None = None

    def __post_init__(self) -> None:
        _check("temperature", self.temperature, 0 <= self.temperature < math.inf, "0 or more")
        _check("top_k", self.top_k, self.top_k >= 0, "0 (all candidates) or more")
        _check("top_p", self.top_p, 0 < self.top_p <= 1, "above 0 and at most 1")
        _check("min_p", self.min_p, 0 <= self.min_p <= 1, "between 0 and 1")
        _check("repeat_penalty", self.repeat_penalty, 0 < self.repeat_penalty < math.inf, "above 0")
        _check("repeat_last", self.repeat_last, self.repeat_last >= 0, "0 or more")
        _check("seed", self.seed, self.seed is None or 0 <= self.seed < 1 << 64, "between 0 and 2^64 - 1")


class Sampler:
    """Picks the tokens of one run. `seed` is the seed in use, also when none was asked for."""

    def __init__(self, sampling: Sampling) -> None:
        self.sampling = sampling
        self.seed = secrets.randbits(32) if sampling.seed is None else sampling.seed
        self._step = 0

    def pick(self, ids: NDArray[np.integer], logits: NDArray[np.float32], history: Sequence[int]) -> int:
        """The next token: one of `ids` (K,), whose `logits` (K,) are sorted, the largest first.

        history: the tokens so far, prompt included. Raises DeviceError when the logits are not finite.
        """
        if not np.isfinite(logits).all():
            raise DeviceError(
                "The model's output is not a number.",
                "This GPU or its driver computes wrongly here: update the driver, or use another adapter.",
            )
        step = self._step
        self._step += 1
        settings = self.sampling
        scores = logits.astype(np.float64)
        if settings.repeat_penalty != 1 and settings.repeat_last:
            seen = np.isin(ids, list(history[-settings.repeat_last :]))
            # A logit is moved towards less probable, whatever its sign (Keskar et al., 2019).
            factor = np.where(scores > 0, 1 / settings.repeat_penalty, settings.repeat_penalty)
            scores = np.where(seen, scores * factor, scores)
            order = np.argsort(-scores, kind="stable")
            ids, scores = ids[order], scores[order]
        if settings.temperature == 0:
            return int(ids[0])
        if settings.top_k:
            ids, scores = ids[: settings.top_k], scores[: settings.top_k]
        with np.errstate(over="ignore"):  # a temperature near 0: minus infinity, so a weight of 0, is right
            weights = np.exp((scores - scores[0]) / settings.temperature)
        weights = weights[: _kept(weights, settings)]
        sums = np.cumsum(weights)
        place = np.searchsorted(sums, uniform(self.seed, step) * sums[-1], side="right")
        return int(ids[min(int(place), len(sums) - 1)])


def _kept(weights: NDArray[np.float64], settings: Sampling) -> int:
    """How many of the sorted weights (the first is 1) pass top-p and min-p; the best one always does."""
    reached = np.cumsum(weights) / weights.sum()
    # A candidate stays while those before it have not reached top_p, so the one that crosses it stays too.
    by_mass = 1 + int(np.count_nonzero(reached[:-1] < settings.top_p)) if settings.top_p < 1 else len(weights)
    by_share = int(np.count_nonzero(weights >= settings.min_p))
    return max(1, min(by_mass, by_share))


def uniform(seed: int, counter: int) -> float:
    """A number in [0, 1), a multiple of 2^-24: exact in float32, so that a kernel can compute the same."""
    low = 0xFFFFFFFF
    words = philox((counter & low, counter >> 32 & low, 0, 0), (seed & low, seed >> 32 & low))
    return float(words[0] >> 8) / (1 << 24)


def philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011), section 4.3.

    A block cipher's work without its secrecy: any step's number comes from the seed and the step alone.
    """
    a, b, c, d = counter
    first, second = key
    for _ in range(10):
        left, right = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = (
            (right >> 32) ^ b ^ first,
            right & 0xFFFFFFFF,
            (left >> 32) ^ d ^ second,
            left & 0xFFFFFFFF,
        )
        first, second = (first + 0x9E3779B9) & 0xFFFFFFFF, (second + 0xBB67AE85) & 0xFFFFFFFF
    return a, b, c, d


def _check(name: str, value: object, passed: bool, rule: str) -> None:
    if not passed:
        raise SottoError(f"{name} is {value}.", f"It must be {rule}.")
