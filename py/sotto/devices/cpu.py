"""The CPU as a processor: the same recorded plans, replayed by a WebAssembly interpreter with C kernels.

The kernels are kernels/cpu/*.c, one for each WGSL kernel and under its name, compiled to one small module. A
plan becomes a table of records in the module's memory; one call runs all of a token. This file encodes tables and
keeps the memory; what differs between hosts (wasmtime, a browser) is a `Machine`.
"""

from __future__ import annotations

import functools
import re
import struct
import time
from collections.abc import Awaitable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

from ..device import AdapterInfo, Batch, Bytes, Later, Limits, Pipeline, Program, Shader, Traits
from ..errors import OutOfMemory
from ..paths import kernels_folder
from ..plan import wgsl
from ..plan.plan import STEP_BYTES as STEP_BLOCK_BYTES
from .cancellation import Cancellation
from .heap import ALIGNMENT, PAGE, Heap
from .pace import Pace, amounts

RECORD_BYTES = 64  # STEP_BYTES in steps.h
STACK_BYTES = 64 << 10
POOL_BYTES = 512
POOL_FIELDS = 200  # struct pool in pool.h: the fields from `table` on
MAX_THREADS = 32
MIN_PAGES = 4  # the limits of the memory that the modules import, set in tools/build_cpu.py
MAX_PAGES = 65535
PART_SECONDS = 0.05  # between two looks at whether to stop: to look takes some microseconds
_STEP_BINDING = 8  # kernels/lib/step.wgsl: the interpreter is given its address once, not step by step

_STRUCT = re.compile(r"struct (\w+) \{(.*?)\};", re.DOTALL)
_FIELD = re.compile(r"([\w ]+?)\s*(\*?)\s*(\w+);")
_FORMATS = re.compile(r"enum format \{([^}]*)\}")
_KERNELS = re.compile(r"#define KERNELS\(CODED, PLAIN\)((?:.*\\\n)*.*)")
_KERNEL = re.compile(r"(?:CODED|PLAIN)\((\w+)\)")


@dataclass(frozen=True)
class StepLayout:
    """The layout of one kernel's record: its opcode, and its fields in order as (name, kind).

    `kind` is "address" for a binding, "u32" or "f32" for a constant.
    """

    opcode: int
    fields: tuple[tuple[str, str], ...]

    @functools.cached_property
    def packing(self) -> struct.Struct:
        """Its bytes: the opcode, the weights' format, and the fields."""
        kinds = "".join(["f" if kind == "f32" else "I" for _, kind in self.fields])
        return struct.Struct(f"<2I{kinds}")


@dataclass(frozen=True)
class Signatures:
    """What kernels/cpu/steps.h says."""

    records: dict[str, StepLayout]
    formats: dict[str, int]

    def encode(self, operation: str, format: str, values: dict[str, float]) -> bytes:
        """One record. `values` has addresses and constants by the kernel's names; others are ignored."""
        record = self.records[operation]
        fields = [
            value if kind == "f32" else int(value)
            for name, kind in record.fields
            for value in (values.get(name, 0) if name == "scales" else values[name],)
        ]
        data = record.packing.pack(record.opcode, self.formats[format or "none"], *fields)
        return data.ljust(RECORD_BYTES, b"\0")


@functools.cache
def signatures() -> Signatures:
    """What kernels/cpu/steps.h says."""
    return read_signatures((kernels_folder() / "cpu" / "steps.h").read_text("utf-8"))


def read_signatures(text: str) -> Signatures:
    """The records of a steps.h: of the kernels that its KERNELS lists, in that order, and the formats."""
    text = re.sub(r"//[^\n]*", "", text)
    listed, formats = _KERNELS.search(text), _FORMATS.search(text)
    assert listed is not None and formats is not None, "steps.h lists the kernels and the formats"
    structs = dict(_STRUCT.findall(text))
    records = {}
    for opcode, name in enumerate(_KERNEL.findall(listed[1])):
        fields = tuple(
            (field, "address" if star else kind.split()[-1])
            for kind, star, field in _FIELD.findall(structs[name])
        )
        records[name] = StepLayout(opcode, fields)
    names = {n.strip().removeprefix("FORMAT_").lower(): i for i, n in enumerate(formats[1].split(","))}
    return Signatures(records, names)


