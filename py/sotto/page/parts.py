"""What every screen is made with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .background import Background
from .browser import Browser
from .elements import Elements
from .model_holder import ModelHolder
from .model_panel import ModelPanel
from .options import Models
from .preferences import Preferences
from .words import Words


@dataclass(frozen=True)
class Parts:
    """The parts of the page that the screens share.

    Attributes:
        models: what the server offers.
        holder: the model; its `turn` is what a screen writes with.
        panel: the state of the page.
        preferences: how everything is written.
        do: lets a coroutine go on behind an event.
    """

    browser: Browser
    elements: Elements
    words: Words
    models: Models
    holder: ModelHolder
    panel: ModelPanel
    preferences: Preferences
    do: Background

    def hint(self, word: str) -> str:
        """What a key does, in words; nothing where there are no such keys."""
        return self.words(word, key=self.browser.command_key()) if self.browser.keyboard else ""


class Screen(Protocol):
    """A screen: the module or package page/screens/<name> with a function `make(parts)` that returns one.

    Its name is that of a link in #screens of web/index.html, the one list of them, and of a `main` beside it.
    """

    async def open(self, asked: str) -> None:
        """It is shown now. `asked` is what stands behind `?` in the address's part behind #."""
        ...
