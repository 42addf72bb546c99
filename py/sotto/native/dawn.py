"""WebGPU without a browser: the device of device.py on wgpu-py's API, with Dawn (PyPI `wgpudawn`) behind it.

Dawn is the WebGPU implementation inside Chrome, so the kernels compile and run here as they do there. As there, what
is experimental (subgroup matrices) has to be asked for: SOTTO_UNSAFE_APIS=1 in the environment is what
--enable-unsafe-webgpu is to Chrome. A wrong result on a driver is found at the first load; a driver that crashes takes
the program along, so that nobody gets this without a word.
"""

from __future__ import annotations

import functools
import os
import struct
import time
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import numpy as np

from ..device import AdapterInfo, Batch, Bytes, Later, Limits, Pipeline, Program, Shader, Step, Traits, flat
from ..devices.cancellation import Cancellation
from ..devices.pace import Amount, Pace, amounts
from ..errors import DeviceError, DeviceLost, OutOfMemory
from .memory import computer_memory
from .quiet import quiet

_LIMITS = {
    "max_buffer": "max-buffer-size",
    "max_binding": "max-storage-buffer-binding-size",
    "max_storage_buffers": "max-storage-buffers-per-shader-stage",
    "max_workgroup_invocations": "max-compute-invocations-per-workgroup",
    "max_workgroup_memory": "max-compute-workgroup-storage-size",
    "max_grid": "max-compute-workgroups-per-dimension",
}
_WANTED_LIMITS = (*_LIMITS.values(), "max-compute-workgroup-size-x")
_WANTED_FEATURES = ("timestamp-query", "shader-f16", "subgroups", "chromium-experimental-subgroup-matrix")
NO_ADAPTER_HINT = (
    "On Linux, install the GPU's Vulkan driver and the Vulkan loader (libvulkan1), or a driver that runs on the "
    "CPU: Mesa's lavapipe, version 25 or newer. On macOS and Windows, update the system."
)
_AGAIN = "Load the model again. If that does not help, update the GPU's driver, or use the CPU."
_SMALLER = "Close other programs, or choose a smaller model or a shorter context."
_REPORT = "Update the GPU's driver. If that does not help, please report this message."
_Key = tuple[str, tuple[tuple[str, float], ...]]  # what tells a pipeline from others: its text and constants
_LOOK_SECONDS = 0.002  # between two looks whether pipelines are compiled
_WRITE_AHEAD = 64 << 20  # bytes: Dawn copies what is written and keeps the copies until the next submit


@functools.cache
def _wgpu() -> Any:
    try:
        import wgpudawn  # noqa: PLC0415  (so that sotto imports where Dawn has no wheel)
        from wgpudawn.backends.dawn import extras  # noqa: PLC0415
    except ImportError as error:
        raise DeviceError(
            f"Dawn, the GPU library of the plain Python engine, cannot be imported ({error}).",
            "Install it with: pip install wgpudawn",
        ) from error
    toggles = ["vulkan_enable_f16_on_nvidia"]  # else shader-f16 is hidden there
    if os.environ.get("SOTTO_UNSAFE_APIS") == "1":
        toggles.append("allow_unsafe_apis")
    with suppress(RuntimeError):  # another part of the program has started Dawn its own way: let it be
        extras.set_instance_extras(
            enable_toggles=toggles,
            disable_toggles=["timestamp_quantization"],  # a web page's precaution; steps take microseconds
        )
    return wgpudawn


def version() -> str:
    """Dawn's release, and that of the package that carries it."""
    wgpu = _wgpu()
    return f"Dawn {wgpu.backends.dawn.__version__} (wgpudawn {wgpu.__version__})"


def _subgroup_matrices(adapter: Any) -> set[str]:
    """The shapes of an adapter's subgroup matrices, as AdapterInfo names them."""
    from wgpudawn.backends.dawn import extras  # noqa: PLC0415

    return {
        f"subgroup-matrix {c['component_type']} {c['result_component_type']} {c['m']}x{c['n']}x{c['k']}"
        for c in extras.get_adapter_properties(adapter).get("subgroup_matrix_configs", ())
    }


