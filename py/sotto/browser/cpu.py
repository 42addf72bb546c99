"""The CPU in a browser: the Machine of cpu.py on web/cpu.js, under Pyodide."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyodide.ffi import JsException

from ..device import Bytes
from ..devices.cpu import MAX_PAGES, MIN_PAGES, STACK_BYTES, CpuDevice
from ..errors import DeviceError, NoCpu, OutOfMemory
from ..paths import kernels_folder

_NEWER = "Take a newer browser, or one that gives a graphics processor."
_ERRORS = {
    "NoCpu": (NoCpu, "This browser cannot run the CPU's kernels ({}).", _NEWER),
    "OutOfCpuMemory": (
        OutOfMemory,
        "The browser has no memory for the model ({}).",
        "Close other tabs, or choose a smaller model or a shorter context.",
    ),
    "CpuFailed": (DeviceError, "A CPU kernel failed ({}).", "Load the model again; your text is kept."),
}


@contextmanager
def _for_people() -> Iterator[None]:
    """Turn a BridgeError of cpu.js into a DeviceError."""
    try:
        yield
    except JsException as error:
        if error.name not in _ERRORS:
            raise
        kind, message, hint = _ERRORS[error.name]
        raise kind(message.format(str(error.message).rstrip(".\n ")), hint) from error


class WebMachine:
    """The browser as a host of the kernels. Satisfies `cpu.Machine`.

    Attributes:
        cpu: the JavaScript object.
    """

    def __init__(self, cpu: Any, relaxed: bool) -> None:
        self.cpu = cpu
        self.name = "browser"
        self.relaxed = relaxed
        self.cores = int(cpu.cores)
        self.memory = int(cpu.computerMemory) or None
        self.heap = int(cpu.heap)
        self._call = cpu.call

    def grow(self, pages: int) -> None:
        with _for_people():
            self.cpu.grow(pages)

    def write(self, address: int, data: Bytes) -> None:
        self.cpu.write(address, 0, data)

    def map(self, address: int, file: int, nbytes: int) -> bool:
        return False

    def clear(self, address: int, nbytes: int) -> None:
        self.cpu.clear(address, nbytes)

    def read(self, address: int, nbytes: int) -> bytes:
        return bytes(self.cpu.read(address, nbytes).to_bytes())

    def call(self, function: str, *arguments: int) -> int:
        with _for_people():
            return int(self._call(function, *arguments))

    async def start(self, pool: int, stacks: int, threads: int) -> int:
        with _for_people():
            return int(await self.cpu.start(pool, stacks, STACK_BYTES, threads))

    async def breathe(self) -> None:
        await self.cpu.breathe()

    def close(self) -> None:
        self.cpu.close()


class WebCpu(CpuDevice):
    """The CPU of a browser."""

    machine: WebMachine

    @property
    def sink(self) -> Any:
        """The JavaScript object with `write` and `finish`, for the cache of converted weights."""
        return self.machine.cpu


async def open_cpu(module: Any, threads: int | None = None) -> WebCpu:
    """The CPU as this browser gives it.

    Args:
        module: the JavaScript module cpu.js.
        threads: how many to use; default: as many as there are cores.

    Raises:
        DeviceError: the browser lacks WebAssembly SIMD or threads' atomics, or has no memory.
    """
    build = str(module.build())
    if not build:
        raise NoCpu("This browser has no WebAssembly SIMD, which the CPU needs.", _NEWER)
    path = kernels_folder() / "cpu" / f"sotto-{build}.wasm"
    with _for_people():
        machine = WebMachine(await module.open(path.read_bytes(), MIN_PAGES, MAX_PAGES), build == "relaxed")
    return await WebCpu.open(machine, threads)
