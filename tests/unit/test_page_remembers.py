"""What a browser keeps, and that one which refuses in any way still has a page that works."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sotto.page.last_model import LastModel
from sotto.page.storage import Storage


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


def blocked() -> Area:
    raise OSError("SecurityError")


def test_what_is_kept_is_there_at_the_next_visit() -> None:
    area = Area()
    storage = Storage(lambda: area)
    assert storage.keeps and area.kept == {}
    assert storage.remembered("device") == ""
    assert storage.remember("device", "gpu")
    assert area.kept == {"sotto.device": "gpu"}
    again = Storage(lambda: area)
    assert again.remembered("device") == "gpu"
    assert [again.first_time("stayed"), again.first_time("stayed")] == [True, False]
    assert not Storage(lambda: area).first_time("stayed")


@pytest.mark.parametrize(
    "area",
    [
        blocked,
        lambda: None,
        *(lambda r=refused: Area(*r) for refused in (("set",), ("get", "set", "remove"))),
    ],
)
def test_a_browser_that_refuses_keeps_nothing_and_breaks_nothing(area: Callable[[], Area]) -> None:
    storage = Storage(area)
    assert not storage.keeps
    assert storage.remembered("device") == ""
    assert not storage.remember("device", "gpu")
    assert storage.remembered("device") == "gpu"  # while the page is open
    assert [storage.first_time("stayed"), storage.first_time("stayed")] == [True, False]
    assert Storage(area).remembered("device") == ""


def test_a_browser_that_becomes_full_later() -> None:
    area = Area()
    storage = Storage(lambda: area)
    area.refused.add("set")
    assert storage.keeps and not storage.remember("benchmarks", "[]")


def test_the_model_that_was_taken_last_comes_back_while_the_default_is_the_same() -> None:
    area = Area()
    last = LastModel(Storage(lambda: area), "small")
    assert last.name == ""
    last.keep("a key", "My own", "owner/name:file")
    again = LastModel(Storage(lambda: area), "small")
    assert (again.name, again.title, again.origin) == ("a key", "My own", "owner/name:file")
    assert LastModel(Storage(lambda: area), "large").name == "", "the server was started with another one"
    again.forget("another key")
    assert again.name == "a key"
    again.forget("a key")
    assert again.name == "" and again.title == "My own"
