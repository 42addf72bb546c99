"""Models in the cache of the hub's own library, found without asking anybody."""

from __future__ import annotations

import importlib.util
from contextlib import suppress
from pathlib import Path

from .. import formats
from ..driving import drive
from ..errors import FormatError
from ..library.address import HubAddress
from ..library.library import About
from ..model_files import CONFIG, model_files, part_names, weight_files
from ..source import FileSource, Folder
from ..weights.imports import IMPORTED
from .hub import library


def cached(address: HubAddress) -> tuple[Path, About] | None:
    """The model of an address that the hub's cache has, for which nobody needs to be asked; None where it has none, or
    not all of its files.

    Of a repository without a file's name, its only model in the cache: GGUF files go before the folder that
    transformers writes. What another program fetched counts too.

    Returns:
        The path of its file, or of the first of them, and what is known of the model.
    """
    if importlib.util.find_spec("huggingface_hub") is None:
        return None
    hub = library()
    folder = Path(hub.constants.HF_HUB_CACHE) / f"models--{address.repository.replace('/', '--')}"
    revision = address.revision
    with suppress(OSError):
        revision = (folder / "refs" / revision).read_text("utf-8").strip()
    snapshots = [folder / "snapshots" / revision]
    if revision == "main":  # fetched by commit, as `fetch` does: the newest
        snapshots = sorted(
            (folder / "snapshots").glob("*"), key=lambda path: path.stat().st_mtime, reverse=True
        )
    for snapshot in snapshots:
        if path := _model_in(snapshot, address.file):
            file = path.relative_to(snapshot).as_posix()
            origin = HubAddress(address.repository, file, address.revision)
            title = ""
            if path.suffix == f".{IMPORTED}":
                title = f"{address.repository}/{file.removesuffix(path.name)}".rstrip("/")
            return path, About(title, str(origin), path=str(path))
    return None


def _model_in(snapshot: Path, file: str) -> Path | None:
    """The file, or the first file, of the one model in a version of a repository that is there as a whole."""
    at = snapshot / file
    if at.is_file():
        return at if _whole(at) else None
    found = sorted(at.rglob("*.gguf"))
    if found and part_names(found[0].name) == tuple(path.name for path in found):
        found = found[:1]
    elif not found:
        folders = (path.parent for path in at.rglob(CONFIG))
        found = [folder / names[0] for folder in folders if (names := _tensors(folder))]
    return found[0] if len(found) == 1 and _whole(found[0]) else None


def _tensors(folder: Path) -> list[str]:
    """The files with a model's tensors in a folder of transformers."""
    return weight_files([path.name for path in folder.iterdir() if path.is_file()])


def _whole(path: Path) -> bool:
    """Whether all files of a model are there, given one of them."""
    name, found = model_files(path, ())
    if CONFIG not in (file.name for file in found):
        return len(found) == max(1, len(part_names(found[0].name)))
    sources = {file.name: FileSource(file) for file in found}
    try:
        drive(formats.outline_folder(Folder(name, sources), lambda architecture: True))
    except FormatError:
        return False
    finally:
        for source in sources.values():
            source.close()
    return True
