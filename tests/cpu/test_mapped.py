"""A file that lies in the CPU's memory as it is mapped, not copied."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import tiny
from sotto.api import drive, iterate
from sotto.devices.cpu import CpuDevice
from sotto.devices.heap import PAGE
from sotto.engine.engine import Engine
from sotto.native import disk
from sotto.native.disk import IMAGE, DiskStore
from sotto.native.wasm import open_cpu
from sotto.reports import Settings
from sotto.source import MemorySource
from sotto.text.sampler import Sampling

HERE = sys.platform == "linux"
NBYTES = 3 * PAGE + 100


@pytest.fixture
def cpu() -> Iterator[CpuDevice]:
    device = drive(open_cpu(2))
    yield device
    device.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(np.random.default_rng(0).bytes(NBYTES + 50))
    return path


def mapped(cpu: CpuDevice, buffer: int, path: Path, nbytes: int = NBYTES) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return cpu.map(buffer, descriptor, nbytes)
    finally:
        os.close(descriptor)


@pytest.mark.skipif(not HERE, reason="files are mapped on Linux only")
def test_a_file_lies_in_a_buffer_and_stays_what_it_is(cpu: CpuDevice, file: Path) -> None:
    cpu.buffer(300, "in front")
    buffer, behind = cpu.buffer(NBYTES, "mapped"), cpu.buffer(PAGE, "behind")
    cpu.write(behind, 0, b"x" * 300)
    before = file.read_bytes()
    assert mapped(cpu, buffer, file)
    assert drive(cpu.read(buffer, 0, NBYTES)) == before[:NBYTES]
    assert drive(cpu.read(behind, 0, 300)) == b"x" * 300
    assert not any(drive(cpu.read(buffer, NBYTES, behind - buffer - NBYTES))), "nothing of the file's rest"
    cpu.write(buffer, 8, b"written!")
    assert drive(cpu.read(buffer, 0, 24)) == before[:8] + b"written!" + before[16:24]
    assert file.read_bytes() == before
    file.unlink()
    assert drive(cpu.read(buffer, 24, NBYTES - 24)) == before[24:NBYTES]
    cpu.free(buffer)
    again = cpu.buffer(NBYTES, "again")
    assert again == buffer and not any(drive(cpu.read(again, 0, NBYTES)))


def test_what_cannot_be_mapped(cpu: CpuDevice, file: Path) -> None:
    small, large = cpu.buffer(100, "small"), cpu.buffer(2 * NBYTES, "large")
    assert not mapped(cpu, small, file, 100), "less than a page"
    assert not mapped(cpu, large + 256, file), "not where a page begins"
    assert not mapped(cpu, large, file, 2 * NBYTES), "more than the file has"
    assert not any(drive(cpu.read(large, 0, 2 * NBYTES)))


def tokens(cpu: CpuDevice, store: DiskStore | None) -> tuple[list[int], bool]:
    source = MemorySource(tiny.build(tiny.Tiny(seed=3)), "tiny.gguf", "tiny")
    engine = drive(Engine.load(source, cpu, store, Settings(context=64, chunks=(16,))))
    found = [p.token for p in iterate(engine.generate([2, 300, 301], 12, Sampling(temperature=0)))]
    engine.close()
    return found, engine.load_stats.cached


def test_a_model_from_the_cache_is_mapped(
    cpu: CpuDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    map_file = cpu.map

    def watched(buffer: int, file: int, nbytes: int) -> bool:
        seen.append(map_file(buffer, file, nbytes))
        return seen[-1]

    monkeypatch.setattr(cpu, "map", watched)
    store, expected = DiskStore(tmp_path), tokens(cpu, None)[0]
    assert tokens(cpu, store) == (expected, False) and not seen
    assert tokens(cpu, store) == (expected, True) and seen == [HERE]
    (image,) = tmp_path.glob(f"*/{IMAGE}")
    damaged = bytearray(image.read_bytes())
    damaged[5000] ^= 1
    image.write_bytes(damaged)
    assert tokens(cpu, store) == (expected, False), "converted again, over what was mapped"
    assert tokens(cpu, store) == (expected, True)
    assert len(seen) == 3


def test_what_is_damaged_of_a_mapped_image_is_mended(
    cpu: CpuDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the disk, and in the memory that the damaged file was mapped to."""
    monkeypatch.setattr(disk, "RECORD_BYTES", 1 << 17)
    monkeypatch.setattr(disk, "CHUNK_BYTES", 1 << 15)
    store, expected = DiskStore(tmp_path), tokens(cpu, None)[0]
    tokens(cpu, store)
    (image,) = tmp_path.glob(f"*/{IMAGE}")
    whole = image.read_bytes()
    damaged = bytearray(whole)
    for at in range(5000, len(damaged), 1 << 18):
        damaged[at : at + 1000] = bytes(1000)
    image.write_bytes(damaged)
    assert tokens(cpu, store) == (expected, True)
    assert image.read_bytes() == whole
