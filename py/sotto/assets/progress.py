"""Telling a person how a download goes: bytes, rate and time left on one line of the terminal."""

from __future__ import annotations

import shutil
import sys
import time
from collections import deque
from typing import Protocol, TextIO


class Progress(Protocol):
    """What `fetch` reports to; give your own to show it another way."""

    def update(self, what: str, done: int, total: int) -> None:
        """`done` of `total` bytes of `what` have arrived; equal numbers end it."""

    def note(self, text: str) -> None:
        """Something worth knowing happened: one sentence."""


class Silent:
    """Shows nothing."""

    def update(self, what: str, done: int, total: int) -> None:
        """Ignore it."""

    def note(self, text: str) -> None:
        """Ignore it."""


def size_text(nbytes: float) -> str:
    """Bytes as people read them, in decimal units: `17.9 kB`, `253 MB`."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if nbytes >= factor:
            value = nbytes / factor
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:.1f} {unit}"
    return f"{nbytes:.0f} bytes"


def time_text(seconds: float) -> str:
    """A waiting time as people read it: `12 s`, `3 min`, `2 h 05 min`."""
    whole = max(1, round(seconds))
    if whole < 100:
        return f"{whole} s"
    minutes = round(whole / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"


class Rate:
    """Bytes a second over the last few seconds, so that the time left follows the line's real speed."""

    WINDOW = 5.0

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, now: float, done: int) -> float:
        """Note that `done` bytes were there at `now` (s) and return the rate in bytes/s; 0 while unknown."""
        self._samples.append((now, done))
        while len(self._samples) > 2 and now - self._samples[0][0] > self.WINDOW:
            self._samples.popleft()
        start, first = self._samples[0]
        return (done - first) / (now - start) if now > start else 0.0


class TerminalProgress:
    """One line that rewrites itself on a terminal; elsewhere a plain line now and then.

    Args:
        stream: where to write; standard error when not given.
    """

    TERMINAL_INTERVAL = 0.1
    LOG_INTERVAL = 10.0

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._terminal = self._stream.isatty()
        self._job = ("", 0)
        self._rate = Rate()
        self._began = 0.0
        self._shown = 0.0

    def update(self, what: str, done: int, total: int) -> None:
        """Show the bytes, the rate and the time left of `what`."""
        now = time.monotonic()
        if (what, total) != self._job:
            self._job, self._rate, self._began = (what, total), Rate(), now
            self._shown = now if not self._terminal else 0.0
            if not self._terminal:
                self._print(f"{what}: fetching {size_text(total)}")
        rate = self._rate.add(now, done)
        if done >= total:
            self._job = ("", 0)
            self._print(f"{what}: {size_text(total)} in {time_text(now - self._began)}")
        elif now - self._shown >= (self.TERMINAL_INTERVAL if self._terminal else self.LOG_INTERVAL):
            self._shown = now
            text = f"{what}: {size_text(done)} of {size_text(total)}"
            if rate > 0:
                text += f", {size_text(rate)}/s, {time_text((total - done) / rate)} left"
            self._print(text, final=not self._terminal)

    def note(self, text: str) -> None:
        """Print a line of its own."""
        self._print(text)

    def _print(self, text: str, final: bool = True) -> None:
        if self._terminal:
            columns = shutil.get_terminal_size().columns
            text = "\r\x1b[2K" + (text if final else text[: columns - 1])
        self._stream.write(text + "\n" if final else text)
        self._stream.flush()
