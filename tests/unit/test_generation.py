"""Where tokens come from: batches on the device, one at a time from Python, and what may interrupt them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pytest

import tiny
import turns
from sotto.api import drive, iterate
from sotto.device import Device
from sotto.devices.cpu import CpuDevice
from sotto.devices.reference.device import NumpyDevice
from sotto.engine import generation
from sotto.engine.engine import Engine
from sotto.errors import DeviceError, SottoError
from sotto.native.wasm import open_cpu
from sotto.reports import Settings
from sotto.source import MemorySource
from sotto.text.loop_guard import TOKENS
from sotto.text.sampler import Sampling

GREEDY = Sampling(temperature=0)
WARM = Sampling(
    temperature=1.2, top_k=40, top_p=0.97, repeat_penalty=1.2, repeat_last=20, copy_bias=2, seed=5
)
CHUNKS = (8, 32)


def load(device: Device, context: int = 160, chunks: tuple[int, ...] = CHUNKS, **sizes: int) -> Engine:
    data = tiny.build(tiny.Tiny(**sizes))
    return drive(
        Engine.load(MemorySource(data, "tiny.gguf", "t"), device, None, Settings(context, chunks=chunks))
    )


@pytest.fixture(scope="module")
def cpu() -> Iterator[CpuDevice]:
    device = drive(open_cpu(1))
    yield device
    device.close()


@pytest.fixture(scope="module")
def engine(cpu: CpuDevice) -> Iterator[Engine]:
    made = load(cpu)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def any_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of the full size, however slow the machine is at the moment."""
    monkeypatch.setattr(generation, "BATCH_SECONDS", 1e6)


def prompt(engine: Engine, length: int, seed: int = 1) -> list[int]:
    ids = np.random.default_rng(seed).integers(200, engine.config.vocabulary, length - 1).tolist()
    return [engine.tokenizer.bos, *ids]


def unchanged(logits: np.ndarray, text: Sequence[int]) -> np.ndarray:
    return logits


def tokens(
    engine: Engine, ids: Sequence[int], count: int, sampling: Sampling = GREEDY, **how: object
) -> list[int]:
    return [p.token for p in iterate(engine.generate(ids, count, sampling, ignore_eos=True, **how))]  # type: ignore[arg-type]


@pytest.mark.parametrize("sampling", [GREEDY, WARM, Sampling(seed=2**63)])
@pytest.mark.parametrize("length", [1, 31, 70])
def test_batches_give_what_single_tokens_give(engine: Engine, sampling: Sampling, length: int) -> None:
    """The device picks by Python's rule, past the window and round the ring, also where the context ends."""
    ids = prompt(engine, length)
    batched = tokens(engine, ids, 60, sampling)
    assert engine.stats.mode == "batches"
    assert engine.stats.largest_batch == 16
    assert engine.stats.batches < 10
    single = tokens(engine, ids, 60, sampling, logits=unchanged)
    assert engine.stats.mode == "single"
    assert (engine.stats.batches, engine.stats.largest_batch) == (59, 1)
    assert batched == single
    assert len(set(batched)) > 5


