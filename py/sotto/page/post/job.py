"""What is to be written of a text, and what came of it. Nothing here knows the page."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...tasks.candidates import Candidate, best_first
from ...tasks.request import Request
from ...tasks.rules import flat, length
from ..options import Options
from .entry import Version

SHORTER = 2 / 3  # of a post's length, which a shorter one may have at most


@dataclass(frozen=True)
class Job:
    """What is to be written.

    Attributes:
        text: of which it is written.
        read: what the model reads of it, or in its place.
        wanted: so many posts that break no rule.
        at: the place of the first one among those that are shown.
        unlike: posts that are there already, and are not wanted again.
        below: a post that has to be shorter than so much, as `rules.length` counts; 0 for one that need not be.
        voice: posts of the person's own, in whose voice it is to be.
    """

    text: str
    read: str
    request: Request
    options: Options
    wanted: int = 1
    at: int = 0
    unlike: tuple[str, ...] = ()
    below: int = 0
    voice: tuple[str, ...] = ()

    def fits(self, answer: str) -> bool:
        """Whether an answer is what was asked for, as far as can be told without its text."""
        if self.below and length(answer, self.request.language) >= self.below:
            return False
        return flat(answer) not in map(flat, self.unlike)


@dataclass
class Written:
    """What has been written so far.

    Attributes:
        versions: all that are of use, in the order in which they came.
        candidates: the same as they are judged.
        ended: why the last answer did, as RunStats.stop_reason.
        control: tokens of the last answer, where it had no words.
    """

    versions: list[Version] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)
    ended: str = ""
    control: int = 0

    @property
    def stopped(self) -> bool:
        """Whether nothing more comes: a person has stopped it, or the device is lost."""
        return self.ended in ("cancelled", "failed")

    def add(self, version: Version, candidate: Candidate) -> None:
        """Take a post, unless it is there already."""
        if flat(candidate.answer) not in {flat(each.answer) for each in self.candidates}:
            self.versions.append(version)
            self.candidates.append(candidate)

    def best(self) -> list[Version]:
        """The best first."""
        return [self.versions[self.candidates.index(each)] for each in best_first(self.candidates)]

    @property
    def good(self) -> int:
        """How many break no rule."""
        return sum(not each.findings for each in self.candidates)


def shorter(version: Version) -> tuple[int, int]:
    """How long a shorter one may be, and how long it is, as `rules.length` counts."""
    long = length(version.answer, version.request.language)
    return max(int(long * SHORTER), 1), long
