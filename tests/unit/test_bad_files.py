"""Files that are broken in ways that happen: what is said of each, and what to do instead."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tiny
from sotto.api import drive
from sotto.devices.reference.device import NumpyDevice
from sotto.engine.engine import Engine
from sotto.errors import FormatError, SottoError, UnsupportedModel
from sotto.formats import gguf
from sotto.formats.blocks import TYPES
from sotto.formats.gguf_writer import RawTensor, write
from sotto.native.disk import DiskStore
from sotto.reports import Settings
from sotto.source import MemorySource

SIZES = tiny.Tiny(
    layers=2, width=64, hidden=64, heads=2, head_dim=32, types=dict.fromkeys(tiny.DEFAULT_TYPES, "Q8_0")
)
FILE = tiny.build(SIZES)
HEADER = gguf.parse(FILE)
METADATA = HEADER.metadata
TENSORS = {
    n: RawTensor(r.shape, r.type, FILE[r.offset : r.offset + r.nbytes]) for n, r in HEADER.tensors.items()
}
DOWN = "blk.1.ffn_down.weight"


def load(data: bytes, size: int | None = None, store: DiskStore | None = None) -> None:
    """Load it, all of it."""
    source = MemorySource(data, "bad.gguf", "key")
    source.size = size or source.size
    drive(Engine.load(source, NumpyDevice(), store, Settings(32, chunks=(8,))))


def patched(find: bytes, value: bytes, behind: int = 0, at: int = 0) -> bytes:
    """The file with other bytes, so far behind the first occurrence of some, or at a place."""
    data = bytearray(FILE)
    place = data.index(find) + len(find) + behind if find else at
    data[place : place + len(value)] = value
    return bytes(data)


def record(value: bytes, behind: int) -> bytes:
    """The file with other bytes in the record of a tensor: u32 dimensions, u64 extents, u32 type, u64 offset."""
    return patched(DOWN.encode(), value, behind)


def with_settings(**settings: object) -> bytes:
    return write({**METADATA, **{f"gemma3.{key}": value for key, value in settings.items()}}, TENSORS)


def with_tensor(name: str, tensor: RawTensor) -> bytes:
    return write(METADATA, {**TENSORS, name: tensor})


def with_a_word_twice() -> bytes:
    tokens = list(METADATA["tokenizer.ggml.tokens"])
    tokens[tokens.index("▁the")] = "▁and"
    return write({**METADATA, "tokenizer.ggml.tokens": tokens}, TENSORS)


def with_scale(half: int) -> bytes:
    """The scale of the last tensor's seventh block."""
    data = bytearray(FILE)
    struct.pack_into("<H", data, HEADER.tensors[DOWN].offset + 6 * 34, half)
    return bytes(data)


