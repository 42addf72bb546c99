"""Block formats against ggml's own decoders, and some against a slow one written from their description."""

from __future__ import annotations

import struct

import gguf
import numpy as np
import pytest

from rows import random_rows
from sotto.errors import UnsupportedModel
from sotto.formats.blocks import CODE_TYPES, FLOAT_TYPES, TYPES, codes, dequantize, quantize


def half(block: bytes, at: int) -> np.float32:
    return np.float32(struct.unpack_from("<e", block, at)[0])


def slow_q4_0(block: bytes) -> list[np.float32]:
    nibbles = [b & 15 for b in block[2:]] + [b >> 4 for b in block[2:]]
    return [half(block, 0) * np.float32(q - 8) for q in nibbles]


def slow_q5_0(block: bytes) -> list[np.float32]:
    (high,) = struct.unpack_from("<I", block, 2)
    nibbles = [b & 15 for b in block[6:]] + [b >> 4 for b in block[6:]]
    return [half(block, 0) * np.float32((q | (high >> i & 1) << 4) - 16) for i, q in enumerate(nibbles)]


def slow_q8_0(block: bytes) -> list[np.float32]:
    return [half(block, 0) * np.float32(q) for q in struct.unpack_from("<32b", block, 2)]


def slow_q4_k(block: bytes) -> list[np.float32]:
    packed, qs = block[4:16], block[16:]
    values = []
    for j in range(8):
        if j < 4:
            scale, minimum = packed[j] & 63, packed[j + 4] & 63
        else:
            scale = packed[j + 4] & 15 | packed[j - 4] >> 6 << 4
            minimum = packed[j + 4] >> 4 | packed[j] >> 6 << 4
        d, m = half(block, 0) * np.float32(scale), half(block, 2) * np.float32(minimum)
        run = qs[32 * (j // 2) : 32 * (j // 2) + 32]
        values += [d * np.float32(b >> 4 if j % 2 else b & 15) - m for b in run]
    return values


def slow_q6_k(block: bytes) -> list[np.float32]:
    scales = struct.unpack_from("<16b", block, 192)
    q = [0] * 256
    for part in range(2):
        low, high = block[64 * part : 64 * part + 64], block[128 + 32 * part : 160 + 32 * part]
        for l in range(32):  # noqa: E741 - the name in ggml's description
            at = 128 * part + l
            q[at] = low[l] & 15 | (high[l] & 3) << 4
            q[at + 32] = low[l + 32] & 15 | (high[l] >> 2 & 3) << 4
            q[at + 64] = low[l] >> 4 | (high[l] >> 4 & 3) << 4
            q[at + 96] = low[l + 32] >> 4 | (high[l] >> 6) << 4
    return [half(block, 208) * np.float32(scales[i // 16]) * np.float32(q[i] - 32) for i in range(256)]


SLOW = {"Q4_0": slow_q4_0, "Q5_0": slow_q5_0, "Q8_0": slow_q8_0, "Q4_K": slow_q4_k, "Q6_K": slow_q6_k}


@pytest.mark.parametrize("name", sorted(CODE_TYPES | FLOAT_TYPES))
def test_values_are_those_of_ggml_bit_for_bit(name):
    """Against the package `gguf`; with so many rows, every index of every grid occurs."""
    shape = (400, 512)
    data = random_rows(name, *shape)
    values = dequantize(name, data, shape)
    expected = gguf.quants.dequantize(data.reshape(400, -1), gguf.GGMLQuantizationType[name])
    assert values.dtype == np.float32 and values.shape == shape == expected.shape
    assert np.isfinite(values).all()
    np.testing.assert_array_equal(values.view(np.uint32), expected.astype(np.float32).view(np.uint32))


def test_every_type_has_ggmls_sizes():
    for name, kind in TYPES.items():
        theirs = gguf.GGMLQuantizationType[name]
        assert (theirs.value, *gguf.GGML_QUANT_SIZES[theirs]) == (kind.id, kind.elements, kind.nbytes)


@pytest.mark.parametrize("name", sorted(SLOW))
def test_values_follow_the_description_of_the_format(name):
    kind = TYPES[name]
    data = random_rows(name, 2, 512)
    slow = [value for block in data.reshape(-1, kind.nbytes) for value in SLOW[name](block.tobytes())]
    assert np.array_equal(dequantize(name, data, (2, 512)).reshape(-1), np.array(slow, np.float32))


@pytest.mark.parametrize("name", sorted(CODE_TYPES))
def test_codes_are_the_integers_of_the_format(name):
    kind = TYPES[name]
    found = codes(name, random_rows(name, 64, 512), 64, 512)
    assert found.q.shape == (64, 512) and found.group == kind.group
    assert (found.q.min(), found.q.max()) == (kind.low, kind.high)
    assert found.scale.shape == (64, 512 // found.group) and found.scale.dtype == np.float32
    assert (found.minimum is not None) == kind.minimum
    assert np.array_equal(found.values(), dequantize(name, random_rows(name, 64, 512), (64, 512)))
    if kind.half:
        assert np.array_equal(found.scale.astype(np.float16).astype(np.float32), found.scale)


@pytest.mark.parametrize("name", sorted(CODE_TYPES | FLOAT_TYPES))
def test_rows_decode_alone(name):
    data = random_rows(name, 5, 256)
    whole = dequantize(name, data, (5, 256))
    part = data.reshape(5, -1)[2:4].reshape(-1)
    assert np.array_equal(dequantize(name, part, (2, 256)), whole[2:4], equal_nan=True)


@pytest.mark.parametrize(
    ("name", "step"),
    # The largest error as a share of the largest value: half a step and what rounding the scales costs; a
    # whole step where the grid reaches further on one side (-8 to 7).
    [
        ("F32", 0),
        ("F16", 2**-11),
        ("BF16", 2**-8),
        ("Q8_0", 1 / 250),
        ("Q6_K", 1 / 30),
        ("Q5_0", 1 / 15),
        ("Q4_0", 1 / 7),
        ("Q4_K", 1 / 14),
        ("Q4_1", 1 / 14),
        ("Q5_1", 1 / 30),
        ("Q5_K", 1 / 29),
        ("IQ4_NL", 1 / 8),
    ],
)
def test_quantize_comes_back_close(name, step):
    values = np.random.default_rng(3).standard_normal((6, 512)).astype(np.float32)
    values[1] *= 100
    values[2] = 0
    values[3, :256] = np.abs(values[3, :256])
    data = quantize(name, values)
    assert data.dtype == np.uint8 and data.size == TYPES[name].size(values.shape)
    back = dequantize(name, data, values.shape)
    error = np.abs(back - values).reshape(6, -1, 256).max(axis=2)
    assert (error <= step * np.abs(values).reshape(6, -1, 256).max(axis=2)).all()
    assert not back[2].any()


@pytest.mark.parametrize("name", ["Q4_0", "Q5_0", "Q8_0", "F16", "BF16", "F32"])
def test_quantize_keeps_what_is_already_on_the_grid(name):
    values = np.tile(np.arange(-8, 8, dtype=np.float32), 16).reshape(1, 256) * np.float32(0.25)
    if name == "Q8_0":
        values[0, ::32] = 127 * np.float32(0.25)
    if name == "Q5_0":
        values[0, ::32] = -16 * np.float32(0.25)
    assert np.array_equal(dequantize(name, quantize(name, values), values.shape), values)


def test_bf16_rounds_to_nearest_even():
    values = np.array([[1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, -1 - 2**-8]], np.float32)
    expected = np.array([[1, 1 + 2**-6, 1 + 2**-7, -1]], np.float32)
    assert np.array_equal(dequantize("BF16", quantize("BF16", values), (1, 4)), expected)


def test_a_type_without_decoder_is_named():
    with pytest.raises(UnsupportedModel, match="NVFP4"):
        dequantize("NVFP4", np.zeros(36, np.uint8), (1, 64))
    with pytest.raises(ValueError, match="IQ4_XS cannot be written"):
        quantize("IQ4_XS", np.zeros((1, 256), np.float32))


def test_bytes_that_do_not_fit_the_shape():
    with pytest.raises(ValueError, match="Q4_0"):
        codes("Q4_0", np.zeros(17, np.uint8), 1, 32)
