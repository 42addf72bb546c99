"""The heavy loops of loading as compiled code: the layout's conversion, and the checksums of the browser's cache.

kernels/loading/loading.wasm is a WebAssembly shared library made of convert.c, which gives the bytes of
`layout.convert` many times as fast, rows.c, which does so for `row_types` and `tiles`, and checksum.c, which
web/chunk.js runs by itself. Under Pyodide it is linked to the interpreter as any extension module is, so that it works
on numpy's own memory; in plain Python it runs on wasmtime with a memory of its own. Where neither can be had, numpy
converts.
"""

from __future__ import annotations

import ctypes
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..formats import blocks, grids, tiles
from ..formats.row_types import RowType
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
    library = _library()
    if library is None:
        return layout.convert

    def convert(type_name: str, data: Plane, rows: int, columns: int) -> tuple[Plane, Plane]:
        if type_name in TYPES:
            return library.convert(type_name, data, rows, columns)
        kind, form = blocks.find(type_name), layout.format_of(type_name)
        by_codes = layout.Codes | layout.RowCodes
        if isinstance(kind, RowType) and isinstance(form, by_codes) and form.holds(kind):
            return library.convert_rows(kind, form, data, rows, columns)
        return layout.convert(type_name, data, rows, columns)

    return convert


def untiler() -> tiles.Untile:
    """The fastest `tiles.untiled` there is here. What it returns is valid until its next call."""
    library = _library()
    return library.untile if library else tiles.untiled


def _library() -> Library | None:
    """The compiled library; None where it cannot be had."""
    try:
        return Linked() if sys.platform == "emscripten" else OnWasmtime()
    except (ImportError, OSError):  # no wasmtime, or a browser without SIMD
        return None


class Library(ABC):
    """The functions of the library, on arrays."""

    @abstractmethod
    def _call(
        self, name: str, numbers: Sequence[int], given: Sequence[Plane], sizes: Sequence[int]
    ) -> list[Plane]:
        """Call a function of C.

        Args:
            numbers: arguments before all others.
            given: arrays that it reads, from the argument behind those on.
            sizes: bytes of arrays that it writes, in the last arguments.

        Returns:
            The arrays, valid until the next call.
        """

    def convert(self, type_name: str, data: Plane, rows: int, columns: int) -> tuple[Plane, Plane]:
        """As `layout.convert`."""
        sizes = _sizes(type_name, data, rows, columns)
        numbers = TYPES.index(type_name), rows, columns
        weights, scales = self._call("convert", numbers, (data, _grid(type_name)), sizes)
        return weights, scales

    def convert_rows(
        self, kind: RowType, form: layout.Codes | layout.RowCodes, data: Plane, rows: int, columns: int
    ) -> tuple[Plane, Plane]:
        """As `layout.convert`, of codes whose scales are in front of them, to a format that holds them."""
        scale, codes = kind.parts(data, rows, columns)
        if columns % layout.BLOCK:
            raise ValueError(f"rows of {columns} elements cannot be converted")
        numbers = kind.bits, form.bits, rows, columns
        (weights,) = self._call("pack_rows", numbers, (codes,), (form.weight_bytes(rows, columns),))
        return weights, layout.scale_plane(form, scale, columns)

    def untile(self, data: Plane, rows: int, columns: int, bits: int) -> tuple[Plane, tiles.Sums]:
        """As `tiles.untiled`."""
        if data.size * 8 != rows * columns * bits or rows % tiles.SIDE:
            raise ValueError(f"{data.size} bytes are not {rows} x {columns} codes of {bits} bits")
        if columns % layout.BLOCK:
            return tiles.untiled(data, rows, columns, bits)
        codes, sums = self._call("untile", (bits, rows, columns), (data,), (data.size, 4 * rows))
        return codes, sums.view(np.int32)


class Linked(Library):
    """The library linked to Python itself, itself WebAssembly. Raises OSError."""

    def __init__(self) -> None:
        self._functions = ctypes.CDLL(str(path()))

    def _call(
        self, name: str, numbers: Sequence[int], given: Sequence[Plane], sizes: Sequence[int]
    ) -> list[Plane]:
        made = [np.empty(nbytes, np.uint8) for nbytes in sizes]
        arrays = [*(np.ascontiguousarray(array) for array in given), *made]
        call = self._functions[name]
        call.argtypes = [ctypes.c_uint] * len(numbers) + [ctypes.c_void_p] * len(arrays)
        call.restype = None
        call(*numbers, *(array.ctypes.data for array in arrays))
        return made


class OnWasmtime(Library):
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

    def _call(
        self, name: str, numbers: Sequence[int], given: Sequence[Plane], sizes: Sequence[int]
    ) -> list[Plane]:
        places, end = [], _START
        for nbytes in (*(array.size for array in given), *sizes):
            places.append(end)
            end += -(-nbytes // 64) * 64
        more = -(-end // _PAGE) - self._memory.size(self._store)
        if more > 0:
            self._memory.grow(self._store, more)
        for place, array in zip(places, given, strict=False):
            self._bytes(place, array.size)[:] = array
        self._exports[name](self._store, *numbers, *places)
        made = places[len(given) :]
        return [self._bytes(place, nbytes) for place, nbytes in zip(made, sizes, strict=True)]


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
