"""Every kernel in numpy, under the kernel's own name, and a device that replays plans with them.

This is the truth the GPU is held against: the same recorded plan, the same weights in the same layout, no GPU.
Each function takes the kernel's bindings by name, its constants, and the run's position and token count; it
writes to its outputs in place, and like the kernel leaves tokens past the count alone.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...device import AdapterInfo, Batch, Bytes, Later, Limits, Pipeline, Program, Shader, Traits, flat
from ...errors import OutOfMemory
from ...plan import wgsl
from ...weights import layout
from ..cancellation import Cancellation
from .call import Call, Floats
from .kernels import KERNELS


class NumpyDevice:
    """Replays programs with the functions above. Satisfies `device.Device`.

    Dequantised weights are kept as float32 between runs: a reference, not a way to save memory.
    """

    def __init__(self) -> None:
        self.adapter = AdapterInfo("numpy", "numpy", "reference", "cpu", np.__version__, True, ())
        self.threads = 0
        self.encode_seconds: float | None = None
        self.memory: int | None = None
        self.limits = Limits(1 << 40, 1 << 40, 64, 1 << 16, 1 << 30, 1 << 30)
        self._buffers: dict[int, NDArray[np.uint8]] = {}
        self._programs: dict[int, Program] = {}
        self._matrices: dict[tuple[int, int, int, int], Floats] = {}  # by buffer, offset, rows, columns
        self._next = 1
        self._cancellation = Cancellation()

    @property
    def traits(self) -> Traits:
        return Traits.of(self.adapter)

    @property
    def rates(self) -> tuple[float, float] | None:
        return None

    def buffer(self, nbytes: int, label: str) -> int:
        try:
            made = np.zeros(-(-nbytes // 16) * 16, np.uint8)
        except MemoryError as error:
            raise OutOfMemory(f"No memory for {label} ({nbytes / 2**20:,.1f} MiB).") from error
        return self._keep(self._buffers, made)

    def _keep(self, table: dict[int, Any], value: Any) -> int:
        handle = self._next
        self._next += 1
        table[handle] = value
        return handle

    def free(self, buffer: int) -> None:
        del self._buffers[buffer]
        self._forget(buffer)

    def _forget(self, buffer: int) -> None:
        for key in [k for k in self._matrices if k[0] == buffer]:
            del self._matrices[key]

    def write(self, buffer: int, offset: int, data: Bytes) -> None:
        source = flat(data)
        self._buffers[buffer][offset : offset + source.size] = source
        self._forget(buffer)

    def map(self, buffer: int, file: int, nbytes: int) -> bool:
        return False

    async def read(self, buffer: int, offset: int, nbytes: int) -> bytes:
        return self._buffers[buffer][offset : offset + nbytes].tobytes()

    def prepare(self, shaders: Sequence[Shader], pipelines: Sequence[Pipeline]) -> None:
        """Nothing is compiled."""

    async def ready(self, shaders: Sequence[Shader], pipelines: Sequence[Pipeline], seconds: float) -> bool:
        return True

    async def load(self, program: Program) -> int:
        return self._keep(self._programs, program)

    def unload(self, program: int) -> None:
        del self._programs[program]

    async def run(self, program: int, inputs: bytes, *, steps: int | None = None) -> bytes:
        loaded = self._programs[program]
        self.write(loaded.inputs.buffer, 0, inputs)
        return self._replayed(loaded, 0, len(loaded.steps) if steps is None else steps)

    def submit(self, program: int, inputs: bytes | None, repeats: int) -> Awaitable[Batch]:
        loaded = self._programs[program]

        async def replays() -> Batch:
            if inputs is not None:
                self.write(loaded.inputs.buffer, 0, inputs)
            for _ in range(repeats):
                outputs = self._replayed(loaded, 0, len(loaded.steps))
            return Batch(outputs, time.perf_counter(), 0.0)

        return Later(replays)

    def _replayed(self, loaded: Program, first: int, last: int) -> bytes:
        """Do the steps from `first` up to `last`; what is in the outputs then."""
        position, count = self._buffers[loaded.inputs.buffer][:8].view(np.uint32).tolist()
        number = self._cancellation.begin()
        for step in loaded.steps[first:last]:
            self._cancellation.check(number)
            pipeline = loaded.pipelines[step.pipeline]
            kernel = wgsl.named(loaded.shaders[pipeline.shader].label)
            names = kernel.names
            raw = {names[n]: self._buffers[b][at : at + size] for n, b, at, size, _ in step.bindings}
            planes = {names[n]: (b, at) for n, b, at, _, _ in step.bindings}
            if "step" in raw:
                position, count = raw["step"][:8].view(np.uint32).tolist()

            def dequantized(
                rows: int, columns: int, raw: Any = raw, planes: Any = planes, form: str = kernel.format
            ) -> Floats:
                key = (*planes["weights"], rows, columns)
                if key not in self._matrices:
                    scales = raw.get("scales", np.empty(0, np.uint8))
                    self._matrices[key] = layout.dequantize(
                        layout.FORMATS[form], raw["weights"], scales, rows, columns
                    )
                return self._matrices[key]

            element = kernel.options.get("element", "f32")
            call = Call(
                raw, pipeline.constants, kernel.format, step.grid, position, count, dequantized, element
            )
            with np.errstate(over="ignore", invalid="ignore"):  # the choice of a token tells
                KERNELS[kernel.operation](call)
        out = loaded.outputs
        return self._buffers[out.buffer][out.offset : out.offset + out.nbytes].tobytes()

    async def profile(
        self, program: int, inputs: bytes, passes: Sequence[Sequence[int]]
    ) -> list[float] | None:
        return None

    def cancel(self) -> None:
        self._cancellation.cancel()

    async def finish(self) -> None:
        """Everything is always done."""

    def close(self) -> None:
        self._buffers.clear()
        self._programs.clear()
        self._matrices.clear()
