"""One model for all screens: one of them writes at a time, in the order of asking, and nobody while it is lent."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Sequence
from contextlib import nullcontext
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from sotto.errors import Cancelled


class Engine:
    """Writes until it is stopped."""

    def __init__(self) -> None:
        self.stopped = asyncio.Event()
        self.writers = 0
        self.closed = False

    def stop(self) -> None:
        self.stopped.set()

    async def write(self) -> None:
        self.writers += 1
        assert self.writers == 1, "two at a time"
        assert not self.closed
        await self.stopped.wait()
        await asyncio.sleep(0.01)  # what is on its way still lands
        self.stopped.clear()
        self.writers -= 1

    def close(self) -> None:
        assert self.writers == 0
        self.closed = True


@pytest.fixture
def make_holder(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a holder that has a model; the modules of the browser are empty here."""
    for name in ("pyodide", "pyodide.ffi"):
        module = ModuleType(name)
        for attribute in ("create_proxy", "JsException", "run_sync"):
            setattr(module, attribute, None)
        monkeypatch.setitem(sys.modules, name, module)
    before = set(sys.modules)
    from sotto.page import web
    from sotto.page.model_holder import ModelHolder

    monkeypatch.setitem(vars(web), "at_work", None)

    def make() -> Any:
        browser: Any = SimpleNamespace(storage=None)
        hub: Any = None
        holder = ModelHolder(browser, {"default": "", "models": []}, hub, 0.0, nullcontext)
        holder.engine = Engine()  # type: ignore[assignment]
        holder.opened = SimpleNamespace(kind="cpu", device=SimpleNamespace(close=lambda: None))  # type: ignore[assignment]
        return holder

    yield make
    for name in set(sys.modules) - before:
        del sys.modules[name]


async def write(holder: Any, told: list[str], name: str, wanted: Sequence[bool] = (True,)) -> None:
    """Write as soon as it can be, if it still is `wanted` then: not when that is empty."""
    try:
        async with holder.turn(lambda: bool(wanted)) as engine:
            told.append(f"{name} begins")
            await engine.write()
        told.append(f"{name} ends")
    except Cancelled:
        told.append(f"{name} does not")


def run(work: Coroutine[Any, Any, None]) -> None:
    async def within() -> None:
        await asyncio.wait_for(work, 5)

    asyncio.run(within())


def test_who_asks_waits_for_who_writes(make_holder: Any) -> None:
    async def work() -> None:
        holder, told = make_holder(), []
        writers = []
        for name in ("one", "two", "three"):
            writers.append(asyncio.ensure_future(write(holder, told, name)))
            await asyncio.sleep(0)
        await asyncio.sleep(0.02)
        assert told == ["one begins"] and holder.writing and holder.ready
        for ended in range(1, 4):
            holder.stop()
            await asyncio.sleep(0.05)
            assert sum(word.endswith("ends") for word in told) == ended
        await asyncio.gather(*writers)
        assert told == ["one begins", "one ends", "two begins", "two ends", "three begins", "three ends"]
        assert not holder.writing

    run(work())


def test_who_no_longer_wants_the_turn_does_not_get_it(make_holder: Any) -> None:
    async def work() -> None:
        holder, told = make_holder(), []
        one = asyncio.ensure_future(write(holder, told, "one"))
        await asyncio.sleep(0)
        two = asyncio.ensure_future(write(holder, told, "two", wanted := [True]))
        three = asyncio.ensure_future(write(holder, told, "three"))
        await asyncio.sleep(0)
        wanted.clear()
        holder.stop()
        await asyncio.sleep(0.05)
        holder.stop()
        await asyncio.gather(one, two, three)
        assert told == ["one begins", "one ends", "two does not", "three begins", "three ends"]

    run(work())


def test_lending_ends_what_is_written_and_what_is_asked_for(make_holder: Any) -> None:
    async def work() -> None:
        holder, told = make_holder(), []
        engine = holder.engine
        one = asyncio.ensure_future(write(holder, told, "one"))
        before = asyncio.ensure_future(write(holder, told, "who waited"))
        await asyncio.sleep(0)
        async with holder.lent():
            assert told == ["one begins", "one ends", "who waited does not"]
            assert engine.closed and holder.engine is None and not holder.ready
            two = asyncio.ensure_future(write(holder, told, "two"))
            await holder.want()  # waits for nothing, and loads nothing
            await asyncio.sleep(0.02)
            assert holder.engine is None
        await asyncio.gather(one, before, two)
        assert told[-1] == "two does not"

    run(work())
