"""Choosing the next token: the rule, and its settings.

The order is that of Hugging Face's generation, which Gemma's recommended settings are given for: repetition
penalty, temperature, top-k, top-p, min-p, then one draw.

The devices choose by the same rule at the end of a run (kernels/sample.wgsl, kernels/cpu/sample.c), in float32 and
with sums in the same order: the same logits, seed and number of the draw give the same token everywhere, unless
a draw falls on an edge that roundings move. They select some of the highest logits first (128 unless set otherwise).
What cannot be decided among those is chosen here, among all of them.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import values
from ..errors import DeviceError, SottoError
from ..reports import MOST_CANDIDATES

LEAST_TEMPERATURE = 1e-30  # below it the best token is taken: its inverse still is a float32
MOST_TEMPERATURE = 10.0  # then hardly anything of the model is left
LEAST_TOP_P = 1e-30  # as a float32 it is still above 0
MOST_COPY_BIAS = 100.0
COPY_REACH = 32  # as in kernels/sample.wgsl and kernels/cpu/sample.c
MOST_PENALTY = 100.0  # logits, which are some tens, stay numbers; it is a factor for either direction


@dataclass(frozen=True)
class Sampling:
    """How to choose. The defaults are Gemma 3's own generation settings.

    temperature: 0 always takes the most probable token; 1 takes the model's probabilities as they are.
    top_k: how many of the most probable tokens stay; 0 for all of them.
    top_p: the most probable tokens that together reach this probability stay.
    min_p: tokens with less than this share of the best one's probability go.
    repeat_penalty: above 1 makes tokens less probable that are among the `repeat_last` latest.
    copy_bias: added, in nats, to the logits of tokens that go on with a phrase of the prompt: that follow the two
        latest tokens there; half of it where they follow the latest alone. It keeps a small model to its text's own
        words. Only the `COPY_REACH` most probable tokens are looked at, and none for an answer's first token.
    seed: the same seed gives the same text; None draws one.

    Raises InvalidSetting, naming the value, for one of the wrong kind or out of range.
    """

    temperature: float = 1.0
    top_k: int = 64
    top_p: float = 0.95
    min_p: float = 0.0
    repeat_penalty: float = 1.0
    repeat_last: int = 64
    copy_bias: float = 0.0
    seed: int | None = None

    def __post_init__(self) -> None:
        self._set("temperature", values.number("temperature", self.temperature, 0, MOST_TEMPERATURE))
        self._set("top_k", values.whole("top_k", self.top_k, 0))
        self._set("top_p", values.number("top_p", self.top_p, LEAST_TOP_P, 1))
        self._set("min_p", values.number("min_p", self.min_p, 0, 1))
        self._set(
            "repeat_penalty",
            values.number("repeat_penalty", self.repeat_penalty, 1 / MOST_PENALTY, MOST_PENALTY),
        )
        self._set("repeat_last", values.whole("repeat_last", self.repeat_last, 0))
        self._set("copy_bias", values.number("copy_bias", self.copy_bias, 0, MOST_COPY_BIAS))
        if self.seed is not None:
            self._set("seed", values.whole("seed", self.seed, 0, (1 << 64) - 1))

    def _set(self, name: str, value: float) -> None:
        """Keep the plain number, whatever kind of it was given."""
        object.__setattr__(self, name, value)


_PACKED = struct.Struct("<6I5f4xfI")  # the four bytes are the number of tokens picked since, none
_MOST = 1 << 30  # of a number of tokens: more than any model or text has
NO_TOKEN = 0xFFFFFFFF  # what a device picks among logits that are not finite


@dataclass(frozen=True)
class Rule:
    """Sampling as the kernels take it: the words 2 to 15 of the step block, apart from the number of the draw.

    Attributes:
        wanted: tokens with the highest logits that have to be known, and are enough to decide; 0 for all. A penalty
            moves tokens down among them, and leaves at least top_k where they were.
        top_k: tokens to draw from; 0 for all.
        repeat_last: positions that the penalty looks back; 0 for no penalty.
        seed: of all draws.
        inverse_temperature: 0 takes the best candidate.
        top_p, min_p, penalty, copy_bias: as in `Sampling`.
        prompt_tokens: how many tokens of the text are the prompt's, for the bias; 0 for none.
    """

    wanted: int
    top_k: int
    repeat_last: int
    seed: int
    inverse_temperature: float
    top_p: float
    min_p: float
    penalty: float
    copy_bias: float = 0.0
    prompt_tokens: int = 0

    @classmethod
    def of(cls, sampling: Sampling, prompt_tokens: int = 0) -> Rule:
        """The rule of some settings for a prompt of so many tokens; a seed of None is drawn."""
        greedy = sampling.temperature < LEAST_TEMPERATURE
        penalty = _rounded(sampling.repeat_penalty)
        repeat_last = min(sampling.repeat_last, _MOST) if penalty != 1 else 0
        top_k = 1 if greedy else min(sampling.top_k, _MOST)
        promoted = repeat_last > 0 and penalty < 1  # tokens from anywhere
        copy_bias = _rounded(sampling.copy_bias) if prompt_tokens else 0.0
        return cls(
            wanted=0 if promoted or not top_k else max(top_k + repeat_last, COPY_REACH if copy_bias else 0),
            top_k=top_k,
            repeat_last=repeat_last,
            seed=secrets.randbits(32) if sampling.seed is None else sampling.seed,
            inverse_temperature=0.0 if greedy else _rounded(1 / sampling.temperature),
            top_p=_rounded(sampling.top_p),
            min_p=_rounded(sampling.min_p),
            penalty=penalty,
            copy_bias=copy_bias,
            prompt_tokens=prompt_tokens if copy_bias else 0,
        )

    def decided_by(self, candidates: int) -> bool:
        """Whether so many tokens with the highest logits are enough."""
        return 0 < self.wanted <= candidates

    def pack(self, draw: int) -> bytes:
        """The words for a run whose token is the draw of that number."""
        low, high = self.seed & 0xFFFFFFFF, self.seed >> 32
        return _PACKED.pack(
            self.wanted, self.top_k, self.repeat_last, draw, low, high,
            self.inverse_temperature, self.top_p, self.min_p, self.penalty, 1 / self.penalty,
            self.copy_bias, self.prompt_tokens,
        )  # fmt: skip

    @classmethod
    def unpack(cls, data: bytes) -> tuple[Rule, int]:
        """The rule and the number of the draw that `pack` wrote; the reference reads them in the step block."""
        wanted, top_k, last, draw, low, high, inverse, top_p, min_p, penalty, _, *copying = _PACKED.unpack(
            data
        )
        return cls(wanted, top_k, last, low | high << 32, inverse, top_p, min_p, penalty, *copying), draw


def choose(
    rule: Rule,
    draw: int,
    ids: NDArray[np.integer],
    logits: NDArray[np.float32],
    history: Sequence[int] | NDArray[np.integer],
) -> int:
    """The next token: one of `ids` (K,), whose `logits` (K,) are sorted, the largest first.

    Args:
        draw: number of the draw, from 0.
        history: the tokens so far, prompt included.

    Raises:
        DeviceError: the logits are not finite.
    """
    if not np.isfinite(logits).all():
        raise not_a_number()
    scores = logits.astype(np.float32)
    if rule.repeat_last:
        seen = np.isin(ids, np.asarray(history[-rule.repeat_last :]))
        # A logit is moved towards less probable, whatever its sign (Keskar et al., 2019).
        factor = np.where(scores > 0, np.float32(1 / rule.penalty), np.float32(rule.penalty))
        scores = np.where(seen, scores * factor, scores)
    if len(history) > rule.prompt_tokens > 0:
        reached = ids[:COPY_REACH]
        scores[: len(reached)] += followers(reached, history, rule.prompt_tokens) * np.float32(rule.copy_bias)
    if rule.repeat_last or rule.prompt_tokens:
        order = np.argsort(-scores, kind="stable")
        ids, scores = ids[order], scores[order]
    if not rule.inverse_temperature:
        return int(ids[0])
    if rule.top_k:
        ids, scores = ids[: rule.top_k], scores[: rule.top_k]
    weights = exponential((scores - scores[0]) * np.float32(rule.inverse_temperature))
    # Of float32, one after the other, as a device adds them. It never has more than so many; where there are more, the
    # small ones would vanish in a float32's sum.
    sums = np.cumsum(weights, dtype=np.float32 if len(weights) <= MOST_CANDIDATES else np.float64)
    total = sums[-1] * np.float32(rule.top_p)
    # A candidate stays while those before it have not reached top_p, so the one that crosses it stays too.
    stays = (sums[:-1] < total) & (weights[1:] >= np.float32(rule.min_p))
    kept = sums[: 1 + (len(stays) if stays.all() else int(np.argmin(stays)))]
    place = np.searchsorted(kept, np.float32(uniform(rule.seed, draw)) * kept[-1], side="right")
    return int(ids[min(int(place), len(kept) - 1)])


def followers(
    ids: NDArray[np.integer], history: Sequence[int] | NDArray[np.integer], prompt_tokens: int
) -> NDArray[np.float32]:
    """How far each of `ids` (K,) goes on with a phrase of the prompt, (K,) f32: 1 where it follows the two latest
    tokens there, 0.5 where it follows the latest one, else 0.

    Args:
        history: the tokens so far, one at least behind the prompt's.
    """
    prompt = np.asarray(history[:prompt_tokens], np.int64)
    after_one = np.flatnonzero(prompt[:-1] == history[-1]) + 1
    after_two = after_one[after_one > 1]
    after_two = after_two[prompt[after_two - 2] == history[-2]]
    found = np.where(
        np.isin(ids, prompt[after_two]), 1.0, np.where(np.isin(ids, prompt[after_one]), 0.5, 0.0)
    )
    return found.astype(np.float32)


def choose_among_all(
    rule: Rule, draw: int, logits: NDArray[np.float32], history: Sequence[int] | NDArray[np.integer]
) -> int:
    """The next token, by the same rule: one of all V, whose logits (V,) are numbers or -inf for what must not come.

    Raises:
        SottoError: no token may come.
    """
    possible = np.flatnonzero(logits > -np.inf)
    if not possible.size:
        raise SottoError(
            "There is no token to choose: all logits are minus infinity.",
            "Leave one at least a finite number.",
        )
    chosen = possible
    seen = np.unique(np.asarray(history[-rule.repeat_last :], np.int64)) if rule.repeat_last else possible[:0]
    wanted = max(rule.top_k + seen.size, COPY_REACH if rule.prompt_tokens else 0)
    if rule.top_k and wanted < possible.size:
        least = np.partition(logits[possible], possible.size - wanted)[possible.size - wanted]
        best = possible[logits[possible] >= least]  # and those that are equal to the last of them
        allowed = seen[logits[seen] > -np.inf]
        chosen = np.union1d(best, allowed)  # a penalty below 1 lets others rise
    order = chosen[np.argsort(-logits[chosen], kind="stable")]
    return choose(rule, draw, order, logits[order], history)


def not_a_number() -> DeviceError:
    """What is raised for logits that are not finite."""
    return DeviceError(
        "The model's output is not a number.",
        "This GPU or its driver computes wrongly here: update the driver, or use another adapter.",
    )


def exponential(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """e^x for x <= 0 with the kernels' steps (kernels/lib/draw.wgsl tells them); below -87 as at -87."""
    f = np.float32
    y = np.maximum(x, f(-87))
    n = np.rint(y * f(1.44269504))
    r = (y - n * f(0.693359375)) - n * f(-2.12194440e-4)
    p = np.full_like(r, f(1 / 5040))
    for term in (1 / 720, 1 / 120, 1 / 24, 1 / 6, 0.5, 1.0, 1.0):
        p = p * r + f(term)
    powers = np.ldexp(f(1), n.astype(np.int32))
    return np.asarray(p * powers, f)


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


def _rounded(value: float) -> float:
    """The nearest float32."""
    return float(np.float32(value))


PICKS = 64  # the latest picked tokens that a run's outputs hold


@dataclass(frozen=True)
class SampleOutputs:
    """What a run leaves behind.

    Attributes:
        ids: token ids (candidates,) u32 of the highest logits, the highest first.
        logits: theirs, f32.
        picks: a ring of the tokens picked since the inputs were last written.
    """

    ids: NDArray[np.uint32]
    logits: NDArray[np.float32]
    picks: NDArray[np.uint32]

    @classmethod
    def of(cls, data: bytes) -> SampleOutputs:
        """As ops.sample lays them out."""
        words = np.frombuffer(data, np.uint32)
        pairs = words[:-PICKS].reshape(-1, 2)
        return cls(pairs[:, 0], np.ascontiguousarray(pairs[:, 1]).view(np.float32), words[-PICKS:])

    def picked(self, first: int, count: int) -> list[int]:
        """Picks number `first` and after. Raises DeviceError when the device picked among what is no number."""
        tokens: list[int] = self.picks[np.arange(first, first + count) % PICKS].tolist()
        if NO_TOKEN in tokens:
            raise not_a_number()
        return tokens
