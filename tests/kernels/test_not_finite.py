"""One value among all that is infinite or no number is told, wherever it lies and whoever computes.

Compilers may take it for granted that there are no such values, and maxima may leave them out: so every kernel between
a value and the choice of a token is asked, by itself and in an engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest

import tiny
from kernels import drawing
from kernels.decoding import TEXTS, pending, plan, residuals
from kernels.harness import CPUS, Loaded, given, matrix, matrix_of, processor
from sotto import ops
from sotto.api import drive, iterate
from sotto.device import Device
from sotto.engine.engine import Engine
from sotto.errors import DeviceError
from sotto.formats import blocks
from sotto.native.dawn import NativeDevice
from sotto.plan.plan import Plan
from sotto.plan.variants import SIMPLE, Job, Variant
from sotto.reports import Settings
from sotto.source import MemorySource
from sotto.text.sampler import NO_TOKEN, Sampling
from sotto.tuning import candidates
from sotto.weights import layout

# Infinities, and numbers that are none: quiet and signalling, with and without a sign.
BAD = (0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001, 0xFFFFFFFF)


def bad(index: int) -> np.float32:
    """One of these, another for each index."""
    return np.array([BAD[index % len(BAD)]], np.uint32).view(np.float32)[0]


def places(vocabulary: int, length: int) -> list[int]:
    """The first and the last of all, those of slices and between, and of a last slice that is short."""
    last = (vocabulary - 1) // length * length
    middle = vocabulary // 2 // length * length
    found = {0, 1, length - 1, length, middle + length // 2, last - 1, last, (last + vocabulary) // 2}
    return sorted({place for place in found if place < vocabulary} | {vocabulary - 1})


@pytest.fixture(scope="module", params=["numpy", *CPUS, "gpu"])
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    yield from processor(request.param, request)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.mark.parametrize(
    ("vocabulary", "count", "wanted"),
    [(300, 5, 0), (300, 300, 0), (262_144, 64, 1), (262_144, 64, 0), (262_400, 64, 0)],
)
def test_sample(device: Device, rng, vocabulary: int, count: int, wanted: int) -> None:
    """The token is none, and the value comes first among the candidates."""
    p = drawing.plan_of(vocabulary, count)
    length = int(dict(p.dispatches[-1].constants)["SLICE"])
    x = rng.standard_normal(vocabulary).astype(np.float32)
    inputs = p.inputs(0, [0], rule=np.array([wanted], np.uint32).tobytes())
    with closing(Loaded(device, p)) as loaded:
        for index, place in enumerate([None, *places(vocabulary, length), None]):
            spoilt = x.copy()
            if place is not None:
                spoilt[place] = bad(index)
            written = loaded.run({"x": spoilt}, inputs)
            token = written["inputs"].view(np.uint32)[64]
            first = written["candidates"].view(np.uint32)[:2]
            assert token == (x.argmax() if place is None else NO_TOKEN), f"{place}: {token}"
            assert first[0] == (x.argmax() if place is None else place)
            assert place is None or first[1] & 0x7F800000 == 0x7F800000


def test_more_bad_values_than_candidates(device: Device) -> None:
    p = drawing.plan_of(1000, 8)
    with closing(Loaded(device, p)) as loaded:
        for index in range(len(BAD)):
            written = loaded.run({"x": np.full(1000, bad(index))}, p.inputs(0, [0]))
            assert written["inputs"].view(np.uint32)[64] == NO_TOKEN
            np.testing.assert_array_equal(written["candidates"].view(np.uint32)[:16:2], np.arange(8))


@pytest.mark.parametrize("vocabulary", [50, 5000, 262_144])
def test_log_prob(device: Device, rng, vocabulary: int) -> None:
    """No number for the token whose logits they are, be the target that one or another; the others' are right."""
    p = Plan("test", 3, scored=True)
    ops.log_prob(p, given("x", (3, vocabulary)), p.targets)
    x = rng.standard_normal((3, vocabulary)).astype(np.float32)
    with closing(Loaded(device, p)) as loaded:
        for index, place in enumerate(places(vocabulary, 64)):
            spoilt = x.copy()
            spoilt[1, place] = bad(index)
            target = place if index % 2 else (place + 3) % vocabulary
            written = loaded.run({"x": spoilt}, p.inputs(0, [0, 0, 0], [1, target, 2]))
            found = written["log probabilities"].view(np.float32)[:3]
            np.testing.assert_array_equal(np.isfinite(found), [True, False, True], err_msg=str(place))


