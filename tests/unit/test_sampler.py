"""Sampling: the order of the steps, the distribution, the generator's published numbers."""

from __future__ import annotations

from collections import Counter
from numbers import Integral, Real

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sotto.errors import DeviceError, InvalidSetting, SottoError
from sotto.reports import MOST_CANDIDATES
from sotto.text.sampler import Rule, Sampling, choose, choose_among_all, exponential, philox, uniform


class Sampler:
    """Draw after draw by one rule."""

    def __init__(self, sampling: Sampling) -> None:
        self.rule = Rule.of(sampling)
        self.draw = -1

    def pick(self, ids: np.ndarray, logits: np.ndarray, history: list[int]) -> int:
        self.draw += 1
        return choose(self.rule, self.draw, ids, logits, history)


def ids_of(count: int) -> np.ndarray:
    return np.arange(100, 100 + count)


def logits_of(probabilities: list[float]) -> np.ndarray:
    return np.log(np.array(probabilities)).astype(np.float32)


def counts(sampling: Sampling, probabilities: list[float], draws: int = 5000) -> Counter[int]:
    """How often each place (0 the most probable) is drawn."""
    sampler = Sampler(sampling)
    ids, logits = np.arange(len(probabilities)), logits_of(probabilities)
    return Counter(sampler.pick(ids, logits, []) for _ in range(draws))


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [  # from the known-answer file of Random123, the authors' own implementation
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        (
            (0xFFFFFFFF,) * 4,
            (0xFFFFFFFF,) * 2,
            (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
        ),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_published_numbers(counter, key, words):
    assert philox(counter, key) == words


def test_uniform_is_even_and_exact_in_float32():
    values = np.array([uniform(5, counter) for counter in range(10_000)])
    assert values.min() >= 0 and values.max() < 1
    assert np.array_equal(values.astype(np.float32), values)
    per_bin = np.histogram(values, bins=20, range=(0, 1))[0]
    # A bin's count has a standard deviation of about 22; the seed is fixed, so this cannot fail by chance.
    assert np.abs(per_bin - 500).max() < 4 * 22
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.04


def test_uniform_uses_all_of_the_seed_and_counter():
    assert len({uniform(seed, 0) for seed in (0, 1, 1 << 31, 1 << 32, 1 << 63)}) == 5
    assert len({uniform(0, counter) for counter in (0, 1, 1 << 31, 1 << 32, 1 << 63)}) == 5


def test_temperature_zero_is_greedy():
    sampler = Sampler(Sampling(temperature=0))
    assert {sampler.pick(ids_of(4), logits_of([0.3, 0.3, 0.2, 0.2]), []) for _ in range(50)} == {100}


def test_draws_follow_the_probabilities():
    probabilities = [0.5, 0.25, 0.15, 0.07, 0.03]
    seen = counts(Sampling(top_k=0, top_p=1, seed=1), probabilities)
    for place, probability in enumerate(probabilities):
        assert seen[place] / 5000 == pytest.approx(probability, abs=0.025)


def test_temperature_sharpens_and_flattens():
    for temperature in (0.5, 2.0):
        powered = np.array([0.6, 0.3, 0.1]) ** (1 / temperature)
        seen = counts(Sampling(temperature=temperature, top_k=0, top_p=1, seed=2), [0.6, 0.3, 0.1])
        for place, probability in enumerate(powered / powered.sum()):
            assert seen[place] / 5000 == pytest.approx(probability, abs=0.025)


def test_a_temperature_near_zero_is_greedy_too():
    assert counts(Sampling(temperature=1e-320, seed=3), [0.4, 0.35, 0.25], 100).keys() == {0}


def test_top_k_keeps_so_many():
    assert counts(Sampling(top_k=2, top_p=1, seed=3), [0.4, 0.3, 0.2, 0.1], 2000).keys() == {0, 1}
    assert counts(Sampling(top_k=9, top_p=1, seed=3), [0.4, 0.3, 0.2, 0.1], 2000).keys() == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("top_p", "kept"),
    [(0.4, 1), (0.5, 1), (0.51, 2), (0.75, 2), (0.76, 3), (0.999, 4), (1.0, 4), (1e-9, 1)],
)
def test_top_p_keeps_the_candidate_that_crosses_it(top_p, kept):
    # Powers of two: the sums are exact, so the edges are too.
    seen = counts(Sampling(top_k=0, top_p=top_p, seed=4), [0.5, 0.25, 0.125, 0.125], 3000)
    assert seen.keys() == set(range(kept))


def test_top_p_counts_what_top_k_left():
    # Of the two that top-k leaves, the first has 0.75: above a top-p of 0.7, though it has 0.6 of the whole.
    assert counts(Sampling(top_k=2, top_p=0.7, seed=4), [0.6, 0.2, 0.1, 0.1], 500).keys() == {0}


def test_top_p_is_applied_after_temperature():
    # A temperature of 2 turns 0.64, 0.36 into 0.571, 0.429: the first alone no longer reaches 0.6.
    assert counts(Sampling(top_p=0.6, seed=4), [0.64, 0.36], 500).keys() == {0}
    assert counts(Sampling(top_p=0.6, temperature=2, seed=4), [0.64, 0.36], 500).keys() == {0, 1}


def test_min_p_is_a_share_of_the_best():
    probabilities = [0.5, 0.3, 0.15, 0.05]
    assert counts(Sampling(top_p=1, min_p=0.2, seed=5), probabilities, 2000).keys() == {0, 1, 2}
    assert counts(Sampling(top_p=1, min_p=1, seed=5), probabilities, 200).keys() == {0}


def test_a_single_candidate():
    assert Sampler(Sampling(seed=1)).pick(ids_of(1), np.array([-3], np.float32), []) == 100


def test_the_same_seed_gives_the_same_text():
    logits = logits_of([0.2] * 5)

    def run(seed: int | None) -> list[int]:
        sampler = Sampler(Sampling(top_p=1, seed=seed))
        return [sampler.pick(ids_of(5), logits, []) for _ in range(40)]

    assert run(7) == run(7)
    assert run(7) != run(8)
    drawn = Sampler(Sampling(top_p=1))
    first = [drawn.pick(ids_of(5), logits, []) for _ in range(40)]
    assert first == run(drawn.rule.seed)
    assert Sampler(Sampling()).rule.seed != drawn.rule.seed


def test_repetition_penalty_lowers_what_was_seen():
    greedy = Sampling(temperature=0, repeat_penalty=2)
    ids = ids_of(3)
    assert Sampler(greedy).pick(ids, np.array([4, 3, 1], np.float32), [100]) == 101
    assert Sampler(greedy).pick(ids, np.array([-1, -1.5, -9], np.float32), [100]) == 101
    assert Sampler(greedy).pick(ids, np.array([4, 3, 1], np.float32), []) == 100
    # Penalised alike, the order stays.
    assert Sampler(greedy).pick(ids, np.array([4, 3, 1], np.float32), [100, 101, 102]) == 100


def test_repetition_penalty_looks_at_the_latest_tokens_only():
    logits = np.array([4, 3], np.float32)
    sampling = Sampling(temperature=0, repeat_penalty=2, repeat_last=2)
    assert Sampler(sampling).pick(ids_of(2), logits, [100, 5, 6]) == 100
    assert Sampler(sampling).pick(ids_of(2), logits, [5, 100, 6]) == 101
    off = Sampling(temperature=0, repeat_penalty=2, repeat_last=0)
    assert Sampler(off).pick(ids_of(2), logits, [100]) == 100


def test_candidates_are_sorted_again_after_the_penalty():
    # The penalised best one falls behind, so top_k=1 keeps the other: sampling cannot return the first.
    sampling = Sampling(top_k=1, repeat_penalty=2, seed=1)
    assert Sampler(sampling).pick(ids_of(2), np.array([4, 3], np.float32), [100]) == 101


NUMBERS = {
    "temperature": (0, 10), "top_p": (1e-30, 1), "min_p": (0, 1), "repeat_penalty": (0.01, 100),
}  # fmt: skip
WHOLE = {"top_k": (0, None), "repeat_last": (0, None), "seed": (0, 2**64 - 1)}
ANYTHING = st.one_of(
    st.integers(), st.floats(), st.booleans(), st.text(), st.none(), st.complex_numbers(), st.binary(),
    st.fractions(), st.lists(st.integers(), max_size=2), st.floats(0, 2), st.integers(0, 100),
    st.integers(-(2**400), 2**400),
    st.sampled_from([1e-46, 5e-324, 1e308, np.float32(0.5), np.int64(3), np.bool_(True)]),
)  # fmt: skip


@given(st.sampled_from([*NUMBERS, *WHOLE]), ANYTHING)
def test_a_setting_is_either_possible_or_named(name: str, value: object) -> None:
    """Of any kind of value: what is accepted makes a rule of finite numbers that a kernel can be given."""
    least, most = (NUMBERS | WHOLE)[name]
    kind = Real if name in NUMBERS else Integral
    possible = isinstance(value, kind) and not isinstance(value, bool)
    possible = possible and value >= least and (most is None or value <= most)  # type: ignore[operator]
    if possible or (name == "seed" and value is None):
        sampling = Sampling(**{name: value})  # type: ignore[arg-type]
        assert type(getattr(sampling, name)) in (int, float, type(None))
        rule = Rule.of(sampling)
        numbers = np.array(
            [rule.inverse_temperature, rule.top_p, rule.min_p, rule.penalty, 1 / rule.penalty], np.float32
        )
        assert np.isfinite(numbers).all() and numbers[1] > 0 and numbers[3] > 0
        assert (numbers[0] == 0) == (sampling.temperature < 1e-30)
        assert 0 <= choose_among_all(rule, 0, np.arange(9, dtype=np.float32), [8, 8]) < 9
        if rule.wanted <= MOST_CANDIDATES:
            assert Rule.unpack(rule.pack(3)) == (rule, 3)
    else:
        with pytest.raises(InvalidSetting, match=f"^{name} is ") as error:
            Sampling(**{name: value})  # type: ignore[arg-type]
        assert isinstance(error.value, ValueError) and error.value.hint


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_logits_that_are_no_numbers_are_an_error(bad):
    with pytest.raises(DeviceError):
        Sampler(Sampling()).pick(ids_of(2), np.array([bad, 1], np.float32), [])


def test_the_exponential_is_one():
    x = np.linspace(-87, 0, 10_001).astype(np.float32)
    np.testing.assert_allclose(exponential(x), np.exp(x.astype(np.float64)), rtol=5e-7)
    assert exponential(np.zeros(1, np.float32))[0] == 1
    assert exponential(np.array([-1e30], np.float32))[0] < 1e-37


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(),
        Sampling(temperature=0),
        Sampling(temperature=0.3, top_k=5, top_p=0.7, min_p=0.01, repeat_penalty=1.1, seed=(1 << 64) - 1),
        Sampling(top_k=0, repeat_last=7, repeat_penalty=0.9, seed=1 << 32),
    ],
)
def test_a_rule_survives_the_step_block(sampling):
    rule = Rule.of(sampling)
    assert Rule.unpack(rule.pack(12)) == (rule, 12)


