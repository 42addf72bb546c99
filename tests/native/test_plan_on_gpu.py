"""The recorded plans on the GPU, dispatch by dispatch, against numpy: the first bad label is named."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import hugging
import tiny
import turns
from sotto import ops
from sotto.api import drive, iterate
from sotto.device import Device, Pipeline, Shader
from sotto.devices.pace import amounts, longest
from sotto.devices.reference.device import NumpyDevice
from sotto.engine import generation
from sotto.engine.drafts import Costs
from sotto.engine.engine import Engine
from sotto.errors import DeviceError, OutOfMemory
from sotto.native import dawn
from sotto.native.dawn import NativeDevice
from sotto.plan.memory import kernels
from sotto.plan.plan import Plan, Use
from sotto.plan.variants import Variant
from sotto.reports import Settings
from sotto.source import MemorySource
from sotto.text.sampler import Sampling
from sotto.tuning.self_check import SelfCheck

SETTINGS = Settings(context=160, chunks=(8, 32), tune=False)
SAMPLED = Sampling(
    temperature=1, top_k=40, top_p=0.97, repeat_penalty=1.2, repeat_last=20, copy_bias=2, seed=5
)


def load(device: Device, data: bytes, variant: str = "") -> Engine:
    settings = replace(SETTINGS, variant=variant)
    return drive(Engine.load(MemorySource(data, "tiny.gguf", "tiny"), device, None, settings))


@pytest.mark.parametrize(
    ("tokens", "variant"),
    [(1, "decode:simple"), (1, "decode:rows"), (8, "")]
    + [(8, str(v)) for v in ops.MATMULS if "matrix" in v.options],
)
def test_every_dispatch_writes_what_numpy_writes(gpu: NativeDevice, tokens: int, variant: str) -> None:
    data = tiny.build(tiny.Tiny())
    matmul = next((v for v in ops.MATMULS if str(v) == variant), None)
    if matmul and not matmul.runs_on(gpu):
        pytest.skip(f"this adapter has no {', '.join(sorted(matmul.features - set(gpu.adapter.features)))}")
    reference = NumpyDevice()
    reference.adapter = replace(reference.adapter, features=gpu.adapter.features)
    engines = load(gpu, data, variant), load(reference, data, variant)
    # Softmax makes more of what f16 rounds off.
    bound = 1e-2 if matmul and matmul.precision == "f16" else 2e-3
    ids = np.random.default_rng(1).integers(200, engines[0].config.vocabulary, 50).tolist()
    for engine in engines:
        turns.prefill(engine, ids[:40])  # the ring has wrapped: 32 + 8
    position, chunk = 40, ids[40 : 40 + tokens]
    loaded = [engine.session.programs[tokens] for engine in engines]
    plan = loaded[0].plan
    inputs = plan.inputs(position, chunk)
    programs = [engine._memory.program(plan) for engine in engines]
    handles = [drive(engine.device.load(p)) for engine, p in zip(engines, programs, strict=True)]
    for engine, program in zip(engines, programs, strict=True):  # what no kernel writes is the same on both
        for dispatch, step in zip(plan.dispatches, program.steps, strict=True):
            for declared, (_, buffer, offset, nbytes, _) in zip(
                dispatch.bindings, step.bindings, strict=True
            ):
                if declared.tensor.use is Use.SCRATCH:
                    engine.device.write(buffer, offset, bytes(nbytes))
    for index, dispatch in enumerate(plan.dispatches):
        if dispatch.kernel.name == "sample":
            break  # it writes integers; the tokens below test it
        for engine, handle in zip(engines, handles, strict=True):
            drive(engine.device.run(handle, inputs, steps=index + 1))
        for binding, on_gpu, on_numpy in zip(
            dispatch.bindings,
            programs[0].steps[index].bindings,
            programs[1].steps[index].bindings,
            strict=True,
        ):
            if binding.access != "read_write" or "no queries" in binding.tensor.name:
                continue
            got, expected = (
                np.frombuffer(
                    drive(e.device.read(b[1], b[2], b[3])), "f2" if binding.tensor.dtype == "f16" else "f4"
                )
                for e, b in zip(engines, (on_gpu, on_numpy), strict=True)
            )
            got, expected = got.astype(np.float64), expected.astype(np.float64)
            worst = np.abs(got - expected).max() / np.abs(expected).max()
            assert np.any(expected)
            assert worst < bound, f"{dispatch.label}: {binding.tensor.name} is off by {worst:.1e}"
    for engine in engines:
        engine.close()


def test_a_model_whose_rows_share_a_scale(gpu: NativeDevice) -> None:
    """Every matrix in int4 with one scale for a row, the embedding too: the GPU passes the self-check with kernels for
    that, and its log-probabilities are numpy's."""
    settings = replace(SETTINGS, weights="int4")
    engines = [
        drive(Engine.load(hugging.folder(hugging.files()), device, None, settings))
        for device in (gpu, NumpyDevice())
    ]
    assert {part.form.name for part in engines[0]._image.parts if part.form} == {"q4r"}
    check = SelfCheck(engines[0]._recorder)

    async def no_warmth(plan: Plan, program: int, inputs: bytes) -> int:
        return 0

    drive(check.expect())
    assert drive(check.check(gpu, no_warmth)) == 1.0
    ids = np.random.default_rng(7).integers(200, 500, 45).tolist()
    scores = [drive(engine.score(ids)) for engine in engines]
    np.testing.assert_allclose(scores[0], scores[1], atol=2e-2)
    for engine in engines:
        engine.close()


