"""Gemma's tokenizer, exact to its SentencePiece model or to its tokenizer.json, from a checkpoint's vocabulary.

Text to ids: spaces become '▁'; user-defined pieces (runs of newlines, tabs and spaces, HTML tags) are cut
out, leftmost and longest first; the rest is merged from single characters, always the adjacent pair whose
joined piece has the highest score, or with a list of merges the pair that comes first in it, the leftmost of
equals; a character outside the vocabulary becomes its UTF-8 bytes. Nothing is trimmed or normalised, and no
space is put in front.

Both ways give the same ids, but for text that holds a literal '▁', or more than 31 spaces in a row: with
tokenizer.json user-defined pieces are looked for before spaces are replaced, and runs of spaces are merged.

Control tokens are looked for in trusted text only (a template's own words): text that a person pastes can
never start or end a turn, whatever it spells.
"""

from __future__ import annotations

import codecs
import re
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import heapify, heappop, heappush
from itertools import chain

from ..errors import FormatError, UnsupportedModel
from .merges import Merges
from .vocabulary import BPE, SENTENCEPIECE, SPACE, TokenType, Vocabulary

CONTROL_NAMES: tuple[str, ...] = ("<pad>", "<eos>", "<bos>", "<unk>")
CONTROL_NAMES += ("<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>")
CONTROL_NAMES += ("<|im_start|>", "<|im_end|>", "<|endoftext|>")  # of fine-tunes whose turns are ChatML's
"""Control tokens whatever type the file gives them: some published Gemma 3 files have their types wrong."""

ENDS = ("<eos>", "<end_of_turn>", "<start_of_turn>", "<|im_end|>", "<|im_start|>", "<|endoftext|>")

_LONGEST_JOINTS = 1 << 16  # characters of what is matched around spaces inside tokens; Gemma 3 has four
_PART = 1 << 16  # tokens in one dictionary
_BEGINNING = 4  # characters: pieces that share these begin alike
_MANY = 64  # of such pieces: they are looked for only where they can be
_CACHED_WORD = 24  # characters of the longest word worth remembering
_CACHED_WORDS = 1 << 16
_CACHED_PIECES = 1 << 18


@dataclass(frozen=True)
class Segment:
    """A stretch of a prompt. Control tokens spelled in it count as such only when it is `trusted`."""

    text: str
    trusted: bool = False


