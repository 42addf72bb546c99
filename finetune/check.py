#!/usr/bin/env python3
"""Check the pairs: their fields, that no two texts are alike, and all that a rule can tell of an answer.

    python finetune/check.py                  finetune/data
    python finetune/check.py mine.jsonl       a person's own pairs

Names every fault with its pair, and ends with 1 when there is one.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "py"), str(Path(__file__).resolve().parent)]

from pairs import FOLDER, Pair, read  # noqa: E402
from sotto.tasks import rules  # noqa: E402
from sotto.tasks.phrases import BY_CHARACTERS  # noqa: E402

RUN = 5  # words that two texts share
RUN_OF_CHARACTERS = 10  # in scripts without spaces
ALIKE = 1 / 3  # of a text's runs
TEXT = {False: (20, 650), True: (45, 1600)}  # words, characters: of a text
SHARE = 0.75  # of its text that a post or a summary is long at most
HEADLINE = {False: (3, 13), True: (6, 32)}
# German writes every noun with a capital, and answers may take a word of their own ("in Ordnung"): names are told only
# for people to look at.
ADVICE = {"name"}


def faults(pair: Pair) -> Iterator[str]:
    """What is wrong with a pair by itself."""
    request, text, answer = pair.request, pair.text, pair.answer
    for finding in rules.check(request, text, answer):
        if finding.rule not in ADVICE:
            yield f"{finding.rule} {finding.detail}".strip()
    by_characters = request.language in BY_CHARACTERS
    size, own = rules.length(text, request.language), rules.length(answer, request.language)
    low, high = TEXT[by_characters]
    if not low <= size <= high:
        yield f"a text of {size}"
    if request.task in ("post", "summary") and own > SHARE * size:
        yield f"an answer of {own} to a text of {size}"
    low, high = HEADLINE[by_characters]
    if request.task == "headline" and not low <= own <= high:
        yield f"a headline of {own}"
    if request.task == "rewrite" and not request.tone:
        yield "a rewrite without a tone"
    if request.task != "rewrite" and "\n" in answer:
        yield "an answer of several lines"
    tags = re.findall(r"#(\w+)", answer)
    if request.hashtags != bool(tags):
        yield "hashtags are asked for and missing, or the other way round"
    for tag in tags:
        parts = [tag] if by_characters else re.findall(r"[A-ZÀ-Þ]?[^\W\dA-ZÀ-Þ_]+|[A-ZÀ-Þ]+|\d+", tag)
        if not all(rules.flat(part) in rules.flat(text) for part in parts):
            yield f"#{tag} is not made of the text's words"


def runs(pair: Pair) -> set[tuple[str, ...]]:
    """The runs of words, or of characters, of a pair's text."""
    if pair.request.language in ("ja", "zh"):
        units, size = list(rules.flat(pair.text)), RUN_OF_CHARACTERS
    else:
        units, size = re.findall(r"\w+", pair.text.lower()), RUN
    return {tuple(units[at : at + size]) for at in range(len(units) - size + 1)}


def alike(pairs: Sequence[Pair]) -> Iterator[tuple[Pair, Pair, float]]:
    """Pairs whose texts share more than a third of the runs of the first."""
    own = [runs(pair) for pair in pairs]
    holders: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, found in enumerate(own):
        for run in found:
            holders[run].append(index)
    for index, found in enumerate(own):
        shared = Counter(other for run in found for other in holders[run] if other != index)
        for other, count in shared.items():
            if count > ALIKE * len(found):
                yield pairs[index], pairs[other], count / len(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, tell, count."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="*", help="files of pairs (finetune/data/*.jsonl)")
    options = parser.parse_args(arguments)
    pairs = read(options.files or sorted(FOLDER.glob("*.jsonl")))
    found = [f"{pair.id}: {fault}" for pair in pairs for fault in faults(pair)]
    found += [
        f"{one.id}: {share:.0%} of its text stand in {other.id}'s" for one, other, share in alike(pairs)
    ]
    names = Counter(pair.id for pair in pairs)
    found += [f"{name}: {count} pairs have this id" for name, count in names.items() if count > 1]
    print("\n".join(found) or "No fault.")
    for what in ("task", "language"):
        counts = Counter(getattr(pair.request, what) for pair in pairs).most_common()
        print(f"{what}:", ", ".join(f"{name} {count} ({count / len(pairs):.0%})" for name, count in counts))
    posts = [pair for pair in pairs if pair.request.task == "post"]
    close = sorted(rules.closeness(pair.text, pair.answer, pair.request.language) for pair in posts)
    if close:
        print(
            f"{len(pairs)} pairs; of a post's word pairs {close[len(close) // 2]:.0%} stand in its text (median)."
        )
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
