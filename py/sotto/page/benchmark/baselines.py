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
        write: keeps it; False when there is no room.
    """

    def __init__(self, read: Callable[[], str], write: Callable[[str], bool]) -> None:
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

    def keep(self, report: Report) -> bool:
        """Keep a report, in place of one of the same date; False, and nothing changes, when there is no room."""
        reports = [other for other in self._reports if other.date != report.date] + [report]
        if not self._write(_text(reports)):
            return False
        self._reports = reports
        return True

    def drop(self, date: str) -> None:
        """Forget the report of a date."""
        self._reports = [report for report in self._reports if report.date != date]
        self._write(_text(self._reports))


def _text(reports: list[Report]) -> str:
    return f"[{','.join(report.to_json() for report in reports)}]"
