"""The settings: all that is on it works by itself (preferences.py, and what is of the page's look: web/boot.js)."""

from __future__ import annotations

from ..parts import Parts


class SettingsScreen:
    """The screen "settings"."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def open(self, asked: str) -> None:
        """The model may load meanwhile: who comes from here wants to write next."""
        self._parts.preferences.opened()
        await self._parts.holder.want()


def make(parts: Parts) -> SettingsScreen:
    """The screen."""
    return SettingsScreen(parts)
