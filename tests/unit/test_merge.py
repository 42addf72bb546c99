"""Adapters merged into a model's file: what is changed, what is not, and the error that is told."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import lora
import tiny
from sotto.api import drive, read_adapter
from sotto.cli import sotto
from sotto.errors import UnsupportedModel
from sotto.formats import blocks, gguf_checkpoint, gguf_merge, open_adapter
from sotto.formats import open as open_model
from sotto.formats.adapter import Adapter
from sotto.formats.gguf import parse
from sotto.source import MemorySource

MODEL = tiny.build(tiny.Tiny(layers=3))
SHAPES = lora.shapes_of(MODEL)


def opened(contents: dict[str, bytes]) -> Adapter:
    return drive(open_adapter(lora.folder(contents)))


def adapter(seed: int, **options: object) -> Adapter:
    return opened(lora.files(lora.halves(SHAPES, 8, seed=seed, **options)))


def merged(
    *adapters: tuple[Adapter, float], model: bytes = MODEL, **options: str
) -> tuple[bytes, gguf_merge.Merged]:
    out = io.BytesIO()
    done = drive(gguf_merge.merge(MemorySource(model, "tiny.gguf", "key"), adapters, out, **options))
    return out.getvalue(), done


def values(data: bytes, name: str) -> np.ndarray:
    record = parse(data).tensors[name]
    raw = np.frombuffer(data, np.uint8)[record.offset : record.offset + record.nbytes]
    return blocks.dequantize(record.type, raw, record.shape)


@pytest.mark.parametrize(
    ("type_name", "bound"), [("F32", 1e-6), ("F16", 1e-3), ("BF16", 5e-3), ("Q8_0", 1e-2)]
)
def test_the_sum_is_written_and_its_rounding_told(type_name: str, bound: float) -> None:
    one, two = adapter(1), adapter(2, only="q_proj|down_proj")
    data, done = merged((one, 1.0), (two, -0.5), type_name=type_name)
    squares = np.zeros(3)
    for name, factors in one.factors.items():
        change = factors.scale * factors.b @ factors.a
        if other := two.factors.get(name):
            change = change - 0.5 * other.scale * other.b @ other.a
        source = gguf_checkpoint.source_name(name)
        wanted = values(MODEL, source) + change
        found = values(data, source)
        assert np.abs(found - wanted).max() <= bound * np.abs(wanted).max()
        squares += [np.square(found - wanted).sum(), np.square(wanted).sum(), np.square(change).sum()]
    assert done.matrices == len(one.factors) and done.nbytes == len(data)
    assert done.error == pytest.approx(np.sqrt(squares[0] / squares[1]), rel=1e-2, abs=1e-8)
    assert done.change_error == pytest.approx(np.sqrt(squares[0] / squares[2]), rel=1e-2, abs=1e-8)


def test_all_else_stays_byte_for_byte() -> None:
    changed = adapter(1, only="layers.1.*gate_proj")
    data, done = merged((changed, 1.0))
    before, after = parse(MODEL), parse(data)
    assert done.matrices == 1
    assert list(after.tensors) == list(before.tensors)
    assert MODEL[24 : before.values_end] == data[24 : after.values_end]
    for name, record in before.tensors.items():
        now = after.tensors[name]
        same = MODEL[record.offset :][: record.nbytes] == data[now.offset :][: now.nbytes]
        assert (same, now.type == record.type) == (
            (False, False) if "blk.1.ffn_gate" in name else (True, True)
        )


def test_what_a_type_cannot_hold_is_f16() -> None:
    narrow = tiny.build(tiny.Tiny(layers=1, types={"blk.0.ffn_down": "F32"}))
    shapes = lora.shapes_of(narrow)
    one = opened(lora.files(lora.halves(shapes, 8)))
    data, _ = merged((one, 1.0), model=narrow)
    for name in one.factors:
        record = parse(data).tensors[gguf_checkpoint.source_name(name)]
        assert record.type == ("F16" if record.shape[1] % 32 else "Q8_0")


def test_the_frame_goes_along() -> None:
    framed = opened(lora.files(lora.halves(SHAPES, 8), sotto={"frame": "plain", "end": "<eos>"}))
    data, _ = merged((framed, 1.0))
    checkpoint = drive(open_model(MemorySource(data, "merged.gguf", "key")))
    assert checkpoint.card == {"frame": "plain"}
    assert type(checkpoint).from_card(checkpoint.to_card()).card == checkpoint.card
    again, _ = merged((framed, 1.0), model=data)
    assert drive(open_model(MemorySource(again, "merged.gguf", "key"))).card == {"frame": "plain"}


def test_what_does_not_fit_is_refused() -> None:
    wider = lora.shapes_of(tiny.build(tiny.Tiny(layers=3, width=512)))
    with pytest.raises(UnsupportedModel, match="does not fit this model"):
        merged((opened(lora.files(lora.halves(wider, 8))), 1.0))
    unknown = tiny.build(tiny.Tiny(layers=3, types={"blk.1.ffn_down": "NVFP4"}))
    with pytest.raises(UnsupportedModel, match=r"blk\.1\.ffn_down\.weight is of NVFP4"):
        merged((adapter(1), 1.0), model=unknown)


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(MODEL)
    folder = lora.written(lora.files(lora.halves(SHAPES, 8)), tmp_path / "one")
    out = tmp_path / "new.gguf"
    arguments = ["merge", str(out), "-m", str(tmp_path / "tiny.gguf")]
    runner = CliRunner()
    assert "--lora PATH" in runner.invoke(sotto, arguments).output
    told = runner.invoke(sotto, [*arguments, "--lora", f"{folder}:0.5", "--json"])
    assert told.exit_code == 0, told.output
    data, done = merged((read_adapter(folder), 0.5))
    assert out.read_bytes() == data
    assert json.loads(told.output)["error"] == done.error
    assert "exists" in runner.invoke(sotto, [*arguments, "--lora", str(folder)]).output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.gguf", "one", "tiny.gguf"]
