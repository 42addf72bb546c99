"""Where a LiteRT file keeps its model, its tokenizer and what else it says: the three containers of MediaPipe and
LiteRT-LM.

* A `.task` for phones is a zip whose members are stored as they are; four zeros may stand in front of it (mediapipe's
  `model_asset_bundle_utils.py`).
* A `.litertlm` begins with "LITERTLM", three u32 of a version, four bytes, and the u64 end of its header, a flatbuffer
  from byte 32 on, whose sections are ranges of the file (LiteRT-LM's `litertlm_header_schema.fbs`).
* A `.task` for the web is a TensorFlow Lite flatbuffer by itself, which has the rest in buffers that its metadata name.
"""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass

from ..errors import FormatError, UnsupportedModel
from ..source import Source
from .flatbuffer import DAMAGED, Flatbuffer

ZIP, LITERTLM, TFLITE = b"PK\x03\x04", b"LITERTLM", b"TFL3"
MOST_SMALL_BYTES = 64 << 20  # of a tokenizer or metadata; Gemma's tokenizer has 4.7 MB
MOST_HEADER_BYTES = 1 << 20
_LENGTH_BYTES = 8
_MOST_MEMBERS = 64
_END, _DIRECTORY = b"PK\x05\x06", b"PK\x01\x02"
_ANOTHER = "Choose another file of this model: a .task or .litertlm for phones or the web, or GGUF."
_SECTIONS = {3: "model", 4: "tokenizer", 5: "metadata", 6: "tokenizer.json", 7: "weights"}
_MEMBERS = {"TF_LITE_PREFILL_DECODE": "model", "TOKENIZER_MODEL": "tokenizer", "METADATA": "metadata"}
_MODELS = ("tf_lite_prefill_decode", "tf_lite_artisan_text_decoder")


@dataclass(frozen=True)
class Extent:
    """A range of a file, in bytes."""

    offset: int
    nbytes: int


@dataclass(frozen=True)
class Contents:
    """What a container has.

    Attributes:
        container: what it is called.
        model: the flatbuffer with the weights.
        tokenizer: the SentencePiece model, if it is a part of the container by itself; likewise the others.
        tokenizer_json: the tokenizer as Hugging Face's library keeps it, compressed (see `inflated`).
        metadata: LlmParameters or LlmMetadata.
        others: names of what else is in it.
    """

    container: str
    model: Extent
    tokenizer: Extent | None = None
    tokenizer_json: Extent | None = None
    metadata: Extent | None = None
    others: tuple[str, ...] = ()


def starts(data: bytes) -> bool:
    """Whether a file that begins with these bytes is one of these containers, or another zip."""
    return data.startswith((ZIP, b"\0\0\0\0" + ZIP, LITERTLM)) or data[4:8] == TFLITE


async def contents(source: Source, start: bytes) -> Contents:
    """What is in a file that begins with `start`, 32 bytes where it has so many.

    Raises:
        FormatError: it is damaged.
        UnsupportedModel: it is another kind of file than Sotto can read.
    """
    if start.startswith(LITERTLM):
        return await _litertlm(source, start)
    if start[4:8] == TFLITE:
        return Contents(".tflite", Extent(0, source.size))
    return await _zip(source)


async def small(source: Source, extent: Extent, what: str) -> bytes:
    """All bytes of a small part. Raises FormatError where it is not small."""
    if extent.nbytes > MOST_SMALL_BYTES:
        raise FormatError(
            f"{source.name} is damaged: its {what} would have {extent.nbytes:,} bytes.", DAMAGED
        )
    return bytes(await source.read(extent.offset, extent.nbytes))


async def inflated(source: Source, extent: Extent, what: str) -> bytes:
    """All bytes of a small part that is compressed: a u64 of its length, then zlib's form of it (LiteRT-LM's builder,
    `add_hf_tokenizer`). Raises FormatError where it is not small, or does not have that length."""
    data = await small(source, extent, what)
    nbytes = int.from_bytes(data[:_LENGTH_BYTES], "little")
    if len(data) > _LENGTH_BYTES and nbytes <= MOST_SMALL_BYTES:
        inflater = zlib.decompressobj()
        with suppress(zlib.error):
            found = inflater.decompress(data[_LENGTH_BYTES:], nbytes + 1)  # no more, whatever it would become
            if len(found) == nbytes and inflater.eof:
                return found
    raise FormatError(
        f"{source.name} is damaged: its {what} cannot be unpacked to {nbytes:,} bytes.", DAMAGED
    )


# --- .litertlm --------------------------------------------------------------------------------------------------


