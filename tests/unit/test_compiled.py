"""The compiled conversion gives numpy's bytes, and the compiled checksum notices damage."""

from __future__ import annotations

import builtins
from pathlib import Path

import numpy as np
import pytest

from checksums import checksum
from rows import SCALES_AT, random_rows
from sotto.errors import UnsupportedModel
from sotto.formats import blocks as quant
from sotto.formats import tiles
from sotto.formats.row_types import ROW_TYPES
from sotto.weights import compiled, layout
from sotto.weights.compiled import OnWasmtime

SHAPES = [(8, 256), (83, 768), (1, 256), (13, 1280), (5, 96), (9, 32), (16, 160), (24, 6912)]


@pytest.fixture
def library() -> OnWasmtime:
    return OnWasmtime()


CASES = [(t, *shape) for t in compiled.TYPES for shape in SHAPES if shape[1] % quant.TYPES[t].elements == 0]


@pytest.mark.parametrize(("type_name", "rows", "columns"), CASES)
def test_the_bytes_are_those_of_numpy(library: OnWasmtime, type_name: str, rows: int, columns: int) -> None:
    data = random_rows(type_name, rows, columns)
    # What an earlier call left in the memory must not show in the padding.
    library.convert("F32", np.full(4 * 32 * 6912, 255, np.uint8), 32, 6912)
    for got, expected in zip(
        library.convert(type_name, data, rows, columns),
        layout.convert(type_name, data, rows, columns),
        strict=True,
    ):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("type_name", ROW_TYPES)
@pytest.mark.parametrize(("rows", "columns"), [(8, 256), (83, 768), (1, 256), (13, 1280), (24, 6912)])
def test_rows_beside_their_scales_become_numpys_bytes(
    library: OnWasmtime, type_name: str, rows: int, columns: int
) -> None:
    kind, form = ROW_TYPES[type_name], layout.format_of(type_name)
    assert isinstance(form, layout.Codes | layout.RowCodes)
    generator = np.random.default_rng(rows)
    scales = generator.random(kind.beside(rows, columns) // (2 if kind.half else 4), np.float32)
    codes = generator.integers(0, 256, kind.size((rows, columns)), np.uint8)
    data = np.concatenate([scales.astype("<f2" if kind.half else "<f4").view(np.uint8), codes])
    library.convert("F32", np.full(4 * 32 * 6912, 255, np.uint8), 32, 6912)
    expected = layout.convert(type_name, data, rows, columns)
    for got, wanted in zip(library.convert_rows(kind, form, data, rows, columns), expected, strict=True):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize(("rows", "columns"), [(4, 32), (12, 96), (64, 640)])
def test_tiles_become_numpys_rows_and_sums(library: OnWasmtime, bits: int, rows: int, columns: int) -> None:
    data = np.random.default_rng(bits).integers(0, 256, rows * columns * bits // 8, np.uint8)
    got, expected = library.untile(data, rows, columns, bits), tiles.untiled(data, rows, columns, bits)
    np.testing.assert_array_equal(got[0], expected[0])
    np.testing.assert_array_equal(got[1], expected[1])
    with pytest.raises(ValueError, match="codes of"):
        library.untile(data[:-1], rows, columns, bits)


@pytest.mark.parametrize("type_name", ["Q5_1", "Q5_K", "Q2_K"])
def test_rounding_is_numpys_at_its_bounds(library: OnWasmtime, type_name: str) -> None:
    """Blocks of zeros, scales that are next to nothing and as large as can be."""
    data = random_rows(type_name, 16, 2048)
    blocks = data.reshape(-1, quant.TYPES[type_name].nbytes)
    for number, half in enumerate((0, 1, 0x03FF, 0x0400, 0x1000, 0x6000, 0x8001, 0xE000)):
        for at in SCALES_AT[type_name]:
            blocks[number::9, at : at + 2] = np.array([half], "<u2").view(np.uint8)
    for got, expected in zip(
        library.convert(type_name, data, 16, 2048), layout.convert(type_name, data, 16, 2048), strict=True
    ):
        np.testing.assert_array_equal(got, expected)


def test_bytes_that_do_not_fit_are_refused(library: OnWasmtime) -> None:
    data = random_rows("Q4_0", 8, 256)
    with pytest.raises(ValueError, match="8 x 288 elements of Q4_0"):
        library.convert("Q4_0", data, 8, 288)
    with pytest.raises(ValueError, match="elements of Q4_K"):
        library.convert("Q4_K", data, 8, 96)
    with pytest.raises(UnsupportedModel, match="NVFP4"):
        library.convert("NVFP4", data, 8, 256)


def test_without_wasmtime_numpy_converts(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name == "wasmtime":
            raise ImportError
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    assert compiled.converter() is layout.convert


def test_a_module_that_cannot_run_leaves_it_to_numpy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "loading.wasm").write_bytes(b"\0asm\1\0\0\0\xff")
    monkeypatch.setattr(compiled, "path", lambda: tmp_path / "loading.wasm")
    assert compiled.converter() is layout.convert


def compute(library: OnWasmtime, data: np.ndarray) -> bytes:
    """The checksum as web/chunk.js asks for it."""
    result, start = 3072, 65536
    library._memory.grow(library._store, -(-data.size // 65536) + 1)
    library._bytes(start, data.size + 128)[:] = 255
    library._bytes(start, data.size)[:] = data
    library._exports["checksum"](library._store, start, data.size, result)
    return library._bytes(result, 16).tobytes()


@pytest.mark.parametrize("nbytes", [0, 1, 127, 128, 129, 1000, 4096, 4 << 20])
def test_the_checksum_is_the_documented_one(library: OnWasmtime, nbytes: int) -> None:
    data = np.random.default_rng(nbytes).integers(0, 256, nbytes, np.uint8)
    assert compute(library, data) == checksum(data.tobytes())


def test_damage_shows(library: OnWasmtime) -> None:
    data = np.random.default_rng(1).integers(0, 256, 8192, np.uint8)
    seen = {compute(library, data)}

    def changed(other: np.ndarray) -> None:
        got = compute(library, other)
        assert got not in seen
        seen.add(got)

    for at in range(0, 8192, 61):  # every bit of some words, alone and twice in a lane
        for bit in (0, 7):
            other = data.copy()
            other[at] ^= 1 << bit
            changed(other)
            other[(at + 128) % 8192] ^= 1 << bit
            changed(other)
    swapped = np.concatenate([data[4096:], data[:4096]])
    for other in (data[:-1], swapped, np.zeros(8192, np.uint8), np.zeros(8191, np.uint8)):
        changed(other)
