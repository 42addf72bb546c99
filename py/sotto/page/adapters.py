"""LoRA adapters on the page: the one that the server has for a model, and those that a person brought, which are kept
side by side in the library and used with any model that they fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import formats
from ..browser.files import FileOfPerson
from ..engine.engine import Engine
from ..errors import SottoError
from ..formats.adapter import Adapter
from ..library import adapters as shelf
from ..library.library import ADAPTER, Entry
from ..source import Folder, Source, in_memory
from . import web
from .browser import Browser
from .choices import Choices
from .options import Model
from .sources import open_adapter
from .stock import Stock


class Adapters:
    """The adapters of the model that is loaded, and those that are kept.

    Attributes:
        fault: why one could not be read when the model was loaded; it is used without that.
        names: what the engine calls those of a person's, by their keys; of those that it was given.
    """

    def __init__(self, browser: Browser, stock: Stock) -> None:
        self._browser = browser
        self._stock = stock
        self.fault: SottoError | None = None
        self.names: dict[str, str] = {}

    async def kept(self) -> list[Entry]:
        """A person's own."""
        return await (await self._stock.library()).adapters()

    # --- what a person gives

    async def given(self, given: Sequence[Any], folder: str) -> Source | Folder | None:
        """Files as an adapter, if they are one: PEFT's two, or one file that says so. Raises SottoError.

        Args:
            given: JavaScript's files.
            folder: the name of the one folder that they were in; may be empty.
        """
        opened = {str(file.name): FileOfPerson(web.files, file, "") for file in given}
        if formats.CONFIG in opened:
            if formats.has_model(opened):
                return None
            belonging = {n: f for n, f in opened.items() if n == formats.CONFIG or n.endswith(".safetensors")}
            name = folder or str(opened[formats.CONFIG].name)
            return Folder(name, {n: await in_memory(file) for n, file in belonging.items()})
        if len(opened) == 1:
            (file,) = opened.values()
            if await formats.holds_adapter(file):
                return await in_memory(file)
        return None

    async def keep(self, source: Source | Folder, origin: str = "", licence: str = "") -> Entry:
        """Keep an adapter beside the others. Raises SottoError, also where it is none that can be used.

        Args:
            origin: its address at a hub, if it came from one.
            licence: as the hub names it.
        """
        return (await shelf.keep(await self._stock.store(), source, origin, licence))[0]

    # --- with a model

    async def of(self, model: Model, wanted: Choices) -> list[tuple[str, Adapter, float]]:
        """Those that a model is loaded with: the server's, on unless it was switched off for this model, and a person's
        that were switched on for it. One that cannot be read is left out, and told in `fault`.

        Returns:
            Names, adapters and scales.
        """
        self.fault, self.names = None, {}
        found: list[tuple[str, Adapter, float]] = []
        try:
            if "adapter" in model:
                adapter = await formats.open_adapter(
                    open_adapter(web.ranges, self._browser, model["adapter"])
                )
                found.append((adapter.name, adapter, wanted.adapters.get(adapter.name, 1.0)))
        except SottoError as error:
            self.fault = error
        on = [key for key, scale in wanted.adapters.items() if key.startswith(ADAPTER) and scale]
        for entry in await self.kept() if on else ():
            try:
                if entry.key in on:
                    adapter = await shelf.read(await self._stock.store(), entry)
                    name = self._name(entry, [name for name, _, _ in found])
                    found.append((name, adapter, wanted.adapters[entry.key]))
            except SottoError as error:
                self.fault = error
        return found

    def served(self, engine: Engine) -> str:
        """The adapter that the server has for the model; "" for none."""
        return next((name for name in engine.adapters if name not in self.names.values()), "")

    def on(self, engine: Engine, key: str) -> bool:
        """Whether one of a person's is on."""
        return self.names.get(key) in engine.adapters_on

    async def switch(self, engine: Engine, name: str, on: bool) -> None:
        """Switch an adapter on or off, beside the others.

        Args:
            name: the server's adapter's, or the key of one of a person's.

        Raises:
            UnsupportedModel: it was made for another model.
            SottoError: it cannot be read.
            DeviceError: the processor has no room for it, or gave up.
        """
        if name.startswith(ADAPTER) and name not in self.names:
            if not on:
                return
            entry = next((entry for entry in await self.kept() if entry.key == name), None)
            if entry is None:
                raise SottoError("The adapter is not there any more.", "Give its files again.")
            adapter = await shelf.read(await self._stock.store(), entry)
            try:
                engine.add_adapter(self._name(entry, engine.adapters), adapter)
            except SottoError:
                del self.names[name]  # the engine has it not
                raise
        called = self.names.get(name, name)
        await engine.use_adapters({**engine.adapters_on, called: 1.0 if on else 0.0})

    async def remove(self, entry: Entry) -> None:
        """Keep one no longer. It is off already."""
        await (await self._stock.library()).remove(entry)

    def _name(self, entry: Entry, taken: Sequence[str] | Any) -> str:
        """What the engine calls an adapter, which has to be another name for each."""
        name, number = entry.title[:100], 2
        while name in taken:
            name, number = f"{entry.title[:100]} ({number})", number + 1
        self.names[entry.key] = name
        return name
