"""Models and adapters on this disk, as sources."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from .. import formats
from ..assets import default_cache, known_models, model_path
from ..assets.cache import OWN_STAMPS_NAME, Stamps
from ..assets.pins import MODELS
from ..driving import drive
from ..errors import FormatError, SottoError
from ..library.address import HubAddress, parse
from ..library.library import About, Entry
from ..model_files import CONFIG, model_files
from ..reports import LoadProgress
from ..source import FileSource, Folder, KeptSource, Source
from ..weights.imports import IMPORTED

_ADAPTERS = {".safetensors", ".gguf", ".bin", ".pt", ".pth"}  # of a folder, what may hold an adapter


@dataclass(frozen=True)
class Found:
    """A model on this disk.

    Attributes:
        source: its file, or the folder of its files.
        about: what the library is to remember of it.
    """

    source: FileSource | Folder | KeptSource
    about: About


def open_source(
    model: str | os.PathLike[str], progress: Callable[[LoadProgress], None]
) -> FileSource | Folder | KeptSource:
    """The file, or the folder of files, of a model: see `find_model`."""
    return find_model(model, progress).source


def find_model(
    model: str | os.PathLike[str],
    progress: Callable[[LoadProgress], None],
    kept: Callable[[], Sequence[Entry]] = tuple,
    runs: Callable[[str], bool] = lambda architecture: True,
) -> Found:
    """The model that a path, a folder, a known name, a hub's repository, a URL, or a name in the library stands for.

    Args:
        model: as people give it. What is on the disk goes before a repository of the same name.
        progress: told while a model is fetched, or its file hashed.
        kept: gives the library's models.
        runs: whether an architecture can be run, for choosing a file of a repository.

    Raises:
        SottoError: there is none.
        AssetError: it could not be fetched.
    """
    opened = _Opener(progress)
    if isinstance(model, str) and model in known_models():
        path = model_path(model, progress=Download(progress))
        file = MODELS[model].files[0]
        about = About(model, file.name, "Gemma", _format([path]), file.size, str(path))
        return Found(FileSource(path, lambda _: file.sha256), about)
    path = Path(model).expanduser()
    if is_adapter(path):
        raise SottoError(
            f"{path} is a LoRA adapter: changes to a model, without the model.",
            "Load the model it was made for, and give the adapter with it (lora=, or --lora).",
        )
    if not path.exists():
        return _elsewhere(str(model), opened, kept, runs)
    where = str(path.resolve())
    name, found = model_files(path, known_models())
    source = opened.file(found[0]) if len(found) == 1 else opened.files(name, found)
    return Found(source, About(origin=where, format=_format(found), file_bytes=source.size, path=where))


def _format(files: Sequence[Path]) -> str:
    """Of a model's files, by the first bytes of one; "" where that is not known here."""
    if CONFIG in (file.name for file in files):
        return IMPORTED
    if not files[0].is_file():
        return ""
    with files[0].open("rb") as file:
        return formats.kind_of(file.read(64))[0]


def _elsewhere(
    model: str, opened: _Opener, kept: Callable[[], Sequence[Entry]], runs: Callable[[str], bool]
) -> Found:
    """The model of a name that is no path: fetched before, kept without its file, or to be fetched now."""
    from . import hub, pull  # noqa: PLC0415 - with the modules of the network, which take long to import

    address = parse(model, hub.endpoint())
    if address and (pulled := pull.cached(address)):
        path, about = pulled
        source = opened.parts(path, about.title)
        kind = IMPORTED if about.title else _format([path])
        return Found(source, replace(about, format=kind, file_bytes=source.size))
    for entry in kept():
        if entry.current and model in (entry.title, entry.about.origin, entry.key):
            about = entry.about
            origin = partial(opened.again, about, runs)
            return Found(KeptSource(entry.key, entry.title, about.file_bytes, origin), about)
    if address:
        path, about = pull.pull(address, runs, opened.downloading)
        return Found(opened.parts(path, about.title), about)
    raise SottoError(
        f"The model {model} does not exist.",
        f"Give the path of a GGUF file, a hub's owner/name, a URL, or one of: {', '.join(known_models())}."
        " `sotto models` lists what is kept.",
    )


class _Opener:
    """Opens files, and tells how far the hashing of those is that are new here."""

    def __init__(self, progress: Callable[[LoadProgress], None]) -> None:
        self._progress = progress

    def downloading(self, done: int, total: int) -> None:
        self._progress(LoadProgress("download", done, total, False))

    def file(self, path: Path) -> FileSource:
        return FileSource(path, self._sha256)

    def files(self, name: str, paths: Sequence[Path]) -> Folder:
        return Folder(name, {path.name: self.file(path) for path in paths})

    def parts(self, path: Path, title: str = "") -> FileSource | Folder:
        """A file, or where it is one of several, all of them, by the name that people call them."""
        name, found = model_files(path, ())
        return self.file(found[0]) if len(found) == 1 else self.files(title or name, found)

    async def again(self, about: About, runs: Callable[[str], bool], whole: bool) -> Source | Folder:
        """A model of the library where it came from. Raises SottoError.

        Args:
            whole: all of it will be read. Where it is not, no more is fetched from a hub than what is read.
        """
        if about.path and Path(about.path).exists():
            return self.parts(Path(about.path), about.title)
        from . import hub, pull  # noqa: PLC0415 - as above

        address = parse(about.origin, hub.endpoint()) if about.origin else None
        if isinstance(address, HubAddress) and not whole:
            return hub.remote(address, runs)
        if address:
            return self.parts(pull.pull(address, runs, self.downloading)[0], about.title)
        raise SottoError("its file is not here.", f"Put it back to {about.path or about.origin}.")

    def _sha256(self, path: Path) -> str:
        return Stamps(default_cache(), OWN_STAMPS_NAME).sha256(
            path, lambda done, total: self._progress(LoadProgress("header", done, total, False))
        )


def adapter_source(adapter: str | os.PathLike[str], name: str = "") -> FileSource | Folder:
    """The file, or the folder of files, of an adapter. Raises SottoError when there is none.

    Args:
        name: what a folder is called; its own name where that is empty.
    """
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
    return Folder(
        name or path.resolve().name, {file.name: FileSource(file) for file in found if file.is_file()}
    )


def is_adapter(path: str | os.PathLike[str]) -> bool:
    """Whether a path stands for an adapter of PEFT's kind: GGUF files say themselves what they are.

    A folder that has a model too stands for the model.
    """
    found = Path(path).expanduser()
    if found.is_dir():
        names = {file.name for file in found.iterdir()}
        return formats.CONFIG in names and not formats.has_model(names)
    return found.name == formats.CONFIG or (
        found.suffix == ".safetensors" and found.with_name(formats.CONFIG).exists()
    )


def holds_adapter(path: str | os.PathLike[str]) -> bool:
    """Whether a path is that of a file that is an adapter by itself, as its header says."""
    found = Path(path).expanduser()
    if not found.is_file():
        return False
    source = FileSource(found)
    try:
        return drive(formats.holds_adapter(source))
    except FormatError:  # damaged, which who reads it tells
        return False
    finally:
        source.close()


class Download:
    """Reports the fetching of a known model as a stage of loading."""

    def __init__(self, progress: Callable[[LoadProgress], None]) -> None:
        self._progress = progress

    def update(self, what: str, done: int, total: int) -> None:
        self._progress(LoadProgress("download", done, total, False))

    def note(self, text: str) -> None:
        """A source failed and the next is tried: of no interest unless all fail, and then it is in the error."""
