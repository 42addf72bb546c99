"""Answers that a grammar allows: which tokens of a vocabulary may come next, as a change of the logits.

A vocabulary's texts are sorted once: those that begin alike lie side by side, and a grammar that asks for a certain
character halves its way to them. Inside a string nearly every token may come; which, is known beforehand from where in
a token the last character is that does not stand for itself. So what is walked token by token are some thousand at
most, once for each state.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..errors import SottoError, UnsupportedModel
from .grammar import (
    ENDLESS,
    SPECIAL,
    Node,
    OneOf,
    Plain,
    Repeat,
    Rest,
    Stack,
    State,
    Text,
    least,
    may_end,
    read,
    step,
    tops,
)
from .tokenizer import Tokenizer
from .vocabulary import SPACE

REMEMBERED = 256  # states


class TokenTexts:
    """The texts of a vocabulary's tokens, sorted; control tokens have none.

    Attributes:
        texts: (N,) sorted, with spaces as the vocabulary spells them.
        ids: (N,) i32, their tokens.
        lengths: (N,) i32, in characters.
        last_special: (N,) i32, the place of the last character that a JSON string does not hold as it is; -1 for none.
        special: (M,) the places in `texts` that have one.
        plain: (V,) by token, the characters of those that have none; ENDLESS for the others.
        bytes_by_value: tokens that are a byte of a longer character, by its value.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        single: dict[int, int] = {}
        found: list[tuple[str, int]] = []
        for token in range(tokenizer.size):
            part = tokenizer.part(token)
            if isinstance(part, int):
                single[part] = token
            elif part:
                found.append((part.replace(" ", SPACE), token))
        whole = {text for text, _ in found if len(text) == 1}
        found += [
            (chr(value), token) for value, token in single.items() if value < 0x80 and chr(value) not in whole
        ]
        found.sort()
        self.texts = [text for text, _ in found]
        self.ids = np.array([token for _, token in found], np.int32)
        self.lengths = np.array([len(text) for text in self.texts], np.int32)
        self.last_special = np.full(len(found), -1, np.int32)
        for place, text in enumerate(self.texts):
            if not SPECIAL.isdisjoint(text):
                self.last_special[place] = max(
                    at for at, character in enumerate(text) if character in SPECIAL
                )
        self.special = np.flatnonzero(self.last_special >= 0)
        self.plain = np.full(tokenizer.size, ENDLESS, np.int32)
        self.plain[self.ids] = np.where(self.last_special < 0, self.lengths, ENDLESS)
        self.bytes_by_value = {value: token for value, token in single.items() if value >= 0x80}

    @cached_property
    def characters(self) -> frozenset[str]:
        """Those that are tokens by themselves."""
        return frozenset(text for text in self.texts if len(text) == 1)

    def parts(self, tokenizer: Tokenizer, token: int) -> Sequence[str | int]:
        """A token as a grammar reads it."""
        part = tokenizer.part(token)
        if isinstance(part, int):
            return [part if part >= 0x80 else chr(part)]
        return (part or "").replace(" ", SPACE)


@dataclass(frozen=True)
class _Strings:
    """Tokens that only go on in a string: all without special characters, of at most `most` characters.

    Attributes:
        fewest: characters that the string still needs; those of the token count.
        behind: characters that are to come at least behind the string's characters.
    """

    fewest: int
    most: int
    behind: int


@dataclass(frozen=True)
class Allowed:
    """The tokens that may come.

    Attributes:
        ids: (K,) i32 of single tokens.
        needs: (K,) i32, the characters that are still to come at least behind each.
        strings: those that go on in a string.
    """

    ids: NDArray[np.int32]
    needs: NDArray[np.int32]
    strings: tuple[_Strings, ...]


class Constraint:
    """A function that changes the logits so that an answer is one that a grammar has, and ends in time.

    Args:
        ends: tokens that end an answer.
        tokens: that the answer may have.

    Raises SottoError when no text of the grammar is certain to fit into so many tokens, UnsupportedModel when the
    vocabulary cannot spell it.
    """

    def __init__(
        self, texts: TokenTexts, tokenizer: Tokenizer, root: Node, ends: Collection[int], tokens: int
    ) -> None:
        self._texts = texts
        self._tokenizer = tokenizer
        self._ends = np.array(sorted(ends), np.int64)
        self._left = tokens
        self._state: State = frozenset({(root, None)})
        self._read: int | None = None  # tokens of the text so far
        self._known: dict[State, Allowed] = {}
        if root.least > tokens:
            raise SottoError(
                f"The shortest JSON of this schema has {root.least:,} characters; {tokens:,} tokens are allowed.",
                "Allow more tokens, or load the model with a larger context.",
            )
        _check_spelling(root, texts.characters)

    def __call__(self, logits: NDArray[np.float32], ids: Sequence[int]) -> NDArray[np.float32]:
        """The logits (V,) f32 with minus infinity for what must not come behind the tokens so far."""
        if self._read is None:
            self._read = len(ids)  # the prompt
        for token in ids[self._read :]:
            self._state = read(self._state, self._texts.parts(self._tokenizer, token))
            self._left -= 1
        self._read = len(ids)
        allowed = self._known.get(self._state)
        if allowed is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            allowed = self._known[self._state] = allowed_in(self._texts, self._state)
        return self._masked(logits, allowed)

    def _masked(self, logits: NDArray[np.float32], allowed: Allowed) -> NDArray[np.float32]:
        left = self._left - 1  # tokens behind the one that comes now
        masked = np.full_like(logits, -np.inf)
        plain, of_texts = self._texts.plain, logits[: len(self._texts.plain)]
        for string in allowed.strings:
            # A token of n characters leaves fewest - n of those that are needed.
            fewest = string.fewest - left + string.behind
            if fewest <= string.most and string.behind <= left:
                fits = (plain <= min(string.most, ENDLESS - 1)) & (plain >= fewest)
                masked[: len(plain)] = np.where(fits, of_texts, masked[: len(plain)])
        ids = allowed.ids[allowed.needs <= left]
        masked[ids] = logits[ids]
        if may_end(self._state):
            masked[self._ends] = logits[self._ends]
        return masked


