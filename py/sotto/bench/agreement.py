"""Does a processor say what the reference says? Greedy tokens of the CPU, put into the mouth of another processor.

The reference writes a few short answers, always with the most probable token. The processor under test then decodes
the same tokens one by one, whatever it would have chosen itself, and is asked at each which token is its most
probable. So one difference does not lead to others, as it would where both wrote on their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..engine.engine import Engine
from ..engine.generation import Logits
from ..text.prompt import Prompt
from ..text.sampler import Sampling
from ..text.tokenizer import Segment

# Short answers to several beginnings: a long greedy answer soon repeats itself, and a repetition is easy to agree on.
BEGINNINGS = (
    "The history of the printing press begins in",
    "昔々、あるところに",
    "Die Alpen sind ein Gebirge, das",
    "def fibonacci(n):\n",
)
TOKENS = 32  # of each answer, at most

Told = Callable[[float], None]


@dataclass(frozen=True)
class Agreement:
    """How far a processor agrees with the CPU, token by token.

    Attributes:
        tokens: that the CPU wrote and the other processor was given.
        equal: of these, how many were its own most probable ones too.
        share: equal over tokens.
        logprob_difference: between the two log-probabilities of a token of the CPU's, in nats; the mean of the
            absolute values.
        widest_miss: where the two differ, by how many nats at most the CPU's token was ahead of its second; 0 where
            they never differ. Near 0 the CPU itself was undecided; 0.35 and more is a fault.
        reference: what the CPU is called.
    """

    tokens: int
    equal: int
    share: float
    logprob_difference: float
    widest_miss: float
    reference: str


@dataclass(frozen=True)
class Answer:
    """What the reference wrote: the prompt's ids, then for each token its id, its log-probability, and by how many
    nats it was ahead of the second."""

    prompt: list[int]
    tokens: list[int]
    logprobs: list[float]
    leads: list[float]


async def write(reference: Engine, told: Told) -> list[Answer]:
    """The reference's greedy answers.

    Args:
        reference: writes them.
        told: hears which part is done, 0 to 1, before every token; what it raises ends the writing.
    """
    answers = []
    for number, beginning in enumerate(BEGINNINGS):
        prompt = reference.encode(Prompt((Segment(beginning),)))[: reference.context // 2]
        answer = Answer(prompt, [], [], [])

        def watch(
            logits: NDArray[np.float32], ids: Sequence[int], to: Answer = answer
        ) -> NDArray[np.float32]:
            second, first = np.partition(logits, -2)[-2:]
            to.tokens.append(int(logits.argmax()))
            to.logprobs.append(_logprob(logits, to.tokens[-1]))
            to.leads.append(float(first - second))
            return logits

        await _run(reference, prompt, TOKENS, watch, _share(told, number, len(BEGINNINGS)))
        answers.append(answer)
    return answers


async def hold(engine: Engine, answers: Sequence[Answer], reference: str, told: Told) -> Agreement:
    """Force answers of at least one token onto a processor, and count where it would have written the same.

    Args:
        engine: on the processor under test, with a context no smaller than the reference's.
        answers: by `write`.
        reference: who wrote them.
        told: as of `write`.
    """
    missed: list[float] = []
    differences: list[float] = []
    for number, answer in enumerate(answers):

        def force(
            logits: NDArray[np.float32], ids: Sequence[int], of: Answer = answer
        ) -> NDArray[np.float32]:
            at = len(ids) - len(of.prompt)
            token = of.tokens[at]
            if int(logits.argmax()) != token:
                missed.append(of.leads[at])
            differences.append(abs(_logprob(logits, token) - of.logprobs[at]))
            forced = np.full_like(logits, -np.inf)
            forced[token] = 0.0
            return forced

        tokens = len(answer.tokens)
        await _run(engine, answer.prompt, tokens, force, _share(told, number, len(answers)))
    tokens = len(differences)
    equal = tokens - len(missed)
    return Agreement(
        tokens, equal, equal / tokens, sum(differences) / tokens, max(missed, default=0.0), reference
    )


async def _run(engine: Engine, prompt: list[int], tokens: int, logits: Logits, told: Told) -> None:
    """Read a prompt and decode, token by token, by the kernels that an answer takes."""
    engine.forget()
    told(0.0)
    async with aclosing(
        engine.generate(prompt, tokens, Sampling(temperature=0), ignore_eos=True, logits=logits)
    ) as parts:
        done = 0
        async for _ in parts:
            done += 1
            told(min(1.0, done / tokens))


def _share(told: Told, number: int, of: int) -> Told:
    """Hears of one of several answers, and tells of all."""
    return lambda part: told((number + part) / of)


def _logprob(logits: NDArray[np.float32], token: int) -> float:
    """The log-probability, in nats, of a token of logits (V,)."""
    highest = float(logits.max())
    return float(logits[token]) - highest - float(np.log(np.exp(logits - highest).sum(dtype=np.float64)))
