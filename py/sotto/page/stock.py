"""Where the page's models come from: the server, what this browser keeps, files that a person gave, and a hub."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from .. import formats
from ..browser import hub
from ..browser.files import FileOfPerson, sha256
from ..browser.hub import AHEAD, HubSource
from ..browser.store import WebStore
from ..errors import FormatError, SottoError
from ..library.address import HubAddress, parse
from ..library.library import About, Entry, Library
from ..library.offers import called, choose
from ..model_files import CONFIG, one_model
from ..models import ARCHITECTURES
from ..source import Folder, KeptSource, Source, in_memory
from ..store import NEXT, Store
from . import web
from .browser import Browser
from .hub_access import HubAccess
from .options import HubPart, Model, Models
from .sources import open_source

_START = 64  # bytes that tell what a file is
_HASHED = "hashed:"  # begins the key of a note: what a file with this name, size and time holds


class Stock:
    """Opens models, and knows what is kept of them.

    Args:
        models: what the server offers.
        hub: how the hub is asked.

    Attributes:
        hub: as above.
        waiting: is called when another tab loads the same, and is waited for.
    """

    def __init__(self, browser: Browser, models: Models, hub: HubAccess) -> None:
        self._browser = browser
        self._models = models
        self._store: Store | None = None
        self._coming: list[HubSource] = []  # what is fetched now of a model
        self._beside: list[HubSource] = []  # and of an adapter
        self._given: list[Sequence[Any]] = []  # JavaScript's files of each model that a person gave
        self._given_of: dict[str, Model] = {}  # those models, by their keys
        self.hub = hub
        self.waiting: Callable[[], None] = lambda: None

    async def store(self, *, anew: bool = False) -> Store:
        """The browser's cache of converted models, opened `anew` for each load: the browser may have closed it."""
        if self._store is None or anew:
            self._store = await WebStore.open(web.store)
        return self._store

    async def library(self) -> Library:
        """What is kept there."""
        return Library(await self.store())

    def offered(self, key: str) -> Model | None:
        """The server's model that has this content."""
        rows = self._models["models"]
        return next((row for row in rows if open_source(web.ranges, self._browser, row).key == key), None)

    async def find(self, name: str) -> Model | None:
        """A model of the library that can be loaded, by its key or title."""
        for entry in await (await self.library()).entries():
            if entry.current and name in (entry.key, entry.title):
                return self.row(entry)
        return None

    def row(self, entry: Entry) -> Model:
        """A model of the library as the page loads it: as the server's where that has it, which may have an adapter."""
        kept = Model(
            name=entry.title, url="", size=entry.about.file_bytes, sha256=None, etag="", key=entry.key
        )
        return self.offered(entry.key) or kept

    async def give(self, given: Sequence[Any], folder: str) -> Model:
        """Take files that a person gave.

        Args:
            given: JavaScript's files.
            folder: the name of the one folder that they were in; may be empty.

        Raises:
            SottoError: they are not one model, as far as their names and the first bytes tell.
        """
        by_name = {str(file.name): file for file in given}
        names = one_model(list(by_name))
        chosen = [by_name[name] for name in names]
        kind, title = "safetensors", next((name for name in names if name.endswith(".safetensors")), names[0])
        if CONFIG not in names:
            kind, looks_like = formats.kind_of(
                bytes(await FileOfPerson(web.files, chosen[0], "").start(_START))
            )
            if not kind:
                raise FormatError(
                    f"{names[0]} is not a model file"
                    + (f"; it looks like {looks_like}." if looks_like else "."),
                    "Sotto reads GGUF files, .task and .litertlm files, and the files of a folder as transformers "
                    "writes it.",
                    "none",
                )
        self._given.append(chosen)
        return Model(
            name=folder if folder and len(chosen) > 1 else title,
            url="",
            size=sum(int(file.size) for file in chosen),
            sha256=None,
            etag="",
            format=kind,
            given=len(self._given) - 1,
        )

    async def open(self, model: Model, progress: Callable[[int, int], None]) -> Source | Folder:
        """A model to be loaded. Raises SottoError.

        Args:
            progress: hears how many of how many bytes of a person's file have been looked at, which is new here.
        """
        await self.stop()  # of a load that did not come to its end
        if "hub" in model:
            token = model.get("token", "")
            return await self._open_at_hub(model["name"], model["hub"], model["origin"], token)
        if "given" in model:
            return await self._open_given(model, progress)
        if "key" in model:
            key = model["key"]
            return KeptSource(
                key, model["name"], model["size"], lambda whole: self._open_again(key, whole, progress)
            )
        return open_source(web.ranges, self._browser, model)

    async def _open_at_hub(
        self, name: str, parts: Sequence[HubPart], origin: str, token: str, ahead: int = AHEAD
    ) -> Source | Folder:
        """The files of a model at the hub, fetched while they are read.

        Args:
            origin: what people call it: `owner/name:file`.
            ahead: blocks of each that are fetched before they are read.
        """
        whole = sum(part["file"].size for part in parts)
        opened: dict[str, Source] = {}
        # Small ones first; and tabs that fetch models which have a file in common never wait for each other.
        for part in sorted(parts, key=lambda part: (part["file"].size, part["file"].sha256)):
            source = HubSource(web.download, part["url"], part["file"], origin, token, ahead, whole)
            self._coming.append(source)  # before it begins, so that `stop` ends the waiting, too
            await source.begin(self.waiting)
            # Of small files the hub tells no sha256: what is in them tells whether the model is one that is kept.
            known = len(parts) == 1 or part["file"].sha256
            opened[source.name] = source if known else await in_memory(source)
        return next(iter(opened.values())) if len(opened) == 1 else Folder(name, opened)

    async def _open_again(
        self, key: str, whole: bool, progress: Callable[[int, int], None]
    ) -> Source | Folder:
        """A model of the library where it came from. Raises SottoError.

        Args:
            whole: all of it will be read; where it is not, little more is fetched than what is read.
        """
        await self.stop()
        if key in self._given_of:
            return await self._open_given(self._given_of[key], progress)
        origin = (await (await self.library()).find(key)).about.origin
        address = parse(origin, self.hub.address) if origin else None
        if not isinstance(address, HubAddress):
            raise SottoError(
                "its file is not here.", "Give the file again: only what is damaged is read of it."
            )
        at, token = self.hub.address, self.hub.token
        model, offered = await hub.look(web.download, at, address, ARCHITECTURES.__contains__, token)
        files = choose(model, offered, address.file).files
        parts = [HubPart(url=hub.resolved(at, model, file), file=file) for file in files]
        return await self._open_at_hub(called(model, files), parts, origin, token, AHEAD if whole else 0)

    @asynccontextmanager
    async def alone(self, key: str) -> AsyncIterator[None]:
        """Prepare a model that is not kept yet, while no other tab does so: what that makes is there afterwards."""
        kept, name = await self.store(), f"model {key}"
        held = await kept.hold(name)
        if held is None and all(entry.key != key for entry in await kept.entries()):
            self.waiting()
            held = await web.locks.wait(name)
        try:
            yield
        finally:
            if held:
                held()

    async def fetch_adapter(self, wanted: Model, waiting: Callable[[], None]) -> Source | Folder:
        """The files of an adapter at a hub, fetched whole, and checked. What has arrived of them is kept until then.

        Args:
            wanted: the adapter, as a model at a hub.
            waiting: is called when another tab fetches it, and is waited for.

        Raises:
            Cancelled: `cancel` was called meanwhile.
            SottoError: they cannot be had, or are wrong.
        """
        origin, token, size = wanted["origin"], wanted.get("token", ""), wanted["size"]
        coming = [
            HubSource(web.download, part["url"], part["file"], origin, token, whole=size)
            for part in wanted["hub"]
        ]
        self._beside = coming
        try:
            for file in coming:
                await file.begin(waiting)
            found = {file.name: await in_memory(file) for file in coming}
            for file in coming:
                await file.finish()
        finally:
            for file in coming:
                await file.stop()
        (first, *others) = found.values()
        return Folder(wanted["name"], dict(found)) if others else first

    async def cancel(self) -> None:
        """Fetch no more, of a model nor of an adapter."""
        await self.stop()
        for file in self._beside:
            await file.stop()

    async def remove(self, key: str) -> None:
        """Delete what is kept of a model."""
        library = await self.library()
        for entry in await library.entries():
            if entry.key == key:
                await library.remove(entry)

    async def arrived(self, key: str, *, cached: bool) -> None:
        """A model is loaded: check all that was fetched for it; where that is wrong, nothing of it is kept.

        Args:
            cached: it was in the library already, so that nothing had to be fetched.

        Raises:
            SottoError: it is wrong.
        """
        coming, self._coming = self._coming, []
        try:
            for file in coming:
                await (file.drop() if cached else file.finish())
        except SottoError:
            await (await self.store()).drop(key)
            raise

    async def stop(self) -> None:
        """Fetch no more. What is here is gone on from the next time."""
        coming, self._coming = self._coming, []
        for file in coming:
            await file.stop()

    async def _open_given(self, model: Model, progress: Callable[[int, int], None]) -> Source | Folder:
        opened: dict[str, Source] = {}
        before = 0
        for file in self._given[model["given"]]:

            def told(done: int, before: int = before) -> None:
                progress(before + done, model["size"])

            opened[str(file.name)] = FileOfPerson(web.files, file, await self._sha256(file, told))
            before += int(file.size)
        return next(iter(opened.values())) if len(opened) == 1 else Folder(model["name"], opened)

    async def _sha256(self, file: Any, progress: Callable[[int], None]) -> str:
        """Of a file; it is looked at only when its name, size and time are new here."""
        kept = await self.store()
        stamp = f"{_HASHED}{file.size} {file.lastModified} {file.name}"
        if not (known := await kept.find_note(stamp)):
            known = await sha256(web.files, file, progress)
            await kept.keep_note(stamp, known)
        return known

    async def used(self, key: str, model: Model) -> tuple[str, str]:
        """A model was loaded: remember it. Returns what it is called, and its address at the hub if it has one."""
        url = model["url"]
        about = About(
            origin=self._browser.address(url) if url else model.get("origin", ""),
            licence=model.get("licence", ""),
            format=model.get("format") or ("GGUF" if url.endswith(".gguf") else ""),
            file_bytes=model["size"],
        )
        if "given" in model:
            self._given_of[key] = model
        library = await self.library()
        await library.used(key, about)
        await (await self.store()).keep_note(NEXT, key)
        entries = await library.entries()
        known = next((entry for entry in entries if entry.key == key), Entry(key, about, None))
        origin = known.about.origin
        at_hub = origin and isinstance(parse(origin, self.hub.address), HubAddress)
        return known.about.title or (
            known.kept.name if known.kept else model["name"]
        ), origin if at_hub else ""

    async def room(self) -> dict[str, Any]:
        """Bytes `used` and `free`, and whether they are `persisted`; None where the browser does not tell."""
        return dict(json.loads(await web.keeping.room()))

    async def persist(self) -> bool:
        """Ask the browser to clear nothing by itself; whether it agrees."""
        return bool(await web.keeping.persist())
