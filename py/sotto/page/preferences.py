"""How everything is written: the fields of the screen "settings", checked, remembered, and asked by all screens."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from urllib.parse import parse_qs

from ..errors import InvalidSetting
from . import fields
from .browser import Browser
from .elements import Elements
from .options import Options
from .words import Words

# The ids of fields that are not called as the option is: those names are elements of the screens.
_IDS = {"versions": "versions-wanted", "stop": "stop-texts"}


class Preferences:
    """What the address asks for goes before what was written at an earlier visit, and that before the defaults; what is
    written now goes before all.

    Attributes:
        faulty: the option whose field holds what cannot be, as `check` found; empty for none.
    """

    def __init__(self, browser: Browser, elements: Elements, words: Words) -> None:
        self._browser = browser
        self._elements = elements
        self._words = words
        self._at = elements.at
        self.faulty = ""
        self._fill(self._begin())
        for name in fields.FIELDS:
            elements.on(_id(name), "change", partial(self._changed, name))
        elements.on("loop-guard", "change", self._guard)
        elements.on("preferences-reset", "click", self._reset)
        self._wanted = ""  # the field to which the person is on the way
        self._at("preferences-fields").disabled = False

    def check(self) -> Options:
        """The options as they are written; what cannot be is told beside its field, and changes nothing."""
        written = {name: self._written(name) for name in fields.FIELDS}
        options, faults = fields.read(Options(), written)
        for name in fields.FIELDS:
            error = faults.get(name)
            self._elements.complain(_id(name), fields.complaint(self._words, error) if error else "")
        self.faulty = next(iter(faults), "")
        return replace(options, loop_guard=bool(self._at("loop-guard").checked))

    def show_faulty(self) -> None:
        """Take the person to the field that is wrong."""
        self._wanted = self.faulty
        self._browser.go("settings")

    def opened(self) -> None:
        """The screen is shown now."""
        if self._wanted:
            self._at(_id(self._wanted)).focus()
            self._wanted = ""

    def _written(self, name: str) -> str:
        return str(self._at(_id(name)).value)

    def _begin(self) -> Options:
        """What stands in the fields at first."""
        query, storage = self._browser.query(), self._browser.storage
        try:
            options = Options.from_query(query)
        except InvalidSetting:
            options = Options()  # it is told by the load that the address asks for
        asked = parse_qs(query.removeprefix("?"))
        kept = {name: storage.remembered(f"setting.{name}") for name in fields.FIELDS if name not in asked}
        options, _ = fields.read(options, {name: text for name, text in kept.items() if text})
        if "loop_guard" not in asked:
            options = replace(options, loop_guard=storage.remembered("setting.loop_guard") != "off")
        return options

    def _fill(self, options: Options) -> None:
        for name in fields.FIELDS:
            self._at(_id(name)).value = fields.shown(options, name)
        self._at("loop-guard").checked = options.loop_guard

    def _changed(self, name: str) -> None:
        """Remember what a field says, unless that cannot be; nothing where it says what it would say anyway."""
        self.check()
        self._elements.say("preferences-note", "")
        text = self._written(name)
        options, faults = fields.read(Options(), {name: text})
        if not faults:
            self._browser.storage.remember(f"setting.{name}", "" if options == Options() else text)

    def _guard(self) -> None:
        self._browser.storage.remember("setting.loop_guard", "" if self._at("loop-guard").checked else "off")

    def _reset(self) -> None:
        """As if nothing had ever been written."""
        for name in (*fields.FIELDS, "loop_guard"):
            self._browser.storage.remember(f"setting.{name}", "")
        self._fill(Options())
        self.check()
        self._elements.say("preferences-note", self._words("settings.reset.done"))


def _id(name: str) -> str:
    """The id of an option's field."""
    return _IDS.get(name) or name.replace("_", "-")
