"""How much a GPU is given at a time: a long run is cut into submits, so that it can be stopped and the screen drawn.

What a device can do in a second differs by a factor of ten thousand and is nowhere told. It is learnt from the submits
themselves: each is as much work as the device is thought to do in SUBMIT_SECONDS, a step at least.
web/bridge.js does the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from .plan import Dispatch

SUBMIT_SECONDS = 0.1  # half of what a browser's screen and a person who presses stop should ever wait
SURE_SECONDS = 0.02  # a shorter submit is mostly latency, and says only that the device is at least so fast
FIRST_RATE = 1e9  # operations a second: a slow software adapter
GROWTH = 4.0  # the most that one submit raises the rate
STEP_OPERATIONS = 1e6  # what every step costs at least, however small


def operations(dispatch: Dispatch) -> float:
    """An estimate of a dispatch's work when it computes all tokens of its plan, in floating-point operations."""
    size = dict(dispatch.constants)
    tensors = {
        d.name: b.tensor for d in dispatch.kernel.bindings for b in dispatch.bindings if b.number == d.number
    }
    work = float(max(t.nbytes for t in dispatch.writes)) if dispatch.writes else 0.0
    match dispatch.kernel.operation:
        case "matmul" | "matvec" | "matmul_int8":
            x = tensors.get("x") or tensors["codes"]
            work = 2 * size["N"] * size["K"] * x.shape[0]
        case "attention":
            work = 4 * size["H"] * size["E"] * min(size["WINDOW"], size["SLOTS"]) * tensors["q"].shape[0]
    return STEP_OPERATIONS + work


class Pace:
    """What a device is thought to do in a second."""

    def __init__(self) -> None:
        self.rate = FIRST_RATE

    def end(self, work: Sequence[float], first: int, last: int) -> int:
        """The step before which a submit that begins with step `first` ends, `last` at most."""
        end, left = first + 1, self.rate * SUBMIT_SECONDS - work[first]
        while end < last and work[end] <= left:
            left -= work[end]
            end += 1
        return end

    def learn(self, work: float, seconds: float) -> None:
        """A submit of so much work took so long. Two that are noticed at once seem infinitely fast: hence the limit."""
        rate = min(work / max(seconds, 1e-6), GROWTH * self.rate)
        if rate > self.rate or seconds > SURE_SECONDS:
            self.rate = rate
