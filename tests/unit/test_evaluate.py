"""The report of the default model's adapter: what its figures count."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

import evaluate
from pairs import FOLDER, read

PAIRS = read([FOLDER / "held-out.jsonl"])
POSTS = [pair for pair in PAIRS if pair.request.task == "post" and pair.request.language == "en"][:4]


def answer(number: int, text: str, breaks: list[str], closeness: float) -> dict[str, object]:
    return {
        "id": POSTS[number].id, "way": "adapter", "answer": text, "breaks": breaks,
        "closeness": closeness, "others": [],
    }  # fmt: skip


WRITTEN = [
    answer(0, "Wholly other words, in two sentences. They are far away.", [], 0.2),
    answer(1, "Words that run on and on", ["unended"], 0.9),
    answer(2, POSTS[2].text.split(". ")[0].split("\n")[-1] + ".", ["copy"], 1.0),
    answer(3, "There were 999 of them.", ["number 999", "name Nemo"], 0.5),
]


def test_what_the_figures_count() -> None:
    found = evaluate.figures(WRITTEN, {pair.id: pair for pair in PAIRS})
    assert found["answers"] == "4" and found["ends by itself"] == "75%"
    assert found["all numbers supported"] == found["all names supported"] == "75%"
    assert found["breaks no rule"] == "25%" and found["no loop"] == "100%"
    assert found["posts not merely a sentence of the text"] == "75%"
    assert found["posts with some words of their own"] == "75%"
    assert found["closeness, median"] == "0.70"


@pytest.mark.parametrize(
    ("values", "usable", "expected"),
    [
        ([3.0, 2.0, 1.0], [True, True, False], 1.0),
        ([1.0, 2.0], [True, False], 0.0),
        ([1.0, 1.0], [True, False], 0.5),
        ([1.0, 2.0, 3.0, 4.0], [False, True, False, True], 0.75),
    ],
)
def test_separation(values: list[float], usable: list[bool], expected: float) -> None:
    assert evaluate.separation(values, usable) == expected
    assert math.isnan(evaluate.separation(values, [True] * len(values)))


def test_the_report(tmp_path: Path) -> None:
    (tmp_path / "training.json").write_text(
        json.dumps({"rank": 16, "curve": [{"epoch": 1, "training": 1.25, "validation": 1.125}]}), "utf-8"
    )
    lines = [json.dumps(one) for one in WRITTEN]
    (tmp_path / "answers.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    verdicts = [
        {"id": POSTS[number].id, "way": "adapter", "usable": number == 1, "why": f"reason {number}"}
        for number in range(4)
    ]
    (tmp_path / "reading.jsonl").write_text("\n".join(map(json.dumps, verdicts)), "utf-8")
    options = evaluate.parse_arguments(["--report", "--out", str(tmp_path), "--adapter", str(tmp_path)])
    told = evaluate.report(options, PAIRS)
    assert "rank 16" in told and "epoch 1: training 1.250, validation 1.125" in told
    assert "| adapter, English | 4 | 25% |" in told
    assert "closeness (pairs of neighbouring words that stand in the text): 0.67" in told
    assert "Words that run on and on **usable**: reason 1" in told
    assert all(f"**{pair.id}**" in told for pair in PAIRS[: evaluate.SHOWN])