@pytest.mark.parametrize(
    ("sampling", "wanted"),
    [
        (Sampling(temperature=0), 1),
        (Sampling(top_k=5), 5),
        (Sampling(top_k=0), 0),
        (Sampling(top_k=2000), 2000),
        (Sampling(top_k=20, repeat_penalty=1.1), 84),
        (Sampling(temperature=0, repeat_penalty=1.1, repeat_last=9), 10),
        (Sampling(top_k=20, repeat_penalty=1.1, repeat_last=0), 20),
        (Sampling(top_k=20, repeat_penalty=0.9), 0),  # any token may rise
    ],
)
def test_a_rule_asks_for_as_many_candidates_as_decide(sampling: Sampling, wanted: int) -> None:
    rule = Rule.of(sampling)
    assert rule.wanted == wanted
    assert rule.decided_by(128) == (0 < wanted <= 128)
    assert not wanted or (rule.decided_by(wanted) and not rule.decided_by(wanted - 1))


def penalised(sampling: Sampling, logits: np.ndarray, history: list[int]) -> np.ndarray:
    """The scores of all tokens."""
    scores = logits.astype(np.float64)
    for token in set(history[len(history) - min(len(history), sampling.repeat_last) :]):
        penalty = sampling.repeat_penalty
        scores[token] = scores[token] / penalty if scores[token] > 0 else scores[token] * penalty
    return scores


