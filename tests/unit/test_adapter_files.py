"""LoRA adapters in files: PEFT's two, GGUF, and what is refused with a reason."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

import lora
from sotto import formats
from sotto.api import drive
from sotto.errors import FormatError, SottoError, UnsupportedModel
from sotto.formats import safetensors
from sotto.formats.adapter import Adapter
from sotto.source import MemorySource

SHAPES = {
    f"layers.{layer}.{kind}": shape
    for layer in range(3)
    for kind, shape in {
        "query": (128, 64), "key": (32, 64), "value": (32, 64), "output": (64, 128),
        "gate": (96, 64), "up": (96, 64), "down": (64, 96),
    }.items()
}  # fmt: skip
HALVES = lora.halves(SHAPES)


def opened(contents: dict[str, bytes]) -> Adapter:
    return drive(formats.open_adapter(lora.folder(contents)))


def check(adapter: Adapter, halves: lora.Halves, scale: float | dict[str, float]) -> None:
    """The adapter is what the halves say, with the scale, or that of each canonical name."""
    want = lora.products(halves, lambda path, rank: 1.0)
    assert adapter.factors.keys() == want.keys()
    for name, factors in adapter.factors.items():
        expected = scale if isinstance(scale, float) else scale[name]
        assert factors.scale == pytest.approx(expected), name
        np.testing.assert_allclose(factors.b @ factors.a, want[name], atol=1e-6)


def test_all_projections() -> None:
    adapter = opened(lora.files(HALVES, sotto={"frame": "plain", "end": "<eos>"}))
    check(adapter, HALVES, 2.0)
    assert (adapter.format, adapter.base, adapter.ranks) == ("PEFT", "google/gemma-3-270m", (8, 8))
    assert adapter.card == {"frame": "plain", "end": "<eos>"}
    assert adapter.projections == dict.fromkeys(["query", "key", "value", "output", "gate", "up", "down"], 3)
    assert adapter.parameters == sum(array.size for array in HALVES.values())


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_halves_of_16_bits(kind: str) -> None:
    if kind == "float16":
        stored = {name: array.astype(np.float16) for name, array in HALVES.items()}
        exact = {name: array.astype(np.float32) for name, array in stored.items()}
    else:
        stored = {name: (array.view(np.uint32) >> 16).astype(np.uint16) for name, array in HALVES.items()}
        exact = {name: (array.astype(np.uint32) << 16).view(np.float32) for name, array in stored.items()}
    check(opened(lora.files(stored)), exact, 2.0)


@pytest.mark.parametrize(
    "prefix",
    [
        "base_model.model.model.", "base_model.model.model.language_model.",
        "base_model.model.language_model.model.", "model.", "base_model.model.",
    ],
)  # fmt: skip
def test_what_stands_before_the_layers(prefix: str) -> None:
    check(opened(lora.files(lora.halves(SHAPES, only=r"q_proj|down_proj", prefix=prefix))),
          lora.halves(SHAPES, only=r"q_proj|down_proj"), 2.0)  # fmt: skip


def test_older_names_of_the_halves() -> None:
    older = {key.replace(".weight", ".default.weight"): array for key, array in HALVES.items()}
    check(opened(lora.files(older)), HALVES, 2.0)


def test_attention_of_one_layer() -> None:
    halves = lora.halves(SHAPES, 4, only=r"layers\.1\.self_attn\.(q|v)_proj")
    adapter = opened(
        lora.files(halves, r=4, target_modules=r".*\.1\.self_attn\.(q|v)_proj", layers_to_transform=[1])
    )
    check(adapter, halves, 4.0)
    assert list(adapter.factors) == ["layers.1.query", "layers.1.value"]


def test_rank_stabilized() -> None:
    check(opened(lora.files(HALVES, use_rslora=True)), HALVES, 16 / 8**0.5)


def test_rank_and_alpha_by_pattern() -> None:
    """PEFT's rule: a pattern matches at the end of the path, behind a dot; the first that does counts."""
    ranks = {"down_proj": 16, "layers.0.self_attn.q_proj": 2}

    def rank(path: str) -> int:
        return next((r for end, r in ranks.items() if path.endswith(end)), 8)

    alphas = {
        r"layers\.[01]\.mlp\.down_proj": 64,
        "down_proj": 4,
        "layers.0.self_attn.q_proj": 1,
        "proj": 999,
        "p_proj": 999,
    }
    halves = lora.halves(SHAPES, rank)
    adapter = opened(lora.files(halves, rank_pattern=ranks, alpha_pattern=alphas))
    scales = dict.fromkeys(SHAPES, 2.0)
    scales |= {"layers.0.down": 4.0, "layers.1.down": 4.0, "layers.2.down": 0.25, "layers.0.query": 0.5}
    check(adapter, halves, scales)
    assert adapter.ranks == (2, 16)


