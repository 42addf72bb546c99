"""The answers that were written to one request: the best is shown, the others are a click away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..reports import RunStats
from ..tasks.candidates import Candidate, best_first
from .elements import Elements
from .words import Words


@dataclass(frozen=True)
class Version:
    """An answer, and what it took."""

    candidate: Candidate
    stats: RunStats


class Versions:
    """The versions of a screen: `versions`, `versions-number`, `versions-previous` and `versions-next`."""

    def __init__(self, elements: Elements, words: Words, show: Callable[[Version], None]) -> None:
        """`show` puts a version where answers stand."""
        self._elements, self._words, self._show = elements, words, show
        self._all: list[Version] = []
        self._at = 0
        elements.on("versions-previous", "click", lambda: self._turn(-1))
        elements.on("versions-next", "click", lambda: self._turn(1))

    def clear(self) -> None:
        """A new answer begins."""
        self._all = []
        self._elements.at("versions").hidden = True

    def give(self, versions: Sequence[Version]) -> None:
        """Show the best of what was written, and keep the others."""
        first: dict[str, Version] = {}
        for version in versions:
            first.setdefault(version.candidate.answer, version)
        best = best_first([version.candidate for version in first.values()])
        self._all = [first[candidate.answer] for candidate in best]
        self._at = 0
        self._elements.at("versions").hidden = len(self._all) < 2
        self._turn(0)

    def _turn(self, by: int) -> None:
        if not self._all:
            return
        self._at = (self._at + by) % len(self._all)
        self._show(self._all[self._at])
        number = self._words("versions.number", number=self._at + 1, count=len(self._all))
        self._elements.say("versions-number", number)  # last: it says that this version is there
