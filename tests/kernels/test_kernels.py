"""Every kernel against numpy: odd sizes, tails, in place, one token and many.

What the CPU has a kernel for too is tried there with the same cases, three threads, and both builds. Tolerances are
relative to the largest value of an output.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from cpu import quantized
from kernels import drawing, matrices
from kernels.harness import (
    CPUS,
    F16,
    F32,
    ROUNDED,
    TYPES,
    adapted,
    columns_of,
    compare,
    execute,
    given,
    matrix,
    processor,
)
from sotto import ops
from sotto.device import Device
from sotto.devices.reference.device import NumpyDevice
from sotto.devices.reference.kernels import KERNELS
from sotto.errors import UnsupportedModel
from sotto.native.dawn import NativeDevice
from sotto.ops import Cache
from sotto.plan import wgsl
from sotto.plan.plan import Plan
from sotto.plan.variants import SIMPLE, Job
from sotto.plan.weights import Matrix
from sotto.tuning import candidates

RNG_SEED = 7
MATRICES = tuple(v for v in candidates.VARIANTS[Job.MATMUL] if "matrix" in v.options)


@pytest.fixture
def numpy_device() -> Iterator[NumpyDevice]:
    device = NumpyDevice()
    yield device
    device.close()


@pytest.fixture(scope="module", params=["gpu", *CPUS])
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    """The GPU, and the CPU with both builds of its kernels: what all of them have."""
    yield from processor(request.param, request)


@pytest.fixture
def reference(device: Device, numpy_device: NumpyDevice, monkeypatch: pytest.MonkeyPatch) -> NumpyDevice:
    """numpy, with int8 activations for the CPU's products of coded weights: then only the order of sums differs."""
    if not device.traits.wgsl:
        for name, kernel in quantized.KERNELS.items():
            monkeypatch.setitem(KERNELS, name, kernel)
    return numpy_device


def on_every_device(
    job: Job,
    names: tuple[str, ...],
    on_gpu: Sequence[tuple[object, ...]],
    on_cpu: Sequence[tuple[object, ...]],
) -> pytest.MarkDecorator:
    """Cases of a job: the GPU with all variants, the CPU with its one."""
    gpus = [("gpu", variant, *case) for variant in candidates.VARIANTS[job] for case in on_gpu]
    cpus = [(name, SIMPLE[job], *case) for name in CPUS for case in on_cpu]
    rows = [
        pytest.param(*row, id="-".join((row[0], row[1].name, *map(str, row[2:])))) for row in (*gpus, *cpus)
    ]
    return pytest.mark.parametrize(("device", "variant", *names), rows, indirect=["device"])


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(RNG_SEED)


@pytest.mark.parametrize("type_name", TYPES)
@pytest.mark.parametrize(
    ("rows", "columns", "shards"), [(256, 640, 1), (83, 256, 1), (72, 1280, 3), (9, 96, 1)]
)
def test_matvec(device: Device, reference, rng, type_name, rows, columns, shards) -> None:
    columns = columns_of(type_name, columns, 512)
    m, arrays = matrix(rng, type_name, rows, columns, shards)
    p = Plan("test", 1)
    x = given("x", (1, columns))
    y = ops.matmul(p, "y", x, m)
    assert y.shape == (1, rows)
    arrays["x"] = rng.standard_normal(columns).astype(np.float32)
    compare(device, reference, p, arrays, p.inputs(0, [0]), dtypes={"y": "f4"}, tolerance=F32)


SHAPES = [
    # rows, columns, tokens, count, shards
    (64, 256, 4, 4, 1),
    (83, 512, 33, 33, 1),
    (72, 768, 32, 13, 2),
    (520, 32, 5, 2, 1),
    (136, 256, 70, 67, 1),
]


