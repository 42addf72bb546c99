"""What the KV cache holds: of which text, and how far back."""

from __future__ import annotations

from collections.abc import Sequence


class CachedText:
    """The text whose keys and values are in the cache.

    Position p is in slot p mod `slots` of each local layer, so writing position p loses position p - slots there. A
    token at position p looks back as far as p + 1 - window in these layers. A text can be continued at a position when
    the rings still hold what its first token looks back to, which is so for positions p with

        lowest <= max(0, p + 1 - window)

    where `lowest` is the first position that was not overwritten by anything written since: also by tokens that
    nobody wanted and by prompts that were given up. What follows then needs no further care: a ring holds a
    window and a chunk, so the tokens of one chunk never overwrite what its first token needs.

    Attributes:
        ids: the text, by position.
        lowest: the first position that is still in all the rings.
    """

    def __init__(self, slots: int, window: int) -> None:
        self._slots = slots
        self._window = window
        self.ids: list[int] = []
        self.lowest = 0

    def resumes(self, position: int) -> bool:
        """Whether the next token can be computed at that position, which is not past the end of the text."""
        return position <= len(self.ids) and self.lowest <= max(0, position + 1 - self._window)

    def shared(self, ids: Sequence[int]) -> int:
        """How many tokens at the beginning of another text need not be computed again.

        The last token always is: its logits are wanted.
        """
        most = min(len(ids) - 1, len(self.ids))
        same = next((i for i in range(most) if ids[i] != self.ids[i]), most)
        return same if self.resumes(same) else 0

    def rewind(self, position: int) -> None:
        """Go on at that position: what follows it is not the text any more."""
        del self.ids[position:]
        if not self.ids:
            self.lowest = 0  # all that will be looked at is written anew

    def writes(self, end: int) -> None:
        """Slots are about to be overwritten by the positions up to `end`."""
        self.lowest = max(self.lowest, end - self._slots)
