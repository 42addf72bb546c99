"""The tables of a tokenizer: its tokens with their spellings, scores and types, whatever file they came from."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError

SPACE = "▁"
"""How the vocabulary spells a space (U+2581)."""

SENTENCEPIECE = "sentencepiece"
BPE = "bpe"
"""The kinds of vocabularies that `Tokenizer` reads. Of two pairs that could be merged SENTENCEPIECE takes the one whose
piece has the higher score, BPE the one that comes first in a list of merges."""

MOST_TOKENS = 1 << 20
MOST_USER_DEFINED = 16_384  # are matched by one pattern, whose making takes time; Gemma 3 has 165, or 6,414
MOST_CHARACTERS = 1 << 20  # of all user-defined tokens
MOST_MERGES = 1 << 23  # Gemma 3 has 514,906
TOGETHER = 1 << 13  # tokens, in text that holds all of them
_BYTE_NAME = re.compile("<0x[0-9A-Fa-f]{2}>")
_HINT = "The file is damaged or was converted wrongly: try another copy."


class TokenType(IntEnum):
    """What a token is, with SentencePiece's numbers."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4  # matched before any merging
    UNUSED = 5
    BYTE = 6


class Spellings(list[str]):
    """All tokens, by id, with the texts that they were cut from.

    Args:
        texts: some tokens each: a character that is in none of them, and them with it in between. A few long strings,
            because 262,144 short ones take long to read; not one, because a rare character anywhere in it would make
            all of it four times as long in memory.
    """

    def __init__(self, texts: Iterable[tuple[str, str]]) -> None:
        super().__init__()
        self.texts = [(separator, joined) for separator, joined in texts]
        for separator, joined in self.texts:
            self += joined.split(separator)


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a model, by id.

    Attributes:
        kind: SENTENCEPIECE, BPE, or the file's word for another algorithm.
        tokens: spellings.
        scores: (V,) f32; of two pairs that could be merged, the one whose token has the higher score is.
        types: (V,) u8, of `TokenType`.
        bos: id of the token that begins a text.
        eos: id of the token that ends one.
        end_of_turn: id of another token that ends one, where the file names it.
        merges: of BPE, (M, 2) u32: the ids of two tokens that are merged, in the order in which pairs are.
        replaced: of BPE, ids of the user-defined tokens that are looked for in the text once its spaces are SPACE; the
            others are looked for before. (Of SENTENCEPIECE all are looked for then.)
    """

    kind: str
    tokens: Sequence[str]
    scores: NDArray[np.float32]
    types: NDArray[np.uint8]
    bos: int
    eos: int
    end_of_turn: int | None = None
    merges: NDArray[np.uint32] | None = None
    replaced: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.tokens)

    def check(self) -> None:
        """Raise FormatError where the tables do not fit together, or hold what no vocabulary holds.

        What needs a look at every token is left to `check_normal`, and to the tokenizer, whose tables take one anyway.
        """
        size = len(self.tokens)
        if not (0 < size <= MOST_TOKENS and len(self.scores) == len(self.types) == size):
            raise FormatError(
                f"The vocabulary's tables do not fit together: {size:,} tokens, {len(self.scores):,} scores, "
                f"{len(self.types):,} types.",
                _HINT,
            )
        for what, token in (("first", self.bos), ("last", self.eos), ("turn's last", self.end_of_turn)):
            if token is not None and not 0 <= token < size:
                raise FormatError(
                    f"A text's {what} token has the id {token}; the vocabulary has {size:,}.", _HINT
                )
        if not np.isfinite(self.scores).all():
            wrong = int(np.flatnonzero(~np.isfinite(self.scores))[0])
            raise FormatError(f"The vocabulary's score of token {wrong} is {self.scores[wrong]}.", _HINT)
        if self.kind == BPE:
            self._check_merges()
        self._check_types()

    def _check_merges(self) -> None:
        if self.merges is None or self.merges.ndim != 2 or self.merges.shape[1] != 2:
            raise FormatError("The vocabulary has no list of merges.", _HINT)
        if len(self.merges) > MOST_MERGES or (self.merges >= len(self.tokens)).any():
            raise FormatError("The vocabulary merges tokens that it does not have.", _HINT)

    def without_extra(self, rows: int) -> Vocabulary:
        """The vocabulary without the tokens that an embedding of so many rows has none for: those of images.

        With text among them it is left as it is: then the embedding does not fit.
        """
        text = (TokenType.NORMAL, TokenType.BYTE, TokenType.USER_DEFINED)
        if len(self) <= rows or np.isin(self.types[rows:], text).any():
            return self
        cut = replace(self, tokens=self.tokens[:rows], scores=self.scores[:rows], types=self.types[:rows])
        cut.check()
        return cut

    def without_padding(self) -> Vocabulary:
        """The vocabulary without the unused tokens at its end, by which converters make it as long as an embedding
        with more rows than the model has tokens: they could be drawn, and mean nothing."""
        used = np.flatnonzero(self.types != TokenType.UNUSED)
        length = int(used[-1]) + 1 if used.size else len(self)
        if length == len(self) or not all(
            token < length for token in (self.bos, self.eos, self.end_of_turn or 0)
        ):
            return self
        return replace(
            self, tokens=self.tokens[:length], scores=self.scores[:length], types=self.types[:length]
        )

    def _check_types(self) -> None:
        known = np.isin(self.types, [int(kind) for kind in TokenType])
        if not known.all():
            wrong = int(np.flatnonzero(~known)[0])
            raise FormatError(f"The vocabulary's token {wrong} is of the type {self.types[wrong]}.", _HINT)
        if self.kind not in (SENTENCEPIECE, BPE):
            return
        if np.count_nonzero(self.types == TokenType.BYTE) > 256:
            raise FormatError("The vocabulary has more than 256 bytes.", _HINT)
        misspelt = [name for name in self.of(TokenType.BYTE) if not _BYTE_NAME.fullmatch(name)]
        if misspelt:
            raise FormatError(
                f"The vocabulary says that {misspelt[0][:20]!r} is a byte; bytes are spelled <0x00> to <0xFF>.",
                _HINT,
            )
        count = np.count_nonzero(self.types == TokenType.USER_DEFINED)
        if count > MOST_USER_DEFINED or sum(map(len, self.of(TokenType.USER_DEFINED))) > MOST_CHARACTERS:
            raise FormatError(
                f"The vocabulary has {count:,} tokens of the type 'user defined'; that is too much.", _HINT
            )

    def check_normal(self) -> None:
        """Raise FormatError where two normal tokens are the same, or one is empty. Takes longer than all of `check`: it
        is done before a model is converted, and what is kept of one has stood it."""
        normal = self.of(TokenType.NORMAL)
        different = set(normal)
        if "" in different or len(different) < len(normal):
            raise FormatError(
                "The vocabulary has normal tokens that are empty, or the same twice.",
                "Try another copy of the model.",
            )

    def of(self, *kinds: TokenType) -> list[str]:
        """The spellings of all tokens of these types, by id."""
        return [token for begin, end in self._runs(kinds) for token in self.tokens[begin:end]]

    def by_spelling(self, *kinds: TokenType, within: slice = slice(None)) -> dict[str, int]:
        """The tokens of these types, of all or of a range; of some with the same spelling the last one."""
        found: dict[str, int] = {}
        for begin, end in self._runs(kinds, within):
            found.update(zip(self.tokens[begin:end], range(begin, end), strict=True))
        return found

    def _runs(self, kinds: tuple[TokenType, ...], within: slice = slice(None)) -> list[tuple[int, int]]:
        """Where tokens of these types stand side by side. These are few, which spares a walk in Python."""
        mask = np.isin(self.types[within], kinds)
        edges = np.flatnonzero(np.diff(mask, prepend=False, append=False)) + (within.start or 0)
        return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))

    def with_inside(self, character: str) -> list[str]:
        """The spellings that have a character somewhere behind another one."""
        found: list[str] = []
        first = 0
        for separator, joined in self.spellings():
            codes = np.frombuffer(
                joined.encode("utf-16-le", "surrogatepass"), "<u2"
            )  # `character` is one word in it
            at = np.flatnonzero(codes[1:] == ord(character)) + 1
            before = codes[at - 1]
            at = at[(before != ord(character)) & (before != ord(separator))]
            if at.size:
                ends = np.flatnonzero(codes == ord(separator))
                places = first + np.unique(np.searchsorted(ends, at))
                found += [self.tokens[token] for token in places.tolist()]
            first += joined.count(separator) + 1
        return found

    # --- As JSON --------------------------------------------------------------------------------------------

    def spellings(self) -> list[tuple[str, str]]:
        """All tokens, as the texts of `Spellings`."""
        if isinstance(self.tokens, Spellings):
            return self.tokens.texts
        starts = range(0, len(self.tokens), TOGETHER)
        return [_joined(self.tokens[first : first + TOGETHER]) for first in starts]

    def to_json(self) -> dict[str, object]:
        """All else that `from_json` makes the vocabulary of."""
        return {
            "kind": self.kind,
            "scores": _packed(self.scores.astype("<f4")),
            "types": _packed(self.types),
            "bos": self.bos,
            "eos": self.eos,
            "end_of_turn": self.end_of_turn,
            "merges": None if self.merges is None else _packed(self.merges.astype("<u4")),
            "replaced": self.replaced,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, object], spellings: Iterable[tuple[str, str]]) -> Vocabulary:
        """The vocabulary that `to_json` and `spellings` described.

        Raises KeyError, TypeError or ValueError for anything else.
        """
        given = dict(fields)
        scores = np.frombuffer(_unpacked(given.pop("scores")), "<f4")
        types = np.frombuffer(_unpacked(given.pop("types")), np.uint8)
        packed, replaced = given.pop("merges"), given.pop("replaced")
        assert isinstance(replaced, list)
        given["merges"] = None if packed is None else np.frombuffer(_unpacked(packed), "<u4").reshape(-1, 2)
        given["replaced"] = tuple(replaced)
        return cls(tokens=Spellings(spellings), scores=scores, types=types, **given)  # type: ignore[arg-type]


def _joined(tokens: Sequence[str]) -> tuple[str, str]:
    """A character that is in no token, and the tokens with it in between."""
    for code in (*range(0xFDD0, 0xFDF0), *range(0xE000, 0xF900)):  # first those that are no characters
        separator = chr(code)
        joined = separator.join(tokens)
        if joined.count(separator) == max(len(tokens) - 1, 0):
            return separator, joined
    raise ValueError("the tokens hold every character that could separate them")


def _packed(array: NDArray[np.float32] | NDArray[np.uint8] | NDArray[np.uint32]) -> str:
    return base64.b64encode(zlib.compress(array.tobytes(), 1)).decode()


def _unpacked(text: object) -> bytes:
    return zlib.decompress(base64.b64decode(str(text)))
