"""One model for all screens: one of them writes at a time, the one who asked last, and nobody while it is lent."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
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
    for name in ("pyscript", "pyscript.js_modules", "pyscript.ffi", "pyodide", "pyodide.ffi"):
        module = ModuleType(name)
        for attribute in (
            "bridge",
            "cpu",
            "ranges",
            "store",
            "document",
            "window",
            "create_proxy",
            "JsException",
            "run_sync",
        ):
            setattr(module, attribute, None)
        monkeypatch.setitem(sys.modules, name, module)
    before = set(sys.modules)
    from sotto.page.model_holder import ModelHolder

    def make() -> Any:
        holder = ModelHolder(SimpleNamespace(), {"default": "", "models": []}, 0.0)  # type: ignore[arg-type]
        holder.engine = Engine()  # type: ignore[assignment]
        holder.opened = SimpleNamespace(device=SimpleNamespace(close=lambda: None))  # type: ignore[assignment]
        return holder

    yield make
    for name in set(sys.modules) - before:
        del sys.modules[name]


async def write(holder: Any, told: list[str], name: str) -> None:
    try:
        async with holder.turn() as engine:
            told.append(f"{name} begins")
            await engine.write()
        told.append(f"{name} ends")
    except Cancelled:
        told.append(f"{name} does not")


def run(work: Coroutine[Any, Any, None]) -> None:
    async def within() -> None:
        await asyncio.wait_for(work, 5)

    asyncio.run(within())


def test_the_last_who_asked_comes_next(make_holder: Any) -> None:
    async def work() -> None:
        holder, told = make_holder(), []
        writers = []
        for name in ("one", "two", "three"):
            writers.append(asyncio.ensure_future(write(holder, told, name)))
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        assert told == ["one begins", "one ends", "two does not", "three begins"]
        assert holder.ready
        holder.stop()
        await asyncio.gather(*writers)
        assert told[-1] == "three ends"

    run(work())


def test_lending_ends_what_is_written_and_what_is_asked_for(make_holder: Any) -> None:
    async def work() -> None:
        holder, told = make_holder(), []
        engine = holder.engine
        one = asyncio.ensure_future(write(holder, told, "one"))
        await asyncio.sleep(0)
        async with holder.lent():
            assert told == ["one begins", "one ends"]
            assert engine.closed and holder.engine is None and not holder.ready
            two = asyncio.ensure_future(write(holder, told, "two"))
            await holder.want()  # waits for nothing, and loads nothing
            await asyncio.sleep(0.02)
            assert holder.engine is None
        await asyncio.gather(one, two)
        assert told[-1] == "two does not"

    run(work())
