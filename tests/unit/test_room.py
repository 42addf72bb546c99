"""A model that is too large for a processor's memory: told with figures, before its weights are read."""

from __future__ import annotations

from pathlib import Path

import pytest

import tiny
from sotto import api
from sotto.api import drive
from sotto.devices.reference.device import NumpyDevice
from sotto.engine.engine import Engine
from sotto.engine.room import variant_of
from sotto.errors import LimitError, OutOfMemory
from sotto.models import synthetic
from sotto.native.memory import computer_memory
from sotto.reports import Settings
from sotto.source import MemorySource

DATA = tiny.build(tiny.Tiny(types=dict.fromkeys(tiny.DEFAULT_TYPES, "F32"), context=1 << 16))


class HeaderOnly(MemorySource):
    """A model whose weights are not to be read."""

    async def read(self, offset: int, nbytes: int) -> bytes:
        assert offset == 0
        return await super().read(offset, nbytes)

    def expect(self, offset: int, nbytes: int) -> None:
        raise AssertionError("a weight is about to be read")


def refused(memory: int, name: str = "tiny-F32.gguf", context: int = 64) -> LimitError:
    """How the model is refused by a processor with so much memory."""
    device = NumpyDevice()
    device.memory = memory
    with pytest.raises(LimitError) as error:
        drive(Engine.load(HeaderOnly(DATA, name, "key"), device, None, Settings(context, chunks=(8,))))
    assert device._buffers == {}
    return error.value


def needed(context: int) -> dict[str, int]:
    settings = Settings(context, chunks=(8,))
    return dict(drive(Engine.outline(MemorySource(DATA, "x", "x"), NumpyDevice(), settings)).needed(context))


def test_figures_and_a_smaller_file() -> None:
    found = needed(64)
    error = refused(found["weights"] // 2)
    assert f"tiny-F32.gguf needs {sum(found.values()) / 1e6:,.0f} MB" in error.message
    assert f"weights {found['weights'] / 1e6:,.0f} MB" in error.message
    assert "64 tokens" in error.message and "numpy, where there are" in error.message
    assert "(tiny-Q8_0.gguf): it needs about" in error.hint
    assert "(tiny-Q4_0.gguf): it needs about" in refused(found["weights"] // 5).hint
    assert "a Q4_0 file of this model" in refused(found["weights"] // 5, "tiny.gguf").hint
    assert refused(100_000).hint == "Use another processor, or another computer."


def test_a_shorter_context_where_that_helps() -> None:
    found = needed(4096)
    error = refused(sum(found.values()), context=1 << 16)
    assert error.hint == "Take a shorter context: one of 4,096 tokens fits."


def test_a_smaller_model_where_no_file_of_this_one_fits() -> None:
    device = NumpyDevice()
    device.memory = 1_200_000_000
    with pytest.raises(LimitError) as error:
        drive(Engine.load(synthetic.source("4b"), device))
    assert "4b (int4) needs 2," in error.value.message
    assert error.value.hint.startswith("Take a smaller model, such as Gemma 3 1B as Q4_0: it needs about ")


def test_memory_that_runs_out_though_nobody_knew_how_much_there_is() -> None:
    class Full(NumpyDevice):
        def buffer(self, nbytes: int, label: str) -> int:
            raise OutOfMemory("No memory for weights.")

    with pytest.raises(LimitError, match=r"which has not so much left \(No memory for weights\.\)") as error:
        drive(Engine.load(HeaderOnly(DATA, "tiny-F32.gguf", "key"), Full(), None, Settings(64, chunks=(8,))))
    assert "tiny-Q4_0.gguf" in error.value.hint


def test_memory_that_runs_out_and_is_told_late() -> None:
    """As browsers do."""

    class Late(NumpyDevice):
        async def finish(self) -> None:
            raise OutOfMemory("No memory.")

    with pytest.raises(LimitError, match="not so much left"):
        drive(Engine.load(HeaderOnly(DATA, "tiny", "key"), Late(), None, Settings(64, chunks=(8,))))


def test_of_two_processors_that_are_too_small_the_first_choice_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not the CPU, that was taken in place of a GPU: what fits into the GPU's memory is better advice."""
    gpu, cpu = NumpyDevice(), NumpyDevice()
    gpu.memory, cpu.memory = needed(64)["weights"] // 2, 1000

    async def open_cpu(threads: int | None) -> NumpyDevice:
        return cpu

    monkeypatch.setattr(api, "open_device", lambda *_: gpu)
    monkeypatch.setattr(api, "open_cpu", open_cpu)
    (tmp_path / "tiny-F32.gguf").write_bytes(DATA)
    with pytest.raises(LimitError, match=r"tiny-F32\.gguf needs") as error:
        api.load(tmp_path / "tiny-F32.gguf", context=64, cache=False)
    assert "tiny-Q8_0.gguf" in error.value.hint


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("gemma-3-12b-it-Q8_0.gguf", "gemma-3-12b-it-Q4_0.gguf"),
        ("gemma-3-12b-it-Q8_0-00002-of-00003.gguf", "gemma-3-12b-it-Q4_0.gguf"),
        ("gemma-3-4b-it.IQ3_XXS.gguf", "gemma-3-4b-it.Q4_0.gguf"),
        ("gemma-3-4b-it-bf16.gguf", "gemma-3-4b-it-q4_0.gguf"),
        ("gemma-3-1b-it-f16.gguf", "gemma-3-1b-it-q4_0.gguf"),
        ("gemma-3-1b-it-Q4_K_M.gguf", "gemma-3-1b-it-Q4_0.gguf"),
        ("gemma-3-1b-it-UD-Q4_K_XL.gguf", "gemma-3-1b-it-Q4_0.gguf"),
        ("gemma-3-16-layers.gguf", ""),
        ("sha256-0123456789abcdef", ""),
    ],
)
def test_names_of_variants(name: str, other: str) -> None:
    assert variant_of(name, "Q4_0") == other


def test_this_computer_has_memory() -> None:
    memory = computer_memory()
    assert memory is not None and 1 << 28 < memory < 1 << 50


def test_what_fits_is_loaded() -> None:
    device = NumpyDevice()
    device.memory = sum(needed(64).values())
    drive(Engine.load(MemorySource(DATA, "tiny", "key"), device, None, Settings(64, chunks=(8,)))).close()
