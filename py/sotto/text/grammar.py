"""Texts that a grammar describes, read character by character: what may come next, and how far the shortest end is.

A state is a set of stacks, one for each way to read the text so far: linked pairs (node, rest) of what is still to
come, the next on top, and None at the bottom. Nodes are compared by identity, and what remains of one is made once, so
that a state that comes again is equal to itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

ENDLESS = 1 << 20
"""The length of a text that never ends."""


class Node:
    """A part of a grammar.

    Attributes:
        least: characters of its shortest text; ENDLESS until `settle` has found it.
    """

    least = ENDLESS

    def measure(self) -> int:
        """`least`, by what is known of the parts."""
        raise NotImplementedError

    def parts(self) -> Iterable[Node]:
        """The nodes it is made of."""
        return ()


Stack = tuple[Node, "Stack"] | None
State = frozenset[Stack]


class Text(Node):
    """A text, of one character at least."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.least = len(text)

    def measure(self) -> int:
        return self.least

    @cached_property
    def after(self) -> Text | None:
        """What remains behind the first character."""
        return Text(self.text[1:]) if len(self.text) > 1 else None


class OneOf(Node):
    """One of some characters."""

    least = 1

    def __init__(self, characters: str) -> None:
        self.characters = characters

    def measure(self) -> int:
        return 1


class Plain(Node):
    """A character that stands for itself in a JSON string."""

    least = 1

    def measure(self) -> int:
        return 1


class Rest(Node):
    """The bytes that a character begun with its first byte still needs."""

    def __init__(self, count: int) -> None:
        self.count = self.least = count

    def measure(self) -> int:
        return self.count


class Chain(Node):
    """Nodes one after the other; none is the empty text."""

    def __init__(self, *nodes: Node) -> None:
        self.nodes: Sequence[Node] = nodes

    def measure(self) -> int:
        return min(ENDLESS, sum(node.least for node in self.nodes))

    def parts(self) -> Iterable[Node]:
        return self.nodes


class Choice(Node):
    """One of several nodes, which may be given later: so a grammar can hold itself."""

    def __init__(self, *nodes: Node) -> None:
        self.nodes: Sequence[Node] = nodes

    def measure(self) -> int:
        return min((node.least for node in self.nodes), default=ENDLESS)

    def parts(self) -> Iterable[Node]:
        return self.nodes


class Repeat(Node):
    """A node, which is not empty, again and again: `fewest` times to `most`, None for any number."""

    def __init__(self, node: Node, fewest: int = 0, most: int | None = None) -> None:
        self.node, self.fewest, self.most = node, fewest, most

    def measure(self) -> int:
        return min(ENDLESS, self.fewest * self.node.least)

    def parts(self) -> Iterable[Node]:
        return (self.node,)

    @cached_property
    def after(self) -> Repeat:
        """What remains behind the first."""
        if self.fewest == 0 and self.most is None:
            return self
        rest = Repeat(self.node, max(0, self.fewest - 1), None if self.most is None else self.most - 1)
        rest.least = rest.measure()
        return rest


EMPTY = Chain()
SPECIAL = frozenset(map(chr, range(32))) | {'"', "\\"}
"""Characters that do not stand for themselves in a JSON string."""

_RESTS = (Rest(1), Rest(2), Rest(3))


def optional(node: Node) -> Choice:
    """A node or nothing."""
    return Choice(node, EMPTY)


def settle(root: Node) -> None:
    """Find `least` of all nodes that a grammar is made of: from the leaves up until nothing changes."""
    nodes: dict[Node, None] = {root: None}
    todo = [root]
    while todo:
        for part in todo.pop().parts():
            if part not in nodes:
                nodes[part] = None
                todo.append(part)
    changed = True
    while changed:
        changed = False
        for node in reversed(nodes):
            least = node.measure()
            changed |= least != node.least
            node.least = least


def least(stack: Stack) -> int:
    """Characters of the shortest text that is still to come."""
    count = 0
    while stack is not None:
        count += stack[0].least
        stack = stack[1]
    return min(count, ENDLESS)


def tops(stack: Stack) -> list[Stack]:
    """The same as stacks with characters on top; None among them where the text may end."""
    found: list[Stack] = []
    todo = [stack]
    while todo:
        current = todo.pop()
        if current is None:
            found.append(None)
            continue
        node, rest = current
        if isinstance(node, Choice):
            todo += [(each, rest) for each in node.nodes]
        elif isinstance(node, Chain):
            for each in reversed(node.nodes):
                rest = each, rest
            todo.append(rest)
        elif isinstance(node, Repeat):
            if node.most != 0:
                todo.append((node.node, (node.after, rest)))
            if node.fewest == 0:
                todo.append(rest)
        else:
            found.append(current)
    return found


def step(stack: Stack, part: str | int) -> set[Stack]:
    """What is to come behind a character, or a byte of one."""
    found: set[Stack] = set()
    for top in tops(stack):
        if top is None:
            continue
        node, rest = top
        if isinstance(node, Text):
            if node.text[0] == part:
                found.add((node.after, rest) if node.after else rest)
        elif isinstance(node, OneOf):
            if isinstance(part, str) and part in node.characters:
                found.add(rest)
        elif isinstance(node, Plain):
            if isinstance(part, str):
                if part not in SPECIAL:
                    found.add(rest)
            elif count := bytes_behind(part):
                found.add((_RESTS[count - 1], rest))
        elif isinstance(node, Rest) and isinstance(part, int) and 0x80 <= part < 0xC0:
            found.add((_RESTS[node.count - 2], rest) if node.count > 1 else rest)
    return found


def bytes_behind(first: int) -> int:
    """How many bytes follow the first one of a character in UTF-8; 0 where none begins with it."""
    if 0xC2 <= first < 0xE0:
        return 1
    if 0xE0 <= first < 0xF0:
        return 2
    return 3 if 0xF0 <= first < 0xF5 else 0


def read(state: State, parts: Iterable[str | int]) -> State:
    """The state behind some characters or bytes; empty where the grammar has no such text."""
    for part in parts:
        state = frozenset(after for stack in state for after in step(stack, part))
    return state


def may_end(state: State) -> bool:
    """Whether the text may end here."""
    return any(None in tops(stack) for stack in state)
