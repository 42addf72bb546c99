"""The GPU layout: exact, reversible, and as long as it says."""

from __future__ import annotations

import numpy as np
import pytest

from sotto.errors import UnsupportedModel
from sotto.formats import blocks
from sotto.weights import layout

TYPES = sorted(layout.FORMAT_OF_TYPE)


def random_blocks(type_name: str, rows: int, columns: int) -> np.ndarray:
    """Rows of a quantised tensor made from random weights."""
    rng = np.random.default_rng(rows * columns)
    return blocks.quantize(type_name, rng.standard_normal((rows, columns)).astype(np.float32) * 3)


@pytest.mark.parametrize("type_name", TYPES)
@pytest.mark.parametrize(("rows", "columns"), [(8, 256), (83, 768), (1, 256)])
def test_planes_hold_exactly_the_files_values(type_name: str, rows: int, columns: int) -> None:
    data = random_blocks(type_name, rows, columns)
    form = layout.format_of(type_name)
    weights, scales = layout.convert(type_name, data, rows, columns)
    assert weights.size == form.weight_bytes(rows, columns)
    assert scales.size == form.scale_plane_bytes(rows, columns)
    expected = blocks.dequantize(type_name, data, (rows, columns))
    np.testing.assert_array_equal(layout.dequantize(form, weights, scales, rows, columns), expected)


@pytest.mark.parametrize("type_name", ["Q4_0", "Q8_0", "F32"])
def test_columns_are_padded_with_zeros(type_name: str) -> None:
    rows, columns = 8, 96
    data = random_blocks(type_name, rows, columns)
    form = layout.format_of(type_name)
    planes = layout.convert(type_name, data, rows, columns)
    wide = layout.dequantize(form, *planes, rows, layout.COLUMNS)
    assert np.any(wide[:, :columns])
    assert not wide[:, columns:].any()


@pytest.mark.parametrize("type_name", TYPES)
def test_rows_in_steps_of_eight_give_the_same_bytes(type_name: str) -> None:
    rows, columns = 40, 512
    data = random_blocks(type_name, rows, columns)
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
    assert layout.format_of("Q4_K").weight_bytes(rows, columns) == rows * columns // 2
    assert layout.format_of("Q5_0").weight_bytes(rows, columns) == rows * columns
    assert layout.format_of("Q6_K").weight_bytes(rows, columns) == rows * columns


def test_an_unknown_type_is_named() -> None:
    with pytest.raises(UnsupportedModel, match="IQ4_XS"):
        layout.format_of("IQ4_XS")
