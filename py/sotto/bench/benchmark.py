"""One benchmark from beginning to end: probe, load twice, decode, prefill, time the kernels, report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from .. import __version__, reports
from ..device import Device
from ..devices.cpu import best_threads
from ..engine.engine import Engine
from ..errors import Cancelled
from ..plan.variants import Job
from ..reports import LoadStats, Settings
from ..source import Folder, Source
from ..store import Store
from . import protocol
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
        self._known: Report | None = None  # what was known when the device was closed
        self._probes: Probes | None = None
        self._cold: LoadStats | None = None
        self._cached: LoadStats | None = None
        self._decode: Decode | None = None
        self._prefill: list[Prefill] = []
        self._kernels: dict[str, tuple[KernelTime, ...]] | None = None
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
            if not self._cancelled:
                raise
            if self._engine is None:
                raise Cancelled from error
            self._notes.append(note("cancelled"))
        finally:
            call_off()
            if self._engine is not None:
                self._known = self.report()
            self._close()
        assert self._known is not None
        return self._known

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
            variants_rejected=dict(engine.load_stats.rejected),
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
            complete=not self._cancelled,
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
        if request.after == 1:
            self._decode = await protocol.decode(engine, request, self._probes, control)
            self._changed()
        pace = await protocol.prefill(engine, request, self._probes, control, self._prefill)
        self._changed()
        if request.after > 1:
            self._decode = await protocol.decode(engine, request, self._probes, control, pace)
            self._changed()
        if request.profile:
            self._kernels = await protocol.kernels(engine, self._probes, control)
            if self._kernels is None:
                self._notes.append(note("kernels.none"))
            elif left_out := [plan.name for plan in engine.plans if plan.name not in self._kernels]:
                self._notes.append(note("kernels.budget", plans=", ".join(left_out)))
            self._changed()

    async def _load(self) -> None:
        """Load; where the loads are measured, from the file and then from the cache, each on a fresh device."""
        request = self._request
        store = await self._host.store(request)
        if not request.loads:
            stats = await self._load_once("first", self._source, store)
            self._cold, self._cached = (None, stats) if stats.cached else (stats, None)
            return
        source = _measured(self._source, self._host)
        try:
            if store:
                await self._host.discard(store, source.key)
            self._cold = stats = await self._load_once("first", source, store)
            if not store:
                self._notes.append(note("cached.off"))
            elif stats.note:
                self._notes.append(note("cached.full", why=stats.note))
            elif stats.total_seconds > self._control.clock.left / 2:
                self._notes.append(note("cached.budget"))
            else:
                self._close()
                self._cached = await self._load_once("cached", source, store)
        finally:
            if store:
                await self._host.discard(store, source.key)

    async def _load_once(self, kind: str, source: Source | Folder, store: Store | None) -> LoadStats:
        self._device = await self._host.open(self._request)
        settings = Settings(
            self._request.context, variant=self._request.variant, weights=self._request.weights
        )

        def heard(progress: reports.LoadProgress) -> None:
            part = progress.done / progress.total if progress.total else 0.0
            self._control.tell(kind, stage=progress.stage, part=part)

        self._engine = await Engine.load(source, self._device, store, settings, heard)
        return self._engine.load_stats

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