def test_batches_begin_with_one_token_and_double(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted: list[int] = []
    submit = engine.device.submit

    def watched(program: int, inputs: bytes | None, repeats: int) -> object:
        submitted.append(repeats)
        assert (inputs is None) == (len(submitted) > 1), "later batches go on from the device's own state"
        return submit(program, inputs, repeats)

    monkeypatch.setattr(engine.device, "submit", watched)
    tokens(engine, prompt(engine, 5), 70)
    assert submitted[0] == 1, "the first token is there at once"
    assert all(after <= 2 * before for before, after in pairwise(submitted))
    assert max(submitted) == 16
    assert len(submitted) < 12
    assert sum(submitted) == 69, "not a token more than asked for"


def test_a_slow_device_gets_single_tokens(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "BATCH_SECONDS", 0.0)
    tokens(engine, prompt(engine, 5), 20)
    assert (engine.stats.batches, engine.stats.largest_batch) == (19, 1)


def test_the_end_of_the_text_ends_a_batch(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing behind it is shown, and nothing more is submitted once it is known."""
    ids = prompt(engine, 9)
    whole = tokens(engine, ids, 60)
    end = next(t for i, t in enumerate(whole) if i > 8 and t not in whole[:i])
    at = whole.index(end)
    monkeypatch.setattr(engine.tokenizer, "stop_ids", frozenset([end]))
    shown = [p.token for p in iterate(engine.generate(ids, 60, GREEDY))]
    assert shown == whole[:at]
    assert (engine.stats.stop_reason, engine.stats.new_tokens) == ("eos", at + 1)
    assert engine.stats.dropped_tokens > 0
    # What was computed too much does no harm.
    monkeypatch.undo()
    monkeypatch.setattr(generation, "BATCH_SECONDS", 1e6)
    assert tokens(engine, ids, 60) == whole


def test_stop_strings_across_tokens_and_batches(engine: Engine) -> None:
    ids = prompt(engine, 9)
    pieces = list(iterate(engine.generate(ids, 60, GREEDY, ignore_eos=True)))
    whole = "".join(p.text for p in pieces)
    assert len(whole) > 60
    for begin in range(0, 50):
        for length in (1, 2, 7):
            stop = whole[begin : begin + length]
            cut = "".join(p.text for p in iterate(engine.generate(ids, 60, GREEDY, [stop], ignore_eos=True)))
            assert cut == whole[: whole.index(stop)]
            assert engine.stats.stop_reason == "stop"


@pytest.mark.parametrize("after", [1, 2, 3, 9, 20])
def test_nothing_is_shown_after_stop(engine: Engine, after: int) -> None:
    shown = []
    for piece in iterate(engine.generate(prompt(engine, 9), 60, GREEDY, ignore_eos=True)):
        shown.append(piece.token)
        if len(shown) == after:
            engine.stop()
    assert len(shown) == after
    assert engine.stats.stop_reason == "cancelled"
    assert shown == tokens(engine, prompt(engine, 9), 60)[:after], (
        "a stopped engine runs again, from the start"
    )


def test_stop_while_a_batch_is_under_way(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop comes while Python waits for the device, as a click does: the tokens of that batch are not shown."""
    expected = tokens(engine, prompt(engine, 5), 60)
    breathe, batches, told = engine.device.machine.breathe, 0, 0  # type: ignore[attr-defined]

    async def clicked() -> None:
        nonlocal batches, told
        batches += engine.stats.new_tokens > 0
        if batches == 5:
            told = engine.stats.new_tokens
            engine.stop()
        await breathe()

    monkeypatch.setattr(engine.device.machine, "breathe", clicked)  # type: ignore[attr-defined]
    shown = tokens(engine, prompt(engine, 5), 60)
    monkeypatch.undo()
    assert engine.stats.stop_reason == "cancelled"
    assert shown == expected[:told]
    assert 0 < told < 60


def test_a_generation_that_is_left_alone_does_not_disturb_the_next(engine: Engine) -> None:
    expected = tokens(engine, prompt(engine, 9), 30)
    left = engine.generate(prompt(engine, 20, 3), 60, WARM)
    for _ in range(7):
        drive(anext(left))  # two batches are in flight now
    assert tokens(engine, prompt(engine, 9), 30) == expected
    drive(left.aclose())
    assert tokens(engine, prompt(engine, 9), 30) == expected


def test_logits_can_be_changed_by_the_caller(engine: Engine) -> None:
    """The best token is forbidden: the second best comes, every time."""
    told: list[int] = []

    def second(logits: np.ndarray, text: Sequence[int]) -> np.ndarray:
        assert logits.shape == (engine.config.vocabulary,)
        assert logits.dtype == np.float32
        best, next_best = np.argsort(-logits, kind="stable")[:2]
        told.append(int(next_best))
        assert list(text[9:]) == told[:-1]
        logits[best] = -np.inf
        return logits

    assert tokens(engine, prompt(engine, 9), 12, logits=second) == told
    assert told != tokens(engine, prompt(engine, 9), 12)


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(seed=1), Sampling(seed=1, top_k=0, top_p=1), WARM])
def test_what_is_masked_never_comes(engine: Engine, sampling: Sampling) -> None:
    """Three tokens of all are left, some of them not among the probable ones."""
    left = [7, 300, 511]

    def mask(logits: np.ndarray, text: Sequence[int]) -> np.ndarray:
        return np.where(np.isin(np.arange(len(logits)), left), logits / 8, -np.inf)

    found = tokens(engine, prompt(engine, 9), 30, sampling, logits=mask)
    assert set(found) <= set(left)
    assert (len(set(found)) > 1) == (sampling != GREEDY)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda logits: np.full_like(logits, -np.inf), "no token to choose"),
        (lambda logits: np.where(np.arange(len(logits)) == 5, np.nan, logits), "nan for token 5"),
        (lambda logits: np.where(np.arange(len(logits)) == 6, np.inf, logits), "inf for token 6"),
        (lambda logits: logits[:64], r"shape \(64,\)"),
    ],
)
def test_impossible_changes_of_logits_are_told(engine: Engine, change: object, told: str) -> None:
    with pytest.raises(SottoError, match=told):
        tokens(engine, prompt(engine, 9), 3, logits=lambda logits, text: change(logits))  # type: ignore[operator]
    assert engine.stats.stop_reason == "failed"