class Machine(Protocol):
    """A host of the compiled kernels: one shared memory, one instance for each thread.

    `relaxed` says which build runs; `cores` how many threads can run at once here (1 without shared memory); `memory`
    how many bytes the computer has, None where nobody tells.
    """

    name: str
    relaxed: bool
    cores: int
    memory: int | None
    heap: int  # the first address that the module does not use itself

    def grow(self, pages: int) -> None:
        """Make the memory that many pages. Raises OutOfMemory when the host refuses."""
        ...

    def write(self, address: int, data: Bytes) -> None:
        """Copy bytes into the memory."""
        ...

    def map(self, address: int, file: int, nbytes: int) -> bool:
        """What `device.Processor.map` says, at an address of the memory."""
        ...

    def clear(self, address: int, nbytes: int) -> None:
        """Write zeros."""
        ...

    def read(self, address: int, nbytes: int) -> bytes:
        """Copy bytes out of the memory."""
        ...

    def call(self, function: str, *arguments: int) -> int:
        """Call an exported function on this thread; 0 for one without a result."""
        ...

    async def start(self, pool: int, stacks: int, threads: int) -> int:
        """Bring up workers 1 .. threads-1; stack i ends at stacks + (i+1) * STACK_BYTES. Returns how many run."""
        ...

    async def breathe(self) -> None:
        """Let a request to stop arrive; called before every part of a run."""
        ...

    def close(self) -> None:
        """Release the memory and the workers."""
        ...


@dataclass
class _Loaded:
    program: Program
    table: int
    parts: list[tuple[int, int]]  # step at which it begins, address of the step block that its steps read


