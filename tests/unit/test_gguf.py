"""The GGUF reader, on files that the suite's own writer makes and on the default model's header."""

from __future__ import annotations

import asyncio
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny
from sotto.assets import default_model
from sotto.errors import FormatError
from sotto.formats import gguf
from sotto.formats.blocks import TYPES
from sotto.formats.gguf import Header, NeedMoreBytes, parse
from sotto.formats.gguf_writer import RawTensor, write
from sotto.source import MemorySource

METADATA: dict[str, object] = {
    "general.architecture": "gemma3",
    "small": 7,
    "negative": -7,
    "large": 1 << 40,
    "real": 0.5,
    "yes": True,
    "no": False,
    "text": "naïve 🚀",
    "empty": "",
    "names": ["a", "", "木"],
    "none": [],
    "nested": [["a"], ["b", "c"]],
    **{
        f"array.{kind}": np.array([0, 1, 100], kind)
        for kind in ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "bool")
    },
}
TENSORS = {
    "one": RawTensor((5,), "F32", bytes(range(20))),
    "two": RawTensor((3, 32), "Q4_0", bytes(54)),
    "three": RawTensor((2, 3, 4), "F16", bytes(48)),
}


class Recorder(MemorySource):
    """A source in memory that notes every read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data, "test.gguf", "key")
        self.reads: list[tuple[int, int]] = []

    async def read(self, offset: int, nbytes: int) -> bytes:
        self.reads.append((offset, nbytes))
        return await super().read(offset, nbytes)


def read(data: bytes, first: int = 1 << 20) -> Header:
    return asyncio.run(gguf.read_header(MemorySource(data, "test.gguf", "key"), data[:first]))


def test_metadata_comes_back():
    metadata = parse(write(METADATA, TENSORS)).metadata
    assert list(metadata) == list(METADATA)
    for key, value in METADATA.items():
        found = metadata[key]
        if isinstance(value, np.ndarray):
            assert isinstance(found, np.ndarray) and found.dtype == value.dtype
            assert np.array_equal(found, value)
        else:
            assert found == value and type(found) is type(value)


@pytest.mark.parametrize(("kind", "form", "value"), [(0, "B", 9), (1, "b", -9), (2, "H", 9), (3, "h", -9)])
def test_scalar_types_the_writer_does_not_use(kind, form, value):
    data = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q3sI", 3, b"key", kind)
    assert parse(data + struct.pack(f"<{form}", value) + bytes(64)).metadata == {"key": value}


@pytest.mark.parametrize("alignment", [32, 8, 4096])
def test_tensors_lie_where_the_records_say(alignment):
    data = write({**METADATA, "general.alignment": alignment}, TENSORS, alignment)
    header = parse(data)
    assert header.nbytes % alignment == 0
    assert list(header.tensors) == list(TENSORS)
    for name, raw in TENSORS.items():
        info = header.tensors[name]
        assert (info.name, info.shape, info.type, info.nbytes) == (name, raw.shape, raw.type, len(raw.data))
        assert data[info.offset : info.offset + info.nbytes] == raw.data


def test_every_known_type_has_its_size():
    tensors = {name: RawTensor((2, 256), name, bytes(kind.size((2, 256)))) for name, kind in TYPES.items()}
    header = read(write({}, tensors))
    assert {info.name: info.type for info in header.tensors.values()} == {name: name for name in TYPES}


def test_an_unknown_type_is_kept_by_its_number():
    info = parse(write({}, {"t": RawTensor((2, 32), 99, bytes(64))})).tensors["t"]
    assert (info.type, info.nbytes, info.shape) == ("type 99", 0, (2, 32))


def test_the_tiny_model_reads_as_built():
    model = tiny.Tiny(layers=2)
    header = parse(tiny.build(model))
    assert {name: info.shape for name, info in header.tensors.items()} == tiny.shapes(model)
    assert header.tensors["blk.1.attn_k.weight"].type == "Q6_K"


def test_every_shorter_prefix_asks_for_more():
    data = write(METADATA, TENSORS)
    header = parse(data)
    for length in range(header.nbytes):
        with pytest.raises(NeedMoreBytes) as more:
            parse(data[:length])
        assert length < more.value.at_least <= header.nbytes


def test_the_header_alone_is_enough():
    data = write({"names": ["a", "b"]}, TENSORS)
    header = parse(data)
    assert parse(memoryview(data)[: header.nbytes]).tensors == header.tensors


def test_the_prefix_grows_without_reading_twice():
    big = {"big": RawTensor((90000,), "F32", bytes(360000))}
    data = write({"names": [f"piece {n}" for n in range(200)]}, {**TENSORS, **big})
    source = Recorder(data)
    header = asyncio.run(gguf.read_header(source, data[:64]))
    assert header == parse(data)
    ends = [offset + nbytes for offset, nbytes in source.reads]
    assert [offset for offset, _ in source.reads] == [64, *ends[:-1]]
    assert len(ends) > 1 and ends[-1] < 4 * header.nbytes < len(data)
    source.reads.clear()
    assert asyncio.run(gguf.read_header(source, data)) == header
    assert source.reads == []


def test_a_file_that_ends_inside_its_header():
    data = write(METADATA, TENSORS)
    for length in (2, 4, 20, 100, parse(data).nbytes - 1):
        with pytest.raises(FormatError, match=f"test.gguf is truncated.*{length}"):
            read(data[:length])


def test_a_file_that_ends_inside_its_tensors():
    data = write(METADATA, TENSORS)
    last = parse(data).tensors["three"]
    read(data[: last.offset + last.nbytes])
    with pytest.raises(FormatError, match=r"last 10 bytes are missing \(tensor three\)") as error:
        read(data[: last.offset + last.nbytes - 10])
    assert error.value.hint


@pytest.mark.parametrize(
    ("version", "complaint"), [(1, "version 1"), (4, "version 4"), (0x03000000, "big-endian")]
)
def test_other_versions_are_named(version, complaint):
    data = bytearray(write(METADATA, TENSORS))
    struct.pack_into("<I", data, 4, version)
    with pytest.raises(FormatError, match=complaint):
        read(bytes(data))


def test_contradictions_are_named():
    twice = write({}, {"aa": RawTensor((1,), "F32", bytes(4)), "ab": RawTensor((1,), "F32", bytes(4))})
    for data, complaint in (
        (twice.replace(b"ab", b"aa"), "tensor aa occurs twice"),
        (write({"k1": 1, "k2": 2}, {}).replace(b"k2", b"k1"), "'k1' occurs twice"),
        (write({}, {"t": RawTensor((2, 33), "Q4_0", bytes(36))}), "t has rows of 33"),
        (write({}, {"t": RawTensor((2, 0), "F32", b"")}), "t is empty"),
        (write({}, {"t": RawTensor((1,) * 5, "F32", bytes(4))}), "t has 5 dimensions"),
        (write({}, {"t": RawTensor((), "F32", bytes(4))}), "t has 0 dimensions"),
        (write({"general.alignment": 0}, {}), "general.alignment is 0"),
        (write({"general.alignment": "x"}, {}), "general.alignment is 'x'"),
        (write({"key": "text"}, {}).replace(b"text", b"\xff\xff\xff\xff"), "not UTF-8 in key"),
        (
            write({"key": True}, {}).replace(struct.pack("<I?", 7, True), struct.pack("<I?", 77, True)),
            "type 77",
        ),
        (write({"key": ["a"]}, {}).replace(struct.pack("<II", 9, 8), struct.pack("<II", 9, 78)), "type 78"),
    ):
        with pytest.raises(FormatError, match=complaint):
            read(data + bytes(64))


def placed(*offsets: int) -> bytes:
    """A file with three tensors of 64 bytes that its records place there."""
    data = write({}, {f"t{i}": RawTensor((16,), "F32", bytes(64)) for i in range(3)})
    for i, offset in enumerate(offsets):
        record = struct.pack("<Q2sIQI", 2, f"t{i}".encode(), 1, 16, 0)
        assert record in data
        data = data.replace(record + struct.pack("<Q", 64 * i), record + struct.pack("<Q", offset))
    return data


def test_places_that_cannot_be_are_named():
    read(placed(0, 64, 128))
    read(placed(128, 0, 64))
    for offsets, complaint in (
        ((0, 32, 128), "t0 and t1 overlap"),
        ((0, 64, 64), "t[12] and t[12] overlap"),
        ((0, 64, 129), "t2 cannot begin at byte 129"),
        ((0, 64, 1 << 62), "t2 cannot begin"),
    ):
        with pytest.raises(FormatError, match=complaint):
            read(placed(*offsets))
    with pytest.raises(FormatError, match="impossible shape"):
        read(write({}, {"t": RawTensor((1 << 32, 1 << 32), "F32", bytes(64))}))


def test_names_and_headers_have_a_greatest_length():
    with pytest.raises(FormatError, match="a metadata key of 201 characters"):
        read(write({"k" * 201: 1}, {}))
    with pytest.raises(FormatError, match="a tensor's name of 201 characters"):
        read(write({}, {"t" * 201: RawTensor((1,), "F32", bytes(4))}))

    class Endless(MemorySource):
        """A header of one string that goes on and on."""

        def __init__(self):
            super().__init__(write({"key": "value"}, {}), "endless.gguf", "key")
            self.size, self.asked = 1 << 40, 0

        async def read(self, offset, nbytes):
            self.asked += nbytes
            return bytes(nbytes)

    source = Endless()
    start = bytearray(write({"key": "value"}, {}))
    at = start.index(b"value") - 8
    for length in (gguf.MOST_BYTES, 1 << 50):
        struct.pack_into("<Q", start, at, length)
        with pytest.raises(FormatError, match=r"endless\.gguf is damaged: its header would have"):
            asyncio.run(gguf.read_header(source, bytes(start)))
    assert source.asked == 0


def test_version_2_is_read_too():
    data = bytearray(write(METADATA, TENSORS))
    struct.pack_into("<I", data, 4, 2)
    assert read(bytes(data)).tensors == read(write(METADATA, TENSORS)).tensors


def test_absurd_counts_do_not_allocate():
    for counts in ((1 << 60, 0), (0, 1 << 60)):
        with pytest.raises(FormatError):
            read(b"GGUF" + struct.pack("<IQQ", 3, *counts) + bytes(100))
    for kind in (8, 9, 10, 6):
        huge = struct.pack("<Q1sIIQ", 1, b"k", 9, kind, 1 << 60)
        with pytest.raises(FormatError, match="truncated"):
            read(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + huge + bytes(100))


@given(st.data())
def test_damage_is_an_error_or_a_header(data):
    """Whatever a flipped byte does, it ends in a FormatError or a Header, never in another exception."""
    raw = bytearray(write(METADATA, TENSORS))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, parse(write(METADATA, TENSORS)).nbytes - 1))] = data.draw(
            st.integers(0, 255)
        )
    try:
        header = read(bytes(raw))
    except FormatError as error:
        assert error.message
    else:
        assert all(info.offset + info.nbytes <= len(raw) for info in header.tensors.values())


def test_the_default_model():
    with default_model().open("rb") as file:
        data = file.read(8 << 20)
    header = parse(data)
    assert header.nbytes == 6_525_120
    types = [info.type for info in header.tensors.values()]
    counts = {name: types.count(name) for name in set(types)}
    assert counts == {"F32": 109, "Q5_0": 81, "Q4_K": 27, "Q8_0": 10, "Q6_K": 9}
    assert (
        max(info.offset + info.nbytes for info in header.tensors.values()) == default_model().stat().st_size
    )
    assert header.tensors["token_embd.weight"].shape == (262144, 640)
    assert header.metadata["gemma3.attention.sliding_window"] == 512
    tokens = header.metadata["tokenizer.ggml.tokens"]
    assert isinstance(tokens, list) and tokens[105:107] == ["<start_of_turn>", "<end_of_turn>"]