class Tokenizer:
    """Text to token ids and back. Tables are built when first needed: loading a model only needs the ids."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        """Raises UnsupportedModel for another kind of vocabulary."""
        if vocabulary.kind not in (SENTENCEPIECE, BPE):
            raise UnsupportedModel(
                f"The model file has a tokenizer of the kind {vocabulary.kind!r}.",
                "Sotto reads Gemma's tokenizers: choose another file of this model.",
            )
        self.bos = vocabulary.bos
        self.size = len(vocabulary)
        self._vocabulary = vocabulary
        self._tokens = vocabulary.tokens
        self._words: dict[str, list[int]] = {}

    # --- Tables ---------------------------------------------------------------------------------------------

    @cached_property
    def _control(self) -> dict[str, int]:
        """Control tokens by type, and by name where the type is wrong."""
        found = self._vocabulary.by_spelling(TokenType.CONTROL, TokenType.UNKNOWN)
        for name in set(CONTROL_NAMES).difference(found).intersection(self._tokens):  # one walk, in C
            found[name] = self._tokens.index(name)
        return found

    @cached_property
    def _normal(self) -> _Pieces:
        """The pieces that merging may build.

        By merges user-defined pieces are built too; control tokens and bytes never, whatever a file lists.
        """
        find = self._vocabulary.by_spelling
        parts = [
            find(TokenType.NORMAL, within=slice(first, first + _PART)) for first in range(0, self.size, _PART)
        ]
        if self._merges:
            others = find(TokenType.USER_DEFINED)
            parts.append({_replaced(piece): token for piece, token in others.items()})
        return _Pieces([_without(part, CONTROL_NAMES) for part in parts])

    @cached_property
    def _raw(self) -> dict[str, int]:
        """Pieces looked for in the text before its spaces are replaced."""
        if not self._merges:
            return {}
        found = _without(self._vocabulary.by_spelling(TokenType.USER_DEFINED), CONTROL_NAMES)
        return {piece: token for piece, token in found.items() if token not in self._vocabulary.replaced}

    @cached_property
    def _user_defined(self) -> dict[str, int]:
        """The other pieces matched before any merging, as they look once spaces are replaced."""
        found = _without(self._vocabulary.by_spelling(TokenType.USER_DEFINED), CONTROL_NAMES)
        return {_replaced(piece): token for piece, token in found.items() if piece not in self._raw}

    @cached_property
    def _merges(self) -> Merges | None:
        """The list of merges; None where pieces have scores."""
        merges = self._vocabulary.merges
        return None if merges is None else Merges(merges)

    @cached_property
    def _byte_values(self) -> dict[int, int]:
        """Byte tokens: id -> byte. Their pieces are spelled <0x00> to <0xFF>."""
        found = self._vocabulary.by_spelling(TokenType.BYTE)
        return {token: int(piece[3:5], 16) for piece, token in found.items()}

    @cached_property
    def _byte_tokens(self) -> list[int]:
        """Byte -> id."""
        by_value = {value: token for token, value in self._byte_values.items()}
        if len(by_value) != 256:
            raise UnsupportedModel(
                f"The model's vocabulary has {len(by_value)} byte tokens in place of 256.",
                "Choose another file of this model.",
            )
        return [by_value[value] for value in range(256)]

    @cached_property
    def _control_ids(self) -> frozenset[int]:
        return frozenset(self._control.values())

    @cached_property
    def _costs(self) -> Sequence[float]:
        """By id: the lower, the sooner a pair is merged into this piece."""
        return array("f", (-self._vocabulary.scores).tobytes())

    @cached_property
    def _split_control(self) -> re.Pattern[str]:
        """Cuts trusted text at its control tokens, without the thousands that only hold a place."""
        return _splitter(name for name in self._control if not name.startswith("<unused"))

    @cached_property
    def _split_raw(self) -> _Splitter | None:
        return _Splitter(self._raw) if self._raw else None

    @cached_property
    def _split_user_defined(self) -> _Splitter:
        return _Splitter(self._user_defined)

    @cached_property
    def _word(self) -> re.Pattern[str]:
        """Matches the stretches of text that merging cannot join, so that each can be looked up by itself.

        Every piece with a '▁' has it in front, but for a few ('>▁</'): a '▁' that does not follow another starts a
        word, except where the text around it spells one of those. Raises FormatError where they are so many that it
        would take long.
        """
        pieces = dict.fromkeys(self._vocabulary.with_inside(SPACE))
        if self._merges:
            others = map(_replaced, self._vocabulary.of(TokenType.USER_DEFINED))
            pieces |= dict.fromkeys(piece for piece in others if SPACE in piece.lstrip(SPACE))
        inside = [piece for piece in pieces if self._normal[piece] is not None]
        if sum(len(piece) * piece.count(SPACE, 1) for piece in inside) > _LONGEST_JOINTS:
            raise FormatError(
                f"The vocabulary has {len(inside):,} tokens with spaces inside; that is too much.",
                "Try another copy of the model.",
            )
        joints = [
            f"(?<={re.escape(piece[:at])}){SPACE}(?={re.escape(piece[at + 1 :])})"
            for piece in inside
            for at in range(1, len(piece))
            if piece[at] == SPACE and piece[:at].strip(SPACE)
        ]
        return re.compile(f"(?:{SPACE}++|.)(?:{'|'.join([f'[^{SPACE}]++', *joints])})*+", re.DOTALL)

    @cached_property
    def stop_ids(self) -> frozenset[int]:
        """Tokens that end a text: those that the file names, and by name the end of the sequence, and the end or start
        of a turn if there are turns. Files name one of them, or another, or one that no model writes."""
        known = (self._control.get(name) for name in ENDS)
        ends = (self._vocabulary.eos, self._vocabulary.end_of_turn, *known)
        return frozenset(token for token in ends if token is not None)

    # --- Text to ids ----------------------------------------------------------------------------------------

    def encode(self, text: str) -> list[int]:
        """The ids of untrusted text, without BOS."""
        if not self._split_raw:
            return self._encode(text)
        ids: list[int] = []
        for index, part in enumerate(self._split_raw.split(text)):
            if index % 2:
                ids.append(self._raw[part])
            else:
                ids += self._encode(part)
        return ids

    def _encode(self, text: str) -> list[int]:
        """The ids of text without the pieces that are looked for first."""
        ids: list[int] = []
        words, find_words = self._words, self._word.findall
        # The pattern's one group makes every second part a user-defined piece.
        for index, part in enumerate(self._split_user_defined.split(_replaced(text))):
            if index % 2:
                ids.append(self._user_defined[part])
                continue
            for word in find_words(part):
                found = words.get(word)
                if found is None:
                    found = self._merge(word)
                    if len(word) <= _CACHED_WORD:
                        if len(words) >= _CACHED_WORDS:
                            words.clear()
                        words[word] = found
                ids += found
        return ids

    def encode_segments(self, segments: Sequence[Segment], bos: bool = True) -> list[int]:
        """The ids of a prompt, with BOS in front once.

        Segments are joined before they are split into pieces: where one ends leaves no trace in the ids.
        """
        ids = [self.bos] if bos else []
        plain = ""
        for segment in segments:
            if not segment.trusted:
                plain += segment.text
                continue
            first, *rest = self._split_control.split(segment.text)
            plain += first
            for name, after in zip(rest[::2], rest[1::2], strict=True):
                ids += self.encode(plain)
                ids.append(self._control[name])
                plain = after
        return ids + self.encode(plain)

    def _cost(self, token: int, left: str, right: str) -> float | None:
        """How late two parts that spell a token are merged: the lower, the sooner; None: never."""
        if not self._merges:
            return self._costs[token]
        first, second = self._normal[left], self._normal[right]
        return None if first is None or second is None else self._merges.rank(first, second)

    def _merge(self, word: str) -> list[int]:
        """The ids of a stretch of text without user-defined pieces.

        A heap holds the pairs that could be merged, the best first; the parts are a linked list over the
        places of the characters. An entry whose parts have changed since is known by its text and skipped.
        """
        normal, cost_of = self._normal, self._cost
        parts = list(word)
        count = len(parts)
        before = list(range(-1, count - 1))
        after = list(range(1, count + 1))
        heap = [
            (cost, at, pair)
            for at, pair in enumerate(map(str.__add__, word, word[1:]))
            if (token := normal[pair]) is not None and (cost := cost_of(token, *pair)) is not None
        ]
        heapify(heap)
        while heap:
            _, at, merged = heappop(heap)
            right = after[at]
            if right == count or not parts[at] or parts[at] + parts[right] != merged:
                continue
            parts[at] = merged
            parts[right] = ""
            beyond = after[at] = after[right]
            if beyond < count:
                before[beyond] = at
                pair = merged + parts[beyond]
                token = normal[pair]
                if token is not None and (cost := cost_of(token, merged, parts[beyond])) is not None:
                    heappush(heap, (cost, at, pair))
            left = before[at]
            if left >= 0:
                pair = parts[left] + merged
                token = normal[pair]
                if token is not None and (cost := cost_of(token, parts[left], merged)) is not None:
                    heappush(heap, (cost, left, pair))
        ids: list[int] = []
        for part in filter(None, parts):
            token = normal[part]
            if token is not None:
                ids.append(token)
            else:  # one character: everything longer was built from the vocabulary
                ids += [self._byte_tokens[byte] for byte in part.encode("utf-8", "replace")]
        return ids

    # --- Ids to text ----------------------------------------------------------------------------------------

    def piece(self, token: int) -> str:
        """How the vocabulary spells a token: '▁' for a space, <0x0A> for a byte, <eos>."""
        return self._tokens[token]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids; control tokens give nothing, bytes that are not UTF-8 give U+FFFD."""
        detokenizer = Detokenizer(self)
        return "".join([detokenizer.push(token) for token in ids]) + detokenizer.flush()

    def part(self, token: int) -> str | int | None:
        """What a token adds to a text: characters, one byte, or None for a control token."""
        value = self._byte_values.get(token)
        if value is not None:
            return value
        if token in self._control_ids:
            return None
        return self._tokens[token].replace(SPACE, " ")


