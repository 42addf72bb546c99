"""Files of the LiteRT family: what they hold arrives bit for bit, and what is damaged or unknown is refused."""

from __future__ import annotations

import json
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import hugging
import litert
import tiny
from litert import Quantized
from sotto import formats, models
from sotto.api import drive, iterate
from sotto.cli import inspect_file
from sotto.errors import FormatError, SottoError, UnsupportedModel
from sotto.formats import flatbuffer
from sotto.formats.checkpoint import Checkpoint, TensorInfo
from sotto.source import MemorySource
from sotto.text.tokenizer import Tokenizer
from sotto.weights import layout, reads
from sotto.weights.image import Image

SIZES = tiny.Tiny(
    layers=2, width=64, hidden=96, heads=2, head_dim=32, types=dict.fromkeys(tiny.DEFAULT_TYPES, "F32")
)
VALUES = litert.values_of(tiny.build(SIZES))
VOCABULARY = tiny.vocabulary()
PARAMETERS = litert.llm_parameters({3: 64, 4: 96, 5: 32, 6: 2, 7: 2, 9: 1}, 512)
TOKENIZER = litert.sentencepiece(VOCABULARY)
MIX = litert.quantized(VALUES, litert.web_mix)


def of(bits: int, block: int = 0) -> dict[str, np.ndarray | Quantized]:
    return litert.quantized(VALUES, lambda _: (bits, block))


def opened(data: bytes, name: str = "model") -> Checkpoint:
    return drive(formats.open(MemorySource(data, name, name)))


def on_litert_lm(
    model: bytes, kind: str = "tf_lite_prefill_decode", tokenizer: tuple[int, str, bytes] = (4, "", TOKENIZER)
) -> bytes:
    return litert.litertlm([(5, "", litert.llm_metadata()), tokenizer, (3, kind, model)])


def packed(data: bytes, nbytes: int | None = None) -> tuple[int, str, bytes]:
    """A section with tokenizer.json."""
    return 6, "", struct.pack("<Q", len(data) if nbytes is None else nbytes) + zlib.compress(data)


JSON = json.dumps(hugging.tokenizer_json(VOCABULARY)).encode()


def image_of(checkpoint: Checkpoint, source: MemorySource) -> tuple[Image, np.ndarray]:
    model = models.find(checkpoint.architecture).read(checkpoint.settings)
    image = Image.of(checkpoint.tensors, model.wanted())
    pieces = [piece.copy() for _, piece in iterate(image.convert(source))]
    return image, np.concatenate(pieces)


def arrived(data: bytes) -> dict[str, np.ndarray]:
    """By canonical name, what a device computes with."""
    source = MemorySource(data, "model", "k")
    image, whole = image_of(opened(data), source)
    found = {}
    for part in image.parts:
        plane = whole[part.offset :][: part.weight_bytes]
        if part.form is None:
            found[part.sources[0].name] = plane.view("<f4")
            continue
        scales = whole[part.scale_offset :][: part.scale_bytes]
        values, row = layout.dequantize(part.form, plane, scales, part.rows, part.columns), 0
        for info in part.sources:
            found[info.name] = values[row : row + info.shape[0]]
            row += info.shape[0]
    return found


