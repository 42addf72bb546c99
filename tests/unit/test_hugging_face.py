"""Models as transformers saves them: config.json in its spellings, tensors in one file or several, what is refused."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hugging
import lora
import tiny
from sotto import api, formats, models
from sotto.api import drive
from sotto.devices.reference.device import NumpyDevice
from sotto.engine.engine import Engine
from sotto.errors import FormatError, SottoError, UnsupportedModel
from sotto.formats import hf_config, safetensors
from sotto.model_files import INDEX
from sotto.models.gemma3 import Config
from sotto.native import files as native_files
from sotto.reports import Settings
from sotto.source import Folder, MemorySource, Source
from sotto.text.tokenizer import Tokenizer

FILES = hugging.files()
HELD = hugging.tensors()
IDS = [2, 300, 301, 302, 303, 20, 400]


def run(source: Source | Folder, weights: str = "original") -> list[float]:
    engine = drive(Engine.load(source, NumpyDevice(), None, Settings(32, chunks=(8,), weights=weights)))
    return drive(engine.score(IDS)).tolist()


def gguf(type_name: str) -> list[float]:
    data = tiny.build(hugging.replace_types(hugging.SIZES, type_name))
    return run(MemorySource(data, "m.gguf", "m"))


def changed(**files: bytes | None) -> Folder:
    """The folder with other files; None leaves one out. Names have __ for a dot."""
    given = {**FILES, **{name.replace("__", "."): data for name, data in files.items()}}
    return hugging.folder({name: data for name, data in given.items() if data is not None})


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_it_computes_what_the_same_model_in_gguf_does(dtype: str) -> None:
    """Norms are stored as their distance from 1 there: of 16 bits another number is left of them."""
    found = run(hugging.folder(hugging.files(dtype=dtype)))
    assert np.abs(np.subtract(found, gguf(dtype))).max() < (1e-6 if dtype == "F32" else 0.02)


@pytest.mark.parametrize("shards", [2, 5])
def test_shards(shards: int) -> None:
    files = hugging.files(shards=shards)
    assert run(hugging.folder(files)) == run(hugging.folder(FILES))
    del files[INDEX]
    assert run(hugging.folder(files)) == run(hugging.folder(FILES)), "their names tell too"


def config_of(**changes: object) -> Config:
    return models.find("gemma3").read({**hf_config.settings(changes), "vocabulary": 512}).config  # type: ignore[no-any-return]


@pytest.mark.parametrize("version", [4, 5])
def test_both_spellings(version: int) -> None:
    found = hf_config.settings(hugging.config(version=version))
    assert models.find("gemma3").read({**found, "vocabulary": 512}).config == tiny.config(hugging.SIZES)


def test_googles_sparse_file_of_the_4b() -> None:
    text = {
        "hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text", "num_hidden_layers": 34,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024,
    }  # fmt: skip
    outer = {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "text_config": text}
    found = config_of(**outer)
    assert (found.heads, found.kv_heads, found.head_dim, found.window) == (8, 4, 256, 1024)
    assert (found.rope_factor, found.rope_base, found.context_limit) == (8.0, 1e6, 131_072)
    newer = {key: value for key, value in text.items() if key != "rope_scaling"}
    newer["rope_parameters"] = {
        "full_attention": {"factor": 8.0, "rope_theta": 1e6, "rope_type": "linear"},
        "sliding_attention": {"rope_theta": 1e4, "rope_type": "default"},
    }
    assert config_of(**{**outer, "text_config": newer}) == found
    del newer["rope_parameters"]
    assert config_of(**{**outer, "text_config": newer}).rope_factor == 1.0, "as transformers has it"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"final_logit_softcapping": 30.0}, "logit_softcap is 30.0"),
        ({"attn_logit_softcapping": 50.0}, "attention_softcap is 50.0"),
        ({"hidden_activation": "relu"}, "hidden_activation is relu"),
        ({"attention_bias": True}, "attention_bias"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor is 0.5"),
        ({"num_experts": 4}, "num_experts is 4"),
        ({"layer_types": ["full_attention"] * 7}, "window_pattern"),
        ({"layer_types": ["chunked_attention"] * 7}, "layer_types"),
        ({"sliding_window_pattern": 3, "layer_types": None}, "window_pattern is 3"),
        ({"query_pre_attn_scalar": 0}, "query_pre_attn_scalar is 0"),
        ({"query_pre_attn_scalar": 100}, "query_scale is 0.1"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps"),
        ({"num_hidden_layers": 1 << 40}, "num_hidden_layers"),
        ({"rope_parameters": 3}, "rope_parameters"),
        ({"rope_parameters": {"full_attention": {"rope_type": "yarn", "factor": 4}}}, "rope_scaling is yarn"),
        ({"rope_parameters": {"sliding_attention": {"rope_type": "linear", "factor": 2}}}, "local_rope_scaling"),
        ({"rope_parameters": {"sliding_attention": {"rope_theta": 1e6}}}, "local_rope_base"),
    ],
)  # fmt: skip
def test_settings_that_change_what_is_computed(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises((FormatError, UnsupportedModel), match=complaint) as error:
        run(hugging.folder({**FILES, "config.json": json.dumps(hugging.config(**changes)).encode()}))
    assert error.value.hint


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "bitsandbytes"),
        ({"quantization_config": {"quant_method": "gptq"}}, "GPTQ"),
        ({"quantization_config": {"quant_method": "awq"}}, "AWQ"),
        ({"quantization_config": {"quant_method": "compressed-tensors"}}, "compressed-tensors"),
        ({"quantization_config": {"quant_method": "new"}}, "by new"),
        ({"quantization": {"group_size": 64, "bits": 4}}, "MLX"),
        ({"use_bidirectional_attention": True}, "vectors"),
    ],
)
def test_what_cannot_run_is_named(changes: dict[str, object], complaint: str) -> None:
    source = hugging.folder({**FILES, "config.json": json.dumps(hugging.config(**changes)).encode()})
    with pytest.raises(UnsupportedModel, match=complaint) as error:
        run(source)
    assert "Take" in error.value.hint or "Choose" in error.value.hint


@pytest.mark.parametrize(
    ("end", "method"),
    [
        ("qweight", "GPTQ"),
        ("weight_packed", "compressed-tensors"),
        ("weight.absmax", "bitsandbytes"),
        ("biases", "MLX"),
    ],
)
def test_quantizers_are_known_by_their_tensors(end: str, method: str) -> None:
    held = {**HELD, f"model.layers.0.mlp.up_proj.{end}": np.zeros(8, np.float32)}
    with pytest.raises(UnsupportedModel, match=method):
        run(changed(model__safetensors=hugging.safetensors(held)))


def test_a_head_of_its_own() -> None:
    table = HELD["model.embed_tokens.weight"]
    tied = {**HELD, "lm_head.weight": table}
    assert run(changed(model__safetensors=hugging.safetensors(tied))) == run(hugging.folder(FILES))
    other = {**HELD, "lm_head.weight": table[::-1].copy()}
    found = run(changed(model__safetensors=hugging.safetensors(other)))
    assert np.abs(np.subtract(found, run(hugging.folder(FILES)))).max() > 0.1


def test_names_of_larger_models_and_parts_that_see() -> None:
    for front in ("model.language_model.", "language_model.model.", ""):
        held = {**hugging.tensors(front=front), "model.vision_tower.x.weight": np.zeros(8, np.float32)}
        held["multi_modal_projector.mm_input_projection_weight"] = np.zeros(8, np.float32)
        inner = hugging.config()
        outer = {"model_type": "gemma3", "text_config": inner, "eos_token_id": [1, 6]}
        files = {"model__safetensors": hugging.safetensors(held), "config__json": json.dumps(outer).encode()}
        assert run(changed(**files)) == run(hugging.folder(FILES))


def test_more_rows_than_tokens_and_more_tokens_than_rows() -> None:
    table = HELD["model.embed_tokens.weight"]
    longer = {**HELD, "model.embed_tokens.weight": np.concatenate([table, table[:64]])}
    assert run(changed(model__safetensors=hugging.safetensors(longer))) == run(hugging.folder(FILES))
    fields = json.loads(FILES["tokenizer.json"])
    image = {**fields["added_tokens"][0], "id": 512, "content": "<image_soft_token>"}
    fields["added_tokens"].append(image)
    assert run(changed(tokenizer__json=json.dumps(fields).encode())) == run(hugging.folder(FILES))


def test_a_tensor_of_another_kind() -> None:
    held = {**HELD, "model.layers.0.self_attn.q_proj.bias": np.zeros(64, np.float32)}
    with pytest.raises(UnsupportedModel, match=r"q_proj\.bias"):
        run(changed(model__safetensors=hugging.safetensors(held)))
    data = FILES["model.safetensors"].replace(b'"BF16"', b'"I16" ')
    with pytest.raises(UnsupportedModel, match="I16"):
        run(changed(model__safetensors=data))
    without = {name: values for name, values in HELD.items() if "o_proj" not in name}
    with pytest.raises(FormatError, match=r"no tensor for layers\.0\.output"):
        run(changed(model__safetensors=hugging.safetensors(without)))


# --- The tokenizer --------------------------------------------------------------------------------------------------


def test_tokenizers() -> None:
    text = "the printing  press\n <b>日本🚀"
    usual = drive(formats.open(hugging.folder(FILES))).check_model()
    model = hugging.sentencepiece(tiny.vocabulary())
    other = drive(formats.open(changed(tokenizer__json=None, tokenizer__model=model))).check_model()
    assert Tokenizer(other).encode(text) == Tokenizer(usual).encode(text)
    assert (usual.kind, other.kind) == ("bpe", "sentencepiece")
    assert Tokenizer(other).stop_ids == Tokenizer(usual).stop_ids == {1, 5, 6}
    with pytest.raises(UnsupportedModel, match="no vocabulary"):
        run(changed(tokenizer__json=None))
    with pytest.raises(FormatError, match="begins or ends"):
        run(changed(generation_config__json=b'{"eos_token_id": "x"}'))


@pytest.mark.parametrize(
    "files",
    [
        {"chat_template.jinja": tiny.CHAT_TEMPLATE.encode()},
        {"tokenizer_config.json": json.dumps({"chat_template": tiny.CHAT_TEMPLATE}).encode()},
        {"chat_template.json": json.dumps({"chat_template": tiny.CHAT_TEMPLATE}).encode()},
        {
            "tokenizer_config.json": json.dumps(
                {
                    "chat_template": [
                        {"name": "default", "template": tiny.CHAT_TEMPLATE},
                        {"name": "tools", "template": ""},
                    ]
                }
            ).encode()
        },
    ],
)
def test_chat_templates(files: dict[str, bytes]) -> None:
    assert drive(formats.open(hugging.folder({**FILES, **files}))).chat_template == tiny.CHAT_TEMPLATE
    assert drive(formats.open(hugging.folder(FILES))).chat_template is None


# --- Files that do not belong together ------------------------------------------------------------------------------

SHARDS = hugging.files(shards=3)
MAP = json.loads(SHARDS[INDEX])["weight_map"]
FIRST = "model-00001-of-00003.safetensors"


def index(listed: dict[str, str]) -> bytes:
    return json.dumps({"weight_map": listed}).encode()


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({FIRST: None}, f"names 1 files that are not there: {FIRST}"),
        ({FIRST: None, INDEX: None}, f"not the shards {FIRST}"),
        ({FIRST: SHARDS["model-00002-of-00003.safetensors"]}, "which .* says is in model-00002"),
        ({INDEX: b"[]"}, "not the JSON"),
        ({INDEX: b'{"weight_map": {}}'}, "weight_map"),
        ({INDEX: index({**MAP, "x.weight": FIRST})}, "lacks the tensor x"),
        ({INDEX: index(dict(list(MAP.items())[1:]))}, "does not name"),
        ({INDEX: None, "other.safetensors": SHARDS[FIRST]}, "There are 4 safetensors files"),
        ({"config.json": b"{}"}, "model_type"),
        ({"config.json": b"\xff"}, "config.json is not the JSON"),
    ],
)  # fmt: skip
def test_folders_that_do_not_fit_together(files: dict[str, bytes | None], complaint: str) -> None:
    given = {name: data for name, data in {**SHARDS, **files}.items() if data is not None}
    with pytest.raises(FormatError, match=complaint) as error:
        drive(formats.open(hugging.folder(given)))
    assert error.value.hint


def test_two_shards_with_the_same_tensor() -> None:
    files = {**SHARDS, "model-00002-of-00003.safetensors": SHARDS[FIRST]}
    del files[INDEX]
    with pytest.raises(FormatError, match="both hold the tensor"):
        drive(formats.open(hugging.folder(files)))


def raw(header: object, data: bytes = b"", length: int | None = None) -> MemorySource:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return MemorySource(
        struct.pack("<Q", len(text) if length is None else length) + text + data, "m.safetensors", "k"
    )


def entry(begin: int, end: int) -> dict[str, object]:
    return {"dtype": "F32", "shape": [(end - begin) // 4], "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        (raw({}, length=2 << 30), "header would end behind"),
        (raw({"a": entry(0, 8), "b": entry(4, 12)}, bytes(12)), "overlap"),
        (raw({"a": entry(0, 8), "b": entry(12, 16)}, bytes(16)), "4 bytes before its tensor b are of none"),
        (raw({"a": entry(0, 8)}, bytes(12)), "last 4 bytes are of no tensor"),
        (raw({"a": entry(0, 8)}, bytes(4)), "last 4 bytes are missing"),
        (raw(b"[" * 100_000), "not JSON"),
    ],
)
def test_bad_headers(source: MemorySource, complaint: str) -> None:
    with pytest.raises(FormatError, match=complaint):
        drive(safetensors.read_header(source))


def test_a_header_of_2_gb_in_a_file_of_4() -> None:
    class Large(MemorySource):
        async def read(self, offset: int, nbytes: int) -> bytes:
            assert nbytes <= 64
            return await super().read(offset, nbytes)

    source = Large(struct.pack("<Q", 2 << 30) + b"{" * 64, "m.safetensors", "k")
    source.size = 4 << 30
    with pytest.raises(FormatError, match="its header would have 2,147,483,648 bytes"):
        drive(safetensors.read_header(source))


# --- On disk --------------------------------------------------------------------------------------------------------


def test_a_folder_on_disk(tmp_path: Path) -> None:
    path = hugging.write(tmp_path / "tiny", FILES)
    (path / "model.safetensors.part").write_bytes(b"half of it")
    for given in (path, path / "model.safetensors", path / "config.json"):
        with api.load(given, device="cpu", context=32, cache=False, weights="original") as model:
            found = model.score(IDS)
        assert np.abs(found - run(hugging.folder(FILES))).max() < 0.5
    with pytest.raises(
        SottoError, match=r"holds no GGUF file, no safetensors files .*, and no \.task or \.litertlm"
    ):
        native_files.open_source(tmp_path, lambda progress: None)


def test_an_adapter_beside_its_base(tmp_path: Path) -> None:
    """A folder that holds both is the model; the adapter is asked for."""
    shapes = {f"layers.{layer}.query": (64, 64) for layer in range(7)}
    path = hugging.write(tmp_path / "both", {**FILES, **lora.files(lora.halves(shapes))})
    with api.load(path, device="cpu", context=32, cache=False, weights="original") as plain:
        usual = plain.score(IDS)
    with api.load(path, device="cpu", context=32, cache=False, weights="original", lora=[path]) as adapted:
        assert np.abs(adapted.score(IDS) - usual).max() > 0.01