def _memory(adapter: Any) -> int | None:
    """Bytes of an adapter's memory, the computer's where it is a program; None where it does not tell."""
    if adapter.info["adapter_type"] == "CPU":
        return computer_memory()
    from wgpudawn.backends.dawn import extras  # noqa: PLC0415

    heaps = extras.get_adapter_properties(adapter).get("memory_heaps", ())
    return sum(heap["size"] for heap in heaps if "device-local" in heap["properties"]) or None


def _describe(adapter: Any) -> AdapterInfo:
    info = adapter.info
    features = {f for f in _WANTED_FEATURES if f in adapter.features}
    return AdapterInfo(
        name=info["device"] or info["description"],
        vendor=info["vendor"],
        architecture=info["architecture"],
        backend=info["backend_type"],
        driver=info["description"],
        software=info["adapter_type"] == "CPU",
        features=tuple(sorted(features | _subgroup_matrices(adapter))),
        runtime=version(),
    )


def _all_adapters() -> list[Any]:
    wgpu = _wgpu()
    with quiet():
        found = wgpu.gpu.enumerate_adapters_sync()
    adapters = [a for a in found if a.info["backend_type"] != "Null"]
    rank = {"DiscreteGPU": 0, "IntegratedGPU": 1, "CPU": 3}
    return sorted(adapters, key=lambda a: rank.get(a.info["adapter_type"], 2))


def adapters() -> list[AdapterInfo]:
    """The adapters Dawn finds, real GPUs first."""
    return [_describe(a) for a in _all_adapters()]


def _choose(wanted: str | None) -> Any:
    wanted = wanted or os.environ.get("SOTTO_ADAPTER") or ""
    found = _all_adapters()
    if not found:
        raise DeviceError("No GPU adapter was found.", NO_ADAPTER_HINT)
    if wanted.isdecimal() and int(wanted) < len(found):
        return found[int(wanted)]
    for adapter in found:
        info = _describe(adapter)
        if (
            wanted.lower()
            in f"{info.name} {info.vendor} {info.architecture} {info.backend} {info.driver}".lower()
        ):
            return adapter
    raise DeviceError(
        f"No adapter matches {wanted!r}.",
        "There are: " + "; ".join(f"{i} {_describe(a).name}" for i, a in enumerate(found)) + ".",
    )


def _key(shader: Shader, pipeline: Pipeline) -> _Key:
    return shader.code, tuple(sorted(pipeline.constants.items()))


def _described(shader: Shader, pipeline: Pipeline, module: Any) -> dict[str, Any]:
    compute = {"module": module, "entry_point": "main", "constants": pipeline.constants}
    return {"label": shader.label, "layout": "auto", "compute": compute}


class _Loaded:
    """A program as bound methods and their arguments, so that a replay does no lookups."""

    def __init__(
        self, program: Program, pipelines: list[Any], groups: list[Any], inputs: Any, staging: list[Any]
    ) -> None:
        self.program = program
        self.steps = [
            (pipelines[step.pipeline], group, *step.grid)
            for step, group in zip(program.steps, groups, strict=True)
        ]
        self.inputs = inputs
        self.staging = staging  # taken in turns: one for each of two batches in flight


def _record(compute: Any, steps: Sequence[tuple[Any, ...]]) -> None:
    """Record steps of a _Loaded into a compute pass."""
    set_pipeline, set_group = compute.set_pipeline, partial(compute.set_bind_group, 0)
    dispatch = compute.dispatch_workgroups
    bound = None
    for pipeline, group, x, y, z in steps:
        if pipeline is not bound:
            set_pipeline(pipeline)
            bound = pipeline
        set_group(group)
        dispatch(x, y, z)


