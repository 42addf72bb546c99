"""Coroutines without an event loop: on a native device nothing is ever waited for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never really waits, as all of the engine's are on a native device.

    Raises RuntimeError when it does wait.
    """
    try:
        coroutine.send(None)
    except StopIteration as finished:
        return finished.value  # type: ignore[no-any-return]
    coroutine.close()
    raise RuntimeError("a coroutine of the native engine waited for something")


def iterate(pieces: AsyncIterator[T]) -> Iterator[T]:
    """An async iterator that never really waits, as a plain one. Closing it closes the other."""
    try:
        while True:
            try:
                yield drive(_next(pieces))
            except StopAsyncIteration:
                return
    finally:
        close = getattr(pieces, "aclose", None)
        if close is not None:
            drive(close())


async def _next(pieces: AsyncIterator[T]) -> T:
    return await anext(pieces)
