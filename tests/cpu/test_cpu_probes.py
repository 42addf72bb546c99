"""The CPU's probes do what they say: each piece is read once, each product is summed, each step is run."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from sotto.api import drive
from sotto.bench.probes import _Repeated, probe
from sotto.devices.cpu import CpuDevice
from sotto.native.wasm import open_cpu
from sotto.plan import wgsl

PIECE = 4096  # probes.c


@pytest.fixture(scope="module", params=["relaxed", "simd"])
def cpu(request) -> Iterator[CpuDevice]:
    device = drive(open_cpu(3, relaxed=request.param == "relaxed"))
    yield device
    device.close()


def output(device: CpuDevice, work: _Repeated) -> int:
    return int(np.frombuffer(drive(device.read(work.output, 0, 4)), np.uint32)[0])


def test_a_chain_runs_in_order(cpu: CpuDevice) -> None:
    chain = _Repeated(cpu, wgsl.load("probes/nothing"), {}, 1)
    drive(chain.times(300))
    drive(chain.seconds())
    assert output(cpu, chain) == 300
    chain.release()


@pytest.mark.parametrize("changed", [0, 3, 4 * PIECE, 5 * PIECE + 17, 12 * PIECE - 1])
def test_the_stream_reads_every_piece(cpu: CpuDevice, changed: int) -> None:
    """The one pattern that is stored for, in a buffer of zeros, is found wherever it lies."""
    count = 12 * PIECE
    buffer = cpu.buffer(16 * count, "pieces")
    data = np.zeros((count, 4), np.uint32)
    data[changed] = (0x9E3779B9, 0x7F4A7C15, 0xF39CC060, 0x5CEDC834)
    cpu.write(buffer, 0, data)
    stream = _Repeated(cpu, wgsl.load("probes/stream"), {"COUNT": count, "THREADS": 256}, 1)
    cpu.write(stream.output, 0, np.array([12345], np.uint32))
    stream.bind("x", buffer, 16 * count)
    drive(stream.times(1))
    drive(stream.seconds())
    assert output(cpu, stream) == changed // PIECE
    stream.release()
    cpu.free(buffer)


@pytest.mark.parametrize(("summand", "expected"), [(0x13C6EF37, 1), (0x13C6EF38, 7)])
def test_products_are_summed(cpu: CpuDevice, summand: int, expected: int) -> None:
    """With factors of zero each chain ends at the summand; eight of one value make the sum that is stored for."""
    x = cpu.buffer(16, "x")
    cpu.write(x, 0, np.array([0, summand, 0, 0], np.uint32))
    work = _Repeated(cpu, wgsl.load("probes/dots"), {"ITERATIONS": 3, "THREADS": 1024}, 1)
    cpu.write(work.output, 0, np.array([7], np.uint32))
    work.bind("x", x, 16)
    drive(work.times(1))
    drive(work.seconds())
    assert output(cpu, work) == expected
    work.release()
    cpu.free(x)


def test_probes(cpu: CpuDevice) -> None:
    found = drive(probe(cpu))
    assert found.read.rate > 1e8 and found.read.nbytes >= 32 << 20
    assert found.f32 is None and found.f16 is None
    assert found.int8 is not None and found.int8 > 1e8
    assert found.round_trip > found.empty_dispatch >= 0
