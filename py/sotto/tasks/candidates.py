"""Several answers to one request, and which of them to show.

The rules decide first; among answers that break as little, the one that keeps closest to its text: a small model goes
wrong where it tells freely.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..text.sampler import Sampling
from .networks import RULES
from .phrases import Task
from .request import Frame, Request
from .rules import Finding, check, closeness, length, sentence_ends, weight

USUAL = 0.1
"""The temperature of a first answer: above 0.3 the small default model invents, and at 0 the same text has the same
answer each time."""

VARIED = 0.5
"""The temperature, at least, of answers after the first: they are to differ, and a small model invents above it."""

COPY_BIAS = 2.0
"""What keeps an adapted base model to the phrases of the text it reads, in nats: it muddles fewer of them."""

_RETELLING: tuple[Task, ...] = ("post", "summary", "headline", "caption")

_TAGS = re.compile(r"(?:\s*#\w+)+\s*$")


def sampling_of(usual: Sampling, request: Request | None, frame: Frame, number: int) -> Sampling:
    """How the answer of that number, from 0, to a request is drawn: the first as usual, others to differ from it.

    Args:
        request: None for what is asked in other words.
    """
    retells = frame == "plain" and request is not None and request.task in _RETELLING and not request.into
    bias = COPY_BIAS if retells else usual.copy_bias
    if not number:
        return replace(usual, copy_bias=bias)
    return replace(
        usual,
        temperature=max(usual.temperature, VARIED),
        seed=None if usual.seed is None else (usual.seed + number) % (1 << 64),
        copy_bias=bias,
    )


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
    """An answer, cut after a sentence where it is too long, with all that it breaks, the network's limit included.

    The arguments are those of `rules.check`.
    """
    answer = fitted(request, answer.strip())
    findings = check(request, text, answer, ended=ended, shown=shown)
    if over := _over(request, answer):
        findings.append(Finding("length", str(over)))
    return Candidate(answer, tuple(findings), closeness(text, answer, request.language))


def _over(request: Request, answer: str) -> int:
    """What an answer counts in the network where it will be posted, if that is more than is taken there; else 0."""
    network = RULES.get(request.network or "")
    return network.count(answer) if network and network.left(answer) < 0 else 0


def fitted(request: Request, answer: str) -> str:
    """An answer without the last sentences that pass the request's limit, or its network's; hashtags at its end stay.

    One whose first sentence passes it stays as it is.
    """

    def fits(text: str) -> bool:
        short = not request.longest or length(text, request.language) <= request.longest
        return short and not _over(request, text)

    if fits(answer):
        return answer
    tags = _TAGS.search(answer)
    body, end = (answer[: tags.start()], tags.group()) if tags else (answer, "")
    for place in reversed(sentence_ends(body)):
        shorter = body[:place].rstrip() + end
        if fits(shorter):
            return shorter
    return answer


def best_first(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The best first; of equal ones the earlier. An answer that comes twice is kept once."""
    different: dict[str, Candidate] = {}
    for candidate in candidates:
        different.setdefault(candidate.answer, candidate)
    return sorted(different.values(), key=lambda each: (weight(each.findings), -each.closeness))
