"""A person's own LoRA adapters: the list of them, and using them with the model that is loaded."""

from __future__ import annotations

import asyncio
from html import escape
from typing import Any

from pyodide.ffi import create_proxy

from ..errors import SottoError
from ..library.library import Entry
from ..source import Folder, Source
from . import format as numbers
from .parts import Parts
from .reasons import reason


async def take_in(parts: Parts, adapter: Source | Folder, origin: str = "", licence: str = "") -> None:
    """Keep an adapter that a person brought or fetched, and use it with the model that is loaded, if it fits that.

    Args:
        origin, licence: of one that came from a hub.
    """
    holder, fault = parts.holder, None
    parts.browser.go("models")  # where it is shown
    try:
        entry = await holder.adapters.keep(adapter, origin, licence)
        await holder.use_adapter(entry.key, True)
        await holder.stock.persist()  # somebody wants to have it again
    except SottoError as error:
        fault = error
    parts.elements.fault("adapters-fault", *reason(parts.words, fault, "adapter"))


class AdaptersPanel:
    """The part `adapters` of the screen of models."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._words = parts.words
        self._at = parts.elements.at
        self._entries: dict[str, Entry] = {}
        self._going = ""  # the key of one that is deleted at the next press of its button
        self._order = asyncio.Lock()  # a list that was asked for later is shown later
        for event in ("click", "change"):
            self._at("adapters-kept").addEventListener(event, create_proxy(self._heard))

    async def list(self) -> None:
        """Show what is kept."""
        async with self._order:
            self._entries = {entry.key: entry for entry in await self._parts.holder.adapters.kept()}
            items = [self._item(entry) for entry in self._entries.values()]
            self._parts.elements.items("adapters-kept", "".join(items))

    def _item(self, entry: Entry) -> str:
        words, about, holder = self._words, entry.about, self._parts.holder
        facts = [
            numbers.size(entry.nbytes),
            words("adapters.for", name=about.base) if about.base else "",
            about.origin,
            about.format,
        ]
        said = "".join(f"<span>{escape(fact)}</span>" for fact in facts if fact)
        key = escape(entry.key)
        parts = []
        if holder.engine is not None:
            on = " checked" if holder.adapters.on(holder.engine, entry.key) else ""
            text = escape(words("adapters.on", name=holder.title))
            parts.append(f'<label><input type="checkbox" data-do="on" data-on="{key}"{on}>{text}</label>')
        sure = words("models.drop.sure" if self._going == entry.key else "models.drop")
        parts.append(f'<button type="button" data-do="drop" data-on="{key}">{escape(sure)}</button>')
        title = (
            f'<input type="text" value="{escape(entry.title)}" aria-label="{escape(words("adapters.rename"))}"'
            f' data-do="rename" data-on="{key}" spellcheck="false" autocomplete="off">'
        )
        return f"<li>{title}<small>{said}</small><p>{''.join(parts)}</p></li>"

    def _heard(self, event: Any) -> None:
        target = event.target.closest("[data-do]")
        if not target:
            return
        do, key = str(target.dataset.do), str(target.dataset.on)
        if (str(event.type) == "change") == (do in ("rename", "on")):
            self._parts.do(self._act(do, key, str(target.value), do == "on" and bool(target.checked)))

    async def _act(self, do: str, key: str, value: str, checked: bool) -> None:
        going, self._going = self._going, ""
        holder, entry = self._parts.holder, self._entries.get(key)
        fault = None
        try:
            if entry is None:
                pass  # another tab deleted it
            elif do == "on":
                await holder.use_adapter(key, checked)
            elif do == "rename":
                await (await holder.stock.library()).rename(entry, value)
            elif going == key:
                await holder.use_adapter(key, False)
                await holder.adapters.remove(entry)
            else:
                self._going = key
        except SottoError as error:
            fault = error
        self._parts.elements.fault("adapters-fault", *reason(self._words, fault, "adapter"))
        await self.list()
