"""The models and adapters that a store keeps, with what a person wants to know of each.

A store's entry says what was converted; a note beside it says the rest (`About`), and outlives it: a model that was
fetched and not loaded yet has a note alone. Nothing is ever deleted from here without being asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any

from ..errors import SottoError, StoreDamaged
from ..formats.checkpoint import shapes_in_card
from ..store import Kept, Store
from ..weights.layout import LAYOUT_VERSION

NOTE = "about:"
"""Begins the key of a note; the model's key follows."""
ADAPTER = "adapter "
"""Begins the key of an adapter; that of its content follows."""


@dataclass(frozen=True)
class About:
    """What is known of a model beside its converted weights. All of it may be unknown, and empty.

    Attributes:
        title: what a person calls it.
        origin: where it came from: a path, a URL, or `owner/name:file` of a hub.
        licence: its name, as the hub gives it.
        format: of the file: "GGUF".
        file_bytes: that the file has; 0 where unknown.
        path: where the file lies on this disk.
        used: when it was loaded last: ISO 8601, UTC.
        pinned: never to be offered for deletion.
        base: the model that an adapter was made for, as its files name it.
    """

    title: str = ""
    origin: str = ""
    licence: str = ""
    format: str = ""
    file_bytes: int = 0
    path: str = ""
    used: str = ""
    pinned: bool = False
    base: str = ""

    @classmethod
    def from_json(cls, text: str) -> About:
        """What `asdict` gave, as far as it is sound: what is not is left out."""
        try:
            given = json.loads(text)
        except (ValueError, RecursionError):
            return cls()
        sound: dict[str, Any] = {}
        if isinstance(given, dict):
            usual = cls()
            for field in fields(cls):
                value = given.get(field.name)
                if type(value) is type(getattr(usual, field.name)):
                    sound[field.name] = value
        return cls(**sound)

    def over(self, older: About) -> About:
        """This, with what it leaves open taken from what was known before; a title that was given stays."""
        known = {name: value for name, value in asdict(self).items() if value}
        if older.title:
            known.pop("title", None)
        return replace(older, **known)


@dataclass(frozen=True)
class Entry:
    """A model of the library, or an adapter.

    Attributes:
        key: of its content.
        about: what is known of it.
        kept: the converted weights; None of a model that was fetched, but not loaded yet.
    """

    key: str
    about: About
    kept: Kept | None

    @property
    def title(self) -> str:
        """What to call it."""
        return self.about.title or (self.kept.name if self.kept else "") or self.key

    @property
    def digits(self) -> str:
        """Its key as people see and write it."""
        return self.key.removeprefix(ADAPTER)

    @property
    def nbytes(self) -> int:
        """Bytes that its converted weights take."""
        return self.kept.nbytes if self.kept else 0

    @property
    def current(self) -> bool:
        """Whether it can be loaded without its file: its weights are there in the layout of this version."""
        return self.kept is not None and self.kept.layout_version == LAYOUT_VERSION

    @property
    def used(self) -> str:
        """When it was used last, or else made: ISO 8601, UTC."""
        return self.about.used or (self.kept.created if self.kept else "")


