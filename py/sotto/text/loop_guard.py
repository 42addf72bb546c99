"""Whether an answer repeats itself without end: small models fall into loops that nothing else would end.

An answer is in a loop when its latest tokens are one stretch over and over, at least TIMES and for at least TOKENS; or
when they differ in nothing but their numbers ("12. ... 13. ..."), much longer, and say something in words. Poems with a
refrain, tables, lists of numbers, code and laughter repeat less than that, or not one thing right after the other.
"""

from __future__ import annotations

import re

import numpy as np

LONGEST = 512  # tokens of a stretch
TIMES, TOKENS = 4, 256
COUNTED_TIMES, COUNTED_TOKENS = 32, 384
COUNTED_WORDS = 6  # of a stretch that counts: rows of a table have fewer

_NUMBER = -1  # stands for any run of digits
_NOTHING = -2
_DIGITS = re.compile(r"\s*\d+")
_LETTERS = re.compile(r"[^\W\d_]")


class Repeats:
    """How far back the latest tokens repeat the tokens before them, for every distance at once.

    Args:
        times, tokens: how often a stretch has to come, and the tokens that has to take in all.
    """

    def __init__(self, times: int, tokens: int) -> None:
        distances = np.arange(1, LONGEST + 1)
        self._enough = np.maximum(times * distances, tokens) - distances
        self._recent = np.full(LONGEST, _NOTHING)  # the latest first
        self._runs = np.zeros(LONGEST, np.int64)  # tokens on end that equal the one so far before them

    def push(self, token: int) -> int:
        """The length of the stretch that is repeated by now; 0 for none."""
        self._runs += 1
        self._runs *= self._recent == token
        self._recent[1:] = self._recent[:-1]
        self._recent[0] = token
        at = int(np.argmax(self._runs >= self._enough))
        return at + 1 if self._runs[at] >= self._enough[at] else 0

    def latest(self, count: int) -> list[int]:
        """The latest tokens."""
        tokens: list[int] = self._recent[:count].tolist()
        return tokens


class LoopGuard:
    """Told an answer token by token, says when it is in a loop."""

    def __init__(self) -> None:
        self._exact = Repeats(TIMES, TOKENS)
        self._counted = Repeats(COUNTED_TIMES, COUNTED_TOKENS)
        self._words: set[int] = set()
        self._counting = False

    def push(self, token: int, text: str) -> bool:
        """Whether the answer is in a loop with this token, whose text is given."""
        looped = self._exact.push(token) > 0
        number = _DIGITS.fullmatch(text) is not None
        if number and self._counting:  # more digits of the same number
            return looped
        self._counting = number
        if _LETTERS.search(text):
            self._words.add(token)
        size = self._counted.push(_NUMBER if number else token)
        if size:
            looped |= sum(each in self._words for each in self._counted.latest(size)) >= COUNTED_WORDS
        return looped