def test_gguf() -> None:
    source = MemorySource(
        lora.gguf(HALVES, 16.0, **{"general.base_model.0.name": "Gemma 3 270M"}), "a.gguf", "a"
    )
    adapter = drive(formats.open_adapter(source))
    check(adapter, HALVES, 2.0)
    assert (adapter.format, adapter.base) == ("GGUF", "Gemma 3 270M")
    check(opened({"any name": lora.gguf(HALVES, 0.0)}), HALVES, 1.0)  # alone in a folder; no alpha


def test_a_file_is_known_by_its_bytes() -> None:
    files = lora.files(HALVES)
    check(opened({"adapter_config.json": files["adapter_config.json"], "matrices": files["adapter_model.safetensors"],
                  "README.md": b"# An adapter"}), HALVES, 2.0)  # fmt: skip
    check(opened(files | {"other.safetensors": b"\x02\0\0\0\0\0\0\0{}"}), HALVES, 2.0)


def without(key: str) -> lora.Halves:
    return {name: array for name, array in HALVES.items() if key not in name}


def changed(**arrays: np.ndarray) -> dict[str, bytes]:
    """An adapter with some tensors added; "__" stands for a dot in their names."""
    return lora.files(
        HALVES | {f"base_model.model.{name.replace('__', '.')}": a for name, a in arrays.items()}
    )