class Library:
    """The models of a store.

    Args:
        store: that keeps them.
        clock: the time now, in UTC.
    """

    def __init__(self, store: Store, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._store = store
        self._clock = clock

    async def entries(self) -> list[Entry]:
        """All models, the most recently used first."""
        return [entry for entry in await self._all() if not entry.key.startswith(ADAPTER)]

    async def adapters(self) -> list[Entry]:
        """All adapters, in the order of their names."""
        found = [entry for entry in await self._all() if entry.key.startswith(ADAPTER) and entry.kept]
        return sorted(found, key=lambda entry: (entry.title.casefold(), entry.key))

    async def shapes(self) -> list[tuple[Entry, Mapping[str, tuple[int, ...]]]]:
        """Of the matrices of the models that can be loaded, by canonical name: for whether an adapter fits."""
        found: list[tuple[Entry, Mapping[str, tuple[int, ...]]]] = []
        for entry in await self.entries():
            if entry.current:
                with suppress(StoreDamaged):
                    if manifest := await self._store.find(entry.key):
                        found.append((entry, shapes_in_card(manifest.card)))
        return found

    async def _all(self) -> list[Entry]:
        abouts = {
            key.removeprefix(NOTE): About.from_json(text)
            for key, text in (await self._store.notes(NOTE)).items()
        }
        kept = {entry.key: entry for entry in await self._store.entries()}
        found = [Entry(key, abouts.get(key, About()), kept.get(key)) for key in abouts.keys() | kept.keys()]
        return sorted(found, key=lambda entry: (entry.used, entry.title, entry.key), reverse=True)

    async def find(self, name: str) -> Entry:
        """The model or adapter of this title, origin, file name, or (from 8 digits on) key.

        Raises SottoError unless it is one.
        """
        entries = await self._all()
        for names in (
            lambda entry: (entry.key, entry.about.title),
            lambda entry: (entry.about.origin, entry.kept.name if entry.kept else ""),
            lambda entry: (entry.digits[: len(name)] if len(name) >= 8 else "",),
        ):
            found = [entry for entry in entries if name and name in names(entry)]
            if len(found) == 1:
                return found[0]
            if found:
                raise SottoError(
                    f"There are {len(found)} models called {name} in the library.",
                    f"Say which by the beginning of its key: {', '.join(entry.digits[:12] for entry in found)}.",
                )
        known = ", ".join(entry.title for entry in entries) or "nothing"
        raise SottoError(f"There is no model called {name} in the library.", f"It has: {known}.")

    async def used(self, key: str, about: About) -> None:
        """A model was loaded: remember when, and what is known of it now."""
        # Two may be loaded within a second, and which was the last is seen in every list.
        await self.record(key, replace(about, used=self._clock().isoformat(timespec="microseconds")))

    async def record(self, key: str, about: About) -> None:
        """Remember what is known of a model now; what this leaves open stays as it was."""
        await self._keep(key, about.over(await self._about(key)))

    async def rename(self, entry: Entry, title: str) -> None:
        """Call a model by another name. Raises SottoError for an empty one, or another model's."""
        title = " ".join(title.split())
        if not title:
            raise SottoError("It needs a name.", "Write one.", "name.none")
        if any(other.key != entry.key and other.title == title for other in await self._all()):
            raise SottoError(f"Another one is called {title} already.", "Take another name.", "name.taken")
        await self._change(entry, title=title)

    async def pin(self, entry: Entry, pinned: bool) -> None:
        """Never offer a model for deletion, or do again."""
        await self._change(entry, pinned=pinned)

    async def remove(self, entry: Entry) -> None:
        """Delete a model's converted weights, and what is known of it. Its file stays where it is."""
        await self._store.drop(entry.key)
        await self._store.drop_note(NOTE + entry.key)

    async def _change(self, entry: Entry, **changes: Any) -> None:
        """Only that: the entry may have been read a while ago, and used or renamed since."""
        await self._keep(entry.key, replace(await self._about(entry.key), **changes))

    async def _about(self, key: str) -> About:
        return About.from_json(await self._store.find_note(NOTE + key) or "")

    async def _keep(self, key: str, about: About) -> None:
        await self._store.keep_note(NOTE + key, json.dumps(asdict(about), ensure_ascii=False))


def to_delete(entries: Sequence[Entry], nbytes: int, using: str = "") -> list[Entry]:
    """What could be deleted to make room: the models that were used longest ago, as many as it takes.

    Args:
        entries: of the library.
        nbytes: that are wanted.
        using: the key of a model that is in use.

    Returns:
        The least recently used first; fewer bytes than wanted where there is no more. What was made for another layout
        of the weights comes first of all: nothing can be loaded from it.
    """
    able = [entry for entry in entries if entry.kept and entry.key != using]
    able = [entry for entry in able if not entry.about.pinned or not entry.current]
    able.sort(key=lambda entry: (entry.current, entry.used))
    offered: list[Entry] = []
    while able and sum(entry.nbytes for entry in offered) < nbytes:
        offered.append(able.pop(0))
    return offered
