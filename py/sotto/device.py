"""What the engine sees of a processor.

`Device` is a Protocol with four implementations: the browser's WebGPU (browser/gpu.py), Dawn under plain Python
(native/dawn.py), the C kernels in WebAssembly (devices/cpu.py) and numpy (devices/reference/device.py). Handles are
small integers; no object of any GPU API crosses this line. What asks for a part of a device only asks for that part:
a `Processor`, a `Compiler` or a `Timer`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Bytes = bytes | bytearray | memoryview | NDArray[np.generic]


@dataclass(frozen=True)
class AdapterInfo:
    """Who does the arithmetic.

    `software` is true for an adapter that runs on the CPU; `wgsl` is false for a processor that runs its own
    twins of the simple kernels in place of WGSL. `runtime` is what compiles the WGSL, with its version: what is
    measured holds for that version only. `features` are those of WebGPU, and where it multiplies matrices in a
    subgroup, their shapes: "subgroup-matrix f16 f32 16x16x16" is one of f16 values with f32 sums, M x N x K.
    """

    name: str
    vendor: str
    architecture: str
    backend: str
    driver: str
    software: bool
    features: tuple[str, ...]
    wgsl: bool = True
    runtime: str = ""


@dataclass(frozen=True)
class Traits:
    """What the engine does otherwise for a processor than for a quick GPU, and why; the device says so itself.

    Attributes:
        wgsl: it runs WGSL. One that does not has twins of the simple kernels, and runs nothing else.
        tunable: its kernels are worth choosing by measurement, and it can be told for what the result holds.
        few_cores: it computes on the host's few cores. More work at once is more time, also where a GPU would spread
            it: attention of a chunk, and every sample that is only timed.
        dear_barriers: a workgroup's threads are taken in turns, so that barriers and small workgroups cost much.
        dear_compiler: compiling takes seconds, from the cores that compute.
        lazy_compiler: a kernel may be compiled when it runs first.
        most_threads: of the host that can run a program; 0 where no host's threads do.
    """

    wgsl: bool = True
    tunable: bool = True
    few_cores: bool = False
    dear_barriers: bool = False
    dear_compiler: bool = False
    lazy_compiler: bool = False
    most_threads: int = 0

    @classmethod
    def of(cls, adapter: AdapterInfo) -> Traits:
        """Of a GPU, of a driver that does a GPU's work on the CPU, or of the CPU itself but for its threads."""
        software = adapter.software
        return cls(
            wgsl=adapter.wgsl,
            tunable=adapter.wgsl and bool(adapter.runtime),
            few_cores=software or not adapter.wgsl,
            dear_barriers=software,
            dear_compiler=software,
            lazy_compiler=software,
        )


@dataclass(frozen=True)
class Limits:
    """The limits plans are checked against; sizes in bytes. `best_buffer` is no limit, but how much of the weights is
    best in one buffer, 0 where that is all the same."""

    max_buffer: int
    max_binding: int
    max_storage_buffers: int
    max_workgroup_invocations: int
    max_workgroup_memory: int
    max_grid: int
    best_buffer: int = 0


@dataclass(frozen=True)
class Shader:
    """WGSL source; the entry point is `main`."""

    label: str
    code: str


@dataclass(frozen=True)
class Pipeline:
    """A shader with values for its overrides."""

    shader: int
    constants: dict[str, float]


@dataclass(frozen=True)
class Step:
    """One dispatch with buffer handles: `bindings` are (number, buffer, offset, nbytes, access)."""

    label: str
    pipeline: int
    bindings: tuple[tuple[int, int, int, int, str], ...]
    grid: tuple[int, int, int]


@dataclass(frozen=True)
class Inputs:
    """The buffer that every run writes first."""

    buffer: int
    nbytes: int


@dataclass(frozen=True)
class OutputRange:
    """The range that every run reads back; nbytes may be 0."""

    buffer: int
    offset: int
    nbytes: int


@dataclass(frozen=True)
class Work:
    """An estimate of what a step computes in a run, in floating-point operations.

    That is `flat`, `token` for each of the run's tokens, and `key` for each token and each position that it attends
    to: those before it, at most `window`.
    """

    flat: float
    token: float = 0.0
    key: float = 0.0
    window: int = 0


@dataclass(frozen=True)
class Program:
    """A plan with real buffers, ready to be loaded by a device.

    Where there is `work`, an estimate for each step, a device cuts a run into parts (devices/pace.py) and answers
    `cancel` between them; the first two words of the inputs are then the position of the run's first token and the
    number of its tokens. Without it a run is done in one go.
    """

    name: str
    shaders: tuple[Shader, ...]
    pipelines: tuple[Pipeline, ...]
    steps: tuple[Step, ...]
    inputs: Inputs
    outputs: OutputRange
    work: tuple[Work, ...] = ()


@dataclass(frozen=True)
class Batch:
    """What replays in one go gave.

    Attributes:
        outputs: after the last replay.
        done: time.perf_counter() when the host learnt that the device was done.
        host_seconds: CPU time that the device's own code (JavaScript in the browser) spent on it.
    """

    outputs: bytes
    done: float
    host_seconds: float


