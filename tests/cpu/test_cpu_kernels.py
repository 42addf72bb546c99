"""What is the CPU's own: int8 activations, exp and f16 without a library, and which kernels there are. The kernels
that it has like the GPU are held against numpy in tests/kernels/test_kernels.py."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import numpy as np
import pytest

import tiny
from cpu import quantized
from kernels import test_kernels
from kernels.harness import CPUS, TYPES, compare, execute, given, matrix, processor
from sotto import ops
from sotto.api import drive
from sotto.device import Device
from sotto.devices.cpu import signatures
from sotto.devices.reference import device as reference
from sotto.devices.reference.kernels import KERNELS
from sotto.engine.engine import Engine
from sotto.models.base import Head
from sotto.ops import Cache
from sotto.plan.plan import Plan
from sotto.plan.variants import SIMPLE
from sotto.reports import Settings
from sotto.source import MemorySource
from sotto.weights import layout
from unit.test_plan import record


@pytest.fixture(scope="module", params=CPUS)
def cpu(request: pytest.FixtureRequest) -> Iterator[Device]:
    yield from processor(request.param, request)


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


def test_every_kernel_of_the_cpus_plans_has_a_twin_and_a_test(cpu) -> None:
    """What only the GPU's variants and drafts record needs none; the probes' are tested beside."""
    source = MemorySource(tiny.build(tiny.Tiny(layers=1)), "tiny", "tiny")
    engine = drive(Engine.outline(source, cpu, Settings(context=64, chunks=(8,))))
    scores = engine._recorder.plan("score", 8, engine.plans[0].choice, Head.SCORES)
    with_adapter = record(source, 8, SIMPLE, rank=8)
    used = {d.kernel.operation for plan in (*engine.plans, scores, with_adapter) for d in plan.dispatches}
    engine.close()
    twins = set(signatures().records) - {"nothing", "stream", "dots"}
    assert twins == used
    assert used <= set(KERNELS)
    for name in twins:  # the test of its name is run on the CPU too
        assert "device" in inspect.signature(getattr(test_kernels, f"test_{name}")).parameters, name
    assert set(layout.FORMATS) | {"none"} == set(signatures().formats)
