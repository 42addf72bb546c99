"""The browser's side of the engine under Pyodide: WebGPU, IndexedDB and HTTP ranges as Protocols.

The JavaScript modules bridge.js and store.js do the work; the page hands them over as module objects. What
crosses is numbers, bytes and JSON. Bytes go to JavaScript as a view of Python's memory and come back with one
copy. A batch of tokens is two calls into JavaScript: `WebDevice.submit`, and the copy of what it gave.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

from pyodide.ffi import JsException, create_proxy

from . import compiled
from .cpu import CpuDevice
from .device import (
    AdapterInfo,
    Batch,
    Bytes,
    Device,
    Limits,
    Manifest,
    Pipeline,
    Placement,
    Program,
    Record,
    Shader,
)
from .errors import (
    Cancelled,
    DeviceError,
    FormatError,
    LimitError,
    OutOfMemory,
    SottoError,
    StoreDamaged,
    StoreFull,
)
from .layout import LAYOUT_VERSION
from .webcpu import WebMachine

_BROWSERS = (
    "Use Chrome or Edge 113 or newer, Safari 26 or newer, or Firefox 141 or newer, on a computer or phone "
    "with a GPU; where the browser is new enough, its hardware acceleration may be switched off."
)

_TOLD = struct.Struct("<2d")  # what bridge.js appends to a batch's outputs: done, host_seconds

Told = Callable[[str, str], SottoError]

# What each kind of BridgeError means to a person: made of the thing it is about and of JavaScript's message.
_ERRORS: dict[str, Told] = {
    "NoWebGPU": lambda what, why: DeviceError(f"This browser has no WebGPU here ({why}).", _BROWSERS),
    "NoAdapter": lambda what, why: DeviceError(f"The browser gives no access to a GPU ({why}).", _BROWSERS),
    "Limit": lambda what, why: LimitError(
        f"The model is too large for this GPU: {why}.", "Choose a smaller model or a shorter context."
    ),
    "OutOfMemory": lambda what, why: OutOfMemory(
        f"The GPU ran out of memory ({why}).",
        "Close other tabs, or choose a smaller model or a shorter context.",
    ),
    "Compile": lambda what, why: DeviceError(
        f"The GPU driver refused a kernel: {why}", "Update the browser and the graphics driver."
    ),
    "Invalid": lambda what, why: DeviceError(
        f"The GPU refused a command: {why}", "This is a mistake in Sotto: please report it with this message."
    ),
    "DeviceLost": lambda what, why: DeviceError(
        f"The GPU was lost ({why}).", "Load the model again; your text is kept."
    ),
    "Cancelled": lambda what, why: Cancelled(),
    "StoreUnavailable": lambda what, why: StoreFull(
        f"The browser did not keep the converted weights ({why}).",
        "The model still runs, but the next visit converts it again.",
    ),
    "StoreFull": lambda what, why: StoreFull(
        f"The browser's storage has no room for the converted weights ({why}).",
        "The model still runs, but the next visit converts it again; free disk space to avoid that.",
    ),
    "StoreDamaged": lambda what, why: StoreDamaged(
        f"The cached weights cannot be used: {why}.",
        "They were dropped and are made again from the model file.",
    ),
    "NoRange": lambda what, why: SottoError(
        f"{what} cannot be read in parts: {why}.", "Serve it with a server that supports HTTP Range."
    ),
    "HttpStatus": lambda what, why: SottoError(
        f"{what} cannot be read: {why}.", "Check its address, then try again."
    ),
    "Network": lambda what, why: SottoError(
        f"{what} cannot be read: the connection failed ({why}).", "Check the network, then try again."
    ),
}


@contextmanager
def _for_people(what: str = "The model") -> Iterator[None]:
    """Turn a JavaScript error into the SottoError of its kind; `what` names the file it is about."""
    try:
        yield
    except JsException as error:
        told = _ERRORS.get(error.name)
        if told is None:
            raise
        raise told(what, str(error.message).rstrip(".\n ")) from error


class _Flight:
    """A batch under way."""

    def __init__(self, promise: Any) -> None:
        self._promise = promise

    async def _land(self) -> Batch:
        with _for_people():
            told: bytes = (await self._promise).to_bytes()
        return Batch(told[: -_TOLD.size], *_TOLD.unpack(told[-_TOLD.size :]))

    def __await__(self) -> Generator[Any, Any, Batch]:
        return self._land().__await__()


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
        with _for_people():
            return cls(await bridge.open(power, fallback))

    def buffer(self, nbytes: int, label: str) -> int:
        with _for_people():
            return int(self.gpu.createBuffer(nbytes, label))

    def free(self, buffer: int) -> None:
        self.gpu.free(buffer)

    def write(self, buffer: int, offset: int, data: Bytes) -> None:
        with _for_people():
            self.gpu.write(buffer, offset, data)

    async def read(self, buffer: int, offset: int, nbytes: int) -> bytes:
        with _for_people():
            return bytes((await self.gpu.read(buffer, offset, nbytes)).to_bytes())

    def prepare(self, shaders: Sequence[Shader], pipelines: Sequence[Pipeline]) -> None:
        with _for_people():
            self.gpu.prepare(_wanted(shaders, pipelines))

    async def ready(self, shaders: Sequence[Shader], pipelines: Sequence[Pipeline], seconds: float) -> bool:
        with _for_people():
            return bool(await self.gpu.ready(_wanted(shaders, pipelines), 1000 * max(seconds, 0.0)))

    async def load(self, program: Program) -> int:
        with _for_people():
            return int(await self.gpu.load(program.to_json()))

    def unload(self, program: int) -> None:
        self.gpu.unload(program)

    async def run(self, program: int, inputs: bytes, *, steps: int | None = None) -> bytes:
        with _for_people():
            outputs = await self._run(program, inputs, -1 if steps is None else steps)
            return bytes(outputs.to_bytes())

    def longest_steps(self, program: int, position: int, tokens: int) -> tuple[float, float]:
        attention, others = self.gpu.longestSteps(program, position, tokens)
        return float(attention), float(others)

    def submit(self, program: int, inputs: bytes | None, repeats: int) -> _Flight:
        return _Flight(self._submit(program, inputs, repeats))

    async def profile(
        self, program: int, inputs: bytes, passes: Sequence[Sequence[int]]
    ) -> list[float] | None:
        with _for_people():
            seconds = await self.gpu.profile(program, inputs, json.dumps([list(steps) for steps in passes]))
            return None if seconds is None else list(seconds.to_py())

    def cancel(self) -> None:
        self.gpu.cancel()

    async def finish(self) -> None:
        with _for_people():
            await self.gpu.finish()

    def close(self) -> None:
        self.gpu.close()


def _wanted(shaders: Sequence[Shader], pipelines: Sequence[Pipeline]) -> str:
    """What is to be compiled, as bridge.js reads it."""
    return json.dumps({"shaders": [asdict(s) for s in shaders], "pipelines": [asdict(p) for p in pipelines]})


class WebWriter:
    """A `Writer` into IndexedDB."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    async def append(self, data: Bytes) -> None:
        with _for_people():
            await self._writer.append(data)

    async def commit(self) -> None:
        with _for_people():
            await self._writer.commit()

    async def abort(self) -> None:
        with _for_people():
            await self._writer.abort()


