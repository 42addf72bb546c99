"""The pairs that the default model's adapter learns from, and the checker that a person's own pairs go through."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import check
from pairs import FOLDER, KINDS, read
from sotto.tasks.phrases import LANGUAGES, NETWORKS, TONES, TRAINED

FINETUNE = Path(__file__).resolve().parents[2] / "finetune"

GOOD = {
    "language": "en",
    "text": "The bakery on Hill Road opens at six from Monday on. Until now it was seven. Rye bread costs 4.20 "
    "instead of 3.90, and the sourdough comes out of the oven at nine.",
    "answer": "From Monday on the Hill Road bakery opens at six instead of seven, and rye bread costs 4.20.",
}


def written(folder: Path, *pairs: dict[str, object]) -> Path:
    path = folder / "mine.jsonl"
    path.write_text("\n\n".join(json.dumps(pair) for pair in pairs), "utf-8")
    return path


def test_the_pairs_of_the_repository_have_no_fault(capsys):
    assert check.main([]) == 0, capsys.readouterr().out


def test_how_many_there_are():
    train = read(sorted(FOLDER.glob("train-*.jsonl")))
    held_out = read([FOLDER / "held-out.jsonl"])
    assert len(train) >= 1500 and len(held_out) >= 150
    for pairs in (train, held_out):
        assert {pair.request.task for pair in pairs} == set(TRAINED)
        assert {pair.request.language for pair in pairs} == set(LANGUAGES)
        assert {pair.kind for pair in pairs} == set(KINDS)
        posts = sum(pair.request.task == "post" for pair in pairs) / len(pairs)
        english = sum(pair.request.language == "en" for pair in pairs) / len(pairs)
        japanese = sum(pair.request.language == "ja" for pair in pairs) / len(pairs)
        assert 0.6 <= posts <= 0.7 and 0.5 <= english <= 0.6 and 0.25 <= japanese <= 0.35


def test_the_schema_says_what_the_reader_takes():
    fields = json.loads((FOLDER / "schema.json").read_text("utf-8"))["properties"]
    known = {"task": TRAINED, "language": LANGUAGES, "kind": KINDS, "network": NETWORKS, "tone": TONES}
    assert {name: tuple(fields[name]["enum"]) for name in known} == known


def test_a_pair_of_a_persons_own(tmp_path, capsys):
    path = written(tmp_path, GOOD)
    assert check.main([str(path)]) == 0, capsys.readouterr().out
    (pair,) = read([path])
    assert (pair.id, pair.request.task, pair.request.longest) == ("mine-1", "post", 50)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"answer": "From Monday on the bakery on Hill Road opens at 8."}, "number 8"),
        ({"answer": "Until now it was seven."}, "copy"),
        ({"limit": 5}, "length"),
        ({"answer": GOOD["text"]}, "an answer of"),
        ({"hashtags": True}, "hashtags"),
        ({"answer": GOOD["answer"] + " #HillTop"}, "#HillTop is not"),
        ({"text": "Too short."}, "a text of 2"),
        ({"task": "headline"}, "a headline of"),
        ({"task": "rewrite"}, "a rewrite without a tone"),
        ({"answer": "From Monday on\nat six."}, "several lines"),
        ({"language": "de"}, "language"),
    ],
)
def test_what_the_checker_finds(tmp_path, capsys, change, told):
    assert check.main([str(written(tmp_path, GOOD | change))]) == 1
    assert told in capsys.readouterr().out


def test_texts_that_are_alike(tmp_path, capsys):
    other = GOOD | {"text": GOOD["text"].replace("Rye bread", "White bread")}
    assert check.main([str(written(tmp_path, GOOD, other))]) == 1
    assert "of its text stand in mine-3's" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("[]", "line 1: not a JSON object"),
        ("{", "line 1: "),
        ('{"text": "a", "answer": "b"}', "line 1: no language"),
        (json.dumps(GOOD | {"tonne": "x"}), "unknown fields: tonne"),
        (json.dumps(GOOD | {"tone": "rude"}), "tone is 'rude'"),
        (json.dumps(GOOD | {"language": "la"}), "language is 'la'"),
        (json.dumps(GOOD | {"limit": True}), "limit is True"),
        (json.dumps(GOOD | {"limit": 0}), "limit is 0"),
        (json.dumps(GOOD | {"answer": " "}), "no answer"),
    ],
)
def test_lines_that_are_no_pair(tmp_path, line, told):
    path = tmp_path / "mine.jsonl"
    path.write_text(line, "utf-8")
    with pytest.raises(ValueError, match=r"mine\.jsonl, line 1") as error:
        read([path])
    assert told in str(error.value)


def test_the_checker_is_a_command(tmp_path):
    command = [sys.executable, FINETUNE / "check.py", written(tmp_path, GOOD)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "No fault.")
