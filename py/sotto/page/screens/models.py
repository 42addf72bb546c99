"""The models of this browser: what is kept, what the server has beside it, and a person's own file."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from html import escape
from typing import Any

from pyodide.ffi import create_proxy

from ...errors import SottoError
from ...library.library import Entry, to_delete
from .. import format as numbers
from ..adapters_panel import AdaptersPanel
from ..faults import Fault
from ..hub_panel import HubPanel
from ..notice import Notice, remedies
from ..observer import Observer
from ..options import Model
from ..parts import Parts
from ..reasons import reason

SPARE = 1_000_000_000  # bytes of room, below which it is said what could go


class ModelsScreen(Observer):
    """The screen "models"."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._words = parts.words
        self._at = parts.elements.at
        self._holder = parts.holder
        self._notice = Notice(parts.elements, parts.words, parts.panel, "models-error")
        self._hub = HubPanel(parts)
        self._adapters = AdaptersPanel(parts)
        self._entries: dict[str, Entry] = {}
        self._going = ""  # the key of a model that is deleted at the next press of its button
        self._order = asyncio.Lock()  # a list that was asked for later is shown later
        for name in ("models-kept", "models-offered"):
            for event in ("click", "change"):
                self._at(name).addEventListener(event, create_proxy(self._heard))
        parts.elements.on("models-persist", "click", lambda: parts.do(self._persist()))
        parts.holder.observe(self)

    async def open(self, asked: str) -> None:
        await self._list()
        await self._holder.want()

    # --- what the holder tells

    def loading(self) -> None:
        self._notice.hide()
        self._parts.do(self._list())

    def loaded(self) -> None:
        self._parts.do(self._list())

    def adapted(self) -> None:
        self._parts.do(self._list())

    def failed(self, fault: Fault) -> None:
        parts = self._parts
        self._notice.tell(fault, *remedies(fault, parts.browser, parts.holder, parts.do))
        parts.do(self._list())

    # --- the lists

    async def _list(self) -> None:
        async with self._order:
            stock = self._holder.stock
            entries = [entry for entry in await (await stock.library()).entries() if entry.kept]
            self._entries = {entry.key: entry for entry in entries}
            kept = [self._kept(entry) for entry in entries]
            none = f"<li>{escape(self._words('models.kept.none'))}</li>"
            self._parts.elements.items("models-kept", "".join(kept) or none)
            here = [stock.offered(entry.key) for entry in entries]
            offered = [
                self._offered(number, row)
                for number, row in enumerate(self._parts.models["models"])
                if row not in here
            ]
            self._parts.elements.items("models-offered", "".join(offered))
            self._at("models-server").hidden = not offered
            await self._adapters.list()
            await self._hub.list_unfinished()
            await self._room(entries)

    def _kept(self, entry: Entry) -> str:
        words, about, key = self._words, entry.about, escape(entry.key)
        in_use = entry.key == self._holder.key
        facts = [
            numbers.size(entry.nbytes),
            words("models.used", date=entry.used[:10]),
            about.origin or words("models.from.file"),
            about.licence,
            about.format,
            words("models.layout", version=entry.kept.layout_version) if entry.kept else "",
        ]
        if not entry.current:
            facts.append(words("models.other.layout"))
        title = (
            f'<input type="text" value="{escape(entry.title)}" aria-label="{escape(words("models.rename"))}"'
            f' data-do="rename" data-on="{key}" spellcheck="false" autocomplete="off">'
        )
        buttons = [f"<b>{escape(words('models.in.use'))}</b>"] if in_use else []
        if entry.current and not in_use:
            buttons.append(self._button("use", entry.key, words("models.use")))
        buttons.append(
            f'<label><input type="checkbox" data-do="keep" data-on="{key}"'
            f"{' checked' if about.pinned else ''}>{escape(words('models.keep'))}</label>"
        )
        sure = self._going == entry.key
        buttons.append(self._button("drop", entry.key, words("models.drop.sure" if sure else "models.drop")))
        return self._item(title, facts, buttons)

    def _offered(self, number: int, model: Model) -> str:
        in_use = self._holder.engine is not None and self._holder.model is model
        button = self._button("take", str(number), self._words("models.use"))
        if in_use:
            button = f"<b>{escape(self._words('models.in.use'))}</b>"
        size = sum(file["size"] for file in model.get("files", [model]))
        return self._item(f"<b>{escape(model['name'])}</b>", [numbers.size(size)], [button])

    def _button(self, do: str, key: str, text: str) -> str:
        return f'<button type="button" data-do="{do}" data-on="{escape(key)}">{escape(text)}</button>'

    def _item(self, title: str, facts: Sequence[str], buttons: Sequence[str]) -> str:
        said = "".join(f"<span>{escape(fact)}</span>" for fact in facts if fact)
        return f"<li>{title}<small>{said}</small><p>{''.join(buttons)}</p></li>"

    async def _room(self, entries: Sequence[Entry]) -> None:
        """How much room there is, whether it is safe, which model found none, and what could go."""
        words, say, holder = self._words, self._parts.elements.say, self._holder
        room = await holder.stock.room()
        used, free, persisted = room["used"], room["free"], room["persisted"]
        told = free is not None
        if told:  # browsers count late what was written a moment ago
            used = max(used, sum(entry.nbytes for entry in entries))
        say(
            "models-room",
            words("models.room", used=numbers.size(used), free=numbers.size(free)) if told else "",
        )
        self._at("models-persist").hidden = persisted is not False or not entries
        say("models-safe", words("models.persisted") if persisted else "")
        wanted, lines = SPARE, []
        if holder.engine is not None and not holder.kept:
            wanted = holder.engine.load_stats.device_bytes["weights"]
            lines.append(words("models.unkept", name=holder.title, size=numbers.size(wanted)))
        if lines or (told and free < SPARE):
            able = to_delete(entries, wanted, holder.key)
            names = words("comma").join(f"{entry.title} ({numbers.size(entry.nbytes)})" for entry in able)
            lines += [words("models.able", names=names)] if names else []
        self._parts.elements.lines("models-able", lines)

    # --- what a person does

    def _heard(self, event: Any) -> None:
        target = event.target.closest("[data-do]")
        if not target:
            return
        do, key = str(target.dataset.do), str(target.dataset.on)
        if (str(event.type) == "change") == (do in ("rename", "keep")):
            checked = do == "keep" and bool(target.checked)
            self._parts.do(self._act(do, key, str(target.value), checked))

    async def _act(self, do: str, key: str, value: str, checked: bool) -> None:
        going, self._going = self._going, ""
        holder, entry = self._holder, self._entries.get(key)
        library = await holder.stock.library()
        fault = None
        try:
            if do == "take":
                await holder.use_model(self._parts.models["models"][int(key)])
            elif entry is None:
                pass  # another tab deleted it
            elif do == "use":
                await holder.use_model(holder.stock.row(entry))
            elif do == "rename":
                await library.rename(entry, value)
                holder.renamed(key, (await library.find(key)).title)
                self._parts.elements.say("model-name", holder.title)
            elif do == "keep":
                await library.pin(entry, checked)
                if checked:
                    await holder.stock.persist()
            elif going == key:
                await library.remove(entry)
                holder.last.forget(key)
                holder.chosen.forget(key)
            else:
                self._going = key
        except SottoError as error:
            fault = error
        self._parts.elements.fault("models-fault", *reason(self._words, fault))
        await self._list()

    async def _persist(self) -> None:
        granted = await self._holder.stock.persist()
        await self._list()
        if not granted:
            self._parts.elements.say("models-safe", self._words("models.persist.refused"))


def make(parts: Parts) -> ModelsScreen:
    """The screen."""
    return ModelsScreen(parts)
