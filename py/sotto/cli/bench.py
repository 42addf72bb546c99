"""`sotto bench`."""

from __future__ import annotations

import click
from click.core import ParameterSource
from rich.table import Table

from .. import api, reports
from ..bench.benchmark import Benchmark
from ..bench.control import BenchProgress
from ..bench.desk import Desk
from ..bench.export import percent, processor, summary, to_csv
from ..bench.notes import Note
from ..bench.probes import Probes
from ..bench.protocol import Spread
from ..bench.report import Report
from ..bench.request import PRESETS, Request
from ..models import synthetic
from ..native import files
from ..source import Folder, Source
from .options import bar, device_options, json_option, model_options, stage
from .terminal import output

_DOING = {
    "probes": "Probing the device",
    "first": "Loading",
    "cached": "Loading from the cache",
    "decode": "Decoding {tokens} tokens, run {run} of {runs}",
    "prefill": "Prefilling {tokens} tokens, run {run} of {runs}",
    "kernels": "Timing the kernels",
    "reference": "Letting the CPU write what to compare with",
    "agreement": "Comparing with the CPU, token by token",
    "again": "Loading again: the processor was lost",
}


def _lengths(context: click.Context, option: click.Parameter, value: str) -> tuple[int, ...]:
    """Prompt lengths: whole numbers with commas between them."""
    parts = [part.strip() for part in value.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise click.BadParameter(f"{value!r} is not a list of lengths such as 32,128.")
    return tuple(map(int, parts))


@click.command()
@model_options
@device_options
@click.option(
    "--shape",
    type=click.Choice(list(synthetic.SHAPES)),
    help="A synthetic int4 model of these sizes in place of a file.",
)
@click.option(
    "--preset", default="usual", show_default=True, type=click.Choice(list(PRESETS)),
    help="Lengths, context, runs and budget; the options below go before it. google: 1024 tokens, then 256 "
    "new ones, in a context of 1280, as Google's published numbers.",
)  # fmt: skip
@click.option(
    "--prefill", default="32,128,512,1024", show_default=True, callback=_lengths, help="Prompt lengths."
)
@click.option(
    "--decode", default=256, show_default=True, type=click.IntRange(min=2), help="New tokens of a run."
)
@click.option(
    "--after",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="Tokens of the prompt before them.",
)
@click.option("--runs", default=5, show_default=True, type=click.IntRange(min=1), help="Warm runs of each.")
@click.option(
    "--warmup",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="Runs before those; the first is cold.",
)
@click.option(
    "--budget", default=600, show_default=True, metavar="SECONDS", type=click.IntRange(min=1),
    help="What does not fit is shortened or left out, and says so.",
)  # fmt: skip
@click.option("--probes/--no-probes", default=True, help="Measure what the device can do at all.")
@click.option(
    "--profile",
    is_flag=True,
    help="Time every kernel with timestamp queries: its reads and arithmetic, as shares of what the device can do.",
)
@click.option(
    "--agreement/--no-agreement", default=True,
    help="Let the CPU write some greedy tokens, and count how many the GPU finds most probable too.",
)  # fmt: skip
@click.option("--csv", "as_csv", is_flag=True, help="Print every run as a table for a spreadsheet.")
@json_option
def command(as_json: bool, as_csv: bool, no_cache: bool, preset: str, **given: object) -> None:
    """Measure speed: prefill of several prompt lengths, decode, loading, and the device's own limits.

    The first run of each measurement is reported as cold, the others as warm. Every result is also given as a
    share of what the device could do at best: decode against reading each weight once from memory and starting
    each dispatch, prefill against its rate of multiply-adds. The page's benchmark gives the same JSON.
    """
    if as_json and as_csv:
        raise click.UsageError("Give either --json or --csv.")
    request = _request(preset, given)
    with bar() as told:

        def loading(progress: reports.LoadProgress) -> None:
            told(*stage(progress))

        def doing(progress: BenchProgress) -> None:
            what = _DOING[progress.kind].format(tokens=progress.tokens, run=progress.run, runs=progress.runs)
            done = progress.fraction if progress.left is not None else progress.part
            told(what, round(1000 * done), 1000)

        if request.shape:
            source: Source | Folder = synthetic.source(request.shape)
        else:
            source = files.open_source(request.model, loading)
        with Desk(cache=not no_cache) as desk:
            benchmark = Benchmark(desk, request, source, doing, lambda: None)
            try:
                report = api.drive(benchmark.run())
            finally:
                source.close()
    if as_json:
        click.echo(report.to_json())
    elif as_csv:
        click.echo(to_csv(report), nl=False)
    else:
        _print(report)


def _request(preset: str, given: dict[str, object]) -> Request:
    """The preset with the options that were given."""
    context = click.get_current_context()
    values = {name: getattr(PRESETS[preset], name) for name in Request.__dataclass_fields__}
    for name, value in given.items():
        chosen = context.get_parameter_source(name) is not ParameterSource.DEFAULT
        if chosen or not hasattr(PRESETS[preset], name) or name == "model":
            values[name] = value if value is not None else getattr(Request(), name)
    if given["shape"] and context.get_parameter_source("model") is not ParameterSource.DEFAULT:
        raise click.UsageError("Give either --model or --shape.")
    return Request(**values).checked()


# --- For people -------------------------------------------------------------------------------------------


def _print(report: Report) -> None:
    console, adapter = output(), report.adapter
    kind = ", a software adapter" if adapter.software else ""
    where = ", ".join(part for part in (adapter.backend, adapter.driver) if part)
    console.print(f"{report.model} on {processor(report)} ({where}{kind})")
    variants = ", ".join(f"{job} {name}" for job, name in report.variants.items())
    console.print(
        f"sotto {report.sotto}, {report.machine.engine}, context {report.request.context:,}, {variants}"
    )
    if report.probes:
        console.print(_probes_text(report.probes))
    table = Table(box=None, header_style="bold", padding=(0, 3, 0, 0))
    for heading in ("", "tokens/s", "min - max", "cold", "first token", "of the limit", ""):
        table.add_column(heading, justify="left" if heading == "" else "right")
    for p in report.prefill:
        first = p.time_to_first_token.median if p.time_to_first_token else p.cold_time_to_first_token
        table.add_row(
            f"prefill {p.tokens}", *_rates(p.rate, p.cold_rate),
            "" if first is None else f"{first:.3f} s", _share(p.share_of_limit), _remarks(p.notes),
        )  # fmt: skip
    if d := report.decode:
        table.add_row(
            f"decode {d.tokens}",
            *_rates(d.rate, d.cold_rate),
            "",
            _share(d.share_of_limit),
            _remarks(d.notes),
        )
    console.print(table)
    if a := report.agreement:
        console.print(
            f"agreement with the CPU: {a.equal} of {a.tokens} tokens ({percent(a.share)}); log-probabilities differ by "
            f"{a.logprob_difference:.4f} nats in the mean; widest miss {a.widest_miss:.3f} nats"
        )
    loads = [
        f"{load.seconds:.2f} s from the {what}, {load.stages.get('pipelines', 0):.2f} s of it compiling"
        for what, load in (("file", report.load.cold), ("cache", report.load.cached))
        if load
    ]
    console.print(f"load: {'; '.join(loads)}")
    per_token = (
        f"{report.dispatches_per_token} dispatches, {report.read_back_bytes_per_token} bytes read back"
    )
    if d:
        per_token += f", {d.weight_bytes_per_token / 1e6:.0f} MB of weights"
    if report.encode_seconds_per_token:
        per_token += f", {report.encode_seconds_per_token * 1e3:.2f} ms to record the commands"
    console.print(f"per token: {per_token}")
    memory = ", ".join(f"{kind} {n / 1e6:.1f}" for kind, n in report.memory_bytes_by_kind.items())
    console.print(f"memory: {report.memory_bytes / 1e6:.0f} MB ({memory})")
    for name, rows in (report.kernels or {}).items():
        kernels = Table(box=None, header_style="bold", padding=(0, 3, 0, 0))
        for heading in (name, "dispatches", "ms", "share", "GB/s", "of reads", "GOP/s", "of arithmetic"):
            kernels.add_column(heading, justify="left" if heading == name else "right")
        for row in rows:
            nbytes = row.weight_bytes + row.cache_bytes
            kernels.add_row(
                row.kernel, str(row.dispatches), f"{row.seconds * 1e3:.3f}", f"{row.share:.0%}",
                _rate(nbytes, row.seconds), _share(row.share_of_read),
                _rate(row.operations, row.seconds), _share(row.share_of_arithmetic),
            )  # fmt: skip
        console.print("", kernels)
    for remark in report.notes:
        console.print(f"note: {remark.text}")
    if report.marks:
        console.print(f"note: measured while disturbed: {', '.join(report.marks)}")
    console.print("", summary(report), sep="\n")


def _probes_text(probes: Probes) -> str:
    rates = [f"{rate / 1e12:.3f} T{unit}" for rate, unit in (
        (probes.f32, "FLOP/s f32"), (probes.f16, "FLOP/s f16"), (probes.int8, "OP/s int8")
    ) if rate]  # fmt: skip
    return (
        f"the device: reads {probes.read.rate / 1e9:.1f} GB/s, {', '.join(rates)}, "
        f"{probes.empty_dispatch * 1e6:.1f} us a dispatch, {probes.round_trip * 1e6:.0f} us a round trip"
    )


def _rates(rate: Spread | None, cold: float | None) -> tuple[str, str, str]:
    warm = ("", "") if rate is None else (f"{rate.median:.1f}", f"{rate.min:.1f} - {rate.max:.1f}")
    return (*warm, "" if cold is None else f"{cold:.1f}")


def _rate(amount: float, seconds: float) -> str:
    """In billions a second; empty for nothing."""
    return f"{amount / seconds / 1e9:,.1f}" if amount and seconds else ""


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


def _remarks(notes: tuple[Note, ...]) -> str:
    return "; ".join(note.text for note in notes)