@pytest.mark.parametrize(("vocabulary", "length"), [(5000, None), (5000, 64), (262_144, 64), (262_144, 300)])
@pytest.mark.parametrize("device", ["numpy", "gpu"], indirect=True)
def test_best(device: Device, rng, vocabulary: int, length: int | None) -> None:
    """The others' tokens are right. Drafts are not checked on the CPU."""
    p = Plan("test", 3)
    x = rng.standard_normal((3, vocabulary)).astype(np.float32)
    slices = -(-vocabulary // length) if length else 0
    ops.best(p, given("x", x.shape), (given("maxima", (3, slices)), length) if length else None)
    with closing(Loaded(device, p)) as loaded:
        for index, place in enumerate(places(vocabulary, length or 64)):
            spoilt = x.copy()
            spoilt[1, place] = bad(index)
            arrays = {"x": spoilt}
            if length:
                marked = np.where(np.isfinite(spoilt), spoilt, np.nan)
                arrays["maxima"] = np.maximum.reduceat(marked, np.arange(0, vocabulary, length), axis=1)
            found = loaded.run(arrays, p.inputs(0, [0] * 3))["best"].view(np.uint32)[:3]
            np.testing.assert_array_equal(found, [x[0].argmax(), NO_TOKEN, x[2].argmax()], err_msg=str(place))


def spoil(type_name: str, data: np.ndarray, rows: int, row: int, index: int) -> np.ndarray:
    """The bytes of a matrix whose product is not finite in one row."""
    spoilt = data.copy().reshape(rows, -1)
    if type_name == "F32":
        spoilt[row, :4] = np.array([BAD[index % len(BAD)]], np.uint32).view(np.uint8)
    else:  # Q8_0: the first block's scale
        spoilt[row, :2] = np.array([(0x7C00, 0xFC00, 0x7E00, 0x7C01)[index % 4]], np.uint16).view(np.uint8)
    return spoilt.reshape(-1)


@pytest.mark.parametrize("type_name", ["F32", "Q8_0"])
@pytest.mark.parametrize("tokens", [1, 3])
@pytest.mark.parametrize("variant", TEXTS, ids=lambda v: v.name)
def test_the_fused_head(gpu: NativeDevice, rng, variant: Variant, tokens: int, type_name: str) -> None:
    """In a table of two shards, whose last slice is a short one: the maxima of the head carry it to the choice."""
    if not variant.runs_on(gpu):
        pytest.skip(f"{gpu.adapter.name} lacks {sorted(variant.features - set(gpu.adapter.features))}")
    rows, columns = 8181, 128
    data = blocks.quantize(type_name, rng.standard_normal((rows, columns)).astype(np.float32))
    m, _ = matrix_of(type_name, data, rows, columns, 2)
    p = plan(variant, tokens)
    x, norm = given("x", (tokens, columns)), given("norm", (columns,))
    head = ops.decode_head(p, "y", x, pending(tokens, columns), norm, m, eps=1e-6)
    assert head.slices is not None and m.shards[1].row % head.slices[1] == 0
    if tokens == 1:
        ops.sample(p, head.logits, given("text", (8,), "u32"), 8, head.slices)
    else:
        ops.best(p, head.logits, head.slices)
    arrays = residuals(rng, tokens, columns)
    second, length = m.shards[1].row, head.slices[1]
    cases = [None, *places(rows, length), second - 1, second, second + length // 2, None]
    with closing(Loaded(gpu, p)) as loaded:
        for index, row in enumerate(cases):
            spoilt = data if row is None else spoil(type_name, data, rows, row, index)
            _, planes = matrix_of(type_name, spoilt, rows, columns, 2)
            written = loaded.run(arrays | planes, p.inputs(0, [0] * tokens))
            found = written["inputs" if tokens == 1 else "best"].view(np.uint32)
            found = found[64:65] if tokens == 1 else found[:tokens]
            assert ((found == NO_TOKEN) == (row is not None)).all(), f"row {row}: {found}"


INT8 = [v for job in (Job.DECODE, Job.MATMUL) for v in candidates.VARIANTS[job] if v.precision == "int8"]


@pytest.mark.parametrize("variant", INT8, ids=str)
def test_int8_activations_on_the_gpu(gpu: NativeDevice, rng, variant: Variant) -> None:
    """Codes have no infinity: the block's scale has to tell, for the token alone that the value is of."""
    if not variant.runs_on(gpu):
        pytest.skip(f"{gpu.adapter.name} lacks {sorted(variant.features - set(gpu.adapter.features))}")
    tokens = 3 if variant.job is Job.DECODE else 40
    m, arrays = matrix(rng, "Q4_0", 64, 256)
    p = Plan("test", tokens, choice=SIMPLE.but(variant))
    (ops.decode_down if variant.job is Job.DECODE else ops.matmul)(p, "y", given("x", (tokens, 256)), m)
    _check_activations(gpu, p, arrays, rng, tokens)


@pytest.mark.parametrize("tokens", [1, 40])
@pytest.mark.parametrize("device", ["relaxed", "simd"], indirect=True)
def test_int8_activations_on_the_cpu(device: Device, rng, tokens: int) -> None:
    m, arrays = matrix(rng, "Q4_0", 64, 256)
    p = Plan("test", tokens)
    ops.matmul(p, "y", given("x", (tokens, 256)), m)
    _check_activations(device, p, arrays, rng, tokens)


def _check_activations(device: Device, p: Plan, arrays, rng, tokens: int) -> None:
    x = rng.standard_normal((tokens, 256)).astype(np.float32)
    with closing(Loaded(device, p)) as loaded:
        for index, column in enumerate([0, 31, 32, 33, 34, 35, 130, 255]):
            spoilt = x.copy()
            spoilt[tokens // 2, column] = bad(index)
            y = loaded.run(arrays | {"x": spoilt}, p.inputs(0, [0] * tokens))["y"].view(np.float32)
            finite = np.isfinite(y.reshape(tokens, -1))
            expected = np.broadcast_to((np.arange(tokens) != tokens // 2)[:, None], finite.shape)
            np.testing.assert_array_equal(finite, expected, err_msg=f"column {column}")


@pytest.mark.parametrize("variant", ["decode:simple", "decode:rows"])
def test_engine(device: Device, rng, variant: str) -> None:
    """One row of the table, and so one logit: the first token, those after it, a draft's check and a score tell."""
    if variant == "decode:rows" and not device.traits.wgsl:
        pytest.skip("the CPU has the simple kernels")
    source = MemorySource(tiny.build(tiny.Tiny(layers=2, types={"token_embd": "F32"})), "tiny.gguf", "tiny")
    settings = Settings(context=64, chunks=(8,), variant=f"{variant},matmul:simple,attention:simple")
    engine = drive(Engine.load(source, device, None, settings))
    rows = engine.config.vocabulary
    embed = next(d for d in engine.plans[0].dispatches if d.kernel.operation == "embed")
    number = next(b.number for b in embed.kernel.bindings if b.name == "weights")
    weights = next(b.tensor for b in embed.bindings if b.number == number)
    columns = weights.shape[1]
    assert weights.shape[0] == rows, "the table is one shard"
    table = rng.standard_normal((rows, columns)).astype(np.float32)
    ids = [2, 300, 301, 302, 300, 301]

    def fill(row: int | None) -> None:
        spoilt = table.copy()
        if row is not None:
            spoilt[row, 7] = bad(row)
        plane, _ = layout.convert("F32", spoilt.reshape(-1).view(np.uint8), rows, columns)
        engine._memory.write(weights, plane)
        engine.forget()

    greedy = Sampling(temperature=0)
    fill(None)
    assert len(list(iterate(engine.generate(ids, 4, greedy, ignore_eos=True)))) == 4
    assert np.isfinite(drive(engine.score(ids))).all()
    for row in (0, 63, 64, 290, rows - 1):
        # Greedily, by a draw, and in Python among all tokens.
        for sampling in (greedy, Sampling(seed=1), Sampling(top_k=0, seed=1)):
            fill(row)
            with pytest.raises(DeviceError, match="not a number"):
                list(iterate(engine.generate(ids, 4, sampling, ignore_eos=True)))
        with pytest.raises(DeviceError, match="not a number"):
            drive(engine.score(ids))
    engine.close()
