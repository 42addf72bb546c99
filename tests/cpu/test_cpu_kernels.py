"""Every C kernel against numpy: odd sizes, tails, in place, one token and many, one thread and three.

Products with coded weights are held against numpy with the same int8 activations, where only the order of f32
sums differs, and loosely against plain f32. Both builds, with and without relaxed SIMD, must agree to the bit.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import tiny
from cpu import quantized
from kernels import drawing
from kernels.harness import F16, F32, TYPES, compare, execute, given, matrix
from sotto import ops
from sotto.api import drive
from sotto.devices.cpu import CpuDevice, signatures
from sotto.devices.reference import device as reference
from sotto.devices.reference.kernels import KERNELS
from sotto.engine.engine import Engine
from sotto.models.base import Head
from sotto.native.wasm import open_cpu
from sotto.ops import Cache
from sotto.plan.plan import Plan
from sotto.reports import Settings
from sotto.source import MemorySource
from sotto.weights import layout


@pytest.fixture(scope="module", params=["relaxed", "simd"])
def cpu(request) -> Iterator[CpuDevice]:
    device = drive(open_cpu(3, relaxed=request.param == "relaxed"))
    yield device
    device.close()


@pytest.fixture
def numpy_device() -> Iterator[reference.NumpyDevice]:
    device = reference.NumpyDevice()
    yield device
    device.close()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.fixture
def int8_reference(monkeypatch) -> None:
    """numpy's products with int8 activations."""
    for name, kernel in quantized.KERNELS.items():
        monkeypatch.setitem(KERNELS, name, kernel)


def columns_of(type_name: str, columns: int, otherwise: int) -> int:
    return columns if type_name not in ("Q4_K", "Q6_K") or columns % 256 == 0 else otherwise


@pytest.mark.parametrize("type_name", TYPES)
@pytest.mark.parametrize(
    ("rows", "columns", "shards"), [(256, 640, 1), (83, 256, 1), (72, 1280, 3), (9, 96, 1)]
)
def test_matvec(cpu, numpy_device, int8_reference, rng, type_name, rows, columns, shards) -> None:
    columns = columns_of(type_name, columns, 512)
    m, arrays = matrix(rng, type_name, rows, columns, shards)
    p = Plan("test", 1)
    ops.matmul(p, "y", given("x", (1, columns)), m)
    arrays["x"] = rng.standard_normal(columns).astype(np.float32)
    compare(cpu, numpy_device, p, arrays, p.inputs(0, [0]), dtypes={"y": "f4"}, tolerance=F32)


@pytest.mark.parametrize("type_name", TYPES)
@pytest.mark.parametrize(
    ("rows", "columns", "tokens", "count", "shards"),
    [(64, 256, 4, 4, 1), (83, 512, 33, 33, 1), (72, 768, 32, 13, 2), (520, 32, 5, 2, 1)],
)
def test_matmul(
    cpu, numpy_device, int8_reference, rng, type_name, rows, columns, tokens, count, shards
) -> None:
    columns = columns_of(type_name, columns, 256)
    m, arrays = matrix(rng, type_name, rows, columns, shards)
    p = Plan("test", tokens)
    ops.matmul(p, "y", given("x", (tokens, columns)), m)
    arrays["x"] = rng.standard_normal((tokens, columns)).astype(np.float32)
    seen = compare(cpu, numpy_device, p, arrays, p.inputs(0, [0] * count), dtypes={"y": "f4"}, tolerance=F32)
    assert not seen["y"].reshape(tokens, rows)[count:].any(), "tokens past the count were written"


@pytest.mark.parametrize("type_name", TYPES)
@pytest.mark.parametrize("tokens", [1, 9])
def test_products_are_near_f32(cpu, numpy_device, rng, type_name, tokens) -> None:
    """int8 activations cost at most one part in a hundred of the largest product."""
    m, arrays = matrix(rng, type_name, 64, 768)
    p = Plan("test", tokens)
    ops.matmul(p, "y", given("x", (tokens, 768)), m)
    arrays["x"] = rng.standard_normal((tokens, 768)).astype(np.float32)
    compare(cpu, numpy_device, p, arrays, p.inputs(0, [0] * tokens), dtypes={"y": "f4"}, tolerance=0.01)


