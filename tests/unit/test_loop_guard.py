"""The loop guard: what goes round without end is stopped, what people repeat on purpose is not."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from sotto.text.loop_guard import LONGEST, TIMES, TOKENS, LoopGuard, Repeats


def pieces(text: str) -> list[str]:
    """Words with the space before them, single digits and signs: about what the models' tokens are."""
    return re.findall(r" ?[^\W\d_]+|\d| ?[^\w\s]|\s|_", text)


def stopped_at(parts: Sequence[str]) -> int | None:
    """The index of the piece with which an answer is stopped."""
    guard, ids = LoopGuard(), dict[str, int]()
    for index, part in enumerate(parts):
        if guard.push(ids.setdefault(part, len(ids)), part):
            return index
    return None


SENTENCE = " The model is a good example of what a model can do for people."

LOOPS = {
    "a sentence": SENTENCE * 60,
    "a word": " very" * 500,
    "a paragraph": (
        SENTENCE + " It reads a text. Then it writes another one, word by word, and stops.\n\n" * 2
    )
    * 20,
    "a line": "\n- Read the text." * 80,
    "a sign": "!" * 400,
    "after a text": "It was a quiet morning by the river. " + "And so it went on. " * 70,
    "with numbers": "".join(f"\n{n}. {SENTENCE.strip()}" for n in range(1, 60)),
    "a question with numbers": "".join(
        f"\nQuestion {n}: What is the name of the small river? Answer {n}: The river is called Orra."
        for n in range(60)
    ),
}

VERSES = [
    "Sing of the river, quiet and long", "Past the old bridge where the swallows belong",
    "Under the willows it carries my song", "Home to the harbour, and home to the sea",
]  # fmt: skip
REFRAIN = "\nRow on, row on, for the morning is near,\nRow on, row on, and the harbour is clear.\n"

HONEST = {
    "a refrain": "".join(f"\n{verse},\n{verse.lower()} again.{REFRAIN}" for verse in VERSES * 2),
    "a chorus three times on end": VERSES[0] + REFRAIN * 3 + VERSES[1],
    "laughter": "She laughed:" + " ha" * 60 + "! And then she said nothing more.",
    "bells": "ding dong " * 40 + "went the bells.",
    "a table": "| day | slept | woke |\n|---|---|---|\n" + "".join(
        f"| {day} | {7 + day % 3} h | {day % 2} |\n" for day in range(1, 120)
    ),
    "a wide table": "|" + " a |" * 20 + "\n|" + "---|" * 20 + "\n|" + " 1 |" * 20,
    "a log": "".join(f"2026-11-{day:02}: slept {day % 5 + 4} hours\n" for day in range(1, 100)),
    "counting": ", ".join(map(str, range(1, 300))),
    "a matrix of zeros": "grid = [\n" + "    [0, 0, 0, 0, 0, 0, 0, 0],\n" * 7 + "]\n",
    "code": "".join(
        f"    if key == '{name}':\n        self.{name} = value\n" for name in "abcdefghijklmnopqrstuvwxyz"
    ),
    "a rule": "Title\n" + "-" * 150 + "\ntext",
    "a plan of a month": "".join(f"Day {n}: 20 minutes of walking\n" for n in range(1, 32)),
}  # fmt: skip


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_is_stopped(name: str) -> None:
    parts = pieces(LOOPS[name])
    at = stopped_at(parts)
    assert at is not None and at < len(parts) - 1
    assert at < (TOKENS + 40 if "number" not in name and "paragraph" not in name else 1200)


@pytest.mark.parametrize("name", HONEST)
def test_what_is_repeated_on_purpose_is_not(name: str) -> None:
    assert stopped_at(pieces(HONEST[name])) is None


@pytest.mark.parametrize("size", [1, 7, 48, 49, 100, LONGEST])
def test_the_length_of_a_stretch_is_found(size: int) -> None:
    repeats = Repeats(TIMES, TOKENS)
    answer = [*range(1000, 1100), *list(range(size)) * max(TIMES, -(-TOKENS // size))]
    found = [repeats.push(token) for token in answer]
    at = next(index for index, stretch in enumerate(found) if stretch)
    assert found[at] == size
    assert at == 100 + max(TIMES * size, TOKENS) - 1, "as soon as it is long enough, and not before"


def test_a_longer_stretch_is_not_looked_for() -> None:
    repeats = Repeats(TIMES, TOKENS)
    assert not any(repeats.push(token) for token in list(range(LONGEST + 1)) * 6)
