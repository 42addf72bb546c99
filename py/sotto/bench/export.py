"""A report for spreadsheets, and in one line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from .protocol import Decode, Prefill, Spread
from .report import Report

COLUMNS = ("figure", "tokens", "statistic", "value", "unit", "at_seconds", "marks")


Row = tuple[str, int | str, str, float | None, str]


def to_csv(report: Report) -> str:
    """Every run and every figure, one on a line, under COLUMNS."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for p in report.prefill:
        writer.writerows(_runs("prefill", p))
    if report.decode:
        writer.writerows(_runs("decode", report.decode))
    writer.writerows((*row, "", "") for row in _figures(report) if row[3] is not None)
    return text.getvalue()


def _runs(figure: str, result: Prefill | Decode) -> Iterator[tuple[object, ...]]:
    rates = _spread(result.rate) | {"cold": result.cold_rate}
    for statistic, value in rates.items():
        if value is not None:
            yield figure, result.tokens, statistic, value, "tokens/s", "", ""
    if result.share_of_limit is not None:
        yield figure, result.tokens, "share of limit", result.share_of_limit, "", "", ""
    for number, point in enumerate(result.points, 1):
        kind = f"{'run' if point.warm else 'warm-up run'} {number}"
        yield figure, result.tokens, kind, point.value, "tokens/s", round(point.at, 3), " ".join(point.marks)


def _figures(report: Report) -> Iterator[Row]:
    for p in report.prefill:
        firsts = _spread(p.time_to_first_token) | {"cold": p.cold_time_to_first_token}
        for statistic, value in firsts.items():
            yield "time to first token", p.tokens, statistic, value, "s"
    for name, load in (("first load", report.load.cold), ("cached load", report.load.cached)):
        if load:
            yield name, "", "all", load.seconds, "s"
            for stage, seconds in load.stages.items():
                yield name, "", stage, seconds, "s"
    for kind, nbytes in report.memory_bytes_by_kind.items():
        yield "memory", "", kind, nbytes, "bytes"
    if probes := report.probes:
        yield "probe", "", "read", probes.read.rate, "bytes/s"
        for name in ("f32", "f16", "int8"):
            yield "probe", "", name, getattr(probes, name), "operations/s"
        yield "probe", "", "empty dispatch", probes.empty_dispatch, "s"
        yield "probe", "", "round trip", probes.round_trip, "s"
    if agreement := report.agreement:
        yield "agreement", agreement.tokens, "equal", agreement.equal, "tokens"
        yield "agreement", agreement.tokens, "share", agreement.share, ""
        yield "agreement", agreement.tokens, "logprob difference", agreement.logprob_difference, "nats"
        yield "agreement", agreement.tokens, "widest miss", agreement.widest_miss, "nats"
    for plan, kernels in (report.kernels or {}).items():
        for kernel in kernels:
            yield f"kernel of {plan}", "", kernel.kernel, kernel.seconds, "s"


def _spread(spread: Spread | None) -> dict[str, float | None]:
    return {name: getattr(spread, name) for name in ("median", "min", "max")} if spread else {}


def processor(report: Report) -> str:
    """The processor's name, with the CPU's threads."""
    if not report.threads:
        return report.adapter.name
    name = report.machine.processor or report.adapter.name
    return f"{name}, {report.threads} thread{'s' if report.threads > 1 else ''}"


def summary(report: Report) -> str:
    """The report in one line."""
    parts = [
        f"prefill {p.tokens}: {_number(p.rate.median if p.rate else p.cold_rate)} tok/s"
        for p in report.prefill
        if p.cold_rate
    ]
    if (d := report.decode) and d.cold_rate:
        parts.append(f"decode {d.tokens}: {_number(d.rate.median if d.rate else d.cold_rate)} tok/s")
    parts += [
        f"{name} load {_number(load.seconds)} s"
        for name, load in (("first", report.load.cold), ("cached", report.load.cached))
        if load
    ]
    parts.append(f"{report.memory_bytes / 1e6:,.0f} MB")
    if report.agreement:
        parts.append(f"agreement {percent(report.agreement.share)}")
    if report.marks:
        parts.append(f"disturbed ({', '.join(report.marks)})")
    if not report.complete:
        parts.append("stopped early")
    return (
        f"Sotto {report.sotto}, {report.model}, {processor(report)}, {report.machine.engine}, "
        f"{report.date[:10]}: {', '.join(parts)}"
    )


def percent(share: float) -> str:
    """A share to tenths of a per cent, never rounded up to the whole."""
    return "100%" if share == 1 else f"{min(share, 0.999):.1%}"


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:,.2f}" if value < 10 else f"{value:,.1f}"
