"""Why something failed, in the language of the page.

The engine's errors are English sentences that name the file or the value. An English page shows them as they are; a
page in another language has words for each kind, and shows the sentence itself under the details.
"""

from __future__ import annotations

from ..errors import SottoError, kind_of
from .words import Words


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


def cause(words: Words, kind: str, text: str) -> str:
    """A few words for why something is as it is, to stand behind a colon or in brackets.

    Args:
        kind: of an error, as `kind_of` has it, or "lost" or "wrong" of a kernel.
        text: the English ones.
    """
    return words.first((f"cause.{kind}", "cause.other"), message=text)
