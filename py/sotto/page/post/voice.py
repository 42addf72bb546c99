"""Posts of the person's own, in whose voice others are to be written; they are in this browser and nowhere else."""

from __future__ import annotations

from ...tasks.voice import posts
from ..parts import Parts

KEPT = "voice"  # under which the browser remembers them


class Voice:
    """The details `voice` with the field `voice-posts`, which can be seen while somebody wants that voice."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._words = parts.words
        self._at = parts.elements.at
        self._storage = parts.browser.storage
        self._at("voice-posts").value = kept = self._storage.remembered(KEPT)
        parts.elements.on("voice-posts", "input", self._written)
        self._say(kept)

    @property
    def posts(self) -> tuple[str, ...]:
        """Those that a model is shown."""
        return posts(str(self._at("voice-posts").value))

    def show(self, wanted: bool) -> None:
        """Whether that voice is wanted."""
        self._at("voice").hidden = not wanted

    def ask(self) -> None:
        """It is wanted now: where there are no posts yet, the person is taken to the field for them."""
        if not self.posts:
            self._at("voice").open = True
            self._at("voice-posts").focus()

    def _written(self) -> None:
        written = str(self._at("voice-posts").value)
        if not self._parts.browser.private():
            self._storage.remember(KEPT, written)
        self._say(written)

    def _say(self, written: str) -> None:
        count = len(posts(written))
        said = self._words("voice.posts", count=count) if count else self._words("voice.none")
        self._parts.elements.say("voice-said", said)
