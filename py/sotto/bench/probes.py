"""What a device can do at all, whatever the model: bandwidth, arithmetic, and the price of a dispatch.

Every probe repeats its dispatch in one compute pass until a run takes long enough to time, and takes the best of a few
runs (a limit is what can be reached). The time is the device's own, by timestamps at the pass's ends; where there are
none, it is the host's, less what a run of one empty dispatch needs. A processor that runs no WGSL has twins of the same
kernels in C (kernels/cpu/probes.c).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..device import Device, Inputs, OutputRange, Pipeline, Program, Shader, Step
from ..errors import DeviceError
from ..plan import wgsl

WORKGROUP = 256
LONG_ENOUGH = 0.1  # seconds
RUNS = 5
STREAM_BYTES = 1 << 30  # far above any cache
STREAM_BYTES_SOFTWARE = 256 << 20
LONG_CHAIN = 0.01  # seconds: a browser rounds timestamps to 100 us
CHAIN = 1024  # dispatches; 16 times as many where they are quick
OPERATIONS = 64.0  # of each thread in each iteration of an arithmetic probe


@dataclass(frozen=True)
class Bandwidth:
    """Streaming reads: bytes per second, and the bytes that each pass read."""

    rate: float
    nbytes: int


@dataclass(frozen=True)
class Probes:
    """What a device can do. Rates count a multiply-add as two operations; None is what a device does not have.

    Attributes:
        read: streaming read bandwidth.
        f32, f16: floating-point operations per second; f16 needs shader-f16, a CPU is asked for neither.
        int8: operations of int8 dot products per second.
        empty_dispatch: seconds of the device that one more dispatch takes which waits for the one before it; without
            timestamps, what recording it takes is counted in.
        round_trip: seconds from submitting one empty dispatch to having 4 bytes of its result.
    """

    read: Bandwidth
    f32: float | None
    f16: float | None
    int8: float | None
    empty_dispatch: float
    round_trip: float


def _on() -> None:
    """The default of `check`: never stops."""


async def probe(device: Device, check: Callable[[], None] = _on) -> Probes:
    """Measure a device; seconds on a GPU, up to a minute on a software adapter.

    Args:
        check: called before every run; it may raise to end them.
    """
    round_trip, empty = await _dispatches(device, check)
    read = await _read(device, round_trip, check)
    rates: dict[str, float | None] = {"f32": None, "f16": None}
    for element in rates:
        if device.traits.wgsl and (element == "f32" or "shader-f16" in device.adapter.features):
            factors = np.array([0.75, 0.375, 0, 0], np.float32)
            kernel = wgsl.load("probes/fma", element)
            rates[element] = await _arithmetic(device, kernel, factors, {}, round_trip, check)
    int8 = await _int8(device, round_trip, check)
    return Probes(read, rates["f32"], rates["f16"], int8, empty, round_trip)


class _Repeated:
    """One dispatch, repeated in a single submit, with buffers of its own."""

    def __init__(
        self,
        device: Device,
        kernel: wgsl.Kernel,
        constants: dict[str, float],
        groups: int,
        check: Callable[[], None] = _on,
        round_trip: float = 0.0,
    ) -> None:
        self._device = device
        self._check = check
        self._kernel = kernel
        self._constants = constants
        self._groups = groups
        self._round_trip = round_trip
        self._count = 0
        self._stamped = device.traits.wgsl and "timestamp-query" in device.adapter.features
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
            inputs=Inputs(self._inputs, 16),
            outputs=OutputRange(self.output, 0, 4),
        )
        self._program = await self._device.load(program)
        self._count = count

    async def seconds(self) -> float:
        """One run with its round trip, after `times`."""
        assert self._program is not None
        self._check()
        began = time.perf_counter()
        await self._device.run(self._program, bytes(16))
        return time.perf_counter() - began

    async def on_device(self) -> float:
        """What one run takes of the device's time, after `times`."""
        assert self._program is not None
        if self._stamped:
            self._check()
            began = time.perf_counter()
            timed = await self._device.profile(self._program, bytes(16), (range(self._count),))
            if timed and 0 < timed[0] <= time.perf_counter() - began:
                return timed[0]
            self._stamped = False  # there are drivers whose clocks are wrong
        return max(await self.seconds() - self._round_trip, 0.0)

    async def best(self, runs: int = RUNS) -> float:
        """The shortest of some runs, on_device, after one to warm up."""
        first = await self.on_device()
        return min([await self.on_device() for _ in range(runs if first < 1 else 1)])

    def release(self) -> None:
        self._unload()
        self._device.free(self.output)
        self._device.free(self._inputs)

    def _unload(self) -> None:
        if self._program is not None:
            self._device.unload(self._program)
            self._program = None


async def _dispatches(device: Device, check: Callable[[], None]) -> tuple[float, float]:
    """(round trip, one more dispatch in a chain), seconds."""
    chain = _Repeated(device, wgsl.load("probes/nothing"), {}, 1, check)
    try:
        await chain.times(1)
        await chain.best()
        round_trip = statistics.median([await chain.seconds() for _ in range(50)])
        count = CHAIN
        while True:
            await chain.times(count)
            seconds = await chain.best(20)
            if seconds >= LONG_CHAIN or count >= 16 * CHAIN:
                return round_trip, seconds / count
            count *= 4
    finally:
        chain.release()


async def _read(device: Device, round_trip: float, check: Callable[[], None]) -> Bandwidth:
    limits = device.limits
    slow = device.traits.few_cores
    groups = 4096
    unit = 4 * 16 * groups * WORKGROUP
    most = min(STREAM_BYTES_SOFTWARE if slow else STREAM_BYTES, limits.max_binding, limits.max_buffer)
    nbytes = most // unit * unit
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
        check,
        round_trip,
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
            seconds = await stream.best()
            if seconds >= LONG_ENOUGH or count >= CHAIN:
                return Bandwidth(nbytes * count / seconds, nbytes)
            count *= 4
    finally:
        stream.release()
        device.free(buffer)


async def _int8(device: Device, round_trip: float, check: Callable[[], None]) -> float | None:
    """None where WGSL here has no packed dot products."""
    factors = np.array([0x01010101, 0x13579BDF, 0, 0], np.uint32)
    try:
        return await _arithmetic(device, wgsl.load("probes/dots"), factors, {"THREADS": 0}, round_trip, check)
    except DeviceError:
        return None


async def _arithmetic(
    device: Device, kernel: wgsl.Kernel, factors: np.ndarray[tuple[int], np.dtype[np.generic]],
    constants: dict[str, float], round_trip: float, check: Callable[[], None],
) -> float:  # fmt: skip
    """Operations per second of a kernel that does OPERATIONS of them a thread in each of ITERATIONS.

    Args:
        factors: 16 bytes of any type, the kernel's `x`.
        constants: its other overrides; THREADS is filled in.
    """
    slow = device.traits.few_cores
    groups, iterations = (64, 64) if slow else (2048, 1024)
    threads = groups * WORKGROUP
    x = device.buffer(16, "probe factors")
    device.write(x, 0, factors)
    try:
        while True:
            given = {name: float(threads) for name in constants} | {"ITERATIONS": float(iterations)}
            work = _Repeated(device, kernel, given, groups, check, round_trip)
            try:
                work.bind("x", x, 16)
                await work.times(1)
                seconds = await work.best()
                if seconds >= LONG_ENOUGH / 4:
                    return OPERATIONS * iterations * threads / seconds
            finally:
                work.release()
            iterations *= 4
    finally:
        device.free(x)
