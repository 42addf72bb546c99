"""The document's elements by their ids, which are those of web/index.html."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from pyodide.ffi import create_proxy

from . import web

Change = tuple[str, str, Any]  # selector, what of it, value: as web/boot.js has it in `paint`


class _Element:
    """An element, not looked for before something is asked of it. What is set in it is a change like others."""

    def __init__(self, page: Elements, selector: str) -> None:
        self.__dict__.update(_page=page, _selector=selector)

    def __setattr__(self, name: str, value: Any) -> None:
        self._page.paint([(self._selector, f".{name}", value)])

    def __getattr__(self, name: str) -> Any:
        return (
            _Data(self._page, self._selector) if name == "dataset" else self._page.ask(self._selector, name)
        )


class _Data:
    """The data- attributes of an element, likewise."""

    def __init__(self, page: Elements, selector: str) -> None:
        self.__dict__.update(_page=page, _selector=selector)

    def __setattr__(self, name: str, value: str) -> None:
        attribute = re.sub("[A-Z]", lambda letter: f"-{letter[0].lower()}", name)
        self._page.paint([(self._selector, f"data-{attribute}", value)])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._page.ask(self._selector, "dataset"), name)


class Elements:
    """Every question is a call from this worker into the page, which waits for its turn there; so is every change, but
    for those that are made together.

    Attributes:
        root: the document's own element.
    """

    def __init__(self) -> None:
        page = web.window
        self._paint, self._listen, self._focused = page.paint, page.listen, page.focused  # of web/boot.js
        self._find = web.document.querySelector
        self._found: dict[str, Any] = {}
        self._complaints: dict[str, str] = {}
        self._handlers: list[Callable[[str, str, str], object]] = []
        self._heard = create_proxy(self._hear)
        self._together = 0  # so many wait with what they change
        self._wanted: list[tuple[str, str, int]] = []  # ids, events and numbers of handlers
        self._changes: list[Change] = []
        self.root: Any = _Element(self, ":root")

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is changed meanwhile, and who is to hear of what, is told to the page in one call: in the end, or before
        anything is asked of an element."""
        self._together += 1
        try:
            yield
        finally:
            self._together -= 1
            self._tell()

    def at(self, name: str) -> Any:
        """The element with an id, which is always the same."""
        return _Element(self, f"#{name}")

    def passing(self, name: str) -> Any:
        """The element that has an id now, of those that come and go."""
        self._tell(now=True)
        return self._find(f"#{name}")

    def ask(self, selector: str, name: str) -> Any:
        """A property or a method of an element, by its id or of the root."""
        self._tell(now=True)
        if selector not in self._found:
            self._found[selector] = self._find(selector)
        return getattr(self._found[selector], name)

    def focused(self) -> str:
        """The id of the element that has the keyboard; may be empty."""
        self._tell(now=True)
        return str(self._focused())

    def holds_focus(self, name: str) -> bool:
        """Whether the keyboard is in an element or in what lies in it."""
        return bool(self.at(name).contains(web.document.activeElement))

    def on(self, name: str, event: str, handler: Callable[[], object]) -> None:
        """Call a handler at every such event of an element."""
        self._hear_of(name, event, lambda does, on, at: handler())

    def on_choice(self, name: str, handler: Callable[[str, str], object]) -> None:
        """Call a handler with what is to be done in an element, and with what: the data-do and data-on of what was
        pressed."""
        self._hear_of(name, "click", lambda does, on, at: does and handler(does, on))

    def on_part(self, name: str, event: str, handler: Callable[[str], object]) -> None:
        """Call a handler with the id of that part of an element to which an event happens."""
        self._hear_of(name, event, lambda does, on, at: handler(at))

    def say(self, name: str, text: str) -> None:
        """Make a text all that an element holds."""
        self.paint([(f"#{name}", "text", text)])

    def fault(self, name: str, text: str, detail: str) -> None:
        """Tell what went wrong in a place, with its details in `<name>-detail`; nothing where nothing did."""
        self.paint(
            [
                (f"#{name}", "text", text),
                (f"#{name}-detail", "text", detail),
                (f"#{name}-more", ".hidden", not detail),
            ]
        )

    def options(self, name: str, choices: Iterable[tuple[str, str]]) -> None:
        """Add choices, values and what they are called, to a select."""
        self.paint([(f"#{name}", "options", list(choices))])

    def complain(self, name: str, text: str) -> None:
        """Say beside a field why what is in it cannot be; "" takes that back."""
        if text == self._complaints.get(name, ""):
            return
        field, place = self.at(name), f"{name}-fault"
        if name not in self._complaints:
            note = web.document.createElement("p")
            note.id, note.className, note.hidden = place, "fault", True
            note.setAttribute("role", "alert")
            field.closest("label").after(note)
            field.setAttribute("aria-describedby", place)
        self._complaints[name] = text
        self.say(place, text)
        self.at(place).hidden = not text
        field.ariaInvalid = "true" if text else "false"

    def items(self, name: str, html: str) -> None:
        """Make markup all that a list holds; what a person is doing with an item that is there again, by its id, goes
        on."""
        self.paint([(f"#{name}", "items", html)])

    def lines(self, name: str, lines: Iterable[str]) -> None:
        """Make texts the lines of an element."""
        parts = [part for line in lines for part in (("br", ""), ("", line))]
        self.paint([(f"#{name}", "parts", parts[1:])])

    def spans(self, name: str, texts: Iterable[str]) -> None:
        """Make texts the spans of an element."""
        parts = [part for text in texts for part in (("span", text), ("", " "))]
        self.paint([(f"#{name}", "parts", parts)])

    def marks(self, name: str, parts: Iterable[tuple[str, bool]]) -> None:
        """Make texts all that an element holds; those with True are marked."""
        self.paint([(f"#{name}", "parts", [("mark" if marked else "", text) for text, marked in parts])])

    def paint(self, changes: Iterable[Change]) -> None:
        """Many changes in one call."""
        self._changes += changes
        self._tell()

    def _hear_of(self, name: str, event: str, handler: Callable[[str, str, str], object]) -> None:
        self._wanted.append((name, event, len(self._handlers)))
        self._handlers.append(handler)
        self._tell()

    def _hear(self, number: int, does: str, on: str, at: str) -> None:
        self._handlers[number](str(does), str(on), str(at))

    def _tell(self, now: bool = False) -> None:
        """Tell the page what there is to tell, unless more may come. Who hears of what goes first: a change may let it
        happen."""
        if self._together and not now:
            return
        wanted, self._wanted, changes, self._changes = self._wanted, [], self._changes, []
        if wanted:
            self._listen(json.dumps(wanted), self._heard)
        if changes:
            self._paint(json.dumps(changes))
