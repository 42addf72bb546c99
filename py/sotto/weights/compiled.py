"""The heavy loops of loading as compiled code: the layout's conversion, and the checksums of the browser's cache.

kernels/loading/loading.wasm is a WebAssembly shared library made of convert.c, which gives the bytes of
`layout.convert` many times as fast, and checksum.c, which web/chunk.js runs by itself. Under Pyodide it is linked to
the interpreter as any extension module is, so that it works on numpy's own memory; in plain Python it runs on wasmtime
with a memory of its own. Where neither can be had, numpy converts.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..formats import blocks, grids
from ..paths import kernels_folder
from . import layout
from .layout import Plane

Convert = Callable[[str, Plane, int, int], tuple[Plane, Plane]]

TYPES = (  # `enum type` of convert.c
    "Q4_0", "Q4_K", "Q5_0", "Q8_0", "Q6_K", "F16", "BF16", "F32", "Q5_1", "Q5_K",
    "IQ4_NL", "IQ4_XS", "Q4_1", "Q3_K", "Q2_K", "IQ3_S", "IQ3_XXS", "IQ2_S", "IQ2_XS",
    "IQ2_XXS", "IQ1_M", "IQ1_S", "TQ2_0", "TQ1_0", "MXFP4",
)  # fmt: skip
_PAGE = 65536
_STATICS = 1024  # in a memory of its own: address of the library's constants
_START = 4096  # of data


def path() -> Path:
    """The compiled library."""
    return kernels_folder() / "loading" / "loading.wasm"


def converter() -> Convert:
    """The fastest `layout.convert` there is here. The planes that it returns are valid until its next call."""
    try:
        compiled = linked() if sys.platform == "emscripten" else Library().convert
    except (ImportError, OSError):  # no wasmtime, or a browser without SIMD
        return layout.convert

    def convert(type_name: str, data: Plane, rows: int, columns: int) -> tuple[Plane, Plane]:
        how = compiled if type_name in TYPES else layout.convert
        return how(type_name, data, rows, columns)

    return convert


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
        ctypes.c_void_p,
    ]
    call.restype = None

    def convert(type_name: str, data: Plane, rows: int, columns: int) -> tuple[Plane, Plane]:
        sizes = _sizes(type_name, data, rows, columns)
        weights, scales = (np.empty(nbytes, np.uint8) for nbytes in sizes)
        source, grid = np.ascontiguousarray(data), _grid(type_name)
        pointers = [array.ctypes.data for array in (weights, scales, grid)]
        call(TYPES.index(type_name), source.ctypes.data, rows, columns, *pointers)
        return weights, scales

    return convert


class Library:
    """The library on wasmtime. Raises ImportError without it, OSError where the library cannot be compiled."""

    def __init__(self) -> None:
        import wasmtime as w  # noqa: PLC0415  (so that sotto imports where it has no wheel)

        try:
            engine = w.Engine()
            self._store = w.Store(engine)
            self._memory: Any = w.Memory(self._store, w.MemoryType(w.Limits(1, None)))
            module = w.Module.from_file(engine, str(path()))
        except w.WasmtimeError as error:
            raise OSError(str(error)) from error
        fixed = w.GlobalType(w.ValType.i32(), False)
        bases = [
            w.Global(self._store, fixed, w.Val.i32(at)) for at in (_STATICS, 0)
        ]  # of memory and of the table
        exports: Any = w.Instance(self._store, module, [self._memory, *bases]).exports(self._store)
        self._exports = exports

    def _bytes(self, address: int, nbytes: int) -> Plane:
        """A part of the memory, valid until it grows."""
        base = ctypes.cast(self._memory.data_ptr(self._store), ctypes.c_void_p).value or 0
        return np.frombuffer(memoryview((ctypes.c_ubyte * nbytes).from_address(base + address)), np.uint8)

    def convert(self, type_name: str, data: Plane, rows: int, columns: int) -> tuple[Plane, Plane]:
        """As `layout.convert`; the planes are valid until the next call."""
        weight_bytes, scale_bytes = _sizes(type_name, data, rows, columns)
        grid = _grid(type_name)
        weights = _START + -(-data.size // 64) * 64
        scales = weights + weight_bytes
        points = scales + scale_bytes
        end = points + grid.size
        more = -(-end // _PAGE) - self._memory.size(self._store)
        if more > 0:
            self._memory.grow(self._store, more)
        self._bytes(_START, data.size)[:] = data
        self._bytes(points, grid.size)[:] = grid
        kind = TYPES.index(type_name)
        self._exports["convert"](self._store, kind, _START, rows, columns, weights, scales, points)
        return self._bytes(weights, weight_bytes), self._bytes(scales, scale_bytes)


def _grid(type_name: str) -> Plane:
    """The points that a type's codes are made of; empty where there are none."""
    kind = blocks.TYPES[type_name]
    name = kind.grid if isinstance(kind, blocks.CodeType) else ""
    return grids.points(name).reshape(-1).view(np.uint8) if name else np.empty(0, np.uint8)


def _sizes(type_name: str, data: Plane, rows: int, columns: int) -> tuple[int, int]:
    """Bytes of both planes; what C may read and write, so nothing that does not fit gets there.

    Raises:
        UnsupportedModel: the type has no format.
        ValueError: the bytes are not so many rows and columns of the type.
    """
    form = layout.format_of(type_name)
    kind = blocks.TYPES[type_name]
    if columns % max(kind.elements, layout.BLOCK) or data.size != kind.size((rows, columns)):
        raise ValueError(f"{data.size} bytes are not {rows} x {columns} elements of {type_name}")
    return form.weight_bytes(rows, columns), form.scale_plane_bytes(rows, columns)