def test_a_device_that_computes_nonsense_is_told(engine: Engine) -> None:
    broken = load(NumpyDevice(), layers=1)
    norm = broken._recorder.weights.vector("final_norm")
    broken._memory.write(norm, np.full(256, np.nan, np.float32))
    for change in (None, unchanged):
        with pytest.raises(DeviceError, match="not a number"):
            tokens(broken, prompt(engine, 9), 3, logits=change)
    broken.close()


def test_the_logits_are_those_that_the_device_selects_from(engine: Engine) -> None:
    """After a prompt of one chunk, of several, and after one token."""
    for length in (1, 5, 70):
        ids = prompt(engine, length)
        engine.forget()
        selected = turns.prefill(engine, ids)
        engine.forget()
        logits = turns.logits(engine, ids)
        order = np.argsort(-logits, kind="stable")[: len(selected.ids)]
        np.testing.assert_array_equal(order, selected.ids)
        np.testing.assert_array_equal(logits[order], selected.logits)
        np.testing.assert_array_equal(turns.logits(engine, [*ids, 300]), turns.logits(engine, [*ids, 300]))


@pytest.mark.parametrize(
    ("sampling", "mode"),
    [
        (Sampling(seed=2, temperature=3, top_k=0, top_p=1), "single"),
        (Sampling(seed=2, temperature=3, top_k=2000, top_p=1), "single"),
        (Sampling(seed=2, temperature=3, top_k=65, top_p=1, repeat_penalty=1.1), "single"),
        (Sampling(seed=2, temperature=3, top_k=64, top_p=1, repeat_penalty=1.1), "batches"),
        (Sampling(temperature=0, top_k=0), "batches"),
    ],
)
def test_tokens_come_from_as_many_as_are_asked_for(engine: Engine, sampling: Sampling, mode: str) -> None:
    """Against the rule on all logits, for settings that the device's selection decides and for others."""
    ids = prompt(engine, 9)
    engine.forget()  # what another program reads again is rounded otherwise
    found = tokens(engine, ids, 25, sampling)
    assert engine.stats.mode == mode
    engine.forget()
    assert found == tokens(engine, ids, 25, sampling, logits=unchanged)
    ranks = []
    for at, token in enumerate(found):
        logits = turns.logits(engine, [*ids, *found[:at]])
        ranks.append(int((logits > logits[token]).sum()))
    most = sampling.top_k or engine.config.vocabulary
    if not sampling.temperature:
        assert ranks == [0] * 25
    elif sampling.repeat_penalty == 1:
        assert 64 < max(ranks) < most, "at this temperature, tokens beyond the first 64 come"


def test_statistics_add_up(engine: Engine) -> None:
    tokens(engine, prompt(engine, 20), 40)
    stats = engine.stats
    assert (stats.prompt_tokens, stats.new_tokens, stats.dropped_tokens) == (20, 40, 0)
    assert 0 < stats.python_seconds < stats.decode_seconds < stats.total_seconds
    assert 0 < stats.host_seconds < stats.decode_seconds
    assert 0 <= stats.idle_seconds < stats.decode_seconds
    assert stats.decode_rate == pytest.approx(39 / stats.decode_seconds)


def test_an_answer_in_a_loop_is_ended_and_can_go_on(engine: Engine) -> None:
    """The guard is asked for, ends a loop with all its text shown, and changes nothing before that."""
    ids, word = prompt(engine, 9), engine.tokenizer.encode("garden")[-1]

    def stuck(logits: np.ndarray, text: Sequence[int]) -> np.ndarray:
        if len(text) > 20:
            logits[:] = -np.inf
            logits[word] = 0
        return logits

    free = tokens(engine, ids, 130, logits=stuck)
    assert (engine.stats.stop_reason, len(free)) == ("length", 130)
    guarded = tokens(engine, ids, 130, logits=stuck, loop_guard=True)
    assert (engine.stats.stop_reason, engine.stats.new_tokens) == ("length", 130), (
        "it is not long enough for a loop"
    )
    before = 20 - len(ids) + 1
    long = load(engine.device, context=320)
    try:
        ended = tokens(long, ids, 300, logits=stuck, loop_guard=True)
        assert long.stats.stop_reason == "loop"
        assert ended == guarded[:before] + [word] * TOKENS
        tokens(long, [*ids, *ended], 30, loop_guard=False)
        assert (long.stats.stop_reason, long.stats.new_tokens) == ("length", 30)
    finally:
        long.close()
