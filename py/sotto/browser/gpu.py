"""The browser's side of the engine under Pyodide: WebGPU, IndexedDB and HTTP ranges as Protocols.

The JavaScript modules bridge.js, store.js and ranges.js do the work; the page hands them over as module objects. What
crosses is numbers, bytes and JSON. Bytes go to JavaScript as a view of Python's memory and come back with one
copy. A batch of tokens is two calls into JavaScript: `WebDevice.submit`, and the copy of what it gave.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ..device import AdapterInfo, Batch, Bytes, Later, Limits, Pipeline, Program, Shader, Traits
from .errors import for_people

_TOLD = struct.Struct("<2d")  # what bridge.js appends to a batch's outputs: done, host_seconds


async def adapters(bridge: Any) -> dict[str, str]:
    """The GPUs this browser tells apart: their names by how to ask for them, "", "low-power" or "fallback".

    Args:
        bridge: the JavaScript module bridge.js.
    """
    return dict(json.loads(str(await bridge.adapters())))


class WebDevice:
    """A `Device` on the browser's WebGPU."""

    def __init__(self, gpu: Any) -> None:
        self.gpu = gpu
        self._run = gpu.run
        self._submit = gpu.submit
        info = gpu.info.to_py()
        self.threads = 0
        self.encode_seconds: float | None = None
        limits = info["limits"]
        name = info["description"] or info["model"] or info["architecture"] or info["vendor"]
        self.adapter = AdapterInfo(
            name=name,
            vendor=info["vendor"],
            architecture=info["architecture"],
            backend="webgpu",
            driver="",
            software=info["fallback"] or info["architecture"] == "swiftshader",
            features=tuple(info["features"]),
            runtime=info["browser"],
        )
        self.limits = Limits(
            max_buffer=limits["maxBufferSize"],
            max_binding=limits["maxStorageBufferBindingSize"],
            max_storage_buffers=limits["maxStorageBuffersPerShaderStage"],
            max_workgroup_invocations=limits["maxComputeInvocationsPerWorkgroup"],
            max_workgroup_memory=limits["maxComputeWorkgroupStorageSize"],
            max_grid=limits["maxComputeWorkgroupsPerDimension"],
        )

    @classmethod
    async def open(cls, bridge: Any, *, power: str = "high-performance", fallback: bool = False) -> WebDevice:
        """Open the GPU.

        Args:
            bridge: the JavaScript module bridge.js.
            power: "high-performance" or "low-power".
            fallback: ask for the adapter that runs on the CPU.

        Raises:
            DeviceError: the browser has no WebGPU, or no adapter.
        """
        with for_people():
            return cls(await bridge.open(power, fallback))

    @property
    def sink(self) -> Any:
        """The JavaScript object with `write` and `finish`, for the cache of converted weights."""
        return self.gpu

    @property
    def traits(self) -> Traits:
        return Traits.of(self.adapter)

    @property
    def memory(self) -> None:
        """Browsers do not tell."""

    @property
    def rates(self) -> tuple[float, float]:
        attention, others = self.gpu.pace.rates
        return float(attention), float(others)

    def buffer(self, nbytes: int, label: str) -> int:
        with for_people():
            return int(self.gpu.createBuffer(nbytes, label))

    def free(self, buffer: int) -> None:
        self.gpu.free(buffer)

    def write(self, buffer: int, offset: int, data: Bytes) -> None:
        with for_people():
            self.gpu.write(buffer, offset, data)

    def map(self, buffer: int, file: int, nbytes: int) -> bool:
        return False

    async def read(self, buffer: int, offset: int, nbytes: int) -> bytes:
        with for_people():
            return bytes((await self.gpu.read(buffer, offset, nbytes)).to_bytes())

    def prepare(self, shaders: Sequence[Shader], pipelines: Sequence[Pipeline]) -> None:
        with for_people():
            self.gpu.prepare(_wanted(shaders, pipelines))

    async def ready(self, shaders: Sequence[Shader], pipelines: Sequence[Pipeline], seconds: float) -> bool:
        with for_people():
            return bool(await self.gpu.ready(_wanted(shaders, pipelines), 1000 * max(seconds, 0.0)))

    async def load(self, program: Program) -> int:
        with for_people():
            return int(await self.gpu.load(to_json(program)))

    def unload(self, program: int) -> None:
        self.gpu.unload(program)

    async def run(self, program: int, inputs: bytes, *, steps: int | None = None) -> bytes:
        with for_people():
            outputs = await self._run(program, inputs, -1 if steps is None else steps)
            return bytes(outputs.to_bytes())

    def submit(self, program: int, inputs: bytes | None, repeats: int) -> Later:
        promise = self._submit(program, inputs, repeats)

        async def land() -> Batch:
            with for_people():
                told: bytes = (await promise).to_bytes()
            return Batch(told[: -_TOLD.size], *_TOLD.unpack(told[-_TOLD.size :]))

        return Later(land)

    async def profile(
        self, program: int, inputs: bytes, passes: Sequence[Sequence[int]]
    ) -> list[float] | None:
        with for_people():
            seconds = await self.gpu.profile(program, inputs, json.dumps([list(steps) for steps in passes]))
            return None if seconds is None else list(seconds.to_py())

    def cancel(self) -> None:
        self.gpu.cancel()

    async def finish(self) -> None:
        with for_people():
            await self.gpu.finish()

    def close(self) -> None:
        self.gpu.close()


def to_json(program: Program) -> str:
    """A program as bridge.js reads it."""
    return json.dumps(asdict(program))


def _wanted(shaders: Sequence[Shader], pipelines: Sequence[Pipeline]) -> str:
    """What is to be compiled, as bridge.js reads it."""
    return json.dumps({"shaders": [asdict(s) for s in shaders], "pipelines": [asdict(p) for p in pipelines]})
