"""Files to checkpoints: settings, names, what is refused, and the card that a later load is made from."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

import tiny
from sotto import formats, models
from sotto.api import drive
from sotto.devices.reference.device import NumpyDevice
from sotto.engine.engine import Engine
from sotto.errors import FormatError, StoreDamaged, UnsupportedModel
from sotto.formats import gguf
from sotto.formats.blocks import quantize
from sotto.formats.checkpoint import Checkpoint, Transform
from sotto.formats.gguf_checkpoint import LAYER_TENSORS, TENSORS, canonical_name, source_name
from sotto.formats.gguf_writer import RawTensor, write
from sotto.plan.weights import bind
from sotto.reports import Settings
from sotto.source import Folder, MemorySource, Source
from sotto.text.tokenizer import Tokenizer
from sotto.text.vocabulary import SENTENCEPIECE, TokenType, Vocabulary
from sotto.weights import layout, reads
from sotto.weights.image import Image

SIZES = tiny.Tiny(
    layers=2, width=64, hidden=64, heads=2, head_dim=32, types=dict.fromkeys(tiny.DEFAULT_TYPES, "Q8_0")
)


def source(data: bytes, name: str = "tiny.gguf") -> MemorySource:
    return MemorySource(data, name, name)


def opened(**metadata: object) -> Checkpoint:
    """A tiny model's checkpoint with other metadata; a dot is written as two underscores."""
    other = {key.replace("__", "."): value for key, value in metadata.items()}
    return drive(formats.open(source(tiny.build(replace(SIZES, metadata=other)))))


def config(**metadata: object) -> object:
    checkpoint = opened(**metadata)
    return models.find(checkpoint.architecture).read(checkpoint.settings).config


def raw(data: bytes) -> dict[str, RawTensor]:
    """A file's tensors with their bytes."""
    records = gguf.parse(data).tensors.items()
    return {name: RawTensor(r.shape, r.type, data[r.offset : r.offset + r.nbytes]) for name, r in records}


# --- What is read ---------------------------------------------------------------------------------------------


def test_names_go_both_ways() -> None:
    names = [*TENSORS, *(f"layers.{layer}.{name}" for layer in (0, 17) for name in LAYER_TENSORS)]
    assert [canonical_name(source_name(name)) for name in names] == names
    for other in (
        "blk.0.attn_q.bias",
        "blk.x.attn_q.weight",
        "blk.0.attn_z.weight",
        "rope_freqs.weight",
        "attn_q",
    ):
        assert canonical_name(other) == other


def test_a_checkpoint_has_no_key_of_its_file() -> None:
    checkpoint = opened()
    assert checkpoint.settings == {
        "layers": 2, "dim": 64, "heads": 2, "kv_heads": 1, "head_dim": 32, "ffn_dim": 64, "window": 32,
        "context_limit": 4096, "eps": pytest.approx(1e-6), "rope_base": 1e6, "rope_factor": 1.0,
        "rope_scaling": "linear", "vocabulary": 512,
    }  # fmt: skip
    assert checkpoint.tensors["layers.1.gate"].shape == (64, 64)
    assert (checkpoint.architecture, checkpoint.format, checkpoint.name) == ("gemma3", "GGUF", "tiny.gguf")
    assert checkpoint.chat_template is None and checkpoint.refusal is None
    assert opened(tokenizer__chat_template="{{ x }}").chat_template == "{{ x }}"


def test_a_small_file_is_read_once() -> None:
    reads: list[tuple[int, int]] = []

    class Noted(MemorySource):
        async def read(self, offset: int, nbytes: int) -> bytes:
            reads.append((offset, nbytes))
            return await super().read(offset, nbytes)

    data = tiny.build(SIZES)
    asyncio.run(formats.open(Noted(data, "tiny.gguf", "key")))
    assert reads == [(0, len(data))]


@pytest.mark.parametrize(
    ("metadata", "factor"),
    [
        ({"gemma3__rope__scaling__type": "linear", "gemma3__rope__scaling__factor": 8.0}, 8),
        ({"gemma3__rope__scaling__factor": 8.0}, 8),
        ({"gemma3__rope__scale_linear": 4.0, "gemma3__rope__scaling__factor": None}, 4),
        ({"gemma3__rope__scaling__type": "none", "gemma3__rope__scaling__factor": 8.0}, 1),
        ({"gemma3__rope__scaling__factor": None}, 1),
    ],
)
def test_linear_rope_scaling(metadata: dict[str, object], factor: float) -> None:
    assert config(**metadata).rope_factor == factor  # type: ignore[attr-defined]


