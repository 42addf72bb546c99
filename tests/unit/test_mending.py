"""Damaged records of the cache are made anew from no more of the model's file than they were made of."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest

import tiny
from hugging import files
from sotto import formats, models
from sotto.api import drive, iterate
from sotto.devices.reference.device import NumpyDevice
from sotto.engine.engine import Engine
from sotto.errors import ModelLost, SottoError
from sotto.native import disk
from sotto.native.disk import DiskStore
from sotto.reports import LoadProgress, Settings
from sotto.source import Folder, KeptSource, MemorySource, Source
from sotto.text.sampler import Sampling
from sotto.weights import imports, reads
from sotto.weights.image import Image

KEY = "a model"
RECORD = 1 << 15  # small, so that the tiny model has dozens
SETTINGS = Settings(context=32, chunks=(8,))


class Counted(MemorySource):
    """Knows how many of its bytes were read."""

    def __init__(self, data: bytes, name: str = "tiny.gguf", key: str = KEY) -> None:
        super().__init__(data, name, key)
        self.bytes_read = 0

    async def read(self, offset: int, nbytes: int) -> bytes:
        self.bytes_read += nbytes
        return await super().read(offset, nbytes)


@pytest.fixture(scope="module")
def model() -> bytes:
    return tiny.build(tiny.Tiny(layers=2))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DiskStore:
    monkeypatch.setattr(disk, "RECORD_BYTES", RECORD)
    monkeypatch.setattr(disk, "CHUNK_BYTES", RECORD // 4)
    monkeypatch.setattr(reads, "READ_BYTES", RECORD)
    return DiskStore(tmp_path / "weights")


def load(source: Source | Folder, store: DiskStore | None) -> Engine:
    return drive(Engine.load(source, NumpyDevice(), store, SETTINGS))


def tokens(engine: Engine) -> list[int]:
    """A few greedy tokens: they depend on every weight."""
    return [p.token for p in iterate(engine.generate([2, 300, 301], 4, Sampling(temperature=0)))]


def image_of(store: DiskStore) -> Path:
    """The image of its only entry."""
    (image,) = store.folder.glob(f"*/{disk.IMAGE}")
    return image


def damage(store: DiskStore, *places: int) -> bytes:
    """Flip a bit at places of the image; returns what it was."""
    image = image_of(store)
    whole = image.read_bytes()
    altered = bytearray(whole)
    for at in places:
        altered[at] ^= 1
    image.write_bytes(altered)
    return whole


@pytest.mark.parametrize(
    "places",
    [(10,), (-10,), (10 * RECORD, 11 * RECORD), tuple(range(RECORD, 7 * RECORD, RECORD))],
    ids=["the first weights", "the last weights", "two beside each other", "more than are held at once"],
)
def test_what_is_damaged_is_made_anew_and_nothing_else(
    model: bytes, store: DiskStore, places: tuple[int, ...]
) -> None:
    load(Counted(model), store)
    whole = damage(store, *places)
    source = Counted(model)
    again = load(source, store)
    stats = again.load_stats
    assert stats.cached and not stats.dropped and not stats.note
    assert 0 < stats.mended <= len(places) * RECORD
    assert 0 < source.bytes_read < len(model) / 2
    assert image_of(store).read_bytes() == whole
    assert tokens(again) == tokens(load(Counted(model), None))
    third = Counted(model)
    stats = load(third, store).load_stats
    assert stats.cached and not stats.mended and not third.bytes_read


def test_where_all_of_the_file_is_needed_it_is_converted_again(model: bytes, store: DiskStore) -> None:
    load(Counted(model), store)
    whole = damage(store, *range(0, image_of(store).stat().st_size, RECORD))
    again = load(Counted(model), store)
    assert not again.load_stats.cached and "records are missing or altered" in again.load_stats.dropped
    assert tokens(again) == tokens(load(Counted(model), None))
    assert image_of(store).read_bytes() == whole


def test_a_file_that_is_another_by_now_is_converted_again(model: bytes, store: DiskStore) -> None:
    """Its key says that it is the same, as where a server tells nothing but a size."""
    load(Counted(model), store)
    damage(store, 10)
    other = tiny.build(tiny.Tiny(layers=2, seed=4))
    again = load(Counted(other), store)
    assert not again.load_stats.cached and "does not come out as it was" in again.load_stats.dropped
    assert tokens(again) == tokens(load(Counted(other), None)) != tokens(load(Counted(model), None))


def test_a_disk_that_cannot_be_written_is_told_and_the_model_runs(
    model: bytes, store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(Counted(model), store)
    damage(store, 10)

    def refuse(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk.os, "fsync", refuse)
    again = load(Counted(model), store)
    assert again.load_stats.cached and "has no room" in again.load_stats.note
    assert tokens(again) == tokens(load(Counted(model), None))


def test_what_was_kept_is_mended_from_where_it_came_from(model: bytes, store: DiskStore) -> None:
    load(Counted(model), store)
    damage(store, 10)
    origin = Counted(model)

    async def found(whole: bool) -> Source | Folder:
        assert not whole
        return origin

    again = load(KeptSource(KEY, "my model", origin=found), store)
    assert again.load_stats.cached and again.load_stats.mended and origin.bytes_read < len(model) / 2
    assert tokens(again) == tokens(load(Counted(model), None))


def test_what_cannot_be_mended_stays_until_it_can(model: bytes, store: DiskStore) -> None:
    load(Counted(model), store)
    damage(store, 10)

    async def gone(whole: bool) -> Source | Folder:
        raise SottoError("the hub is not there.", "Try again.")

    async def other(whole: bool) -> Source | Folder:
        return Counted(model, key="another")

    for origin, why in ((gone, "the hub is not there"), (other, "another file"), (None, "not here")):
        with pytest.raises(ModelLost, match=f"my model is damaged.* {why}"):
            load(KeptSource(KEY, "my model", origin=origin), store)
    source = Counted(model)
    assert load(source, store).load_stats.mended and source.bytes_read < len(model) / 2


@pytest.mark.parametrize(
    ("contents", "scheme"),
    [
        ({"tiny.gguf": tiny.build(tiny.Tiny(layers=2))}, ""),
        (files(), "int8"),
        (files(), "q4_0"),
        (files(), "int4"),
    ],
    ids=["gguf", "int8", "q4_0", "int4"],
)
def test_any_part_of_an_image_comes_out_as_it_was(
    contents: Mapping[str, bytes], scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads, "READ_BYTES", 20_000)  # many pieces for each tensor
    opened = {name: Counted(data, name, name) for name, data in contents.items()}
    source = Folder("tiny", opened) if len(opened) > 1 else next(iter(opened.values()))
    checkpoint = drive(formats.open(source))
    wanted = models.find(checkpoint.architecture).read(checkpoint.settings).wanted()
    image = Image.of(checkpoint.tensors, wanted, imports.SCHEMES[scheme] if scheme else None)

    async def whole() -> np.ndarray:
        async with aclosing(image.convert(source)) as pieces:
            return np.concatenate([data.copy() async for _, data in pieces])

    async def again(at: int, nbytes: int) -> np.ndarray:
        got = np.zeros(image.nbytes, np.uint8)
        done = 0
        async with aclosing(image.convert_again(source, [(at, nbytes)])) as pieces:
            async for used, offset, data in pieces:
                got[offset : offset + data.size] = data
                done = used
        assert done == image.needed([(at, nbytes)]) < image.source_nbytes
        return got[at : at + nbytes]

    expected = drive(whole())
    rng = np.random.default_rng(0)
    for at in (0, image.nbytes - 1000, *rng.integers(0, image.nbytes - 1000, 20)):
        np.testing.assert_array_equal(drive(again(int(at), 1000)), expected[at : at + 1000])


def test_progress_of_mending_is_told(model: bytes, store: DiskStore) -> None:
    load(Counted(model), store)
    damage(store, 10)
    told: list[LoadProgress] = []
    drive(Engine.load(Counted(model), NumpyDevice(), store, SETTINGS, told.append))
    mending = [report for report in told if report.stage == "weights" and not report.cached]
    assert mending and mending[-1].done == mending[-1].total
