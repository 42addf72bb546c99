"""Runs of a loaded model without a generation, each in a turn of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sotto.api import drive
from sotto.engine.engine import Engine
from sotto.text.sampler import SampleOutputs


def prefill(engine: Engine, ids: Sequence[int]) -> SampleOutputs:
    """What the model tells of the token that follows a text."""

    async def read() -> SampleOutputs:
        with engine.session.turn() as turn:
            return await turn.prefill(ids)

    return drive(read())


def logits(engine: Engine, ids: Sequence[int]) -> NDArray[np.float32]:
    """The logits (V,) of the token that follows a text."""

    async def read() -> NDArray[np.float32]:
        with engine.session.turn() as turn:
            return await turn.logits(ids)

    return drive(read())


def decode(engine: Engine, position: int, token: int) -> SampleOutputs:
    """The same of the token that follows one at a position, from the program for one token."""

    async def run() -> SampleOutputs:
        with engine.session.turn() as turn:
            return SampleOutputs.of(await turn.run(engine.session.programs[1], position, [token]))

    return drive(run())