def test_what_a_file_may_leave_out_or_say_as_a_list() -> None:
    usual = config()
    assert config(gemma3__attention__head_count_kv=None) == usual
    assert config(gemma3__feed_forward_length=np.full(2, 64, np.int32)) == usual
    assert config(gemma3__attention__sliding_window_pattern=6, gemma3__attention__scale=32**-0.5) == usual
    assert config(gemma3__attention__sliding_window_pattern=np.ones(2, bool)) == usual
    assert config(gemma3__vision__block_count=27, gemma3__mm__tokens_per_image=256) == usual
    assert config(gemma3__expert_count=0, gemma3__attn_logit_softcapping=0.0) == usual
    seeing = {"vision.attention.head_count": 16, "vision.attention.layer_norm_epsilon": 1e-6, "mm.scale": 2}
    assert config(**{f"gemma3.{key}": value for key, value in seeing.items()}) == usual


def run(data: bytes) -> list[float]:
    """What a model says to a few tokens."""
    engine = drive(Engine.load(source(data), NumpyDevice(), None, Settings(32, chunks=(8,))))
    return drive(engine.score([2, 300, 301, 302, 303])).tolist()


def test_rows_beyond_the_tokens_are_padding() -> None:
    usual = tiny.build(SIZES)
    tensors = raw(usual)
    table = tensors["token_embd.weight"]
    more = quantize("Q8_0", np.full((24, 64), 1e4, np.float32)).tobytes()
    tensors["token_embd.weight"] = RawTensor((536, 64), "Q8_0", table.data + more)
    assert run(write(gguf.parse(usual).metadata, tensors)) == run(usual)


def test_axes_of_length_one_are_dropped() -> None:
    usual = tiny.build(SIZES)
    longer = {name: replace(tensor, shape=(1, *tensor.shape)) for name, tensor in raw(usual).items()}
    assert run(write(gguf.parse(usual).metadata, longer)) == run(usual)


def test_a_head_of_its_own_is_no_tied_one() -> None:
    usual = tiny.build(SIZES)
    tensors = raw(usual)
    header = {**tensors, "output.weight": tensors["token_embd.weight"]}
    checkpoint = drive(formats.open(source(write(gguf.parse(usual).metadata, header))))
    assert checkpoint.tensors["head"].source == "output.weight"
    assert "head" not in opened().tensors


def test_the_parts_that_see_are_left_out() -> None:
    usual = tiny.build(SIZES)
    eye = RawTensor((4,), "F32", bytes(16))
    data = write(
        gguf.parse(usual).metadata, {**raw(usual), "v.blk.0.ln1.weight": eye, "mm.input.weight": eye}
    )
    assert run(data) == run(usual)


# --- What is refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("rope.scaling.type", "yarn", "rope_scaling is yarn"),
        ("rope.scaling.attn_factor", 0.5, "attn_factor is 0.5"),
        ("rope.freq_base_swa", 1e6, "local_rope_base is 1000000"),
        ("rope.dimension_count", 16, "rope_dim is 16"),
        ("attention.value_length", 16, "value_dim is 16"),
        ("attention.sliding_window_pattern", 2, "window_pattern is 2"),
        ("attention.sliding_window_pattern", np.array([True, False]), "window_pattern is a list"),
        ("attention.scale", 0.5, "query_scale is 0.5"),
        ("attention.causal", False, "causal is False"),
        ("use_bidirectional_attention", True, "bidirectional_attention is True"),
        ("attention.clamp_kqv", 8.0, "clamp_kqv is 8"),
        ("attn_logit_softcapping", 50.0, "attention_softcap is 50"),
        ("final_logit_softcapping", 30.0, "logit_softcap is 30"),
        ("expert_count", 8, "expert_count is 8"),
        ("logit_scale", 0.5, "logit_scale is 0.5"),
    ],
)
def test_a_setting_that_would_change_the_result(key: str, value: object, complaint: str) -> None:
    with pytest.raises(UnsupportedModel, match=complaint) as error:
        config(**{f"gemma3.{key}": value})
    assert error.value.hint


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("block_count", float("nan"), "block_count is nan.*whole number from 1 to"),
        ("block_count", (1 << 32) - 1, "block_count is 4294967295"),
        ("block_count", 1.5, "block_count is 1.5"),
        ("embedding_length", float("inf"), "embedding_length is inf"),
        ("context_length", 1 << 63, "context_length is 9223372036854775808"),
        ("attention.sliding_window", 0, "sliding_window is 0"),
        ("attention.sliding_window", None, "does not say.*window"),
        ("rope.freq_base", 0.0, "freq_base is 0.0"),
        ("rope.freq_base", float("nan"), "freq_base is nan"),
        ("attention.layer_norm_rms_epsilon", float("inf"), "epsilon is inf"),
        ("rope.scaling.factor", "8", "factor is '8'"),
        ("attention.head_count", True, "head_count is True"),
        ("feed_forward_length", np.array([64, 128], np.int32), "differs from layer to layer"),
        ("feed_forward_length", ["a"], r"feed_forward_length is \['a'\]"),
    ],
)
def test_a_setting_that_cannot_be(key: str, value: object, complaint: str) -> None:
    with pytest.raises(FormatError, match=complaint) as error:
        config(**{f"gemma3.{key}": value})
    assert error.value.hint


