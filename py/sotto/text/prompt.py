"""The one thing the page asks a model for: a short post of the text that a person pasted.

An instruction-tuned model gets a request in its chat format. A base model only continues text, so it gets a
few articles with their posts, the person's text as the next article, and the posts' heading to go on from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .tokenizer import Segment


@dataclass(frozen=True)
class Prompt:
    """What the model is to continue, and the texts at which to stop it."""

    segments: tuple[Segment, ...]
    stop: tuple[str, ...] = ()


class StopStrings:
    """Ends a stream of text at the first of some strings to be complete, and never shows a part of one."""

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = tuple(text for text in stop if text)
        self._held = ""
        self._done = False

    def push(self, piece: str) -> tuple[str, bool]:
        """The text that is safe to show now, and whether a stop string has been met (the rest is dropped)."""
        if self._done:
            return "", True
        text = self._held + piece
        found = [(at + len(stop), at) for stop in self._stop if (at := text.find(stop)) >= 0]
        if found:
            self._done = True
            self._held = ""
            # The one that ends first: so it does not matter how the text was cut into pieces.
            return text[: min(found)[1]], True
        keep = max((_overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep], False

    def flush(self) -> str:
        """What was held back, when the text ended without a stop string."""
        rest, self._held = self._held, ""
        return rest


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of `text` could be the start of `stop`."""
    longest = min(len(text), len(stop) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(stop[:size])), 0)
