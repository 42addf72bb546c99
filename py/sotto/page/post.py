"""What is said round a post: whether its text fits, how much of it does, and the figures of a run."""

from __future__ import annotations

import re
from collections.abc import Callable

from ..reports import RunStats
from . import format as numbers
from .words import Words

SENTENCE_END = re.compile(r"[.!?…]['”’)]*\s|[。！？…][」』）]*|\n")


def room(context: int, max_tokens: int) -> int:
    """The most tokens a prompt may have, so that a post still fits behind it.

    A quarter of the context at most is kept free: where the context is small, the post may end early.
    """
    return context - min(max_tokens, context // 4)


def fit(text: str, count: Callable[[str], int], limit: int) -> str:
    """The longest beginning of a text that fits, cut where a sentence ends if one ends in its last third.

    Args:
        count: tokens of the prompt made of a text; grows with the text.
        limit: the most tokens it may give.

    Returns:
        The beginning; empty when nothing fits.
    """
    low, high = 0, len(text)  # text[:low] fits
    while low < high:
        middle = (low + high + 1) // 2
        if count(text[:middle]) <= limit:
            low = middle
        else:
            high = middle - 1
    cut = text[:low]
    if low == len(text):
        return cut
    ends = [match.end() for match in SENTENCE_END.finditer(cut)]
    return cut[: ends[-1]].rstrip() if ends and ends[-1] > 2 * low / 3 else cut


def figures(words: Words, run: RunStats, cached: bool) -> list[str]:
    """The stats line, piece by piece."""
    line = [words("stats.first", time=words.time(run.time_to_first_token))] if run.new_tokens else []
    line.append(words("stats.prefill", rate=numbers.precise(run.prefill_rate)))
    if run.reused_tokens > 1:  # every prompt shares its first token, BOS, with the one before
        line.append(words("stats.reused", count=run.reused_tokens))
    if run.new_tokens > 1:  # the first token belongs to the prefill
        line.append(words("stats.decode", rate=numbers.precise(run.decode_rate)))
    if run.accepted_tokens:
        line.append(words("stats.accepted", count=run.accepted_tokens))
    line.append(words("stats.tokens", count=run.new_tokens))
    line.append(words("stats.total", time=words.time(run.total_seconds)))
    line.append(words("stats.cached" if cached else "stats.converted"))
    return line
