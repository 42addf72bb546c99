"""A long text summed up in parts, by a tiny model on the numpy device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

import tiny
from sotto.api import drive
from sotto.devices.reference.device import NumpyDevice
from sotto.engine.engine import Engine
from sotto.errors import Cancelled
from sotto.page.options import Options
from sotto.page.post import digest
from sotto.reports import Settings
from sotto.source import MemorySource

TEXT = "The small library writes a short story for every morning. People read it in the garden. " * 14
OPTIONS = Options(temperature=0, seed=1)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    source = MemorySource(tiny.build(tiny.Tiny(chat=True, context=1024)), "tiny.gguf", "tiny")
    made = drive(Engine.load(source, NumpyDevice(), None, Settings(context=768, chunks=(32, 128))))
    yield made
    made.close()


def test_every_part_is_summed_up_until_all_fits(engine: Engine) -> None:
    told: list[tuple[int, int, bool, int]] = []

    def progress(number: int, count: int, left: float | None, said: Sequence[str]) -> None:
        told.append((number, count, left is not None, len(said)))

    tokens = digest.tokens_of(engine, TEXT)
    limit = digest.LEAST
    assert tokens > limit, "or nothing is tested"
    found = drive(digest.digest(engine, TEXT, limit, OPTIONS, progress))
    assert 0 < digest.tokens_of(engine, found) <= limit
    count = told[0][1]
    assert count >= tokens / (limit // 2) and abs(count - digest.parts_of(tokens, limit)) <= 1
    first = told[:count]
    assert [each[0] for each in first] == list(range(1, count + 1))
    assert [each[2] for each in first] == [False] + [True] * (count - 1), "no time before one part is done"
    assert first[-1][3] <= count - 1
    if len(told) == count:
        assert len(found.splitlines()) <= count


def test_a_text_that_fits_stays_as_it_is(engine: Engine) -> None:
    def progress(*_: object) -> None:
        pytest.fail("nothing is to be summed up")

    assert drive(digest.digest(engine, TEXT, 5000, OPTIONS, progress)) == TEXT


def test_it_is_stopped_in_a_part(engine: Engine) -> None:
    numbers: list[int] = []

    def progress(number: int, _count: int, _left: float | None, _said: Sequence[str]) -> None:
        numbers.append(number)
        if number == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        drive(digest.digest(engine, TEXT, digest.LEAST, OPTIONS, progress))
    assert numbers == [1, 2]
