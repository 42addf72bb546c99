"""The fused decode kernels against numpy, and one to four tokens against each other, bit by bit."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from kernels.decoding import EPS, TEXTS, pending, plan, residuals
from kernels.harness import F16, F32, TYPES, adapted, columns_of, compare, execute, form_of, given, matrix
from sotto import ops
from sotto.devices.reference import device as reference
from sotto.native.dawn import NativeDevice
from sotto.ops import Cache, Partials
from sotto.plan.plan import Plan
from sotto.plan.variants import Variant
from sotto.plan.weights import Matrix

LONGEST = 32_768


@pytest.fixture
def numpy_device() -> Iterator[reference.NumpyDevice]:
    device = reference.NumpyDevice()
    yield device
    device.close()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


# A sweep and how it multiplies are tried with every format; how its lanes share rows and add up, and what the other
# kernels have before and after the same sweep, with two.
BY_FORMAT = ("rows", "lanes-subgroups", "lanes-f16-subgroups", "lanes-int8-subgroups")
FORMATS = {form_of(name).name: name for name in TYPES}  # a type for each
TWO = ("Q4_K", "Q6_K")


def cases(by_format: Sequence[str]) -> pytest.MarkDecorator:
    """Every variant with two formats, those named with all that they multiply in their own way."""
    found = [
        pytest.param(variant, name, id=f"{variant.name}-{name}")
        for variant in TEXTS
        for name in (FORMATS.values() if variant.name in by_format else TWO)
        if variant.precision != "int8" or form_of(name).packed
    ]
    return pytest.mark.parametrize(("variant", "type_name"), found, indirect=["variant"])


@pytest.fixture(params=TEXTS, ids=lambda variant: variant.name)
def variant(request: pytest.FixtureRequest, gpu: NativeDevice) -> Variant:
    """Every text of the kernels; one that this adapter cannot run is left out by name."""
    if not request.param.runs_on(gpu):
        pytest.skip(f"{gpu.adapter.name} lacks {sorted(request.param.features - set(gpu.adapter.features))}")
    return request.param


@pytest.fixture(params=["lanes", "rows"])
def tiling(request: pytest.FixtureRequest) -> Variant:
    """The variants whose attention differs: in splits and tiles."""
    return next(variant for variant in ops.DECODES if variant.name == request.param)


def shape_of(type_name: str, shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    """A shape for a format, so that all are tried, by at least two formats; the columns stand second."""
    rows, columns, *others = shapes[TYPES.index(type_name) % len(shapes)]
    return rows, columns_of(type_name, columns, 512), *others


def test_every_kernel_stays_within_the_default_limit_of_storage_buffers(variant: Variant) -> None:
    m = Matrix("m", 64, 128, ())
    for type_name in ("Q4_0", "F16"):
        m, _ = matrix(np.random.default_rng(0), type_name, 64, 128)
        p = plan(variant, 4)
        x, norm = given("x", (4, 128)), given("norm", (128,))
        ops.decode_qkv(p, "qkv", x, pending(4, 128), norm, m, eps=EPS)
        ops.decode_gate_up(p, "gate up", x, pending(4, 128), norm, m, eps=EPS)
        ops.decode_head(p, "head", x, pending(4, 128), norm, m, eps=EPS)
        ops.decode_down(p, "down", x, m)
        p.check(max_binding=1 << 27, max_grid=65_535, max_storage_buffers=8)
        assert len(p.dispatches) == 4


@cases(BY_FORMAT)
def test_decode_qkv(gpu: NativeDevice, numpy_device, rng, variant, type_name) -> None:
    rows, columns, shards, tokens, count, first_layer = shape_of(
        type_name,
        [(256, 640, 1, 1, 1, 0), (83, 1152, 1, 4, 3, 0), (72, 1280, 3, 2, 2, 0), (88, 512, 2, 3, 3, 1)],
    )
    m, arrays = matrix(rng, type_name, rows, columns, shards)
    p = plan(variant, tokens)
    waiting = None if first_layer else pending(tokens, columns)
    x, norm = given("x", (tokens, columns)), given("norm", (columns,))
    y, total = ops.decode_qkv(p, "y", x, waiting, norm, m, eps=EPS)
    assert y.shape == (tokens, rows)
    assert (total is x) == bool(first_layer)
    inputs = p.inputs(0, [0] * count)
    arrays |= residuals(rng, tokens, columns)
    if first_layer:
        del arrays["pending"], arrays["pending_norm"]
    names = {"y": "f4"} | ({} if first_layer else {total.name: "f4"})
    seen = compare(gpu, numpy_device, p, arrays, inputs, dtypes=names, tolerance=variant_tolerance(variant))
    assert not seen["y"].reshape(tokens, rows)[count:].any(), "tokens past the count were written"


def variant_tolerance(variant: Variant) -> float:
    """Relative to the largest value of an output. int8: a value that lies between two codes may go either way."""
    return F32 if variant.precision == "f32" else 2e-3


@cases(BY_FORMAT[:1])
def test_decode_gate_up(gpu: NativeDevice, numpy_device, rng, variant, type_name) -> None:
    width, columns, shards, tokens, count = shape_of(
        type_name, [(128, 640, 1, 1, 1), (40, 1152, 1, 4, 2), (72, 1280, 3, 2, 2), (520, 512, 1, 3, 3)]
    )
    m, arrays = matrix(rng, type_name, 2 * width, columns, shards)
    p = plan(variant, tokens)
    x, norm = given("x", (tokens, columns)), given("norm", (columns,))
    y, total = ops.decode_gate_up(p, "y", x, pending(tokens, columns), norm, m, eps=EPS)
    assert y.shape == (tokens, width)
    assert len(p.dispatches) == (1 if shards == 1 else shards + 1)
    inputs = p.inputs(0, [0] * count)
    arrays |= residuals(rng, tokens, columns)
    tolerance = 3 * variant_tolerance(variant)  # a product of two sums
    compare(
        gpu, numpy_device, p, arrays, inputs, dtypes={y.name: "f4", total.name: "f4"}, tolerance=tolerance
    )


@cases(BY_FORMAT)
def test_decode_down(gpu: NativeDevice, numpy_device, rng, variant, type_name) -> None:
    rows, columns, shards, tokens, count = shape_of(
        type_name, [(640, 2048, 1, 1, 1), (83, 6912, 1, 2, 2), (72, 288, 3, 4, 3), (1152, 768, 1, 3, 3)]
    )
    m, arrays = matrix(rng, type_name, rows, columns, shards)
    p = plan(variant, tokens)
    y = ops.decode_down(p, "y", given("x", (tokens, columns)), m)
    arrays["x"] = rng.standard_normal((tokens, columns)).astype(np.float32)
    inputs = p.inputs(0, [0] * count)
    compare(gpu, numpy_device, p, arrays, inputs, dtypes={y.name: "f4"}, tolerance=variant_tolerance(variant))


@cases(())
def test_decode_head(gpu: NativeDevice, numpy_device, rng, variant, type_name) -> None:
    vocabulary, columns, shards, tokens, count = shape_of(
        type_name,
        [(5000, 256, 1, 2, 2), (5000, 256, 1, 1, 1), (4096, 256, 2, 3, 3), (4096, 256, 2, 4, 3)],
    )
    m, arrays = matrix(rng, type_name, vocabulary, columns, shards)
    p = plan(variant, tokens)
    x, norm = given("x", (tokens, columns)), given("norm", (columns,))
    head = ops.decode_head(p, "y", x, pending(tokens, columns), norm, m, eps=EPS)
    assert head.slices is not None
    maxima, length = head.slices
    assert maxima.shape == (tokens, -(-vocabulary // length))
    inputs = p.inputs(0, [0] * count)
    arrays |= residuals(rng, tokens, columns)
    names = {"y": "f4", maxima.name: "f4"}
    seen = compare(gpu, numpy_device, p, arrays, inputs, dtypes=names, tolerance=variant_tolerance(variant))
    logits = seen["y"].reshape(tokens, vocabulary)[:count]
    found = np.maximum.reduceat(logits, np.arange(0, vocabulary, length), axis=1)
    np.testing.assert_array_equal(seen[maxima.name].reshape(tokens, -1)[:count], found)


@pytest.mark.parametrize(
    ("variant", "type_name", "shards"),
    [
        pytest.param(variant, type_name, shards, id=f"{variant.name}-{type_name}-{shards}")
        for number, variant in enumerate(TEXTS)
        for type_name, shards in ((TWO[number % 2], 1), ("Q8_0", 2))
        if shards == 1 or variant.name in BY_FORMAT[:1]  # every text, and one with several shards
    ],
    indirect=["variant"],
)
def test_adapters(gpu: NativeDevice, numpy_device, rng, variant, type_name, shards) -> None:
    """Each kernel adds B u to its rows, where u is what the kernel gives for A."""
    tokens, columns, rows = (1, 640, 160) if type_name == "Q6_K" else (3, 512, 96)
    columns = columns_of(type_name, columns, 512)
    m, weights = matrix(rng, type_name, rows, columns, shards)
    p = plan(variant, tokens)
    m, more = adapted(rng, m, 16, (48, 72))
    x, norm = given("x", (tokens, columns)), given("norm", (columns,))
    _, first = ops.decode_qkv(p, "qkv", x, pending(tokens, columns), norm, m, eps=EPS)
    _, second = ops.decode_gate_up(p, "gate up", x, pending(tokens, columns), norm, m, eps=EPS)
    ops.decode_down(p, "down", given("pending", (tokens, columns)), m)
    splits, heads = 3, 4
    merged = Partials(
        given("sums", (tokens, splits, heads, columns // heads)), given("stats", (tokens, splits, heads, 2))
    )
    ops.decode_output(p, "output", merged, m)
    p.check(max_binding=1 << 27, max_grid=65_535, max_storage_buffers=8)
    assert len(p.dispatches) == (8 if shards == 1 else 13)
    arrays = weights | more | residuals(rng, tokens, columns)
    arrays["sums"] = rng.standard_normal((tokens, splits, columns)).astype(np.float32)
    arrays["stats"] = np.abs(rng.standard_normal((tokens, splits, heads, 2))).astype(np.float32)
    gated = "gate up" if shards == 1 else "geglu"
    names = dict.fromkeys(["qkv", "down", "output", gated, first.name, second.name], "f4")
    inputs = p.inputs(64 * splits, [0] * min(2, tokens))
    tolerance = 4 * variant_tolerance(variant)  # sums of sums, and a product of two
    with_them = compare(gpu, numpy_device, p, arrays, inputs, dtypes=names, tolerance=tolerance)
    arrays["b"] = np.zeros_like(arrays["b"])
    without = execute(gpu, p, arrays, inputs)
    for name in ("qkv", "down", "output", gated):
        difference = np.abs(with_them[name] - without[name].view(np.float32)).max()
        assert difference > 0.1 * np.abs(with_them[name]).max(), f"{name} has nothing of the adapters"


def test_a_table_cut_inside_a_slice_has_no_maxima(variant: Variant) -> None:
    m, _ = matrix(np.random.default_rng(0), "Q8_0", 2 * 1032, 128, 2)
    p = plan(variant, 1)
    head = ops.decode_head(
        p, "head", given("x", (1, 128)), pending(1, 128), given("norm", (128,)), m, eps=EPS
    )
    assert head.slices is None


MERGES = [
    # heads, splits, dim, rows, shards, tokens, count
    (4, 17, 256, 640, 1, 1, 1),
    (4, 3, 64, 83, 1, 4, 3),
    (8, 16, 256, 72, 2, 2, 2),
    (3, 1, 128, 40, 1, 3, 3),
    (4, 32, 64, 40, 1, 4, 4),  # of the longest context
]


@pytest.mark.parametrize(
    ("variant", "heads", "splits", "dim", "rows", "shards", "tokens", "count"),
    [
        pytest.param(variant, *merge, id=f"{variant.name}-{'-'.join(map(str, merge))}")
        for variant in TEXTS
        for merge in (MERGES if variant.name in BY_FORMAT else MERGES[1:2])
    ],
    indirect=["variant"],
)
def test_decode_output(
    gpu: NativeDevice, numpy_device, rng, variant, heads, splits, dim, rows, shards, tokens, count
) -> None:
    m, arrays = matrix(rng, "Q8_0", rows, heads * dim, shards)
    p = plan(variant, tokens)
    partials = Partials(
        given("sums", (tokens, splits, heads, dim)), given("stats", (tokens, splits, heads, 2))
    )
    y = ops.decode_output(p, "y", partials, m)
    stats = np.abs(rng.standard_normal((tokens, splits, heads, 2))).astype(np.float32)
    stats[..., 0] *= 8
    stats[:, 1:][rng.random((tokens, splits - 1, heads)) < 0.5] = 0  # splits without keys
    sums = rng.standard_normal((tokens, splits, heads, dim)).astype(np.float32)
    sums[stats[..., 1] == 0] = 0
    arrays |= {"sums": sums, "stats": stats}
    inputs = p.inputs(64 * splits, [0] * count)  # all have been reached
    compare(gpu, numpy_device, p, arrays, inputs, dtypes={y.name: "f4"}, tolerance=variant_tolerance(variant))


ATTENTIONS = [
    # heads, kv_heads, dim, slots, window, position, tokens, count
    (4, 1, 256, 256, 256, 0, 1, 1),
    (4, 1, 256, 300, 300, 299, 1, 1),
    (4, 1, 256, 1024, 1024, 700, 1, 1),
    (4, 1, 256, 544, 512, 1500, 4, 4),  # a ring
    (4, 1, 256, 96, 32, 500, 4, 3),
    (8, 1, 64, 80, 80, 62, 4, 4),  # two groups of heads; a run across two tiles
    (4, 2, 128, 70, 65, 64, 3, 3),
    (3, 3, 104, 40, 7, 100, 2, 2),
    (4, 1, 64, 64, 64, 1, 3, 3),
    (4, 1, 64, 32_768, 32_768, 32_764, 4, 4),  # the end of the longest context
    (4, 1, 64, 32_768, 32_768, 700, 1, 1),  # most splits have no keys
    (4, 1, 64, 544, 512, 32_767, 1, 1),
    (4, 1, 64, 544, 512, 0, 4, 4),  # no position is in the cache yet
    (4, 1, 64, 544, 512, 31, 4, 4),
    (4, 1, 64, 544, 512, 511, 4, 4),  # the first ones that the window leaves out
]


def context_of(slots: int, window: int) -> int:
    """Positions there are: a global layer has a slot for each, a local one a ring."""
    return slots if slots == window else LONGEST


def attention_case(rng, heads, kv_heads, dim, slots, window, tokens) -> dict[str, np.ndarray]:
    turn = np.arange(context_of(slots, window))[:, None] * 10_000.0 ** (-np.arange(0, dim, 2) / dim)
    qkv = rng.standard_normal((tokens, heads + 2 * kv_heads, dim)).astype(np.float32) * 50
    qkv[:, heads + kv_heads :] /= 50
    return {
        "qkv": qkv,
        "q_norm": (1.5 + rng.standard_normal(dim) * 0.2).astype(np.float32),
        "k_norm": (1.5 + rng.standard_normal(dim) * 0.2).astype(np.float32),
        "angles": np.stack([np.cos(turn), np.sin(turn)], axis=-1).astype(np.float32),
        "keys": rng.standard_normal((slots, kv_heads, dim)).astype(np.float16),
        "values": rng.standard_normal((slots, kv_heads, dim)).astype(np.float16),
    }


def record_attention(variant, heads, kv_heads, dim, slots, window, tokens) -> tuple[Plan, Partials]:
    p = plan(variant, tokens)
    partials = ops.decode_attention(
        p,
        given("qkv", (tokens, (heads + 2 * kv_heads) * dim)),
        Cache(given("keys", (slots, kv_heads, dim), "f16"), given("values", (slots, kv_heads, dim), "f16")),
        given("q_norm", (dim,)),
        given("k_norm", (dim,)),
        given("angles", (context_of(slots, window), dim // 2, 2)),  # all of the context, or a ring
        window=window,
        eps=EPS,
        scale=dim**-0.5,
    )
    return p, partials


@pytest.mark.parametrize(
    ("heads", "kv_heads", "dim", "slots", "window", "position", "tokens", "count"), ATTENTIONS
)
def test_decode_attention(
    gpu: NativeDevice, numpy_device, rng, tiling, heads, kv_heads, dim, slots, window, position, tokens, count
) -> None:  # fmt: skip
    p, partials = record_attention(tiling, heads, kv_heads, dim, slots, window, tokens)
    arrays = attention_case(rng, heads, kv_heads, dim, slots, window, tokens)
    for tensor in (partials.sums, partials.stats):  # left by the run before; a split without keys clears it
        arrays[tensor.name] = np.ones(tensor.shape, np.float32)
    inputs = p.inputs(position, [0] * count)
    names = {partials.sums.name: "f4", partials.stats.name: "f4"}
    seen = compare(gpu, numpy_device, p, arrays, inputs, dtypes=names, tolerance=1e-3)
    stats = seen[partials.stats.name].reshape(partials.stats.shape)
    assert (stats[:count, :, :, 1].max(axis=1) > 0).all()
    seen = compare(gpu, numpy_device, p, arrays, inputs, dtypes={"keys": "f2", "values": "f2"}, tolerance=F16)
    kept = np.setdiff1d(np.arange(slots), (position + np.arange(count)) % slots)
    for name in ("keys", "values"):
        now = seen[name].reshape(slots, kv_heads, dim)
        np.testing.assert_array_equal(now[kept], arrays[name][kept].astype(np.float64), err_msg=name)


@pytest.mark.parametrize(
    ("tokens", "window", "slots", "position"), [(2, 1024, 1024, 31), (3, 96, 128, 400), (4, 1024, 1024, 61)]
)
def test_attention_of_several_tokens_is_that_of_each(
    gpu: NativeDevice, rng, tiling, tokens, window, slots, position
) -> None:
    shape = (4, 1, 256, slots)
    arrays = attention_case(rng, *shape, window, tokens)
    p, partials = record_attention(tiling, *shape, window, tokens)
    together = execute(gpu, p, arrays, p.inputs(position, [0] * tokens))
    one, _ = record_attention(tiling, *shape, window, 1)
    alone = dict(arrays)
    for t in range(tokens):
        alone["qkv"] = arrays["qkv"][t]
        seen = execute(gpu, one, alone, one.inputs(position + t, [0]))
        alone |= {"keys": seen["keys"], "values": seen["values"]}
        for tensor in (partials.sums, partials.stats):
            got = together[tensor.name].view(np.uint32).reshape(tokens, -1)[t]
            np.testing.assert_array_equal(got, seen[tensor.name].view(np.uint32), err_msg=f"token {t}")
    for name in ("keys", "values"):
        np.testing.assert_array_equal(together[name], alone[name])


@pytest.mark.parametrize(
    ("variant", "type_name", "tokens"),
    [
        pytest.param(variant, name, tokens, id=f"{variant.name}-{name}-{tokens}")
        for variant, (name, tokens) in zip(
            TEXTS, itertools.cycle([("Q6_K", 2), ("Q4_0", 4), ("Q8_0", 3)]), strict=False
        )
    ],
    indirect=["variant"],
)
def test_sweeps_of_several_tokens_are_those_of_each(
    gpu: NativeDevice, rng, variant, type_name, tokens
) -> None:
    rows, columns = 80, 1280
    m, weights = matrix(rng, type_name, rows, columns)
    own = variant.name in BY_FORMAT  # multiplies in its own way: with adapters too
    with_adapters, more = adapted(rng, m, 8, (32, 64))
    weights |= more if own else {}
    arrays = residuals(rng, tokens, columns)
    splits = 5
    arrays["sums"] = rng.standard_normal((tokens, splits, columns)).astype(np.float32)
    arrays["stats"] = np.abs(rng.standard_normal((tokens, splits, 5, 2))).astype(np.float32)

    def run(count: int, given_arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        p = plan(variant, count)
        x, norm = given("x", (count, columns)), given("norm", (columns,))
        ops.decode_qkv(p, "qkv", x, pending(count, columns), norm, m, eps=EPS)
        ops.decode_gate_up(p, "gate up", x, pending(count, columns), norm, m, eps=EPS)
        ops.decode_head(p, "head", x, pending(count, columns), norm, m, eps=EPS)
        ops.decode_down(p, "down", given("pending", (count, columns)), m)
        merged = Partials(
            given("sums", (count, splits, 5, columns // 5)), given("stats", (count, splits, 5, 2))
        )
        ops.decode_output(p, "output", merged, m)
        if own:
            ops.decode_qkv(p, "adapted qkv", x, None, norm, with_adapters, eps=EPS)
            ops.decode_gate_up(p, "adapted gate up", x, None, norm, with_adapters, eps=EPS)
            ops.decode_output(p, "adapted output", merged, with_adapters)
        return execute(gpu, p, weights | given_arrays, p.inputs(64 * splits, [0] * count))

    together = run(tokens, arrays)
    shared = {"pending_norm", "norm"}
    for t in range(tokens):
        alone = run(1, {name: a if name in shared else a[t] for name, a in arrays.items()})
        for name, whole in together.items():
            got = whole.view(np.uint32).reshape(tokens, -1)[t]
            assert got.any()
            np.testing.assert_array_equal(got, alone[name].view(np.uint32), err_msg=f"{name}, token {t}")
