"""Which buffers a model's weights get, and where in them they lie."""

from __future__ import annotations

from itertools import count, pairwise

import pytest

import tiny
from sotto import formats, models
from sotto.api import drive
from sotto.device import Device
from sotto.devices.reference.device import NumpyDevice
from sotto.plan import memory, wgsl
from sotto.plan.memory import Memory
from sotto.plan.plan import Plan, Use, tensor
from sotto.plan.weights import Weights, bind
from sotto.source import MemorySource
from sotto.weights.image import Image
from sotto.weights.layout import ALIGNMENT


def weights(max_binding: int) -> Weights:
    checkpoint = drive(formats.open(MemorySource(tiny.build(tiny.Tiny()), "tiny.gguf", "tiny")))
    model = models.find(checkpoint.architecture).read(checkpoint.settings)
    return bind(Image.of(checkpoint.tensors, model.wanted()), max_binding)


def allocated(device: Device, loaded: Weights) -> Memory:
    found = Memory(device)
    found.allocate_weights(loaded)
    return found


@pytest.mark.parametrize("run", [100_000, 300_000, memory.RUN])
def test_a_buffer_holds_a_run_of_the_image(run: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "RUN", run)
    loaded = weights(70_000)
    found = allocated(NumpyDevice(), loaded)
    places = {p.buffer: p for p in found.placements}
    assert (len(places) == 1) == (run > 1 << 20)
    assert len(places) == len(found.placements)
    assert sum(p.nbytes for p in found.placements) == found.nbytes["weights"]
    for a, b in pairwise(found.placements):
        assert a.image_offset + a.nbytes <= b.image_offset < a.image_offset + a.nbytes + ALIGNMENT
        assert b.image_offset + b.nbytes - a.image_offset > run, "the run before had room"
    for plane in loaded.planes():
        buffer, offset = found.place(plane)
        place = places[buffer]
        assert place.image_offset + offset == loaded.offsets[plane.memory]
        assert offset % ALIGNMENT == 0
        assert offset + plane.nbytes <= place.nbytes <= run


def test_a_plane_that_passes_a_run_has_a_buffer_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "RUN", 1000)
    loaded = weights(1 << 30)
    found = allocated(NumpyDevice(), loaded)
    largest = max(loaded.planes(), key=lambda t: t.nbytes)
    assert largest.nbytes > 1000
    buffer, offset = found.place(largest)
    assert offset == 0
    assert [p.nbytes for p in found.placements if p.buffer == buffer] == [largest.nbytes]


def test_no_buffer_passes_what_the_adapter_allows() -> None:
    device = NumpyDevice()
    device.limits = type(device.limits)(**vars(device.limits) | {"max_buffer": 80_000})
    found = allocated(device, weights(70_000))
    assert max(p.nbytes for p in found.placements) <= 80_000
    assert len(found.placements) > 3


class Reusing:
    """A device that gives a freed buffer's handle to the next one, as the CPU does, whose handles are addresses."""

    limits = NumpyDevice().limits

    def __init__(self) -> None:
        self.labels: dict[int, str] = {}

    def buffer(self, nbytes: int, label: str) -> int:
        handle = next(n for n in count(1) if n not in self.labels)
        self.labels[handle] = label
        return handle

    def free(self, buffer: int) -> None:
        del self.labels[buffer]  # freed twice, it is not there


def program(name: str) -> Plan:
    plan = Plan(name, 1)
    x, y = plan.scratch("x", (4096,)), plan.outputs("y", (1, 64))
    plan.add("last row", wgsl.load("last_row"), (1, 1, 1), {"x": x, "y": y}, D=64)
    return plan


def test_handles_that_are_used_again_are_whose_they_are_now() -> None:
    """What a program had for a while is freed, and its handle is then a cache's: making room for other programs leaves
    that alone. And what is made in place of something freed inside a `temporary` is freed with it."""
    device = Reusing()
    found = Memory(device)  # type: ignore[arg-type]
    with found.temporary():
        found.program(program("trial"))
    assert not device.labels
    found.allocate("cache", [tensor("keys", (64,), "f32", Use.CACHE)])
    found.reserve([program("decode")])
    assert "keys" in device.labels.values()
    found.program(program("decode"))
    before = dict(device.labels)
    with found.temporary():
        found.reserve([program("decode")])  # frees the pool and what the program had
        found.program(program("another"))
    assert set(device.labels.values()) == {"keys"}
    assert found.nbytes == {"scratch": 0, "cache": 256}
    assert before
    found.reserve([program("decode")])
    found.program(program("decode"))
    found.release()
    assert not device.labels and not any(found.nbytes.values())


def test_a_part_of_a_plane_lies_inside_it() -> None:
    loaded = weights(1 << 30)
    found = allocated(NumpyDevice(), loaded)
    matrix = loaded.matrix("embedding")
    whole, part = matrix.shards[0].weights, matrix.part(64, 32).shards[0].weights
    assert found.place(part) == (found.place(whole)[0], found.place(whole)[1] + part.offset)
    assert part.offset > 0
