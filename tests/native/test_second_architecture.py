"""Architectures on every device against plain numpy: a toy that differs from Gemma 3, and heads of a file's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest

import plain
import tiny
import toy
import turns
from sotto import models
from sotto.api import drive, iterate
from sotto.device import Device
from sotto.devices.cpu import CpuDevice
from sotto.devices.reference.device import NumpyDevice
from sotto.engine.engine import Engine
from sotto.formats import gguf
from sotto.formats.blocks import quantize
from sotto.formats.gguf_writer import RawTensor, write
from sotto.models.base import Head
from sotto.native.dawn import NativeDevice
from sotto.native.wasm import open_cpu
from sotto.ops import MOST_TOKENS
from sotto.plan.plan import Plan
from sotto.reports import Settings
from sotto.source import MemorySource
from sotto.text.sampler import SampleOutputs, Sampling
from sotto.tuning.self_check import SelfCheck

GREEDY = Sampling(temperature=0)
SIMPLE = "decode:simple,matmul:simple,attention:simple"
FUSED = "decode:rows,matmul:tiled,attention:tiled"


@dataclass(frozen=True)
class Model:
    """A model's file, and what plain numpy needs to know."""

    data: bytes
    layers: list[plain.Layer]
    scale: float

    def logits(self, ids: list[int]) -> np.ndarray:
        """(T, V)."""
        return plain.logits(plain.tensors(self.data), self.layers, ids, self.scale)[:, :VOCABULARY]


VOCABULARY = 512


def gemma(head: str = "", padding: int = 0) -> Model:
    """A tiny Gemma 3. Its head is tied, or a random one of that type; with padding the rows beyond the vocabulary
    would always be picked."""
    data = tiny.build(tiny.Tiny(types={"token_embd": "F16"}))
    layers = [plain.Layer(4, 1, 64, None if i == 5 else 32, 1e6 if i == 5 else 1e4) for i in range(7)]
    header = gguf.parse(data)
    raw = {
        name: RawTensor(t.shape, t.type, data[t.offset : t.offset + t.nbytes])
        for name, t in header.tensors.items()
    }
    random = np.random.default_rng(11).standard_normal((VOCABULARY, 256), np.float32) / 16
    tables = {"token_embd.weight": ("F16", plain.tensors(data)["token_embd.weight"])}
    if head:
        tables["output.weight"] = head, random
    for name, (kind, values) in tables.items():
        rows = np.concatenate([values, 50 * random[:padding]])
        raw[name] = RawTensor(rows.shape, kind, quantize(kind, rows).tobytes())
    return Model(write(header.metadata, raw), layers, 16.0)


MODELS = {
    "toy": Model(toy.build(), toy.layers(), 1.0),
    "toy, tied": Model(toy.build(head=False), toy.layers(), 1.0),
    "toy, padded": Model(toy.build(padding=40), toy.layers(), 1.0),
    "gemma3, own head": gemma("Q4_K"),
    "gemma3, padded": gemma(padding=88),
    "gemma3, own head, padded": gemma("Q6_K", padding=3),
}


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(models.ARCHITECTURES, "toy", toy.Toy)


@pytest.fixture
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    if request.param == "gpu":
        yield request.getfixturevalue("gpu")
        return
    made: Device = NumpyDevice() if request.param == "numpy" else drive(open_cpu(2))
    yield made
    made.close()


def load(device: Device, model: Model, variant: str = SIMPLE, **settings: object) -> Engine:
    given = Settings(context=160, chunks=(8, 32), variant=variant, tune=False, candidates=VOCABULARY)
    source = MemorySource(model.data, "model.gguf", "model")
    return drive(Engine.load(source, device, None, replace(given, **settings)))


def off(got: np.ndarray, expected: np.ndarray) -> float:
    """How far apart, in spreads of what is expected."""
    return float(np.sqrt(np.mean((got - expected) ** 2)) / np.std(expected))


OWN = "gemma3, own head, padded"
CASES = [
    *(("numpy", name, SIMPLE) for name in MODELS),
    *(("numpy", name, FUSED) for name in ("toy", OWN)),
    *(("cpu", name, SIMPLE) for name in ("toy", OWN)),  # which has the simple kernels only
    *(("gpu", name, variant) for name in ("toy", OWN) for variant in (SIMPLE, FUSED)),
]


