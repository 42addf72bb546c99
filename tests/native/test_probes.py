"""The probes do what they say: their kernels run as often, and on as much, as the arithmetic assumes."""

from __future__ import annotations

import time

import numpy as np
import pytest

from sotto.api import drive
from sotto.bench.probes import WORKGROUP, _Repeated, probe
from sotto.native.dawn import NativeDevice
from sotto.plan import wgsl


def output(device: NativeDevice, work: _Repeated) -> int:
    return int(np.frombuffer(drive(device.read(work.output, 0, 4)), np.uint32)[0])


def test_a_chain_runs_in_order(gpu: NativeDevice) -> None:
    chain = _Repeated(gpu, wgsl.load("probes/nothing"), {}, 1)
    for count, total in ((1, 1), (300, 301)):
        drive(chain.times(count))
        drive(chain.seconds())
        assert output(gpu, chain) == total
    chain.release()


def test_the_device_times_what_it_does_itself(gpu: NativeDevice) -> None:
    """A pass of 1000 dispatches runs them once, and takes less than the call that asks for it."""
    assert "timestamp-query" in gpu.adapter.features
    chain = _Repeated(gpu, wgsl.load("probes/nothing"), {}, 1)
    drive(chain.times(1000))
    began = time.perf_counter()
    seconds = drive(chain.on_device())
    assert 0 < seconds < time.perf_counter() - began
    assert output(gpu, chain) == 1000
    chain.release()


@pytest.mark.parametrize("changed", [0, 1, 255, 256, 1023])
def test_the_stream_reads_every_piece(gpu: NativeDevice, changed: int) -> None:
    """A piece with the one pattern that is stored for, in a buffer of zeros: it is found wherever it lies."""
    count = 4 * WORKGROUP
    buffer = gpu.buffer(16 * count, "pieces")
    data = np.zeros((count, 4), np.uint32)
    data[changed] = (0x9E3779B9, 0x7F4A7C15, 0xF39CC060, 0x5CEDC834)
    gpu.write(buffer, 0, data)
    stream = _Repeated(gpu, wgsl.load("probes/stream"), {"COUNT": count, "THREADS": WORKGROUP}, 1)
    gpu.write(stream.output, 0, np.array([12345], np.uint32))
    stream.bind("x", buffer, 16 * count)
    drive(stream.times(1))
    drive(stream.seconds())
    assert output(gpu, stream) == changed % WORKGROUP
    stream.release()
    gpu.free(buffer)


def test_multiply_adds_reach_their_fixed_point(gpu: NativeDevice) -> None:
    """x -> x/2 + 1/64 tends to 1/32; eight vectors of four then give a sum whose square is 0.25, not 1."""
    x = gpu.buffer(16, "x")
    for factor, summand, expected in ((0.5, 1 / 64, 7), (0.5, 1 / 32, 1)):
        gpu.write(x, 0, np.array([factor, summand, 0, 0], np.float32))
        work = _Repeated(gpu, wgsl.load("probes/fma", "f32"), {"ITERATIONS": 200}, 1)
        gpu.write(work.output, 0, np.array([7], np.float32))
        work.bind("x", x, 16)
        drive(work.times(1))
        drive(work.seconds())
        assert np.frombuffer(drive(gpu.read(work.output, 0, 4)), np.float32)[0] == expected
        work.release()
    gpu.free(x)


def test_probes(gpu: NativeDevice) -> None:
    found = drive(probe(gpu))
    assert found.read.rate > 0 and found.read.nbytes >= 32 << 20
    assert found.f32 > 0 and found.empty_dispatch > 0
    assert found.round_trip > found.empty_dispatch
    assert (found.f16 is None) == ("shader-f16" not in gpu.adapter.features)
