"""What `sotto inspect` says of files, those that cannot run among them."""

from __future__ import annotations

from dataclasses import replace

import pytest

import tiny
from sotto import formats, models
from sotto.api import drive
from sotto.cli import inspect_file
from sotto.formats import gguf
from sotto.formats.checkpoint import Checkpoint
from sotto.formats.gguf_writer import RawTensor, write
from sotto.source import MemorySource
from sotto.weights.image import Image

SIZES = tiny.Tiny(layers=2)


def opened(data: bytes) -> Checkpoint:
    return drive(formats.open(MemorySource(data, "tiny.gguf", "k")))


def test_what_tensors_take_in_the_file_and_on_a_device() -> None:
    types = {"blk.0.attn_q": "Q5_1", "blk.1.ffn_up": "Q5_K", "blk.0.ffn_down": "Q6_K"}
    data = tiny.build(replace(SIZES, types={**dict.fromkeys(tiny.DEFAULT_TYPES, "Q4_0"), **types}))
    checkpoint = opened(data)
    found = inspect_file.kinds(checkpoint)
    told = {name: (kind.tensors, kind.stored, kind.exact) for name, kind in found.items()}
    assert told == {
        "Q4_0": (12, "q4", True),
        "Q5_1": (1, "q8", False),
        "Q5_K": (1, "q8", False),
        "Q6_K": (1, "q8h", True),
        "F32": (13, "f32", True),
    }
    assert found["Q5_1"].nbytes == 256 * 256 // 32 * 24 and found["Q5_1"].stored_bytes == 256 * 256 // 32 * 34
    assert list(found) == sorted(found, key=lambda name: -found[name].nbytes)
    total = sum(kind.stored_bytes for kind in found.values())
    model = models.find("gemma3").read(checkpoint.settings)
    image = Image.of(checkpoint.tensors, model.wanted())
    assert total == sum(part.weight_bytes + part.scale_bytes for part in image.parts)


@pytest.mark.parametrize(
    ("template", "told"),
    [
        (None, "base model"),
        ("", "base model"),
        (tiny.CHAT_TEMPLATE, "instruction-tuned (Gemma's turns)"),
        ("<|im_start|>", "instruction-tuned (ChatML's turns)"),
        ("### Response:", "with a chat template of an unknown kind"),
    ],
)
def test_what_a_model_was_made_for(template: str | None, told: str) -> None:
    data = tiny.build(replace(SIZES, metadata={"tokenizer.chat_template": template}))
    assert inspect_file.tuning(opened(data)) == told


def test_all_that_is_in_the_way_is_named() -> None:
    types = {"blk.0.ffn_down": "NVFP4", "blk.1.ffn_down": "NVFP4", "blk.1.attn_q": "I8"}
    metadata = {"tokenizer.ggml.model": "gpt2", "gemma3.rope.scaling.type": "yarn"}
    data = tiny.build(replace(SIZES, types=types, metadata=metadata))
    checkpoint = opened(data)
    found = [str(problem) for problem in inspect_file.problems(checkpoint)]
    assert len(found) == 4 and all("tiny.gguf" in problem for problem in found)
    expected = ("'gpt2'", "rope_scaling is yarn", "NVFP4. It has 2.", "type I8. It has 1.")
    for problem, words in zip(found, expected, strict=True):
        assert words in problem
    kinds = inspect_file.kinds(checkpoint)
    assert kinds["NVFP4"].stored == "" and kinds["NVFP4"].nbytes > 0
    assert not inspect_file.problems(opened(tiny.build(SIZES)))


def test_files_that_are_no_model_show_what_they_hold() -> None:
    eye = RawTensor((64, 64), "F16", bytes(8192))
    metadata = {"general.architecture": "clip", "general.type": "mmproj"}
    checkpoint = opened(write(metadata, {"v.blk.0.attn_q.weight": eye, "mm.input.weight": eye}))
    assert inspect_file.kinds(checkpoint)["F16"].tensors == 2
    (problem,) = inspect_file.problems(checkpoint)
    assert "sees images" in str(problem)
    usual = tiny.build(SIZES)
    records = gguf.parse(usual).tensors.values()
    tensors = {r.name: RawTensor(r.shape, r.type, usual[r.offset : r.offset + r.nbytes]) for r in records}
    other = opened(write({**gguf.parse(usual).metadata, "general.architecture": "llama"}, tensors))
    (problem,) = inspect_file.problems(other)
    assert "'llama'" in str(problem)
