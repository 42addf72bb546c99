"""Models that are not one file of one's own: split into several, in a folder with others, among Ollama's blobs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import litert
import lora
import tiny
from sotto import formats, models
from sotto.api import drive
from sotto.devices.reference.device import NumpyDevice
from sotto.engine.engine import Engine
from sotto.errors import FormatError, SottoError, UnsupportedModel
from sotto.formats import gguf
from sotto.formats.gguf_writer import RawTensor, write
from sotto.model_files import model_files, one_model, part_names
from sotto.native.files import open_source
from sotto.reports import Settings
from sotto.source import Folder, MemorySource, Source
from sotto.text.vocabulary import TokenType

SIZES = tiny.Tiny(
    layers=2, width=64, hidden=64, heads=2, head_dim=32, types=dict.fromkeys(tiny.DEFAULT_TYPES, "Q8_0")
)
WHOLE = tiny.build(SIZES)
METADATA = gguf.parse(WHOLE).metadata
TENSORS = tiny.tensors_of(WHOLE)


def split(count: int, stem: str = "model") -> dict[str, bytes]:
    """The model in parts."""
    return tiny.split(WHOLE, count, stem)


def folder(files: dict[str, bytes]) -> Folder:
    return Folder("folder", {name: MemorySource(data, name, name) for name, data in files.items()})


def run(source: Source | Folder) -> list[float]:
    engine = drive(Engine.load(source, NumpyDevice(), None, Settings(32, chunks=(8,))))
    return drive(engine.score([2, 300, 301, 302, 303])).tolist()


BUNDLE = litert.bundle(
    litert.phone(litert.quantized(litert.values_of(WHOLE), lambda _: (8, 0)), 2),
    tiny.vocabulary(),
    litert.llm_parameters({3: 64, 4: 64, 5: 32, 6: 2, 7: 2, 9: 1}, 512),
)
USUAL = run(MemorySource(WHOLE, "tiny.gguf", "key"))


@pytest.mark.parametrize("count", [2, 3, 7])
def test_a_model_in_parts_is_the_whole_one(count: int) -> None:
    assert run(folder(split(count))) == USUAL


def test_parts_by_any_names() -> None:
    files = dict(zip(("c", "a", "b"), split(3).values(), strict=True))
    assert run(folder(files)) == USUAL


def test_names_of_parts() -> None:
    assert part_names("a-b-00002-of-00003.gguf") == tuple(f"a-b-0000{n}-of-00003.gguf" for n in (1, 2, 3))
    for name in (
        "a.gguf",
        "a-00000-of-00003.gguf",
        "a-00004-of-00003.gguf",
        "a-00001-of-99999.gguf",
        "a-1-of-3.gguf",
    ):
        assert part_names(name) == ()


def test_a_part_alone_says_what_it_is() -> None:
    for number, (name, data) in enumerate(split(3).items(), 1):
        with pytest.raises(UnsupportedModel, match=f"is part {number} of 3") as error:
            drive(Engine.outline(MemorySource(data, name, name), NumpyDevice(), Settings(32)))
        assert "folder" in error.value.hint


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        (dict(list(split(3).items())[:2]), r"model is split into 3 files, of which 1 are not there: .*00003-of-00003"),
        (dict(list(split(3).items())[1:]), "00001-of-00003"),
        (dict(list(split(90).items())[:2]), "88 are not there.*, …"),
        ({**split(2, "a"), **split(2, "b")}, "holds 2 models: a, b"),
        ({**split(2), "other.gguf": WHOLE}, r"holds 2 models: model, other\.gguf"),
        ({"a.gguf": WHOLE, "b.gguf": WHOLE}, r"holds 2 models: a\.gguf, b\.gguf"),
        ({"a": split(2)["model-00001-of-00002.gguf"], "b": split(2)["model-00001-of-00002.gguf"]}, "a and b both say"),
        ({"a": write({**METADATA, "split.no": 5, "split.count": 3}, TENSORS)}, "part 6 of 3"),
        ({"a": write({**METADATA, "split.no": 0, "split.count": 1 << 40}, TENSORS)}, "of 1,099,511,627,776"),
        ({"a": WHOLE, "b": b"GGUF"}, "b is truncated"),
        ({"readme.md": b"# A model"}, r"folder holds no model: readme\.md"),
    ],
)  # fmt: skip
def test_what_does_not_belong_together(files: dict[str, bytes], complaint: str) -> None:
    with pytest.raises(FormatError, match=complaint) as error:
        drive(formats.open(folder(files)))
    assert error.value.hint


def test_parts_of_different_models() -> None:
    files = split(2)
    first, second = files
    both = {first: files[first], second: write({"split.no": 1, "split.count": 2}, TENSORS)}
    with pytest.raises(FormatError, match="both hold the tensor"):
        drive(formats.open(folder(both)))
    few = {name: TENSORS[name] for name in list(TENSORS)[1:4:2]}
    both[second] = write({"split.no": 1, "split.count": 2}, few)
    with pytest.raises(FormatError, match=f"should have {len(TENSORS)} tensors; its 2 files hold"):
        drive(formats.open(folder(both)))


def test_what_else_a_folder_holds_is_passed_over() -> None:
    eye = write(
        {"general.architecture": "clip", "general.type": "mmproj"}, {"v.x": RawTensor((4,), "F32", bytes(16))}
    )
    lora = write(
        {"general.type": "adapter"}, {"blk.0.attn_q.weight.lora_a": RawTensor((4, 64), "F32", bytes(1024))}
    )
    files = {
        "mmproj.gguf": eye,
        "lora.gguf": lora,
        "model.gguf": WHOLE,
        "config.json": b"{}",
        "x.gguf.part": b"GG",
    }
    assert run(folder(files)) == USUAL
    with pytest.raises(UnsupportedModel, match=r"mmproj\.gguf is the part of a model that sees"):
        run(folder({"mmproj.gguf": eye}))


# --- Paths ------------------------------------------------------------------------------------------------------


def opened(path: Path) -> Source | Folder:
    return open_source(path, lambda progress: None)


def test_any_part_or_their_folder_stands_for_the_model(tmp_path: Path) -> None:
    for name, data in split(3).items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "notes.txt").write_text("x")
    keys = set()
    for path in (*tmp_path.glob("*.gguf"), tmp_path):
        source = opened(path)
        assert run(source) == USUAL
        keys.add(source.key)
        source.close()
    assert len(keys) == 1, "what was converted once is found again"
    (tmp_path / "model-00002-of-00003.gguf").unlink()
    source = opened(tmp_path / "model-00003-of-00003.gguf")
    with pytest.raises(FormatError, match=r"not there: model-00002-of-00003\.gguf"):
        drive(formats.open(source))
    source.close()


def test_a_file_of_litert_in_a_folder(tmp_path: Path) -> None:
    """It is the model where there is no GGUF file and nothing of transformers; an adapter may lie beside it."""
    found = lora.files(lora.halves({f"layers.{n}.query": (64, 64) for n in range(2)}))
    lora.written(found, tmp_path)
    bundle = tmp_path / "gemma3-270m-it-q8.task"
    bundle.write_bytes(BUNDLE)
    (tmp_path / "other.task.part").write_bytes(b"half of it")
    assert model_files(tmp_path, ()) == (bundle.name, (bundle,))
    source = opened(tmp_path)
    assert drive(formats.open(source)).format == "LiteRT, .task"
    source.close()
    (tmp_path / "b.litertlm").write_bytes(BUNDLE)
    with pytest.raises(SottoError, match=r"holds 2 models: b\.litertlm, gemma3.*\.task"):
        opened(tmp_path)
    (tmp_path / "model.gguf").write_bytes(WHOLE)
    assert model_files(tmp_path, ())[0] == "model.gguf"


def test_ollamas_blobs(tmp_path: Path) -> None:
    """A blob has neither a name nor an ending; a manifest says which it is."""
    blob = tmp_path / "models/blobs/sha256-abc"
    manifest = tmp_path / "models/manifests/registry.example/library/gemma3/270m"
    for file in (blob, manifest):
        file.parent.mkdir(parents=True)
    blob.write_bytes(WHOLE)
    layers = [
        {"mediaType": "application/vnd.ollama.image.template", "digest": "sha256:def"},
        {"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:abc"},
    ]
    manifest.write_text(json.dumps({"schemaVersion": 2, "layers": layers}))
    for path in (blob, manifest):
        source = opened(path)
        assert run(source) == USUAL
        source.close()
    blob.unlink()
    with pytest.raises(SottoError, match=r"Cannot read.*sha256-abc"):
        opened(manifest)
    manifest.write_text("{}")
    source = opened(manifest)
    with pytest.raises(FormatError, match="JSON"):
        drive(formats.open(source))
    source.close()


def altered(**metadata: object) -> object:
    """The sizes of the model with other metadata; a dot is written as two underscores."""
    given = {**METADATA, **{key.replace("__", "."): value for key, value in metadata.items()}}
    data = write({key: value for key, value in given.items() if value is not None}, TENSORS)
    checkpoint = drive(formats.open(MemorySource(data, "tiny.gguf", "key")))
    return models.find(checkpoint.architecture).read(checkpoint.settings).config


def test_ollamas_own_keys() -> None:
    usual = altered(gemma3__rope__scaling__factor=None, gemma3__rope__scaling__type=None)
    theirs = altered(
        gemma3__rope__scaling__factor=None, gemma3__rope__freq_base=None, gemma3__rope__global__freq_base=1e6,
        gemma3__rope__local__freq_base=1e4, gemma3__attention__layer_norm_rms_epsilon=None,
    )  # fmt: skip
    assert theirs == replace(usual, eps=1e-6)  # type: ignore[type-var]


def test_the_softcap_that_ollamas_first_files_name() -> None:
    """gemma3:1b says 30, as a default of the converter; the model has none, and Ollama's own runner uses none."""
    usual = altered(gemma3__rope__global__freq_base=1e6)
    assert altered(gemma3__rope__global__freq_base=1e6, gemma3__final_logit_softcapping=30.0) == usual
    for other in (
        {"gemma3__final_logit_softcapping": 30.0},
        {"gemma3__final_logit_softcapping": 20.0, "gemma3__rope__global__freq_base": 1e6},
    ):
        with pytest.raises(UnsupportedModel, match="logit_softcap"):
            altered(**other)


