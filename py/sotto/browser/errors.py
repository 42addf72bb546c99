"""The bridges' errors as Sotto's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyodide.ffi import JsException

from ..errors import (
    AssetError,
    Cancelled,
    DeviceError,
    DeviceLost,
    LimitError,
    OutOfMemory,
    SottoError,
    StoreDamaged,
    StoreFull,
    Unreachable,
)

_BROWSERS = (
    "Use Chrome or Edge 113 or newer, Safari 26 or newer, or Firefox 141 or newer, on a computer or phone "
    "with a GPU; where the browser is new enough, its hardware acceleration may be switched off."
)


Told = Callable[[str, str], SottoError]

# What each kind of BridgeError means to a person: made of the thing it is about and of JavaScript's message.
_ERRORS: dict[str, Told] = {
    "NoWebGPU": lambda what, why: DeviceError(f"This browser has no WebGPU here ({why}).", _BROWSERS),
    "NoAdapter": lambda what, why: DeviceError(f"The browser gives no access to a GPU ({why}).", _BROWSERS),
    "Limit": lambda what, why: LimitError(
        f"The model is too large for this GPU: {why}.", "Choose a smaller model or a shorter context."
    ),
    "OutOfMemory": lambda what, why: OutOfMemory(
        f"The GPU ran out of memory ({why}).",
        "Close other tabs, or choose a smaller model or a shorter context.",
    ),
    "Compile": lambda what, why: DeviceError(
        f"The GPU driver refused a kernel: {why}", "Update the browser and the graphics driver."
    ),
    "Invalid": lambda what, why: DeviceError(
        f"The GPU refused a command: {why}", "This is a mistake in Sotto: please report it with this message."
    ),
    "DeviceLost": lambda what, why: DeviceLost(
        f"The GPU was lost ({why}).", "Load the model again; your text is kept."
    ),
    "Cancelled": lambda what, why: Cancelled(),
    "StoreUnavailable": lambda what, why: StoreFull(
        f"The browser did not keep the converted weights ({why}).",
        "The model still runs, but the next visit converts it again.",
    ),
    "StoreFull": lambda what, why: StoreFull(
        f"The browser's storage has no room for the converted weights ({why}).",
        "The model still runs, but the next visit converts it again; free disk space to avoid that.",
    ),
    "StoreDamaged": lambda what, why: StoreDamaged.of(why),
    "NoRange": lambda what, why: SottoError(
        f"{what} cannot be read in parts: {why}.", "Serve it with a server that supports HTTP Range."
    ),
    "HttpStatus": lambda what, why: SottoError(
        f"{what} cannot be read: {why}.", "Check its address, then try again."
    ),
    "WebPage": lambda what, why: AssetError(
        f"{what} cannot be fetched: a web page came in its place.",
        "A sign-in page of this network may have answered: open another page, then try again.",
        "page",
    ),
    "Replaced": lambda what, why: AssetError(
        f"{what} was replaced while it was fetched ({why}).", "Try again: it begins anew.", "replaced"
    ),
    "Unreadable": lambda what, why: SottoError(
        f"{what} cannot be read ({why}).", "It may have been moved or changed: choose it again.", "unreadable"
    ),
    "Network": Unreachable,
}


@contextmanager
def for_people(what: str = "The model") -> Iterator[None]:
    """Turn a JavaScript error into the SottoError of its kind; `what` names the file it is about."""
    try:
        yield
    except JsException as error:
        told = _ERRORS.get(error.name)
        if told is None:
            raise
        raise told(what, str(error.message).rstrip(".\n ")) from error
