"""What Python tells the page of its elements: in as few calls as can be, and in the order in which it was said."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from sotto.page import web


class Page:
    """Stands for web/boot.js and the document.

    Attributes:
        told: the calls that came.
        heard: what `listen` was given to call.
    """

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.heard: Callable[..., None] = print
        field = SimpleNamespace(
            value="typed", focus=lambda: self.told.append("focus"), dataset=SimpleNamespace(do="it")
        )
        self.window = SimpleNamespace(
            paint=lambda text: self.told.append(json.loads(text)),
            listen=self._listen,
            focused=lambda: "field",
        )
        self.document = SimpleNamespace(
            querySelector=lambda selector: {"#field": field, ":root": field}[selector]
        )

    def _listen(self, text: str, heard: Callable[..., None]) -> None:
        self.told.append(json.loads(text))
        self.heard = heard


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Page:
    """A page, and in `elements` what Python has of it."""
    made = Page()
    ffi = ModuleType("pyodide.ffi")
    ffi.__dict__["create_proxy"] = lambda function: function
    monkeypatch.setitem(sys.modules, "pyodide", ModuleType("pyodide"))
    monkeypatch.setitem(sys.modules, "pyodide.ffi", ffi)
    for name in ("window", "document"):
        monkeypatch.setitem(vars(web), name, getattr(made, name))
    monkeypatch.delitem(sys.modules, "sotto.page.elements", raising=False)
    return made


@pytest.fixture
def elements(page: Page) -> Any:
    from sotto.page.elements import Elements

    yield Elements()
    del sys.modules["sotto.page.elements"]


def test_a_change_is_told_at_once(page: Page, elements: Any) -> None:
    elements.say("field", "a text")
    elements.at("field").hidden = True
    elements.root.dataset.someState = "ready"
    elements.lines("field", ["one", "two"])
    assert page.told == [
        [["#field", "text", "a text"]],
        [["#field", ".hidden", True]],
        [[":root", "data-some-state", "ready"]],
        [["#field", "parts", [["", "one"], ["br", ""], ["", "two"]]]],
    ]


def test_what_is_done_together_is_told_together_and_who_listens_first(page: Page, elements: Any) -> None:
    with elements.together():
        elements.at("field").value = "new"
        with elements.together():
            elements.on("field", "change", lambda: None)
            elements.on("field", "input", lambda: None)
        elements.at("field").disabled = False
        assert page.told == []
    assert page.told == [
        [["field", "change", 0], ["field", "input", 1]],
        [["#field", ".value", "new"], ["#field", ".disabled", False]],
    ]


def test_whoever_asks_has_told_before(page: Page, elements: Any) -> None:
    with elements.together():
        elements.say("note", "first")
        assert elements.at("field").value == "typed"
        elements.say("note", "second")
        elements.at("field").focus()
        elements.say("note", "third")
        assert (elements.focused(), elements.at("field").dataset.do) == ("field", "it")
    assert page.told == [
        [["#note", "text", "first"]],
        [["#note", "text", "second"]],
        "focus",
        [["#note", "text", "third"]],
    ]


def test_what_was_said_is_told_when_something_fails(page: Page, elements: Any) -> None:
    with pytest.raises(ValueError, match="it"), elements.together():
        elements.say("note", "first")
        raise ValueError("it")
    assert page.told == [[["#note", "text", "first"]]]


def test_each_event_has_its_handler(page: Page, elements: Any) -> None:
    heard: list[Any] = []
    elements.on("field", "click", lambda: heard.append("click"))
    elements.on_choice("list", lambda does, on: heard.append((does, on)))
    elements.on_part("list", "input", heard.append)
    page.heard(0, "", "", "field")
    page.heard(1, "", "", "list")  # beside all that can be done
    page.heard(1, "drop", "7", "")
    page.heard(2, "", "", "part")
    assert heard == ["click", ("drop", "7"), "part"]
