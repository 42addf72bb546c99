"""The weight cache in IndexedDB (web/store.js)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyodide.ffi import create_proxy

from ..device import Bytes, Device
from ..errors import StoreDamaged, StoreFull
from ..store import Kept, Manifest, Placement, Store
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


class WebStore:
    """A `Store` in IndexedDB."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self._unreadable: StoreFull | None = None

    @classmethod
    async def open(cls, module: Any) -> Store:
        """Open the cache; where the browser keeps no data, a store that keeps nothing and tells why.

        Args:
            module: the JavaScript module store.js.
        """
        try:
            with for_people():
                return cls(await module.open(compiled.path().read_bytes()))
        except StoreFull as error:
            return NoStore(error)

    async def find(self, key: str) -> Manifest | None:
        try:
            with for_people():
                found = await self._store.find(key, LAYOUT_VERSION)
        except StoreFull as error:  # storage that cannot be read holds nothing, and is not written in vain
            self._unreadable = error
            return None
        if found is None:
            return None
        try:
            manifest = Manifest.from_json(found, key, LAYOUT_VERSION)
        except ValueError as error:
            await self.drop(key)
            raise StoreDamaged.of(f"the manifest has another shape: {error}") from error
        if manifest is None:
            return None
        with for_people():
            card = await self._store.card(key)
        return replace(manifest, card=card.to_bytes())

    async def begin(self, manifest: Manifest) -> WebWriter:
        if self._unreadable:
            raise self._unreadable
        with for_people():
            return WebWriter(await self._store.begin(manifest.to_json(), manifest.card))

    async def fill(
        self,
        manifest: Manifest,
        placements: Sequence[Placement],
        device: Device,
        progress: Callable[[int], None],
    ) -> list[int]:
        sink = _sink(device)
        where = [(p.image_offset, p.nbytes, p.buffer, p.buffer_offset) for p in placements]
        report = create_proxy(progress)
        try:
            with for_people():
                damaged = await self._store.fill(manifest.to_json(), json.dumps(where), sink, report)
                return [int(number) for number in damaged]
        finally:
            report.destroy()

    async def mend(self, manifest: Manifest, number: int, data: NDArray[np.uint8]) -> None:
        with for_people():
            await self._store.mend(manifest.to_json(), number, data)

    async def read(self, key: str) -> bytes | None:
        try:
            with for_people():
                data = await self._store.read(key)
        except StoreFull:
            return None
        return None if data is None else bytes(data.to_bytes())

    async def drop(self, key: str) -> None:
        with suppress(StoreFull), for_people():
            await self._store.drop(key)

    async def entries(self) -> list[Kept]:
        try:
            with for_people():
                found = json.loads(await self._store.entries())
        except StoreFull:
            return []
        entries = []
        for fields in found:
            with suppress(ValueError):  # written by another program
                entries.append(Kept.from_fields(fields))
        return entries

    async def notes(self, prefix: str) -> dict[str, str]:
        try:
            with for_people():
                return dict(json.loads(await self._store.notes(prefix)))
        except StoreFull:
            return {}

    async def drop_note(self, key: str) -> None:
        with suppress(StoreFull), for_people():
            await self._store.dropNote(key)

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


class NoStore:
    """A `Store` where the browser keeps nothing: it finds nothing, and tells whoever wants to write why.

    Args:
        why: what is raised when an entry is begun.
    """

    def __init__(self, why: StoreFull) -> None:
        self._why = why

    async def find(self, key: str) -> Manifest | None:
        return None

    async def begin(self, manifest: Manifest) -> WebWriter:
        raise StoreFull(self._why.message, self._why.hint)

    async def fill(
        self,
        manifest: Manifest,
        placements: Sequence[Placement],
        device: Device,
        progress: Callable[[int], None],
    ) -> list[int]:
        raise StoreDamaged.of("there are none")

    async def mend(self, manifest: Manifest, number: int, data: NDArray[np.uint8]) -> None:
        raise StoreDamaged.of("there are none")

    async def read(self, key: str) -> bytes | None:
        return None

    async def drop(self, key: str) -> None:
        """There is nothing to forget."""

    async def entries(self) -> list[Kept]:
        return []

    async def notes(self, prefix: str) -> dict[str, str]:
        return {}

    async def drop_note(self, key: str) -> None:
        """There is nothing to forget."""

    async def find_note(self, key: str) -> str | None:
        return None

    async def keep_note(self, key: str, text: str) -> None:
        """Nothing is kept."""

    async def hold(self, name: str) -> Callable[[], None] | None:
        return lambda: None
