"""What to say below a post of what is wrong with it, as far as rules see that."""

from __future__ import annotations

from collections.abc import Iterator

from ...tasks.candidates import Candidate
from ..words import Words


def told(words: Words, candidate: Candidate) -> str:
    """The doubts about a post as a sentence or more; empty for none."""
    return words("sentences").join(_each(words, candidate))


def _each(words: Words, candidate: Candidate) -> Iterator[str]:
    foreign = dict.fromkeys(text for text, is_foreign in candidate.parts() if is_foreign)
    if foreign:
        yield words("note.foreign", what=words("comma").join(foreign))
    for finding in candidate.findings:
        if finding.rule == "length":
            yield words("note.length", count=int(finding.detail))
        elif finding.rule == "language":
            yield words("note.language")
        elif finding.rule == "prompt":
            yield words("note.example")