class Later:
    """A batch that is worked out, or waited for, when it is awaited; one that nobody awaits is dropped in silence."""

    def __init__(self, land: Callable[[], Coroutine[Any, Any, Batch]]) -> None:
        self._land = land

    def __await__(self) -> Generator[Any, Any, Batch]:
        return self._land().__await__()


def flat(data: Bytes) -> NDArray[np.uint8]:
    """Any buffer as flat bytes, without a copy where it is contiguous."""
    if isinstance(data, np.ndarray):
        return np.ascontiguousarray(data).reshape(-1).view(np.uint8)
    return np.frombuffer(data, np.uint8)


class Processor(Protocol):
    """What holds buffers and replays programs.

    Attributes:
        threads: of the host that run a program, at most `traits.most_threads`; results do not depend on it. It may be
            set between runs where there are such threads.
    """

    adapter: AdapterInfo
    limits: Limits
    threads: int

    @property
    def traits(self) -> Traits:
        """What is to be done otherwise for it."""
        ...

    @property
    def memory(self) -> int | None:
        """Bytes that there are for all that lies on it, whoever has them now; None where nobody tells."""
        ...

    @property
    def rates(self) -> tuple[float, float] | None:
        """Operations that it is thought to do in a second, of attention and of all else; None for one whose steps may
        take as long as they like: nobody waits for it but the one who asked.
        """
        ...

    def buffer(self, nbytes: int, label: str) -> int:
        """Allocate a zeroed buffer. Raises OutOfMemory."""
        ...

    def free(self, buffer: int) -> None:
        """Release a buffer."""
        ...

    def write(self, buffer: int, offset: int, data: Bytes) -> None:
        """Copy host bytes into a buffer; offset and length are multiples of 4."""
        ...

    def map(self, buffer: int, file: int, nbytes: int) -> bool:
        """Have the beginning of a file lie in a buffer without being copied, as the system maps files.

        Args:
            buffer: what is written there later does not change the file.
            file: its descriptor, which may be closed afterwards; nobody may write to the file any more.
            nbytes: of the file, from its first byte on.

        Returns:
            False where that cannot be done: then nothing has changed.
        """
        ...

    async def read(self, buffer: int, offset: int, nbytes: int) -> bytes:
        """Copy a part of a buffer to the host."""
        ...

    async def load(self, program: Program) -> int:
        """Compile the pipelines and bind the buffers. Raises DeviceError with the compiler's message."""
        ...

    def unload(self, program: int) -> None:
        """Forget a program."""
        ...

    async def run(self, program: int, inputs: bytes, *, steps: int | None = None) -> bytes:
        """Write the inputs, replay the program, return its outputs.

        Args:
            inputs: exactly the program's input bytes.
            steps: replay only so many steps (for tracing).

        Raises:
            Cancelled: `cancel` was called.
            DeviceError: the device was lost or a step failed.
        """
        ...

    def submit(self, program: int, inputs: bytes | None, repeats: int) -> Awaitable[Batch]:
        """Replay a program several times in one go, without asking between: what a replay writes into the inputs
        and other buffers, the next one finds there.

        Args:
            inputs: written first; None goes on with what the device itself has left there.
            repeats: how often, at least once.

        Returns:
            What to await for the outputs: in the order of submission, or not at all. Two may be under way at once.

        Raises (here or when awaited):
            Cancelled: `cancel` was called before it began.
            DeviceError: the device was lost or a step failed.
        """
        ...

    def cancel(self) -> None:
        """Let the run in progress raise Cancelled before its next part."""
        ...

    async def finish(self) -> None:
        """Return when everything written so far has arrived."""
        ...

    def close(self) -> None:
        """Release everything."""
        ...


class Compiler(Protocol):
    """What compiles kernels beside whatever else goes on; for a device that compiles nothing, all is ready."""

    def prepare(self, shaders: Sequence[Shader], pipelines: Sequence[Pipeline]) -> None:
        """Begin to compile, beside whatever else goes on. What goes wrong is told by the `load` that needs it."""
        ...

    async def ready(self, shaders: Sequence[Shader], pipelines: Sequence[Pipeline], seconds: float) -> bool:
        """Whether these are compiled, after waiting so long for them at most. Those that nobody prepared begin now.
        What does not compile is ready too: `load` tells.
        """
        ...


class Timer(Protocol):
    """What tells how long steps take.

    Attributes:
        encode_seconds: what recording the latest commands took, for each replay of a program in them; None where
            nothing is recorded, or nobody knows.
    """

    encode_seconds: float | None

    async def profile(
        self, program: int, inputs: bytes, passes: Sequence[Sequence[int]]
    ) -> list[float] | None:
        """Seconds on the device's own clock, or None where it has no timestamp queries.

        Args:
            inputs: exactly the program's input bytes.
            passes: the steps to replay, by number and in this order; each sequence is timed as a whole. The time of
                a short one is mostly what beginning and ending a compute pass takes.
        """
        ...


class Device(Processor, Compiler, Timer, Protocol):
    """All that the engine asks of a processor."""