@pytest.mark.parametrize(
    ("metadata", "tensors", "complaint"),
    [
        ({"split.no": 1, "split.count": 3}, {}, "part 2 of 3"),
        ({"general.type": "adapter", "general.base_model.0.name": "Gemma 3 1b"}, {}, "LoRA.*Gemma 3 1b"),
        ({}, {"blk.0.attn_q.weight.lora_a": (4, 64)}, "LoRA"),
        ({"general.type": "mmproj"}, {}, "sees images"),
        ({"general.architecture": "clip"}, {}, "sees images"),
        ({"general.type": "imatrix"}, {}, "importance matrix"),
        ({"general.architecture": "gemma-embedding"}, {}, "vectors"),
        ({"gemma3.embedding_length": 768, "gemma3.block_count": 24}, {}, "vectors"),
        ({"gemma3.pooling_type": 1}, {}, "vectors"),
        ({"general.type": "dataset"}, {}, "'dataset'"),
        ({"tokenizer.ggml.tokens": None}, {}, "no vocabulary"),
        ({"tokenizer.ggml.model": "gpt2"}, {}, "'gpt2'"),
        ({"general.architecture": "llama"}, {}, "'llama'"),
        ({}, {"blk.0.attn_q.bias": (64,)}, r"blk\.0\.attn_q\.bias"),
        ({}, {"dense.weight": (64, 64), "dense.bias": (64,)}, "dense.weight and 1 more"),
    ],
)
def test_a_file_that_is_something_else(
    metadata: dict[str, object], tensors: dict[str, tuple[int, ...]], complaint: str
) -> None:
    usual = tiny.build(SIZES)
    others = {n: RawTensor(s, "F32", bytes(4 * int(np.prod(s)))) for n, s in tensors.items()}
    given = {k: v for k, v in {**gguf.parse(usual).metadata, **metadata}.items() if v is not None}
    data = write(given, {**raw(usual), **others})
    drive(formats.open(source(data)))  # it can be looked at
    with pytest.raises(UnsupportedModel, match=complaint) as error:
        drive(Engine.outline(source(data), NumpyDevice(), Settings(32)))
    assert error.value.hint


def test_a_vocabulary_alone() -> None:
    data = write(gguf.parse(tiny.build(SIZES)).metadata, {})
    with pytest.raises(UnsupportedModel, match="no weights"):
        drive(Engine.outline(source(data), NumpyDevice()))


@pytest.mark.parametrize(
    "change",
    [
        {"tokens": []},
        {"tokens": 5},
        {"scores": np.zeros(3, np.float32)},
        {"scores": np.full(512, np.nan, np.float32)},
        {"token_type": ["1"] * 512},
        {"token_type": np.full(512, 9, np.int32)},
        {"bos_token_id": 512},
        {"bos_token_id": True},
        {"eos_token_id": "</s>"},
        {"eot_token_id": -1},
        {"model": 5},
    ],
)
def test_tables_that_do_not_fit(change: dict[str, object]) -> None:
    with pytest.raises(FormatError, match=r"tiny\.gguf"):
        opened(**{f"tokenizer.ggml.{key}": value for key, value in change.items()})


