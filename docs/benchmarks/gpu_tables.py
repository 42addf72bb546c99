"""What gpu.py makes of a report: tables in Markdown, and which targets are reached."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sotto.bench.protocol import KernelTime
from sotto.bench.report import Report

SWEEP, PREFILL, DECODE = 0.7, 0.5, 0.6  # targets, as shares of what the probes allow
PROMPT = 1024  # tokens of the prefill that has a target
LEAST_SHARE = 0.003  # of a plan's time, for a line of its own
SHAPE = "1b"  # whose numbers have targets


@dataclass(frozen=True)
class Target:
    """A share to be reached.

    Attributes:
        what: is measured.
        bound: the least share.
        reached: the share; None where it was not measured.
    """

    what: str
    bound: float
    reached: float | None

    @property
    def verdict(self) -> str:
        """In a word or two."""
        if self.reached is None:
            return "not measured"
        return "reached" if self.reached >= self.bound else "missed"


def targets(report: Report) -> list[Target]:
    """Every target that is set for a report's shape."""
    if report.request.shape != SHAPE:
        return []
    prefill = next((p.share_of_limit for p in report.prefill if p.tokens == PROMPT), None)
    found = [Target(f"decode: {k.kernel}, of the bandwidth", SWEEP, k.share_of_read) for k in sweeps(report)]
    return [
        *(found or [Target("decode: weight sweeps, of the bandwidth", SWEEP, None)]),
        Target(f"prefill({PROMPT}), of the multiply-adds", PREFILL, prefill),
        Target(
            "decode, of bytes / bandwidth + dispatches x empty dispatch",
            DECODE,
            report.decode.share_of_limit if report.decode else None,
        ),
    ]


def sweeps(report: Report) -> list[KernelTime]:
    """The decode plan's kernels that multiply by a weight matrix."""
    return [k for k in (report.kernels or {}).get("decode", ()) if k.weight_bytes and k.operations]


def with_dispatches(kernel: KernelTime, report: Report) -> float | None:
    """The time to read a kernel's bytes and to start its dispatches one after the other, over the time it takes."""
    if report.probes is None or not kernel.seconds:
        return None
    nbytes = kernel.weight_bytes + kernel.cache_bytes
    if not nbytes:
        return None
    ideal = nbytes / report.probes.read.rate + kernel.dispatches * report.probes.empty_dispatch
    return ideal / kernel.seconds


def disturbed(report: Report) -> bool:
    """Whether something reached more than the probes, which then were not what the device can do."""
    shares = [p.share_of_limit for p in report.prefill]
    shares += [report.decode.share_of_limit] if report.decode else []
    for kernels in (report.kernels or {}).values():
        shares += [share for k in kernels for share in (k.share_of_read, k.share_of_arithmetic)]
    return any(share is not None and share > 1 for share in shares)


def text(report: Report) -> str:
    """Everything about one report."""
    return "\n".join(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    adapter, machine = report.adapter, report.machine
    chosen = ", ".join(f"{job} {name}" for job, name in report.variants.items())
    yield f"### {report.model}: {chosen} ({report.variants_chosen})\n"
    kind = " **A software adapter: only ratios mean anything.**" if adapter.software else ""
    yield f"{adapter.name} ({adapter.backend}, {adapter.driver}; {', '.join(adapter.features)}).{kind}"
    yield f"{machine.engine}, sotto {report.sotto}, {machine.system}, {machine.processor}, {report.date}.\n"
    for variant, why in report.variants_rejected.items():
        yield f"Rejected here: {variant}, {why}.\n"
    if probes := report.probes:
        rates = {"f32": probes.f32, "f16": probes.f16, "int8": probes.int8}
        arithmetic = ", ".join(f"{name} {rate / 1e12:.3f} T/s" for name, rate in rates.items() if rate)
        yield (
            f"Probes: reads {probes.read.rate / 1e9:,.1f} GB/s ({probes.read.nbytes >> 20} MiB a pass), {arithmetic}, "
            f"empty dispatch {probes.empty_dispatch * 1e6:.2f} us, round trip {probes.round_trip * 1e6:.0f} us.\n"
        )
    if disturbed(report):
        yield "**A share above 100 %: the machine was busy when it was probed. Measure again.**\n"
    yield from _speeds(report)
    for plan, kernels in (report.kernels or {}).items():
        yield from _kernels(report, plan, kernels)
    if found := targets(report):
        rows = [(t.what, f"{t.bound:.0%}", _share(t.reached), t.verdict) for t in found]
        yield from table(("target", "at least", "here", ""), rows)
    for note in report.notes:
        yield f"Note: {note.text}."


def _speeds(report: Report) -> Iterator[str]:
    rows = []
    for p in report.prefill:
        rate = p.rate.median if p.rate else p.cold_rate
        remarks = "; ".join(note.text for note in p.notes)
        rows.append((f"prefill {p.tokens}", _number(rate), _share(p.share_of_limit), remarks))
    if d := report.decode:
        rate = d.rate.median if d.rate else d.cold_rate
        remarks = "; ".join(note.text for note in d.notes)
        rows.append((f"decode {d.tokens} after {d.after}", _number(rate), _share(d.share_of_limit), remarks))
    yield from table(("", "tok/s, median", "share of what the probes allow", ""), rows)
    encode = report.encode_seconds_per_token
    recorded = f", {encode * 1e3:.2f} ms of the host to record them" if encode else ""
    yield f"{report.dispatches_per_token} dispatches a token{recorded}.\n"


def _kernels(report: Report, plan: str, kernels: Sequence[KernelTime]) -> Iterator[str]:
    rows = []
    shown = [k for k in kernels if k.share >= LEAST_SHARE]
    for k in shown:
        nbytes = k.weight_bytes + k.cache_bytes
        rows.append(
            (
                k.kernel,
                str(k.dispatches),
                f"{k.seconds / k.dispatches * 1e6:,.1f}",
                f"{k.share:.1%}",
                _number(nbytes / k.seconds / 1e9 if nbytes else None),
                _share(k.share_of_read),
                _share(with_dispatches(k, report)),
                _number(k.operations / k.seconds / 1e9 if k.operations else None),
                _share(k.share_of_arithmetic),
            )
        )
    if others := kernels[len(shown) :]:
        share = sum(k.share for k in others)
        dispatches = str(sum(k.dispatches for k in others))
        rows.append((f"{len(others)} others", dispatches, "", f"{share:.1%}", *5 * ("",)))
    heads = ("dispatches", "us each", "of the plan", "GB/s", "of reads", "with dispatches", "GFLOP/s")
    yield from table((plan, *heads, "of multiply-adds"), rows)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table, and an empty one."""
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"
