"""tokenizer.json of Hugging Face's library `tokenizers`: a vocabulary with a list of merges.

transformers 5 saves a tokenizer in this form only. What is read here is what its conversion of Gemma's SentencePiece
model looks like: BPE over the whole text, spaces replaced by '▁', bytes for what the vocabulary lacks. Whatever would
give other ids is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError, UnsupportedModel
from ..text.vocabulary import BPE, MOST_TOKENS, SPACE, TokenType, Vocabulary
from . import bpe

MOST_BYTES = 256 << 20  # of a file; Gemma 3's has 33 MB
_TRY_ANOTHER = "Try another copy of the model."
_OTHER = "Sotto reads Gemma's tokenizer: choose another model."
_SPACES = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
_WORDS = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
_CHANGES = {  # of the model: what it must be, or nothing
    "dropout": (None, 0, 0.0), "continuing_subword_prefix": (None, ""), "end_of_word_suffix": (None, ""),
    "ignore_merges": (None, False),
}  # fmt: skip


def read(data: bytes, name: str, bos: int, eos: int, end_of_turn: int | None) -> Vocabulary:
    """The vocabulary that a file describes.

    Args:
        data: the file.
        name: of the file, for people.
        bos: id of the token that begins a text.
        eos: id of the token that ends one.
        end_of_turn: id of another one that does.

    Raises:
        FormatError: it is no such file, or damaged.
        UnsupportedModel: a tokenizer of another kind.
    """
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        raise FormatError(f"{name} is not JSON.", _TRY_ANOTHER) from None
    model = fields.get("model") if isinstance(fields, dict) else None
    if not isinstance(model, dict):
        raise FormatError(f"{name} describes no tokenizer.", _TRY_ANOTHER)
    _check_kind(fields, model, name)
    added = _added(fields.get("added_tokens") or [], name)
    ids = _ids(model.get("vocab"), added, name)
    if bpe.byte_ids(ids) is None:
        raise UnsupportedModel(f"{name} describes a tokenizer without tokens for the 256 bytes.", _OTHER)
    merges = model.get("merges")
    if not isinstance(merges, list):
        raise FormatError(f"{name} has no list of merges.", _TRY_ANOTHER)
    spelled = {token.replace(" ", SPACE): number for token, number in ids.items()}
    tokens = _tokens(ids, name)
    vocabulary = Vocabulary(
        BPE,
        tokens,
        np.zeros(len(tokens), np.float32),
        _types(ids, added, model.get("unk_token")),
        bos=bos,
        eos=eos,
        end_of_turn=end_of_turn,
        merges=bpe.merge_ids(merges, spelled, f"{name}: merges"),
        replaced=tuple(ids[token] for token, entry in added.items() if entry.get("normalized")),
    )
    vocabulary.check()
    return vocabulary


def _check_kind(fields: Mapping[str, object], model: Mapping[str, object], name: str) -> None:
    """Raise UnsupportedModel unless this is BPE as Gemma has it."""
    wrong = ""
    if model.get("type", "BPE") != "BPE":
        wrong = f"the model {str(model['type'])[:40]}"
    elif fields.get("normalizer") != _SPACES:
        wrong = f"the normalizer {str(fields.get('normalizer'))[:100]}"
    elif fields.get("pre_tokenizer") not in (None, _WORDS):
        wrong = f"the pre-tokenizer {str(fields.get('pre_tokenizer'))[:100]}"
    elif not model.get("byte_fallback"):
        wrong = "no bytes for what the vocabulary lacks (byte_fallback)"
    else:
        found = [key for key, allowed in _CHANGES.items() if model.get(key) not in allowed]
        if found:
            wrong = f"the setting {found[0]}: {str(model[found[0]])[:40]}"
    if wrong:
        raise UnsupportedModel(f"{name} describes a tokenizer with {wrong}.", _OTHER)


def _added(entries: object, name: str) -> dict[str, Mapping[str, object]]:
    """The tokens that are looked for in the text, by spelling."""
    found: dict[str, Mapping[str, object]] = {}
    for entry in entries if isinstance(entries, list) else [None]:
        fields = entry if isinstance(entry, dict) else {}
        content, number = fields.get("content"), fields.get("id")
        if not isinstance(content, str) or not content or type(number) is not int:
            raise FormatError(f"{name} has an added token without a spelling or an id.", _TRY_ANOTHER)
        for key in ("single_word", "lstrip", "rstrip"):
            if fields.get(key) and not fields.get("special"):
                raise UnsupportedModel(
                    f"{name}: the added token {content[:40]!r} has the setting {key}.", _OTHER
                )
        found[content] = fields
    return found


def _ids(vocab: object, added: Mapping[str, Mapping[str, object]], name: str) -> dict[str, int]:
    """The ids of all tokens."""
    if not isinstance(vocab, dict) or not vocab or len(vocab) + len(added) > MOST_TOKENS:
        raise FormatError(f"{name} has no vocabulary, or one that is too large.", _TRY_ANOTHER)
    ids: dict[str, int] = dict(vocab)
    for content, entry in added.items():
        number = entry["id"]
        assert isinstance(number, int)
        if ids.setdefault(content, number) != number:
            raise FormatError(f"{name} gives the token {content[:40]!r} two ids.", _TRY_ANOTHER)
    return ids


def _tokens(ids: Mapping[str, int], name: str) -> list[str]:
    """The spellings by id."""
    tokens: list[str | None] = [None] * len(ids)
    try:
        for token, number in ids.items():
            if number < 0 or tokens[number] is not None:
                raise IndexError
            tokens[number] = token
    except (IndexError, TypeError):
        raise FormatError(
            f"{name} gives the token {token[:40]!r} the id {str(number)[:20]}; ids must be 0 to {len(ids) - 1:,}, each "
            "once.",
            _TRY_ANOTHER,
        ) from None
    return [token for token in tokens if token is not None]


def _types(
    ids: Mapping[str, int], added: Mapping[str, Mapping[str, object]], unknown: object
) -> NDArray[np.uint8]:
    types = np.full(len(ids), TokenType.NORMAL, np.uint8)
    bpe.mark_bytes(types, ids)
    for content, entry in added.items():
        types[ids[content]] = TokenType.CONTROL if entry.get("special") else TokenType.USER_DEFINED
    if isinstance(unknown, str) and unknown in ids:
        types[ids[unknown]] = TokenType.UNKNOWN
    return types
