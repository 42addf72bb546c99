"""Files of models: bytes to a checkpoint.

`open` knows a file by its first bytes, never by its name.
"""

from __future__ import annotations

from dataclasses import replace

from ..errors import FormatError
from ..source import Folder, Source
from . import gguf, gguf_checkpoint
from .checkpoint import Checkpoint

GGUF = b"GGUF"
FIRST_READ = 8 << 20
"""Bytes of the first read: all of a GGUF's header in most cases."""

_WANTED = "Sotto reads models in the GGUF format (files named .gguf)."
_OTHERS = (  # offset, bytes there, what it is
    (0, b"PK\x03\x04", "a zip archive, as are .task bundles and PyTorch's checkpoints"),
    (4, b"PK\x03\x04", "a MediaPipe bundle (.task)"),
    (0, b"LITERTLM", "a LiteRT-LM model (.litertlm)"),
    (4, b"TFL3", "a TensorFlow Lite model (.tflite, or a .task for the web)"),
    (8, b'{"', "a safetensors file"),
    (
        0,
        b"version https://git-lfs",
        "a Git LFS pointer, not the file it stands for: download the file itself",
    ),
    (0, b"\x80\x02", "a pickled checkpoint of PyTorch"),
    (0, b"lmgg", "a GGML file, the format before GGUF"),
    (0, b"tjgg", "a GGML file, the format before GGUF"),
    (0, b"{", "a JSON file"),
)


async def open(source: Source | Folder) -> Checkpoint:
    """Read what a model's file, or a folder of files, says of the model.

    Raises:
        FormatError: it is no file of a kind that is read here, or damaged.
    """
    if isinstance(source, Folder):
        return await _in_folder(source)
    data = bytes(await source.read(0, min(FIRST_READ, source.size)))
    if data[:4] != GGUF[: len(data)]:
        raise _unknown(source.name, data)
    header = await gguf.read_header(source, data)
    try:
        return gguf_checkpoint.read(header, source.name)
    except FormatError as error:
        raise FormatError(f"{source.name}: {error.message}", error.hint) from error


async def _in_folder(folder: Folder) -> Checkpoint:
    """The checkpoint of a folder's one file with weights."""
    found = [
        name
        for name, file in sorted(folder.files.items())
        if bytes(await file.read(0, min(len(GGUF), file.size))) == GGUF
    ]
    if len(found) != 1:
        names = ", ".join(found or sorted(folder.files))
        raise FormatError(
            f"{folder.name} holds {f'{len(found)} GGUF files' if found else 'no GGUF file'}: {names}.",
            "Give the path of one GGUF file." if found else _WANTED,
        )
    checkpoint = await open(folder.files[found[0]])
    tensors = {name: replace(info, file=found[0]) for name, info in checkpoint.tensors.items()}
    return replace(checkpoint, tensors=tensors)


def _unknown(name: str, data: bytes) -> FormatError:
    """The error for a file of another kind, with a guess at what it is."""
    found = next((kind for at, magic, kind in _OTHERS if data[at:].startswith(magic)), None)
    if data.lstrip()[:1] == b"<":
        found = "a web page: the download may have been answered by an error or a login page"
    message = f"{name} is not a GGUF file" + (f"; it looks like {found}." if found else ".")
    return FormatError(message, _WANTED)