U64, U32 = struct.Struct("<Q").pack, struct.Struct("<I").pack
CASES: dict[str, tuple[Callable[[], bytes], str]] = {
    "cut inside the header": (
        lambda: FILE[:5000],
        "bad.gguf is truncated: it ends inside its header, after 5,000",
    ),
    "cut inside a tensor": (
        lambda: FILE[:-1000],
        r"bad.gguf is truncated: its last [\d,]+ bytes are missing \(tensor",
    ),
    "empty": (lambda: b"", "bad.gguf is truncated"),
    "an offset outside the file": (lambda: record(U64(1 << 30), 24), "truncated.*tensor blk.1.ffn_down"),
    "an offset near 2^63": (lambda: record(U64((1 << 63) - 32), 24), "blk.1.ffn_down.weight cannot begin"),
    "an offset between the alignments": (
        lambda: record(U64(33), 24),
        "blk.1.ffn_down.weight cannot begin at byte 33",
    ),
    "tensors that overlap": (lambda: record(U64(0), 24), "The tensors .* overlap"),
    "a count of tensors near 2^63": (lambda: patched(b"", U64((1 << 63) - 1), at=8), "."),
    "a count of settings near 2^63": (lambda: patched(b"", U64((1 << 63) - 1), at=16), "."),
    "a string of gigabytes": (
        lambda: patched(b"general.architecture", U64(3 << 30), 4),
        "truncated|at least 3,2",
    ),
    "an array of 2^63 words": (lambda: patched(b"tokenizer.ggml.tokens", U64(1 << 63), 8), "truncated"),
    "an array of 2^63 numbers": (
        lambda: patched(b"tokenizer.ggml.scores", U64((1 << 63) - 1), 8),
        "truncated",
    ),
    "extents that overflow": (
        lambda: record(U64(1 << 32) + U64(1 << 32), 4),
        "ffn_down.weight has the impossible",
    ),
    "an extent of nothing": (lambda: record(U64(0), 4), "blk.1.ffn_down.weight is empty"),
    "rows of half a block": (lambda: record(U64(48), 4), "blk.1.ffn_down.weight has rows of 48"),
    "another shape": (
        lambda: record(U64(32) + U64(128), 4),
        r"ffn_down.weight has shape \[128, 32\].*be \[64, 64\]",
    ),
    "an unknown type": (
        lambda: record(U32(99), 20),
        "ffn_down.weight: Sotto cannot read tensors of type 99",
    ),
    "a type that no model has": (lambda: record(U32(24), 20), "ffn_down.weight: .*type I8"),
    "an infinite scale": (
        lambda: with_scale(0x7C00),
        r"ffn_down.weight \(type Q8_0\) holds what is no finite number",
    ),
    "a scale that is no number": (
        lambda: with_scale(0xFE00),
        "ffn_down.weight .*holds what is no finite number",
    ),
    "a norm that is no number": (
        lambda: with_tensor(
            "output_norm.weight", RawTensor((64,), "F32", np.full(64, np.nan, "<f4").tobytes())
        ),
        "output_norm.weight .*no finite number",
    ),
    **{
        f"an alignment of {n}": (
            lambda n=n: write({**METADATA, "general.alignment": n}, TENSORS),
            f"general.alignment is {n}",
        )
        for n in (0, 1, 12, 33, 48, 1 << 31)
    },
    "more layers than tensors": (lambda: with_settings(block_count=3), "no tensor for layers.2"),
    "fewer layers than tensors": (
        lambda: with_settings(block_count=1),
        "blk.1.* more, which Sotto does not know",
    ),
    "layers without end": (lambda: with_settings(block_count=(1 << 32) - 1), "block_count is 4294967295"),
    "half a layer": (lambda: with_settings(block_count=1.5), "block_count is 1.5"),
    "a width that is no number": (
        lambda: with_settings(embedding_length=float("nan")),
        "embedding_length is nan",
    ),
    "a base of angles that is 0": (lambda: with_settings(**{"rope.freq_base": 0.0}), "freq_base is 0"),
    "a pointer in place of the file": (
        lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 253113024\n",
        "Git LFS pointer, not the file",
    ),
    "an error page": (lambda: b"<!DOCTYPE html><html><body>404</body></html>", "web page"),
    "an error in JSON": (lambda: b'{"error":"Repository not found"}', "JSON"),
    "a word twice": (with_a_word_twice, "normal tokens that are empty, or the same twice"),
    "zeros": (lambda: bytes(5000), "is not a GGUF file"),
    "a download that left zeros": (lambda: FILE[:6000] + bytes(len(FILE) - 6000), "."),
}


@pytest.mark.parametrize("name", CASES)
def test_a_bad_file_is_refused_with_advice(name: str) -> None:
    build, complaint = CASES[name]
    with pytest.raises((FormatError, UnsupportedModel), match=complaint) as error:
        load(build())
    said = f"{error.value.message} {error.value.hint}"
    assert error.value.hint and len(said) < 600 and "bad.gguf" in error.value.message
    if "type" in name:  # people choose files, not types of tensors
        assert "Take the Q4_0, Q4_K_M or Q8_0 file of the same collection." in error.value.hint
    assert not re.search(r"Q5_0|IQ4_XS|F16, ", said)


def test_of_a_vocabulary_that_cannot_be_used_nothing_is_kept(tmp_path: Path) -> None:
    store = DiskStore(tmp_path)
    with pytest.raises(FormatError, match="the same twice"):
        load(with_a_word_twice(), store=store)
    assert drive(store.find("key")) is None


def test_the_file_itself_loads() -> None:
    load(FILE)


def test_a_flipped_length_does_not_make_the_file_a_header() -> None:
    """149 MB of a file were once kept in memory as its header."""
    asked = 0

    class Large(MemorySource):
        async def read(self, offset: int, nbytes: int) -> bytes:
            nonlocal asked
            asked = max(asked, offset + nbytes)
            return FILE[offset : offset + nbytes].ljust(nbytes, b"a")

    data = bytearray(FILE[: HEADER.nbytes])
    place = data.index(b"tokenizer.ggml.scores") - 8
    for length in (1 << 40, 100 << 20, 63 << 20):
        changed = data.copy()
        changed[place : place + 8] = U64(length)
        source = Large(bytes(changed), "bad.gguf", "key")
        source.size = 4 << 30
        with pytest.raises(SottoError, match=r"damaged|not UTF-8|characters"):
            drive(gguf.read_header(source, bytes(changed)))
    assert asked <= gguf.MOST_BYTES


def test_every_type_that_is_known_and_not_read_says_so() -> None:
    unread = [name for name, kind in TYPES.items() if not hasattr(kind, "decode")]
    assert {"NVFP4", "Q8_K", "I32"} <= set(unread)
    for name in unread:
        if 64 % TYPES[name].elements:
            continue
        with pytest.raises(UnsupportedModel, match=rf"ffn_down\.weight: .*{name}"):
            load(tiny.build(replace(SIZES, types={**SIZES.types, "blk.1.ffn_down": name})))
