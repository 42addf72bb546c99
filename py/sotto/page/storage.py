"""Choices and measurements that a browser keeps, and what it does where it refuses to."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

PREFIX = "sotto."


class Storage:
    """Texts by name. What the browser does not keep is known as long as the page is open.

    Args:
        area: gives the browser's localStorage or sessionStorage; it may raise, as may every use of it: where a person
            blocks site data, in private windows, when it is full.

    Attributes:
        keeps: the browser can be written to.
    """

    def __init__(self, area: Callable[[], Any]) -> None:
        self._area: Any = None
        self._here: dict[str, str] = {}
        try:
            self._area = area()
            self._area.setItem(f"{PREFIX}probe", "1")
            self._area.removeItem(f"{PREFIX}probe")
            self.keeps = True
        except Exception:  # whatever JavaScript throws
            self.keeps = False

    def remember(self, name: str, value: str) -> bool:
        """Keep a text for the next visit; whether the browser does."""
        self._here[name] = value
        try:
            self._area.setItem(PREFIX + name, value)
        except Exception:  # as above, and None has no setItem
            return False
        return True

    def remembered(self, name: str) -> str:
        """What was kept under a name; empty when nothing was."""
        if name in self._here:
            return self._here[name]
        try:
            return str(self._area.getItem(PREFIX + name) or "")
        except Exception:  # as above
            return ""

    def forget(self, name: str) -> None:
        """Keep nothing under a name any more."""
        self._here.pop(name, None)
        with suppress(Exception):  # as above
            self._area.removeItem(PREFIX + name)

    def first_time(self, what: str) -> bool:
        """Whether something is to be said for the first time in this browser; from then on it is not."""
        if self.remembered(f"said.{what}"):
            return False
        self.remember(f"said.{what}", "1")
        return True