FILES: dict[str, Callable[[], tuple[bytes, dict[str, np.ndarray | Quantized]]]] = {
    "int4 for phones": lambda: (litert.bundle(litert.phone(of(4), 2), VOCABULARY, PARAMETERS), of(4)),
    "int8 for phones": lambda: (on_litert_lm(litert.phone(of(8), 2)), of(8)),
    "blocks of 32 for phones": lambda: (on_litert_lm(litert.phone(of(4, 32), 2)), of(4, 32)),
    "fused, in the flatbuffer": lambda: (
        litert.bundle(litert.phone(of(8), 2, fused=True, inside=True, up_first=True), VOCABULARY, PARAMETERS),
        of(8),
    ),
    "f32 for phones, norms written out": lambda: (
        on_litert_lm(litert.phone(dict(VALUES), 2, written_out=True)),
        dict(VALUES),
    ),
    "fused, norms written out": lambda: (
        on_litert_lm(litert.phone(of(4, 32), 2, fused=True, written_out=True)),
        of(4, 32),
    ),
    "web": lambda: (litert.web(MIX, VOCABULARY, PARAMETERS), MIX),
    "web, newer names": lambda: (litert.web(MIX, VOCABULARY, PARAMETERS, newer=True), MIX),
    "web in a .litertlm": lambda: (
        on_litert_lm(litert.web(MIX, VOCABULARY, PARAMETERS), "tf_lite_artisan_text_decoder"),
        MIX,
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_every_value_is_the_references_bit_for_bit(case: str) -> None:
    """Norms of the web's files lose what 1 + (w - 1) loses in f32."""
    data, weights = FILES[case]()
    found = arrived(data)
    assert found.keys() == weights.keys()
    for name, value in weights.items():
        if isinstance(value, Quantized):
            np.testing.assert_array_equal(found[name].view(np.uint32), value.values.view(np.uint32), name)
        else:
            expected = (value - 1).astype(np.float32) + np.float32(1) if "web" in case else value
            np.testing.assert_array_equal(found[name], expected, name)


@pytest.mark.parametrize("case", FILES)
def test_what_a_file_says_is_read(case: str) -> None:
    checkpoint = opened(FILES[case]()[0])
    wanted = {"layers": 2, "dim": 64, "ffn_dim": 96, "heads": 2, "kv_heads": 1, "head_dim": 32, "window": 32}
    assert checkpoint.settings.items() >= (wanted | {"vocabulary": 512, "rope_base": 1e6}).items()
    assert checkpoint.architecture == "gemma3" and checkpoint.format.startswith("LiteRT")
    found = checkpoint.vocabulary
    assert found and list(found.tokens) == list(VOCABULARY.tokens)
    assert np.array_equal(found.scores, VOCABULARY.scores) and np.array_equal(found.types, VOCABULARY.types)
    assert (found.bos, found.eos, found.end_of_turn) == (2, 1, VOCABULARY.tokens.index("<end_of_turn>"))
    assert inspect_file.tuning(checkpoint) == "instruction-tuned (Gemma's turns)"
    assert not inspect_file.problems(checkpoint)
    assert Checkpoint.from_card(checkpoint.to_card()).tensors == checkpoint.tensors


def test_a_tokenizer_json_is_as_good_as_a_sentencepiece_model() -> None:
    """litert-torch writes one where a model's folder has no tokenizer.model: zlib's form behind its length."""
    text = "the printing  press\n <b>日本🚀"
    fields = json.loads(JSON)
    fields["added_tokens"].append({**fields["added_tokens"][0], "id": 512, "content": "<image_soft_token>"})
    usual = opened(on_litert_lm(litert.phone(of(4), 2))).check_model()
    for data in (JSON, json.dumps(fields).encode()):  # tokens of images have no row
        found = opened(on_litert_lm(litert.phone(of(4), 2), tokenizer=packed(data))).check_model()
        assert (found.kind, len(found)) == ("bpe", len(usual))
        assert Tokenizer(found).encode(text) == Tokenizer(usual).encode(text)
        assert (found.bos, found.eos, found.end_of_turn) == (usual.bos, usual.eos, usual.end_of_turn)


def test_the_image_is_that_of_the_same_tensors_by_themselves() -> None:
    """Without a container: all scales and codes, row after row, in one run of bytes."""
    data = litert.web(MIX, VOCABULARY, PARAMETERS)
    checkpoint = opened(data)
    plain, tensors = bytearray(), {}
    for name, info in checkpoint.tensors.items():
        value, at = MIX[name], len(plain)
        if isinstance(value, Quantized):
            plain += value.scales.astype("<f4").tobytes() + value.packed
            begin, scales = at + value.scales.size * 4, ((at, value.scales.size * 4),)
            tensors[name] = replace(info, offset=begin, transforms=(), beside=scales)
        else:
            plain += (value - 1).astype("<f4").tobytes()
            tensors[name] = replace(info, offset=at)
    directly = image_of(replace(checkpoint, tensors=tensors), MemorySource(bytes(plain), "m", "k"))[1]
    assert np.array_equal(image_of(checkpoint, MemorySource(data, "m", "k"))[1], directly)


def test_large_matrices_of_the_web_are_read_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    data = litert.web(MIX, VOCABULARY, PARAMETERS)
    whole = image_of(opened(data), MemorySource(data, "m", "k"))[1]
    monkeypatch.setattr(reads, "TILED_ROWS", 64)
    monkeypatch.setattr(reads, "READ_BYTES", 1024)
    source = MemorySource(data, "m", "k")
    asked: list[tuple[int, int]] = []
    read = source.read

    async def counted(offset: int, nbytes: int) -> bytes:
        asked.append((offset, nbytes))
        return await read(offset, nbytes)

    monkeypatch.setattr(source, "read", counted)
    checkpoint = opened(data)
    assert np.array_equal(image_of(checkpoint, source)[1], whole)
    assert max(nbytes for _, nbytes in asked) == 64 * 64 < VALUES["embedding"].size
    assert sum(nbytes for _, nbytes in asked) < len(data)


# --- What is refused --------------------------------------------------------------------------------------------


def changed_matrix(change: Callable[[bytes], bytes]) -> bytes:
    """A web file with something done to the codes of one matrix."""
    name = "params.lm.transformer.x_layers_1.ff_layer.ffn_layer1.w"
    return litert.web(
        MIX, VOCABULARY, PARAMETERS, changed=lambda n, data: change(data) if n == name else data
    )


def row_major(data: bytes) -> bytes:
    value = MIX["layers.1.up"]
    assert isinstance(value, Quantized) and len(value.packed) == len(data)
    return value.packed


@pytest.mark.parametrize(
    "change",
    [
        row_major,
        lambda data: bytes(byte ^ 0x88 for byte in data),  # two's complement
        lambda data: bytes(byte >> 4 | byte << 4 & 0xF0 for byte in data[:8]) + data[8:],
        lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:],
    ],
    ids=["rows", "signs", "halves", "a bit"],
)
def test_another_order_of_a_webs_matrix_never_runs(change: Callable[[bytes], bytes]) -> None:
    data = changed_matrix(change)
    with pytest.raises(
        FormatError, match=r"x_layers_1\.ff_layer\.ffn_layer1\.w is damaged, or lies in an order"
    ):
        image_of(opened(data), MemorySource(data, "m", "k"))


def bag(changed: Callable[[str, bytes], bytes]) -> bytes:
    return litert.web(MIX, VOCABULARY, PARAMETERS, changed=changed)


def lora_bag() -> bytes:
    model = litert.Tflite()
    for side in ("left", "right"):
        model.tensor(f"transformer.layer_0.attn.q.w_prime_{side}", [256], litert.F16, bytes(256))
    return model.build()


REFUSED = {
    "does not fit its scales": lambda: bag(lambda name, data: data[:-16] if name.endswith("q.w") else data),
    "adds biases": lambda: on_litert_lm(litert.phone(of(4), 2, bias=True)),
    "weights in a section of their own": lambda: litert.litertlm(
        [(4, "", TOKENIZER), (3, "tf_lite_prefill_decode", b"x"), (7, "", b"x")]
    ),
    "holds no model that writes; it holds tokenizer, tf_lite_embedder": lambda: litert.litertlm(
        [(4, "", TOKENIZER), (3, "tf_lite_embedder", b"x")]
    ),
    "of version 2": lambda: litert.litertlm([(4, "", TOKENIZER)], version=2),
    "two sections of the same kind": lambda: litert.litertlm([(4, "", TOKENIZER)] * 2),
    "no TensorFlow Lite model": lambda: litert.litertlm([(3, "tf_lite_prefill_decode", bytes(64))]),
    "compressed or encrypted": lambda: litert.task(
        {"TF_LITE_PREFILL_DECODE": bytes(1 << 20)}, zipfile.ZIP_DEFLATED
    ),
    "no bundle of a model": lambda: litert.task({"../../etc/passwd": b"x", "/TF_LITE_PREFILL_DECODE": b"x"}),
    "a pickle, which can run any program": lambda: litert.task({"archive/data.pkl": b"x"}),
    "does not have its checksum": lambda: litert.task(
        {"TF_LITE_PREFILL_DECODE": b"x", "TOKENIZER_MODEL": TOKENIZER}
    ).replace(TOKENIZER[:50], TOKENIZER[:49] + b"?"),
    "twice": lambda: litert.task(
        {"TF_LITE_PREFILL_DECODE": b"x", "METADATB": b"x", "METADATA": b"x"}
    ).replace(b"METADATB", b"METADATA"),
    "a part of it is missing": lambda: FILES["int4 for phones"]()[0][:-30],
    "is a LoRA adapter of MediaPipe": lora_bag,
    "its tokenizer.json cannot be unpacked to 99 bytes": lambda: on_litert_lm(
        litert.phone(of(4), 2), tokenizer=packed(JSON, 99)
    ),
    f"its tokenizer.json cannot be unpacked to {1 << 62:,} bytes": lambda: on_litert_lm(
        litert.phone(of(4), 2), tokenizer=packed(JSON, 1 << 62)
    ),
    f"its tokenizer.json cannot be unpacked to {len(JSON):,} bytes": lambda: on_litert_lm(
        litert.phone(of(4), 2), tokenizer=(6, "", packed(JSON)[2][:-9])
    ),
    "The tokenizer of model is not JSON": lambda: on_litert_lm(
        litert.phone(of(4), 2), tokenizer=packed(b"[" * 99)
    ),
    "whose pieces are not merged in pairs": lambda: on_litert_lm(litert.phone(of(4), 2)).replace(
        litert.pb((3, 2), (35, 1)), litert.pb((3, 1), (35, 1))
    ),
}


def test_a_bomb_is_not_unpacked() -> None:
    """16 MB of zeros in 16 kB, said to be 1 kB."""
    data = on_litert_lm(litert.phone(of(4), 2), tokenizer=packed(bytes(16 << 20), 1000))
    tracemalloc.start()
    with pytest.raises(FormatError, match="cannot be unpacked to 1,000 bytes"):
        opened(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_read_is_refused_by_name(words: str) -> None:
    data = REFUSED[words]()
    with pytest.raises(SottoError) as caught:
        opened(data)
    assert words in caught.value.message and caught.value.hint


@pytest.mark.parametrize(
    ("ends", "factor", "words"),
    [
        (
            "ffn_layer1.w_quantized_scale",
            2,
            "one for 32 columns; in which order such files keep them is not known",
        ),
        ("ffn_layer1.w.sum_i", 0, "no sums beside its tensor"),
    ],
)
def test_matrices_that_cannot_be_made_sure_of_are_shown_and_do_not_run(
    ends: str, factor: int, words: str
) -> None:
    checkpoint = opened(bag(lambda name, data: data * factor if name.endswith(ends) else data))
    with pytest.raises(UnsupportedModel, match=words):
        checkpoint.check_model()
    assert [problem.message for problem in inspect_file.problems(checkpoint)] == [checkpoint.refusal[0]]  # type: ignore[index]
    assert sum(kind.elements for kind in inspect_file.kinds(checkpoint).values()) == sum(
        value.size for value in VALUES.values()
    )


def test_an_adapter_of_mediapipe_is_refused_with_what_to_give_instead() -> None:
    with pytest.raises(UnsupportedModel, match="w_prime_left") as caught:
        drive(formats.open_adapter(MemorySource(lora_bag(), "lora.tflite", "k")))
    assert "adapter_config.json" in caught.value.hint


def test_a_graph_that_is_joined_in_another_way_is_refused() -> None:
    """What the names say is held against what the operations do."""
    weights = of(4)
    swapped = {**weights, "layers.1.gate": weights["layers.0.down"]}
    data = on_litert_lm(litert.phone(swapped, 2))
    checkpoint = opened(data)
    with pytest.raises(FormatError, match=r"layers\.1\.gate"):
        Image.of(checkpoint.tensors, models.find("gemma3").read(checkpoint.settings).wanted())
    no_gelu = litert.phone(weights, 2).replace(struct.pack("<i", 150), struct.pack("<i", 14))
    with pytest.raises(UnsupportedModel, match="cannot follow as a Gemma 3"):
        opened(on_litert_lm(no_gelu))


def test_a_window_that_a_file_does_not_tell_is_not_guessed() -> None:
    parameters = litert.llm_parameters({3: 64, 4: 96, 5: 32, 6: 2, 7: 2, 9: 1}, 512, 0)
    checkpoint = opened(litert.web(MIX, VOCABULARY, parameters))
    assert [error.message for error in inspect_file.problems(checkpoint)] == [
        "model: The file does not say how many, or how large: window."
    ]


# --- Damaged flatbuffers ----------------------------------------------------------------------------------------


def test_offsets_in_a_circle_and_beyond_the_end_do_no_harm() -> None:
    def damaged(*words: int) -> bytes:
        return struct.pack(f"<I4s{len(words)}I", 8, b"TFL3", *words)

    circle = damaged(0, 0, 0)  # a table that is its own vtable
    beyond = damaged(0xFFFFFF00)
    for data in (circle, beyond, damaged(), b"\0\0\0\0TFL3", struct.pack("<I", 0xFFFFFFFF) + b"TFL3"):
        with pytest.raises(SottoError, match="model"):
            opened(data)


@pytest.mark.parametrize("inside", [False, True])
def test_data_beyond_the_end_are_missed_before_anything_is_loaded(inside: bool) -> None:
    data = litert.web(MIX, VOCABULARY, PARAMETERS)[:-100]
    if inside:  # other sections follow
        data = litert.litertlm([(3, "tf_lite_artisan_text_decoder", data), (4, "", TOKENIZER)])
    with pytest.raises(FormatError, match="is truncated: its last 100 bytes are missing"):
        opened(data)


def test_many_tables_that_point_to_one_long_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flatbuffer, "MOST_ITEMS", 1000)
    with pytest.raises(FormatError, match="longer than any model's"):
        opened(FILES["int4 for phones"]()[0])


def test_tables_all_over_a_large_file(monkeypatch: pytest.MonkeyPatch) -> None:
    data = FILES["fused, in the flatbuffer"]()[0]
    expected = opened(data)
    monkeypatch.setattr(flatbuffer, "PAGE_BYTES", 1024)
    assert opened(data).tensors == expected.tensors
    monkeypatch.setattr(flatbuffer, "MOST_PAGES", 8)
    with pytest.raises(FormatError, match="spread over too much"):
        opened(data)


def test_a_row_types_codes_have_two_signs() -> None:
    info = TensorInfo("m", "m", (1, 4), "INT4", 0, 2)
    data = np.array([*struct.pack("<f", 0.5), 0x8F, 0x70], np.uint8)  # -1, -8, 0, 7
    assert layout.blocks.dequantize(info.type, data, info.shape).tolist() == [[-0.5, -4.0, 0.0, 3.5]]
    with pytest.raises(ValueError, match="INT4"):
        layout.blocks.dequantize("INT4", data[:-1], info.shape)


@pytest.mark.parametrize("newer", [False, True])
def test_a_model_for_the_web_is_not_taken_for_an_adapter(newer: bool) -> None:
    """Both are flatbuffers without operations."""
    data = litert.web(MIX, VOCABULARY, PARAMETERS, newer=newer)
    assert not drive(formats.holds_adapter(MemorySource(data, "web.task", "k")))
