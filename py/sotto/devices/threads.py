"""How many threads are fastest: measured, and remembered for a day."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable

from ..device import Processor
from ..store import Store

KEPT_SECONDS = 86_400
"""What was measured while the computer was busy may be wrong, and does not hold for ever."""


async def best_threads(device: Processor, time_token: Callable[[], Awaitable[float]]) -> int:
    """The number of threads with which a token is fastest; more is not always faster. `device` is left at it.

    Each number is timed three times, the best counts; the search ends when two more threads brought nothing.
    """
    best, fastest = 1, float("inf")
    for threads in range(1, device.traits.most_threads + 1):
        device.threads = threads
        seconds = min([await time_token() for _ in range(3)])
        if seconds < fastest:
            best, fastest = threads, seconds
        elif threads >= best + 2:
            break
    device.threads = best
    return best


async def remembered_threads(
    device: Processor,
    time_token: Callable[[], Awaitable[float]],
    store: Store | None,
    model: str,
    forget: bool = False,
) -> int:
    """`best_threads`, or what that found for a model with as many threads to choose from, in the last day.

    Args:
        device: is left at the number.
        time_token: as of `best_threads`.
        store: remembers it in a note.
        model: its key.
        forget: measure in any case.
    """
    most = device.traits.most_threads
    key = f"threads:{most}:{model}"
    note = await store.find_note(key) if store and not forget else None
    known = _known(note, most)
    if known:
        device.threads = known
        return known
    found = await best_threads(device, time_token)
    if store:
        await store.keep_note(key, json.dumps({"threads": found, "measured": time.time()}))
    return found


def _known(note: str | None, most: int) -> int:
    """The number in a note; 0 where there is none, or none that still holds."""
    try:
        given = json.loads(note or "")
        threads, age = given["threads"], time.time() - given["measured"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return 0
    return threads if type(threads) is int and 1 <= threads <= most and 0 <= age < KEPT_SECONDS else 0
