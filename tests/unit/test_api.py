"""`sotto` as a library: loading, generating, scoring, without an event loop."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lora
import sotto
import tiny
from sotto import Message, Model, SottoError, api
from sotto.api import drive, windows
from sotto.device import Limits
from sotto.devices.reference.device import NumpyDevice
from sotto.engine.engine import Engine
from sotto.errors import UnsupportedModel
from sotto.models import synthetic
from sotto.native.files import open_source
from sotto.plan.plan import Use
from sotto.plan.work import prefill_operations, weight_bytes
from sotto.reports import Settings
from sotto.source import MemorySource

CONTEXT = 64


def load(chat: bool = False, context: int = CONTEXT) -> Model:
    data = tiny.build(tiny.Tiny(layers=3, chat=chat))
    source = MemorySource(data, "tiny.gguf", "tiny")
    return api.load_from(source, NumpyDevice(), Settings(context=context, chunks=(16,)))


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    with load() as ready:
        yield ready


def test_imports_are_lazy() -> None:
    """serve.py runs on a bare Python, and help comes at once."""
    script = (
        "import sys, sotto, sotto.assets, sotto.errors, sotto.cli; sotto.SottoError;"
        "print(sorted({'numpy', 'wgpudawn', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "[]\n", done.stderr
    assert set(sotto.__all__) <= set(dir(sotto))
    assert all(hasattr(sotto, name) for name in sotto.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = sotto.nonsense


def test_generate(model: Model) -> None:
    pieces = list(model.generate("the quiet garden", max_tokens=8, temperature=0))
    assert model.stats.new_tokens == 8 and model.stats.stop_reason == "length"
    text = "".join(pieces)
    ids = model.encode("the quiet garden")
    assert ids[0] == model.engine.tokenizer.bos
    assert text == "".join(model.generate(ids, max_tokens=8, temperature=0))
    middle = text[3:6]
    cut = "".join(model.generate("the quiet garden", max_tokens=8, stop=[middle], temperature=0))
    assert cut == text[: text.index(middle)] and model.stats.stop_reason == "stop"
    seeded = ["".join(model.generate("the", max_tokens=8, seed=s)) for s in (1, 1, 2)]
    assert seeded[0] == seeded[1] != seeded[2]


def test_leaving_a_generation_ends_it(model: Model) -> None:
    pieces = model.generate("the quiet garden", max_tokens=30, temperature=0)
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert model.stats.stop_reason == "cancelled"
    assert model.stats.new_tokens < 30


def test_settings_are_checked(model: Model) -> None:
    with pytest.raises(SottoError, match="top_p is 2"):
        list(model.generate("the", top_p=2))
    with pytest.raises(sotto.ContextFull) as caught:
        list(model.generate("the " * 100))
    assert caught.value.tokens == len(model.encode("the " * 100))


def test_encode_and_decode(model: Model) -> None:
    text = "the library writes <eos> to 図書館"
    assert model.decode(model.encode(text)) == text
    assert model.encode(text, bos=False) == model.encode(text)[1:]


def test_chat() -> None:
    with load(chat=True) as model:
        first = "".join(model.chat([Message("user", "the press")], max_tokens=6, temperature=0))
        assert first
        messages = [Message("user", "the press"), Message("assistant", first), Message("user", "and")]
        assert "".join(model.chat(messages, max_tokens=6, temperature=0)) != first
        with pytest.raises(SottoError, match="not from 'user'"):
            model.chat(messages[1:])


def test_a_base_model_does_not_chat(model: Model) -> None:
    with pytest.raises(UnsupportedModel, match="base model"):
        model.chat([Message("user", "the press")])


def test_score(model: Model) -> None:
    text = "the quiet garden writes"
    ids = model.encode(text)
    scores = model.score(text)
    assert scores.shape == (len(ids) - 1,) and scores.dtype == np.float32
    assert (scores < 0).all()
    np.testing.assert_array_equal(scores, model.score(ids))
    np.testing.assert_array_equal(scores, drive(model.engine.score(ids)))


def test_score_in_windows(model: Model) -> None:
    ids = [model.engine.tokenizer.bos, *np.random.default_rng(0).integers(290, 400, 149).tolist()]
    told: list[tuple[int, int]] = []
    scores = model.score(ids, lambda done, total: told.append((done, total)))
    spans = windows(len(ids), CONTEXT)
    assert len(spans) > 2 and told == [(n + 1, len(spans)) for n in range(len(spans))]
    assert scores.shape == (149,)
    np.testing.assert_allclose(scores[: CONTEXT - 1], drive(model.engine.score(ids[:CONTEXT])), atol=1e-4)
    start, first, end = spans[-1]
    alone = drive(model.engine.score([ids[0], *ids[start:end]]))
    np.testing.assert_allclose(scores[first - 1 : end - 1], alone[first - end :], atol=1e-2)
    with load(context=256) as wide:  # more of the past, other numbers
        assert np.abs(wide.score(ids)[CONTEXT:] - scores[CONTEXT:]).max() > 1e-3


@given(st.integers(2, 5000), st.integers(2, 300))
def test_windows_score_every_token_once(tokens: int, context: int) -> None:
    spans = windows(tokens, context)
    scored = [t for _, first, end in spans for t in range(first, end)]
    assert scored == list(range(1, tokens))
    for index, (start, first, end) in enumerate(spans):
        assert 0 <= start <= first < end
        assert (end - start) + (index > 0) <= context, "with BOS in front"
        assert index == 0 or first - start == min(context // 2, context - 2)


def test_the_model_file(tmp_path: Path) -> None:
    def opened(path: Path | str) -> str:
        source = open_source(path, lambda progress: None)
        source.close()
        return source.name

    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    assert opened(tmp_path / "a.gguf") == opened(str(tmp_path)) == "a.gguf"
    with pytest.raises(SottoError, match=r"b\.gguf does not exist"):
        opened(tmp_path / "b.gguf")
    (tmp_path / "b.gguf").write_bytes(b"GGUF")
    assert opened(tmp_path) == tmp_path.name  # which of its files is the model, their bytes say
    (tmp_path / "a.gguf").unlink()
    (tmp_path / "b.gguf").unlink()
    with pytest.raises(SottoError, match="holds no GGUF file"):
        opened(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SottoError, match="no GGUF file"):
        opened(tmp_path / "empty")


def test_a_folder_for_the_cache(tmp_path: Path) -> None:
    found = api.store_in(tmp_path)
    assert found is not None and found.folder == tmp_path
    assert api.store_in(False) is None
    usual = api.store_in(True)
    assert usual is not None and usual.folder.name == "weights"


@pytest.mark.parametrize(("name", "millions"), [("270m", 268), ("1b", 1000)])
def test_synthetic_shapes(name: str, millions: int) -> None:
    """The exact sizes: parameters as published, int4 weights, plans of the engine."""
    source = synthetic.source(name)
    engine = drive(Engine.outline(source, NumpyDevice(), Settings(context=128)))
    matrices = {n: s for n, s in synthetic.tensors(synthetic.SHAPES[name]).items() if len(s) == 2}
    assert round(sum(a * b for a, b in matrices.values()) / 1e6) == millions
    plan = engine.plans[0]
    assert {d.kernel.format for d in plan.dispatches if d.kernel.format} == {"q4"}
    # int4 with an f16 scale for 32: 18 bytes for 32 weights, padded to 128 columns; the table counts as the head.
    read = weight_bytes(plan)
    assert 0 <= read / (sum(a * b for a, b in matrices.values()) * 18 / 32) - 1 < 0.01
    # Of the last layer only keys and values are needed of every token; the whole of it, and the head, of the last.
    last = f"layers.{synthetic.SHAPES[name].layers - 1}."
    sizes = {n: a * b for n, (a, b) in matrices.items()}
    once = ["embedding", *(n for n in sizes if n.startswith(last))]
    keys_and_values = [f"{last}key", f"{last}value"]
    every = sum(size for n, size in sizes.items() if n not in once or n in keys_and_values)
    attention = 4 * 4 * 256 * (5050 * (synthetic.SHAPES[name].layers - 1) + 100)
    operations = prefill_operations(engine.plans[-1], 100)
    assert operations == 2 * every * 100 + 2 * sum(sizes[n] for n in once) + attention


def test_synthetic_bytes_do_not_depend_on_how_they_are_read() -> None:
    source = synthetic.source("270m")
    whole = drive(source.read(6_000_000, 9_000_000))
    parts = [drive(source.read(at, 999_983)) for at in range(6_000_000, 14_000_000, 999_983)]
    joined = b"".join(parts)
    assert joined == whole[: len(joined)]
    with pytest.raises(SottoError):
        drive(source.read(source.size - 3, 4))
    with pytest.raises(SottoError, match="270m, 1b, 4b"):
        synthetic.source("7b")


@pytest.mark.parametrize("name", ["270m", "1b"])
def test_contexts_up_to_the_models_limit(name: str) -> None:
    """The memory is told before it is taken, and is what then is taken; WebGPU's least limits suffice."""
    device = NumpyDevice()
    device.limits = Limits(256 << 20, 128 << 20, 8, 256, 16_384, 65_535)
    source = synthetic.source(name)
    usual = drive(Engine.outline(source, device, Settings()))
    large = drive(Engine.outline(source, NumpyDevice(), Settings(32_768)))
    told = usual.needed(32_768)
    assert told["cache"] == large.load_stats.device_bytes["cache"]
    assert sum(told.values()) == pytest.approx(sum(large.load_stats.device_bytes.values()), rel=1e-3)
    caches = [t.nbytes for plan in large.plans for t in plan.tensors(Use.CACHE).values()]
    assert max(caches) == 32_768 * 256 * 2
    assert usual.needed(2048) == usual.load_stats.device_bytes
    with pytest.raises(SottoError, match="40,000 tokens is not possible"):
        usual.needed(40_000)


