"""Altered headers: whatever a file says of itself, it is read or refused with a sentence, and at once.

Every alteration goes as far as a load does before it takes memory for weights: reading, the model's sizes, the image's
layout, the tokenizer's tables.
"""

from __future__ import annotations

import random
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

import tiny
from sotto import formats, models
from sotto.api import drive
from sotto.errors import SottoError
from sotto.formats import gguf
from sotto.formats.checkpoint import Setting
from sotto.formats.gguf_writer import RawTensor, metadata_of, write
from sotto.source import MemorySource
from sotto.text.tokenizer import Tokenizer
from sotto.text.vocabulary import Vocabulary
from sotto.weights.image import Image

SIZES = tiny.Tiny(layers=2, width=64, hidden=64, heads=2, head_dim=32, chat=True)
FILE = tiny.build(replace(SIZES, types=dict.fromkeys(tiny.DEFAULT_TYPES, "Q4_0")))
HEADER = gguf.parse(FILE)
OPTIONAL = {  # what the tiny file does not say, and others do
    "general.alignment": 32, "general.type": "model", "split.no": 0, "split.count": 1,
    "general.base_model.0.name": "Gemma", "tokenizer.ggml.eot_token_id": 6,
    "gemma3.attention.value_length": 32, "gemma3.attention.sliding_window_pattern": 6, "gemma3.attention.scale": 0.5,
    "gemma3.attention.causal": True, "gemma3.attn_logit_softcapping": 0.0, "gemma3.final_logit_softcapping": 0.0,
    "gemma3.rope.freq_base_swa": 1e4, "gemma3.rope.dimension_count": 32, "gemma3.rope.scaling.type": "none",
    "gemma3.rope.scaling.factor": 1.0, "gemma3.pooling_type": 0, "gemma3.attention.something": 1,
}  # fmt: skip
METADATA = {**HEADER.metadata, **OPTIONAL}
RAW = {
    name: RawTensor(r.shape, r.type, FILE[r.offset : r.offset + r.nbytes])
    for name, r in HEADER.tensors.items()
}


def nested(depth: int) -> list[object]:
    """Arrays in arrays."""
    found: list[object] = ["a"]
    for _ in range(depth):
        found = [found]
    return found


VALUES: tuple[object, ...] = (
    float("nan"), float("inf"), -float("inf"), -1, 0, 1, 1.5, 7, 1 << 31, (1 << 32) - 1, 1 << 63, 1e30, -0.0, True,
    False, "", "x", "gemma3", "linear", "yarn", "x" * 100_000, [], ["a"], ["a"] * 600, nested(1), nested(4),
    nested(500), np.zeros(0, np.int32), np.zeros(1, np.float32), np.full(512, np.nan, np.float32),
    np.full(512, -1, np.int32), np.full(512, 255, np.uint8), np.ones(512, bool), np.arange(512, dtype=np.uint16),
    np.full(3, 1 << 31, np.uint32), np.array([1, 2]).astype(np.int8),
)  # fmt: skip


def consider(data: bytes) -> None:
    """Do what a load does before it takes memory."""
    checkpoint = drive(formats.open(MemorySource(data, "altered.gguf", "k")))
    vocabulary = checkpoint.check_model()
    model = models.find(checkpoint.architecture).read(checkpoint.settings)
    Image.of(checkpoint.tensors, model.wanted())
    Tokenizer(vocabulary).encode("the voice\n of <b>🚀")


def holds(alterations: Iterator[tuple[str, Callable[[], bytes]]]) -> tuple[int, int]:
    """How many alterations are read, and how many refused; anything else is a failure."""
    read = refused = 0
    for what, build in alterations:
        data = build()
        started = time.perf_counter()
        try:
            consider(data)
            read += 1
        except SottoError as error:
            assert error.message and len(str(error)) < 1000, what
            refused += 1
        except Exception as error:
            raise AssertionError(f"{what}: {error!r}") from error
        assert time.perf_counter() - started < 3, what
    return read, refused


def test_the_file_as_it_is() -> None:
    consider(FILE)
    harmless = {
        k: v for k, v in METADATA.items() if k not in ("gemma3.attention.something", "gemma3.attention.scale")
    }
    consider(write(harmless, RAW))


def test_every_value_of_every_other_kind() -> None:
    def alterations() -> Iterator[tuple[str, Callable[[], bytes]]]:
        for key in METADATA:
            base = HEADER.metadata if key in HEADER.metadata else {**HEADER.metadata, key: OPTIONAL[key]}
            for number, value in enumerate(VALUES):
                yield f"{key} = value {number}", lambda b=base, k=key, v=value: write({**b, k: v}, RAW)
            yield f"{key} missing", lambda b=base, k=key: write({n: v for n, v in b.items() if n != k}, RAW)

    read, refused = holds(alterations())
    assert read > 100 and refused > 700