POSITIONS = (0, 1, 31, 63, 64, 89)  # the first token, a full window, a ring that has wrapped


def candidates_of(gpu: NativeDevice, variant: str) -> tuple[int, list[dict[int, float]]]:
    """How many candidates decoding with a variant gives, and their logits at each position."""
    one_format = {name: "Q8_0" for name in tiny.DEFAULT_TYPES if not name.startswith("blk")}
    data = tiny.build(tiny.Tiny(seed=4, types=one_format))  # few pipelines to compile
    engine = load(gpu, data, variant)
    count = engine.settings.candidates
    ids = np.random.default_rng(2).integers(200, engine.config.vocabulary, 90).tolist()
    logits = []
    for position in POSITIONS:
        if position:
            turns.prefill(engine, ids[:position])
        out = turns.decode(engine, position, ids[position])
        logits.append(dict(zip(out.ids.tolist(), out.logits.tolist(), strict=True)))
    engine.close()
    return count, logits


@pytest.fixture(scope="module")
def simple_candidates(gpu: NativeDevice) -> tuple[int, list[dict[int, float]]]:
    return candidates_of(gpu, "decode:simple")


@pytest.mark.parametrize("variant", ops.DECODES, ids=str)
def test_fused_decoding_finds_the_simple_kernels_candidates(
    gpu: NativeDevice, simple_candidates: tuple[int, list[dict[int, float]]], variant: Variant
) -> None:
    if not variant.runs_on(gpu):
        pytest.skip(f"{gpu.adapter.name} cannot run {variant}")
    count, expected = simple_candidates
    _, found = candidates_of(gpu, str(variant))
    # A key or value that f16 rounds the other way moves this random model's logits, whose spread is 1.5, by up to
    # 0.005, activations in f16 by 0.02, and activations rounded to 8 bits by 0.3.
    bound, others = {"f32": (1e-2, 3), "f16": (4e-2, 3), "int8": (0.5, 6)}[variant.precision]
    worst = fewest = 0.0
    for a, b in zip(expected, found, strict=True):
        common = a.keys() & b.keys()
        fewest = max(fewest, count - len(common))
        worst = max(worst, *(abs(a[t] - b[t]) for t in common))
    print(f"{variant}: logits off by {worst:.1e}, {fewest:.0f} of {count} candidates are others")
    assert fewest <= others, "nearly the same candidates"
    assert worst < bound


def test_greedy_tokens_are_numpys_where_the_margin_is_clear(gpu: NativeDevice) -> None:
    data = tiny.build(tiny.Tiny(seed=3))
    on_gpu, on_numpy = load(gpu, data), load(NumpyDevice(), data)
    rng = np.random.default_rng(5)
    compared = 0
    for length in (1, 7, 8, 31, 90):
        ids = rng.integers(200, on_gpu.config.vocabulary, length).tolist()
        scores = [drive(e.score(ids)) for e in (on_gpu, on_numpy)]
        np.testing.assert_allclose(scores[0], scores[1], atol=2e-2)
        a, b = (
            [p.token for p in iterate(e.generate(ids, 10, Sampling(temperature=0)))]
            for e in (on_gpu, on_numpy)
        )
        compared += sum(x == y for x, y in zip(a, b, strict=False))
        assert a[0] == b[0]
    assert compared > 30
    on_gpu.close()
    on_numpy.close()


