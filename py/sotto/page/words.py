"""Every string a person sees, from words.json, which the page's first script reads too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from . import format as numbers


class Words:
    """The strings of one language.

    Args:
        table: templates by key; `{name}` marks a value, and `key.one` is used instead when the count is 1.
    """

    def __init__(self, table: dict[str, str]) -> None:
        self._table = table

    @classmethod
    def load(cls, path: Path, language: str) -> Words:
        """Read the strings of a language ("en" or "ja")."""
        return cls(json.loads(path.read_text(encoding="utf-8"))[language])

    def __call__(self, key: str, /, **values: object) -> str:
        """The string of a key, its values filled in.

        Whole numbers are written with separators; a `count` of 1 takes `key.one` where the language has it.
        """
        if values.get("count") == 1 and f"{key}.one" in self._table:
            key = f"{key}.one"
        shown = {name: f"{value:,}" if isinstance(value, int) else value for name, value in values.items()}
        return self._table[key].format(**shown)

    def first(self, keys: Sequence[str], /, **values: object) -> str:
        """The string of the first key that there is."""
        return self(next(key for key in keys if key in self._table), **values)

    def time(self, seconds: float) -> str:
        """A duration as it was measured: `0.31 s`, `12 s`, `2 min 5 s`."""
        if seconds < 60:
            return self("unit.seconds", value=numbers.precise(seconds))
        minutes, rest = divmod(round(seconds), 60)
        return self("unit.minutes", minutes=minutes, seconds=rest)

    def about(self, seconds: float) -> str:
        """A duration as it is foretold, never as exact as it looks: `1 s`, `12 s`, `25 s`, `3 min`."""
        value, unit = numbers.rough(seconds)
        return self(f"unit.{unit}.about", value=value)
