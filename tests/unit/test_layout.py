"""The GPU layout: exact, reversible, and as long as it says."""

from __future__ import annotations

import re

import numpy as np
import pytest

from rows import SCALES_AT, random_rows
from sotto.devices.cpu import signatures
from sotto.errors import UnsupportedModel
from sotto.formats import blocks
from sotto.paths import kernels_folder
from sotto.weights import compiled, layout
from sotto.weights.layout import FORMATS

TYPES = sorted(layout.types())


EXACT = [name for name in TYPES if layout.is_exact(name)]


@pytest.mark.parametrize("type_name", EXACT)
@pytest.mark.parametrize(("rows", "columns"), [(8, 256), (83, 768), (1, 256)])
def test_planes_hold_exactly_the_files_values(type_name: str, rows: int, columns: int) -> None:
    data = random_rows(type_name, rows, columns)
    form = layout.format_of(type_name)
    weights, scales = layout.convert(type_name, data, rows, columns)
    assert weights.size == form.weight_bytes(rows, columns)
    assert scales.size == form.scale_plane_bytes(rows, columns)
    expected = blocks.dequantize(type_name, data, (rows, columns))
    np.testing.assert_array_equal(layout.dequantize(form, weights, scales, rows, columns), expected)


@pytest.mark.parametrize("type_name", sorted(set(TYPES) - set(EXACT)))
@pytest.mark.parametrize(("rows", "columns"), [(8, 256), (83, 768), (1, 256)])
def test_what_no_format_holds_is_rounded_to_eight_bits(type_name: str, rows: int, columns: int) -> None:
    """By at most half of a scale, a 127th of the largest of 32 numbers or the next larger f16."""
    assert set(TYPES) - set(EXACT) == {"Q5_1", "Q5_K", "Q2_K"}
    data = random_rows(type_name, rows, columns)
    form = layout.format_of(type_name)
    assert form is layout.ROUNDED
    planes = layout.convert(type_name, data, rows, columns)
    exact = blocks.dequantize(type_name, data, (rows, columns)).reshape(rows, -1, 32)
    stored = layout.dequantize(form, *planes, rows, columns).reshape(exact.shape)
    scale = np.abs(exact).max(axis=2, keepdims=True) / 127
    scale = np.maximum(scale * (1 + 2**-10), scale + 2**-24)
    assert (np.abs(stored - exact) <= 0.5001 * scale).all()


@pytest.mark.parametrize("type_name", TYPES)
def test_what_is_no_number_shows(type_name: str) -> None:
    if type_name == "MXFP4":
        return  # its scales are powers of 2, whatever the bits
    data = random_rows(type_name, 8, 256)
    form = layout.format_of(type_name)
    assert form.is_finite(*layout.convert(type_name, data, 8, 256))
    for half in (0x7C00, 0xFC00, 0x7E01):
        damaged = data.copy().reshape(-1, blocks.TYPES[type_name].nbytes)
        for at in SCALES_AT[type_name]:
            value = half if type_name not in ("BF16", "F32") else half | 0x7F80
            if type_name == "IQ1_M":
                damaged[3, 48:] |= 0xF0
            else:
                damaged[3, at : at + 2] = np.array([value], "<u2").view(np.uint8)
            assert not form.is_finite(*layout.convert(type_name, damaged.reshape(-1), 8, 256)), (half, at)


@pytest.mark.parametrize("type_name", ["Q4_0", "Q8_0", "F32"])
def test_columns_are_padded_with_zeros(type_name: str) -> None:
    rows, columns = 8, 96
    data = random_rows(type_name, rows, columns)
    form = layout.format_of(type_name)
    planes = layout.convert(type_name, data, rows, columns)
    wide = layout.dequantize(form, *planes, rows, layout.COLUMNS)
    assert np.any(wide[:, :columns])
    assert not wide[:, columns:].any()