@pytest.mark.parametrize("seed", range(40))
def test_what_decides_is_among_the_candidates(seed: int) -> None:
    """The rule applied to all tokens at once, in float64; to all as the host does it; and to the candidates a device
    selects: one token. Also where those with the highest logits are all penalised, and where logits are equal."""
    rng = np.random.default_rng(seed)
    vocabulary = 300
    logits = rng.normal(0, 3, vocabulary).astype(np.float32)
    if seed % 4 == 0:
        logits = np.round(logits)
    history = np.argsort(-logits)[: rng.integers(1, 30)].tolist() + rng.integers(0, vocabulary, 10).tolist()
    sampling = Sampling(
        temperature=float(rng.choice([0, 0.7, 1.5])), top_k=int(rng.choice([0, 1, 5, 40, 200, 1000])),
        top_p=float(rng.choice([0.8, 1])), repeat_penalty=float(rng.choice([1, 1.3, 5, 0.7])),
        repeat_last=int(rng.choice([0, 8, 64])), copy_bias=float(rng.choice([0, 2])), seed=seed,
    )  # fmt: skip
    prompt = int(rng.integers(1, 8))
    history[-2:] = history[prompt - 1 : prompt + 1]  # a phrase that may be the prompt's
    rule = Rule.of(sampling, prompt)
    scores = penalised(sampling, logits, history)
    for i in np.argsort(-logits, kind="stable")[:32]:
        phrases = [history[at : at + 2] == history[-2:] for at in range(prompt - 2) if history[at + 2] == i]
        words = [history[at] == history[-1] for at in range(prompt - 1) if history[at + 1] == i]
        scores[i] += sampling.copy_bias * (1 if any(phrases) else 0.5 if any(words) else 0)
    ranks = np.lexsort((np.arange(vocabulary), -logits, -scores))
    allowed = ranks[: (1 if not sampling.temperature else sampling.top_k) or vocabulary]
    order = np.argsort(-logits, kind="stable")
    for draw in range(20):
        token = choose_among_all(rule, draw, logits, history)
        assert token in allowed
        assert choose(rule, draw, order, logits[order], history) == token
        if rule.decided_by(128):
            best = order[: rule.wanted]
            assert choose(rule, draw, best, logits[best], history) == token


