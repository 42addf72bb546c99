"""One benchmark from beginning to end: probe, load twice, decode, prefill, time the kernels, agree, report.

A processor that is lost meanwhile is opened again, and what it was at begun anew; after a second loss that is left
out, and the rest goes on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

from .. import __version__, reports
from ..device import Device
from ..devices.threads import best_threads
from ..engine.engine import Engine
from ..errors import Cancelled, DeviceError, LimitError, StoreFull, WrongResults
from ..plan.variants import Job
from ..reports import LoadStats, Settings
from ..source import Folder, Source
from ..store import Store
from . import agreement, protocol
from .agreement import Agreement
from .control import Control, Told
from .notes import Note, note
from .probes import Probes, probe
from .protocol import Decode, KernelTime, Prefill
from .report import FORMAT, Load, Loads, Machine, Report
from .request import Request

SCRATCH = "benchmark of "  # begins the key of a model in the cache, so that the model's own entry stays


class Host(Protocol):
    """Where a benchmark runs: plain Python or a browser."""

    async def open(self, request: Request) -> Device:
        """A fresh device, without anything compiled. Raises DeviceError."""
        ...

    async def store(self, request: Request) -> Store | None:
        """The cache of converted weights to use; None for none."""
        ...

    async def discard(self, store: Store, key: str) -> None:
        """Forget a measured entry of the cache."""
        ...

    def machine(self, device: Device) -> Machine:
        """Where this is."""
        ...

    def disturbances(self) -> frozenset[str]:
        """What disturbed the machine since this was last called: "hidden", "battery", "battery-low"."""
        ...

    def alarm(self, seconds: float, ring: Callable[[], None]) -> Callable[[], None]:
        """Call `ring` later. Returns what calls that off."""
        ...

    async def breathe(self) -> None:
        """Let events in, a click on Stop among them."""
        ...


@dataclass
class _Measured:
    """A model file for a load that is measured: under a key of its own, and never without a breath."""

    source: Source
    host: Host
    name: str = field(init=False)
    key: str = field(init=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.source.name
        self.key = SCRATCH + self.source.key
        self.size = self.source.size

    async def read(self, offset: int, nbytes: int) -> bytes | memoryview:
        await self.host.breathe()
        return await self.source.read(offset, nbytes)

    def expect(self, offset: int, nbytes: int) -> None:
        self.source.expect(offset, nbytes)

    def close(self) -> None:
        self.source.close()


def _measured(source: Source | Folder, host: Host) -> Source | Folder:
    """A model for a load that is measured."""
    if isinstance(source, Folder):
        return Folder(source.name, {name: _Measured(file, host) for name, file in source.files.items()})
    return _Measured(source, host)


class _TimeUp(Exception):
    """The budget is used up."""


class _NoReference(Exception):
    """The CPU cannot run the model; `why` says why."""

    def __init__(self, why: DeviceError) -> None:
        super().__init__(str(why))
        self.why = why


class Benchmark:
    """A benchmark that can be cancelled, and whose report can be asked for at any time.

    Args:
        host: where.
        request: what to measure.
        source: the model's file; it is not closed.
        told: hears of progress.
        changed: called when the report has become longer.
    """

    def __init__(
        self, host: Host, request: Request, source: Source | Folder, told: Told, changed: Callable[[], None]
    ) -> None:
        self._host = host
        self._request = request
        self._source = source
        self._changed = changed
        self._control = Control(request.budget, told, host.disturbances)
        self._date = datetime.now(UTC).isoformat(timespec="seconds")
        self._device: Device | None = None
        self._engine: Engine | None = None
        self._cancelled = False
        self._broken = False  # it ended before its end
        self._known: Report | None = None  # what was known when the device was closed
        self._probes: Probes | None = None
        self._cold: LoadStats | None = None
        self._cached: LoadStats | None = None
        self._decode: Decode | None = None
        self._prefill: list[Prefill] = []
        self._pace: float | None = None  # seconds that a token of a prompt took
        self._kernels: dict[str, tuple[KernelTime, ...]] | None = None
        self._agreement: Agreement | None = None
        self._store: Store | None = None
        self._loaded: Source | Folder = source  # as what the model was loaded
        self._notes: list[Note] = []

    def cancel(self) -> None:
        """End it: the run in progress within one token, a load within one piece of the file."""
        self._cancelled = True
        self._control.cancel()
        if self._engine is not None:
            self._engine.stop()

    async def run(self) -> Report:
        """Measure; a cancelled benchmark reports what it has.

        Raises what opening a device and loading raise, and Cancelled when nothing was measured yet.
        """
        call_off = self._host.alarm(self._control.clock.left, self._stop_run)
        self._host.disturbances()  # what was before does not count
        try:
            await self._measure()
        except Exception as error:  # Cancelled comes through JavaScript as another class
            if not self._cancelled and not (self._known and isinstance(error, DeviceError)):
                raise
            if self._engine is None and self._known is None:
                raise Cancelled from error
            lost = note("lost.end", error)
            self._notes.append(note("cancelled") if self._cancelled else lost)
            self._broken = True
        finally:
            call_off()
            if self._engine is not None:
                self._known = None
                self._known = self.report()
            self._close()
            if self._store and self._request.loads:
                await self._host.discard(self._store, self._loaded.key)
        assert self._known is not None
        return replace(self._known, notes=tuple(self._notes), complete=not self._broken)

    def report(self) -> Report:
        """What was measured so far; there is something once the model is loaded."""
        if self._known is not None:
            return self._known
        engine, device = self._engine, self._device
        assert engine is not None and device is not None, "the model is loaded"
        decode, prefill = engine.plans[0], engine.plans[-1]
        sizes = engine.load_stats.device_bytes
        return Report(
            format=FORMAT,
            sotto=__version__,
            date=self._date,
            machine=self._host.machine(device),
            adapter=device.adapter,
            threads=device.threads,
            request=self._request,
            model=engine.name,
            variants={job.value: (decode if job is Job.DECODE else prefill).choice[job].name for job in Job},
            variants_chosen=engine.load_stats.chosen,
            variants_rejected={name: why.text for name, why in engine.load_stats.rejected.items()},
            load=Loads(_load(self._cold), _load(self._cached)),
            prefill=tuple(self._prefill),
            decode=self._decode,
            dispatches_per_token=len(decode.dispatches),
            read_back_bytes_per_token=decode.output.nbytes if decode.output else 0,
            memory_bytes=sum(sizes.values()),
            memory_bytes_by_kind=dict(sizes),
            encode_seconds_per_token=device.encode_seconds,
            probes=self._probes,
            kernels=self._kernels,
            marks=tuple(sorted(self._control.marks)),
            notes=tuple(self._notes),
            agreement=self._agreement,
            complete=not self._broken,
            seconds=self._control.clock.used,
        )

    # --- the steps

    async def _measure(self) -> None:
        control, request = self._control, self._request
        if request.probes:
            control.tell("probes")
            self._device = await self._host.open(request)
            self._probes = await probe(self._device, control.check)
            self._close()
        await self._load()
        engine, device = self._engine, self._device
        assert engine is not None and device is not None
        if device.traits.most_threads and not request.threads:
            await best_threads(device, engine.time_token)
        control.disturbed()  # while loading: it belongs to no run
        self._changed()
        steps = [self._measure_prefill, self._measure_decode]
        if request.after == 1:  # otherwise the prompts tell what those before the new tokens take
            steps.reverse()
        if request.profile:
            steps.append(self._measure_kernels)
        if request.agreement:
            steps.append(self._agree)
        for step in steps:
            await self._step(step)

    async def _step(self, step: Callable[[Engine], Awaitable[None]]) -> None:
        """Do a step; on a processor that is lost meanwhile once more, and after a second loss without it."""
        for kind in ("lost", "lost.out"):
            assert self._engine is not None
            try:
                await step(self._engine)
                break
            except DeviceError as error:
                if self._cancelled or isinstance(error, LimitError | WrongResults):
                    raise
                self._notes.append(note(kind, error))
                await self._open_again()
        self._changed()

    async def _open_again(self) -> None:
        """Load the model once more, on a fresh device."""
        self._known = self.report()
        self._close()
        await self._load_once("again")
        self._known = None

    async def _measure_decode(self, engine: Engine) -> None:
        found = await protocol.decode(engine, self._request, self._probes, self._control, self._pace)
        self._decode = found

    async def _measure_prefill(self, engine: Engine) -> None:
        self._prefill.clear()  # what a lost device has measured
        self._pace = await protocol.prefill(engine, self._request, self._probes, self._control, self._prefill)

    async def _measure_kernels(self, engine: Engine) -> None:
        self._kernels = await protocol.kernels(engine, self._probes, self._control)
        if self._kernels is None:
            self._notes.append(note("kernels.none"))
        elif left_out := [plan.name for plan in engine.plans if plan.name not in self._kernels]:
            self._notes.append(note("kernels.budget", plans=", ".join(left_out)))

    async def _agree(self, engine: Engine) -> None:
        """Hold the processor against the CPU."""
        loaded = self._cold or self._cached
        if not engine.device.traits.wgsl:
            self._notes.append(note("agreement.self"))
        elif loaded and 2 * loaded.total_seconds > self._control.clock.left:
            self._notes.append(note("agreement.budget"))
        else:
            try:
                answers, name = await self._reference(engine)
                self._agreement = await agreement.hold(engine, answers, name, self._told("agreement"))
            except _TimeUp:
                self._notes.append(note("agreement.budget"))
            except _NoReference as error:
                self._notes.append(note("agreement.none", error.why))

    async def _reference(self, engine: Engine) -> tuple[list[agreement.Answer], str]:
        """What the CPU writes, and what it is called. Raises _NoReference, _TimeUp."""
        try:
            cpu = await self._host.open(Request(device="cpu", threads=self._request.threads))
            try:
                weights = engine.scheme.name if engine.scheme else self._request.weights
                reference = await self._load_engine(
                    "reference", cpu, Settings(engine.context, weights=weights)
                )
                try:
                    return await agreement.write(reference, self._told("reference", 0.5)), cpu.adapter.name
                finally:
                    reference.close()
            finally:
                cpu.close()
        except DeviceError as error:
            raise _NoReference(error) from error

    def _told(self, kind: str, begin: float = 0.0) -> agreement.Told:
        """Hears of progress from a part of a step on, and raises _TimeUp when the budget is used up."""

        def told(part: float) -> None:
            self._control.tell(kind, part=begin + (1 - begin) * part)
            if not self._control.clock.left:
                raise _TimeUp

        return told

    async def _load(self) -> None:
        """Load; where the loads are measured, from the file and then from the cache, each on a fresh device."""
        request = self._request
        self._store = store = await self._host.store(request)
        if not request.loads:
            stats = await self._load_once("first")
            self._cold, self._cached = (None, stats) if stats.cached else (stats, None)
            return
        self._loaded = _measured(self._source, self._host)
        if store:
            await self._host.discard(store, self._loaded.key)
        self._cold = stats = await self._load_once("first")
        if not store:
            self._notes.append(note("cached.off"))
        elif stats.note:
            self._notes.append(note("cached.full", StoreFull(stats.note)))
        elif stats.total_seconds > self._control.clock.left / 2:
            self._notes.append(note("cached.budget"))
        else:
            self._close()
            self._cached = await self._load_once("cached")

    async def _load_once(self, kind: str) -> LoadStats:
        """Load what is measured onto a fresh device."""
        request = self._request
        if self._known is not None:  # it was measured which number is best
            request = replace(request, threads=self._known.threads)
        self._device = await self._host.open(request)
        settings = Settings(request.context, variant=request.variant, weights=request.weights)
        self._engine = await self._load_engine(kind, self._device, settings)
        return self._engine.load_stats

    async def _load_engine(self, kind: str, device: Device, settings: Settings) -> Engine:
        def heard(progress: reports.LoadProgress) -> None:
            part = progress.done / progress.total if progress.total else 0.0
            self._control.tell(kind, stage=progress.stage, part=part)

        return await Engine.load(self._loaded, device, self._store, settings, heard)

    def _stop_run(self) -> None:
        """The budget is used up: another program may have slowed this one down."""
        if self._engine is not None:
            self._engine.stop()

    def _close(self) -> None:
        if self._engine is not None:
            self._engine.close()
        if self._device is not None:
            self._device.close()
        self._engine = self._device = None


def _load(stats: LoadStats | None) -> Load | None:
    return None if stats is None else Load(stats.total_seconds, stats.seconds)