@pytest.mark.parametrize("tokens", [1, 6])
def test_extreme_codes_are_exact(cpu, numpy_device, int8_reference, tokens) -> None:
    """Weights of -128 and 127 with activations of -127 and 127: nothing saturates, in either build."""
    rows, columns = 16, 256
    w = np.where(np.arange(rows * columns) % 3 == 0, -128, 127).astype(np.int8).reshape(rows, columns)
    w[8:] = -128
    blocks = np.zeros((rows, columns // 32, 34), np.uint8)
    blocks[..., :2] = np.array([1.0], np.float16).view(np.uint8)
    blocks[..., 2:] = w.view(np.uint8).reshape(rows, -1, 32)
    planes = layout.convert("Q8_0", blocks.reshape(-1), rows, columns)
    m, arrays = matrix(np.random.default_rng(0), "Q8_0", rows, columns)
    arrays |= dict(zip(("w0", "s0"), planes, strict=True))
    x = np.where(np.arange(tokens * columns) % 5 < 2, 127, -127).astype(np.float32).reshape(tokens, columns)
    arrays["x"] = x
    p = Plan("test", tokens)
    ops.matmul(p, "y", given("x", (tokens, columns)), m)
    seen = compare(cpu, numpy_device, p, arrays, p.inputs(0, [0] * tokens), dtypes={"y": "f4"}, tolerance=0)
    np.testing.assert_array_equal(
        seen["y"].reshape(tokens, rows), x.astype(np.float64) @ w.T.astype(np.float64)
    )


@pytest.mark.parametrize("type_name", TYPES)
@pytest.mark.parametrize("shards", [1, 3])
def test_embed(cpu, numpy_device, rng, type_name, shards) -> None:
    rows, columns, tokens = 100, 768, 7
    m, arrays = matrix(rng, type_name, rows, columns, shards)
    p = Plan("test", tokens)
    ops.embed(p, m, scale=25.3)
    inputs = p.inputs(0, [0, 99, 31, 40, 63])
    seen = compare(cpu, numpy_device, p, arrays, inputs, dtypes={"embedding": "f4"}, tolerance=2e-7)
    assert not seen["embedding"].reshape(tokens, columns)[5:].any()


@pytest.mark.parametrize(("dim", "tokens", "count"), [(640, 1, 1), (1152, 5, 3), (36, 2, 2)])
def test_rms_norm(cpu, numpy_device, rng, dim, tokens, count) -> None:
    p = Plan("test", tokens)
    ops.rms_norm(p, "y", given("x", (tokens, dim)), given("weight", (dim,)), eps=1e-6)
    arrays = {
        "x": (rng.standard_normal((tokens, dim)) * 30_000).astype(np.float32),
        "weight": rng.standard_normal(dim).astype(np.float32),
    }
    compare(cpu, numpy_device, p, arrays, p.inputs(3, [0] * count), dtypes={"y": "f4"}, tolerance=F32)


@pytest.mark.parametrize(("dim", "tokens", "count"), [(640, 1, 1), (1152, 5, 3), (36, 2, 2)])
def test_norm_add(cpu, numpy_device, rng, dim, tokens, count) -> None:
    p = Plan("test", tokens)
    x, y = given("x", (tokens, dim)), given("y", (tokens, dim))
    ops.norm_add(p, "sum", x, y, given("weight", (dim,)), eps=1e-6)
    before = (rng.standard_normal((tokens, dim)) * 100_000).astype(np.float32)
    arrays = {
        "x": before,
        "y": rng.standard_normal((tokens, dim)).astype(np.float32),
        "weight": (rng.standard_normal(dim) * 1000).astype(np.float32),
    }
    seen = compare(cpu, numpy_device, p, arrays, p.inputs(0, [0] * count), dtypes={"x": "f4"}, tolerance=F32)
    np.testing.assert_array_equal(seen["x"].reshape(tokens, dim)[count:], before[count:])


@pytest.mark.parametrize(
    ("heads", "kv_heads", "dim", "slots", "position", "tokens", "count"),
    [
        (4, 1, 256, 64, 0, 1, 1),
        (4, 1, 256, 96, 90, 16, 13),
        (4, 2, 64, 40, 39, 1, 1),
        (3, 3, 100, 33, 31, 4, 4),
    ],
)
def test_rope_kv(cpu, numpy_device, rng, heads, kv_heads, dim, slots, position, tokens, count) -> None:
    p = Plan("test", tokens)
    context, width = 128, (heads + 2 * kv_heads) * dim
    shape = (slots, kv_heads, dim)
    cache = Cache(given("keys", shape, "f16"), given("values", shape, "f16"))
    norms = given("q_norm", (dim,)), given("k_norm", (dim,))
    angles = given("angles", (context, dim // 2, 2))
    ops.rope_kv(p, given("qkv", (tokens, width)), cache, *norms, angles, eps=1e-6, scale=0.0625)
    turn = np.arange(context)[:, None] * 10_000.0 ** (-np.arange(0, dim, 2) / dim)
    old = rng.standard_normal((2, *shape)).astype(np.float16)
    arrays = {
        "qkv": (rng.standard_normal((tokens, width)) * 50).astype(np.float32),
        "q_norm": rng.standard_normal(dim).astype(np.float32),
        "k_norm": rng.standard_normal(dim).astype(np.float32),
        "angles": np.stack([np.cos(turn), np.sin(turn)], axis=-1).astype(np.float32),
        "keys": old[0],
        "values": old[1],
    }
    inputs = p.inputs(position, [0] * count)
    dtypes = {"q": "f4", "keys": "f2", "values": "f2"}
    seen = compare(cpu, numpy_device, p, arrays, inputs, dtypes=dtypes, tolerance=F16)
    for name, before in zip(("keys", "values"), old, strict=True):
        kept = np.setdiff1d(np.arange(slots), (position + np.arange(count)) % slots)
        np.testing.assert_array_equal(seen[name].reshape(shape)[kept], before[kept])


def test_values_round_to_f16_as_numpy_does(cpu, rng) -> None:
    """Every kind of f16 there is: normal, denormal, ties, overflow, both signs."""
    dim = 256
    p = Plan("test", 1)
    cache = Cache(given("keys", (1, 1, dim), "f16"), given("values", (1, 1, dim), "f16"))
    norms = given("q_norm", (dim,)), given("k_norm", (dim,))
    angles = given("angles", (1, dim // 2, 2))
    ops.rope_kv(p, given("qkv", (1, 3 * dim)), cache, *norms, angles, eps=1e-6, scale=1.0)
    values = np.ldexp(rng.standard_normal(dim), rng.integers(-30, 16, dim)).astype(np.float32)
    values[:8] = [0.0, -0.0, 65504, 65519.9, 65520, -1e9, 2.0**-25, 1 + 2.0**-11]
    qkv = np.concatenate([rng.standard_normal(2 * dim), values]).astype(np.float32)
    with np.errstate(over="ignore"):
        expected = values.astype(np.float16)
    seen = execute(cpu, p, {"qkv": qkv}, p.inputs(0, [0]))
    np.testing.assert_array_equal(seen["values"].view(np.uint16)[:dim], expected.view(np.uint16))


@pytest.mark.parametrize(
    ("heads", "kv_heads", "dim", "slots", "window", "position", "tokens", "count"),
    [
        (4, 1, 256, 64, 64, 0, 1, 1),
        (4, 1, 256, 640, 512, 700, 1, 1),
        (4, 1, 256, 300, 300, 140, 16, 13),
        (8, 2, 64, 96, 40, 130, 40, 37),
        (6, 1, 100, 70, 33, 64, 9, 9),
        (6, 1, 36, 70, 33, 64, 1, 1),
        (3, 3, 20, 48, 8, 0, 24, 24),
    ],
)
def test_attention(
    cpu, numpy_device, rng, heads, kv_heads, dim, slots, window, position, tokens, count
) -> None:
    p = Plan("test", tokens)
    shape = (slots, kv_heads, dim)
    cache = Cache(given("keys", shape, "f16"), given("values", shape, "f16"))
    ops.attention(p, given("q", (tokens, heads * dim)), cache, window=window)
    arrays = {
        "q": rng.standard_normal((tokens, heads * dim)).astype(np.float32) / dim**0.5 * 6,
        "keys": rng.standard_normal(shape).astype(np.float16),
        "values": rng.standard_normal(shape).astype(np.float16),
    }
    inputs = p.inputs(position, [0] * count)
    seen = compare(cpu, numpy_device, p, arrays, inputs, dtypes={"attention": "f4"}, tolerance=1e-5)
    assert not seen["attention"].reshape(tokens, -1)[count:].any()


@pytest.mark.parametrize(("dim", "tokens", "count"), [(2048, 1, 1), (36, 5, 4)])
def test_geglu(cpu, numpy_device, rng, dim, tokens, count) -> None:
    p = Plan("test", tokens)
    ops.geglu(p, given("gate_up", (tokens, 2 * dim)))
    arrays = {"gate_up": (rng.standard_normal((tokens, 2 * dim)) * 20).astype(np.float32)}
    compare(cpu, numpy_device, p, arrays, p.inputs(0, [0] * count), dtypes={"geglu": "f4"}, tolerance=F32)


def test_exponential_is_accurate(cpu) -> None:
    """Through GEGLU with up = 1: gate / (1 + exp(-2u)) within 5e-7 of the value, where it is not tiny."""
    gate = np.linspace(-4, 12, 4096, dtype=np.float32)
    p = Plan("test", 1)
    ops.geglu(p, given("gate_up", (1, 2 * gate.size)))
    both = np.concatenate([gate, np.ones_like(gate)])
    seen = execute(cpu, p, {"gate_up": both}, p.inputs(0, [0]))["geglu"].view(np.float32)
    wide = gate.astype(np.float64)
    expected = wide / (1 + np.exp(-2 * np.sqrt(2 / np.pi) * (wide + 0.044715 * wide**3)))
    assert np.abs(seen - expected).max() <= 1e-6
    # The error of u is multiplied by the derivative of exp, so the relative bound grows with |u|.
    u = np.abs(np.sqrt(2 / np.pi) * (wide + 0.044715 * wide**3))
    assert (np.abs(seen - expected) <= 3e-7 * (1 + 2 * u) * np.abs(expected) + 1e-12).all()


def test_last_row(cpu, numpy_device, rng) -> None:
    p = Plan("test", 6)
    ops.last_row(p, given("x", (6, 100)))
    arrays = {"x": rng.standard_normal((6, 100)).astype(np.float32)}
    compare(cpu, numpy_device, p, arrays, p.inputs(0, [0] * 4), dtypes={"last row": "f4"}, tolerance=0)


@pytest.mark.parametrize("vocabulary", [64, 300, 5000, 262_144, 262_400])
def test_slice_maxima(cpu, numpy_device, rng, vocabulary) -> None:
    p = Plan("test", 1)
    ops.slice_maxima(p, given("x", (1, vocabulary)))
    arrays = {"x": rng.standard_normal(vocabulary).astype(np.float32)}
    compare(cpu, numpy_device, p, arrays, p.inputs(0, [0]), dtypes={"slice maxima": "f4"}, tolerance=0)


@pytest.mark.parametrize(("vocabulary", "count"), drawing.CANDIDATES)
@pytest.mark.parametrize("kind", drawing.KINDS)
def test_sample(cpu, numpy_device, vocabulary, count, kind) -> None:
    drawing.check_candidates(cpu, numpy_device, vocabulary, count, kind)


def test_sample_draws_by_the_rule(cpu, numpy_device) -> None:
    drawing.check_draws(cpu, numpy_device, 200)


@pytest.mark.parametrize(("vocabulary", "tokens", "count"), [(50, 3, 2), (4099, 32, 32)])
def test_log_prob(cpu, numpy_device, rng, vocabulary, tokens, count) -> None:
    p = Plan("test", tokens, scored=True)
    ops.log_prob(p, given("x", (tokens, vocabulary)), p.targets)
    arrays = {"x": (rng.standard_normal((tokens, vocabulary)) * 8).astype(np.float32)}
    targets = rng.integers(0, vocabulary, count).tolist()
    inputs = p.inputs(0, [0] * count, targets)
    compare(cpu, numpy_device, p, arrays, inputs, dtypes={"log probabilities": "f4"}, tolerance=F32)


def test_every_kernel_of_the_cpus_plans_has_a_twin_and_a_test(cpu) -> None:
    """What only the GPU's variants and drafts record needs none; the probes' are tested beside."""
    source = MemorySource(tiny.build(tiny.Tiny(layers=1)), "tiny", "tiny")
    engine = drive(Engine.outline(source, cpu, Settings(context=64, chunks=(8,))))
    scores = engine._recorder.plan("score", 8, engine.plans[0].choice, Head.SCORES)
    used = {d.kernel.operation for plan in (*engine.plans, scores) for d in plan.dispatches}
    engine.close()
    twins = set(signatures().records) - {"nothing", "stream", "dots"}
    assert twins == used
    assert used <= set(KERNELS)
    assert {n for n in twins if f"test_{n}" not in globals()} == set()
    assert set(layout.FORMATS) | {"none"} == set(signatures().formats)
