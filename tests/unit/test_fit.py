"""Cutting a text to fit, and the line of figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from sotto.page import statistics
from sotto.page.words import Words
from sotto.reports import RunStats
from sotto.tasks import fit

FILE = Path(__file__).parents[2] / "web" / "words.json"
RUN = RunStats(
    prompt_tokens=200,
    read_tokens=200,
    new_tokens=41,
    time_to_first_token=0.314,
    prefill_seconds=0.25,
    decode_seconds=0.95,
    total_seconds=1.264,
    stop_reason="stop",
)


def words_in(text: str) -> int:
    """Tokens of a simple kind, with 5 that are always there."""
    return 5 + len(text.split())


@given(st.text(alphabet="ab .。\n", max_size=300), st.integers(1, 40))
def test_parts_fit_and_are_the_whole_text(text: str, limit: int) -> None:
    parts = fit.split(text, lambda part: len(part.split()), limit)
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert all(0 < len(part.split()) <= limit for part in parts)


@given(st.text(alphabet="ab .。\n", max_size=200), st.integers(1, 40))
def test_a_beginning_fits(text: str, limit: int) -> None:
    begun = fit.beginning(text, lambda part: len(part.split()), limit)
    assert text.startswith(begun) and len(begun.split()) <= limit
    assert begun or not text.strip()


def test_parts_are_about_as_long_as_each_other() -> None:
    text = "".join(f"The house number {number} has a door and a cat. " for number in range(100))
    sizes = [len(part.split()) for part in fit.split(text, lambda part: len(part.split()), 300)]
    assert len(sizes) == 4 and max(sizes) - min(sizes) <= 20
    assert fit.split("One. Two.", lambda part: len(part.split()), 300) == ["One. Two."]
    assert fit.split(" ", lambda part: len(part.split()), 300) == []


@given(st.text(alphabet="ab .。\n", max_size=200), st.integers(0, 60))
def test_what_fits_is_a_beginning_and_fits(text: str, limit: int) -> None:
    part = fit.fit(text, words_in, limit)
    assert text.startswith(part)
    assert not part or words_in(part) <= limit
    if words_in(text) <= limit:
        assert part == text


def test_the_cut_is_at_the_end_of_a_sentence() -> None:
    text = "One two three. Four five six! “Seven eight nine.” Ten eleven twelve."
    assert fit.fit(text, words_in, 5 + 11) == "One two three. Four five six! “Seven eight nine.”"
    assert fit.fit("一二三。四五六。七八九。", len, 10) == "一二三。四五六。"


def test_a_sentence_end_far_back_is_no_place_to_cut() -> None:
    text = "Yes. " + "and " * 50
    assert fit.fit(text, words_in, 5 + 20).split() == ["Yes.", *["and"] * 19]


def test_room_is_left_for_a_post() -> None:
    assert fit.room(2048, 160) == 1888
    assert fit.room(128, 160) == 96


def test_figures() -> None:
    assert statistics.line(Words.load(FILE, "en"), RUN, cached=True) == [
        "0.31 s to first word",
        "200 tokens read at 800 tok/s",
        "decode 42.1 tok/s",
        "41 tokens",
        "1.3 s in all",
        "weights from the cache",
    ]
    assert statistics.line(Words.load(FILE, "ja"), RUN, cached=False)[-1] == "重みは今回変換"


def test_figures_tell_what_was_kept_and_guessed() -> None:
    assert "kept" not in " ".join(
        statistics.line(Words.load(FILE, "en"), replace(RUN, reused_tokens=1, read_tokens=199), cached=True)
    )
    run = replace(RUN, reused_tokens=150, read_tokens=50, drafted_tokens=9, accepted_tokens=1)
    line = statistics.line(Words.load(FILE, "en"), run, cached=True)
    assert line[1:5] == [
        "50 tokens read at 200 tok/s",
        "150 kept from before",
        "decode 42.1 tok/s",
        "1 token guessed ahead",
    ]


def test_figures_leave_out_what_was_not_measured() -> None:
    stopped = RunStats(prompt_tokens=200, prefill_seconds=0.25, total_seconds=0.2, stop_reason="cancelled")
    line = " ".join(statistics.line(Words.load(FILE, "en"), stopped, cached=True))
    assert "first word" not in line
    assert "decode" not in line
    assert "0 of 200 tokens read" in line
    assert "0 tokens" in line
    assert "at 0" not in line and "0.00 tok/s" not in line


def test_a_speed_is_told_of_more_than_a_few_tokens_only() -> None:
    words = Words.load(FILE, "en")
    again = replace(RUN, prompt_tokens=182, reused_tokens=181, read_tokens=1, prefill_seconds=0.12)
    assert statistics.line(words, again, cached=True)[1:3] == ["1 token read", "181 kept from before"]
    half = replace(RUN, reused_tokens=0, read_tokens=128, new_tokens=0, stop_reason="cancelled")
    assert statistics.line(words, half, cached=True)[0] == "128 of 200 tokens read"