@pytest.mark.parametrize("sampling", [Sampling(temperature=0), SAMPLED])
def test_batches_on_the_gpu_give_what_python_picks(
    gpu: NativeDevice, monkeypatch, sampling: Sampling
) -> None:
    """Sixteen tokens without asking, two batches in flight, against one at a time picked by Python."""
    monkeypatch.setattr(generation, "BATCH_SECONDS", 1e6)
    engine = load(gpu, tiny.build(tiny.Tiny(seed=3)))
    ids = np.random.default_rng(5).integers(200, engine.config.vocabulary, 50).tolist()
    batched = [p.token for p in iterate(engine.generate(ids, 60, sampling, ignore_eos=True))]
    assert (engine.stats.mode, engine.stats.largest_batch) == ("batches", 16)
    alone = engine.generate(ids, 60, sampling, ignore_eos=True, logits=lambda logits, text: logits)
    single = [p.token for p in iterate(alone)]
    assert (engine.stats.mode, engine.stats.largest_batch) == ("single", 1)
    assert batched == single
    engine.close()


def test_all_logits_are_those_that_the_gpu_selects_from(gpu: NativeDevice) -> None:
    engine = load(gpu, tiny.build(tiny.Tiny(seed=3)))
    for length in (1, 8, 50):
        ids = np.random.default_rng(5).integers(200, engine.config.vocabulary, length).tolist()
        for follows in ([], [300]):  # from a chunk's program, and from the one for a token
            engine.forget()
            turns.prefill(engine, ids)
            selected = turns.prefill(engine, [*ids, *follows])
            engine.forget()
            turns.logits(engine, ids)
            logits = turns.logits(engine, [*ids, *follows])
            np.testing.assert_array_equal(logits[selected.ids], selected.logits)
            assert (logits > selected.logits[-1]).sum() < len(selected.ids)
    engine.close()


def compiled(engine: Engine, seconds: float) -> bool:
    """Whether the device has compiled what checks drafts, after so many seconds at most."""
    assert engine._programs.check is not None
    return drive(engine.device.ready(*kernels(engine._programs.check)[:2], seconds))


@pytest.mark.parametrize("software", [True, False])
def test_an_answer_does_not_wait_for_what_checks_drafts(
    gpu: NativeDevice, monkeypatch: pytest.MonkeyPatch, software: bool
) -> None:
    """It compiles from the end of the load on, or on a CPU that does everything from the first draft on; drafts are
    checked when it is done."""
    monkeypatch.setattr(generation, "LEAST_FOUND", -1.0)  # look for drafts all the time
    monkeypatch.setattr(generation, "BATCH_SECONDS", 1e6)
    monkeypatch.setattr(Costs, "worthwhile", True)
    settings = Settings(context=160, chunks=(8,), variant="decode:rows,matmul:simple,attention:simple")
    sizes = tiny.Tiny(layers=2, types=dict.fromkeys(tiny.DEFAULT_TYPES, "Q4_0"))
    source = MemorySource(tiny.build(sizes), "tiny.gguf", "tiny")
    device = NativeDevice()  # on which nothing was compiled yet
    device.adapter = replace(device.adapter, software=software)
    ready = device.ready
    done = True  # the check of the device waits for its kernels

    async def compiler(shaders: Sequence[Shader], pipelines: Sequence[Pipeline], seconds: float) -> bool:
        return done and await ready(shaders, pipelines, seconds)

    monkeypatch.setattr(device, "ready", compiler)
    engine = drive(Engine.load(source, device, None, settings))
    done = False
    programs = set(device._programs)
    shaders, pipelines, *_ = kernels(engine._programs.check)
    wanted = {dawn._key(shaders[pipeline.shader], pipeline) for pipeline in pipelines}
    assert (wanted <= {*device._compiling, *device._pipelines}) is not software
    ids = [2, *range(300, 310), *range(300, 310)]

    def answer() -> list[int]:
        return [p.token for p in iterate(engine.generate(ids, 40, Sampling(temperature=0), ignore_eos=True))]

    plain = answer()
    assert (engine.stats.mode, engine.stats.drafted_tokens) == ("batches", 0)
    assert engine.stats.largest_batch > generation.FEW_TOKENS, "nothing is held back for drafts yet"
    assert set(device._programs) == programs
    done = True
    assert compiled(engine, 60)
    assert answer() == plain
    assert engine.stats.mode == "speculation" and engine.stats.drafted_tokens
    engine.close()
    device.close()


