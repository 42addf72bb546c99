"""Runs parts of the forward pass with one kernel variant after the other: is the result right, how long does it take?

A workload is a few layers that have every kind of matrix and of cache, with a part of the head, or where the device is
fast a whole token, on the model's own weights. What it gives with a variant is held against what it gives with the
simple kernels, which self_check.py holds against numpy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ..device import Device
from ..errors import Cancelled, DeviceError, OutOfMemory, SottoError, kind_of
from ..models.base import Head
from ..models.recorder import Recorder
from ..plan.memory import Memory, first_steps, kernels
from ..plan.plan import Plan
from ..plan.variants import SIMPLE, Job, KernelChoice, Variant
from ..reports import Rejection
from .comparison import Result, distance, fake_cache, probe_inputs
from .crash_log import CrashLog

POSITION = 512  # tokens before the workload
TAIL = 3  # tokens that a prefill workload lacks of a full chunk
LONG = 0.01  # seconds that are timed at least: by the host's clock, which counts the way there and back too
REPEATS = 32  # of a workload in that time, at most
# Of the spread of a prefill workload's outputs, by precision. The default model's are 0.00007, 0.0016 and 0.051 apart.
TOLERANCE = {"f32": 0.002, "f16": 0.02, "int8": 0.15}
LAZY = 0.25  # seconds: a first run that takes longer, and twice as long as the next one, compiled its kernel
TOP = 2  # times as much of the highest logits, whose spread is smaller: there 0.0004, 0.011 and 0.12


@dataclass(frozen=True)
class Workload:
    """A part of the forward pass.

    Attributes:
        room: how many tokens the cache has room for behind those before the workload.
        expected: what the simple kernels give, or those of `choice` that were held against them.
        seconds: that the simple ones take.
        choice: of the jobs that are not timed.
    """

    recorder: Recorder
    tokens: int
    layers: tuple[int, ...]
    position: int
    count: int
    room: int = 1
    expected: Result | None = None
    seconds: float = 0.0
    choice: KernelChoice = SIMPLE
    _plans: dict[Variant, Plan] = field(default_factory=dict, init=False)

    def plan(self, variant: Variant) -> Plan:
        """The workload with a variant; recorded once."""
        if variant not in self._plans:
            head = Head.CANDIDATES if self.tokens == 1 else Head.SCORES
            name, choice = f"{variant} for {self.tokens}", self.choice.but(variant)
            self._plans[variant] = self.recorder.plan(name, self.tokens, choice, head, self.layers)
        return self._plans[variant]


@dataclass
class Contender:
    """A variant that gave the right result, loaded, and its times in seconds."""

    variant: Variant
    plan: Plan
    program: int
    inputs: bytes
    result: Result
    times: list[float] = field(default_factory=list)


class Trial:
    """Runs workloads on a device.

    Args:
        reject: told the name of a variant that is not to be used, and why.
        clock: seconds that only ever grow.
    """

    def __init__(
        self,
        device: Device,
        memory: Memory,
        crash_log: CrashLog,
        reject: Callable[[str, Rejection], None],
        clock: Callable[[], float],
    ) -> None:
        self._device = device
        self._memory = memory
        self._crash_log = crash_log
        self._reject = reject
        self._clock = clock
        self._longest = 0.0  # seconds that a kernel's first run took
        self.lazy = False  # a kernel was seen to be compiled in its first run

    async def begin(
        self, recorder: Recorder, tokens: int, layers: tuple[int, ...], until: float
    ) -> Workload | None:
        """A workload of a plan size, and what the simple kernels give for it; None without the time."""
        slots = max(cache.keys.shape[0] for cache in recorder.caches)
        room = tokens + (REPEATS if tokens == 1 else 0)
        position = max(min(POSITION, slots - room), 0)
        count = max(tokens // 2, 1) if self._device.traits.few_cores else max(tokens - TAIL, 1)
        workload = Workload(recorder, tokens, layers, position, count, slots - position - tokens + 1)
        simple = SIMPLE[Job.DECODE]
        plan = workload.plan(simple)
        if not await self._in_time(plan, until):
            return None
        for layer in layers:
            for tensor in (recorder.caches[layer].keys, recorder.caches[layer].values):
                self._memory.write(tensor, fake_cache(tensor, min(position, tensor.shape[0])))
        contender = await self._contender(workload, simple, plan, until)
        if contender is None:
            return None
        try:
            seconds = await self.time(contender)
        finally:
            self.end(contender)
        return replace(workload, expected=contender.result, seconds=seconds)

    async def enter(self, workload: Workload, variant: Variant, until: float) -> Contender | None:
        """A variant that gives the right result, ready to be timed; None for a rejected one, and where there is no
        time or memory for it now.
        """
        assert workload.expected
        contender = None
        try:
            plan = workload.plan(variant)
            await self._crash_log.begin([str(variant)])
            if not await self._in_time(plan, until):
                return None
            contender = await self._contender(workload, variant, plan, until)
            if contender is None:
                return None
            off = distance(contender.result, workload.expected)
            if off <= TOLERANCE[variant.precision] * (TOP if workload.tokens == 1 else 1):
                return contender
            reason = Rejection("wrong", f"wrong results, off by {off:.1%}")
        except Cancelled:
            raise
        except OutOfMemory:
            return None
        except SottoError as error:
            if isinstance(error, DeviceError):
                await self._device.finish()  # raises where the device is lost: then the note stays
            reason = Rejection(kind_of(error), error.message)
        if contender:
            self.end(contender)
        self._reject(str(variant), reason)
        return None

    def end(self, contender: Contender) -> None:
        """Take a variant off the device."""
        self._device.unload(contender.program)

    async def time(self, contender: Contender, repeats: int = 1) -> float:
        """Seconds of a run, from `repeats` in one go."""
        began = self._clock()
        if repeats == 1:
            await self._device.run(contender.program, contender.inputs)
        else:
            await self._device.submit(contender.program, contender.inputs, repeats)
        return (self._clock() - began) / repeats

    async def repeats(self, workload: Workload, contender: Contender) -> tuple[int, float]:
        """How many runs of a contender take LONG, and the seconds of one of them.

        The milliseconds to a fast device and back would drown a single one.
        """
        most = min(REPEATS, workload.room if workload.tokens == 1 else REPEATS)
        repeats = 1
        while (seconds := await self.time(contender, repeats)) * repeats < LONG and 2 * repeats <= most:
            repeats *= 2
        return repeats, seconds

    async def warm(self, plan: Plan, program: int, inputs: bytes, until: float) -> int:
        """Let each kernel of a program run once, as long as there is time. Returns how many there was none for.

        Where one cannot be asked whether it is compiled, it compiles in its first run: Mesa's software Vulkan does
        that, for a second and longer. Only software adapters are asked this way, and only those that tell times,
        since only those can run a step by itself.
        """
        if not self._device.traits.lazy_compiler:
            return 0
        steps = first_steps(plan)
        for done, step in enumerate(steps):
            began = self._clock()
            if began + self._longest > until:
                return len(steps) - done
            if await self._device.profile(program, inputs, [[step]]) is None:
                return 0
            took = self._clock() - began
            self._longest = max(self._longest, took)
            if took > LAZY and not self.lazy:
                began = self._clock()
                await self._device.profile(program, inputs, [[step]])
                self.lazy = self._clock() - began < took / 2
        return 0

    async def _in_time(self, plan: Plan, until: float) -> bool:
        """Whether a plan is compiled before the time is up; not where nobody can tell."""
        ready = await self._device.ready(*kernels(plan)[:2], until - self._clock())
        return ready and self._clock() < until and not self.lazy

    async def _contender(
        self, workload: Workload, variant: Variant, plan: Plan, until: float
    ) -> Contender | None:
        """A variant with its result; None without the time."""
        program = await self._device.load(self._memory.program(plan))
        try:
            rows = workload.recorder.weights.head.rows
            inputs = probe_inputs(plan, rows, workload.position, workload.count)
            if await self.warm(plan, program, inputs, until) or self.lazy:
                self._device.unload(program)
                return None
            result = Result.of(plan, await self._device.run(program, inputs), workload.count)
        except BaseException:
            self._device.unload(program)
            raise
        return Contender(variant, plan, program, inputs, result)
