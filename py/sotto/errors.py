"""The errors a person may meet: what happened, and what to do next.

Every error Sotto raises on purpose is a `SottoError`. `message` says what happened and names the file or
value; `hint` says what to do next. Both are plain sentences that a page or a terminal can show as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


class SottoError(Exception):
    """Something a person can act on.

    Args:
        message: what happened, naming the file or value.
        hint: what to do next; empty when the message already says it.
        kind: which words a page has for it that says such things in another language; empty for those of its class.
    """

    def __init__(self, message: str, hint: str = "", kind: str = "") -> None:
        super().__init__(f"{message} {hint}".strip())
        self.message = message
        self.hint = hint
        self.kind = kind


@dataclass(frozen=True)
class Range:
    """What a number has to be; `most` is None where there is no upper limit."""

    whole: bool
    least: float
    most: float | None


class InvalidSetting(SottoError, ValueError):
    """A setting is of the wrong kind or out of range.

    Attributes:
        wanted: where it has to be a number, in which range: for those who say it in other words.
    """

    def __init__(self, message: str, hint: str = "", wanted: Range | None = None) -> None:
        super().__init__(message, hint)
        self.wanted = wanted


class FormatError(SottoError):
    """A model file is not what it claims to be, or ends too early."""


class DocumentError(SottoError):
    """A file of a person's has no text that can be read.

    Attributes:
        kind: "kind" (not one that is read), "large", "long", "empty", "scanned", "locked" or "broken".
    """

    def __init__(self, kind: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint, kind)


class UnsupportedModel(SottoError):
    """A sound file with an architecture, tensor type or setting this version cannot run."""


@contextmanager
def about(name: str) -> Iterator[None]:
    """Puts a file's name in front of what is said of it here, where it is not named yet."""
    try:
        yield
    except (FormatError, UnsupportedModel) as error:
        if name in error.message:
            raise
        raise type(error)(f"{name}: {error.message}", error.hint, error.kind) from error


class AssetError(SottoError):
    """A pinned file could not be fetched, or its bytes are not the pinned ones."""


class Unreachable(SottoError):
    """The connection to where a file lies failed.

    Args:
        name: the file's.
        why: what is known of that.
    """

    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            f"{name} cannot be read: the connection failed ({why}).",
            "Look whether serve.py is still running, and whether the network is there; then try again.",
        )
        self.name = name


class DeviceError(SottoError):
    """There is no usable processor, or it was lost."""


class NoCpu(DeviceError):
    """The browser cannot run what the CPU would run, and where the CPU was the last choice, no model at all."""


class DeviceLost(DeviceError):
    """A processor was lost in the middle of something."""


class OutOfMemory(DeviceError):
    """A processor has no memory left. What that says holds for the moment only, and not for what was tried."""


class WrongResults(DeviceError):
    """A processor computes something else than it should."""


class LimitError(DeviceError):
    """The model needs more than the processor's limits allow, or more memory than it has."""


class StoreFull(SottoError):
    """The weight cache has no room; the model can still run without it."""


class StoreDamaged(SottoError):
    """An entry of the weight cache is not what was written; it has been dropped."""

    @classmethod
    def of(cls, why: str) -> StoreDamaged:
        """Of a cache in which a person does not look for files."""
        return cls(
            f"The cached weights cannot be used: {why}.",
            "They were dropped and are made again from the model file.",
        )


class ModelLost(SottoError):
    """What is kept of a model cannot be loaded, and cannot be made again because its file is not to be had."""


class FilesNeeded(SottoError):
    """What is wanted of a model that is kept can be made from its files alone, which are not to be had.

    Args:
        name: the model's.
        kept: to what its weights are rounded.
        wanted: to what they are to be.
    """

    def __init__(self, name: str, kept: str, wanted: str) -> None:
        super().__init__(
            f"{name} is kept with its weights as {kept}, and can become {wanted} only from its files.",
            "Give its files again.",
        )
        self.name = name


class Cancelled(SottoError):
    """A run was stopped on request."""

    def __init__(self) -> None:
        super().__init__("Stopped.")


class TurnLost(Cancelled):
    """A run has ended because another one was begun on the same model, which remembers one text at a time."""

    def __init__(self) -> None:
        SottoError.__init__(
            self,
            "Another text was begun on this model, which ended this one.",
            "Load the model twice to go on with two.",
        )


class ContextFull(SottoError):
    """A prompt does not fit the context.

    Attributes:
        tokens: tokens in the prompt.
        limit: the most tokens a prompt may have.
    """

    def __init__(self, tokens: int, limit: int) -> None:
        super().__init__(
            f"The text is {tokens - limit:,} tokens too long ({tokens:,} tokens; at most {limit:,} fit).",
            "Shorten it, or load the model with a larger context.",
        )
        self.tokens = tokens
        self.limit = limit

    @property
    def excess(self) -> int:
        """Tokens over the limit."""
        return self.tokens - self.limit


KINDS: dict[type[SottoError], str] = {
    UnsupportedModel: "unsupported",
    FormatError: "format",
    LimitError: "limits",
    OutOfMemory: "memory",
    DeviceError: "device",
    StoreFull: "full",
    StoreDamaged: "damaged",
    ModelLost: "lost",
    FilesNeeded: "files",
    Unreachable: "unreachable",
    AssetError: "asset",
    InvalidSetting: "setting",
    ContextFull: "long",
    TurnLost: "turn",
    SottoError: "other",
}
"""Of errors that do not say their kind themselves; the first class counts that one is of. A page has words for each."""


def kind_of(error: SottoError) -> str:
    """Of which kind an error is: what it says itself, or else by its class."""
    return error.kind or next(kind for cls, kind in KINDS.items() if isinstance(error, cls))