def allowed_in(texts: TokenTexts, state: State) -> Allowed:
    """The tokens that may come in a state."""
    walk = _Walk(texts)
    for stack in state:
        walk.begin(stack)
    ids, needs = np.array([*walk.needs], np.int32), np.array([*walk.needs.values()], np.int32)
    return Allowed(ids, needs, tuple(walk.strings))


class _Walk:
    """Goes through the tokens that may come, from the first character on.

    Attributes:
        needs: by token, what is still to come at least behind it.
        strings: those that need no walk.
    """

    def __init__(self, texts: TokenTexts) -> None:
        self._texts = texts
        self.needs: dict[int, int] = {}
        self.strings: dict[_Strings, None] = {}

    def begin(self, stack: Stack) -> None:
        """With nothing of a token read."""
        self._walk(stack, 0, len(self._texts.texts), 0)
        for top in tops(stack):
            if top is not None and isinstance(
                top[0], Plain | Rest
            ):  # what has no token of its own comes byte by byte
                for value, token in self._texts.bytes_by_value.items():
                    for after in step(top, value):
                        self._note(token, after)

    def _note(self, token: int, after: Stack) -> None:
        self.needs[token] = min(least(after), self.needs.get(token, ENDLESS))

    def _walk(self, stack: Stack, low: int, high: int, depth: int) -> None:
        """The tokens texts[low:high], which share their first characters, `depth` of them; these led to the stack."""
        for top in tops(stack):
            if top is None:
                continue
            node, rest = top
            if isinstance(node, Text):
                self._descend(node.text[0], (node.after, rest) if node.after else rest, low, high, depth)
            elif isinstance(node, OneOf):
                for character in node.characters:
                    self._descend(character, rest, low, high, depth)
            elif isinstance(node, Plain):
                self._go_on(top, low, high, depth)

    def _descend(self, character: str, stack: Stack, low: int, high: int, depth: int) -> None:
        """The tokens among those that have this character next."""
        texts = self._texts.texts
        begun = texts[low][:depth] + character
        low = bisect_left(texts, begun, low, high)
        high = bisect_left(texts, begun[:-1] + chr(ord(character) + 1), low, high)
        if low < high and len(texts[low]) == depth + 1:
            self._note(int(self._texts.ids[low]), stack)
            low += 1
        if low < high:
            self._walk(stack, low, high, depth + 1)

    def _go_on(self, top: tuple[Node, Stack], low: int, high: int, depth: int) -> None:
        """The tokens that go on in a string, and those that end it or escape something."""
        texts = self._texts
        rest = top[1]
        fewest, most, behind = 1, 1, rest
        if rest is not None and isinstance(repeat := rest[0], Repeat):
            fewest, most = repeat.fewest + 1, ENDLESS if repeat.most is None else repeat.most + 1
            behind = rest[1]
        if not depth:
            self.strings[_Strings(fewest, most, least(behind))] = None
            special = texts.special
        else:
            places = np.arange(low, high)
            lengths = texts.lengths[low:high] - depth
            plain = texts.last_special[low:high] < depth
            fits = plain & (lengths <= most)
            needs = np.maximum(fewest - lengths, 0) + least(behind)
            for place, need in zip(places[fits].tolist(), needs[fits].tolist(), strict=True):
                token = int(texts.ids[place])
                self.needs[token] = min(need, self.needs.get(token, ENDLESS))
            special = places[~plain]
        for place in special.tolist():
            for after in read(frozenset({top}), texts.texts[place][depth:]):
                self._note(int(texts.ids[place]), after)


def _check_spelling(root: Node, characters: frozenset[str]) -> None:
    """Raise UnsupportedModel where a character that a grammar needs is no token: then it could not be ended in time."""
    seen, todo = {root}, [root]
    while todo:
        node = todo.pop()
        text = node.text if isinstance(node, Text) else node.characters if isinstance(node, OneOf) else ""
        missing = sorted(set(text) - characters)
        if missing:
            raise UnsupportedModel(
                f"The model's vocabulary cannot write JSON: it has no token for {missing[0]!r}.",
                "Choose another model.",
            )
        todo += [part for part in node.parts() if part not in seen]
        seen.update(node.parts())
