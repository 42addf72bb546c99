"""Files of models, bytes to a checkpoint, and of adapters.

`open` and `open_adapter` know a file by its first bytes, never by its name. What reads them is imported when the first
one is read: a converted model needs none of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ..source import Folder, Source
from .adapter import Adapter, Outline
from .checkpoint import Checkpoint
from .kinds import BEGINNING, CONFIG, FIRST_READ, GGUF, MATRICES, kind_of

if TYPE_CHECKING:
    from .hf_folder import Outline as FolderOutline

__all__ = [
    "BEGINNING",
    "CONFIG",
    "FIRST_READ",
    "GGUF",
    "MATRICES",
    "has_model",
    "holds_adapter",
    "is_adapter",
    "kind_of",
    "open",
    "open_adapter",
    "outline_adapter",
    "outline_folder",
]


async def open(source: Source | Folder) -> Checkpoint:
    """Read what a model's file, or a folder of files, says of the model.

    Raises:
        FormatError: it is no file of a kind that is read here, or damaged.
    """
    from . import readers  # noqa: PLC0415

    return await readers.open_model(source)


async def outline_folder(folder: Folder, runs: Callable[[str], bool]) -> FolderOutline:
    """What a folder of transformers holds, from no more than config.json and the headers of the tensors' files.

    Args:
        runs: whether an architecture can be run.

    Raises FormatError: a file is missing or damaged, or they do not belong together.
    """
    from . import hf_folder  # noqa: PLC0415

    return await hf_folder.outline(folder, runs)


def is_adapter(checkpoint: Checkpoint) -> bool:
    """Whether what was opened is an adapter, in one file, for `open_adapter`."""
    from . import readers  # noqa: PLC0415

    return readers.is_adapter(checkpoint)


async def holds_adapter(source: Source) -> bool:
    """Whether a file is an adapter by itself, also one that cannot be used, as its header tells. Raises FormatError."""
    from . import readers  # noqa: PLC0415

    return await readers.holds_adapter(source)


def has_model(names: Iterable[str]) -> bool:
    """Whether files of these names, of one folder, can be a model: of GGUF, of LiteRT, or what transformers writes."""
    from . import readers  # noqa: PLC0415

    return readers.has_model(names)


async def open_adapter(source: Source | Folder) -> Adapter:
    """Read an adapter: a GGUF file, one of LiteRT's for phones, or a folder with PEFT's two files.

    Raises:
        FormatError: it is no adapter, or a damaged one.
        UnsupportedModel: it is one that does more than LoRA; the message says what.
    """
    from . import readers  # noqa: PLC0415

    return await readers.open_adapter(source)


async def outline_adapter(source: Source | Folder) -> Outline:
    """What an adapter changes, from no more than the headers of its files; else as `open_adapter`."""
    from . import readers  # noqa: PLC0415

    return await readers.outline_adapter(source)
