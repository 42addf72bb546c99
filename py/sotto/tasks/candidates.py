"""Several answers to one request, and which of them to show.

The rules decide first; among answers that break as little, the one that keeps closest to its text: a small model goes
wrong where it tells freely.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .request import Request
from .rules import Finding, check, closeness, weight


@dataclass(frozen=True)
class Candidate:
    """An answer as it is judged.

    Attributes:
        closeness: the share of its pairs of neighbouring words that stand in the text.
    """

    answer: str
    findings: tuple[Finding, ...]
    closeness: float

    def parts(self) -> list[tuple[str, bool]]:
        """The answer in pieces, each with whether it is a number or a name that its text has not."""
        parts, end = [], 0
        for finding in sorted(self.findings, key=lambda each: each.start):
            if finding.end > finding.start >= end:
                parts.append((self.answer[end : finding.start], False))
                parts.append((self.answer[finding.start : finding.end], True))
                end = finding.end
        return [part for part in [*parts, (self.answer[end:], False)] if part[0]]


def judge(
    request: Request, text: str, answer: str, *, ended: bool = True, shown: Sequence[str] = ()
) -> Candidate:
    """An answer with all that it breaks; the arguments are those of `rules.check`."""
    answer = answer.strip()
    findings = tuple(check(request, text, answer, ended=ended, shown=shown))
    return Candidate(answer, findings, closeness(text, answer, request.language))


def best_first(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The best first; of equal ones the earlier. An answer that comes twice is kept once."""
    different: dict[str, Candidate] = {}
    for candidate in candidates:
        different.setdefault(candidate.answer, candidate)
    return sorted(different.values(), key=lambda each: (weight(each.findings), -each.closeness))
