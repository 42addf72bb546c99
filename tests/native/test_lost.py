"""A GPU that is lost, or refuses: on Dawn this is a DeviceError wherever it happens, and the CPU helps out."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

import tiny
import vulkan
from sotto import api, cli
from sotto.api import drive
from sotto.device import Batch, Inputs, Later, OutputRange, Pipeline, Program, Shader, Step
from sotto.errors import DeviceError
from sotto.native import dawn
from sotto.native.dawn import NativeDevice

MODEL = tiny.build(tiny.Tiny(layers=2, types=dict.fromkeys(tiny.DEFAULT_TYPES, "Q4_0")))
SIMPLE = "decode:simple,matmul:simple,attention:simple"
SHADER = Shader(
    "add",
    "@group(0) @binding(0) var<storage, read_write> x: array<u32>;\n"
    "@compute @workgroup_size(1) fn main() { x[2] = x[0] + x[1]; }",
)
PIPELINE = Pipeline(0, {})


def adding(buffer: int, nbytes: int = 64) -> Program:
    step = Step("add", 0, ((0, buffer, 0, nbytes, "read_write"),), (1, 1, 1))
    return Program("sum", (SHADER,), (PIPELINE,), (step,), Inputs(buffer, 8), OutputRange(buffer, 8, 4))


async def landed(flight: Awaitable[Batch]) -> Batch:
    return await flight


@pytest.fixture
def device() -> NativeDevice:
    """A GPU of one's own."""
    vulkan.choose_driver()
    return NativeDevice()


CALLS: dict[str, Callable[[NativeDevice, int, int], object]] = {
    "buffer": lambda device, buffer, program: device.buffer(64, "another"),
    "write": lambda device, buffer, program: device.write(buffer, 0, bytes(64)),
    "read": lambda device, buffer, program: drive(device.read(buffer, 0, 64)),
    "ready": lambda device, buffer, program: drive(device.ready((SHADER,), (PIPELINE,), 0)),
    "load": lambda device, buffer, program: drive(device.load(adding(buffer))),
    "run": lambda device, buffer, program: drive(device.run(program, bytes(8))),
    "submit": lambda device, buffer, program: drive(landed(device.submit(program, bytes(8), 2))),
    "profile": lambda device, buffer, program: drive(device.profile(program, bytes(8), [[0], [0]])),
    "finish": lambda device, buffer, program: drive(device.finish()),
}


@pytest.mark.parametrize("call", CALLS)
def test_every_call_tells_that_the_device_is_lost(device: NativeDevice, call: str) -> None:
    """At once, and ever after: Dawn itself is silent once it has told the loss."""
    buffer = device.buffer(64, "x")
    program = drive(device.load(adding(buffer)))
    CALLS[call](device, buffer, program)
    device._device.destroy()
    for again in (call, call, *CALLS):
        with pytest.raises(DeviceError, match=r"The GPU was lost \(destroyed: .*\)\. Load the model again\."):
            CALLS[again](device, buffer, program)
    device.free(buffer)
    device.unload(program)
    device.close()


def test_a_batch_under_way_tells_that_the_device_is_lost(device: NativeDevice) -> None:
    program = drive(device.load(adding(device.buffer(64, "x"))))
    flight = device.submit(program, bytes(8), 1)
    device._device.destroy()
    with pytest.raises(DeviceError, match="The GPU was lost"):
        drive(landed(flight))
    device.close()


def test_what_the_driver_refuses_is_told(device: NativeDevice) -> None:
    buffer = device.buffer(64, "x")
    with pytest.raises(DeviceError, match=r"The GPU refused sum: Binding size \(1024\)") as caught:
        drive(device.load(adding(buffer, 1024)))
    assert "driver" in caught.value.hint
    assert (
        drive(device.run(drive(device.load(adding(buffer))), bytes([1, 0, 0, 0, 2, 0, 0, 0]))) == b"\3\0\0\0"
    )
    device.close()


class Losing(NativeDevice):
    """A real GPU, as far as anybody can tell, that is lost when the model is loaded."""

    def __init__(self, adapter: str | None = None) -> None:
        super().__init__(adapter)
        self.adapter = replace(self.adapter, software=False)

    async def load(self, program: Program) -> int:
        self._device.destroy()
        return await super().load(program)


class LosingLater(Losing):
    """One that is lost in the middle of an answer."""

    async def load(self, program: Program) -> int:
        return await NativeDevice.load(self, program)

    def submit(self, program: int, inputs: bytes | None, repeats: int) -> Later:
        self._device.destroy()
        return super().submit(program, inputs, repeats)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    vulkan.choose_driver()
    (tmp_path / "tiny.gguf").write_bytes(MODEL)
    return tmp_path / "tiny.gguf"


def test_the_cpu_takes_over(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dawn, "NativeDevice", Losing)
    monkeypatch.delenv("SOTTO_ADAPTER", raising=False)
    with api.load(model, cache=False, context=64, threads=1, variant=SIMPLE) as loaded:
        assert loaded.adapter.name == "CPU"
        assert "The CPU is used in place of the GPU: The GPU was lost" in loaded.load_stats.instead
        assert "".join(loaded.generate("the", max_tokens=3))
    with pytest.raises(DeviceError, match="The GPU was lost"):
        api.load(model, device="gpu", cache=False, context=64, variant=SIMPLE)


@pytest.mark.parametrize("kind", [Losing, LosingLater])
def test_the_command_line_tells_it_in_a_sentence(
    model: Path, kind: type[Losing], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dawn, "NativeDevice", kind)
    options = ["-m", str(model), "-c", "64", "--no-cache", "--device", "gpu", "--variant", SIMPLE]
    monkeypatch.setattr(sys, "argv", ["sotto", "generate", *options, "the"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    told = capsys.readouterr().err
    assert "sotto: The GPU was lost (destroyed: " in told and "Load the model again." in told
    assert "Traceback" not in told
