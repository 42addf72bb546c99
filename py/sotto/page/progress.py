"""Where loading stands: how far the bar is, which stage works, how long the weights will still take."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ..reports import LoadProgress
from .throttle import Throttle

# The part of the bar each stage moves. Before Python runs, web/boot.js moves it towards the end of "runtime".
SHARES = {
    "runtime": 0.15,
    "header": 0.05,
    "weights": 0.6,
    "tokenizer": 0.05,
    "pipelines": 0.1,
    "tuning": 0.05,
}

MEMORY = 6.0  # seconds over which the rate is taken: long enough to be steady, short enough to be true
TRUSTED = 0.7  # seconds of the weights stage before its rate is told


class Loading:
    """Collects the engine's reports; `stage`, `done`, `total` and `cached` are those of the last one.

    Args:
        started: seconds the runtime had already taken when Python began.
        clock: seconds that only ever grow.
    """

    def __init__(self, started: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since = clock()
        self._moved = 0.0
        self._recent: deque[tuple[float, int]] = deque()
        self.seconds: dict[str, float] = {"runtime": started}
        self.stage = "header"
        self.done = 0
        self.total = 0
        self.cached = False

    def report(self, stage: str, done: int, total: int, cached: bool) -> None:
        """Take a report. A stage that is followed by another is over."""
        now = self._clock()
        if stage != self.stage:
            self.seconds[self.stage] = self.seconds.get(self.stage, 0.0) + now - self._since
            self._since = now
            self._recent.clear()
        self.stage, self.done, self.total, self.cached = stage, done, total, cached
        if self._recent and done < self._recent[-1][1]:
            self._recent.clear()  # a damaged cache was dropped: the stage begins again
        self._recent.append((now, done))
        while self._recent[0][0] < now - MEMORY:
            self._recent.popleft()

    @property
    def fraction(self) -> float:
        """The bar, from 0 to 1; it never goes back."""
        ended = sum(share for stage, share in SHARES.items() if stage in self.seconds and stage != self.stage)
        part = self.done / self.total if self.total else 0.0
        if self.stage == "ready":
            ended = 1.0  # also without the tuning, which is done once
        self._moved = max(self._moved, min(1.0, ended + SHARES.get(self.stage, 0.0) * part))
        return self._moved

    @property
    def seconds_left(self) -> float | None:
        """Seconds the weights still take at their recent rate; None while nobody can say."""
        if self.stage != "weights" or not self._recent:
            return None
        (first, before), (last, after) = self._recent[0], self._recent[-1]
        if last - self._since < TRUSTED or after <= before:
            return None
        return (self.total - after) * (last - first) / (after - before)


def reporter(loading: Loading, tell: Callable[[Loading], None]) -> Callable[[LoadProgress], None]:
    """What the engine reports to: `loading`, and now and then, for people, `tell`."""
    throttle = Throttle()

    def heard(report: LoadProgress) -> None:
        loading.report(report.stage, report.done, report.total, report.cached)
        if throttle.due(report.stage):
            tell(loading)

    return heard