def _sink(device: Device) -> Any:
    """The JavaScript object with `write` and `finish` that is behind a device."""
    if isinstance(device, WebDevice):
        return device.gpu
    if isinstance(device, CpuDevice) and isinstance(device.machine, WebMachine):
        return device.machine.cpu
    raise TypeError("the browser's cache fills the browser's devices only")


class WebStore:
    """A `Store` in IndexedDB."""

    def __init__(self, store: Any) -> None:
        self._store = store

    @classmethod
    async def open(cls, module: Any) -> WebStore | None:
        """Open the cache; None where the browser keeps no data (the engine then runs without one).

        Args:
            module: the JavaScript module store.js.
        """
        try:
            with _for_people():
                return cls(await module.open(compiled.path().read_bytes()))
        except StoreFull:
            return None

    async def find(self, key: str) -> Manifest | None:
        try:
            with _for_people():
                found = await self._store.find(key, LAYOUT_VERSION)
        except StoreFull:  # storage that cannot be read holds nothing
            return None
        if found is None:
            return None
        fields = json.loads(found)
        records = tuple(Record(**record) for record in fields.pop("records"))
        return Manifest(**fields, records=records)

    async def begin(self, manifest: Manifest) -> WebWriter:
        with _for_people():
            return WebWriter(await self._store.begin(json.dumps(asdict(manifest))))

    async def head(self, manifest: Manifest, nbytes: int) -> bytes:
        with _for_people():
            return bytes((await self._store.head(json.dumps(asdict(manifest)), nbytes)).to_bytes())

    async def fill(
        self,
        manifest: Manifest,
        placements: Sequence[Placement],
        device: Device,
        progress: Callable[[int], None],
    ) -> None:
        sink = _sink(device)
        where = [(p.image_offset, p.nbytes, p.buffer, p.buffer_offset) for p in placements]
        report = create_proxy(progress)
        try:
            with _for_people():
                await self._store.fill(json.dumps(asdict(manifest)), json.dumps(where), sink, report)
        finally:
            report.destroy()

    async def drop(self, key: str) -> None:
        with _for_people():
            await self._store.drop(key)

    async def find_note(self, key: str) -> str | None:
        try:
            with _for_people():
                found = await self._store.findNote(key)
        except StoreFull:
            return None
        return None if found is None else str(found)

    async def keep_note(self, key: str, text: str) -> None:
        with suppress(StoreFull), _for_people():
            await self._store.keepNote(key, text)

    async def hold(self, name: str) -> Callable[[], None] | None:
        release: Callable[[], None] | None = await self._store.hold(name)
        return release

    async def room(self) -> tuple[int, int]:
        """Bytes this site uses and bytes it may use."""
        with _for_people():
            room = await self._store.room()
            return int(room.usage), int(room.quota)


