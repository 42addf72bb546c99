"""Adapters in the engine, on numpy: against the model that has them merged in f32, on and off, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pytest

import lora
import tiny
import turns
from sotto import formats
from sotto.api import drive, iterate
from sotto.devices.reference.device import NumpyDevice
from sotto.engine import adapter_sets
from sotto.engine.engine import Engine
from sotto.errors import InvalidSetting, OutOfMemory, SottoError, UnsupportedModel
from sotto.formats.adapter import Adapter
from sotto.reports import Settings
from sotto.source import MemorySource
from sotto.text.sampler import Sampling

GREEDY = Sampling(temperature=0)
SETTINGS = Settings(context=128, chunks=(16,))
MODEL = tiny.build(tiny.Tiny(layers=3))
SHAPES = lora.shapes_of(MODEL)
IDS = [2, *np.random.default_rng(0).integers(300, 450, 60).tolist()]


def loaded(data: bytes = MODEL, device: NumpyDevice | None = None) -> Engine:
    return drive(
        Engine.load(MemorySource(data, "tiny.gguf", "tiny"), device or NumpyDevice(), None, SETTINGS)
    )


def adapter(tensors: lora.Halves, **changed: object) -> Adapter:
    return drive(formats.open_adapter(lora.folder(lora.files(tensors, **changed))))


def tokens(engine: Engine, ids: list[int], count: int) -> list[int]:
    return [part.token for part in iterate(engine.generate(ids, count, GREEDY))]


def use(engine: Engine, **on: float) -> None:
    drive(engine.use_adapters(on))


def scores_merged(*products: Mapping[str, np.ndarray]) -> np.ndarray:
    """What the model says of IDS with these products added to its matrices."""
    data = MODEL
    for added in products:
        data = lora.merged(data, added)
    engine = loaded(data)
    try:
        return drive(engine.score(IDS))
    finally:
        engine.close()


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = loaded()
    yield made
    made.close()


@pytest.fixture(scope="module")
def plain() -> np.ndarray:
    return scores_merged()


def rank_of(path: str) -> int:
    return 3 if "layers.1" in path else 12


CASES: dict[str, tuple[lora.Halves, dict[str, object], float | None]] = {
    # halves, configuration, scale; None where it differs
    "all": (lora.halves(SHAPES, 8, strength=0.2), {}, 2.0),
    "attention only": (lora.halves(SHAPES, 8, "self_attn"), {}, 2.0),
    "queries and values": (lora.halves(SHAPES, 4, "(q|v)_proj", strength=0.5), {"lora_alpha": 8}, 2.0),
    "values of one layer": (lora.halves(SHAPES, 8, r"layers\.1\..*v_proj", strength=0.6), {}, 2.0),
    "gates only": (lora.halves(SHAPES, 8, "gate_proj"), {}, 2.0),
    "up and down": (lora.halves(SHAPES, 8, "(up|down)_proj"), {}, 2.0),
    "ranks that differ": (lora.halves(SHAPES, rank_of, strength=0.2), {}, None),
    "a high rank": (lora.halves(SHAPES, 40, "(k|o|down)_proj", strength=0.2), {"lora_alpha": 80}, 2.0),
}


@pytest.mark.parametrize("case", CASES)
def test_scores_are_those_of_the_merged_model(engine: Engine, plain: np.ndarray, case: str) -> None:
    """Within what A in 8 bits and B in 16 lose; the adapter changes a hundred times as much."""
    tensors, settings, scale = CASES[case]
    expected = scores_merged(lora.products(tensors, lambda path, rank: scale or 16 / rank))
    engine.add_adapter("one", adapter(tensors, **settings))
    use(engine, one=1)
    got = drive(engine.score(IDS))
    change, off = np.abs(expected - plain).mean(), np.abs(got - expected).mean()
    assert change > 0.2
    assert off < 0.02 * change


def test_decoding_is_the_merged_models(engine: Engine) -> None:
    """Prefill in chunks and the single-token plans give the same tokens, on and off, past the window."""
    tensors = lora.halves(SHAPES, 8, strength=0.2)
    reference = loaded(lora.merged(MODEL, lora.products(tensors, lambda path, rank: 2.0)))
    engine.add_adapter("one", adapter(tensors))
    off = tokens(engine, IDS[:37], 12)
    use(engine, one=1)
    on = tokens(engine, IDS[:37], 12)
    assert on == tokens(reference, IDS[:37], 12) != off
    assert dict(engine.stats.adapters) == {"one": 1}
    got = turns.logits(engine, [*IDS[:37], *on])
    want = turns.logits(reference, [*IDS[:37], *on])
    assert np.abs(got - want).max() < 0.03 * np.abs(want).max()
    use(engine)
    assert tokens(engine, IDS[:37], 12) == off
    assert dict(engine.stats.adapters) == {}
    reference.close()


def test_scales_and_several_at_once(engine: Engine, plain: np.ndarray) -> None:
    first, second = (
        lora.halves(SHAPES, rank, only, seed) for rank, only, seed in ((8, "", 1), (4, "q_proj|mlp", 2))
    )
    engine.add_adapter("first", adapter(first))
    engine.add_adapter("second", adapter(second))
    products = (
        lora.products(first, lambda path, rank: 0.3 * 2),
        lora.products(second, lambda path, rank: -0.5 * 4),
    )
    use(engine, second=-0.5, first=0.3)
    assert dict(engine.adapters_on) == {"first": 0.3, "second": -0.5}
    both = drive(engine.score(IDS))
    expected = scores_merged(*products)
    assert np.abs(both - expected).mean() < 0.02 * np.abs(expected - plain).mean()
    use(engine, first=0.3, second=0)  # 0 is off
    assert dict(engine.adapters_on) == {"first": 0.3}
    alone = drive(engine.score(IDS))
    expected = scores_merged(products[0])
    assert np.abs(alone - expected).mean() < 0.02 * np.abs(expected - plain).mean()
    use(engine, first=0.3, second=-0.5)
    np.testing.assert_array_equal(drive(engine.score(IDS)), both)
    use(engine)
    np.testing.assert_array_equal(drive(engine.score(IDS)), plain)


def test_the_cache_is_dropped_when_adapters_change_and_only_then(engine: Engine) -> None:
    engine.add_adapter("one", adapter(lora.halves(SHAPES, 8)))
    for on, kept in (
        ({}, False),
        ({"one": 1.0}, False),
        ({"one": 1.0}, True),
        ({"one": 0.5}, False),
        ({}, False),
    ):
        drive(engine.use_adapters(on))
        tokens(engine, IDS[:20], 4)
        assert (engine.stats.reused_tokens > 0) == kept, on


def test_switching_neither_reads_nor_converts_nor_compiles_twice(engine: Engine) -> None:
    device = engine.device
    assert isinstance(device, NumpyDevice)
    engine.add_adapter("one", adapter(lora.halves(SHAPES, 8)))
    use(engine, one=1)
    before = dict(engine.load_stats.device_bytes)
    handles = set(device._buffers), set(device._programs)
    assert before["adapters"] > 0
    for _ in range(3):
        use(engine)
        use(engine, one=0.7)
    assert (set(device._buffers), set(device._programs)) == handles
    assert engine.load_stats.device_bytes == before


def test_memory_is_foreseen_and_given_back(engine: Engine) -> None:
    bare = dict(engine.load_stats.device_bytes)
    device = engine.device
    assert isinstance(device, NumpyDevice)
    buffers = len(device._buffers), len(device._programs)
    for name in ("one", "two"):
        engine.add_adapter(name, adapter(lora.halves(SHAPES, 8)))
    use(engine, one=1)
    one = engine.load_stats.device_bytes["adapters"]
    assert engine.needed(engine.context)["adapters"] == one
    use(engine, one=1, two=1)
    drive(engine.score(IDS[:8]))
    both = engine.load_stats.device_bytes["adapters"] - one
    assert one < both < 2.2 * one
    drive(engine.remove_adapter("one"))
    assert dict(engine.adapters_on) == {"two": 1}
    drive(engine.remove_adapter("two"))
    assert dict(engine.adapters_on) == {} and not engine.adapters
    assert engine.load_stats.device_bytes == bare | {"adapters": 0}
    assert (len(device._buffers), len(device._programs)) == buffers
    with pytest.raises(SottoError, match="no adapter 'one'"):
        use(engine, one=1)


def test_sets_that_were_not_used_for_long_are_dropped(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter_sets, "MOST_KEPT", 2)
    for name in "abc":
        engine.add_adapter(name, adapter(lora.halves(SHAPES, 8, seed=ord(name))))
    use(engine, a=1)
    one = engine.load_stats.device_bytes["adapters"]
    first = drive(engine.score(IDS))
    for name in "bcbc":
        use(engine, **{name: 1})
    assert engine.load_stats.device_bytes["adapters"] == 2 * one
    use(engine, a=1)
    np.testing.assert_array_equal(drive(engine.score(IDS)), first)
    assert engine.load_stats.device_bytes["adapters"] == 2 * one


def test_a_running_generation_ends(engine: Engine) -> None:
    """Nothing that was begun with other adapters goes on, and what comes after is right."""
    engine.add_adapter("one", adapter(lora.halves(SHAPES, 8)))
    expected = {}
    for name, on in (("off", {}), ("on", {"one": 1.0})):
        drive(engine.use_adapters(on))
        expected[name] = tokens(engine, IDS[:20], 8)
    use(engine)
    running = iterate(engine.generate(IDS[:20], 30, GREEDY))
    assert next(running).token == expected["off"][0]
    use(engine, one=1)
    assert not list(running) and engine.stats.stop_reason == "cancelled"
    assert tokens(engine, IDS[:20], 8) == expected["on"]
    waiting = engine.generate(IDS[:20], 8, GREEDY)  # begun by name only: it takes what is on when it runs
    use(engine)
    assert [part.token for part in iterate(waiting)] == expected["off"]
    assert dict(engine.stats.adapters) == {}


def test_what_goes_wrong_leaves_all_as_it_was(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.add_adapter("one", adapter(lora.halves(SHAPES, 8)))
    engine.add_adapter("two", adapter(lora.halves(SHAPES, 8, seed=2)))
    use(engine, one=1)
    before = drive(engine.score(IDS))
    facts = dict(engine._memory.nbytes)
    device = engine.device
    assert isinstance(device, NumpyDevice)
    buffers = set(device._buffers)

    def full(nbytes: int, label: str) -> int:
        raise OutOfMemory(f"No memory for {label}.")

    with monkeypatch.context() as patched:
        patched.setattr(device, "buffer", full)
        with pytest.raises(OutOfMemory):
            use(engine, two=1)

    async def broken(program: object) -> int:
        raise OutOfMemory("No memory for a program.")

    with monkeypatch.context() as patched:
        patched.setattr(device, "load", broken)
        with pytest.raises(OutOfMemory):
            use(engine, two=1)
    for on in ({"three": 1.0}, {"one": float("nan")}, {"one": "1"}, {"one": 1e9}):
        with pytest.raises(SottoError):
            drive(engine.use_adapters(on))  # type: ignore[arg-type]
    assert set(device._buffers) == buffers
    assert dict(engine.adapters_on) == {"one": 1}
    np.testing.assert_array_equal(drive(engine.score(IDS)), before)
    assert dict(engine._memory.nbytes) == facts


def test_bad_names_and_other_models(engine: Engine) -> None:
    one = adapter(lora.halves(SHAPES, 8))
    engine.add_adapter("one", one)
    for name in ("one", "", 3):
        with pytest.raises(InvalidSetting):
            engine.add_adapter(name, one)  # type: ignore[arg-type]
    wider = lora.halves({name: (rows, 2 * columns) for name, (rows, columns) in SHAPES.items()}, 8)
    with pytest.raises(UnsupportedModel, match="does not fit this model"):
        engine.add_adapter("wider", adapter(wider))
    deeper = {f"layers.9.{name.split('.')[2]}": shape for name, shape in SHAPES.items()}
    with pytest.raises(UnsupportedModel, match="which this model has not"):
        engine.add_adapter("deeper", adapter(lora.halves(deeper, 8)))
    assert list(engine.adapters) == ["one"]


def test_values_that_16_bits_cannot_hold_are_told(engine: Engine) -> None:
    """A with very large and B with very small values, or the other way round, is balanced; a scale may be too much."""
    tensors = lora.halves(SHAPES, 8, strength=0.2)
    engine.add_adapter("plain", adapter(tensors))
    for name, factor in (("a", 2.0**18), ("b", 2.0**-18)):
        lopsided = {
            key: array * np.float32(factor if "lora_A" in key else 1 / factor)
            for key, array in tensors.items()
        }
        engine.add_adapter(name, adapter(lopsided))
    use(engine, plain=1)
    expected = drive(engine.score(IDS))
    for name in "ab":
        use(engine, **{name: 1})
        np.testing.assert_allclose(drive(engine.score(IDS)), expected, atol=1e-4)
    huge = {key: array * np.float32(2.0**14) for key, array in tensors.items()}
    engine.add_adapter("huge", adapter(huge))
    with pytest.raises(InvalidSetting, match="scale of the adapters is too large"):
        use(engine, huge=100)
    assert dict(engine.adapters_on) == {"b": 1}
    np.testing.assert_allclose(drive(engine.score(IDS)), expected, atol=1e-4)