@on_every_device(
    Job.MATMUL,
    ("type_name", "rows", "columns", "tokens", "count", "shards"),
    [  # two formats in every shape, each of the others in two, or in one
        *((name, *shape) for name in ("Q4_0", "Q6_K") for shape in SHAPES),
        *((name, *shape) for name in ("Q4_K", "Q8_0", "F16", "BF16", "F32") for shape in SHAPES[1:3]),
        *((name, *SHAPES[2]) for name in ROUNDED),
    ],
    [(name, *shape) for name in TYPES for shape in SHAPES],
)
def test_matmul(
    device: Device, reference, rng, variant, type_name, rows, columns, tokens, count, shards
) -> None:
    if not variant.runs_on(device):
        pytest.skip(
            f"this adapter has no {', '.join(sorted(variant.features - set(device.adapter.features)))}"
        )
    columns = columns_of(type_name, columns, 256)
    m, arrays = matrix(rng, type_name, rows, columns, shards)
    p = Plan("test", tokens, choice=SIMPLE.but(variant))
    y = ops.matmul(p, "y", given("x", (tokens, columns)), m)
    assert y.shape == (tokens, rows)
    arrays["x"] = rng.standard_normal((tokens, columns)).astype(np.float32)
    # int8: where numpy and the GPU round a half differently, a code is one off
    tolerance = {"f32": F32, "f16": F16, "int8": 1e-3}[variant.precision]
    seen = compare(
        device, reference, p, arrays, p.inputs(0, [0] * count), dtypes={"y": "f4"}, tolerance=tolerance
    )
    assert not seen["y"].reshape(tokens, rows)[count:].any(), "tokens past the count were written"


@pytest.mark.parametrize(("rows", "tokens", "count"), [(48, 70, 67), (16, 512, 512), (20, 3, 2)])
def test_few_rows_across_tokens(device: Device, reference, rng, rows, tokens, count) -> None:
    m, arrays = matrix(rng, "Q8_0", rows, 256)
    p = Plan("test", tokens)
    ops.simple.matmul(p, "y", given("x", (tokens, 256)), m, across=True)
    arrays["x"] = rng.standard_normal((tokens, 256)).astype(np.float32)
    inputs = p.inputs(0, [0] * count)
    seen = compare(device, reference, p, arrays, inputs, dtypes={"y": "f4"}, tolerance=F32)
    assert not seen["y"].reshape(tokens, rows)[count:].any(), "tokens past the count were written"


@pytest.mark.parametrize("tokens", [8, 32, 33, 128, 512])
@pytest.mark.parametrize("variant", MATRICES, ids=lambda v: v.name)
def test_subgroup_matrices(gpu: NativeDevice, numpy_device, rng, variant, tokens) -> None:
    """The plans' sizes and between them: tails of tokens and of rows, columns in several parts."""
    if not variant.runs_on(gpu):
        pytest.skip(f"this adapter has no {', '.join(sorted(variant.features - set(gpu.adapter.features)))}")
    m, arrays = matrix(rng, "Q4_0", 155, 640)
    p = Plan("test", tokens, choice=SIMPLE.but(variant))
    y = ops.matmul(p, "y", given("x", (tokens, 640)), m)
    arrays["x"] = rng.standard_normal((tokens, 640)).astype(np.float32)
    count = max(tokens - 3, 1)
    tolerance = {"f32": F32, "f16": F16}[variant.precision]
    seen = compare(
        gpu, numpy_device, p, arrays, p.inputs(0, [0] * count), dtypes={"y": "f4"}, tolerance=tolerance
    )
    assert not seen["y"].reshape(y.shape)[count:].any(), "tokens past the count were written"


@pytest.mark.parametrize(
    ("subgroups", "tokens", "rows", "columns"), [(2, 70, 72, 128), (8, 32, 83, 64), (32, 70, 72, 32)]
)
@pytest.mark.parametrize("variant", MATRICES, ids=lambda v: v.name)
def test_every_shape_of_subgroup_matrix(
    gpu: NativeDevice, numpy_device, rng, variant, subgroups, tokens, rows, columns
) -> None:
    """Matrices that no adapter here has, and subgroups of all sizes, spelt out in plain WGSL and f32."""
    m, arrays = matrix(rng, "Q4_0", rows, columns)
    plain = replace(variant, options=variant.options | {"stage": "f32"})
    p = Plan("test", tokens, choice=SIMPLE.but(plain))
    ops.matmul(p, "y", given("x", (tokens, columns)), m)
    assert p.dispatches[0].kernel.name.startswith("matmul_subgroup_matrix")
    p.dispatches[0] = replace(p.dispatches[0], kernel=matrices.spelt_out(p.dispatches[0].kernel, subgroups))
    arrays["x"] = rng.standard_normal((tokens, columns)).astype(np.float32)
    inputs = p.inputs(0, [0] * (tokens - 3))
    compare(gpu, numpy_device, p, arrays, inputs, dtypes={"y": "f4"}, tolerance=F32)


