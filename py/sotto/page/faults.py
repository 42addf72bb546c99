"""What went wrong, as the page tells it."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, field

from ..errors import (
    ContextFull,
    DeviceError,
    FilesNeeded,
    FormatError,
    LimitError,
    ModelLost,
    NoCpu,
    SottoError,
    Unreachable,
    UnsupportedModel,
)
from .crashes import WentDown


@dataclass(frozen=True)
class Fault:
    """Something to tell a person.

    Attributes:
        kind: the words are `error.<kind>`, `error.<kind>.text` and, on the button, `error.<kind>.action`.
        values: what those words leave open.
        detail: what exactly happened, for the curious and for reports; may be empty.
        error: that happened, where its own words are a part of it: `{message}`.
        sound: the engine is as good as before, and writing can be tried again at once.
    """

    kind: str
    values: dict[str, object] = field(default_factory=dict)
    detail: str = ""
    error: SottoError | None = None
    sound: bool = False


EMPTY = Fault("empty", sound=True)
SETTING = Fault("setting", sound=True)


def while_loading(error: Exception, opened: bool) -> Fault:
    """The fault behind an error of loading.

    Args:
        opened: a device had been opened, so that a device error means it was lost.
    """
    match error:
        case WentDown(what=what, name=name, processor=processor):
            values: dict[str, object] = {"name": name, "processor": processor.upper()}
            fault = Fault("reset", values) if what == "gpu" else Fault("down", values)
        case LimitError():
            fault = Fault("limits", error=error)
        case DeviceError():
            kind = "browser" if isinstance(error, NoCpu) else "lost" if opened else "adapter"
            fault = Fault(kind, detail=str(error))
        case FormatError():
            fault = Fault("file", error=error)
        case UnsupportedModel():
            fault = Fault("unsupported", error=error)
        case FilesNeeded(name=name):
            fault = Fault("files", {"name": name}, detail=str(error))
        case ModelLost():
            fault = Fault("damaged", error=error)
        case Unreachable(name=name):
            fault = Fault("server", {"file": name}, detail=str(error))
        case SottoError():
            fault = Fault("loading", error=error)
        case _:
            fault = unknown(error)
    return fault


def while_writing(error: Exception) -> Fault:
    """The fault behind an error of writing a post."""
    match error:
        case ContextFull(excess=excess, tokens=tokens, limit=limit):
            return Fault("long", {"count": excess, "tokens": tokens, "limit": limit}, sound=True)
        case DeviceError():
            return Fault("lost", detail=str(error))
        case SottoError():
            return Fault("writing", error=error)
        case _:
            return unknown(error)


def while_answering(error: Exception) -> Fault:
    """The fault behind an error of answering in a conversation."""
    if isinstance(error, SottoError) and not isinstance(error, DeviceError):
        return Fault("answering", error=error)
    return while_writing(error)


def while_running(error: Exception) -> Fault:
    """The fault behind an error of running a task."""
    if isinstance(error, SottoError) and not isinstance(error, DeviceError):
        return Fault("task", error=error, sound=True)
    return while_writing(error)


def unknown(error: Exception) -> Fault:
    """An error nobody foresaw: our own fault, told as such and with all that a report of it needs."""
    return Fault("unknown", detail="".join(traceback.format_exception(error)))
