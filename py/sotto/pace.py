"""How much a GPU is given at a time: a long run is cut into submits, so that it can be stopped and the screen drawn.

What a device can do in a second differs by a factor of ten thousand and is nowhere told. It is learnt from the submits
themselves: each is as much work as the device is thought to do in SUBMIT_SECONDS, a step at least. Attention has a rate
of its own, because devices may come much closer to their limit in matrix products. A single step cannot be cut: where
one takes too long, session.py reads in smaller chunks. web/pace.js does the same as `amounts` and `Pace`.
"""

from __future__ import annotations

from collections.abc import Sequence

from .device import Work
from .plan import Dispatch, Role

SUBMIT_SECONDS = 0.1  # half of what a browser's screen and a person who presses stop should ever wait
SURE_SECONDS = 0.02  # a shorter submit is mostly latency, and says only that the device is at least so fast
FIRST_RATE = 1e9  # operations a second: a slow software adapter
GROWTH = 4.0  # the most that one submit raises a rate
STEP_OPERATIONS = 1e6  # what every step costs at least, however small
ATTENTIONS = ("attention", "decode_attention")

Amount = tuple[float, float]  # operations of a step: of attention, and all others


def alone(dispatch: Dispatch) -> bool:
    """Whether a dispatch computes for one token, a run's last: the last tensor that it writes has a row, or a part of a
    sum, for each token."""
    return dispatch.writes[-1].shape[0] == 1


def products(dispatch: Dispatch) -> float:
    """Floating-point operations of a dispatch's matrix products for a token; 0 for one that has none."""
    size = dict(dispatch.constants)
    match dispatch.kernel.operation:
        case (
            "matmul"
            | "matmul_int8"
            | "matvec"
            | "decode_qkv"
            | "decode_output"
            | "decode_down"
            | "decode_head"
        ):
            return 2 * size["N"] * size["K"]
        case "decode_gate_up":  # N pairs of rows
            return 4 * size["N"] * size["K"]
    return 0.0


def attention(dispatch: Dispatch) -> float:
    """Floating-point operations of attention for a token and one position; 0 for a dispatch that is none."""
    size = dict(dispatch.constants)
    return 4 * size["H"] * size["E"] if dispatch.kernel.operation in ATTENTIONS else 0.0


def work(dispatch: Dispatch, tokens: int) -> Work:
    """An estimate of a dispatch's work, in a plan of so many tokens. Where no operations are counted, bytes are."""
    written = max((t.nbytes for t in dispatch.writes if t.role is not Role.CACHE), default=0)
    if each := attention(dispatch):
        size = dict(dispatch.constants)
        if alone(dispatch):
            return Work(STEP_OPERATIONS + each * min(size["WINDOW"], size["SLOTS"]))
        return Work(STEP_OPERATIONS, key=each, window=int(size["WINDOW"]))
    if alone(dispatch):
        return Work(STEP_OPERATIONS + (products(dispatch) or written))
    return Work(STEP_OPERATIONS, token=products(dispatch) or written / tokens)


def amounts(steps: Sequence[Work], position: int, tokens: int) -> list[Amount]:
    """What the steps of a run are: of so many tokens, the first of which is at `position`."""
    return [
        (tokens * step.key * min(step.window, position + tokens / 2), step.flat + tokens * step.token)
        for step in steps
    ]


class Pace:
    """What a device is thought to do in a second.

    Attributes:
        rates: operations of attention, and others.
    """

    def __init__(self) -> None:
        self.rates = [FIRST_RATE, FIRST_RATE]

    def seconds(self, amount: Amount) -> float:
        """What a step is thought to take."""
        return amount[0] / self.rates[0] + amount[1] / self.rates[1]

    def longest(self, steps: Sequence[Amount]) -> tuple[float, float]:
        """What the longest step of attention is thought to take, and the longest other one."""
        attention, others = (
            max((amount[kind] for amount in steps), default=0.0) / self.rates[kind] for kind in (0, 1)
        )
        return attention, others

    def end(self, steps: Sequence[Amount], first: int, last: int) -> int:
        """The step before which a submit that begins with step `first` ends, `last` at most."""
        end, left = first + 1, SUBMIT_SECONDS - self.seconds(steps[first])
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
            for kind in (0, 1):
                self.rates[kind] *= faster ** (thought[kind] / sum(thought))
