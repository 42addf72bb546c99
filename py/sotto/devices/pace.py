"""How much a device is given at a time: a long run is cut into parts, so that it can be stopped and the screen drawn.

A part is a submit to a GPU; on the CPU it is a call into WebAssembly, and between two of them a stop is looked for.
What a device can do in a second differs by a factor of ten thousand and is nowhere told. It is learnt from the parts
themselves: each is as much work as the device is thought to do in the seconds that a part is to take, a step at least.
Attention has a rate of its own, because devices may come much closer to their limit in matrix products. A single step
cannot be cut: where one takes too long, session.py reads in smaller chunks. web/pace.js does the same as `amounts` and
`Pace`.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..device import Work

SUBMIT_SECONDS = (
    0.1  # of a submit: half of what a browser's screen and a person who presses stop should ever wait
)
SURE_SECONDS = 0.02  # a shorter submit is mostly latency, and says only that the device is at least so fast
FIRST_RATE = 1e9  # operations a second: a slow software adapter
GROWTH = 4.0  # the most that one submit raises a rate

Amount = tuple[float, float]  # operations of a step: of attention, and all others


def amounts(steps: Sequence[Work], position: int, tokens: int) -> list[Amount]:
    """What the steps of a run are: of so many tokens, the first of which is at `position`."""
    return [
        (tokens * step.key * min(step.window, position + tokens / 2), step.flat + tokens * step.token)
        for step in steps
    ]


def longest(steps: Sequence[Amount], rates: tuple[float, float]) -> tuple[float, float]:
    """Seconds that the longest step of attention is thought to take, and the longest other one.

    Args:
        rates: operations in a second, of attention and of others.
    """
    attention, others = (
        max((amount[kind] for amount in steps), default=0.0) / rates[kind] for kind in (0, 1)
    )
    return attention, others


class Pace:
    """What a device is thought to do in a second.

    Args:
        part_seconds: what a part of a run is to take.

    Attributes:
        rates: operations of attention, and others.
    """

    def __init__(self, part_seconds: float = SUBMIT_SECONDS) -> None:
        self._part_seconds = part_seconds
        self.rates = FIRST_RATE, FIRST_RATE

    def seconds(self, amount: Amount) -> float:
        """What a step is thought to take."""
        return amount[0] / self.rates[0] + amount[1] / self.rates[1]

    def end(self, steps: Sequence[Amount], first: int, last: int) -> int:
        """The step before which a part that begins with step `first` ends, `last` at most."""
        end, left = first + 1, self._part_seconds - self.seconds(steps[first])
        while end < last and (seconds := self.seconds(steps[end])) <= left:
            left -= seconds
            end += 1
        return end

    def learn(self, steps: Sequence[Amount], seconds: float) -> None:
        """A submit of these steps took so long. Each rate is corrected in so far as it had a share in what was thought:
        by that power. Two submits that are noticed at once seem infinitely fast: hence the limit.
        """
        thought = [sum(amount[kind] for amount in steps) / self.rates[kind] for kind in (0, 1)]
        faster = min(sum(thought) / max(seconds, 1e-6), GROWTH)
        if faster > 1 or seconds > SURE_SECONDS:
            attention, others = (
                rate * faster ** (share / sum(thought))
                for rate, share in zip(self.rates, thought, strict=True)
            )
            self.rates = attention, others