@pytest.mark.parametrize("gpu", [True, False])
def test_a_billion_parameters_fit_into_650_megabytes(gpu: bool) -> None:
    device = NumpyDevice()
    device.adapter = replace(device.adapter, software=not gpu, features=("shader-f16", "subgroups"))
    engine = drive(Engine.outline(synthetic.source("1b"), device, Settings(2048)))
    assert sum(engine.load_stats.device_bytes.values()) <= 650e6


def test_adapters(tmp_path: Path) -> None:
    """Beside each other, on and off by name; from the beginning with `lora`."""
    data = tiny.build(tiny.Tiny(layers=3))
    (tmp_path / "tiny.gguf").write_bytes(data)
    shapes = lora.shapes_of(data)
    folder = lora.written(lora.files(lora.halves(shapes, 8)), tmp_path / "one")
    (tmp_path / "two.gguf").write_bytes(lora.gguf(lora.halves(shapes, 8, seed=2)))

    def text(model: Model) -> str:
        return "".join(model.generate("the quiet garden", max_tokens=8, temperature=0))

    def opened(*adapters: api.Lora) -> Model:
        return sotto.load(
            tmp_path / "tiny.gguf", device="cpu", threads=1, context=64, cache=False, lora=adapters
        )

    with opened() as model:
        plain = text(model)
        assert model.add_lora(folder) == "one"
        assert model.add_lora(folder / "adapter_config.json") == "one 2"
        assert model.add_lora(tmp_path / "two.gguf", "second") == "second"
        assert text(model) == plain and not model.adapters_on
        model.use("one")
        with_one = text(model)
        assert with_one != plain and model.stats.adapters == {"one": 1}
        model.use(("one", 0.5), "second")
        assert model.adapters_on == {"one": 0.5, "second": 1}
        both = text(model)
        model.use()
        assert text(model) == plain
        with pytest.raises(SottoError, match="There are: one, one 2, second"):
            model.use("third")
    with opened(folder / "adapter_model.safetensors") as model:
        assert text(model) == with_one
        bytes_of = model.load_stats.device_bytes
        assert bytes_of["adapters"] > 0
    with opened((folder, 0.5), tmp_path / "two.gguf") as model:
        assert model.adapters_on == {"one": 0.5, "two.gguf": 1}
        assert text(model) == both
        model.use()
        assert text(model) == plain
    for path, word in ((tmp_path / "none", "does not exist"), (tmp_path / "tiny.gguf", "is a model")):
        with pytest.raises(SottoError, match=word):
            opened(path)
    with pytest.raises(SottoError, match="is a LoRA adapter"):
        sotto.load(folder, device="cpu")
    wider = tiny.build(tiny.Tiny(layers=3, width=512))
    (tmp_path / "tiny.gguf").write_bytes(wider)
    with pytest.raises(UnsupportedModel, match="does not fit this model"):
        opened(folder)
