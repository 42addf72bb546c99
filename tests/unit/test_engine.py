"""The engine on the numpy device with a tiny model: prompts in chunks, the ring, stop, statistics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

import tiny
import turns
from sotto.api import drive, iterate
from sotto.device import Limits
from sotto.devices.pace import amounts, longest
from sotto.devices.reference.device import NumpyDevice
from sotto.engine.engine import Engine
from sotto.errors import ContextFull, FormatError, InvalidSetting, LimitError, SottoError, UnsupportedModel
from sotto.reports import LoadProgress, RunStats, Settings, TextPart
from sotto.source import MemorySource
from sotto.text.sampler import Sampling
from sotto.text.tokenizer import Segment

GREEDY = Sampling(temperature=0)
SETTINGS = Settings(context=160, chunks=(8, 32))


def load(data: bytes, settings: Settings = SETTINGS, device: NumpyDevice | None = None) -> Engine:
    return drive(
        Engine.load(MemorySource(data, "tiny.gguf", "tiny"), device or NumpyDevice(), None, settings)
    )


@pytest.fixture(scope="module")
def model() -> bytes:
    return tiny.build(tiny.Tiny())


@pytest.fixture(scope="module")
def engine(model: bytes) -> Iterator[Engine]:
    made = load(model)
    yield made
    made.close()


def prompt(engine: Engine, length: int, seed: int = 1) -> list[int]:
    ids = np.random.default_rng(seed).integers(200, engine.config.vocabulary, length - 1).tolist()
    return [engine.tokenizer.bos, *ids]


def tokens(engine: Engine, ids: list[int], count: int, sampling: Sampling = GREEDY) -> list[int]:
    return [p.token for p in iterate(engine.generate(ids, count, sampling))]


@pytest.mark.parametrize("length", [1, 2, 8, 9, 32, 33, 75, 120])
def test_a_prompt_in_chunks_continues_as_one_token_at_a_time(
    engine: Engine, model: bytes, length: int
) -> None:
    """Past the window of 32 and around the ring of 64 slots, whatever the chunk sizes."""
    ids = prompt(engine, length)
    chunked = tokens(engine, ids, 12)
    single = load(model, Settings(context=160, chunks=()))
    assert [plan.tokens for plan in single.plans] == [1]
    assert tokens(single, ids, 12) == chunked
    single.close()


def test_scores_are_the_log_probabilities_of_a_softmax(engine: Engine) -> None:
    """score() against logits that come one prefix at a time: other plans, other positions of the chunk."""
    ids = prompt(engine, 44)
    scores = drive(engine.score(ids))
    assert scores.shape == (43,)
    assert (scores < 0).all()
    for first in (2, 9, 41, 43):
        np.testing.assert_allclose(
            drive(engine.score(ids, first)), scores[first - 1 :], atol=1e-2
        )  # f16 keys round differently
    whole = load_with_candidates(engine)
    for at in (1, 7, 33, 43):
        out = turns.prefill(whole, ids[:at])
        logits = out.logits.astype(np.float64)
        total = np.log(np.exp(logits - logits[0]).sum()) + logits[0]
        expected = logits[out.ids.tolist().index(ids[at])] - total
        assert scores[at - 1] == pytest.approx(expected, abs=2e-3)  # the paths store f16 keys alike
    whole.close()


def load_with_candidates(engine: Engine) -> Engine:
    data = tiny.build(tiny.Tiny())
    return load(data, Settings(context=160, chunks=(8, 32), candidates=engine.config.vocabulary))


def test_statistics_count_what_happened(engine: Engine) -> None:
    pieces = list(iterate(engine.generate(prompt(engine, 20), 6, GREEDY)))
    stats = engine.stats
    assert all(isinstance(p, TextPart) for p in pieces)
    assert (stats.prompt_tokens, stats.new_tokens, stats.stop_reason) == (20, 6, "length")
    assert 0 < stats.time_to_first_token <= stats.total_seconds
    assert stats.prefill_rate == pytest.approx((20 - stats.reused_tokens) / stats.prefill_seconds)
    assert stats.decode_rate == pytest.approx(5 / stats.decode_seconds)


class Slow(NumpyDevice):
    """It is thought to take so long for the longest step of attention, and the longest other one, of 32 tokens at the
    beginning of a text."""

    rates: tuple[float, float] | None = None

    def __init__(self, attention: float, others: float, software: bool) -> None:
        super().__init__()
        self.adapter = replace(self.adapter, software=software)
        self.seconds = attention, others

    def slow_down(self, engine: Engine) -> None:
        attention, others = longest(amounts(engine.session.programs[32].work, 0, 32), (1.0, 1.0))
        self.rates = attention / self.seconds[0], others / self.seconds[1]


@pytest.mark.parametrize(
    ("device", "chunks"),
    [
        (Slow(1e-9, 0.19, False), [32, 32, 32]),
        (Slow(1e-9, 0.21, False), [8] * 6 + [32]),  # the last 27 fit
        (Slow(1e-9, 32.0, False), [8] * 10),  # there is nothing smaller
        (Slow(0.07, 1e-9, True), [32, 8, 8, 8, 32]),  # after 32 tokens, 32 attend to three times as many
        (Slow(0.07, 1e-9, False), [32, 32, 32]),  # on a GPU attention does not get shorter
    ],
)
def test_a_slow_device_reads_in_smaller_chunks(
    engine: Engine, model: bytes, device: Slow, chunks: list[int]
) -> None:
    slow = load(model, device=device)
    device.slow_down(slow)
    used, run = [], device.run

    async def watched(program: int, inputs: bytes, *, steps: int | None = None) -> bytes:
        used.append(next(n for n, loaded in slow.session.programs.items() if loaded.program == program))
        return await run(program, inputs, steps=steps)

    device.run = watched  # type: ignore[method-assign]
    ids = prompt(engine, 75)
    out = turns.prefill(slow, ids)
    assert used == chunks
    engine.forget()
    assert out.ids[0] == turns.prefill(engine, ids).ids[0]


def test_stop_ends_within_one_token(engine: Engine) -> None:
    seen = []
    for piece in iterate(engine.generate(prompt(engine, 5), 50, GREEDY)):
        seen.append(piece.token)
        if len(seen) == 3:
            engine.stop()
    assert len(seen) == 3
    assert engine.stats.stop_reason == "cancelled"
    assert len(tokens(engine, prompt(engine, 5), 4)) == 4, "a stopped engine runs again"


def test_stop_answers_in_the_middle_of_a_prompt(model: bytes) -> None:
    class Impatient(NumpyDevice):
        """Stops the engine from inside the first chunk, as a click does while the GPU works."""

        runs = 0

        async def run(self, program: int, inputs: bytes, *, steps: int | None = None) -> bytes:
            self.runs += 1
            out = await super().run(program, inputs, steps=steps)
            engine.stop()
            return out

    device = Impatient()
    engine = load(model, device=device)
    assert tokens(engine, prompt(engine, 120), 5) == []
    assert device.runs == 1
    assert engine.stats.stop_reason == "cancelled"
    assert 0 < engine.stats.read_tokens < 119, "what was read until then"
    assert engine.stats.prefill_rate == engine.stats.read_tokens / engine.stats.prefill_seconds > 0


def test_generation_ends_at_the_context(engine: Engine) -> None:
    out = tokens(engine, prompt(engine, 150), 100)
    assert len(out) == 10
    assert engine.stats.stop_reason == "context"


def test_a_prompt_longer_than_the_context_says_by_how_much(engine: Engine) -> None:
    with pytest.raises(ContextFull) as caught:
        tokens(engine, prompt(engine, 180), 1)
    assert (caught.value.tokens, caught.value.limit, caught.value.excess) == (180, 159, 21)
    assert "21 tokens too long" in caught.value.message


def test_stop_strings_are_not_shown(engine: Engine) -> None:
    whole = "".join(p.text for p in iterate(engine.generate(prompt(engine, 9), 30, GREEDY)))
    assert len(whole) > 10
    stop = whole[6:9]
    cut = "".join(p.text for p in iterate(engine.generate(prompt(engine, 9), 30, GREEDY, stop=[stop])))
    assert cut == whole[: whole.index(stop)]
    assert engine.stats.stop_reason == "stop"


def test_the_same_seed_gives_the_same_text(engine: Engine) -> None:
    ids = prompt(engine, 9)
    warm = [tokens(engine, ids, 12, Sampling(temperature=1.5, seed=s)) for s in (1, 1, 2)]
    assert warm[0] == warm[1]
    assert warm[0] != warm[2]


def test_what_was_timed_leaves_nothing_in_the_cache(engine: Engine) -> None:
    ids = [engine.tokenizer.bos, *prompt(engine, 8)]
    drive(engine.time_token())
    tokens(engine, ids, 2)
    assert engine.stats.reused_tokens == 0
    tokens(engine, ids, 2)
    assert engine.stats.reused_tokens > 0


def test_bad_prompts_are_refused(engine: Engine) -> None:
    with pytest.raises(SottoError, match="no tokens"):
        tokens(engine, [], 1)
    for wrong in (99999, -1, 2.5, True, "2", None):
        with pytest.raises(InvalidSetting, match=r"^a token is .*from 0 to 511"):
            tokens(engine, [2, wrong], 1)
        with pytest.raises(InvalidSetting, match="a token is"):
            drive(engine.score([2, wrong]))
    assert tokens(engine, np.array(prompt(engine, 5)), 4) == tokens(engine, prompt(engine, 5), 4)


@pytest.mark.parametrize("first", [0, -1, 10, 2.0, True, None])
def test_scores_begin_at_a_token(engine: Engine, first: object) -> None:
    ids = prompt(engine, 9)
    with pytest.raises(InvalidSetting, match=r"first is .* from 1 to 9"):
        drive(engine.score(ids, first))  # type: ignore[arg-type]
    assert drive(engine.score(ids, 9)).shape == (0,)


def test_nothing_is_written_where_nothing_is_wanted(engine: Engine) -> None:
    assert tokens(engine, prompt(engine, 9), 0) == []
    assert (engine.stats.new_tokens, engine.stats.stop_reason) == (0, "length")


def test_an_answer_of_nothing_but_control_tokens_is_no_empty_one(engine: Engine) -> None:
    """What a person is told of it: the command line and the page ask for this."""
    unused = engine.tokenizer.encode_segments([Segment("<start_of_image>", trusted=True)], bos=False)

    def only_unused(logits: np.ndarray, ids: Sequence[int]) -> np.ndarray:
        masked = np.full_like(logits, -np.inf)
        masked[unused] = 0
        return masked

    pieces = list(iterate(engine.generate(prompt(engine, 9), 4, GREEDY, logits=only_unused)))
    assert "".join(piece.text for piece in pieces) == ""
    assert engine.stats.wordless and engine.stats.new_tokens == 4
    assert not RunStats(stop_reason="length").wordless, "no token was wanted"
    assert not RunStats(new_tokens=3, stop_reason="stop").wordless, "it came to a stop string"
    assert RunStats(new_tokens=1, stop_reason="eos").wordless


def test_progress_goes_through_the_stages(model: bytes) -> None:
    seen: list[LoadProgress] = []
    engine = drive(
        Engine.load(MemorySource(model, "t", "t"), NumpyDevice(), None, SETTINGS, progress=seen.append)
    )
    stages = list(dict.fromkeys(p.stage for p in seen))
    assert stages == ["header", "weights", "tokenizer", "pipelines", "ready"]
    weights = [p for p in seen if p.stage == "weights"]
    assert weights[-1].done == weights[-1].total > 0
    assert engine.load_stats.device_bytes["weights"] > 1_000_000
    assert not engine.load_stats.cached
    engine.close()


def test_a_context_beyond_the_model_is_refused(model: bytes) -> None:
    with pytest.raises(SottoError, match="is not possible"):
        load(model, Settings(context=10**6))


def test_limits_are_checked_before_anything_is_allocated(model: bytes) -> None:
    device = NumpyDevice()
    device.limits = Limits(1 << 30, 1 << 30, 3, 256, 1 << 15, 65535)
    with pytest.raises(LimitError, match="storage buffers"):
        load(model, device=device)
    assert device._buffers == {}


def test_a_file_that_ends_too_early_leaves_nothing_behind(model: bytes) -> None:
    device = NumpyDevice()
    with pytest.raises(FormatError):
        load(model[: len(model) // 2], device=device)
    assert device._buffers == {}


def test_another_architecture_is_named() -> None:
    data = tiny.build(tiny.Tiny(metadata={"general.architecture": "llama"}))
    with pytest.raises(UnsupportedModel, match="'llama'"):
        load(data)


def test_the_published_1b_files_wrong_window_is_put_right() -> None:
    from sotto.models.gemma3 import Config

    sizes = {"layers": 26, "dim": 1152, "heads": 4, "kv_heads": 1, "ffn_dim": 6912, "vocabulary": 1}
    config = Config.read({**sizes, "window": 1024})
    assert config.window == 512
    assert [i for i in range(26) if config.is_global(i)] == [5, 11, 17, 23]
