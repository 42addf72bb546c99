"""Prompt-lookup decoding: guess that the text goes on as it did before, and check several tokens at a time.

The text's last few tokens are looked up in the text; what followed them there is a draft (Saxena, "Prompt lookup
decoding", 2023). One run of the decode kernels with up to four tokens then tells what the model would have written
after each: the draft counts as far as it agrees, so the answer is that of plain decoding, token for token.
"""

from __future__ import annotations

from collections.abc import Sequence

LONGEST, SHORTEST = 3, 2  # tokens that are looked up
MOST_DRAFTED = 3
TRIALS = 3  # checks that are made to learn what one takes; the first is not counted
SLOWNESS = 0.3  # weight of the newest value in a moving average


class Lookup:
    """Where the text has been before."""

    def __init__(self) -> None:
        self._text: list[int] = []
        self._after: dict[tuple[int, ...], int] = {}  # some tokens -> where their latest repetition goes on

    def read(self, text: Sequence[int]) -> None:
        """The text so far, which begins with what was read before."""
        for end in range(len(self._text), len(text)):
            # The tokens that end before this one now have a continuation.
            for size in range(SHORTEST, LONGEST + 1):
                if end >= size:
                    self._after[tuple(self._text[end - size : end])] = end
            self._text.append(text[end])

    def draft(self, most: int) -> list[int]:
        """At most so many tokens that may come next; none where the text has not been before."""
        for size in range(LONGEST, SHORTEST - 1, -1):
            at = self._after.get(tuple(self._text[-size:])) if len(self._text) >= size else None
            if at is not None:
                return self._text[at : at + max(0, min(most, MOST_DRAFTED))]
        return []


class Costs:
    """Whether checking drafts is faster than plain decoding, as measured here so far.

    Attributes:
        token: seconds of a token in plain decoding.
        check: seconds of a check, from submit to answer.
        accepted: tokens of a draft that agree. Drafts that were not checked count too: plain decoding tells.
    """

    def __init__(self) -> None:
        self.token = 0.0
        self.check = 0.0
        self.accepted = 1.0
        self._checks = 0

    def decoded(self, seconds: float) -> None:
        """A plain token took so long."""
        self.token = _moved(self.token, seconds)

    def checked(self, seconds: float) -> None:
        """A check took so long. The first one also warms up."""
        if self._checks:
            self.check = _moved(self.check, seconds)
        self._checks += 1

    def agreed(self, tokens: int) -> None:
        """So many tokens of a draft were right."""
        self.accepted += SLOWNESS * (tokens - self.accepted)

    @property
    def worthwhile(self) -> bool:
        """Whether a check gives tokens faster than plain decoding, or that has to be found out."""
        if self._checks < TRIALS:
            return self.accepted >= 1
        return (1 + self.accepted) * self.token > self.check


def _moved(average: float, value: float) -> float:
    return average + SLOWNESS * (value - average) if average else value
