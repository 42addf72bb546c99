"""Gemma 3's own tokens: what some published files say wrongly of them, or not at all.

The vocabulary of Gemma 3 (tokenizer.model of google/gemma-3) has 262,144 tokens, and which is of what type follows from
its id. Google's own QAT files in GGUF call nearly all of them normal; then text that spells a control token becomes
one, and runs of spaces and newlines are put together wrongly.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .vocabulary import TokenType

SIZE = 262_144
_SIGNS = {  # ids whose spelling tells the vocabulary
    0: "<pad>", 1: "<eos>", 2: "<bos>", 3: "<unk>", 4: "<mask>", 105: "<start_of_turn>", 106: "<end_of_turn>",
    107: "\n", 168: "<table>", 237: "</footer>", 238: "<0x00>", 493: "<0xFF>", 255_968: "\t",
    255_999: "<start_of_image>",
}  # fmt: skip
_USER_DEFINED = (range(5, 6), range(107, 238), range(255_968, 255_999))  # newlines, spaces, HTML tags, tabs
_BYTES = range(238, 494)
_NORMAL = range(494, 255_968)
_NAMED = (range(5), range(105, 107), range(255_999, 256_001))  # control tokens with names
_UNUSED = (range(6, 105), range(256_001, SIZE))  # likewise, unless a fine-tune has given one another name


def is_gemma(tokens: Sequence[str]) -> bool:
    """Whether a vocabulary is Gemma 3's, with whatever follows behind it."""
    return len(tokens) >= SIZE and all(tokens[token] == spelling for token, spelling in _SIGNS.items())


def types_of(tokens: Sequence[str], given: NDArray[np.integer] | None = None) -> NDArray[np.uint8]:
    """The types of the tokens of a vocabulary that is Gemma's.

    Args:
        tokens: by id.
        given: what a file says of them; it counts for what is not Gemma's own.
    """
    found = np.full(len(tokens), TokenType.CONTROL, np.uint8) if given is None else given.astype(np.uint8)
    found[_NORMAL.start : _NORMAL.stop] = TokenType.NORMAL
    found[_BYTES.start : _BYTES.stop] = TokenType.BYTE
    for ids in _USER_DEFINED:
        found[ids.start : ids.stop] = TokenType.USER_DEFINED
    for ids in _NAMED:
        found[ids.start : ids.stop] = TokenType.CONTROL
    for ids in _UNUSED:
        for token in ids:
            if tokens[token].startswith("<unused"):
                found[token] = TokenType.CONTROL
    return found


def scores_of(tokens: Sequence[str]) -> NDArray[np.float32]:
    """Scores of the tokens of a vocabulary that is Gemma's: normal ones are in the order in which pairs merge."""
    return -np.arange(len(tokens), dtype=np.float32)
