"""A benchmark's clock: its budget, its progress, whether it was cancelled, and what disturbs it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import Cancelled

KINDS = ("probes", "first", "cached", "decode", "prefill", "kernels", "reference", "agreement", "again")


@dataclass(frozen=True)
class BenchProgress:
    """Where a benchmark is.

    Attributes:
        kind: one of KINDS: "first" and "cached" are loads, and "again" the load after a processor was lost;
            "reference" is the CPU writing what others are held against in "agreement".
        tokens: of the prompt ("prefill") or of a run ("decode").
        run, runs: which run of how many; 0 of 0 where there is none.
        stage: of a load, as reports.Progress has it.
        part: of this step that is done, 0 to 1.
        fraction: of the whole benchmark that is done, 0 to 1; never goes back.
        left: seconds until the end; None while nobody can say.
    """

    kind: str
    tokens: int = 0
    run: int = 0
    runs: int = 0
    stage: str = ""
    part: float = 0.0
    fraction: float = 0.0
    left: float | None = None


Told = Callable[[BenchProgress], None]


class Clock:
    """A time budget in seconds; it starts when it is made."""

    def __init__(self, budget: float) -> None:
        self.budget = budget
        self._began = time.perf_counter()

    @property
    def used(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self._began

    @property
    def left(self) -> float:
        """Seconds of the budget that are left, at least 0."""
        return max(0.0, self.budget - self.used)


class Control:
    """What every measurement is given.

    Args:
        budget: seconds for everything.
        told: hears of progress.
        disturbances: names what disturbed the machine since it was last asked ("hidden", "battery", ...).

    Attributes:
        clock: since the benchmark began.
        marks: everything that disturbed it so far.
        expected: seconds that each step still to be done will take, by its name; what is left is their sum.
    """

    def __init__(
        self, budget: float, told: Told, disturbances: Callable[[], frozenset[str]] = frozenset
    ) -> None:
        self.clock = Clock(budget)
        self.marks: frozenset[str] = frozenset()
        self.expected: dict[str, float] = {}
        self._told = told
        self._disturbances = disturbances
        self._cancelled = False
        self._fraction = 0.0

    def cancel(self) -> None:
        """Let the next `check` raise Cancelled."""
        self._cancelled = True

    def check(self) -> None:
        """Raises Cancelled when `cancel` was called."""
        if self._cancelled:
            raise Cancelled

    def disturbed(self) -> tuple[str, ...]:
        """What disturbed the machine since this was last called."""
        found = self._disturbances()
        self.marks |= found
        return tuple(sorted(found))

    def tell(
        self, kind: str, *, tokens: int = 0, run: int = 0, runs: int = 0, stage: str = "", part: float = 0.0
    ) -> None:
        """Report progress. Raises Cancelled when `cancel` was called."""
        self.check()
        left = None
        if self.expected:
            left = min(sum(self.expected.values()), self.clock.left)
            used = self.clock.used
            self._fraction = max(self._fraction, used / (used + left) if used + left else 0.0)
        self._told(BenchProgress(kind, tokens, run, runs, stage, part, self._fraction, left))