@pytest.mark.parametrize(("device", "name", "variant"), CASES, indirect=["device"])
def test_a_model_computes_what_plain_numpy_computes(device: Device, name: str, variant: str) -> None:
    """Prefill by chunks with the last token's way through the last layer, decode, and scores, past the windows and
    round the rings. The CPU rounds activations to 8 bits."""
    model = MODELS[name]
    engine = load(device, model, variant)
    (kernels,) = {plan.choice.names()["decode"] for plan in engine.plans}
    assert f"decode:{kernels}" in variant
    bound = 0.1 if isinstance(device, CpuDevice) else 2e-3  # measured: 0.02 to 0.07, and 0.0002
    ids = [2, *np.random.default_rng(3).integers(200, VOCABULARY, 89).tolist()]
    expected = model.logits(ids)

    def check(out: SampleOutputs, at: int) -> None:
        assert sorted(out.ids.tolist()) == list(range(VOCABULARY)), "a candidate is no token"
        got = np.empty(VOCABULARY)
        got[out.ids] = out.logits
        assert off(got, expected[at]) < bound, at

    for length in (1, 9, 40, 75):
        engine.forget()
        check(turns.prefill(engine, ids[:length]), length - 1)
    for position in range(75, 79):
        check(turns.decode(engine, position, ids[position]), position)
    scores = drive(engine.score(ids))
    assert off(scores, plain.log_probabilities(expected, ids)) < bound
    engine.forget()
    pieces = list(iterate(engine.generate(ids, 8, GREEDY, ignore_eos=True)))[:8]  # then the rest of the text
    text = [*ids, *(piece.token for piece in pieces)]
    rows = model.logits(text)[len(ids) - 1 : -1]
    given = rows[np.arange(8), text[len(ids) :]]
    assert (given >= rows.max(axis=1) - 3 * bound * rows.std(axis=1)).all(), "not the most probable tokens"
    engine.close()


@pytest.mark.parametrize("variant", [SIMPLE, FUSED], ids=["simple", "fused"])
def test_every_tokens_best_successor(gpu: NativeDevice, variant: str) -> None:
    """What checks drafts, with both kinds of kernels."""
    model = MODELS["toy"]
    engine = load(gpu, model, variant)
    ids = [2, *np.random.default_rng(4).integers(200, VOCABULARY, 10).tolist()]
    turns.prefill(engine, ids[:-MOST_TOKENS])
    plan = engine._recorder.plan("best", MOST_TOKENS, engine.plans[0].choice, Head.BEST)
    handle = drive(gpu.load(engine._memory.program(plan)))
    out = drive(gpu.run(handle, plan.inputs(len(ids) - MOST_TOKENS, ids[-MOST_TOKENS:])))
    assert np.frombuffer(out, np.uint32).tolist() == model.logits(ids)[-MOST_TOKENS:].argmax(axis=1).tolist()
    gpu.unload(handle)
    engine.close()


def shards(plan: Plan, label: str) -> list[tuple[str, int]]:
    """The weights bound by the dispatches of that label, and their rows."""
    found = [d for d in plan.dispatches if d.label == label]
    return [(d.bindings[0].tensor.memory, d.bindings[0].tensor.shape[0]) for d in found]


@pytest.mark.parametrize(("name", "own"), [("toy", "head"), ("toy, tied", "embedding")])
def test_tuning_and_the_self_check_take_the_head_that_is_used(gpu: NativeDevice, name: str, own: str) -> None:
    """Shortened is the file's own head, and where it is the embedding, that one."""
    engine = load(gpu, MODELS[name], candidates=64)
    recorder = engine._recorder
    short = replace(recorder, weights=recorder.weights.shortened(64))
    tables = [("head", own, 64), ("embed", "embedding", 512 if own == "head" else 64)]
    for label, table, rows in tables:
        ((memory, found),) = shards(short.plan("short", 1, engine.plans[0].choice), label)
        assert (memory.partition("[")[0], found) == (table, rows)
    check = SelfCheck(recorder)
    for plan in check.plans:
        assert [memory.partition("[")[0] for memory, _ in shards(plan, "head")] == [own]

    async def no_warmth(plan: Plan, program: int, inputs: bytes) -> int:
        return 0

    drive(check.expect())
    assert drive(check.check(gpu, no_warmth)) == 1.0
    engine.close()


def test_the_embedding_is_the_head_only_where_it_is_tied() -> None:
    for name, model in MODELS.items():
        tied = name in ("toy, tied", "gemma3, padded")
        engine = load(NumpyDevice(), model)
        for plan in engine.plans:
            for label, table in (("embed", "embedding"), ("head", "embedding" if tied else "head")):
                assert {memory.partition("[")[0] for memory, _ in shards(plan, label)} == {table}
                assert sum(rows for _, rows in shards(plan, label)) == VOCABULARY
        engine.close()
