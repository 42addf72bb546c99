"""The files on this disk that a path to a model stands for: a file, the parts of a split one, a folder's, Ollama's.

What is in them is not looked at here, and numpy is not needed: the server runs without it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from pathlib import Path

from .errors import SottoError

MOST_PARTS = 1000
_PART_NAME = re.compile(r"(.+)-(\d{5})-of-(\d{5})(\.gguf)", re.IGNORECASE)
_OLLAMA_MODEL = "application/vnd.ollama.image.model"
_LARGEST_MANIFEST = 1 << 20
BUNDLES = (".task", ".litertlm")
"""Endings of LiteRT's files."""
_WHOLE = (".gguf", *BUNDLES)  # endings of files that are a model by themselves
CONFIG = "config.json"
"""Of a folder as transformers writes it: what the model is."""
INDEX = "model.safetensors.index.json"
"""Likewise, which file each tensor is in."""
GENERATION = "generation_config.json"
TOKENIZERS = ("tokenizer.json", "tokenizer.model")
"""Of which the first that is there is read."""
TEMPLATES = ("chat_template.jinja", "tokenizer_config.json", "chat_template.json")
_WEIGHTS = ".safetensors"
_NOT_WEIGHTS = re.compile(r"(adapter_model|consolidated.*|optimizer.*|training_args.*)\.safetensors")


def part_names(name: str) -> tuple[str, ...]:
    """The names of all parts of the split file that one part's name tells of; none for another name."""
    found = _PART_NAME.fullmatch(name)
    if not found or not 1 <= int(found[2]) <= int(found[3]) <= MOST_PARTS:
        return ()
    return tuple(f"{found[1]}-{part:05}-of-{found[3]}{found[4]}" for part in range(1, int(found[3]) + 1))


def stem_of(name: str) -> str:
    """The name of a split file without the number of a part and the ending; "" for another name."""
    found = _PART_NAME.fullmatch(name)
    return found[1] if found else ""


def weight_files(names: Collection[str]) -> list[str]:
    """The files of a folder that may hold a model's tensors, by their names: those of the model that the folder is for,
    where there is no index to tell."""
    found = sorted(name for name in names if name.endswith(_WEIGHTS) and not _NOT_WEIGHTS.fullmatch(name))
    whole = f"model{_WEIGHTS}"
    return [whole] if whole in found and INDEX not in names else found


def transformers_files(names: Collection[str]) -> tuple[str, ...]:
    """Those of a folder's files that are read of a model as transformers writes it, and no others: what else lies there
    makes it no other model. None where there is no such model."""
    weights = weight_files(names)
    if CONFIG not in names or not weights:
        return ()
    tokenizers = [name for name in TOKENIZERS if name in names]
    beside = (name for name in (CONFIG, GENERATION, INDEX, *TEMPLATES) if name in names)
    return tuple(sorted({*weights, *tokenizers[:1], *beside}))


def one_model(names: Collection[str]) -> tuple[str, ...]:
    """Those of some files that together are one model, by their names: its file, the parts that there are of a split
    one, or what belongs to a model of transformers.

    Raises:
        SottoError: they are several models, or none.
    """
    found = sorted(name for name in names if name.lower().endswith(_WHOLE))
    if found and set(found) <= {found[0], *part_names(found[0])}:
        return tuple(found)
    if found:
        raise SottoError(
            f"These are several models: {', '.join(found[:8])}.",
            "Give one model at a time: its file, or all the parts of one that was split.",
            "several",
        )
    if len(names) == 1:
        return tuple(names)  # whatever it is called
    if belonging := transformers_files(names):
        return belonging
    raise SottoError(
        f"None of these files is a model: {', '.join(sorted(names)[:8])}.",
        "Give a GGUF, .task or .litertlm file, or all the files of a folder as transformers writes it.",
        "none",
    )


def model_files(path: Path, known: Collection[str]) -> tuple[str, tuple[Path, ...]]:
    """What a person calls a model, and its files.

    Args:
        path: of a file, of one of the parts of a split file, of a folder that holds GGUF files, what transformers
            writes, or a file of LiteRT's, of one of transformers' files, or of a manifest of Ollama's,
            models/manifests/..., which stands for one of models/blobs/.
        known: names that could have been given in place of a path.

    Returns:
        a name; the one file, or several: all parts that are there, all GGUF files of a folder, or those that
        transformers reads.

    Raises:
        SottoError: there is no such file, or no model in the folder, or several of LiteRT's.
    """
    if path.is_dir():
        found = _named(path, ".gguf") or _transformers_files(path) or _bundle(path)
        if not found:
            raise _nothing_in(path)
        return found[0].name if len(found) == 1 else path.resolve().name, found
    if not path.exists():
        names = f", or one of: {', '.join(known)}" if known else ""
        raise SottoError(f"The model {path} does not exist.", f"Give the path of a GGUF file{names}.")
    if path.name == CONFIG or (path.suffix == _WEIGHTS and path.with_name(CONFIG).exists()):
        found = _transformers_files(path.parent)
        if not found:
            raise _nothing_in(path.parent)
        return path.parent.resolve().name, found  # the file may be a link to another folder
    path = _ollama_model(path) or path
    parts = [path.with_name(name) for name in part_names(path.name)]
    return path.name, tuple(part for part in parts if part.exists()) if len(parts) > 1 else (path,)


def _named(folder: Path, *endings: str) -> tuple[Path, ...]:
    """The files of a folder with such endings."""
    return tuple(sorted(f for f in folder.iterdir() if f.suffix.lower() in endings and f.is_file()))


def _transformers_files(folder: Path) -> tuple[Path, ...]:
    """The files of a folder as transformers writes it; none where it is not."""
    names = transformers_files([file.name for file in folder.iterdir() if file.is_file()])
    return tuple(folder / name for name in names)


def _bundle(folder: Path) -> tuple[Path, ...]:
    """The file of LiteRT's in a folder; none without one. Raises SottoError where there are several."""
    found = _named(folder, *BUNDLES)
    if len(found) > 1:
        names = ", ".join(file.name for file in found[:5])
        raise SottoError(f"The folder {folder} holds {len(found)} models: {names}.", "Give the path of one.")
    return found


def _nothing_in(folder: Path) -> SottoError:
    return SottoError(
        f"The folder {folder} holds no GGUF file, no safetensors files with a {CONFIG}, and no "
        f"{' or '.join(BUNDLES)}.",
        "Give the path of one model file, or of a folder as transformers writes it.",
    )


def _ollama_model(path: Path) -> Path | None:
    """The file that a manifest of Ollama's names as its model."""
    if "manifests" not in path.parts or path.stat().st_size > _LARGEST_MANIFEST:
        return None
    try:
        layers = json.loads(path.read_text("utf-8"))["layers"]
        (digest,) = (layer["digest"] for layer in layers if layer["mediaType"] == _OLLAMA_MODEL)
    except (ValueError, TypeError, KeyError):
        return None
    root = next(folder for folder in path.absolute().parents if folder.name == "manifests").parent
    return root / "blobs" / str(digest).replace(":", "-")
