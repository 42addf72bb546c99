"""Whether a text fits into a context, and how much of it does."""

from __future__ import annotations

import re
from collections.abc import Callable

from .phrases import BY_CHARACTERS
from .request import Request

LONGEST = 96  # tokens of a post of the usual length
SENTENCE_END = re.compile(r"[.!?…]['”’)]*\s|[。！？…][」』）]*|\n")


def longest(request: Request) -> int:
    """The most tokens that are left for a post: fifty words are about 70, and few take more than two a word or one a
    character."""
    limit = request.longest or 0
    return max(LONGEST, limit if request.language in BY_CHARACTERS else 2 * limit)


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