Q = "base_model.model.model.layers.0.self_attn.q_proj"
NORM = np.ones(64, np.float32)
NOT_A_NUMBER = HALVES[f"{Q}.lora_A.weight"].copy()
NOT_A_NUMBER[0, 0] = np.nan
REFUSED = {
    "DoRA": (lora.files(HALVES, use_dora=True), "DoRA"),
    "DoRA's tensor": (changed(model__layers__0__self_attn__q_proj__lora_magnitude_vector=NORM), "DoRA"),
    "biases": (lora.files(HALVES, bias="all"), "biases"),
    "LoRA's biases": (lora.files(HALVES, lora_bias=True), "biases"),
    "a bias": (changed(model__layers__0__self_attn__q_proj__lora_B__bias=NORM), "biases"),
    "whole modules": (lora.files(HALVES, modules_to_save=["input_layernorm"]), "modules_to_save"),
    "a whole norm": (changed(model__layers__0__input_layernorm__weight=NORM), "replaces the model's own"),
    "the head": (changed(lm_head__weight=NORM.reshape(1, -1)), "embedding or the head"),
    "the embedding": (changed(model__embed_tokens__lora_embedding_A=NORM.reshape(1, -1)), "embedding or the head"),
    "tokens": (lora.files(HALVES, trainable_token_indices=[3]), "embedding"),
    "aLoRA": (lora.files(HALVES, alora_invocation_tokens=[1, 2]), "aLoRA"),
    "QA-LoRA": (lora.files(HALVES, use_qalora=True), "QA-LoRA"),
    "Arrow": (lora.files(HALVES, arrow_config={"top_k": 3}), "Arrow"),
    "another kind": (lora.files(HALVES, peft_type="IA3"), "IA3"),
    "no kind": (lora.files(HALVES, peft_type=None), "peft_type"),
    "PiSSA": (lora.files(HALVES, init_lora_weights="pissa_niter_4"), "pissa"),
    "what is to come": (lora.files(HALVES, use_the_force=True), "use_the_force"),
    "the vision tower": (
        changed(model__vision_tower__encoder__layers__0__self_attn__q_proj__lora_A__weight=NORM.reshape(1, -1)),
        "vision_tower",
    ),
    "another module": (
        changed(model__layers__0__self_attn__rotary__lora_A__weight=NORM.reshape(1, -1)), "does not know",
    ),
    "codes": (
        lora.files(HALVES | {f"{Q}.lora_A.weight": np.ones((8, 64), np.int64)}), "I64",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_more_than_lora_is_refused_with_a_reason(case: str) -> None:
    files, word = REFUSED[case]
    with pytest.raises(UnsupportedModel) as error:
        opened(files)
    assert word in error.value.message
    assert error.value.hint


def pair(a: tuple[int, ...], b: tuple[int, ...]) -> dict[str, bytes]:
    return lora.files(
        {f"{Q}.lora_A.weight": np.ones(a, np.float32), f"{Q}.lora_B.weight": np.ones(b, np.float32)}
    )


DAMAGED = {
    "no B": (lora.files(without("0.mlp.up_proj.lora_B")), "no matrix B for layers.0.up"),
    "no A": (lora.files(without("2.self_attn.k_proj.lora_A")), "no matrix A for layers.2.key"),
    "nothing": (lora.files({}), "changes nothing"),
    "ranks that differ": (pair((8, 64), (128, 4)), "do not fit each other"),
    "a vector": (pair((64,), (128, 1)), "do not fit each other"),
    "no rank": (pair((0, 64), (128, 0)), "do not fit each other"),
    "NaN": (lora.files(HALVES | {f"{Q}.lora_A.weight": NOT_A_NUMBER}), "not numbers"),
    "a half twice": (
        lora.files(HALVES | {f"{Q}.lora_A.default.weight": HALVES[f"{Q}.lora_A.weight"]}), "twice",
    ),
    "an alpha that is none": (lora.files(HALVES, lora_alpha="16"), "alpha"),
    "an endless alpha": (lora.files(HALVES, lora_alpha=float("inf")), "alpha"),
    "a pattern that takes for ever": (lora.files(HALVES, alpha_pattern={r"(\w+\.?)+x": 3}), "pattern"),
    "a pattern that is none": (lora.files(HALVES, alpha_pattern={"q_proj(": 3}), "pattern"),
    "no JSON": (lora.files(HALVES) | {"adapter_config.json": b"{"}, "not the configuration"),
    "deep JSON": (lora.files(HALVES) | {"adapter_config.json": b"[" * 100_000}, "not the configuration"),
    "pickles only": ({"adapter_config.json": b"{}", "adapter_model.bin": b"PK\x03\x04" + bytes(99)}, "pickle"),
    "an old pickle": ({"adapter_model.pt": b"\x80\x02" + bytes(99)}, "pickle"),
    "no configuration": ({"adapter_model.safetensors": lora.safetensors(HALVES)}, "adapter_config.json"),
    "no matrices": ({"adapter_config.json": b"{}"}, "no safetensors"),
    "two": (lora.files(HALVES) | {"adapter_model.safetensors": b"", "a": lora.safetensors(HALVES),
                                  "b": lora.safetensors(HALVES)}, "2 safetensors"),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGED)
def test_what_is_damaged_is_told(case: str) -> None:
    files, word = DAMAGED[case]
    with pytest.raises(FormatError) as error:
        opened(files)
    assert word in str(error.value)
    assert error.value.hint


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (lora.safetensors(HALVES), "no adapter_config.json beside it"),
        (b"PK\x03\x04" + bytes(99), "pickle"),
        (b"\x80\x04" + bytes(99), "pickle"),
        (b"<html>", "is not an adapter"),
        (b"", "is not an adapter"),
        (b"GGUF\x03\0\0\0" + bytes(56), "is a model"),
    ],
)
def test_a_file_that_is_none(data: bytes, word: str) -> None:
    with pytest.raises(FormatError, match=word):
        drive(formats.open_adapter(MemorySource(data, "x", "x")))


@pytest.mark.parametrize(
    ("metadata", "tensors", "word"),
    [
        ({"adapter.type": "control_vector"}, HALVES, "control_vector"),
        ({"adapter.alora.invocation_tokens": np.array([1, 2], np.uint32)}, HALVES, "aLoRA"),
    ],
)
def test_gguf_that_is_more_than_lora(metadata: dict[str, object], tensors: lora.Halves, word: str) -> None:
    with pytest.raises(UnsupportedModel, match=word):
        opened({"a.gguf": lora.gguf(tensors, 16.0, **metadata)})


