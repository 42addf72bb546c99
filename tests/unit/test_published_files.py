"""What published files leave out or do in their own way, and are the same model; and what they claim and cannot be."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

import tiny
from sotto import formats, models
from sotto.api import drive
from sotto.assets import default_model
from sotto.devices.reference.device import NumpyDevice
from sotto.engine.engine import Engine
from sotto.errors import LimitError, UnsupportedModel
from sotto.formats import gguf, gguf_checkpoint
from sotto.formats.blocks import dequantize, quantize
from sotto.formats.gguf_writer import RawTensor, write
from sotto.models import synthetic
from sotto.models.gemma3 import Config
from sotto.reports import Settings
from sotto.source import MemorySource
from sotto.text.tokenizer import Segment
from sotto.weights import reads
from sotto.weights.image import Image

SIZES = tiny.Tiny(
    layers=2, width=64, hidden=64, heads=2, head_dim=32, types=dict.fromkeys(tiny.DEFAULT_TYPES, "Q8_0")
)
WHOLE = tiny.build(SIZES)
METADATA, TENSORS = gguf.parse(WHOLE).metadata, tiny.tensors_of(WHOLE)
IDS = [2, 300, 301, 302, 303]


def run(data: bytes) -> list[float]:
    """What a model says to a few tokens."""
    source = MemorySource(data, "tiny.gguf", "key")
    engine = drive(Engine.load(source, NumpyDevice(), None, Settings(32, chunks=(8,))))
    assert engine.tokenizer.encode_segments([Segment("the voice")]) == [
        2,
        *engine.tokenizer.encode("the voice"),
    ]
    return drive(engine.score(IDS)).tolist()


@pytest.fixture(scope="module")
def usual() -> list[float]:
    return run(WHOLE)


@pytest.mark.parametrize("alignment", [8, 64, 4096])
def test_tensors_at_other_distances(usual: list[float], alignment: int) -> None:
    assert run(write({**METADATA, "general.alignment": alignment}, TENSORS, alignment)) == usual


def test_bytes_behind_the_end(usual: list[float]) -> None:
    assert run(WHOLE + bytes(1000)) == usual


@pytest.mark.parametrize("flag", ["add_bos_token", "add_eos_token", "add_space_prefix"])
@pytest.mark.parametrize("value", [True, False, None])
def test_flags_that_published_files_have_wrong(usual: list[float], flag: str, value: bool | None) -> None:
    given = {**METADATA, f"tokenizer.ggml.{flag}": value}
    assert run(write({key: v for key, v in given.items() if v is not None}, TENSORS)) == usual


@pytest.mark.parametrize("kind", ["F16", "BF16", "Q8_0"])
def test_norms_in_other_types(kind: str) -> None:
    def with_norms(as_f32: bool) -> Iterator[tuple[str, RawTensor]]:
        for name, tensor in TENSORS.items():
            if len(tensor.shape) == 1:
                values = np.frombuffer(tensor.data, "<f4")
                data = quantize(kind, values.reshape(1, -1))
                exact = dequantize(kind, data, (1, values.size)).astype("<f4")
                tensor = replace(tensor, type=kind, data=data.tobytes())  # noqa: PLW2901
                if as_f32:
                    tensor = replace(tensor, type="F32", data=exact.tobytes())  # noqa: PLW2901
            yield name, tensor

    assert run(write(METADATA, dict(with_norms(False)))) == run(write(METADATA, dict(with_norms(True))))


def test_settings_that_are_left_out_are_gemmas() -> None:
    names = ("attention.key_length", "attention.value_length", "attention.layer_norm_rms_epsilon",
             "rope.freq_base", "context_length")  # fmt: skip
    given = {key: v for key, v in METADATA.items() if key.removeprefix("gemma3.") not in names}
    checkpoint = drive(formats.open(MemorySource(write(given, TENSORS), "tiny.gguf", "key")))
    config = models.find("gemma3").read(checkpoint.settings).config
    assert isinstance(config, Config)
    found = config.head_dim, config.eps, config.rope_base, config.rope_factor, config.context_limit
    assert found == (256, 1e-6, 1e6, 1.0, 32_768)


def test_tokens_and_rows_that_are_both_padded(usual: list[float]) -> None:
    """As converters do it: names without a meaning, and rows; here such as would always be drawn."""
    more = 24
    tokens, scores, types = (METADATA[f"tokenizer.ggml.{key}"] for key in ("tokens", "scores", "token_type"))
    assert isinstance(tokens, list) and isinstance(scores, np.ndarray) and isinstance(types, np.ndarray)
    names = [f"[PAD{512 + number}]" for number in range(more)]
    padded = {
        "tokenizer.ggml.tokens": [*tokens, *names],
        "tokenizer.ggml.scores": np.append(scores, np.full(more, -1000, np.float32)),
        "tokenizer.ggml.token_type": np.append(types, np.full(more, 5, np.int32)),
    }
    table = TENSORS["token_embd.weight"]
    loud = quantize("Q8_0", np.full((more, 64), 1e4, np.float32)).tobytes()
    rows = RawTensor((512 + more, 64), "Q8_0", table.data + loud)
    assert run(write({**METADATA, **padded}, {**TENSORS, "token_embd.weight": rows})) == usual
    # What a fine-tune added keeps its row.
    padded["tokenizer.ggml.token_type"][-1] = 3
    assert run(write({**METADATA, **padded}, {**TENSORS, "token_embd.weight": rows})) != usual


@pytest.mark.parametrize("rows", [262_208, 262_400])
def test_the_rows_of_larger_models_are_cut_to_gemmas_tokens(rows: int) -> None:
    """262,208 of transformers' 4B, 262,400 of Gemma 3n's kin; the tokenizer has 262,144."""
    with default_model().open("rb") as file:
        header = gguf.parse(file.read(formats.FIRST_READ))
    table = header.tensors["token_embd.weight"]
    nbytes = table.nbytes // table.shape[0] * rows
    longer = {**header.tensors, "token_embd.weight": replace(table, shape=(rows, 640), nbytes=nbytes)}
    checkpoint = gguf_checkpoint.read(replace(header, tensors=longer), "gemma")
    assert checkpoint.settings["vocabulary"] == 262_144
    assert (checkpoint.tensors["embedding"].shape, checkpoint.tensors["embedding"].nbytes) == (
        (262_144, 640), table.nbytes,
    )  # fmt: skip


def test_a_width_that_no_kernel_can_step_through() -> None:
    sizes = replace(SIZES, width=336, hidden=336, types=dict.fromkeys(tiny.DEFAULT_TYPES, "F16"))
    with pytest.raises(UnsupportedModel, match=r"tiny\.gguf: .*336 columns; .* a multiple of 32") as error:
        run(tiny.build(sizes))
    assert error.value.hint


def test_twelve_billion_parameters_are_weighed_before_a_byte_is_read() -> None:
    """Of published sizes (google/gemma-3-12b-pt); the weights alone have 6 GB in Q4_0."""
    config = replace(
        synthetic.SHAPES["4b"], layers=48, dim=3840, heads=16, kv_heads=8, ffn_dim=15_360, rope_factor=8.0
    )
    device = NumpyDevice()
    device.memory = 4 << 30
    with pytest.raises(LimitError, match=r"12b \(int4\) needs [67],\d{3} MB of memory") as error:
        drive(Engine.load(synthetic.SyntheticSource("12b", config), device))
    assert error.value.hint.startswith("Take a smaller model, such as Gemma 3 4B as Q4_0: it needs about 2,")
    assert device._buffers == {}


def test_conversion_holds_a_few_reads_and_never_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "READ_BYTES", 1 << 19)
    source = synthetic.SyntheticSource(
        "small", replace(synthetic.SHAPES["270m"], layers=1, vocabulary=32_768)
    )
    checkpoint = drive(formats.open(source))
    image = Image.of(checkpoint.tensors, models.find("gemma3").read(checkpoint.settings).wanted())

    async def converted() -> int:
        return sum([data.size async for _, data in image.convert(source)])

    drive(anext(image.convert(source)))  # what is made once
    tracemalloc.start()
    try:
        assert drive(converted()) == image.nbytes > 14_000_000
        assert tracemalloc.get_traced_memory()[1] < 10 * reads.READ_BYTES
    finally:
        tracemalloc.stop()