class NativeDevice:
    """A Dawn device. Satisfies `device.Device`.

    Args:
        adapter: part of an adapter's name, or its number in `adapters()`; default SOTTO_ADAPTER, else the
            first real GPU, else the first adapter.

    Raises:
        DeviceError: no adapter, or Dawn refuses the device. Every method that asks the GPU for something raises it
            too, also when awaited: the GPU was lost, or it refuses what was asked for.
    """

    def __init__(self, adapter: str | None = None) -> None:
        self.encode_seconds: float | None = None
        self.threads = 0
        self._wgpu = _wgpu()
        chosen = _choose(adapter)
        self.adapter = _describe(chosen)
        self.memory = _memory(chosen)
        limits = {name: chosen.limits[name] for name in _WANTED_LIMITS}
        try:
            with quiet():
                self._device = chosen.request_device_sync(
                    required_features=[f for f in _WANTED_FEATURES if f in chosen.features],
                    required_limits=limits,
                )
        except Exception as error:
            raise DeviceError(f"{self.adapter.name} gave no device: {error}") from error
        self.limits = Limits(**{field: int(limits[name]) for field, name in _LIMITS.items()})
        self._queue = self._device.queue
        self._buffers: dict[int, Any] = {}
        self._programs: dict[int, _Loaded] = {}
        self._pipelines: dict[_Key, Any] = {}
        self._compiling: dict[_Key, Any] = {}  # promises
        self._next = 1
        self._cancellation = Cancellation()
        self._pace = Pace()
        self._free_since = 0.0  # when the latest part of a run was done
        self._written = 0  # bytes since the last submit

    @property
    def traits(self) -> Traits:
        return Traits.of(self.adapter)

    @property
    def rates(self) -> tuple[float, float]:
        return self._pace.rates

    @contextmanager
    def _for_people(self, what: str = "a command") -> Iterator[None]:
        """Turn an error of wgpu into the DeviceError of its kind; `what` is asked for. A device that was found to be
        lost takes everything without a word from then on: hence the looks before and after.
        """
        wgpu = self._wgpu
        try:
            self._check()
            yield
            self._check()
        except (
            wgpu.GPUError,
            wgpu.GPUPipelineError,
            RuntimeError,
        ) as error:  # RuntimeError: what a promise tells
            # Its frames refer to it and to bytes lent to Dawn; collecting such a ring can crash Python.
            traceback.clear_frames(error.__traceback__)
            with suppress(wgpu.GPUError):
                self._device._poll()  # where the device is lost, it is found here
            self._check()
            why = str(error).strip()
            if isinstance(error, wgpu.GPUOutOfMemoryError):
                raise OutOfMemory(f"The GPU has no memory for {what}: {why}", _SMALLER) from error
            raise DeviceError(f"The GPU refused {what}: {why}", _REPORT) from error

    def _check(self) -> None:
        """Raise DeviceLost when the device was found to be lost."""
        # wgpu-py can only wait for that without end, if at all: hence its insides.
        lost = self._device._lost_promise
        if lost._state != "pending":
            info = lost.sync_wait()
            why = f"{info.reason}: {info.message}".rstrip(".\n ")
            raise DeviceLost(f"The GPU was lost ({why}).", _AGAIN)

    def buffer(self, nbytes: int, label: str) -> int:
        usage = self._wgpu.BufferUsage
        with self._for_people(f"{label} ({nbytes / 2**20:,.1f} MiB)"):
            made = self._device.create_buffer(
                label=label,
                size=max(nbytes, 4),
                usage=usage.STORAGE | usage.UNIFORM | usage.COPY_SRC | usage.COPY_DST,
            )
        return self._keep(self._buffers, made)

    def _keep(self, table: dict[int, Any], value: Any) -> int:
        handle = self._next
        self._next += 1
        table[handle] = value
        return handle

    def free(self, buffer: int) -> None:
        self._buffers.pop(buffer).destroy()

    def write(self, buffer: int, offset: int, data: Bytes) -> None:
        source = flat(data)
        with self._for_people():
            self._queue.write_buffer(self._buffers[buffer], offset, source.data)
            self._written += source.nbytes
            if self._written >= _WRITE_AHEAD:
                self._queue.submit([])
                self._queue.on_submitted_work_done_sync()
                self._written = 0

    def map(self, buffer: int, file: int, nbytes: int) -> bool:
        return False

    async def read(self, buffer: int, offset: int, nbytes: int) -> bytes:
        with self._for_people():
            return bytes(self._queue.read_buffer(self._buffers[buffer], offset, nbytes))

    def prepare(self, shaders: Sequence[Shader], pipelines: Sequence[Pipeline]) -> None:
        modules: dict[int, Any] = {}
        for pipeline in pipelines:
            shader = shaders[pipeline.shader]
            key = _key(shader, pipeline)
            if key not in self._pipelines and key not in self._compiling:
                with suppress(Exception):  # a text that is no WGSL fails here already
                    if pipeline.shader not in modules:
                        modules[pipeline.shader] = self._module(shader)
                    self._compiling[key] = self._device.create_compute_pipeline_async(
                        **_described(shader, pipeline, modules[pipeline.shader])
                    )

    async def ready(self, shaders: Sequence[Shader], pipelines: Sequence[Pipeline], seconds: float) -> bool:
        self.prepare(shaders, pipelines)
        keys = [_key(shaders[pipeline.shader], pipeline) for pipeline in pipelines]
        until = time.perf_counter() + seconds
        while True:
            # wgpu-py can wait for one promise without end, but neither ask nor wait for a while: hence its insides.
            with self._for_people():
                self._device._poll()
            if not any(key in self._compiling and self._compiling[key]._state == "pending" for key in keys):
                return True
            left = until - time.perf_counter()
            if left <= 0:
                return False
            time.sleep(min(left, _LOOK_SECONDS))

    def _pipeline(self, shader: Shader, pipeline: Pipeline) -> Any:
        """A pipeline, compiled ahead or now. Raises DeviceError with the compiler's message."""
        key = _key(shader, pipeline)
        if key in self._compiling:
            with suppress(RuntimeError):  # compiled again below, where the message is better
                self._pipelines[key] = self._compiling.pop(key).sync_wait()
        if key not in self._pipelines:
            with self._for_people(f"the kernel {shader.label}"):
                described = _described(shader, pipeline, self._module(shader))
                self._pipelines[key] = self._device.create_compute_pipeline(**described)
        return self._pipelines[key]

    def _module(self, shader: Shader) -> Any:
        return self._device.create_shader_module(label=shader.label, code=shader.code)

    async def load(self, program: Program) -> int:
        self.prepare(program.shaders, program.pipelines)
        pipelines = [self._pipeline(program.shaders[p.shader], p) for p in program.pipelines]
        with self._for_people(program.name):
            groups = [self._bound(step, pipelines[step.pipeline]) for step in program.steps]
            usage = self._wgpu.BufferUsage
            staging = [
                self._device.create_buffer(
                    size=max(program.outputs.nbytes, 4), usage=usage.COPY_DST | usage.MAP_READ
                )
                for _ in range(2)
            ]
        loaded = _Loaded(program, pipelines, groups, self._buffers[program.inputs.buffer], staging)
        return self._keep(self._programs, loaded)

    def _bound(self, step: Step, pipeline: Any) -> Any:
        """A step's bind group."""
        entries = [
            {"binding": n, "resource": {"buffer": self._buffers[b], "offset": offset, "size": nbytes}}
            for n, b, offset, nbytes, _ in step.bindings
        ]
        layout = pipeline.get_bind_group_layout(0)
        return self._device.create_bind_group(label=step.label, layout=layout, entries=entries)

    def unload(self, program: int) -> None:
        for staging in self._programs.pop(program).staging:
            staging.destroy()

    async def run(self, program: int, inputs: bytes, *, steps: int | None = None) -> bytes:
        loaded = self._programs[program]
        plan = loaded.program
        number = self._cancellation.begin()
        todo = len(loaded.steps) if steps is None else steps
        with self._for_people():
            self._queue.write_buffer(loaded.inputs, 0, inputs)
            self._submit_parts(loaded, todo, amounts(plan.work, *struct.unpack_from("<2I", inputs)), number)
        return self._taken(loaded.staging[0], plan.outputs.nbytes)

    def submit(self, program: int, inputs: bytes | None, repeats: int) -> Later:
        loaded = self._programs[program]
        loaded.staging.reverse()
        with self._for_people():
            if inputs is not None:
                self._queue.write_buffer(loaded.inputs, 0, inputs)
            began = time.perf_counter()
            self._queue.submit([self._commands(loaded, 0, len(loaded.steps), repeats=repeats)])
        staging, nbytes = loaded.staging[0], loaded.program.outputs.nbytes
        host_seconds = time.perf_counter() - began

        async def land() -> Batch:
            """Does not wait for anything else: it blocks."""
            outputs = self._taken(staging, nbytes)
            return Batch(outputs, time.perf_counter(), host_seconds)

        return Later(land)

    def _taken(self, staging: Any, nbytes: int) -> bytes:
        """Wait for a copy of outputs."""
        if not nbytes:
            return b""
        with self._for_people():
            staging.map_sync(self._wgpu.MapMode.READ)
            data = bytes(staging.read_mapped(0, nbytes))
            staging.unmap()
        return data

    def _submit_parts(self, loaded: _Loaded, todo: int, work: list[Amount], number: int) -> None:
        """Submit the first `todo` steps of a run part by part, at most two in flight. Raises Cancelled."""
        first = 0
        in_flight: deque[tuple[Any, list[Amount], float]] = (
            deque()
        )  # done, the part's work, when it could begin at the earliest
        while first < todo:
            last = self._pace.end(work, first, todo) if work else todo
            self._queue.submit([self._commands(loaded, first, last, ends=last == todo)])
            done = self._queue.on_submitted_work_done_async()
            in_flight.append((done, work[first:last], time.perf_counter()))
            first = last
            if len(in_flight) > 1:
                done, part, began = in_flight.popleft()
                done.sync_wait()
                now = time.perf_counter()
                if work:
                    self._pace.learn(part, now - max(began, self._free_since))
                self._free_since = now
            self._cancellation.check(number)

    def _commands(
        self, loaded: _Loaded, first: int, last: int, *, ends: bool = True, repeats: int = 1
    ) -> Any:
        """Record steps first..last-1 so many times, and where a run ends with them the copy of its outputs."""
        began = time.perf_counter()
        encoder = self._device.create_command_encoder()
        compute = encoder.begin_compute_pass()
        _record(compute, loaded.steps[first:last] * repeats)
        compute.end()
        outputs = loaded.program.outputs
        if outputs.nbytes and ends:
            source = self._buffers[outputs.buffer]
            encoder.copy_buffer_to_buffer(source, outputs.offset, loaded.staging[0], 0, outputs.nbytes)
        commands = encoder.finish()
        self.encode_seconds = (time.perf_counter() - began) / repeats
        return commands

    async def profile(
        self, program: int, inputs: bytes, passes: Sequence[Sequence[int]]
    ) -> list[float] | None:
        if "timestamp-query" not in self.adapter.features:
            return None
        loaded = self._programs[program]
        batch = 2048  # a query set holds at most 4096 timestamps, two for each pass
        with self._for_people():
            self._queue.write_buffer(loaded.inputs, 0, inputs)
            parts = [self._timed(loaded, passes[n : n + batch]) for n in range(0, len(passes), batch)]
        return [seconds for part in parts for seconds in part]

    def _timed(self, loaded: _Loaded, passes: Sequence[Sequence[int]]) -> list[float]:
        """Seconds of so few passes that one query set holds their timestamps."""
        usage = self._wgpu.BufferUsage
        queries = self._device.create_query_set(type="timestamp", count=2 * len(passes))
        ticks = self._device.create_buffer(size=16 * len(passes), usage=usage.QUERY_RESOLVE | usage.COPY_SRC)
        for i, steps in enumerate(passes):  # a submit each: a system may take a long one for a hang
            stamps = {
                "query_set": queries,
                "beginning_of_pass_write_index": 2 * i,
                "end_of_pass_write_index": 2 * i + 1,
            }
            encoder = self._device.create_command_encoder()
            compute = encoder.begin_compute_pass(timestamp_writes=stamps)
            _record(compute, [loaded.steps[step] for step in steps])
            compute.end()
            self._queue.submit([encoder.finish()])
        encoder = self._device.create_command_encoder()
        encoder.resolve_query_set(queries, 0, 2 * len(passes), ticks, 0)
        self._queue.submit([encoder.finish()])
        nanoseconds = np.frombuffer(self._queue.read_buffer(ticks), np.uint64).reshape(-1, 2).astype(np.int64)
        seconds: list[float] = ((nanoseconds[:, 1] - nanoseconds[:, 0]) * 1e-9).tolist()
        return seconds

    def cancel(self) -> None:
        self._cancellation.cancel()

    async def finish(self) -> None:
        with self._for_people():
            self._queue.on_submitted_work_done_sync()

    def close(self) -> None:
        for loaded in self._programs.values():
            for staging in loaded.staging:
                staging.destroy()
        for buffer in self._buffers.values():
            buffer.destroy()
        self._programs.clear()
        self._buffers.clear()
        self._pipelines.clear()
        self._compiling.clear()
        self._device.destroy()
