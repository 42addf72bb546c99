"""Vocabularies with a list of merges, as tokenizer.json and GGUF's tokenizer model "gpt2" have them.

Of all tokenizers that are written so, those are read that are made of a SentencePiece model, as Gemma's is: spaces are
spelled '▁', and what the vocabulary lacks is spelled in 256 tokens <0x00> to <0xFF>.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError
from ..text.vocabulary import TokenType

BYTES = tuple(f"<0x{value:02X}>" for value in range(256))


def byte_ids(ids: Mapping[str, int]) -> list[int] | None:
    """The ids of the 256 bytes; None where they are not all there."""
    found = [ids[name] for name in BYTES if name in ids]
    return found if len(found) == len(BYTES) else None


def mark_bytes(types: NDArray[np.uint8], ids: Mapping[str, int]) -> None:
    """Give the bytes their type: neither kind of file does."""
    types[byte_ids(ids) or []] = TokenType.BYTE


def merge_ids(merges: Iterable[object], ids: Mapping[str, int], source: str) -> NDArray[np.uint32]:
    """The list of merges as ids (M, 2).

    Args:
        merges: pairs of tokens, or both in one word with a space between them.
        ids: of the tokens, with spaces as '▁'.
        source: the file's name of the list, for people.

    Raises:
        FormatError: it is no such list, or names a token that is not there.
    """
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise FormatError(f"{source} is not a list of pairs of tokens.", "Try another copy of the model.")
    flat: list[str] = list(chain.from_iterable(cast(Iterable[Iterable[str]], pairs)))
    try:
        found = np.fromiter((ids[token] for token in flat), np.uint32, len(flat))
    except (KeyError, TypeError) as error:
        raise FormatError(
            f"{source} merges {str(error)[:40]}, which is not in the vocabulary.",
            "Try another copy of the model.",
        ) from None
    return found.reshape(-1, 2)