def test_every_tensor_with_another_record() -> None:
    def alterations() -> Iterator[tuple[str, Callable[[], bytes]]]:
        for name, raw in RAW.items():
            for shape in (
                (1,), (3,), (64, 64, 64), (1, *raw.shape), (raw.shape[0] + 1, *raw.shape[1:]), raw.shape[::-1],
                (1 << 62, 32), (1 << 31, 1 << 31, 32), (1,) * 4,
            ):  # fmt: skip
                yield (
                    f"{name} of shape {shape}",
                    lambda n=name, t=raw, s=shape: write(HEADER.metadata, {**RAW, n: replace(t, shape=s)}),
                )
            for kind in ("F32", "Q2_K", "Q8_0", 99, (1 << 32) - 1):
                yield (
                    f"{name} of type {kind}",
                    lambda n=name, t=raw, k=kind: write(HEADER.metadata, {**RAW, n: replace(t, type=k)}),
                )
            for other in (
                "",
                "blk.0.attn_q.bias",
                "blk.99999999999999999999.attn_q.weight",
                "dense.weight",
                "x" * 99,
            ):
                yield (
                    f"{name} called {other}",
                    lambda n=name, t=raw, o=other: write(
                        HEADER.metadata, {k: v for k, v in RAW.items() if k != n} | {o: t}
                    ),
                )

    read, refused = holds(alterations())
    assert read >= 2 * len(RAW) / 3 and refused > 10 * len(RAW)


def test_bytes_that_are_flipped_or_missing() -> None:
    generator = random.Random(20261128)

    def alterations() -> Iterator[tuple[str, Callable[[], bytes]]]:
        for number in range(2000):
            data = bytearray(FILE)
            for _ in range(generator.choice((1, 1, 1, 2, 8))):
                data[generator.randrange(HEADER.nbytes)] = generator.choice(
                    (0, 1, 0x7F, 0xFF, generator.randrange(256))
                )
            yield f"flip {number}", lambda d=data: bytes(d)
        for _ in range(200):
            length = generator.randrange(len(FILE))
            yield f"cut at {length}", lambda n=length: FILE[:n]

    read, refused = holds(alterations())
    assert read > 100 and refused > 700


def vocabularies() -> Iterator[tuple[str, Vocabulary]]:
    """Strange tables of a strange length."""
    good = tiny.vocabulary()
    size = 20_000
    flat = np.zeros(size, np.float32)
    strange = {"empty": "", "short": "a", "spaces": "▁▁", "long": "▁a" * 5000, "byte": "<0xZZ>"}
    for name, word in strange.items():
        for kind in range(8):
            yield (
                f"{name} of type {kind}",
                replace(good, tokens=[word] * 512, types=np.full(512, kind, np.uint8)),
            )
            yield (
                f"{name} in places, type {kind}",
                replace(
                    good,
                    tokens=[word if i == 400 else t for i, t in enumerate(good.tokens)],
                    types=np.where(np.arange(512) == 400, kind, good.types).astype(np.uint8),
                ),
            )
    for kind in range(8):
        many = {"numbered": [f"w{i}" for i in range(size)], "with spaces": [f"a▁b{i}" for i in range(size)]}
        for name, words in (*many.items(), ("alike", ["x▁y"] * size)):
            yield (
                f"{size} {name} of type {kind}",
                replace(good, tokens=words, scores=flat, types=np.full(size, kind, np.uint8)),
            )


def test_strange_vocabularies() -> None:
    settings: dict[str, Setting] = {
        "layers": 2, "dim": 64, "heads": 2, "kv_heads": 1, "head_dim": 32, "ffn_dim": 64, "window": 32,
    }  # fmt: skip
    read, refused = holds(
        (what, lambda v=vocabulary: write(metadata_of("gemma3", settings, v), RAW))
        for what, vocabulary in vocabularies()
    )
    assert read > 10 and refused > 40


@pytest.mark.parametrize(
    ("key", "value"),
    [("gemma3.block_count", (1 << 32) - 1), ("gemma3.embedding_length", 1 << 63), ("deep", nested(800))],
)
def test_nothing_is_taken_for_an_absurd_claim(key: str, value: object) -> None:
    data = write({**HEADER.metadata, key: value}, RAW)
    tracemalloc.start()
    try:
        with pytest.raises(SottoError):
            consider(data)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
