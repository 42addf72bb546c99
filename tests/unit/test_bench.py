"""What a benchmark is asked for, and what is made of its report: links, JSON, spreadsheets, one line."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sample
from sotto.bench.control import BenchProgress, Control
from sotto.bench.desk import _battery
from sotto.bench.export import COLUMNS, summary, to_csv
from sotto.bench.notes import TEXTS, note
from sotto.bench.protocol import Spread, against_memory
from sotto.bench.report import Report
from sotto.bench.request import PRESETS, Request, preset_of
from sotto.errors import Cancelled, SottoError

numbers = st.integers(2, 10**6)
requests = st.builds(
    Request,
    model=st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Zs")), max_size=20),
    shape=st.sampled_from(["", "270m", "1b"]),
    device=st.sampled_from(["auto", "gpu", "cpu"]),
    adapter=st.sampled_from(["", "low-power", "Apple M3 Pro & more", "0"]),
    threads=st.integers(0, 64),
    variant=st.sampled_from(["", "decode:rows,matmul:tile-32"]),
    context=numbers,
    prefill=st.lists(numbers, min_size=0, max_size=5).map(tuple),
    decode=numbers,
    after=st.integers(1, 4096),
    runs=st.integers(1, 50),
    warmup=st.integers(1, 5),
    budget=numbers,
    loads=st.booleans(),
    probes=st.booleans(),
    profile=st.booleans(),
)


@given(requests)
def test_a_link_says_all_settings(request: Request) -> None:
    assert Request.from_query(request.to_query()) == request


def test_a_link_is_short() -> None:
    assert Request().to_query() == ""
    assert replace(Request(), shape="1b", prefill=(32, 128)).to_query() == "shape=1b&prefill=32,128"
    assert Request.from_query("utm_source=mail&decode=64") == Request(decode=64)


@pytest.mark.parametrize(
    "query", ["decode=many", "decode=1", "runs=0", "prefill=32,x", "prefill=0", "device=npu", "probes=maybe"]
)
def test_a_wrong_link_is_told(query: str) -> None:
    with pytest.raises(SottoError):
        Request.from_query(query)


def test_presets() -> None:
    google = PRESETS["google"]
    assert (google.prefill, google.after, google.decode, google.context) == ((1024,), 1024, 256, 1280)
    for name, request in PRESETS.items():
        assert preset_of(replace(request, shape="1b", device="cpu", profile=True)) == name
        assert preset_of(replace(request, runs=7)) == ""


def test_spread() -> None:
    assert Spread.of([3.0, 1.0, 10.0]) == Spread(3.0, 1.0, 10.0, 3)
    assert Spread.of([1.0, 2.0]) == Spread(1.5, 1.0, 2.0, 2)
    assert Spread.of([]) is None


def test_every_note_can_be_said() -> None:
    for kind, text in TEXTS.items():
        names = [part.partition("}")[0] for part in text.split("{")[1:]]
        said = note(kind, **dict.fromkeys(names, 7))
        assert "{" not in said.text and set(said.values) == set(names)


def test_a_report_survives_json() -> None:
    report = sample.report()
    assert Report.from_json(report.to_json()) == report


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda r: r.update(format=1), "another version"),
        (lambda r: r.pop("decode"), "decode"),
        (lambda r: r.update(extra=1), "extra"),
        (lambda r: r["prefill"][0].update(tokens="32"), r"report.prefill\[0\].tokens"),
        (lambda r: r["probes"].update(f32="fast"), "report.probes.f32"),
        (lambda r: r.update(marks="hidden"), "report.marks"),
        (lambda r: r["machine"].update(system=None), "report.machine.system"),
    ],
)
def test_what_is_no_report_is_refused(change, told: str) -> None:
    value = json.loads(sample.report().to_json())
    change(value)
    with pytest.raises(SottoError, match=told):
        Report.from_json(json.dumps(value))


def test_csv() -> None:
    report = sample.report()
    rows = list(csv.DictReader(io.StringIO(to_csv(report))))
    assert tuple(rows[0]) == COLUMNS
    found = {(row["figure"], row["tokens"], row["statistic"]): row for row in rows}
    assert len(found) == len(rows), "no line twice"
    assert float(found["decode", "256", "median"]["value"]) == 15.7
    runs = [row for row in rows if row["figure"] == "prefill" and "run" in row["statistic"]]
    assert [row["statistic"] for row in runs if row["tokens"] == "128"] == ["warm-up run 1", "run 2", "run 3"]
    assert found["decode", "256", "run 3"]["marks"] == "hidden"
    assert float(found["first load", "", "weights"]["value"]) == 9.5
    assert ("probe", "", "f16") not in found


def test_summary() -> None:
    report = sample.report()
    line = summary(report)
    assert "\n" not in line
    for part in (
        "prefill 128: 124.0 tok/s",
        "decode 256: 15.7 tok/s",
        "first load 12.1 s",
        "2 threads",
        "hidden",
    ):
        assert part in line
    assert "stopped early" in summary(replace(report, complete=False))
    assert "prefill" not in summary(replace(report, prefill=()))


def test_progress_never_goes_back_and_the_rest_is_bounded_by_the_budget() -> None:
    heard: list[BenchProgress] = []
    control = Control(100, heard.append)
    control.tell("probes")
    control.expected = {"decode": 1.0, "prefill 32": 2.0}
    control.tell("decode")
    control.expected = {"decode": 1e6}
    control.tell("decode")
    assert heard[0].left is None
    assert heard[1].left == pytest.approx(3.0)
    assert heard[2].left is not None and heard[2].left <= 100
    assert 0 < heard[1].fraction == heard[2].fraction
    control.cancel()
    with pytest.raises(Cancelled):
        control.tell("decode")


def test_disturbances_are_kept_for_the_whole() -> None:
    told = [frozenset({"hidden"}), frozenset(), frozenset({"battery"})]
    control = Control(100, lambda _: None, lambda: told.pop(0))
    assert [control.disturbed() for _ in range(3)] == [("hidden",), (), ("battery",)]
    assert control.marks == {"hidden", "battery"}


@pytest.mark.parametrize(
    ("status", "capacity", "marks"),
    [
        ("Discharging", 80, {"battery"}),
        ("Discharging", 7, {"battery", "battery-low"}),
        ("Charging", 7, set()),
    ],
)
def test_the_battery(tmp_path: Path, status: str, capacity: int, marks: set[str]) -> None:
    (tmp_path / "BAT0").mkdir()
    (tmp_path / "BAT0" / "status").write_text(f"{status}\n")
    (tmp_path / "BAT0" / "capacity").write_text(f"{capacity}\n")
    (tmp_path / "AC").mkdir()
    assert _battery(tmp_path) == marks


def test_more_than_memorys_limit_is_explained() -> None:
    assert against_memory(None, [0.01]) == against_memory(0.01, []) == (None, ())
    assert against_memory(0.009, [0.01, 0.01, 0.02]) == (pytest.approx(0.9), ())
    share, notes = against_memory(0.0132, [0.01])
    assert share == pytest.approx(1.32)
    assert [n.kind for n in notes] == ["memory"] and "caches" in notes[0].text
