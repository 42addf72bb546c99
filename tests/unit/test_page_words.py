"""Every string of the page exists in both languages, says the same values, and is used."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from sotto.bench.control import KINDS
from sotto.bench.notes import TEXTS as NOTES
from sotto.bench.request import PRESETS
from sotto.errors import KINDS as KINDS_OF_ERRORS
from sotto.errors import DocumentError
from sotto.library.curated import CURATED
from sotto.page import statistics
from sotto.page.benchmark.layout import COLUMNS
from sotto.page.progress import SHARES
from sotto.page.words import Words
from sotto.reports import STAGES, LoadStats
from sotto.tasks.templates import READY

ROOT = Path(__file__).parents[2]
FILE = ROOT / "web" / "words.json"
BOOK = json.loads(FILE.read_text(encoding="utf-8"))
PAGE = ROOT / "py" / "sotto" / "page"
HTML = (ROOT / "web" / "index.html").read_text("utf-8")
SCRIPT = "".join((ROOT / "web" / name).read_text("utf-8") for name in ("boot.js", "start.js"))


def plain(keys: dict[str, str]) -> set[str]:
    """Keys without the singular forms, which a language may lack."""
    return {key for key in keys if not key.endswith(".one")}


def written_out() -> set[str]:
    """Every string constant of the page's Python, and what its HTML and its first script ask for."""
    found = set(re.findall(r'data-(?:words|placeholder|label|empty|reading)="([\w.-]+)"', HTML))
    asked = re.findall(r'words\["([\w.]+)"\]|words\.(\w+)|filled\("([\w.]+)"', SCRIPT)
    found |= {key for keys in asked for key in keys}
    for path in PAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


def said() -> set[str]:
    """The kinds that errors say themselves, and of what else there are words."""
    found = {"adapter.unsupported", "adapter.format", "adapter.full", "saved.format"}
    for path in PAGE.parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            given = [*node.args[2:3], *(each.value for each in node.keywords if each.arg == "kind")]
            for kind in given:
                if isinstance(kind, ast.Constant) and isinstance(kind.value, str) and kind.value:
                    if name == "Offer" and kind in [each.value for each in node.keywords]:
                        found.add(f"offer.{kind.value}")
                    elif name in ("SottoError", "AssetError", "FormatError", "UnsupportedModel"):
                        found.add(kind.value)
    return found


def put_together() -> set[str]:
    """The keys that the code makes from a name."""
    faults = (PAGE / "faults.py").read_text("utf-8")
    kinds = set(re.findall(r'Fault\(\s*"(\w+)"', faults)) | set(re.findall(r'(?:fail|tell)\("(\w+)"', SCRIPT))
    kinds |= {"browser", "lost", "adapter"}  # one of three, by the case
    kinds |= {"runtime"}  # told a little later, for want of a better word
    keys = {f"error.{kind}{part}" for kind in kinds for part in ("", ".text", ".action")}
    keys |= {f"stage.{stage}" for stage in SHARES}
    keys |= {f"hub.curated.{one.name}" for one in CURATED}
    keys |= {f"note.lost.{what}" for what in ("storage", "address", "isolation", "model")}
    keys |= {
        f"fact.weights.{kept}" for kept in ("cached", "converted", "unstored", "rounded", "scheme", "cost")
    }
    keys |= {f"fact.{what}.{kind}" for what in ("memory", "processor") for kind in ("gpu", "cpu")}
    keys |= {f"fact.kernels.{how}" for how in ("measured", "partly", "remembered", "usual")}
    for file in (PAGE / "processor.py", PAGE.parent / "devices" / "policy.py"):
        keys |= {f"why.{why}" for why in re.findall(r'(?:, |why = )"(\w+)"\)?\n', file.read_text("utf-8"))}
    keys |= {
        f"document.{kind}" for kind in re.findall(r'"(\w+)"', str(DocumentError.__doc__).replace("(", " ("))
    }
    kinds = set(KINDS_OF_ERRORS.values())
    keys |= {
        f"cause.{kind}" for kind in ("lost", "wrong", "device", "memory", "limits", "unsupported", "full")
    }
    keys |= {f"fault.{kind}" for kind in kinds | said()}
    return keys | {f"unit.{unit}.about" for unit in ("seconds", "minutes")} | benchmark() | tasks()


def tasks() -> set[str]:
    """The keys that the screen of tasks makes from a template: every ready one has an example to try."""
    keys = {f"tasks.{each.id}{part}" for each in READY for part in ("", ".about", ".example")}
    chosen = {
        (each.choice, name) for each in READY if each.choice not in ("", "into") for name in each.options
    }
    keys |= {f"tasks.{choice}.{name}" for choice, name in chosen}
    return keys | {f"tasks.choice.{each.choice}" for each in READY if each.choice}