def test_ollamas_models_without_a_template_are_tuned() -> None:
    def template(**metadata: object) -> str | None:
        data = write({**METADATA, **metadata}, TENSORS)
        return drive(formats.open(MemorySource(data, "tiny.gguf", "key"))).chat_template

    assert template() is None
    assert template(**{"tokenizer.ggml.add_unknown_token": False}) == "<start_of_turn>"
    own = {"tokenizer.ggml.add_unknown_token": False, "tokenizer.chat_template": "<|im_start|>"}
    assert template(**own) == "<|im_start|>"


@pytest.mark.parametrize(
    ("layers", "context", "said", "factor"),
    [(34, 131_072, None, 8), (34, 131_072, 1.0, 1), (34, 131_072, 4.0, 4), (34, 32_768, None, 1),
     (26, 131_072, None, 1)],
)  # fmt: skip
def test_the_factor_that_ollamas_files_do_not_say(
    layers: int, context: int, said: float | None, factor: float
) -> None:
    config = altered(
        gemma3__rope__scaling__factor=said, gemma3__block_count=layers, gemma3__context_length=context
    )
    assert config.rope_factor == factor  # type: ignore[attr-defined]


def with_tokens(kind: TokenType) -> bytes:
    """The model with a token that its embedding has no row for."""
    tokens = {
        "tokenizer.ggml.tokens": [*METADATA["tokenizer.ggml.tokens"], "<image_soft_token>"],  # type: ignore[misc]
        "tokenizer.ggml.scores": np.append(METADATA["tokenizer.ggml.scores"], np.float32(0)),  # type: ignore[call-overload]
        "tokenizer.ggml.token_type": np.append(METADATA["tokenizer.ggml.token_type"], np.int32(kind)),  # type: ignore[call-overload]
    }
    return write({**METADATA, **tokens}, TENSORS)


