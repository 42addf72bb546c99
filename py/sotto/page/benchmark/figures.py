"""What a benchmark's report looks like: figures with their charts and tables, and the large numbers above them.

Each figure shows this run, beside it the kept runs that are compared with, and in one figure what others published.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ...bench.export import percent
from ...bench.notes import Note
from ...bench.protocol import Prefill, Spread
from ...bench.published import Published
from ...bench.report import Load, Report
from .. import format as numbers
from ..reasons import cause
from ..words import Words
from .layout import Row, beside, headings, height, ranking
from .markup import Figure, Table

KERNELS = 10  # shown of the plan that is charted
OTHERS = 4  # shown of each other plan


def when(report: Report) -> str:
    """A report's date as people write it down."""
    return f"{report.date[:10]} {report.date[11:16]} UTC"


def processor(words: Words, report: Report) -> str:
    """What it ran on."""
    kind = "cpu" if report.threads else "gpu"
    return words(f"fact.processor.{kind}", name=report.adapter.name, count=report.threads)


def label(words: Words, report: Report) -> str:
    """What a kept run is called."""
    return words(
        "bench.kept.name", date=f"{report.date[:10]} {report.date[11:16]}", device=processor(words, report)
    )


class Figures:
    """The figures of a report in one language.

    Args:
        kept: earlier runs to show beside it.
        published: numbers of other systems.
    """

    def __init__(
        self, words: Words, report: Report, kept: Sequence[Report] = (), published: Sequence[Published] = ()
    ) -> None:
        self._words = words
        self._report = report
        self._kept = tuple(kept)
        self._all = (report, *self._kept)
        self._published = published

    def headline(self) -> list[tuple[str, str, str]]:
        """(label, number, unit) of what people ask for first."""
        words, report = self._words, self._report
        found: list[tuple[str, str, str]] = []
        if (d := report.decode) and (rate := _middle(d.rate, d.cold_rate)):
            found.append((words("bench.head.decode"), numbers.precise(rate), words("bench.unit.rate")))
        measured = [p for p in report.prefill if p.cold_rate]
        if measured:
            longest = measured[-1]
            rate = _middle(longest.rate, longest.cold_rate)
            first = _middle(longest.time_to_first_token, longest.cold_time_to_first_token)
            count = longest.tokens
            found += [
                (words("bench.head.prefill", count=count), numbers.precise(rate), words("bench.unit.rate")),
                (words("bench.head.first", count=count), numbers.precise(first), words("bench.unit.seconds")),
            ]
        load = report.load.cached or report.load.cold
        if load:
            kind = "cached" if report.load.cached else "cold"
            found.append(
                (words(f"bench.head.{kind}"), numbers.precise(load.seconds), words("bench.unit.seconds"))
            )
        if report.agreement:
            number, unit = percent(report.agreement.share)[:-1], "%"
            found.append((words("bench.head.agreement"), number, unit))
        number, _, unit = numbers.size(report.memory_bytes).partition(" ")
        return [*found, (words("bench.head.memory"), number, unit)]

    def all(self) -> list[Figure]:
        """Every figure there is something to show in, in the order of the page."""
        makers = (
            self._decode, self._prefill, self._first, self._drift, self._agreement, self._beside, self._loads,
            self._memory, self._kernels, self._device,
        )  # fmt: skip
        return [figure for maker in makers if (figure := maker())]

    def warnings(self) -> list[str]:
        """What makes the numbers untrue: what disturbed the computer meanwhile."""
        return [self._words(f"bench.mark.{mark}") for mark in self._report.marks]

    def remarks(self) -> list[str]:
        """What else has to be said of the whole: what is missing, and why."""
        return [self.note(note) for note in self._report.notes]

    def note(self, note: Note) -> str:
        """A note in the page's language."""
        values = dict(note.values)
        if "why" in values:
            values["why"] = cause(self._words, values.get("cause", ""), values["why"])
        return self._words(f"bench.note.{note.kind}", **values)

    # --- speed

    def _decode(self) -> Figure | None:
        words = self._words
        measured = [(r, r.decode) for r in self._all if r.decode and r.decode.cold_rate]
        if not self._report.decode or not measured or measured[0][0] is not self._report:
            return None
        d = self._report.decode
        rows = []
        for report, other in measured:
            rows.append((
                self._name(report), *self._rates(other.rate, other.cold_rate),
                _percent(other.share_of_limit), words("bench.tokens", count=other.tokens),
            ))  # fmt: skip
        chart = ranking(
            [(self._name(r), _middle(o.rate, o.cold_rate), "ours" if r is self._report else "kept", o.rate)
             for r, o in measured],
            words("bench.unit.rate"),
        )  # fmt: skip
        head = (
            words("bench.col.run"),
            *self._rate_heads(),
            words("bench.col.share"),
            words("bench.col.length"),
        )
        text = words("bench.decode.text", tokens=d.tokens, after=d.after)
        notes = tuple(self.note(note) for note in d.notes)
        return Figure(
            "decode", words("bench.decode"), text, Table(head, tuple(rows)), {"chart-decode": chart}, notes
        )

    def _prefill(self) -> Figure | None:
        words = self._words
        head = (words("bench.col.prompt"), *self._rate_heads(), words("bench.col.share"))
        return self._by_length(
            "prefill", words("bench.unit.rate"), head,
            lambda p: (p.rate, p.cold_rate),
            lambda p: (*self._rates(p.rate, p.cold_rate), _percent(p.share_of_limit)),
        )  # fmt: skip

    def _first(self) -> Figure | None:
        words = self._words
        head = (
            words("bench.col.prompt"),
            words("bench.col.median"),
            words("bench.col.range"),
            words("bench.col.cold"),
        )
        return self._by_length(
            "first", words("bench.unit.seconds"), head,
            lambda p: (p.time_to_first_token, p.cold_time_to_first_token),
            lambda p: self._rates(p.time_to_first_token, p.cold_time_to_first_token),
        )  # fmt: skip

    def _by_length(
        self, name: str, unit: str, head: tuple[str, ...],
        values: Callable[[Prefill], tuple[Spread | None, float | None]],
        cells: Callable[[Prefill], tuple[str, ...]],
    ) -> Figure | None:  # fmt: skip
        """A figure by prompt length: `values` are warm and cold, `cells` a row of the table."""
        words = self._words
        lengths = [p.tokens for p in self._report.prefill if p.cold_rate]
        if not lengths:
            return None
        series, rows = [], []
        for index, report in enumerate(self._all):
            found = {p.tokens: p for p in report.prefill if p.cold_rate}
            of = [values(found[tokens]) if tokens in found else (None, None) for tokens in lengths]
            middles = [_middle(*each) if each[1] is not None else None for each in of]
            series.append({
                "name": self._name(report),
                "tone": "ours" if index == 0 else "kept",
                "index": max(index - 1, 0),
                "values": middles,
                "low": [spread.min if spread else None for spread, _ in of],
                "high": [spread.max if spread else None for spread, _ in of],
                "texts": ["" if middle is None else numbers.precise(middle) for middle in middles],
            })  # fmt: skip
        for tokens in lengths:
            for report in self._all:
                p = next((p for p in report.prefill if p.tokens == tokens and p.cold_rate), None)
                if p:
                    own = words("bench.tokens", count=tokens)
                    rows.append((own if report is self._report else self._name(report), *cells(p)))
        notes = tuple(
            words("bench.of.prompt", count=p.tokens, note=self.note(note))
            for p in self._report.prefill for note in p.notes
        )  # fmt: skip
        chart = {
            "kind": "bars",
            "unit": unit,
            "labels": [words("bench.tokens", count=tokens) for tokens in lengths],
            "series": series,
            "height": height(len(lengths) * len(series), len(series) > 1) + 6 * len(lengths),
        }
        title, text = words(f"bench.{name}"), words(f"bench.{name}.text")
        return Figure(name, title, text, Table(head, tuple(rows)), {f"chart-{name}": chart}, notes)

    def _drift(self) -> Figure | None:
        """Every run in time, as a share of its measurement's median."""
        words, report = self._words, self._report
        series, rows = [], []
        measured = [(words("bench.head.prefill", count=p.tokens), p.points) for p in report.prefill]
        if report.decode:
            measured.insert(0, (words("bench.head.decode"), report.decode.points))
        for name, points in measured:
            warm = [point for point in points if point.warm]
            if not warm:
                continue
            middle = sorted(point.value for point in warm)[len(warm) // 2]
            series.append({
                "name": name,
                "points": [[round(p.at, 2), round(100 * p.value / middle, 2), bool(p.marks)] for p in warm],
            })  # fmt: skip
            change = warm[-1].value / warm[0].value - 1
            rows.append(
                (
                    name,
                    *(_rate(warm[i].value) for i in (0, -1)),
                    f"{change:+.0%}".replace("-", "−"),
                    str(len(warm)),
                )
            )
        if not any(len(each["points"]) > 1 for each in series):
            return None
        chart = {
            "kind": "lines",
            "unit": words("bench.drift.unit"),
            "across": words("bench.drift.across"),
            "series": series,
            "height": 300,
        }
        text = words("bench.drift.text")
        return Figure(
            "drift",
            words("bench.drift"),
            text,
            Table(headings(words, "drift"), tuple(rows)),
            {"chart-drift": chart},
        )

    def _agreement(self) -> Figure | None:
        words = self._words
        measured = [(report, report.agreement) for report in self._all if report.agreement]
        if self._report.agreement is None:
            return None
        rows = tuple(
            (
                self._name(report), words("bench.agreement.of", equal=a.equal, tokens=a.tokens), percent(a.share),
                f"{a.logprob_difference:.4f}", f"{a.widest_miss:.3f}",
            )
            for report, a in measured
        )  # fmt: skip
        head = (words("bench.col.run"), *headings(words, "agreement"))
        text = words("bench.agreement.text", tokens=self._report.agreement.tokens)
        return Figure("agreement", words("bench.agreement"), text, Table(head, rows), {})

    def _beside(self) -> Figure | None:
        """This run and the kept ones among numbers that others published."""
        if not self._published:
            return None
        own: list[Row] = []
        for each in self._all:
            longest = next((p for p in reversed(each.prefill) if p.cold_rate), None)
            d = each.decode
            own.append((
                self._words("bench.own", name=self._name(each), model=each.model),
                _middle(longest.rate, longest.cold_rate) if longest else None,
                _middle(d.rate, d.cold_rate) if d and d.cold_rate else None,
                "ours" if each is self._report else "kept",
            ))  # fmt: skip
        return beside(self._words, own, self._published)

    # --- loading, memory, kernels, the device

    def _loads(self) -> Figure | None:
        words = self._words
        loads: list[tuple[str, Load]] = []
        for report in self._all:
            for kind, load in (("cold", report.load.cold), ("cached", report.load.cached)):
                if load:
                    name = words(f"bench.load.{kind}")
                    loads.append((name if report is self._report else f"{self._name(report)}, {name}", load))
        if not loads:
            return None
        stages = list(dict.fromkeys(stage for _, load in loads for stage in load.stages))
        names = {stage: self._stage(stage) for stage in stages}
        rows = tuple(
            (name, numbers.precise(load.seconds), *(_seconds(load.stages.get(stage)) for stage in stages))
            for name, load in loads
        )
        series = [
            {
                "name": names[stage],
                "tone": "part",
                "values": [load.stages.get(stage, 0.0) for _, load in loads],
            }
            for stage in stages
        ]
        chart = {
            "kind": "bars", "stacked": True, "unit": words("bench.unit.seconds"),
            "labels": [name for name, _ in loads], "series": series, "height": height(len(loads), True) + 12,
        }  # fmt: skip
        head = (words("bench.col.load"), words("bench.col.all"), *names.values())
        return Figure(
            "load", words("bench.load"), words("bench.load.text"), Table(head, rows), {"chart-load": chart}
        )

    def _memory(self) -> Figure | None:
        words = self._words
        kinds = list(dict.fromkeys(kind for r in self._all for kind in r.memory_bytes_by_kind))
        if not kinds:
            return None
        names = {kind: words(f"bench.memory.{kind}") for kind in kinds}
        rows = tuple(
            (
                self._name(r), numbers.size(r.memory_bytes),
                *(numbers.size(r.memory_bytes_by_kind.get(kind, 0)) for kind in kinds),
            )
            for r in self._all
        )  # fmt: skip
        series = [
            {
                "name": names[kind], "tone": "part",
                "values": [round(r.memory_bytes_by_kind.get(kind, 0) / 1e6, 1) for r in self._all],
            }
            for kind in kinds
        ]  # fmt: skip
        chart = {
            "kind": "bars", "stacked": True, "unit": "MB", "labels": [self._name(r) for r in self._all],
            "series": series, "height": height(len(self._all), True) + 12,
        }  # fmt: skip
        head = (words("bench.col.run"), words("bench.col.all"), *names.values())
        place = "cpu" if self._report.threads else "gpu"
        text = words(f"bench.memory.text.{place}")
        return Figure("memory", words("bench.memory"), text, Table(head, rows), {"chart-memory": chart})

    def _kernels(self) -> Figure | None:
        words, plans = self._words, self._report.kernels
        if not plans:
            return None
        plan, kernels = next(iter(plans.items()))
        shown = kernels[:KERNELS]
        chart = ranking(
            [(k.kernel, 1e3 * k.seconds, "ours", None) for k in shown], words("bench.unit.milliseconds")
        )
        rows = tuple(
            (k.kernel, str(k.dispatches), f"{1e3 * k.seconds:,.3f}", f"{k.share:.0%}", name)
            for name, ks in plans.items() for k in ks[: KERNELS if name == plan else OTHERS]
        )  # fmt: skip
        text = words("bench.kernels.text", plan=plan)
        table = Table(headings(words, "kernels"), rows, text=(0, 4))
        return Figure("kernels", words("bench.kernels"), text, table, {"chart-kernels": chart})

    def _device(self) -> Figure | None:
        words = self._words
        measured = [r for r in self._all if r.probes]
        if not self._report.probes:
            return None
        rows = []
        for name, written in self._probes():
            cells = tuple(written(r) for r in measured)
            if any(cells):
                rows.append((words(f"bench.probe.{name}"), *cells))
        variants = (", ".join(f"{role} {name}" for role, name in r.variants.items()) for r in measured)
        rows.append((words("bench.variants"), *variants))
        head = (words("bench.col.limit"), *(self._name(r) for r in measured))
        text = words("bench.device.text")
        return Figure("device", words("bench.device.title"), text, Table(head, tuple(rows)), {})

    def _probes(self) -> Iterator[tuple[str, Callable[[Report], str]]]:
        """Names of the probes, and how their values are written."""

        def rate(name: str) -> Callable[[Report], str]:
            def text(r: Report) -> str:
                value = getattr(r.probes, name)
                return "" if value is None else f"{numbers.precise(value / 1e9)} G/s"

            return text

        yield "read", lambda r: f"{numbers.precise(r.probes.read.rate / 1e9)} GB/s" if r.probes else ""
        for name in ("f32", "f16", "int8"):
            yield name, rate(name)
        yield "dispatch", lambda r: f"{r.probes.empty_dispatch * 1e6:,.1f} µs" if r.probes else ""
        yield "trip", lambda r: f"{r.probes.round_trip * 1e6:,.0f} µs" if r.probes else ""

    # --- parts

    def _name(self, report: Report) -> str:
        return self._words("bench.this") if report is self._report else label(self._words, report)

    def _stage(self, stage: str) -> str:
        return self._words(f"stage.{stage}")

    def _rate_heads(self) -> tuple[str, str, str]:
        words = self._words
        return words("bench.col.rate"), words("bench.col.range"), words("bench.col.cold")

    @staticmethod
    def _rates(spread: Spread | None, cold: float | None) -> tuple[str, str, str]:
        warm = ("–", "–")
        if spread:
            warm = (
                numbers.precise(spread.median),
                f"{numbers.precise(spread.min)} – {numbers.precise(spread.max)}",
            )
        return (*warm, "–" if cold is None else numbers.precise(cold))


def _middle(warm: Spread | None, cold: float | None) -> float:
    """The warm median, or the only run there was."""
    return warm.median if warm else cold or 0.0


def _rate(value: float) -> str:
    return numbers.precise(value)


def _seconds(value: float | None) -> str:
    return "" if value is None else numbers.precise(value)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"