async def _litertlm(source: Source, start: bytes) -> Contents:
    if len(start) < 32:
        raise _damaged(source, "it ends inside its header")
    major, *_ = struct.unpack("<3I", start[8:20])
    (end,) = struct.unpack("<Q", start[24:32])
    if major != 1:
        raise UnsupportedModel(
            f"{source.name} is a .litertlm file of version {major}; Sotto reads 1.", _ANOTHER
        )
    if not 32 < end <= min(source.size, MOST_HEADER_BYTES):
        raise _damaged(source, f"its header would end at byte {end:,}")
    header = Flatbuffer(source, 32, end - 32)
    sections = await header.complete(lambda: _sections(header))
    found: dict[str, Extent] = {}
    others = []
    for kind, model_type, begin, stop in sections:
        if not end <= begin <= stop <= source.size:
            raise _damaged(source, f"a section of it would be bytes {begin:,} to {stop:,}")
        name = _SECTIONS.get(kind, f"a section of type {kind}")
        if name == "model" and model_type and model_type not in _MODELS:
            others.append(model_type)
        elif name in found:
            raise _damaged(source, f"it has two sections of the same kind ({name})")
        else:
            found[name] = Extent(begin, stop - begin)
    if "weights" in found:
        raise UnsupportedModel(
            f"{source.name} is a .litertlm file with its weights in a section of their own, which Sotto cannot read.",
            _ANOTHER,
        )
    if "model" not in found:
        has = ", ".join((*found, *others)) or "nothing"
        raise UnsupportedModel(f"{source.name} holds no model that writes; it holds {has}.", _ANOTHER)
    tokenizers = found.get("tokenizer"), found.get("tokenizer.json")
    return Contents(".litertlm", found["model"], *tokenizers, found.get("metadata"), tuple(others))


def _sections(header: Flatbuffer) -> list[tuple[int, str, int, int]]:
    """Of each section: its type, its model_type if it names one, where it begins and ends."""
    metadata = header.root().table(1)
    found = []
    for section in metadata.tables(0) if metadata else []:
        words = {}
        for item in section.tables(0):
            value = item.table(2)
            words[item.text(0)] = value.text(0) if value and item.number(1, "<B") == 9 else ""
        model_type = words.get("model_type", "").lower()
        begin, stop = section.number(1, "<Q"), section.number(2, "<Q")
        found.append((section.number(3, "<B"), model_type, begin, stop))
    return found


# --- zip --------------------------------------------------------------------------------------------------------


async def _zip(source: Source) -> Contents:
    """Members by the central directory. Nothing is decompressed, and no name is a path."""
    tail_bytes = min(source.size, 22 + 0xFFFF)
    tail = bytes(await source.read(source.size - tail_bytes, tail_bytes))
    at = tail.rfind(_END)
    if at < 0 or at + 22 > len(tail):
        raise FormatError(f"{source.name} is a zip archive without an end: a part of it is missing.", DAMAGED)
    count, nbytes, offset = struct.unpack("<HII", tail[at + 10 : at + 20])
    if count > _MOST_MEMBERS or nbytes > MOST_HEADER_BYTES:
        raise UnsupportedModel(
            f"{source.name} is a zip archive of {count:,} files, not a model's bundle.", _ANOTHER
        )
    if offset + nbytes > source.size:
        raise _damaged(source, "its directory lies beyond its end")
    directory = bytes(await source.read(offset, nbytes))
    found: dict[str, Extent] = {}
    others = []
    for _ in range(count):
        if len(directory) < 46 or directory[:4] != _DIRECTORY:
            raise _damaged(source, "its directory makes no sense")
        flags, method = struct.unpack("<HH", directory[8:12])
        crc, packed, size, name_bytes, extra, comment = struct.unpack("<3I3H", directory[16:34])
        (begin,) = struct.unpack("<I", directory[42:46])
        name = directory[46 : 46 + name_bytes].decode("utf-8", "replace")
        directory = directory[46 + name_bytes + extra + comment :]
        role = _MEMBERS.get(name)
        if role is None:
            others.append(name[:80])
            continue
        if role in found:
            raise _damaged(source, f"it has {name} twice")
        if method or flags & 1 or packed != size:
            raise UnsupportedModel(
                f"{name} in {source.name} is compressed or encrypted; a model's bundle has it stored as it is.",
                _ANOTHER,
            )
        found[role] = await _member(source, name, begin, size, crc)
    if "model" not in found:
        raise _other_zip(source, others)
    return Contents(
        ".task", found["model"], found.get("tokenizer"), metadata=found.get("metadata"), others=tuple(others)
    )


async def _member(source: Source, name: str, begin: int, size: int, crc: int) -> Extent:
    """Where a member's bytes lie; of a small one they are checked too."""
    local = bytes(await source.read(begin, 30)) if begin + 30 <= source.size else b""
    if not local.startswith(ZIP):
        raise _damaged(source, f"{name} is not where its directory says")
    name_bytes, extra = struct.unpack("<HH", local[26:30])
    extent = Extent(begin + 30 + name_bytes + extra, size)
    if extent.offset + size > source.size:
        raise _damaged(source, f"{name} would end behind its end")
    is_small = _MEMBERS[name] != "model"
    if is_small and zlib.crc32(await small(source, extent, name)) != crc:
        raise _damaged(source, f"{name} does not have its checksum")
    return extent


def _other_zip(source: Source, names: list[str]) -> UnsupportedModel:
    """The error for a zip archive that is no bundle of a model."""
    if any(name.endswith("data.pkl") for name in names):
        return UnsupportedModel(
            f"{source.name} is a checkpoint of PyTorch: a pickle, which can run any program when it is read.",
            "Choose safetensors or GGUF.",
        )
    shown = ", ".join(names[:5]) or "nothing"
    return UnsupportedModel(
        f"{source.name} is a zip archive, but no bundle of a model (.task): it holds {shown}.", _ANOTHER
    )


def _damaged(source: Source, why: str) -> FormatError:
    return FormatError(f"{source.name} is damaged: {why}.", DAMAGED)