def test_gguf_of_other_tensors() -> None:
    raw = lora.gguf(HALVES).replace(b"blk.0.attn_q.weight.lora_a", b"blk.0.attn_z.weight.lora_a")
    with pytest.raises(UnsupportedModel, match=r"blk\.0\.attn_z"):
        opened({"a.gguf": raw})
    with pytest.raises(FormatError, match="alpha"):
        opened({"a.gguf": lora.gguf(HALVES, float("nan"))})


def test_an_adapter_of_another_model() -> None:
    adapter = opened(lora.files(HALVES))
    adapter.outline.check_fits(SHAPES)
    wider = SHAPES | {"layers.2.up": (192, 64)}
    with pytest.raises(UnsupportedModel, match=r"up is 96 x 64, the model's 192 x 64.*google/gemma-3-270m"):
        adapter.outline.check_fits(wider)
    with pytest.raises(UnsupportedModel, match=r"layers\.2\.\w+, which this model has not"):
        adapter.outline.check_fits({name: shape for name, shape in SHAPES.items() if "layers.2" not in name})


# --- safetensors ------------------------------------------------------------------------------------------------


def header(text: bytes, data: int = 8, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(text) if length is None else length) + text + bytes(data)


def entry(dtype: object = "F32", shape: object = (2,), offsets: object = (0, 8)) -> bytes:
    return json.dumps({"x": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}).encode()


BROKEN = {
    "a header past the end": header(b"{}", length=1 << 40),
    "seven bytes": b"\x02\0\0\0\0\0\0",
    "no JSON": header(b"{'x'}"),
    "a list": header(b"[]"),
    "deep": header(b'{"x":' * 20_000),
    "twice": header(b"{" + entry()[1:-1] + b", " + entry()[1:-1] + b"}"),
    "missing bytes": header(entry(shape=[3], offsets=[0, 12])),
    "another size": header(entry(shape=[1])),
    "backwards": header(entry(offsets=[8, 0])),
    "negative": header(entry(shape=[-1, -2])),
    "a fraction": header(entry(shape=[2.0])),
    "true": header(entry(shape=[True, 2])),
    "huge": header(entry(shape=[1 << 39, 1 << 39], offsets=[0, 8])),
    "no shape": header(entry(shape="2")),
    "one offset": header(entry(offsets=[0])),
    "no type": header(entry(dtype=3)),
    "no entry": header(b'{"x":3}'),
    "metadata that are none": header(b'{"__metadata__":{"a":1}}'),
    "overlap": header(
        b'{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"y":{"dtype":"U8","shape":[4],"data_offsets":[3,7]}}'
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_header(case: str) -> None:
    with pytest.raises(FormatError, match=r"x\.safetensors is damaged") as error:
        drive(safetensors.read_header(MemorySource(BROKEN[case], "x.safetensors", "x")))
    assert error.value.hint


def test_a_sound_header() -> None:
    data = lora.safetensors(
        {"b": np.ones((2, 3), np.float16), "a": np.zeros(0, np.float32)}, {"format": "pt"}
    )
    found = drive(safetensors.read_header(MemorySource(data, "x", "x")))
    assert found.metadata == {"format": "pt"}
    assert (found.tensors["b"].shape, found.tensors["b"].dtype, found.tensors["b"].nbytes) == (
        (2, 3),
        "F16",
        12,
    )
    assert found.tensors["a"].shape == (0,)
    strange = header(entry(dtype="F4", shape=[2], offsets=[0, 8]))  # a type of later days: listed, not read
    record = drive(safetensors.read_header(MemorySource(strange, "x", "x"))).tensors["x"]
    with pytest.raises(UnsupportedModel, match="F4"):
        drive(anext(safetensors.read_values(MemorySource(strange, "x", "x"), [record])))


def test_many_flips_of_a_header_are_told_or_harmless() -> None:
    """No flipped byte of a small adapter's files gives anything but an adapter or an error for people."""
    files = lora.files(lora.halves({"layers.0.query": (16, 8)}, 2))
    random = np.random.default_rng(3)
    refused = 0
    for name, data in files.items():
        size = len(data) if name.endswith("json") else 8 + struct.unpack("<Q", data[:8])[0]
        for at in random.integers(0, size, 300).tolist():
            broken = bytearray(data)
            broken[at] ^= 1 << int(random.integers(8))
            try:
                opened(files | {name: bytes(broken)})
            except SottoError as error:
                assert error.message
                refused += 1
    assert refused > 100