class WebSource:
    """A `Source` that reads a model file over HTTP by ranges.

    Args:
        module: the JavaScript module store.js.
        url: address of the file.
        name: what a person calls the file.
        size: bytes in the file.
        key: identity of its content, for the cache: its sha256, or size and ETag where that is not known.
    """

    def __init__(self, module: Any, url: str, name: str, size: int, key: str) -> None:
        self._module = module
        self._url = url
        self._tag: str | None = None
        self._expected: dict[tuple[int, int], Any] = {}
        self.name = name
        self.size = size
        self.key = key

    async def read(self, offset: int, nbytes: int) -> bytes:
        if offset + nbytes > self.size:
            raise FormatError(
                f"{self.name} ends at byte {self.size:,}, but {offset + nbytes:,} bytes are needed.",
                "The file is incomplete: download it again.",
            )
        with _for_people(self.name):
            reply = await (self._expected.pop((offset, nbytes), None) or self._begin(offset, nbytes))
        if int(reply.size) != self.size or (self._tag or reply.tag) != reply.tag:
            raise SottoError(f"{self.name} changed on the server while it was read.", "Load the model again.")
        self._tag = reply.tag
        return bytes(reply.bytes.to_bytes())

    def expect(self, offset: int, nbytes: int) -> None:
        self._expected[offset, nbytes] = self._begin(offset, nbytes)

    def _begin(self, offset: int, nbytes: int) -> Any:
        """The JavaScript promise of a range."""
        return self._module.fetchRange(self._url, offset, nbytes)

    def close(self) -> None:
        self._expected.clear()