class CpuDevice:
    """Replays programs on a Machine. Satisfies `device.Device`.

    Attributes:
        machine: the host.
        threads: how many threads run a program; results do not depend on it. Set it between runs.
    """

    def __init__(self, machine: Machine, threads: int, running: int, heap: int) -> None:
        self.machine = machine
        self._running = running
        self.threads = min(threads, running)
        self.encode_seconds: float | None = None
        build = "relaxed SIMD" if machine.relaxed else "SIMD"
        self.adapter = AdapterInfo(
            "CPU",
            "",
            f"WebAssembly, {build}",
            "wasm",
            machine.name,
            False,
            (),
            wgsl=False,
            runtime=machine.name,
        )
        # One buffer for all weights: it is one memory anyway, and then the file of the converted model can be mapped.
        self.limits = Limits(1 << 32, 1 << 32, 64, 1 << 16, 1 << 30, 1 << 30, best_buffer=1 << 32)
        self._pool = heap
        self._start = heap + POOL_BYTES + MAX_THREADS * STACK_BYTES
        self._heap = Heap(self._start)
        self._pages = 0
        self._programs: dict[int, _Loaded] = {}
        self._next = 1
        self._cancellation = Cancellation()
        self._shared = (0, 0)  # address, bytes
        self._own = (0, 0)  # address, bytes of each thread
        self._pace = Pace(PART_SECONDS)

    @classmethod
    async def open(cls, machine: Machine, threads: int | None = None) -> Self:
        """Start the workers. Raises DeviceError.

        Args:
            machine: the host.
            threads: how many to use; default: as many as there are cores, at most MAX_THREADS.
        """
        wanted = min(max(threads or machine.cores, machine.cores), MAX_THREADS)
        pool = -(-machine.heap // ALIGNMENT) * ALIGNMENT
        stacks = pool + POOL_BYTES
        machine.grow(-(-(stacks + MAX_THREADS * STACK_BYTES) // PAGE))
        running = await machine.start(pool, stacks, wanted)
        return cls(machine, threads or machine.cores, running, pool)

    @property
    def traits(self) -> Traits:
        return replace(Traits.of(self.adapter), most_threads=self._running)

    @property
    def memory(self) -> int:
        most = MAX_PAGES * PAGE - self._start
        return min(most, self.machine.memory or most)

    @property
    def rates(self) -> tuple[float, float] | None:
        return None

    @property
    def nbytes(self) -> int:
        """Size of the memory."""
        return self._pages * PAGE

    def buffer(self, nbytes: int, label: str) -> int:
        address, used = self._heap.take(nbytes)
        pages = -(-self._heap.end // PAGE)
        if pages > MAX_PAGES:
            self._heap.give(address)
            raise OutOfMemory(
                f"No memory for {label} ({nbytes / 2**20:,.1f} MiB): WebAssembly's limit is 4 GiB.",
                "Use a smaller model or context, or the GPU.",
            )
        if pages > self._pages:
            self.machine.grow(pages)
            self._pages = pages
        if used:
            self.machine.clear(address, nbytes)
        return address

    def free(self, buffer: int) -> None:
        self._heap.give(buffer)

    def write(self, buffer: int, offset: int, data: Bytes) -> None:
        self.machine.write(buffer + offset, data)

    def map(self, buffer: int, file: int, nbytes: int) -> bool:
        return self.machine.map(buffer, file, nbytes)

    async def read(self, buffer: int, offset: int, nbytes: int) -> bytes:
        return self.machine.read(buffer + offset, nbytes)

    def prepare(self, shaders: Sequence[Shader], pipelines: Sequence[Pipeline]) -> None:
        """The kernels are compiled already."""

    async def ready(self, shaders: Sequence[Shader], pipelines: Sequence[Pipeline], seconds: float) -> bool:
        return True

    async def load(self, program: Program) -> int:
        """Encode the program's steps. A kernel without a C twin is an error of this version."""
        known = signatures()
        records = []
        parts = [(0, program.inputs.buffer)]
        for index, step in enumerate(program.steps):
            pipeline = program.pipelines[step.pipeline]
            kernel = wgsl.named(program.shaders[pipeline.shader].label)
            names = kernel.names
            values: dict[str, float] = dict(pipeline.constants)
            block = parts[-1][1]
            for number, buffer, offset, _, _ in step.bindings:
                if number == _STEP_BINDING:
                    block = buffer + offset
                else:
                    values[names[number]] = buffer + offset
            if block != parts[-1][1]:
                parts.append((index, block))
            records.append(known.encode(kernel.operation.rpartition("/")[2], kernel.format, values))
        table = self.buffer(RECORD_BYTES * max(len(records), 1), f"{program.name} steps")
        self.machine.write(table, b"".join(records))
        places = {step.pipeline: table + RECORD_BYTES * i for i, step in enumerate(program.steps)}
        self._reserve(places.values(), (program.inputs.nbytes - STEP_BLOCK_BYTES) // 4)
        handle = self._next
        self._next += 1
        self._programs[handle] = _Loaded(program, table, parts)
        return handle

    def _reserve(self, places: Collection[int], tokens: int) -> None:
        """Enlarge the workspaces to what the records at these addresses need: one for each kernel with its constants,
        which say how much that is."""
        call = self.machine.call
        own = max((call("own_bytes", p) for p in places), default=0)
        shared = max((call("shared_bytes", p, tokens) for p in places), default=0)
        if own > self._own[1]:
            own = -(-own // ALIGNMENT) * ALIGNMENT
            self._own = self._resized(self._own[0], own * self._running, "thread workspaces"), own
        if shared > self._shared[1]:
            self._shared = self._resized(self._shared[0], shared, "workspace"), shared

    def _resized(self, old: int, nbytes: int, label: str) -> int:
        if old:
            self.free(old)
        return self.buffer(nbytes, label)

    def unload(self, program: int) -> None:
        self.free(self._programs.pop(program).table)

    async def run(self, program: int, inputs: bytes, *, steps: int | None = None) -> bytes:
        loaded = self._programs[program]
        plan = loaded.program
        number = self._cancellation.begin()
        self.machine.write(plan.inputs.buffer, inputs)
        todo = len(plan.steps) if steps is None else min(steps, len(plan.steps))
        work = amounts(plan.work, *struct.unpack_from("<2I", inputs)) if plan.work else []
        first = 0
        while first < todo:
            await self.machine.breathe()
            self._cancellation.check(number)
            last = self._pace.end(work, first, todo) if work else todo
            began = time.perf_counter()
            self._steps(loaded, first, last)
            if work:
                self._pace.learn(work[first:last], time.perf_counter() - began)
            first = last
        return self.machine.read(plan.outputs.buffer + plan.outputs.offset, plan.outputs.nbytes)

    def submit(self, program: int, inputs: bytes | None, repeats: int) -> Awaitable[Batch]:
        return Later(lambda: self._replay(program, inputs, repeats))

    async def _replay(self, program: int, inputs: bytes | None, repeats: int) -> Batch:
        """What `submit` promises, done now: one call into WebAssembly for all of it."""
        loaded = self._programs[program]
        plan = loaded.program
        number = self._cancellation.begin()
        await self.machine.breathe()
        self._cancellation.check(number)
        if inputs is not None:
            self.machine.write(plan.inputs.buffer, inputs)
        self._steps(loaded, 0, len(plan.steps), repeats)
        done = time.perf_counter()
        outputs = self.machine.read(plan.outputs.buffer + plan.outputs.offset, plan.outputs.nbytes)
        return Batch(outputs, done, time.perf_counter() - done)

    def _steps(self, loaded: _Loaded, first: int, last: int, repeats: int = 1) -> None:
        """Run some steps: one call for those that read the same step block."""
        ends = [begin for begin, _ in loaded.parts[1:]] + [last]
        parts = [
            (max(begin, first), min(end, last), block)
            for (begin, block), end in zip(loaded.parts, ends, strict=True)
            if max(begin, first) < min(end, last)
        ]
        calls, each = (1, repeats) if len(parts) == 1 else (repeats, 1)
        for part in parts * calls:
            fields = (loaded.table, *part, self._shared[0], self._own[0], self._own[1], each)
            self.machine.write(self._pool + POOL_FIELDS, struct.pack("<8I", *fields))
            self.machine.call("run", self._pool, self.threads)

    async def profile(
        self, program: int, inputs: bytes, passes: Sequence[Sequence[int]]
    ) -> list[float] | None:
        loaded = self._programs[program]
        self.machine.write(loaded.program.inputs.buffer, inputs)
        seconds = []
        for steps in passes:
            started = time.perf_counter()
            for step in steps:
                self._steps(loaded, step, step + 1)
            seconds.append(time.perf_counter() - started)
        return seconds

    def cancel(self) -> None:
        self._cancellation.cancel()

    async def finish(self) -> None:
        """Everything is always done."""

    def close(self) -> None:
        if self._running > 1:
            self.machine.call("quit", self._pool)
        self._running = 1
        self.machine.close()
        self._programs.clear()