def test_speculation_gives_what_plain_decoding_gives(gpu: NativeDevice, monkeypatch) -> None:
    """Greedy tokens one at a time, in batches, and with drafts checked four tokens at a time: the same, past the window
    and round the ring; and the text in the cache is the one that was written."""
    monkeypatch.setattr(generation, "BATCH_SECONDS", 1e6)
    monkeypatch.setattr(generation, "LEAST_FOUND", -1.0)  # look for drafts all the time
    settings = Settings(context=160, chunks=(8, 32), variant="decode:rows")
    data = tiny.build(tiny.Tiny(seed=3))
    engine = drive(Engine.load(MemorySource(data, "tiny.gguf", "tiny"), gpu, None, settings))
    assert compiled(engine, 60)
    drafted = accepted = 0
    for seed in range(6):
        phrase = np.random.default_rng(seed).integers(200, engine.config.vocabulary, 12).tolist()
        ids = [2, *phrase, *phrase[:6], *phrase[2:], *phrase[:4]]
        runs = []
        for mode in ("single", "batches", "speculation"):
            wanted = mode == "speculation"
            monkeypatch.setattr(Costs, "worthwhile", property(lambda costs, wanted=wanted: wanted))
            change = (lambda logits, text: logits) if mode == "single" else None
            pieces = engine.generate(ids, 90, Sampling(temperature=0), ignore_eos=True, logits=change)
            runs.append([p.token for p in iterate(pieces)])
            assert engine.stats.mode == mode
        assert len(runs[0]) == 90
        assert runs[1:] == runs[:-1]
        text = [*ids, *runs[0]]
        assert engine.session.kept.ids == text[: len(engine.session.kept.ids)]
        drafted += engine.stats.drafted_tokens
        accepted += engine.stats.accepted_tokens
    print(f"{accepted} of {drafted} drafted tokens accepted")
    assert 0 < accepted < drafted
    # The last text again: Stop, and the end of the text, also in the middle of what a check gave.
    expected = runs[0]
    for wanted in range(20, 30):
        shown = []
        for piece in iterate(engine.generate(ids, 90, Sampling(temperature=0), ignore_eos=True)):
            shown.append(piece.token)
            if len(shown) == wanted:
                engine.stop()
        assert (shown, engine.stats.stop_reason) == (expected[:wanted], "cancelled")
    for end in set(expected[10:40]):
        monkeypatch.setattr(engine.tokenizer, "stop_ids", frozenset([end]))
        shown = [piece.token for piece in iterate(engine.generate(ids, 90, Sampling(temperature=0)))]
        assert (shown, engine.stats.stop_reason) == (expected[: expected.index(end)], "eos")
    engine.close()


@pytest.mark.parametrize("sampling", [Sampling(temperature=0), SAMPLED])
def test_the_same_seed_gives_numpys_tokens(gpu: NativeDevice, sampling: Sampling) -> None:
    """Until the first near-tie: a text that has parted does not come back."""
    data = tiny.build(tiny.Tiny(seed=3))
    engines = load(gpu, data), load(NumpyDevice(), data)
    same = total = 0
    for seed in range(6):
        ids = np.random.default_rng(seed).integers(200, engines[0].config.vocabulary, 20).tolist()
        a, b = ([p.token for p in iterate(e.generate(ids, 10, sampling))] for e in engines)
        same += sum(x == y for x, y in zip(a, b, strict=False))
        total += len(b)
    assert same >= 0.8 * total, f"{same} of {total}"
    for engine in engines:
        engine.close()