@pytest.mark.parametrize(
    ("tokens", "kind", "complaint"),
    [
        (
            [f"w{i}" for i in range(20_000)],
            TokenType.USER_DEFINED,
            "20,000 tokens of the type 'user defined'",
        ),
        ([f"a▁b{i}" for i in range(12_000)], TokenType.NORMAL, "12,000 tokens with spaces inside"),
        (["▁a" * 200 + str(i) for i in range(25)], TokenType.NORMAL, "25 tokens with spaces inside"),
        ([f"▁{i}" for i in range(4999)] + ["▁" * 200, "x▁y"], TokenType.NORMAL, ""),
        (["a", "b" * (1 << 20)], TokenType.USER_DEFINED, "2 tokens of the type 'user defined'"),
        (["<0x0A>"] * 257, TokenType.BYTE, "more than 256 bytes"),
        (["a", "b", "a"], TokenType.NORMAL, "the same twice"),
        (["a", ""], TokenType.NORMAL, "empty"),
        (["<0x0A>", "<0xG0>"], TokenType.BYTE, "'<0xG0>' is a byte"),
    ],
)
def test_a_vocabulary_that_would_take_long_or_makes_no_sense(
    tokens: list[str], kind: TokenType, complaint: str
) -> None:
    size = len(tokens)
    types = np.full(size, kind, np.uint8)
    vocabulary = Vocabulary(SENTENCEPIECE, tokens, np.zeros(size, np.float32), types, bos=0, eos=1)
    expected = pytest.raises(FormatError, match=complaint) if complaint else nullcontext()
    with expected:
        vocabulary.check()
        vocabulary.check_normal()
        Tokenizer(vocabulary).encode("")  # makes the tables


def test_another_token_that_ends_a_turn() -> None:
    assert opened(tokenizer__ggml__eot_token_id=6).vocabulary.end_of_turn == 6  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("start", "guess"),
    [
        (b"<!doctype html>", "web page"),
        (b"\n<html>", "web page"),
        (b"version https://git-lfs", "Git LFS"),
        (b'\x08\x01\0\0\0\0\0\0{"__metadata__"', "safetensors"),
        (b'{"architectures"', "JSON"),
        (b"\x80\x02\x8a", "pickled"),
        (b"lmgg", "GGML"),
        (b"\0\0\0\0", ""),
    ],
)
def test_a_file_of_another_kind(start: bytes, guess: str) -> None:
    with pytest.raises(FormatError, match=f"x.bin is not a GGUF file.*{guess}") as error:
        drive(formats.open(source(start + bytes(100), "x.bin")))
    assert "GGUF" in error.value.hint


def test_an_empty_file() -> None:
    with pytest.raises(FormatError, match="truncated"):
        drive(formats.open(source(b"")))


# --- The card -------------------------------------------------------------------------------------------------


def test_a_card_gives_the_checkpoint_back() -> None:
    checkpoint = opened(
        tokenizer__chat_template="{{ 'é\n木' }}", gemma3__attention__sliding_window_pattern=np.ones(2, bool)
    )
    moved = replace(checkpoint.tensors["layers.0.query"], transforms=(Transform.TRANSPOSE,), file="a.gguf")
    checkpoint = replace(
        checkpoint, tensors={**checkpoint.tensors, "layers.0.query": moved}, refusal=("a", "b")
    )
    again = Checkpoint.from_card(checkpoint.to_card())
    first, second = checkpoint.vocabulary, again.vocabulary
    assert first and second
    assert replace(again, vocabulary=None) == replace(checkpoint, vocabulary=None)
    assert list(again.tensors) == list(checkpoint.tensors)
    np.testing.assert_array_equal(first.scores, second.scores)
    np.testing.assert_array_equal(first.types, second.types)
    assert second.scores.dtype == np.float32 and second.types.dtype == np.uint8
    assert replace(first, scores=second.scores, types=second.types) == second


def test_a_card_of_tokens_that_hold_separators() -> None:
    tokens = ["\ufdd0", "\ufdd1a\ufdd0", "", "\n", '"\\']
    few = Vocabulary("other", tokens, np.zeros(5, np.float32), np.ones(5, np.uint8), bos=0, eos=1)
    again = Checkpoint.from_card(replace(opened(), vocabulary=few).to_card()).vocabulary
    assert again and again.tokens == tokens and again.kind == "other"


def test_a_card_with_another_byte_is_damaged() -> None:
    card = opened().to_card()
    for at in range(0, len(card), 97):
        with pytest.raises(StoreDamaged):
            Checkpoint.from_card(card[:at] + bytes([card[at] ^ 1]) + card[at + 1 :])
    for other in (b"", b"null", card[:-1], card + b" ", card[:65], b"\xff"):
        with pytest.raises(StoreDamaged):
            Checkpoint.from_card(other)


# --- Transforms and folders -----------------------------------------------------------------------------------


