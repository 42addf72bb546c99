"""The adapters that a store keeps: their files as they are, which are small, and which every later version can read."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from datetime import UTC, datetime

from .. import formats
from ..errors import StoreDamaged
from ..formats.adapter import Adapter
from ..source import Folder, MemorySource, Source
from ..store import AS_THEY_ARE, Manifest, Store
from .library import ADAPTER, About, Entry, Library

_PIECE = 8 << 20  # bytes that a store is given at once


async def keep(
    store: Store, source: Source | Folder, origin: str = "", licence: str = ""
) -> tuple[Entry, Adapter]:
    """Keep an adapter beside the others; the same content is one entry, by whatever name.

    Args:
        source: its file, or the folder of its files.
        origin: where it came from: a path, or `owner/name:file` of a hub.
        licence: its name, as the hub gives it.

    Raises:
        FormatError, UnsupportedModel: it is no adapter that can be used.
        StoreFull: there is no room.
    """
    adapter = await formats.open_adapter(source)
    files = source.files if isinstance(source, Folder) else {source.name: source}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as folder:  # nothing is compressed: it would gain little
        for name, file in sorted(files.items()):
            folder.writestr(name, await file.read(0, file.size))
    key, created = ADAPTER + source.key, datetime.now(UTC).isoformat(timespec="seconds")
    data = packed.getvalue()
    writer = await store.begin(Manifest(key, AS_THEY_ARE, len(data), source.name, created))
    for at in range(0, len(data), _PIECE):
        await writer.append(data[at : at + _PIECE])
    await writer.commit()
    library = Library(store)
    about = About(source.name, origin, licence, adapter.format, source.size, base=adapter.base)
    await library.record(key, about)
    return next(entry for entry in await library.adapters() if entry.key == key), adapter


async def read(store: Store, entry: Entry) -> Adapter:
    """An adapter that is kept.

    Raises:
        StoreDamaged: nothing of it can be used any more.
        FormatError, UnsupportedModel: this version cannot use it.
    """
    data = await store.read(entry.key)
    if data is None:
        raise StoreDamaged.of(f"{entry.title} is not there any more")
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        files = {name: packed.read(name) for name in packed.namelist()}
    sources = {name: MemorySource(content, name, name) for name, content in files.items()}
    (first, *others) = sources.values()
    adapter = await formats.open_adapter(Folder(entry.title, sources) if others else first)
    return replace(adapter, name=entry.title)
