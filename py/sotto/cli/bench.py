"""`sotto bench`."""

from __future__ import annotations

import platform
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.table import Table

from .. import __version__, api, native, synthetic
from ..assets import default_cache
from ..bench import protocol
from ..bench.probes import Probes, probe
from ..bench.protocol import Clock, Decode, KernelTime, Prefill, Protocol, Spread
from ..disk import DiskStore
from ..reports import LoadStats, Progress, Settings
from ..source import Source
from .options import STAGES, bar, json_option, model_options, output, print_json


def _lengths(context: click.Context, option: click.Parameter, value: str) -> tuple[int, ...]:
    """Prompt lengths: whole numbers with commas between them."""
    parts = [part.strip() for part in value.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise click.BadParameter(f"{value!r} is not a list of lengths such as 32,128.")
    return tuple(map(int, parts))


@click.command()
@model_options
@click.option(
    "--shape",
    type=click.Choice(list(synthetic.SHAPES)),
    help="A synthetic int4 model of these sizes in place of a file.",
)
@click.option(
    "--prefill", default="32,128,512,1024", show_default=True, callback=_lengths, help="Prompt lengths."
)
@click.option(
    "--decode", default=256, show_default=True, type=click.IntRange(min=2), help="New tokens of a run."
)
@click.option("--runs", default=5, show_default=True, type=click.IntRange(min=1), help="Warm runs of each.")
@click.option(
    "--budget", default=600, show_default=True, metavar="SECONDS", type=click.IntRange(min=1),
    help="What does not fit is shortened or left out, and says so.",
)  # fmt: skip
@click.option("--probes/--no-probes", default=True, help="Measure what the device can do at all.")
@click.option("--profile", is_flag=True, help="Time every kernel with timestamp queries.")
@json_option
def command(
    model: str,
    adapter: str | None,
    context: int,
    no_cache: bool,
    variant: str,
    shape: str | None,
    prefill: tuple[int, ...],
    decode: int,
    runs: int,
    budget: int,
    probes: bool,
    profile: bool,
    as_json: bool,
) -> None:
    """Measure speed: prefill of several prompt lengths, decode, loading, and the device's own limits.

    The first run of each measurement is reported as cold, the others as warm. Every result is also given as a
    share of what the device could do at best: decode against reading each weight once and starting each
    dispatch, prefill against its multiply-add rate.
    """
    clock = Clock(budget)
    with bar() as told:
        source = synthetic.source(shape) if shape else api.open_source(model, lambda p: _stage(told, p))
        result = _measure(
            source, adapter, Settings(context, variant=variant), Protocol(prefill, decode, runs), clock,
            told=told, probes=probes, profile=profile, cache=not no_cache,
        )  # fmt: skip
    if as_json:
        print_json(_as_json(result, shape))
    else:
        _print(result)


@dataclass(frozen=True)
class _Result:
    """Everything that was measured."""

    model: api.Model
    protocol: Protocol
    clock: Clock
    probes: Probes | None
    cold: LoadStats
    cached: LoadStats | None
    prefill: list[Prefill]
    decode: Decode
    encode_seconds: float
    kernels: dict[str, list[KernelTime]] | None
    notes: list[str]


def _measure(
    source: Source,
    adapter: str | None,
    settings: Settings,
    wanted: Protocol,
    clock: Clock,
    *,
    told: protocol.Told,
    probes: bool,
    profile: bool,
    cache: bool,
) -> _Result:
    notes = []
    found = None
    if probes:
        told("Probing the device", 0, 0)
        probed = native.NativeDevice(adapter)
        found = api.drive(probe(probed))
        probed.close()
    with _scratch_store() if cache else _no_store() as store:
        model = _load(source, adapter, settings, store, told)
        cold, cached = model.load_stats, None
        if cold.note:
            notes.append(cold.note)
        if not store:
            notes.append("the cached load was not measured: --no-cache")
        elif cold.total_seconds > clock.left / 2:
            notes.append("the cached load was not measured: the time budget")
        else:
            model.close()
            model = _load(source, adapter, settings, store, told)
            cached = model.load_stats
            if not cached.cached:
                notes.append("the cached load was not measured: the weights could not be cached")
                cached = None
    source.close()
    with model, _ending_with(clock, model):
        engine, device = model.engine, model.engine.device
        assert isinstance(device, native.NativeDevice)
        decoded = api.drive(protocol.decode(engine, wanted, found, clock, told))
        encode_seconds = device.encode_seconds  # of the latest run, a decode step
        prefilled = api.drive(protocol.prefill(engine, wanted, found, clock, told))
        kernels = None
        if profile:
            told("Timing the kernels", 0, 0)
            kernels = api.drive(protocol.kernels(engine, clock))
            if kernels is None:
                notes.append("no kernel times: the device has no timestamp queries")
            else:
                left_out = [plan.name for plan in engine.plans if plan.name not in kernels]
                if left_out:
                    notes.append(f"no kernel times of {', '.join(left_out)}: the time budget")
        return _Result(
            model, wanted, clock, found, cold, cached, prefilled, decoded, encode_seconds, kernels, notes
        )


def _load(
    source: Source, adapter: str | None, settings: Settings, store: DiskStore | None, told: protocol.Told
) -> api.Model:
    """Load onto a device of its own, so that no compiled kernel is left from another load."""
    device = native.NativeDevice(adapter)
    try:
        return api.load_from(source, device, settings, store, lambda p: _stage(told, p))
    except BaseException:
        device.close()
        raise


def _stage(told: protocol.Told, progress: Progress) -> None:
    told(STAGES[progress.stage], progress.done, progress.total)


@contextmanager
def _ending_with(clock: Clock, model: api.Model) -> Iterator[None]:
    """Stop the run in progress when the budget is used up: another program may have slowed it down."""
    alarm = threading.Timer(clock.left, model.stop)
    alarm.daemon = True
    alarm.start()
    try:
        yield
    finally:
        alarm.cancel()


@contextmanager
def _scratch_store() -> Iterator[DiskStore]:
    """An empty store on the disk of the real one; removed afterwards."""
    folder = default_cache() / f"bench-{datetime.now(UTC):%Y%m%d%H%M%S%f}"
    try:
        yield DiskStore(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _no_store() -> Iterator[None]:
    yield None


def _load_facts(stats: LoadStats | None) -> dict[str, object] | None:
    return None if stats is None else {"seconds": stats.total_seconds, "stages": stats.seconds}


def _as_json(result: _Result, shape: str | None) -> dict[str, object]:
    model, probes = result.model, result.probes
    plan = model.engine.plans[0]
    assert plan.output is not None
    return {
        "sotto": __version__,
        "dawn": native.version(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "system": platform.platform(),
            "processor": _processor(),
            "python": sys.version.split()[0],
        },
        "adapter": asdict(model.adapter),
        "model": model.name,
        "shape": shape,
        "context": model.context,
        "protocol": {**asdict(result.protocol), "budget_seconds": result.clock.budget},
        "load": {"cold": _load_facts(result.cold), "cached": _load_facts(result.cached)},
        "prefill": [asdict(p) for p in result.prefill],
        "decode": asdict(result.decode),
        "dispatches_per_token": len(plan.dispatches),
        "read_back_bytes_per_token": plan.output.nbytes,
        "gpu_bytes": sum(result.cold.device_bytes.values()),
        "gpu_bytes_by_kind": result.cold.device_bytes,
        "encode_seconds_per_token": result.encode_seconds,
        "probes": asdict(probes) if probes else None,
        "kernels": result.kernels and {name: [asdict(t) for t in ts] for name, ts in result.kernels.items()},
        "notes": result.notes,
        "seconds": result.clock.used,
    }


def _processor() -> str:
    """The CPU's name where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


# --- For people -------------------------------------------------------------------------------------------


def _print(result: _Result) -> None:
    model, console = result.model, output()
    adapter = model.adapter
    plan = model.engine.plans[0]
    assert plan.output is not None
    software = ", a software adapter" if adapter.software else ""
    console.print(f"{model.name} on {adapter.name} ({adapter.backend}, {adapter.driver}{software})")
    console.print(f"sotto {__version__}, {native.version()}, context {model.context:,}")
    if result.probes:
        console.print(_probes_text(result.probes))
    table = Table(box=None, header_style="bold", padding=(0, 3, 0, 0))
    for heading in ("", "tokens/s", "min - max", "cold", "first token", "of the device's limit", ""):
        table.add_column(heading, justify="left" if heading == "" else "right")
    for p in result.prefill:
        first = p.time_to_first_token.median if p.time_to_first_token else p.cold_time_to_first_token
        table.add_row(
            f"prefill {p.tokens}", *_rates(p.rate, p.cold_rate),
            "" if first is None else f"{first:.3f} s", _share(p.share_of_limit), p.note,
        )  # fmt: skip
    d = result.decode
    table.add_row(f"decode {d.tokens}", *_rates(d.rate, d.cold_rate), "", _share(d.share_of_limit), d.note)
    console.print(table)
    load = f"load: {result.cold.total_seconds:.2f} s from the file"
    if result.cached:
        load += f", {result.cached.total_seconds:.2f} s from the cache"
    console.print(load)
    console.print(
        f"per token: {len(plan.dispatches)} dispatches, {plan.output.nbytes} bytes read back, "
        f"{d.weight_bytes_per_token / 1e6:.0f} MB of weights, "
        f"{result.encode_seconds * 1e3:.2f} ms to record the commands"
    )
    memory = ", ".join(f"{kind} {n / 1e6:.1f}" for kind, n in result.cold.device_bytes.items())
    console.print(f"GPU memory: {sum(result.cold.device_bytes.values()) / 1e6:.0f} MB ({memory})")
    for name, rows in (result.kernels or {}).items():
        kernels = Table(box=None, header_style="bold", padding=(0, 3, 0, 0))
        for heading in (name, "dispatches", "ms", "share"):
            kernels.add_column(heading, justify="left" if heading == name else "right")
        for row in rows:
            kernels.add_row(row.kernel, str(row.dispatches), f"{row.seconds * 1e3:.3f}", f"{row.share:.0%}")
        console.print("", kernels)
    for note in result.notes:
        console.print(f"note: {note}")


def _probes_text(probes: Probes) -> str:
    f16 = f"{probes.f16 / 1e12:.3f} TFLOP/s f16" if probes.f16 else "no f16"
    return (
        f"the device: reads {probes.read.rate / 1e9:.1f} GB/s, {probes.f32 / 1e12:.3f} TFLOP/s f32, {f16}, "
        f"{probes.empty_dispatch * 1e6:.1f} us a dispatch, {probes.round_trip * 1e6:.0f} us a round trip"
    )


def _rates(rate: Spread | None, cold: float | None) -> tuple[str, str, str]:
    warm = ("", "") if rate is None else (f"{rate.median:.1f}", f"{rate.min:.1f} - {rate.max:.1f}")
    return (*warm, "" if cold is None else f"{cold:.1f}")


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"
