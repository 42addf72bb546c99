"""A report as the page shows it: figures, tables beside the charts, warnings; and the runs that are kept."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

import sample
from sotto.bench.notes import TEXTS, Note, note
from sotto.bench.published import published
from sotto.errors import DeviceError, StoreFull
from sotto.page.agent import browser_name, system_name
from sotto.page.benchmark.baselines import Baselines
from sotto.page.benchmark.figures import Figures, label
from sotto.page.benchmark.markup import Figure, Table, headline
from sotto.page.words import Words

FILE = Path(__file__).parents[2] / "web" / "words.json"
WORDS = {language: Words.load(FILE, language) for language in ("en", "ja")}
REPORT = sample.report()
EARLIER = sample.report(0.5, "2026-11-20T08:30:00+00:00")


def figures(*kept, language: str = "en", report=REPORT) -> dict[str, Figure]:
    return {f.name: f for f in Figures(WORDS[language], report, kept, published()).all()}


class Reader(HTMLParser):
    """Checks that every element is closed where it should be, and collects the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.cells: list[list[str]] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs) -> None:
        self.open.append(tag)
        if tag == "tr":
            self.cells.append([])
        elif tag in ("th", "td"):
            self.cells[-1].append("")

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.text.append(data)
        if self.open and self.open[-1] in ("th", "td"):
            self.cells[-1][-1] += data


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("kept", [(), (EARLIER,)])
def test_every_chart_has_its_table_beside_it(language: str, kept) -> None:
    found = figures(*kept, language=language)
    assert set(found) == {
        "decode", "prefill", "first", "drift", "agreement", "beside", "load", "memory", "kernels", "device"
    }  # fmt: skip
    for figure in found.values():
        reader = Reader(figure.html())
        rows = reader.cells
        assert len(rows) > 1 and len({len(row) for row in rows}) == 1, figure.name
        assert len({len(row) for row in figure.table.rows} | {len(figure.table.head)}) == 1
        for name, chart in figure.charts.items():
            assert f'<canvas id="{name}"' in figure.html()
            json.dumps(chart, allow_nan=False)
            if chart["kind"] == "bars":
                assert all(len(series["values"]) == len(chart["labels"]) for series in chart["series"])


def test_the_tables_say_what_was_measured() -> None:
    found = figures()
    assert found["decode"].table.rows == (("This run", "15.7", "14.0 – 16.2", "13.1", "47%", "256 tokens"),)
    assert [row[:3] for row in found["prefill"].table.rows] == [
        ("32 tokens", "98.0", "88.2 – 108"), ("128 tokens", "124", "112 – 136")
    ]  # fmt: skip
    assert found["load"].table.rows[0][:2] == ("First load", "12.1")
    assert ("Integer products, 8 bits", "86.0 G/s") in found["device"].table.rows
    assert "2 of 5 runs" in found["decode"].notes[0]
    assert found["prefill"].notes == ("4,096 tokens: left out: 4096 tokens do not fit the context of 2048.",)


def test_a_kept_run_stands_beside_this_one_and_is_named() -> None:
    found = figures(EARLIER)
    assert found["decode"].table.rows[1][:2] == ("2026-11-20 08:30, CPU, 2 threads", "7.8")
    tones = [series["tone"] for series in found["prefill"].charts["chart-prefill"]["series"]]
    assert tones == ["ours", "kept"]
    assert len(found["memory"].table.rows) == 2
    assert len(found["load"].table.rows) == 4
    assert found["device"].table.head == ("Limit", "This run", label(WORDS["en"], EARLIER))


def test_published_numbers_cannot_be_taken_for_this_machine() -> None:
    assert published() and all(p.device and p.date and p.source for p in published())
    chart = figures(EARLIER)["beside"].charts["chart-beside-decode"]
    (series,) = chart["series"]
    for name, tone in zip(chart["labels"], series["tones"], strict=True):
        own = name.startswith(("This run", "2026-"))
        assert own == (tone in ("ours", "kept"))
        assert own or any(name.startswith(p.device) for p in published())
    assert series["tones"].count("ours") == 1 and series["tones"].count("kept") == 1
    assert series["values"] == sorted(series["values"], reverse=True)