@pytest.mark.parametrize("type_name", TYPES)
def test_rows_in_steps_of_eight_give_the_same_bytes(type_name: str) -> None:
    rows, columns = 40, 512
    data = random_rows(type_name, rows, columns)
    whole = layout.convert(type_name, data, rows, columns)
    row_bytes = data.size // rows
    parts = [
        layout.convert(type_name, data[a * row_bytes : b * row_bytes], b - a, columns)
        for a, b in ((0, 8), (8, 32), (32, 40))
    ]
    for plane, pieces in zip(whole, zip(*parts, strict=True), strict=True):
        np.testing.assert_array_equal(plane, np.concatenate(pieces))


def test_a_tile_is_eight_rows_of_four_pieces() -> None:
    """The published order: tile along K, then along N; row of the tile; piece. Kernels depend on it."""
    rows, columns = 16, 256
    codes = np.arange(rows * columns).reshape(rows, columns)
    data = blocks.quantize("F32", codes.astype(np.float32))
    weights, _ = layout.convert("F32", data, rows, columns)
    flat = weights.view(np.float32).astype(int)
    assert flat[:4].tolist() == [0, 1, 2, 3]  # row 0, piece 0
    assert flat[4:8].tolist() == [4, 5, 6, 7]  # row 0, piece 1
    assert flat[16:20].tolist() == [256, 257, 258, 259]  # row 1, piece 0
    assert flat[128:132].tolist() == [16, 17, 18, 19]  # second tile along K
    assert flat[8 * columns :][:4].tolist() == [8 * columns + i for i in range(4)]  # second tile along N


def test_int4_stays_int4_and_five_bits_become_int8() -> None:
    rows, columns = 640, 1024
    assert layout.format_of("Q4_0").weight_bytes(rows, columns) == rows * columns // 2
    assert layout.format_of("TQ1_0").weight_bytes(rows, columns) == rows * columns // 2
    assert layout.format_of("Q4_K").weight_bytes(rows, columns) == rows * columns // 2
    assert layout.format_of("Q5_0").weight_bytes(rows, columns) == rows * columns
    assert layout.format_of("Q6_K").weight_bytes(rows, columns) == rows * columns


def test_an_unknown_type_is_named() -> None:
    for name in ("NVFP4", "I8", "type 99"):
        with pytest.raises(UnsupportedModel, match=f"{name}.*the Q4_0, Q4_K_M or Q8_0 file"):
            layout.format_of(name)


class Nibbles(blocks.CodeType):
    """A type that no file has: d f16, qs[16]; value d * q."""

    def __init__(self) -> None:
        super().__init__("NVFP4", 40, 32, 18, low=0, high=15, group=32)

    def decode(self, data: blocks.Bytes) -> blocks.Decoded:
        scale = data[:, :2].copy().view("<f2").astype(np.float32)
        return np.concatenate([data[:, 2:] & 15, data[:, 2:] >> 4], axis=1), scale, None


def test_a_new_type_is_one_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """A format that holds it is found, and where it is not compiled numpy converts it."""
    with pytest.raises(UnsupportedModel, match="NVFP4"):
        layout.format_of("NVFP4")
    monkeypatch.setitem(blocks.TYPES, "NVFP4", Nibbles())
    assert layout.format_of("NVFP4").name == "q4m" and "NVFP4" in layout.types()
    rows, columns = 11, 96
    data = np.random.default_rng(1).integers(0, 256, blocks.TYPES["NVFP4"].size((rows, columns)), np.uint8)
    data.reshape(-1, 18)[:, 1] &= 0xBF  # no infinity, no NaN
    planes = compiled.converter()("NVFP4", data, rows, columns)
    expected = []
    for block in data.reshape(-1, 18):
        (d,) = block[:2].copy().view("<f2").astype(np.float32)
        expected += [d * np.float32(q) for q in (*(block[2:] & 15), *(block[2:] >> 4))]
    values = layout.dequantize(FORMATS["q4m"], *planes, rows, columns)
    np.testing.assert_array_equal(values.reshape(-1), np.array(expected, np.float32))


