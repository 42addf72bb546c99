"""What is kept of the KV cache: the bookkeeping against real rings, and 500 edits of a conversation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import tiny
import turns
from sotto.api import drive, iterate
from sotto.engine import generation
from sotto.engine.cached_text import CachedText
from sotto.engine.engine import Engine
from sotto.errors import Cancelled
from sotto.native.wasm import open_cpu
from sotto.reports import Settings
from sotto.source import MemorySource
from sotto.text.sampler import SampleOutputs, Sampling

GREEDY = Sampling(temperature=0)
CONTEXT = 160
WINDOW, CHUNK = 32, 16  # rings of 48 slots


@pytest.mark.parametrize("seed", range(20))
def test_kept_knows_exactly_what_the_rings_hold(seed: int) -> None:
    """Random writes, surplus tokens, rewinds and prompts given up, beside a ring that remembers who wrote it."""
    rng = np.random.default_rng(seed)
    window, chunk = int(rng.integers(2, 9)), int(rng.integers(1, 7))
    slots = window + chunk
    kept = CachedText(slots, window)
    ring: dict[int, tuple[int, int]] = {}  # slot -> position, version
    text: list[tuple[int, int]] = []  # by position: token, version of its writing
    outcomes = 0
    for version in range(400):
        position = int(rng.integers(0, len(text) + 1)) if rng.random() < 0.4 else len(text)
        needed = range(max(0, position + 1 - window), position)
        intact = all(ring.get(p % slots) == (p, text[p][1]) for p in needed)
        if position:
            assert kept.resumes(position) == intact
            outcomes |= 1 << intact
        if not intact:
            position = 0
        kept.rewind(position)
        del text[position:]
        count, known = int(rng.integers(1, chunk + 1)), rng.random() < 0.8
        kept.writes(position + count)
        for p in range(position, position + count):
            ring[p % slots] = (p, version)
            if known:
                kept.ids.append(version)
                text.append((version, version))
    assert outcomes == 3, "both outcomes were seen"


def test_all_but_the_last_token_can_be_shared() -> None:
    kept = CachedText(100, 10)
    kept.ids += [1, 2, 3]
    assert [kept.shared(ids) for ids in ([1], [1, 2], [1, 2, 3], [1, 2, 3, 4], [1, 9, 3], [9])] == [
        0,
        1,
        2,
        3,
        1,
        0,
    ]


@pytest.fixture(scope="module")
def engines() -> Iterator[tuple[Engine, Engine]]:
    """Twice the same model: one that keeps its cache, and one that always reads afresh."""
    device = drive(open_cpu(1))
    # Float weights: with int8 activations, a last bit's difference may round an activation to the next of 127 steps.
    types = dict.fromkeys(tiny.DEFAULT_TYPES, "F16")
    sizes = tiny.Tiny(layers=6, width=128, hidden=128, heads=2, head_dim=32, window=WINDOW, types=types)
    data = tiny.build(sizes)
    settings = Settings(CONTEXT, chunks=(4, CHUNK), candidates=512)
    yield tuple(  # type: ignore[misc]
        drive(Engine.load(MemorySource(data, "tiny.gguf", "t"), device, None, settings)) for _ in range(2)
    )
    device.close()


def logprobs(out: SampleOutputs) -> np.ndarray:
    """Of every token of the vocabulary."""
    logits = out.logits.astype(np.float64)[np.argsort(out.ids)]
    return logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())


def test_five_hundred_edits_of_a_conversation(
    engines: tuple[Engine, Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Turns, cuts, changes in the middle, forks, answers with surplus tokens, Stop: after each, what the model expects
    next is what it expects of the same text read afresh."""
    monkeypatch.setattr(generation, "BATCH_SECONDS", 1e6)
    engine, fresh = engines
    rng = np.random.default_rng(8)

    def some(most: int) -> list[int]:
        return rng.integers(200, 512, int(rng.integers(1, most + 1))).tolist()  # type: ignore[no-any-return]

    text, fork = [2, *some(60)], [2]
    differences, reused, whole = [], 0, 0
    for edit in range(500):
        kind = rng.choice(["turn", "cut", "change", "fork", "answer", "stop", "again", "new"])
        if kind == "turn":
            text = text + some(20)
        elif kind == "cut":
            text = text[: int(rng.integers(1, len(text) + 1))]
        elif kind == "change":
            at = int(rng.integers(1, len(text) + 1))
            text = text[:at] + some(3) + text[at + int(rng.integers(0, 3)) :]
        elif kind == "fork":
            text, fork = fork + some(10), text
        elif kind in ("answer", "stop"):
            text = text[:100]
            answer = engine.generate(text, 40, GREEDY if edit % 2 else Sampling(seed=edit), ignore_eos=True)
            shown = []
            wanted = int(rng.integers(1, 40))
            for piece in iterate(answer):
                shown.append(piece.token)
                if len(shown) == wanted:
                    if kind == "stop":
                        engine.stop()
                    else:
                        break  # whoever asked has enough: batches are still under way
            text = text + shown
        elif kind == "new":
            text = [2, *some(100)]
        text = text[: CONTEXT - 1]
        shared = engine.session.kept.shared(text)
        got = logprobs(turns.prefill(engine, text))
        fresh.forget()
        expected = logprobs(turns.prefill(fresh, text))
        differences.append(np.abs(got - expected)[expected > -8])
        reused += shared
        whole += len(text)
    means, most = [float(d.mean()) for d in differences], max(float(d.max()) for d in differences)
    print(f"{reused} of {whole} tokens reused; mean difference {np.mean(means):.1e}, largest {most:.1e}")
    assert np.mean(means) < 3e-4
    assert (
        most < 1e-2
    )  # f16 keys that round the other way, in a model of peaked attention; a wrong key: above 0.1
    assert reused > whole / 3


