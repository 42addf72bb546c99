"""Whether a text fits into a context, and how much of it does."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator

from .phrases import BY_CHARACTERS
from .request import Request

FULL = 0.9  # of what a part may have: sentences do not end where parts should
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


def sentences(text: str) -> Iterator[str]:
    """A text in its sentences and lines, with all that stands between them."""
    start = 0
    for match in SENTENCE_END.finditer(text):
        yield text[start : match.end()]
        start = match.end()
    if start < len(text):
        yield text[start:]


def beginning(text: str, count: Callable[[str], int], limit: int) -> str:
    """The sentences with which a text begins, as many as fit; where not even one does, as much of it as does.

    The arguments are those of `split`.
    """
    begun, size = "", 0
    for sentence in sentences(text):
        size += count(sentence)
        if size > limit:
            return begun.rstrip() if begun.strip() else begun + fit(sentence, count, limit)
        begun += sentence
    return begun


def split(text: str, count: Callable[[str], int], limit: int) -> list[str]:
    """A text in parts that fit, about as long as each other, which end where sentences end.

    Args:
        count: tokens of a text by itself.
        limit: the most that a part may have; a sentence that has more is cut.
    """
    pieces: list[tuple[str, int]] = []
    for sentence in sentences(text):
        rest = sentence
        while (tokens := count(rest)) > limit:
            begun = fit(rest, count, limit) or rest[:1]  # a limit below one character's tokens is none
            pieces.append((begun, count(begun)))
            rest = rest[len(begun) :]
        pieces.append((rest, tokens))
    total = sum(tokens for _, tokens in pieces)
    wanted = total / max(1, math.ceil(total / (FULL * limit)))
    parts: list[str] = []
    part, size, done = "", 0, 0
    for piece, tokens in pieces:
        enough = done + size + tokens / 2 > wanted * (len(parts) + 1)  # the next part is nearer
        if part and (enough or size + tokens > limit):
            parts.append(part)
            done += size
            part, size = "", 0
        part += piece
        size += tokens
    return [each for each in (*parts, part) if each.strip()]