def test_the_device_reports_a_kernel_that_does_not_compile(gpu: NativeDevice) -> None:
    from sotto.device import Inputs, OutputRange, Pipeline, Program, Shader

    buffer = gpu.buffer(256, "inputs")
    program = Program(
        "bad", (Shader("broken", "fn main( {"),), (Pipeline(0, {}),), (), Inputs(buffer, 256),
        OutputRange(buffer, 0, 4),
    )  # fmt: skip
    with pytest.raises(DeviceError, match="refused the kernel broken") as caught:
        drive(gpu.load(program))
    gpu.prepare(program.shaders, program.pipelines)
    with pytest.raises(DeviceError) as ahead:
        drive(gpu.load(program))
    assert str(ahead.value) == str(caught.value), "compiled ahead, the same is told"
    gpu.free(buffer)


def test_no_memory_left_is_told_apart(gpu: NativeDevice) -> None:
    """The process is given no more address space, and the software adapter's memory is the process's own."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    allowed = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20), allowed[1]))
    try:
        with pytest.raises(OutOfMemory, match="weights"):
            gpu.buffer(1 << 30, "weights")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, allowed)


def test_kernels_compile_while_the_weights_arrive(gpu: NativeDevice) -> None:
    """All pipelines are begun before the first weight is there, and no load compiles one again."""

    before = set(gpu._pipelines)
    begun = set[object]()

    class Watched(MemorySource):
        async def read(self, offset: int, nbytes: int) -> bytes:
            if offset > 0 and not begun:  # the first read behind the header
                begun.update(gpu._compiling)
            return await super().read(offset, nbytes)

    engine = drive(
        Engine.load(Watched(tiny.build(tiny.Tiny(layers=1, hidden=768)), "t", "t"), gpu, None, SETTINGS)
    )
    needed = {
        (p.source, c) for plan in engine.plans for p, c in ((d.kernel, d.constants) for d in plan.dispatches)
    }
    assert needed - before, "all of it was compiled by other tests"
    assert needed - before <= begun
    assert needed <= set(gpu._pipelines) and not needed & set(gpu._compiling)
    engine.close()


def test_the_device_tells_what_is_compiled(gpu: NativeDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    from sotto.device import Pipeline, Shader
    from sotto.plan import wgsl

    kernel = wgsl.load("last_row")
    shaders = (Shader(kernel.name, kernel.source), Shader("broken", "fn main( {"))
    pipelines = tuple(Pipeline(0, {"D": float(d)}) for d in range(101, 105))
    assert drive(gpu.ready(shaders, (*pipelines, Pipeline(1, {})), 60.0))
    assert len(gpu._compiling) >= len(pipelines), "taken by the load that needs them"
    for name in ("create_compute_pipeline", "create_compute_pipeline_async"):
        monkeypatch.setattr(type(gpu._device), name, None)
    assert drive(gpu.ready(shaders, pipelines, 0.0)), "and nothing is compiled twice"
    for pipeline in pipelines:
        assert gpu._pipeline(shaders[0], pipeline)


def test_waiting_for_a_compiler_ends(gpu: NativeDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    """The promise of one that never ends is wgpu-py's own."""
    from sotto.device import Pipeline, Shader
    from sotto.plan import wgsl

    kernel = wgsl.load("last_row")
    never = type(gpu._queue.on_submitted_work_done_async())("never", None)
    monkeypatch.setattr(type(gpu._device), "create_compute_pipeline_async", lambda *_, **__: never)
    shaders, pipelines = (Shader(kernel.name, kernel.source),), (Pipeline(0, {"D": 99.0}),)
    assert not drive(gpu.ready(shaders, pipelines, 0.0))
    assert not drive(gpu.ready(shaders, pipelines, 0.02))
    gpu._compiling.clear()


def test_a_device_closes_while_kernels_compile() -> None:
    from sotto.device import Pipeline, Shader
    from sotto.plan import wgsl

    device = NativeDevice()
    kernel = wgsl.load("last_row")
    device.prepare(
        (Shader(kernel.name, kernel.source),), tuple(Pipeline(0, {"D": float(d)}) for d in range(8))
    )
    device.close()


def test_the_longest_steps_of_a_run_are_foreseen(gpu: NativeDevice) -> None:
    engine = load(gpu, tiny.build(tiny.Tiny()))
    work = engine.session.programs[32].work
    near, far, fewer = (longest(amounts(work, *run), gpu.rates) for run in ((0, 32), (96, 32), (0, 16)))
    assert 0 < near[0] < far[0], "a global layer attends to more"
    assert near[1] == far[1] > fewer[1]