async def image_of(checkpoint: Checkpoint, from_: Source | Folder) -> tuple[Image, np.ndarray]:
    model = models.find(checkpoint.architecture).read(checkpoint.settings)
    image = Image.of(checkpoint.tensors, model.wanted())
    return image, np.concatenate([data.copy() async for _, data in image.convert(from_)])


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16"])
def test_transforms_are_applied(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with transposed matrices, and norms less 1, is converted to what the usual file is."""
    monkeypatch.setattr(reads, "READ_BYTES", 4096)
    sizes = replace(SIZES, types=dict.fromkeys((*tiny.DEFAULT_TYPES, "ffn_up"), kind))
    usual = tiny.build(sizes)
    tensors = raw(usual)
    width = {"F32": "<u4", "F16": "<u2", "BF16": "<u2"}[kind]
    turned = {}
    for name, tensor in tensors.items():
        if len(tensor.shape) == 2 and name != "token_embd.weight":
            values = np.frombuffer(tensor.data, width).reshape(tensor.shape)
            turned[name] = RawTensor(tensor.shape[::-1], kind, values.T.copy().tobytes())
        elif len(tensor.shape) == 1:
            norm = np.frombuffer(tensor.data, "<f4").astype(np.float64) - 1
            turned[name] = replace(tensor, data=norm.astype("<f4").tobytes())
        else:
            turned[name] = tensor
    data = write(gguf.parse(usual).metadata, turned)
    plain = drive(formats.open(source(usual)))
    other = drive(formats.open(source(data)))

    def told(name: str) -> tuple[Transform, ...]:
        if name == "embedding":
            return ()
        return (Transform.ADD_ONE,) if name.endswith("norm") else (Transform.TRANSPOSE,)

    changed = {
        name: replace(info, shape=plain.tensors[name].shape, transforms=told(name))
        for name, info in other.tensors.items()
    }
    image, expected = drive(image_of(plain, source(usual)))
    _, got = drive(image_of(replace(other, tensors=changed), source(data)))
    matrices = np.ones(image.nbytes, bool)
    for part in image.parts:
        if part.form is None:
            at = slice(part.offset, part.offset + part.weight_bytes)
            np.testing.assert_allclose(got[at].view("<f4"), expected[at].view("<f4"), rtol=0, atol=1e-6)
            matrices[at] = False
    np.testing.assert_array_equal(got[matrices], expected[matrices])


def test_a_transform_that_cannot_be_done_is_named() -> None:
    checkpoint = opened()
    for name, transform in (("layers.0.query", Transform.TRANSPOSE), ("layers.0.up", Transform.ADD_ONE)):
        info = replace(checkpoint.tensors[name], transforms=(transform,))
        wrong = replace(checkpoint, tensors={**checkpoint.tensors, name: info})
        with pytest.raises(UnsupportedModel, match=f"Q8_0.*{transform.value}"):
            drive(image_of(wrong, source(tiny.build(SIZES))))


def test_a_model_in_a_folder() -> None:
    data = tiny.build(SIZES)
    folder = Folder("folder", {"readme.md": source(b"# A model", "readme.md"), "model": source(data)})
    checkpoint = drive(formats.open(folder))
    assert {info.file for info in checkpoint.tensors.values()} == {"model"}
    _, expected = drive(image_of(drive(formats.open(source(data))), source(data)))
    _, got = drive(image_of(checkpoint, folder))
    np.testing.assert_array_equal(got, expected)
    assert folder.size == len(data) + 9
    other = Folder("folder", {"readme.md": source(b"# A model", "readme"), "model": source(data)})
    assert folder.key != other.key


def test_tensors_in_several_files() -> None:
    """Half of the tensors in a second file, at the same places."""
    data = tiny.build(SIZES)
    folder = Folder("folder", {"a": source(data), "b": source(data)})
    checkpoint = drive(formats.open(source(data)))
    tensors = {n: replace(info, file="ab"[i % 2]) for i, (n, info) in enumerate(checkpoint.tensors.items())}
    _, expected = drive(image_of(checkpoint, source(data)))
    _, got = drive(image_of(replace(checkpoint, tensors=tensors), folder))
    np.testing.assert_array_equal(got, expected)


def test_the_planes_are_all_that_the_image_holds() -> None:
    checkpoint = opened()
    image, data = drive(image_of(checkpoint, source(tiny.build(SIZES))))
    assert min(bind(image, 1 << 30).offsets.values()) == 0
    assert (
        data.size
        == image.nbytes
        == sum(layout.aligned(part.weight_bytes) + layout.aligned(part.scale_bytes) for part in image.parts)
    )
