"""What a person reads while a download runs."""

from __future__ import annotations

import io
import re

import pytest

from sotto.assets import TerminalProgress
from sotto.assets.progress import Rate, size_text, time_text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (17_880, "17.9 kB"),
        (253_113_024, "253 MB"),
        (4_200_000_000, "4.2 GB"),
    ],
)
def test_sizes(nbytes: int, text: str) -> None:
    assert size_text(nbytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (99.4, "99 s"), (180, "3 min"), (7_500, "2 h 05 min")]
)
def test_times(seconds: float, text: str) -> None:
    assert time_text(seconds) == text


def test_the_rate_is_that_of_the_last_seconds() -> None:
    rate = Rate()
    assert rate.add(100.0, 5_000) == 0
    assert rate.add(101.0, 6_000) == 1_000
    for second in range(2, 20):
        last = rate.add(100.0 + second, 6_000 + 500 * (second - 1))
    assert last == 500


def test_a_terminal_has_one_line_that_ends_when_all_is_there() -> None:
    terminal = Terminal()
    progress = TerminalProgress(terminal)
    progress.update("Model", 1_000_000, 4_000_000)
    progress.note("A note.")
    progress.update("Model", 4_000_000, 4_000_000)
    shown = terminal.getvalue().split("\r\x1b[2K")
    assert shown[1] == "Model: 1.0 MB of 4.0 MB"
    assert shown[2] == "A note.\n"
    assert re.fullmatch(r"Model: 4\.0 MB in \d+ s\n", shown[3])


def test_the_line_tells_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 12.0])
    monkeypatch.setattr("sotto.assets.progress.time.monotonic", lambda: next(clock))
    terminal = Terminal()
    progress = TerminalProgress(terminal)
    progress.update("Model", 0, 10_000_000)
    progress.update("Model", 4_000_000, 10_000_000)
    assert terminal.getvalue().endswith("Model: 4.0 MB of 10.0 MB, 2.0 MB/s, 3 s left")


def test_a_log_gets_a_line_at_the_start_and_at_the_end() -> None:
    log = io.StringIO()
    progress = TerminalProgress(log)
    for done in range(0, 101, 10):
        progress.update("Model", done, 100)
    first, last = log.getvalue().splitlines()
    assert first == "Model: fetching 100 bytes"
    assert re.fullmatch(r"Model: 100 bytes in \d+ s", last)
