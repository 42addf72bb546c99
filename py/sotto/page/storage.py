"""Choices and measurements that a browser keeps, and what it does where it refuses to."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import Any

PREFIX = "sotto."


class Storage:
    """Texts by name. What the browser does not keep is known as long as the page is open.

    Args:
        area: gives the browser's localStorage or sessionStorage; it may raise, as may every use of it: where a person
            blocks site data, in private windows, when it is full.
        read: gives all that is there in one call, as web/boot.js has it in `remembered`; it may raise, too.
        soon: calls a function when what goes on now in Python has ended. Until then what was read stays as it was;
            afterwards another tab may have changed it.
    """

    def __init__(
        self,
        area: Callable[[], Any],
        read: Callable[[], str],
        soon: Callable[[Callable[[], None]], object],
    ) -> None:
        self._get_area = area
        self._read = read
        self._soon = soon
        self._here: dict[str, str] = {}
        self._there: dict[str, str | None] | None = None  # what was read; None when it has to be read anew

    @cached_property
    def keeps(self) -> bool:
        """Whether the browser can be written to."""
        try:
            self._area.setItem(f"{PREFIX}probe", "1")
            self._area.removeItem(f"{PREFIX}probe")
        except Exception:  # whatever JavaScript throws
            return False
        return True

    @cached_property
    def _area(self) -> Any:
        return self._get_area()

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
        if (text := self._all().get(name, "")) is not None:
            return text
        try:
            return str(self._area.getItem(PREFIX + name) or "")
        except Exception:  # as above
            return ""

    def forget(self, name: str) -> None:
        """Keep nothing under a name any more."""
        self._here.pop(name, None)
        self._there = None
        with suppress(Exception):  # as above
            self._area.removeItem(PREFIX + name)

    def first_time(self, what: str) -> bool:
        """Whether something is to be said for the first time in this browser; from then on it is not."""
        if self.remembered(f"said.{what}"):
            return False
        self.remember(f"said.{what}", "1")
        return True

    def _all(self) -> dict[str, str | None]:
        """What the browser keeps; None for a text that is too long to be read with all others."""
        if self._there is None:
            try:
                self._there = json.loads(self._read())
            except Exception:  # as above
                self._there = {}
            self._soon(self._look_again)
        return self._there or {}

    def _look_again(self) -> None:
        self._there = None
