"""What a browser keeps, and that one which refuses in any way still has a page that works."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from sotto.page.last_model import LastModel
from sotto.page.storage import PREFIX, Storage

LONG = 100  # characters


class Area:
    """A localStorage that refuses what it is told to."""

    def __init__(self, *refused: str) -> None:
        self.refused = set(refused)
        self.kept: dict[str, str] = {}

    def _use(self, name: str) -> None:
        if name in self.refused:
            raise OSError(name)

    def getItem(self, key: str) -> str | None:  # noqa: N802
        self._use("get")
        return self.kept.get(key)

    def setItem(self, key: str, value: str) -> None:  # noqa: N802
        self._use("set")
        self.kept[key] = value

    def removeItem(self, key: str) -> None:  # noqa: N802
        self._use("remove")
        self.kept.pop(key, None)

    def read(self) -> str:
        """As web/boot.js reads it: without the texts that are long."""
        self._use("get")
        texts = {key.removeprefix(PREFIX): text for key, text in self.kept.items()}
        return json.dumps({name: text if len(text) < LONG else None for name, text in texts.items()})


def blocked() -> Area:
    raise OSError("SecurityError")


class Opened(Storage):
    """As a page that has just been opened has it.

    Attributes:
        later: what waits for the end of what goes on now.
    """

    def __init__(self, area: Callable[[], Area]) -> None:
        self.later: list[Callable[[], None]] = []
        super().__init__(area, lambda: area().read(), self.later.append)

    def go_on(self) -> None:
        """What goes on now has ended."""
        while self.later:
            self.later.pop()()


def test_what_is_kept_is_there_at_the_next_visit() -> None:
    area = Area()
    storage = Opened(lambda: area)
    assert storage.keeps and area.kept == {}
    assert storage.remembered("device") == ""
    assert storage.remember("device", "gpu")
    assert area.kept == {"sotto.device": "gpu"}
    again = Opened(lambda: area)
    assert again.remembered("device") == "gpu"
    assert [again.first_time("stayed"), again.first_time("stayed")] == [True, False]
    assert not Opened(lambda: area).first_time("stayed")


@pytest.mark.parametrize(
    "area",
    [
        blocked,
        lambda: None,
        *(lambda r=refused: Area(*r) for refused in (("set",), ("get", "set", "remove"))),
    ],
)
def test_a_browser_that_refuses_keeps_nothing_and_breaks_nothing(area: Callable[[], Area]) -> None:
    storage = Opened(area)
    assert not storage.keeps
    assert storage.remembered("device") == ""
    assert not storage.remember("device", "gpu")
    assert storage.remembered("device") == "gpu"  # while the page is open
    assert [storage.first_time("stayed"), storage.first_time("stayed")] == [True, False]
    assert Opened(area).remembered("device") == ""


def test_a_browser_that_becomes_full_later() -> None:
    area = Area()
    storage = Opened(lambda: area)
    assert storage.keeps
    area.refused.add("set")
    assert storage.keeps and not storage.remember("benchmarks", "[]")


def test_what_another_tab_changes_is_seen_when_python_goes_on() -> None:
    area = Area()
    storage, other = Opened(lambda: area), Opened(lambda: area)
    assert storage.remembered("device") == ""
    other.remember("device", "gpu")
    assert storage.remembered("device") == "", "read once for all that goes on now"
    storage.go_on()
    assert storage.remembered("device") == "gpu"
    other.forget("device")
    storage.go_on()
    assert storage.remembered("device") == "" and not area.kept


def test_a_long_text_is_read_by_itself() -> None:
    area, text = Area(), "a" * LONG
    Opened(lambda: area).remember("benchmarks", text)
    storage = Opened(lambda: area)
    assert storage.remembered("benchmarks") == text
    area.refused.add("get")
    assert storage.remembered("benchmarks") == ""


def test_what_is_forgotten_is_gone_at_once() -> None:
    area = Area()
    Opened(lambda: area).remember("device", "gpu")
    storage = Opened(lambda: area)
    assert storage.remembered("device") == "gpu"
    storage.forget("device")
    assert storage.remembered("device") == ""


def test_the_model_that_was_taken_last_comes_back_while_the_default_is_the_same() -> None:
    area = Area()
    last = LastModel(Opened(lambda: area), "small")
    assert last.name == ""
    last.keep("a key", "My own", "owner/name:file")
    again = LastModel(Opened(lambda: area), "small")
    assert (again.name, again.title, again.origin) == ("a key", "My own", "owner/name:file")
    assert LastModel(Opened(lambda: area), "large").name == "", "the server was started with another one"
    again.forget("another key")
    assert again.name == "a key"
    again.forget("a key")
    assert again.name == "" and again.title == "My own"