def benchmark() -> set[str]:
    """The keys that the benchmark's screen makes from a name."""
    parts = {
        "note": NOTES,
        "mark": ("hidden", "battery", "battery-low"),
        "preset": (*PRESETS, "own"),
        "device": ("gpu", "low-power", "fallback"),
        "doing": KINDS,
        "head": ("cold", "cached", "beside.decode", "beside.prefill"),
        "load": ("cold", "cached"),
        "memory": ("weights", "cache", "constants", "scratch", "text.gpu", "text.cpu"),
        "probe": ("read", "f32", "f16", "int8", "dispatch", "trip"),
        **COLUMNS,
    }
    keys = {f"bench.{part}.{name}" for part, names in parts.items() for name in names}
    keys |= {f"bench.{name}{part}" for name in ("prefill", "first") for part in ("", ".text")}
    return keys | {"bench.show", "bench.drop"}


def test_languages_have_the_same_keys_and_values() -> None:
    assert plain(BOOK["en"]) == plain(BOOK["ja"])
    for key in plain(BOOK["en"]):
        if key.startswith(
            ("fault.", "cause.")
        ):  # the engine's own sentence, and words for errors of its kind
            assert BOOK["en"][key] == "{message}" and not BOOK["ja"][key].isascii()
            continue
        values = [set(re.findall(r"{(\w+)}", BOOK[language][key])) for language in ("en", "ja")]
        assert values[0] == values[1], key


def test_every_string_is_used_and_none_is_missing() -> None:
    assert put_together() <= plain(BOOK["en"])
    assert set(re.findall(r'data-(?:words|placeholder|label|empty|reading)="([\w.-]+)"', HTML)) <= plain(
        BOOK["en"]
    )
    assert plain(BOOK["en"]) - written_out() - put_together() == set()


def test_the_stages_of_the_page_are_those_of_a_load() -> None:
    assert re.findall(r'<li id="stage-(\w+)"', HTML) == list(SHARES)
    assert list(SHARES) == ["runtime", *STAGES]


def test_every_screen_of_the_list_has_its_parts() -> None:
    names = re.findall(r'<a href="[^"]*" data-screen="(\w+)" data-words="screen\.(\w+)"', HTML)
    assert len(names) >= 2
    modules = {path.stem for path in (PAGE / "screens").glob("*.py")} - {"__init__"}
    mains = re.findall(r'<main class="\w+" data-screen="(\w+)"', HTML)
    assert {name for pair in names for name in pair} == modules == set(mains)
    for name in modules:
        assert "\ndef make(parts: Parts)" in (PAGE / "screens" / f"{name}.py").read_text("utf-8")


def test_examples_are_in_their_languages() -> None:
    english, japanese = BOOK["examples"]["en"]["text"], BOOK["examples"]["ja"]["text"]
    assert english.isascii()
    assert sum("\u3040" <= character <= "\u30ff" for character in japanese) > len(japanese) / 3


@pytest.mark.parametrize(
    ("language", "count", "expected"),
    [("en", 1, "1 token"), ("en", 1240, "1,240 tokens"), ("ja", 1, "1トークン")],
)
def test_counts(language: str, count: int, expected: str) -> None:
    assert Words.load(FILE, language)("stats.tokens", count=count) == expected


@pytest.mark.parametrize(
    ("seconds", "english", "japanese"),
    [
        (0.3149, "0.31 s", "0.31秒"),
        (4.25, "4.2 s", "4.2秒"),
        (59.94, "59.9 s", "59.9秒"),
        (125.4, "2 min 5 s", "2分5秒"),
    ],
)
def test_measured_times(seconds: float, english: str, japanese: str) -> None:
    assert Words.load(FILE, "en").time(seconds) == english
    assert Words.load(FILE, "ja").time(seconds) == japanese


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.2, "1 s"), (9.1, "10 s"), (11.0, "15 s"), (90.0, "90 s"), (100.0, "2 min")]
)
def test_foretold_times(seconds: float, expected: str) -> None:
    assert Words.load(FILE, "en").about(seconds) == expected


COST = "which takes Gemma 3 270M, not trained for it, from 3.71 to 3.73 nats a token on a test text"


@pytest.mark.parametrize(
    ("load", "told"),
    [
        ({}, []),
        ({"weights": "int8", "rounding": 0.0164}, ["rounded to int8, 1.6% from the file’s", COST]),
        ({"weights": "int8"}, ["rounded to int8", COST]),
        (
            {"rounded_types": ("Q5_1", "Q5_K"), "rounding": 0.00375},
            ["Q5_1, Q5_K rounded to 8 bits, 0.38% from the file’s"],
        ),
        ({"rounded_types": ("Q2_K",)}, ["Q2_K rounded to 8 bits"]),
        ({"source_bytes": 95_000_000}, ["95 MB in the file"]),
        ({"source_bytes": 253_000_000}, []),
    ],
)
def test_what_is_told_of_weights(load: dict[str, Any], told: list[str]) -> None:
    stats = LoadStats(False, {}, {"weights": 286_000_000}, **load)
    assert list(statistics.weights(Words(BOOK["en"]), stats)) == told
    assert len(list(statistics.weights(Words(BOOK["ja"]), stats))) == len(told)
