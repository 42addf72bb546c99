"""Why something failed, in the language of the page.

The engine's errors are English sentences that name the file or the value. An English page shows them as they are; a
page in another language has words for each kind, and shows the sentence itself under the details.
"""

from __future__ import annotations

from ..errors import (
    AssetError,
    ContextFull,
    DeviceError,
    FilesNeeded,
    FormatError,
    InvalidSetting,
    LimitError,
    ModelLost,
    OutOfMemory,
    SottoError,
    StoreDamaged,
    StoreFull,
    TurnLost,
    Unreachable,
    UnsupportedModel,
)
from .words import Words

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
"""The words are `fault.<kind>`; the first class counts that an error is of."""


def kind_of(error: SottoError) -> str:
    """Of which kind an error is: what it says itself, or else by its class."""
    return error.kind or next(kind for cls, kind in KINDS.items() if isinstance(error, cls))


def reason(words: Words, error: SottoError | None, of: str = "") -> tuple[str, str]:
    """What to say of an error, and what to show under the details: nothing where the first says it all.

    Args:
        of: where words for another thing than a model are to be taken, where there are any: "adapter", "saved".
    """
    if error is None:
        return "", ""
    kind, said = kind_of(error), str(error)
    text = words.first((f"fault.{of}.{kind}", f"fault.{kind}", "fault.other"), message=said)
    return text, "" if text == said else said
