"""Reads models and adapters of every format."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import FormatError
from ..model_files import BUNDLES, transformers_files
from ..source import Folder, Source
from . import (
    gguf,
    gguf_adapter,
    gguf_checkpoint,
    gguf_folder,
    gguf_kinds,
    hf_folder,
    litert_adapter,
    litert_checkpoint,
    litert_files,
    peft,
    safetensors,
)
from .adapter import Adapter, Outline
from .checkpoint import Checkpoint
from .kinds import BEGINNING, CONFIG, FIRST_READ, GGUF, MATRICES, kind_of

_WANTED = (
    "Sotto reads models as GGUF (files named .gguf), as folders with safetensors files, and as .task or .litertlm of "
    "LiteRT."
)
_WANTED_ADAPTER = f"Give a folder that holds {CONFIG} and {MATRICES}, or a GGUF file with a LoRA adapter."
_PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")


async def open_model(source: Source | Folder) -> Checkpoint:
    """Read what a model's file, or a folder of files, says of the model.

    Raises:
        FormatError: it is no file of a kind that is read here, or damaged.
    """
    if isinstance(source, Folder):
        return await _in_folder(source)
    data = bytes(await source.read(0, min(FIRST_READ, source.size)))
    if litert_files.starts(data):
        return await litert_checkpoint.read(source, data[:32])
    if data[:4] != GGUF[: len(data)]:
        raise _unknown(source.name, data)
    return gguf_checkpoint.read(await gguf.read_header(source, data), source.name)


async def _in_folder(folder: Folder) -> Checkpoint:
    """The checkpoint of the one model in a folder: of its files those are read that are GGUF, or where there are none
    those that transformers writes."""
    if transformers_files(folder.files) and not _ggufs(folder.files):
        return await hf_folder.read(folder)
    headers = {}
    for name, file in sorted(folder.files.items()):
        data = bytes(await file.read(0, min(FIRST_READ, file.size)))
        if data[:4] == GGUF:
            headers[name] = await gguf.read_header(file, data)
    if not headers:
        names = ", ".join(sorted(folder.files)[:20]) or "nothing"
        raise FormatError(f"{folder.name} holds no model: {names}.", _WANTED)
    return gguf_folder.read(headers, folder.name)


def is_adapter(checkpoint: Checkpoint) -> bool:
    """Whether what was opened is an adapter, in one file, for `open_adapter`."""
    return any(
        name.endswith(gguf_kinds.ADAPTER_ENDS) or litert_adapter.is_half(name) for name in checkpoint.tensors
    )


async def holds_adapter(source: Source) -> bool:
    """As formats.holds_adapter."""
    start = bytes(await source.read(0, min(BEGINNING, source.size)))
    if start[:4] == GGUF:
        return gguf.type_in(start) == "adapter"
    return start[4:8] == litert_files.TFLITE and await litert_adapter.is_one(source)


def has_model(names: Iterable[str]) -> bool:
    """Whether files of these names, of one folder, can be a model: of GGUF, of LiteRT, or what transformers writes."""
    found = set(names)
    bundles = any(name.lower().endswith(BUNDLES) for name in found)
    return bundles or bool(_ggufs(found)) or bool(transformers_files(found))


def _ggufs(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.lower().endswith(".gguf")]


def _unknown(name: str, data: bytes) -> FormatError:
    """The error for a file of another kind, with a guess at what it is."""
    _, found = kind_of(data)
    message = f"{name} is not a GGUF file" + (f"; it looks like {found}." if found else ".")
    return FormatError(message, _WANTED)


async def open_adapter(source: Source | Folder) -> Adapter:
    """Read an adapter: a GGUF file, one of LiteRT's for phones, or a folder with PEFT's two files.

    Raises:
        FormatError: it is no adapter, or a damaged one.
        UnsupportedModel: it is one that does more than LoRA; the message says what.
    """
    found = await _adapter_in(source) if isinstance(source, Folder) else source
    if isinstance(found, tuple):
        return await peft.read(*found, source.name)
    header = await _adapter_header(found)
    return await gguf_adapter.read(header, found) if header else await litert_adapter.read(found)


async def outline_adapter(source: Source | Folder) -> Outline:
    """What the headers of an adapter's files tell, of which nothing else is read; else as `open_adapter`."""
    found = await _adapter_in(source) if isinstance(source, Folder) else source
    if isinstance(found, tuple):
        return await peft.outline(*found, source.name)
    header = await _adapter_header(found)
    return gguf_adapter.outline(header, found) if header else await litert_adapter.outline(found)


async def _adapter_header(source: Source) -> gguf.Header | None:
    """That of a GGUF file with an adapter; None for a flatbuffer. Raises FormatError for anything else."""
    start = bytes(await source.read(0, min(BEGINNING, source.size)))
    if start[:4] == GGUF:
        header = await gguf.read_header(source, start)
        if not gguf_kinds.is_adapter(header):
            raise FormatError(f"{source.name} is a model, not an adapter.", "Load it in place of the model.")
        return header
    if litert_files.starts(start) and start[4:8] == litert_files.TFLITE:
        return None
    if safetensors.starts(start):
        raise FormatError(
            f"{source.name} has no {CONFIG} beside it, which says how strongly its matrices count.",
            _WANTED_ADAPTER,
        )
    raise _no_adapter(source.name, start)


async def _adapter_in(folder: Folder) -> Source | tuple[Source, Source]:
    """The adapter of a folder, the configuration and the matrices where they are two files: those that are wanted are
    told by their bytes, the two that PEFT writes by their names where there are more."""
    starts = {
        name: bytes(await file.read(0, min(16, file.size))) for name, file in sorted(folder.files.items())
    }
    matrices = [name for name, start in starts.items() if safetensors.starts(start)]
    if MATRICES in matrices:
        matrices = [MATRICES]
    if len(matrices) == 1 and CONFIG in starts:
        return folder.files[CONFIG], folder.files[matrices[0]]
    ggufs = [name for name, start in starts.items() if start[:4] == GGUF]
    if len(ggufs) == 1 and not matrices:
        return folder.files[ggufs[0]]
    pickled = next((name for name, start in starts.items() if start.startswith(_PICKLES)), None)
    if pickled and not matrices:
        raise _no_adapter(pickled, starts[pickled])
    what = f"no {CONFIG}" if len(matrices) == 1 else f"{len(matrices) or 'no'} safetensors files"
    raise FormatError(f"{folder.name} is no folder of an adapter: it holds {what}.", _WANTED_ADAPTER)


def _no_adapter(name: str, start: bytes) -> FormatError:
    """The error for a file that cannot be read as an adapter."""
    if start.startswith(_PICKLES):
        return FormatError(
            f"{name} is a pickle of PyTorch, which can run any program when it is read; Sotto reads none.",
            "Load it in Python with PEFT and save it again: save_pretrained writes safetensors.",
        )
    return FormatError(f"{name} is not an adapter.", _WANTED_ADAPTER)
