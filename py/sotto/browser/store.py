"""The weight cache in IndexedDB (web/store.js)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from pyodide.ffi import create_proxy

from ..device import Bytes, Device
from ..errors import (
    StoreFull,
)
from ..store import Manifest, Placement, StoredRecord
from ..weights import compiled
from ..weights.layout import LAYOUT_VERSION
from .cpu import WebCpu
from .errors import for_people
from .gpu import WebDevice


class WebWriter:
    """A `Writer` into IndexedDB."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    async def append(self, data: Bytes) -> None:
        with for_people():
            await self._writer.append(data)

    async def commit(self) -> None:
        with for_people():
            await self._writer.commit()

    async def abort(self) -> None:
        with for_people():
            await self._writer.abort()


def _sink(device: Device) -> Any:
    """The JavaScript object with `write` and `finish` that is behind a device."""
    if not isinstance(device, WebDevice | WebCpu):
        raise TypeError("the browser's cache fills the browser's devices only")
    return device.sink


def _json(manifest: Manifest) -> str:
    return json.dumps(asdict(manifest), ensure_ascii=False)


class WebStore:
    """A `Store` in IndexedDB."""

    def __init__(self, store: Any) -> None:
        self._store = store

    @classmethod
    async def open(cls, module: Any) -> WebStore | None:
        """Open the cache; None where the browser keeps no data (the engine then runs without one).

        Args:
            module: the JavaScript module store.js.
        """
        try:
            with for_people():
                return cls(await module.open(compiled.path().read_bytes()))
        except StoreFull:
            return None

    async def find(self, key: str) -> Manifest | None:
        try:
            with for_people():
                found = await self._store.find(key, LAYOUT_VERSION)
        except StoreFull:  # storage that cannot be read holds nothing
            return None
        if found is None:
            return None
        fields = json.loads(found)
        records = tuple(StoredRecord(**record) for record in fields.pop("records"))
        return Manifest(**fields, records=records)

    async def begin(self, manifest: Manifest) -> WebWriter:
        with for_people():
            return WebWriter(await self._store.begin(_json(manifest)))

    async def head(self, manifest: Manifest, nbytes: int) -> bytes:
        with for_people():
            return bytes((await self._store.head(_json(replace(manifest, card="")), nbytes)).to_bytes())

    async def fill(
        self,
        manifest: Manifest,
        placements: Sequence[Placement],
        device: Device,
        progress: Callable[[int], None],
    ) -> None:
        sink = _sink(device)
        where = [(p.image_offset, p.nbytes, p.buffer, p.buffer_offset) for p in placements]
        report = create_proxy(progress)
        try:
            with for_people():
                await self._store.fill(_json(replace(manifest, card="")), json.dumps(where), sink, report)
        finally:
            report.destroy()

    async def drop(self, key: str) -> None:
        with for_people():
            await self._store.drop(key)

    async def find_note(self, key: str) -> str | None:
        try:
            with for_people():
                found = await self._store.findNote(key)
        except StoreFull:
            return None
        return None if found is None else str(found)

    async def keep_note(self, key: str, text: str) -> None:
        with suppress(StoreFull), for_people():
            await self._store.keepNote(key, text)

    async def hold(self, name: str) -> Callable[[], None] | None:
        release: Callable[[], None] | None = await self._store.hold(name)
        return release

    async def room(self) -> tuple[int, int]:
        """Bytes this site uses and bytes it may use."""
        with for_people():
            room = await self._store.room()
            return int(room.usage), int(room.quota)
