"""The document's elements by their ids, which are those of web/index.html."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from pyodide.ffi import create_proxy

from . import web

Change = tuple[str, str, str]  # selector, "text" or a style or an attribute, value


class Elements:
    """Every access is a call from this worker into the page, which waits for its turn there."""

    def __init__(self) -> None:
        self._found: dict[str, Any] = {}
        self._complaints: dict[str, str] = {}
        self._paint, self._listen, self._offer = (
            web.window.paint,
            web.window.listen,
            web.window.offer,
        )  # of web/boot.js
        self.root = web.document.documentElement

    def at(self, name: str) -> Any:
        """The element with an id."""
        if name not in self._found:
            self._found[name] = web.document.getElementById(name)
        return self._found[name]

    def focused(self) -> str:
        """The id of the element that has the keyboard; may be empty."""
        return str(web.document.activeElement.id if web.document.activeElement else "")

    def holds_focus(self, name: str) -> bool:
        """Whether the keyboard is in an element or in what lies in it."""
        return bool(self.at(name).contains(web.document.activeElement))

    def on(self, name: str, event: str, handler: Callable[[], object]) -> None:
        """Call a handler at every such event of an element."""
        self._listen(name, event, create_proxy(lambda _event: handler()))

    def on_choice(self, name: str, handler: Callable[[str, str], object]) -> None:
        """Call a handler with what is to be done in an element, and with what: the data-do and data-on of what was
        pressed."""

        def heard(event: Any) -> None:
            if target := event.target.closest("[data-do]"):
                handler(str(target.dataset.do), str(target.dataset.on))

        self._listen(name, "click", create_proxy(heard))

    def say(self, name: str, text: str) -> None:
        """Make a text all that an element holds."""
        self.at(name).textContent = text

    def fault(self, name: str, text: str, detail: str) -> None:
        """Tell what went wrong in a place, with its details in `<name>-detail`; nothing where nothing did."""
        self.say(name, text)
        self.say(f"{name}-detail", detail)
        self.at(f"{name}-more").hidden = not detail

    def options(self, name: str, choices: Iterable[tuple[str, str]]) -> None:
        """Add choices, values and what they are called, to a select."""
        self._offer(name, json.dumps(list(choices)))

    def complain(self, name: str, text: str) -> None:
        """Say beside a field why what is in it cannot be; "" takes that back."""
        if text == self._complaints.get(name, ""):
            return
        self._complaints[name] = text
        field, place = self.at(name), f"{name}-fault"
        if place not in self._found:
            note = web.document.createElement("p")
            note.id, note.className, note.hidden = place, "fault", True
            note.setAttribute("role", "alert")
            field.closest("label").after(note)
            field.setAttribute("aria-describedby", place)
            self._found[place] = note
        self.at(place).textContent = text
        self.at(place).hidden = not text
        field.ariaInvalid = "true" if text else "false"

    def lines(self, name: str, lines: Iterable[str]) -> None:
        """Make texts the lines of an element."""
        place = self.at(name)
        place.textContent = ""
        for i, line in enumerate(lines):
            place.append(*([web.document.createElement("br")] if i else []), line)

    def spans(self, name: str, texts: Iterable[str]) -> None:
        """Make texts the spans of an element."""
        place = self.at(name)
        place.textContent = ""
        for text in texts:
            span = web.document.createElement("span")
            span.textContent = text
            place.append(span, " ")

    def marks(self, name: str, parts: Iterable[tuple[str, bool]]) -> None:
        """Make texts all that an element holds; those with True are marked."""
        place = self.at(name)
        place.textContent = ""
        for text, marked in parts:
            if marked:
                mark = web.document.createElement("mark")
                mark.textContent = text
                place.append(mark)
            else:
                place.append(text)

    def paint(self, changes: Iterable[Change]) -> None:
        """Many changes in one call."""
        self._paint(json.dumps(list(changes)))