def test_a_prompt_given_up_halfway_is_continued(engines: tuple[Engine, Engine]) -> None:
    """Stop between the chunks of a prompt: what was read counts, the rest is read next time."""
    engine, fresh = engines
    ids = np.random.default_rng(2).integers(200, 512, 100).tolist()
    machine = engine.device.machine  # type: ignore[attr-defined]
    breathe = machine.breathe

    async def clicked() -> None:
        if len(engine.session.kept.ids) >= 2 * CHUNK:
            engine.stop()
        await breathe()

    machine.breathe = clicked
    engine.forget()
    with pytest.raises(Cancelled):
        turns.prefill(engine, ids)
    machine.breathe = breathe
    assert len(engine.session.kept.ids) % CHUNK == 0
    assert 0 < len(engine.session.kept.ids) < 100
    assert list(iterate(engine.generate(ids, 8, GREEDY, ignore_eos=True)))
    stats = engine.stats
    assert 0 < stats.reused_tokens < 100
    assert stats.prefill_rate == pytest.approx((100 - stats.reused_tokens) / stats.prefill_seconds)
    fresh.forget()
    expected = [p.token for p in iterate(fresh.generate(ids, 8, GREEDY, ignore_eos=True))]
    assert [p.token for p in iterate(engine.generate(ids, 8, GREEDY, ignore_eos=True))] == expected
    assert engine.stats.reused_tokens == 99


def test_scores_do_not_depend_on_what_is_in_the_cache(engines: tuple[Engine, Engine]) -> None:
    engine, _ = engines
    ids = np.random.default_rng(3).integers(200, 512, 90).tolist()
    expected = drive(engine.score(ids))
    list(iterate(engine.generate(ids[:50], 30, GREEDY, ignore_eos=True)))
    np.testing.assert_array_equal(drive(engine.score(ids)), expected)
    # And a text that was scored is in the cache.
    list(iterate(engine.generate(ids, 2, GREEDY, ignore_eos=True)))
    assert engine.stats.reused_tokens == 89


def test_a_generation_that_lost_the_cache_ends(engines: tuple[Engine, Engine]) -> None:
    engine, _ = engines
    first = engine.generate([2, 300, 301], 60, GREEDY, ignore_eos=True)
    for _ in range(3):
        drive(anext(first))
    stats = engine.stats
    list(iterate(engine.generate([2, 400], 5, GREEDY, ignore_eos=True)))
    assert list(iterate(first)) == []
    assert stats.stop_reason == "cancelled"
