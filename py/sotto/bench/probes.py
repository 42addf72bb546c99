"""What a device can do at all, whatever the model: bandwidth, arithmetic, and the price of a dispatch.

Every probe repeats its dispatch until a run takes long enough to time, takes the best of a few runs (a limit is
what can be reached), and takes off the time that an empty run needs.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import numpy as np

from .. import wgsl
from ..device import Device, Inputs, Outputs, Pipeline, Program, Shader, Step
from ..errors import DeviceError

WORKGROUP = 256
LONG_ENOUGH = 0.1  # seconds
RUNS = 5
STREAM_BYTES = 1 << 30  # far above any cache
STREAM_BYTES_SOFTWARE = 256 << 20
CHAIN = 1024  # dispatches


@dataclass(frozen=True)
class Bandwidth:
    """Streaming reads: bytes per second, and the bytes that each pass read."""

    rate: float
    nbytes: int


@dataclass(frozen=True)
class Probes:
    """What a device can do.

    Attributes:
        read: streaming read bandwidth.
        f32, f16: multiply-adds, counted as two floating-point operations each, per second; f16 is None where
            the device has no shader-f16.
        empty_dispatch: seconds that one more dispatch takes which waits for the one before it; or, where that
            is more, the seconds that recording it takes.
        round_trip: seconds from submitting one empty dispatch to having 4 bytes of its result.
    """

    read: Bandwidth
    f32: float
    f16: float | None
    empty_dispatch: float
    round_trip: float


async def probe(device: Device) -> Probes:
    """Measure a device; seconds on a GPU, up to a minute on a software adapter."""
    round_trip, empty = await _dispatches(device)
    read = await _read(device, round_trip)
    f32 = await _arithmetic(device, "f32", round_trip)
    f16 = await _arithmetic(device, "f16", round_trip) if "shader-f16" in device.adapter.features else None
    return Probes(read, f32, f16, empty, round_trip)


class _Repeated:
    """One dispatch, repeated in a single submit, with buffers of its own."""

    def __init__(self, device: Device, kernel: wgsl.Kernel, constants: dict[str, float], groups: int) -> None:
        self._device = device
        self._kernel = kernel
        self._constants = constants
        self._groups = groups
        self.output = device.buffer(16, "probe output")
        self._inputs = device.buffer(16, "probe inputs")
        self._bound = {"y": (self.output, 16)}
        self._program: int | None = None

    def bind(self, name: str, buffer: int, nbytes: int) -> None:
        self._bound[name] = (buffer, nbytes)

    async def times(self, count: int) -> None:
        """Prepare for `count` dispatches a run."""
        self._unload()
        bindings = tuple(
            (d.number, self._bound[d.name][0], 0, self._bound[d.name][1], d.access)
            for d in self._kernel.bindings
        )
        step = Step("probe", 0, bindings, (self._groups, 1, 1))
        program = Program(
            name=f"{count} x {self._kernel.name}",
            shaders=(Shader(self._kernel.name, self._kernel.source),),
            pipelines=(Pipeline(0, self._constants),),
            steps=(step,) * count,
            submits=(count,),
            inputs=Inputs(self._inputs, 16),
            outputs=Outputs(self.output, 0, 4),
        )
        self._program = await self._device.load(program)

    async def seconds(self) -> float:
        """One run, after `times`."""
        assert self._program is not None
        began = time.perf_counter()
        await self._device.run(self._program, bytes(16))
        return time.perf_counter() - began

    async def best(self, runs: int = RUNS) -> float:
        """The shortest of some runs, after one to warm up."""
        first = await self.seconds()
        return min([await self.seconds() for _ in range(runs if first < 1 else 1)])

    def release(self) -> None:
        self._unload()
        self._device.free(self.output)
        self._device.free(self._inputs)

    def _unload(self) -> None:
        if self._program is not None:
            self._device.unload(self._program)
            self._program = None


async def _dispatches(device: Device) -> tuple[float, float]:
    """(round trip, one more dispatch in a chain), seconds."""
    chain = _Repeated(device, wgsl.load("probes/nothing"), {}, 1)
    try:
        await chain.times(1)
        await chain.best()
        round_trip = statistics.median([await chain.seconds() for _ in range(50)])
        await chain.times(CHAIN)
        return round_trip, max(await chain.best(20) - round_trip, 0.0) / (CHAIN - 1)
    finally:
        chain.release()


async def _read(device: Device, round_trip: float) -> Bandwidth:
    limits = device.limits
    nbytes = STREAM_BYTES_SOFTWARE if device.adapter.software else STREAM_BYTES
    groups = 4096
    unit = 4 * 16 * groups * WORKGROUP
    nbytes = min(nbytes, limits.max_binding // unit * unit, limits.max_buffer // unit * unit)
    while True:
        try:
            buffer = device.buffer(nbytes, "probe data")
            break
        except DeviceError:
            if nbytes <= unit:
                raise
            nbytes = nbytes // 2 // unit * unit
    stream = _Repeated(
        device,
        wgsl.load("probes/stream"),
        {"COUNT": nbytes // 16, "THREADS": groups * WORKGROUP},
        groups,
    )
    try:
        random = np.random.default_rng(0).integers(0, 256, min(nbytes, 32 << 20), np.uint8)
        for at in range(0, nbytes, random.size):
            device.write(buffer, at, random[: nbytes - at])
        await device.finish()
        stream.bind("x", buffer, nbytes)
        count = 1
        while True:
            await stream.times(count)
            seconds = await stream.best() - round_trip
            if seconds >= LONG_ENOUGH or count >= CHAIN:
                return Bandwidth(nbytes * count / seconds, nbytes)
            count *= 4
    finally:
        stream.release()
        device.free(buffer)


async def _arithmetic(device: Device, element: str, round_trip: float) -> float:
    groups, iterations = (64, 64) if device.adapter.software else (2048, 1024)
    x = device.buffer(16, "probe factors")
    device.write(x, 0, np.array([0.75, 0.375, 0, 0], np.float32))
    try:
        while True:
            work = _Repeated(device, wgsl.load("probes/fma", element), {"ITERATIONS": iterations}, groups)
            try:
                work.bind("x", x, 16)
                await work.times(1)
                seconds = await work.best() - round_trip
                if seconds >= LONG_ENOUGH / 4:
                    return 64.0 * iterations * groups * WORKGROUP / seconds
            finally:
                work.release()
            iterations *= 4
    finally:
        device.free(x)
