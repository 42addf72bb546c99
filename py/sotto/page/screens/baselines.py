"""Benchmarks that were kept in this browser, to compare later ones with."""

from __future__ import annotations

import json
from collections.abc import Callable

from ...bench.report import Report
from ...errors import SottoError


class Baselines:
    """Reports by their date, the newest first.

    Args:
        read: what was kept before; "" for nothing.
        write: keeps it; it may raise when there is no room.
    """

    def __init__(self, read: Callable[[], str], write: Callable[[str], None]) -> None:
        self._write = write
        self._reports: list[Report] = []
        try:
            kept = json.loads(read() or "[]")
        except ValueError:
            kept = []
        for item in kept if isinstance(kept, list) else []:
            try:
                self._reports.append(Report.from_json(json.dumps(item)))
            except SottoError:
                continue  # of another version: its numbers mean something else

    def all(self) -> tuple[Report, ...]:
        """Every kept report."""
        return tuple(sorted(self._reports, key=lambda report: report.date, reverse=True))

    def find(self, date: str) -> Report | None:
        """The report of a date."""
        return next((report for report in self._reports if report.date == date), None)

    def keep(self, report: Report) -> None:
        """Keep a report; one of the same date is replaced."""
        self._store([other for other in self._reports if other.date != report.date] + [report])

    def drop(self, date: str) -> None:
        """Forget the report of a date."""
        self._store([report for report in self._reports if report.date != date])

    def _store(self, reports: list[Report]) -> None:
        self._write(f"[{','.join(report.to_json() for report in reports)}]")
        self._reports = reports