@pytest.mark.parametrize(("columns", "tokens", "count"), [(64, 1, 1), (640, 9, 7), (2080, 2, 2)])
def test_quantize(gpu: NativeDevice, numpy_device, rng, columns, tokens, count) -> None:
    p = Plan("test", tokens)
    ops.quantize(p, "x", given("x", (tokens, columns)))
    x = (rng.standard_normal((tokens, columns)) * np.exp(rng.standard_normal((tokens, columns)))).astype(
        np.float32
    )
    x[0, :32] = 0
    dtypes = {"x codes": "i1", "x scales": "f4"}
    seen = compare(
        gpu, numpy_device, p, {"x": x}, p.inputs(0, [0] * count), dtypes=dtypes, tolerance=0.01
    )  # a code may be one off, of 127
    codes = seen["x codes"].reshape(tokens, columns // 32, 32)
    scales = seen["x scales"].reshape(tokens, columns // 32, 2)
    back = (codes * scales[..., :1]).reshape(tokens, columns)
    assert np.abs(back - x)[:count].max() <= 0.51 * scales[..., 0].max()
    np.testing.assert_allclose(back[:count].reshape(count, -1, 32).sum(-1), scales[:count, :, 1], atol=1e-2)
    assert not codes[count:].any()


@pytest.mark.parametrize(
    ("type_name", "rows", "columns", "tokens", "count"),
    [("Q4_0", 83, 640, 40, 37), ("Q4_K", 64, 256, 8, 8), ("Q6_K", 128, 512, 70, 69), ("Q8_0", 9, 96, 5, 5)],
)
def test_matmul_int8(gpu: NativeDevice, numpy_device, rng, type_name, rows, columns, tokens, count) -> None:
    """Near the product in f32: int8 activations cost less than a hundredth of its spread."""
    m, arrays = matrix(rng, type_name, rows, columns)
    x = rng.standard_normal((tokens, columns)).astype(np.float32)
    int8 = next(v for v in candidates.VARIANTS[Job.MATMUL] if v.precision == "int8")
    outputs = []
    for variant in (int8, SIMPLE[Job.MATMUL]):
        p = Plan("test", tokens, choice=SIMPLE.but(variant))
        ops.matmul(p, "y", given("x", (tokens, columns)), m)
        seen = compare(
            gpu,
            numpy_device,
            p,
            arrays | {"x": x},
            p.inputs(0, [0] * count),
            dtypes={"y": "f4"},
            tolerance=1e-3,
        )
        outputs.append(seen["y"].reshape(tokens, rows)[:count])
    error = np.std(outputs[0] - outputs[1]) / np.std(outputs[1])
    assert 1e-4 < error < 1e-2


@pytest.mark.parametrize(("parts", "rows", "tokens", "count"), [(2, 64, 5, 5), (7, 83, 9, 4)])
def test_sum_parts(gpu: NativeDevice, numpy_device, rng, parts, rows, tokens, count) -> None:
    p = Plan("test", tokens)
    ops.sum_parts(p, "sum", given("parts", (tokens, parts, rows)), given("y", (tokens, rows)))
    arrays = {"parts": rng.standard_normal((tokens, parts, rows)).astype(np.float32)}
    seen = compare(gpu, numpy_device, p, arrays, p.inputs(0, [0] * count), dtypes={"y": "f4"}, tolerance=F32)
    assert not seen["y"].reshape(tokens, rows)[count:].any()


@pytest.mark.parametrize("type_name", ["Q4_0", "Q4_K", "Q6_K", "Q8_0", "F32"])
def test_rows_of_a_matrix_are_a_matrix(gpu: NativeDevice, numpy_device, rng, type_name) -> None:
    """Rows 32..127 of three pieces, against the same rows of the whole product."""
    m, arrays = matrix(rng, type_name, 192, 256, shards=3)
    x = rng.standard_normal((3, 256)).astype(np.float32)
    p = Plan("test", 3)
    ops.matmul(p, "whole", given("x", (3, 256)), m)
    ops.matmul(p, "part", given("x", (3, 256)), m.part(32, 96))
    seen = compare(
        gpu, numpy_device, p, arrays | {"x": x}, p.inputs(0, [0] * 3),
        dtypes={"whole": "f4", "part": "f4"}, tolerance=F32,
    )  # fmt: skip
    np.testing.assert_array_equal(seen["part"].reshape(3, 96), seen["whole"].reshape(3, 192)[:, 32:128])
    with pytest.raises(UnsupportedModel, match="cannot be cut before row"):
        m.part(4, 8)


@pytest.mark.parametrize("type_name", TYPES)
@pytest.mark.parametrize("shards", [1, 3])
def test_embed(device: Device, reference, rng, type_name, shards) -> None:
    rows, columns, tokens = 100, 768, 7
    m, arrays = matrix(rng, type_name, rows, columns, shards)
    p = Plan("test", tokens)
    ops.embed(p, m, scale=25.3)
    inputs = p.inputs(0, [0, 99, 31, 40, 63])
    seen = compare(device, reference, p, arrays, inputs, dtypes={"embedding": "f4"}, tolerance=2e-7)
    assert not seen["embedding"].reshape(tokens, columns)[5:].any()


@pytest.mark.parametrize(("dim", "tokens", "count"), [(640, 1, 1), (1152, 5, 3), (36, 2, 2)])
def test_rms_norm(device: Device, reference, rng, dim, tokens, count) -> None:
    p = Plan("test", tokens)
    ops.rms_norm(p, "y", given("x", (tokens, dim)), given("weight", (dim,)), eps=1e-6)
    arrays = {
        "x": (rng.standard_normal((tokens, dim)) * 30_000).astype(np.float32),
        "weight": rng.standard_normal(dim).astype(np.float32),
    }
    compare(device, reference, p, arrays, p.inputs(3, [0] * count), dtypes={"y": "f4"}, tolerance=F32)


@pytest.mark.parametrize(("dim", "tokens", "count"), [(640, 1, 1), (1152, 5, 3), (36, 2, 2)])
def test_norm_add(device: Device, reference, rng, dim, tokens, count) -> None:
    p = Plan("test", tokens)
    ops.norm_add(
        p, "sum", given("x", (tokens, dim)), given("y", (tokens, dim)), given("weight", (dim,)), eps=1e-6
    )
    x = (rng.standard_normal((tokens, dim)) * 100_000).astype(np.float32)
    arrays = {
        "x": x,
        "y": rng.standard_normal((tokens, dim)).astype(np.float32),
        "weight": (rng.standard_normal(dim) * 1000).astype(np.float32),
    }
    seen = compare(device, reference, p, arrays, p.inputs(0, [0] * count), dtypes={"x": "f4"}, tolerance=F32)
    np.testing.assert_array_equal(seen["x"].reshape(tokens, dim)[count:], x[count:])


@pytest.mark.parametrize(
    ("heads", "kv_heads", "dim", "slots", "position", "tokens", "count"),
    [
        (4, 1, 256, 64, 0, 1, 1),
        (4, 1, 256, 96, 90, 16, 13),
        (4, 2, 64, 40, 39, 1, 1),
        (3, 3, 100, 33, 31, 4, 4),
    ],
)
def test_rope_kv(
    device: Device, reference, rng, heads, kv_heads, dim, slots, position, tokens, count
) -> None:
    p = Plan("test", tokens)
    context = 128
    cache = Cache(
        given("keys", (slots, kv_heads, dim), "f16"), given("values", (slots, kv_heads, dim), "f16")
    )
    norms = given("q_norm", (dim,)), given("k_norm", (dim,))
    ops.rope_kv(
        p,
        given("qkv", (tokens, (heads + 2 * kv_heads) * dim)),
        cache,
        *norms,
        given("angles", (context, dim // 2, 2)),
        eps=1e-6,
        scale=0.0625,
    )
    turn = np.arange(context)[:, None] * 10_000.0 ** (-np.arange(0, dim, 2) / dim)
    old = rng.standard_normal((2, slots, kv_heads, dim)).astype(np.float16)
    arrays = {
        "qkv": (rng.standard_normal((tokens, (heads + 2 * kv_heads) * dim)) * 50).astype(np.float32),
        "q_norm": rng.standard_normal(dim).astype(np.float32),
        "k_norm": rng.standard_normal(dim).astype(np.float32),
        "angles": np.stack([np.cos(turn), np.sin(turn)], axis=-1).astype(np.float32),
        "keys": old[0],
        "values": old[1],
    }
    inputs = p.inputs(position, [0] * count)
    compare(device, reference, p, arrays, inputs, dtypes={"q": "f4"}, tolerance=F32)
    seen = compare(device, reference, p, arrays, inputs, dtypes={"keys": "f2", "values": "f2"}, tolerance=F16)
    kept = np.setdiff1d(np.arange(slots), (position + np.arange(count)) % slots)
    for index, name in enumerate(("keys", "values")):
        now = seen[name].reshape(slots, kv_heads, dim)
        np.testing.assert_array_equal(
            now[kept], old[index][kept].astype(np.float64), err_msg="other slots changed"
        )


@on_every_device(
    Job.ATTENTION,
    ("heads", "kv_heads", "dim", "slots", "window", "position", "tokens", "count"),
    [
        (4, 1, 256, 256, 256, 0, 1, 1),
        (4, 1, 256, 300, 300, 299, 1, 1),
        (4, 1, 256, 96, 32, 500, 16, 13),
        (8, 1, 64, 80, 80, 60, 5, 5),
        (4, 2, 128, 70, 65, 64, 3, 3),
        (3, 3, 100, 40, 7, 100, 2, 2),
        (4, 1, 256, 600, 512, 1000, 40, 37),
        (6, 2, 32, 200, 200, 0, 100, 90),
        (4, 1, 64, 64, 32, 7, 32, 32),
        (4, 1, 64, 32_768, 32_768, 32_736, 32, 32),  # the end of the longest context
        (8, 1, 32, 900, 300, 10, 600, 590),  # so many rows that their keys are not divided
    ],
    [
        (4, 1, 256, 64, 64, 0, 1, 1),
        (4, 1, 256, 640, 512, 700, 1, 1),
        (4, 1, 256, 300, 300, 140, 16, 13),
        (4, 1, 64, 32_768, 32_768, 32_736, 32, 32),
        (8, 2, 64, 96, 40, 130, 40, 37),
        (6, 1, 100, 70, 33, 64, 9, 9),
        (6, 1, 36, 70, 33, 64, 1, 1),
        (3, 3, 20, 48, 8, 0, 24, 24),
    ],
)
def test_attention(
    device: Device,
    reference,
    rng,
    variant,
    heads,
    kv_heads,
    dim,
    slots,
    window,
    position,
    tokens,
    count,
) -> None:
    p = Plan("test", tokens, choice=SIMPLE.but(variant))
    cache = Cache(
        given("keys", (slots, kv_heads, dim), "f16"), given("values", (slots, kv_heads, dim), "f16")
    )
    ops.attention(p, given("q", (tokens, heads * dim)), cache, window=window)
    arrays = {
        "q": rng.standard_normal((tokens, heads * dim)).astype(np.float32) / dim**0.5 * 6,
        "keys": rng.standard_normal((slots, kv_heads, dim)).astype(np.float16),
        "values": rng.standard_normal((slots, kv_heads, dim)).astype(np.float16),
    }
    inputs = p.inputs(position, [0] * count)
    tolerance = 1e-5 if position < 10_000 else 1e-4  # the more addends, the more rounding
    seen = compare(device, reference, p, arrays, inputs, dtypes={"attention": "f4"}, tolerance=tolerance)
    assert not seen["attention"].reshape(tokens, -1)[count:].any(), "tokens past the count were written"


@pytest.mark.parametrize(
    ("splits", "tokens", "count", "heads", "dim"), [(2, 3, 2, 4, 256), (16, 32, 32, 3, 64)]
)
def test_attention_merge(gpu: NativeDevice, numpy_device, rng, splits, tokens, count, heads, dim) -> None:
    p = Plan("test", tokens)
    shape = (tokens, splits, heads)
    ops.attention_merge(p, given("partials", (*shape, dim)), given("stats", (*shape, 2)))
    stats = np.stack([rng.standard_normal(shape) * 20, rng.uniform(1, 32, shape)], axis=-1)
    partials = rng.standard_normal((*shape, dim)).astype(np.float32)
    stats[1, 1::2] = -3e38, 0  # a split without keys
    partials[1, 1::2] = 0
    arrays = {"partials": partials, "stats": stats.astype(np.float32)}
    inputs = p.inputs(0, [0] * count)
    compare(gpu, numpy_device, p, arrays, inputs, dtypes={"attention": "f4"}, tolerance=F32)


@pytest.mark.parametrize(("dim", "tokens", "count"), [(2048, 1, 1), (36, 5, 4)])
def test_geglu(device: Device, reference, rng, dim, tokens, count) -> None:
    p = Plan("test", tokens)
    ops.geglu(p, given("gate_up", (tokens, 2 * dim)))
    arrays = {"gate_up": (rng.standard_normal((tokens, 2 * dim)) * 20).astype(np.float32)}
    compare(device, reference, p, arrays, p.inputs(0, [0] * count), dtypes={"geglu": "f4"}, tolerance=F32)


@pytest.mark.parametrize(
    ("rows", "rank", "begins", "tokens", "count"),
    [
        (640, 16, (), 1, 1),
        (83, 8, (), 1, 1),
        (83, 8, (), 9, 7),
        (136, 24, (64,), 33, 33),
        (96, 40, (48, 72), 6, 5),
        (96, 40, (48, 72), 1, 1),
        (64, 16, (0, 32), 4, 3),  # the rest of three, without the first
    ],
)
def test_low_rank_add(device: Device, reference, rng, rows, rank, begins, tokens, count) -> None:
    p = Plan("test", tokens)
    m, arrays = adapted(rng, Matrix("m", rows, 32, ()), rank, begins)
    assert m.low_rank is not None
    low = given("low", (tokens, rank * (1 + len(begins))))
    ops.low_rank_add(p, "adapters", given("y", (tokens, rows)), low, m.low_rank)
    arrays |= {
        "y": rng.standard_normal((tokens, rows)).astype(np.float32),
        "low": rng.standard_normal(low.shape).astype(np.float32),
    }
    arrays = {name: arrays[name] for name in ("y", "low", "b")}
    seen = compare(device, reference, p, arrays, p.inputs(0, [0] * count), dtypes={"y": "f4"}, tolerance=F32)
    np.testing.assert_array_equal(seen["y"].reshape(tokens, rows)[count:], arrays["y"][count:])


@pytest.mark.parametrize("tokens", [1, 9])
@pytest.mark.parametrize("first", [0, 64, 96])
def test_rows_of_a_matrix_with_adapters(device: Device, reference, rng, tokens, first) -> None:
    """Of a part of three stacked matrices: what a chunk's last layer takes of queries, keys and values."""
    m, arrays = matrix(rng, "Q8_0", 160, 256)
    m, more = adapted(rng, m, 8, (64, 128))
    p = Plan("test", tokens)
    y = ops.matmul(p, "y", given("x", (tokens, 256)), m.part(first, 160 - first))
    arrays |= more | {"x": rng.standard_normal((tokens, 256)).astype(np.float32)}
    compare(device, reference, p, arrays, p.inputs(0, [0] * tokens), dtypes={y.name: "f4"}, tolerance=2 * F32)
    whole = Plan("test", tokens)
    ops.matmul(whole, "y", given("x", (tokens, 256)), m)
    rows, all_rows = (
        execute(device, plan, arrays, plan.inputs(0, [0] * tokens))["y"].view(np.float32).reshape(tokens, -1)
        for plan in (p, whole)
    )
    np.testing.assert_array_equal(rows, all_rows[:, first:])


def test_last_row(device: Device, reference, rng) -> None:
    p = Plan("test", 6)
    ops.last_row(p, given("x", (6, 100)))
    arrays = {"x": rng.standard_normal((6, 100)).astype(np.float32)}
    compare(device, reference, p, arrays, p.inputs(0, [0] * 4), dtypes={"last row": "f4"}, tolerance=0)


@pytest.mark.parametrize("vocabulary", [64, 300, 5000, 262_144, 262_400])
def test_slice_maxima(device: Device, reference, rng, vocabulary) -> None:
    p = Plan("test", 1)
    ops.slice_maxima(p, given("x", (1, vocabulary)))
    arrays = {"x": rng.standard_normal(vocabulary).astype(np.float32)}
    compare(device, reference, p, arrays, p.inputs(0, [0]), dtypes={"slice maxima": "f4"}, tolerance=0)


@pytest.mark.parametrize(("vocabulary", "count"), drawing.CANDIDATES)
@pytest.mark.parametrize("kind", drawing.KINDS)
def test_sample(device: Device, reference, vocabulary, count, kind) -> None:
    drawing.check_candidates(device, reference, vocabulary, count, kind)


def test_sample_draws_by_the_rule(device: Device, reference) -> None:
    drawing.check_draws(device, reference, 60 if device.traits.wgsl else 200)


@pytest.mark.parametrize(
    ("vocabulary", "tokens", "count", "length"),
    [
        (50, 3, 2, None),
        (5000, 4, 4, None),
        (5000, 4, 3, 64),  # the last slice is a short one
        (5000, 2, 2, 300),
        (262_144, 2, 2, None),
        (262_144, 2, 2, 256),
        (262_144, 2, 2, 64),
    ],
)
@pytest.mark.parametrize("ties", [False, True])
def test_best(gpu: NativeDevice, numpy_device, rng, vocabulary, tokens, count, length, ties) -> None:
    p = Plan("test", tokens)
    x = (rng.standard_normal((tokens, vocabulary)) * 8).astype(np.float32)
    if ties:
        x = np.minimum(x, 9)
    arrays = {"x": x}
    maxima = None
    if length:
        arrays["maxima"] = np.maximum.reduceat(x, np.arange(0, vocabulary, length), axis=1)
        maxima = given("maxima", arrays["maxima"].shape), length
    ops.best(p, given("x", (tokens, vocabulary)), maxima)
    inputs = p.inputs(0, [0] * count)
    seen = compare(
        gpu, numpy_device, p, arrays, inputs, dtypes={"best": "u4"}, tolerance=0, exact=lambda name: True
    )
    np.testing.assert_array_equal(seen["best"][:count], x.argmax(axis=-1)[:count])


@pytest.mark.parametrize(("vocabulary", "tokens", "count"), [(50, 3, 2), (4099, 32, 32)])
def test_log_prob(device: Device, reference, rng, vocabulary, tokens, count) -> None:
    p = Plan("test", tokens, scored=True)
    ops.log_prob(p, given("x", (tokens, vocabulary)), p.targets)
    arrays = {"x": (rng.standard_normal((tokens, vocabulary)) * 8).astype(np.float32)}
    targets = rng.integers(0, vocabulary, count).tolist()
    inputs = p.inputs(0, [0] * count, targets)
    compare(device, reference, p, arrays, inputs, dtypes={"log probabilities": "f4"}, tolerance=F32)


def test_one_name_in_four_places() -> None:
    """kernels/x.wgsl, ops.x, reference.x and test_x here or beside: a kernel without one of them is named.

    That a test_x runs the kernel x, the harness sees.
    """
    from kernels import test_decode

    kernels = {name for name in wgsl.names() if wgsl.variant_of(name) is None}
    assert kernels, "no kernels were found"
    assert {n: "ops" for n in kernels if not callable(getattr(ops, n, None))} == {}
    assert dict.fromkeys(kernels ^ set(KERNELS), "reference") == {}
    tests = globals() | vars(test_decode)
    assert {n: "test" for n in kernels if f"test_{n}" not in tests} == {}


def test_every_variant_is_recorded_and_computes_what_it_says() -> None:
    """A file that is another way to compute something is what a variant of the tuner's list records for that, so that
    test_matmul and test_attention, which go through the list, hold it against numpy."""
    files = {name: of for name in wgsl.names() if (of := wgsl.variant_of(name)) is not None}
    recorded: dict[str, str] = {}
    m, _ = matrix(np.random.default_rng(0), "Q4_0", 64, 256)
    cache = Cache(given("keys", (64, 1, 64), "f16"), given("values", (64, 1, 64), "f16"))
    for variant in (v for variants in candidates.VARIANTS.values() for v in variants):
        p = Plan("test", 40, choice=SIMPLE.but(variant))
        ops.matmul(p, "y", given("x", (40, 256)), m)
        ops.attention(p, given("q", (40, 256)), cache, window=64)
        recorded |= {d.kernel.name.partition(":")[0]: d.kernel.operation for d in p.dispatches}
    assert files.items() <= recorded.items(), "a variant's file that nothing in candidates.VARIANTS records"
    assert set(files.values()) <= set(KERNELS)
