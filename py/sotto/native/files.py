"""Models and adapters on this disk, as sources."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from .. import formats
from ..assets import known_models, model_path
from ..assets.pins import MODELS
from ..errors import SottoError
from ..model_files import model_files
from ..reports import LoadProgress
from ..source import FileSource, Folder

_ADAPTERS = {".safetensors", ".gguf", ".bin", ".pt", ".pth"}  # of a folder, what may hold an adapter


def open_source(
    model: str | os.PathLike[str], progress: Callable[[LoadProgress], None]
) -> FileSource | Folder:
    """The model file that a path, a folder or a known name stands for; the folder of its parts where it was split.

    Raises SottoError, AssetError.
    """
    if isinstance(model, str) and model in known_models():
        path = model_path(model, progress=_Download(progress))
        return FileSource(path, key=MODELS[model].files[0].sha256)
    path = Path(model).expanduser()
    if is_adapter(path):
        raise SottoError(
            f"{path} is a LoRA adapter: changes to a model, without the model.",
            "Load the model it was made for, and give the adapter with it (lora=, or --lora).",
        )
    name, found = model_files(path, known_models())
    return FileSource(found[0]) if len(found) == 1 else _files(name, found)


def _files(name: str, paths: Sequence[Path]) -> Folder:
    return Folder(name, {path.name: FileSource(path) for path in paths})


def adapter_source(adapter: str | os.PathLike[str]) -> FileSource | Folder:
    """The file, or the folder of files, of an adapter. Raises SottoError when there is none."""
    path = Path(adapter).expanduser()
    if not path.exists():
        raise SottoError(
            f"The adapter {path} does not exist.",
            f"Give a folder with {formats.CONFIG} and {formats.MATRICES}, or a GGUF file with a LoRA adapter.",
        )
    if path.name == formats.CONFIG:
        path = path.parent
    if path.is_dir():
        found = sorted(
            file for file in path.iterdir() if file.name == formats.CONFIG or file.suffix in _ADAPTERS
        )
    elif path.suffix == ".safetensors" and path.with_name(formats.CONFIG).exists():
        found = [path.with_name(formats.CONFIG), path]
        path = path.parent
    else:
        return FileSource(path)
    return _files(path.resolve().name, [file for file in found if file.is_file()])


def is_adapter(path: str | os.PathLike[str]) -> bool:
    """Whether a path stands for an adapter of PEFT's kind: GGUF files say themselves what they are."""
    found = Path(path).expanduser()
    if found.is_dir():
        return (found / formats.CONFIG).exists()
    return found.name == formats.CONFIG or (
        found.suffix == ".safetensors" and found.with_name(formats.CONFIG).exists()
    )


class _Download:
    """Reports the fetching of a known model as a stage of loading."""

    def __init__(self, progress: Callable[[LoadProgress], None]) -> None:
        self._progress = progress

    def update(self, what: str, done: int, total: int) -> None:
        self._progress(LoadProgress("download", done, total, False))

    def note(self, text: str) -> None:
        """A source failed and the next is tried: of no interest unless all fail, and then it is in the error."""