def test_tokens_without_a_row() -> None:
    assert run(MemorySource(with_tokens(TokenType.CONTROL), "tiny.gguf", "key")) == USUAL
    with pytest.raises(FormatError, match=r"token_embd\.weight has shape \[512, 64\].*\[513, 64\]"):
        run(MemorySource(with_tokens(TokenType.NORMAL), "tiny.gguf", "key"))


PARTS = part_names("m-00001-of-00003.gguf")
TRANSFORMERS = ("config.json", "model.safetensors", "tokenizer.json")


@pytest.mark.parametrize(
    ("names", "model"),
    [
        (["any name"], ["any name"]),
        (["README.md", "M.GGUF"], ["M.GGUF"]),
        (["notes.txt", "m.task"], ["m.task"]),
        ([PARTS[2], "README.md", PARTS[0]], [PARTS[0], PARTS[2]]),  # which are missing is seen in the file
        ([*TRANSFORMERS, "README.md"], sorted(TRANSFORMERS)),
        ([*TRANSFORMERS, "m.gguf"], ["m.gguf"]),
    ],
)
def test_which_of_some_files_are_the_model(names: list[str], model: list[str]) -> None:
    assert list(one_model(names)) == model


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["a.gguf", "b.gguf"], "several models: a.gguf, b.gguf"),
        (["a.gguf", "b.litertlm"], "several models"),
        ([*PARTS, "b-00001-of-00003.gguf"], "several models"),
        (["config.json", "tokenizer.json"], "None of these files"),
        (["a.jpg", "b.jpg"], "None of these files"),
    ],
)
def test_files_that_are_no_model_or_several(names: list[str], says: str) -> None:
    with pytest.raises(SottoError, match=says):
        one_model(names)