class Detokenizer:
    """Ids to text, one at a time: a character spelled in byte tokens appears once it is whole."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        """The text that this token completes; "" for a control token or the middle of a character."""
        part = self._tokenizer.part(token)
        if isinstance(part, int):
            return self._decoder.decode(bytes([part]))
        return self.flush() + (part or "")

    def flush(self) -> str:
        """What is left at the end: U+FFFD for a character that was never finished, else ""."""
        rest = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return rest


def _replaced(text: str) -> str:
    """A text as pieces spell it."""
    return text.replace(" ", SPACE)


def _without(pieces: dict[str, int], names: Iterable[str]) -> dict[str, int]:
    for name in names:
        pieces.pop(name, None)
    return pieces


class _Pieces(dict[str, "int | None"]):
    """Pieces and their ids, as far as they were asked for; None for what is no piece.

    Args:
        parts: ids by piece, of a part of the vocabulary each. One dictionary of all of it would be larger than a
            processor's cache, and take twice as long to build.
    """

    def __init__(self, parts: Sequence[Mapping[str, int]]) -> None:
        super().__init__()
        self._parts = parts

    def __missing__(self, piece: str) -> int | None:
        if len(self) >= _CACHED_PIECES:
            self.clear()
        found = None
        for part in self._parts:
            found = part.get(piece)
            if found is not None:
                break
        self[piece] = found
        return found


class _Splitter:
    """Cuts text at some pieces: what lies between them, and each of them, in turns.

    A pattern for thousands of pieces takes long to make and to match, and is seldom needed: where many begin alike
    (Gemma has 6,242 of '<unused'), they are looked for only in text that has their beginning.
    """

    def __init__(self, pieces: Iterable[str]) -> None:
        alike: dict[str, list[str]] = {}
        for piece in pieces:
            alike.setdefault(piece[:_BEGINNING], []).append(piece)
        self._pieces = alike
        self._many = [beginning for beginning, found in alike.items() if len(found) > _MANY]

    def split(self, text: str) -> list[str]:
        """Text, a piece, text and so on; text at the beginning and at the end, which may be empty."""
        return (self._all if any(beginning in text for beginning in self._many) else self._few).split(text)

    @cached_property
    def _all(self) -> re.Pattern[str]:
        return _splitter(chain.from_iterable(self._pieces.values()))

    @cached_property
    def _few(self) -> re.Pattern[str]:
        few = [pieces for beginning, pieces in self._pieces.items() if beginning not in self._many]
        return _splitter(chain.from_iterable(few))


def _splitter(pieces: Iterable[str]) -> re.Pattern[str]:
    """A pattern for `split` that matches any of the pieces, the longest first; none of none.

    Of one character several times, as 92 of Gemma's are, it has counts: patterns are compiled letter by letter. These
    come last, because a piece that goes on with another character is longer. The first character stands before the
    count, so that `re` sees with what pieces begin, and looks for that.
    """
    choices: list[str] = []
    lengths: dict[str, list[int]] = {}
    for piece in sorted(pieces, key=len, reverse=True):
        if piece.count(piece[:1]) == len(piece):
            lengths.setdefault(piece[0], []).append(len(piece))
        else:
            choices.append(re.escape(piece))
    for character, found in lengths.items():
        most, least = found[0] - 1, found[-1] - 1
        whole = len(found) == most - least + 1
        counts = [f"{least},{most}"] if whole else [str(length - 1) for length in found]
        choices += [f"{re.escape(character) * 2}{{{count}}}" for count in counts]
    return re.compile(f"({'|'.join(choices) or '(?!)'})")