def test_which_format_holds_a_type() -> None:
    """Codes of other ranges, finer groups, larger scales, minima."""

    class Other(Nibbles):
        def __init__(self, low: int, high: int, group: int, half: bool, minimum: bool) -> None:
            blocks.CodeType.__init__(self, "NVFP4", 40, 32, 18, low, high, group, half, minimum)

    for sizes, form in {
        (-8, 7, 32, True, False): "q4",
        (-8, 7, 64, True, False): "q4",
        (-8, 7, 32, False, False): "q8h",
        (-8, 8, 32, True, False): "q8",
        (0, 15, 32, False, False): "q4m",
        (0, 31, 32, True, True): None,
        (-8, 7, 16, True, False): "q8h",
        (-8, 7, 8, True, False): None,
        (-129, 0, 32, True, False): None,
        (-8, 7, 0, False, False): "q4r",
        (-128, 127, 0, False, False): "q8r",
        (-129, 0, 0, False, False): None,
        (0, 15, 0, False, True): None,
    }.items():
        found = next((f.name for f in FORMATS.values() if f.holds(Other(*sizes))), None)
        assert found == form, sizes


def text(path: str) -> str:
    """A kernel's source without comments."""
    return re.sub(r"//[^\n]*", "", (kernels_folder() / path).read_text("utf-8"))


def test_the_conversion_in_c_has_every_type_with_pythons_sizes() -> None:
    source = text("loading/convert.c")
    listed = re.search(r"enum type \{([^}]*)\}", source)
    table = re.search(r"KINDS\[TYPES\] = \{(.*?)\};", source, re.DOTALL)
    assert listed and table
    names = [name.strip().removeprefix("TYPE_") for name in listed[1].split(",")]
    assert names == [*compiled.TYPES, "TYPES"]
    assert set(compiled.TYPES) == set(layout.types()), "what is missing there is converted by numpy, slowly"
    kinds = re.findall(r"\{(\d+), (\d+), (\d+), (\d+)\}", table[1])
    assert len(kinds) == len(compiled.TYPES)
    for name, sizes in zip(compiled.TYPES, kinds, strict=True):
        less_one, nbytes, piece_columns, item_bytes = map(int, sizes)
        kind, form = blocks.TYPES[name], layout.format_of(name)
        assert nbytes * kind.elements == kind.nbytes * (less_one + 1), name  # floats: by 16 bytes
        assert piece_columns == form.piece_columns, name
        assert item_bytes * 4 * layout.ROWS == form.scale_plane_bytes(layout.ROWS, layout.COLUMNS), name


def test_the_cpus_kernels_have_every_format_with_pythons_sizes() -> None:
    formats = signatures().formats
    assert formats == {name: number for number, name in enumerate(["none", *FORMATS])}
    source = text("cpu/weights.h")
    assert "return format >= FORMAT_F16" in source
    assert [form.packed for form in FORMATS.values()] == [formats[n] < formats["f16"] for n in FORMATS]
    for function, size in {"tile_bytes": "weight_bytes", "scale_tile_bytes": "scale_plane_bytes"}.items():
        body = re.search(rf"u32 {function}\(enum format format\) \{{(.*?)\n\}}", source, re.DOTALL)
        assert body
        told = {}
        for cases, value in re.findall(r"((?:case \w+: )+)return (\d+);", body[1]):
            told |= dict.fromkeys(re.findall(r"FORMAT_(\w+)", cases), int(value))
        (default,) = re.findall(r"default: return (\d+);", body[1])
        for name, form in FORMATS.items():
            assert told.get(name.upper(), int(default)) == getattr(form, size)(8, 128), (function, name)


READERS = {  # folders of kernels/lib, and whether codes are all that is read there
    "weights": False,
    "packed": True,
    "decode/pieces/f32": False,
    "decode/pieces/f16": False,
    "decode/pieces/int8": True,
}


@pytest.mark.parametrize("folder", READERS)
def test_the_gpus_kernels_read_every_format(folder: str) -> None:
    """Files that are no format's are what formats share."""
    found = {path.stem for path in (kernels_folder() / "lib" / folder).glob("*.wgsl")}
    assert found & FORMATS.keys() == {n for n, form in FORMATS.items() if form.packed or not READERS[folder]}
