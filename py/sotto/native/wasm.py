"""WebAssembly without a browser: the Machine of cpu.py on wasmtime (PyPI `wasmtime`).

Every thread has an instance of its own on one shared memory. A call from Python into wasmtime lets other Python
threads run, so the workers are plain Python threads that sit inside `work`.
"""

from __future__ import annotations

import ctypes
import json
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..assets import default_cache
from ..device import Bytes, flat
from ..devices.cpu import MAX_PAGES, MIN_PAGES, STACK_BYTES, CpuDevice
from ..devices.heap import PAGE
from ..errors import DeviceError, OutOfMemory
from ..paths import kernels_folder
from .mapping import map_file
from .memory import computer_memory

# (module (memory (export "memory") MIN_PAGES MAX_PAGES shared)). wasmtime-py 50 cannot pass a SharedMemory that
# Python made into an instance, but it links one that another instance exports.
_MEMORY_MODULE = bytes((
    0, *b"asm", 1, 0, 0, 0,
    5, 6, 1, 3, MIN_PAGES, MAX_PAGES & 0x7F | 0x80, MAX_PAGES >> 7 & 0x7F | 0x80, MAX_PAGES >> 14,
    7, 10, 1, 6, *b"memory", 2, 0,
))  # fmt: skip


def _wasmtime() -> Any:
    try:
        import wasmtime  # noqa: PLC0415  (so that sotto imports where it has no wheel)
    except ImportError as error:
        raise DeviceError(
            f"wasmtime, which runs the CPU kernels in plain Python, cannot be imported ({error}).",
            "Install it with: pip install wasmtime",
        ) from error
    return wasmtime


def _keep_compiled(folder: Path, config: Any, error: type[Exception]) -> None:
    """Have wasmtime keep what it compiled below a folder; it finds it by the module, its own version and its settings.

    Where the folder cannot be written, nothing is kept. What is read there is run: it is the person's own folder.
    """
    path = folder / "wasmtime.toml"
    text = f"[cache]\ndirectory = {json.dumps(str(folder))}\n"
    with suppress(OSError, error):
        folder.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text("utf-8") != text:
            unfinished = path.with_suffix(f".{os.getpid()}")
            unfinished.write_text(text, "utf-8")
            unfinished.replace(path)
        config.cache = str(path)


class WasmtimeMachine:
    """One module on one shared memory. Satisfies `cpu.Machine`.

    Args:
        relaxed: use relaxed SIMD; the other build gives the same results, more slowly.
    """

    def __init__(self, relaxed: bool = True) -> None:
        self._wasmtime = w = _wasmtime()
        self.name = f"wasmtime {getattr(w, '__version__', '')}".strip()
        self.relaxed = relaxed
        self.cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.memory = computer_memory()
        config = w.Config()
        config.wasm_threads = True
        config.shared_memory = True
        config.wasm_relaxed_simd = relaxed
        _keep_compiled(default_cache().absolute() / "compiled", config, w.WasmtimeError)
        self._engine = w.Engine(config)
        path = kernels_folder() / "cpu" / f"sotto-{'relaxed' if relaxed else 'simd'}.wasm"
        try:
            self._module = w.Module.from_file(self._engine, str(path))
            self._owner = w.Store(self._engine)
            owner = w.Instance(self._owner, w.Module(self._engine, _MEMORY_MODULE), [])
        except w.WasmtimeError as error:
            raise DeviceError(f"The CPU kernels cannot be loaded: {error}") from error
        self._memory = owner.exports(self._owner)["memory"]
        self._linker = w.Linker(self._engine)
        self._linker.define_instance(self._owner, "env", owner)
        self._pages = MIN_PAGES
        self._store, self._exports = self._instance()
        self.heap = int(self._exports["__heap_base"].value(self._store))
        self._workers: list[threading.Thread] = []

    def _instance(self) -> tuple[Any, Any]:
        store = self._wasmtime.Store(self._engine)
        return store, self._linker.instantiate(store, self._module).exports(store)

    def _base(self) -> int:
        return ctypes.cast(self._memory.data_ptr(), ctypes.c_void_p).value or 0

    def grow(self, pages: int) -> None:
        if pages > self._pages:
            try:
                self._memory.grow(pages - self._pages)
            except self._wasmtime.WasmtimeError as error:
                raise OutOfMemory(
                    f"No memory: {pages * PAGE / 2**20:,.0f} MiB are needed ({error})."
                ) from error
            self._pages = pages

    def write(self, address: int, data: Bytes) -> None:
        source = flat(data)
        assert address + source.size <= self._pages * PAGE
        ctypes.memmove(self._base() + address, source.ctypes.data, source.size)

    def map(self, address: int, file: int, nbytes: int) -> bool:
        assert address + nbytes <= self._pages * PAGE
        return map_file(self._base() + address, file, nbytes)

    def clear(self, address: int, nbytes: int) -> None:
        assert address + nbytes <= self._pages * PAGE
        ctypes.memset(self._base() + address, 0, nbytes)

    def read(self, address: int, nbytes: int) -> bytes:
        assert address + nbytes <= self._pages * PAGE
        return ctypes.string_at(self._base() + address, nbytes)

    def call(self, function: str, *arguments: int) -> int:
        try:
            return int(self._exports[function](self._store, *arguments) or 0)
        except (self._wasmtime.Trap, self._wasmtime.WasmtimeError) as error:
            raise DeviceError(f"A CPU kernel failed: {error}") from error

    async def start(self, pool: int, stacks: int, threads: int) -> int:
        self._exports["__stack_pointer"].set_value(self._store, stacks + STACK_BYTES)
        for thread in range(1, threads):
            store, exports = self._instance()
            exports["__stack_pointer"].set_value(store, stacks + (thread + 1) * STACK_BYTES)
            worker = threading.Thread(
                target=exports["work"], args=(store, pool, thread, 0), name=f"sotto cpu {thread}", daemon=True
            )
            worker.start()
            self._workers.append(worker)
        return threads

    async def breathe(self) -> None:
        """Another Python thread may have called `cancel`; there is nothing to wait for."""

    def close(self) -> None:
        for worker in self._workers:
            worker.join()
        self._workers.clear()


async def open_cpu(threads: int | None = None, *, relaxed: bool = True) -> CpuDevice:
    """The CPU of this machine under plain Python. Raises DeviceError."""
    return await CpuDevice.open(WasmtimeMachine(relaxed), threads)
