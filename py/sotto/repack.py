"""The layout's conversion as compiled code: `layout.convert`, byte for byte and many times as fast.

kernels/convert/convert.wasm is a WebAssembly shared library made of convert.c. Under Pyodide it is linked to the
interpreter as any extension module is, so that it works on numpy's own memory; in plain Python it runs on wasmtime
with a memory of its own. Where neither can be had, numpy converts.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import layout, quant, wgsl
from .layout import Plane

Convert = Callable[[str, Plane, int, int], tuple[Plane, Plane]]

TYPES = ("Q4_0", "Q4_K", "Q5_0", "Q8_0", "Q6_K", "F16", "BF16", "F32")  # `enum type` of convert.c
_PAGE = 65536
_STATICS = 1024  # address of the library's constants in a memory of its own, and room enough for them
_START = 4096


def path() -> Path:
    """The compiled library."""
    return wgsl.kernels_folder() / "convert" / "convert.wasm"


def converter() -> Convert:
    """The fastest `layout.convert` there is here. The planes that it returns are valid until its next call."""
    try:
        return linked() if sys.platform == "emscripten" else hosted()
    except (ImportError, OSError):  # no wasmtime, or a browser without SIMD
        return layout.convert


def linked() -> Convert:
    """The library linked to Python itself, itself WebAssembly. Raises OSError."""
    call = ctypes.CDLL(str(path())).convert
    call.argtypes = [
        ctypes.c_uint,
        ctypes.c_void_p,
        ctypes.c_uint,
        ctypes.c_uint,
        ctypes.c_void_p,
        ctypes.c_void_p,
    ]
    call.restype = None

    def convert(type_name: str, data: Plane, rows: int, columns: int) -> tuple[Plane, Plane]:
        sizes = _sizes(type_name, data, rows, columns)
        weights, scales = (np.empty(nbytes, np.uint8) for nbytes in sizes)
        source = np.ascontiguousarray(data)
        kind = TYPES.index(type_name)
        call(kind, source.ctypes.data, rows, columns, weights.ctypes.data, scales.ctypes.data)
        return weights, scales

    return convert


def hosted() -> Convert:
    """The library on wasmtime. Raises ImportError, and OSError where it cannot be compiled."""
    import wasmtime as w  # noqa: PLC0415  (so that sotto imports where it has no wheel)

    try:
        engine = w.Engine()
        store = w.Store(engine)
        memory = w.Memory(store, w.MemoryType(w.Limits(1, None)))
        module = w.Module.from_file(engine, str(path()))
    except w.WasmtimeError as error:
        raise OSError(str(error)) from error
    fixed = w.GlobalType(w.ValType.i32(), False)
    bases = [
        w.Global(store, fixed, w.Val.i32(address)) for address in (_STATICS, 0)
    ]  # of memory and of the table
    call: Any = w.Instance(store, module, [memory, *bases]).exports(store)["convert"]

    def convert(type_name: str, data: Plane, rows: int, columns: int) -> tuple[Plane, Plane]:
        weight_bytes, scale_bytes = _sizes(type_name, data, rows, columns)
        weights = _START + -(-data.size // 64) * 64
        scales = weights + weight_bytes
        end = scales + scale_bytes
        more = -(-end // _PAGE) - memory.size(store)
        if more > 0:
            memory.grow(store, more)
        base = ctypes.cast(memory.data_ptr(store), ctypes.c_void_p).value or 0
        ctypes.memmove(base + _START, np.ascontiguousarray(data).ctypes.data, data.size)
        call(store, TYPES.index(type_name), _START, rows, columns, weights, scales)
        whole = np.frombuffer(memoryview((ctypes.c_ubyte * end).from_address(base)), np.uint8)
        return whole[weights:scales], whole[scales:end]

    return convert


def _sizes(type_name: str, data: Plane, rows: int, columns: int) -> tuple[int, int]:
    """Bytes of both planes; what C may read and write, so nothing that does not fit gets there.

    Raises:
        UnsupportedModel: the type has no format.
        ValueError: the bytes are not so many rows and columns of the type.
    """
    form = layout.format_of(type_name)
    kind = quant.TYPES[type_name]
    if columns % max(kind.elements, layout.BLOCK) or data.size != kind.size((rows, columns)):
        raise ValueError(f"{data.size} bytes are not {rows} x {columns} elements of {type_name}")
    return form.weight_bytes(rows, columns), form.scale_plane_bytes(rows, columns)