def test_draws_among_all_follow_the_probabilities() -> None:
    """Most of the probability lies in a tail of tokens each of which would vanish in a float32 sum."""
    logits = np.zeros(200_000, np.float32)
    logits[7] = np.log(0.25 / 0.75 * (len(logits) - 1))
    rule = Rule.of(Sampling(top_k=0, top_p=1, seed=3))
    drawn = [choose_among_all(rule, draw, logits, []) for draw in range(300)]
    assert drawn.count(7) / 300 == pytest.approx(0.25, abs=0.08)
    tail = [token for token in drawn if token != 7]
    assert len(set(tail)) > 220
    assert np.mean(tail) == pytest.approx(100_000, rel=0.1)


def test_what_goes_on_with_a_phrase_of_the_prompt_is_more_probable() -> None:
    """Two tokens long all of the bias, one token long half of it; not for what an answer alone has said, nor for its
    first token, nor for tokens that are improbable."""
    ids, logits = np.arange(40), -np.arange(40, dtype=np.float32)
    prompt = [9, 8, 3, 8, 5, 7, 39]

    def picked(answer: list[int], bias: float) -> int:
        rule = Rule.of(Sampling(temperature=0, copy_bias=bias), len(prompt))
        return choose(rule, 0, ids, logits, [*prompt, *answer])

    assert picked([9, 8], 3.5) == 3  # 3.5 for "9 8 3"; for "8 5" 1.75 of the 5 it lacks
    assert picked([9, 8], 2.5) == 0
    assert picked([1, 8], 6.5) == 3  # half for both, 3 lacks less
    assert picked([1, 8], 5.5) == 0
    assert picked([1, 5], 15) == 7  # half of 15 for "5 7"
    assert picked([4, 2, 4], 50) == 0
    assert picked([], 50) == 0
    assert picked([7], 100) == 0  # 39 is not among the 32 most probable
    assert Rule.of(Sampling(copy_bias=2)).copy_bias == 0
    assert Rule.of(Sampling(temperature=0, copy_bias=2), 9).wanted == 32


def test_what_may_not_come_does_not() -> None:
    logits = np.full(1000, -np.inf, np.float32)
    with pytest.raises(SottoError, match="no token to choose"):
        choose_among_all(Rule.of(Sampling()), 0, logits, [])
    logits[[3, 900]] = -5, -4
    for sampling in (Sampling(seed=1), Sampling(seed=1, top_k=0), Sampling(seed=1, repeat_penalty=0.5)):
        rule = Rule.of(sampling)
        assert {choose_among_all(rule, draw, logits, [5]) for draw in range(50)} == {3, 900}