def test_each_run_is_a_point_and_a_disturbed_one_is_marked() -> None:
    chart = figures()["drift"].charts["chart-drift"]
    decode = chart["series"][0]
    assert decode["points"] == [[11.0, 100.0, False], [12.0, pytest.approx(86.42), True]]
    assert figures()["drift"].table.rows[0] == ("Writing", "16.2", "14.0", "−14%", "2")


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (DeviceError("The GPU was lost to this page."), "device"),
        (StoreFull("There is no room for it."), "full"),
        (RuntimeError("memory access out of bounds"), "other"),
    ],
)
def test_why_is_said_in_the_language_of_the_page(error: Exception, cause: str) -> None:
    kinds = [kind for kind, text in TEXTS.items() if "{why}" in text]
    assert len(kinds) == 5
    report = replace(REPORT, notes=tuple(note(kind, error) for kind in kinds))
    report = type(report).from_json(report.to_json())
    for remark in Figures(WORDS["en"], report).remarks():
        assert str(error).rstrip(".") in remark and ".." not in remark
    for remark in Figures(WORDS["ja"], report).remarks():
        assert WORDS["ja"](f"cause.{cause}", message="") in remark
        assert not re.search("[a-z]{3}", remark)
    older = replace(report, notes=(Note("lost", "", {"why": "x"}),))  # of a version before
    assert WORDS["ja"]("cause.other", message="") in Figures(WORDS["ja"], older).remarks()[0]


def test_warnings_and_remarks() -> None:
    report = replace(REPORT, marks=("battery-low", "hidden"), complete=False)
    warnings = Figures(WORDS["en"], report).warnings()
    assert "battery was nearly empty" in warnings[0] and "tab was hidden" in warnings[1]
    (remark,) = Figures(WORDS["en"], report).remarks()
    assert "from the cache was not measured" in remark


def test_agreement_is_never_rounded_up_to_all() -> None:
    almost = replace(REPORT.agreement, tokens=9999, equal=9998, share=9998 / 9999)
    found = figures(report=replace(REPORT, agreement=almost))["agreement"]
    assert found.table.rows == (("This run", "9,998 of 9,999", "99.9%", "0.0123", "0.040"),)
    assert "agreement" not in figures(report=replace(REPORT, agreement=None))


def test_headline_and_a_report_without_results() -> None:
    labels = [label for label, _, _ in Figures(WORDS["en"], REPORT).headline()]
    assert labels == [
        "Writing", "Reading 128 tokens", "First token after 128", "Load from the cache",
        "Agrees with the CPU", "Memory",
    ]  # fmt: skip
    empty = replace(REPORT, decode=None, prefill=(), agreement=None, kernels=None, probes=None)
    assert set(figures(report=empty)) == {"beside", "load", "memory"}
    assert "325" in headline(Figures(WORDS["en"], empty).headline())


def test_what_is_measured_is_escaped() -> None:
    table = Table(("<a>", "b"), (("<script>", "1 & 2"),))
    html = Figure("x", "<t>", '"', table, {"c": {}}, ("<n>",)).html()
    assert "<script>" not in html and "<n>" not in html
    reader = Reader(html)
    assert reader.cells == [["<a>", "b"], ["<script>", "1 & 2"]]


def test_baselines() -> None:
    kept = [""]

    def keep(text: str) -> bool:
        kept[0] = text
        return True

    baselines = Baselines(lambda: kept[0], keep)
    assert baselines.all() == ()
    assert all(baselines.keep(report) for report in (EARLIER, REPORT, REPORT))
    again = Baselines(lambda: kept[0], lambda text: True)
    assert again.all() == (REPORT, EARLIER)
    assert again.find(EARLIER.date) == EARLIER and again.find("") is None
    baselines.drop(REPORT.date)
    assert Baselines(lambda: kept[0], lambda text: True).all() == (EARLIER,)


@pytest.mark.parametrize("stored", ["", "{", "3", '[{"format": 1}, 7, null]'])
def test_what_cannot_be_read_is_no_baseline(stored: str) -> None:
    assert Baselines(lambda: stored, lambda text: True).all() == ()


def test_no_room_keeps_what_was_there() -> None:
    baselines = Baselines(lambda: f"[{EARLIER.to_json()}]", lambda text: False)
    assert not baselines.keep(REPORT)
    assert baselines.all() == (EARLIER,)


LINUX, MAC, WINDOWS = "X11; Linux x86_64", "Macintosh; Intel Mac OS X 10_15_7", "Windows NT 10.0; Win64; x64"
CHROME = "Mozilla/5.0 ({}) AppleWebKit/537.36 (KHTML, like Gecko) {}Chrome/148.0.0.0 Safari/537.36"
SAFARI = "Mozilla/5.0 ({}) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15"


@pytest.mark.parametrize(
    ("agent", "name", "where"),
    [
        (CHROME.format(LINUX, "Headless"), "Chrome 148", LINUX),
        (CHROME.format(WINDOWS, "") + " Edg/148.0.0.0", "Edge 148", WINDOWS),
        (SAFARI.format(MAC), "Safari 26", MAC),
        (f"Mozilla/5.0 ({LINUX}) Gecko/20100101 Firefox/150.0", "Firefox 150", LINUX),
        ("curl", "curl", "curl"),
    ],
)
def test_the_browser_by_its_agent(agent: str, name: str, where: str) -> None:
    assert (browser_name(agent), system_name(agent)) == (name, where)
