"""tokenizer.model of Google's library SentencePiece: a vocabulary with scores, as a protocol buffer.

Fields (sentencepiece_model.proto): ModelProto has pieces (1), trainer_spec (2) and normalizer_spec (3); a piece has its
spelling (1), score (2) and type (3, NORMAL where there is none).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError, UnsupportedModel
from ..text.vocabulary import MOST_TOKENS, SENTENCEPIECE, TokenType, Vocabulary
from .protobuf import as_bytes, fields, signed

_BPE = 2  # of trainer_spec.model_type; 1 is Unigram
_OTHER = "Sotto reads Gemma's tokenizer: choose another model."


def read(data: bytes, name: str) -> Vocabulary:
    """The vocabulary of a model, with the ids that it names itself.

    Args:
        data: the file.
        name: of the file, for people.

    Raises:
        FormatError: it is no such file, or damaged.
        UnsupportedModel: a tokenizer that works in another way than Gemma's.
    """
    try:
        vocabulary = _read(data, name)
    except (IndexError, ValueError, TypeError):
        raise FormatError(
            f"{name} is no SentencePiece model, or damaged.", "Try another copy of the model."
        ) from None
    vocabulary.check()
    return vocabulary


def _read(data: bytes, name: str) -> Vocabulary:
    tokens, scores, types, others = _pieces(data)
    trainer: dict[int, int | bytes] = {}
    normalizer: dict[int, int | bytes] = {}
    for field, value in others:
        if field == 2:
            trainer = dict(fields(as_bytes(value)))
        elif field == 3:
            normalizer = dict(fields(as_bytes(value)))
    if not tokens:
        raise ValueError("no pieces")
    _check_kind(trainer, normalizer, name)
    return Vocabulary(
        SENTENCEPIECE,
        tokens,
        scores,
        types,
        bos=signed(trainer.get(41, 1)),
        eos=signed(trainer.get(42, 2)),
    )


def _pieces(
    data: bytes,
) -> tuple[list[str], NDArray[np.float32], NDArray[np.uint8], list[tuple[int, int | bytes]]]:
    """The pieces' spellings, scores and types, and the other fields. A tight loop over the form in which every writer
    has them, 262,144 times: spelling, score, and a type that is not NORMAL."""
    tokens: list[str] = []
    scores: list[bytes] = []
    types = bytearray()
    at, end = 0, len(data)
    while at + 2 < end and data[at] == 0x0A and data[at + 1] < 128 and data[at + 2] == 0x0A:
        stop = at + 2 + data[at + 1]
        score = at + 4 + data[at + 3]
        if stop > end or data[score] != 0x15:
            break
        if stop == score + 5:
            types.append(TokenType.NORMAL)
        elif stop == score + 7 and data[score + 5] == 0x18:
            types.append(data[score + 6])
        else:
            break
        tokens.append(data[at + 4 : score].decode())
        scores.append(data[score + 1 : score + 5])
        at = stop
        if len(tokens) > MOST_TOKENS:
            raise ValueError("too many pieces")
    others = []
    for field, value in fields(data[at:]):
        if field != 1:
            others.append((field, value))
            continue
        token, number, kind = b"", bytes(4), int(TokenType.NORMAL)
        for inner, content in fields(as_bytes(value)):
            if inner == 1:
                token = as_bytes(content)
            elif inner == 2:
                number = as_bytes(content)
            elif inner == 3:
                kind = int(content)
        tokens.append(token.decode())
        scores.append(number)
        types.append(kind)
    return tokens, np.frombuffer(b"".join(scores), "<f4"), np.frombuffer(bytes(types), np.uint8), others


def _check_kind(trainer: dict[int, int | bytes], normalizer: dict[int, int | bytes], name: str) -> None:
    """Raise UnsupportedModel for what would give other ids: the defaults are those of the library."""
    rules = normalizer.get(1, b"")
    wrong = (
        (trainer.get(3, 1) != _BPE, "whose pieces are not merged in pairs (model_type is not BPE)"),
        (not trainer.get(35), "without bytes for what the vocabulary lacks (byte_fallback)"),
        (rules not in (b"", b"identity") or bool(normalizer.get(2)), "that changes characters (normalizer_spec)"),
        (normalizer.get(3, 1) != 0, "that puts a space in front of a text (add_dummy_prefix)"),
        (normalizer.get(4, 1) != 0, "that takes spaces away (remove_extra_whitespaces)"),
    )  # fmt: skip
    for is_wrong, what in wrong:
        if is_wrong:
            raise UnsupportedModel(f"{name} is a tokenizer {what}.", _OTHER)
