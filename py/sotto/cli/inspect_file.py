"""What `sotto inspect` finds in a model's files: tensors by type, how a device holds them, and what is in the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from math import prod

import numpy as np

from .. import models
from ..errors import SottoError, UnsupportedModel, about
from ..formats import blocks
from ..formats.checkpoint import Checkpoint, TensorInfo
from ..source import Folder, Source
from ..text import chat
from ..text.tokenizer import Tokenizer
from ..weights import layout
from ..weights.image import Image
from ..weights.imports import Scheme


@dataclass
class Kind:
    """The tensors of a type, together.

    Attributes:
        stored: the formats in which a device holds the matrices among them; "f32" for vectors, "" where none can.
        matrices: how many of them are matrices.
        exact: whether that is what the file says, bit for bit.
        stored_bytes: that they take on a device, 0 where none can hold them.
    """

    tensors: int = 0
    elements: int = 0
    nbytes: int = 0
    matrices: int = 0
    stored: str = ""
    exact: bool = True
    stored_bytes: int = 0


def as_written(value: object) -> object:
    """A setting for people: a number that the file has in 32 bits with the digits that these have (1e-06)."""
    if isinstance(value, float) and value == np.float32(value):
        return float(str(np.float32(value)))
    return value


def kinds(checkpoint: Checkpoint, scheme: Scheme | None = None) -> dict[str, Kind]:
    """What there is of each tensor type, the largest first; `scheme` is what matrices are rounded to."""
    found: dict[str, Kind] = {}
    for info in checkpoint.tensors.values():
        kind = found.setdefault(info.type, Kind())
        kind.tensors += 1
        kind.elements += prod(info.shape)
        kind.nbytes += info.nbytes
        _add_stored(kind, info, scheme)
    return dict(sorted(found.items(), key=lambda item: -item[1].nbytes))


def _add_stored(kind: Kind, info: TensorInfo, scheme: Scheme | None) -> None:
    try:
        form = scheme.format_of(info) if scheme else layout.format_of(info.type)
    except UnsupportedModel:
        return
    if len(info.shape) == 2:
        rows, columns = info.shape
        if form.name not in kind.stored.split(", "):
            kind.stored = f"{kind.stored}, {form.name}" if kind.matrices else form.name
        kind.matrices += 1
        found = blocks.find(info.type)
        kind.exact = kind.exact and found is not None and form.holds(found)
        kind.stored_bytes += form.weight_bytes(rows, columns) + form.scale_plane_bytes(rows, columns)
    elif len(info.shape) == 1:
        kind.stored = kind.stored or "f32"
        kind.stored_bytes += 4 * info.shape[0]


def tuning(checkpoint: Checkpoint) -> str:
    """What a model was made for, in words."""
    if not checkpoint.chat_template or checkpoint.vocabulary is None:
        return "base model"
    form = chat.format_of(checkpoint.chat_template, checkpoint.vocabulary)
    return f"instruction-tuned ({form.name}'s turns)" if form else "with a chat template of an unknown kind"


async def rounding(
    source: Source | Folder, checkpoint: Checkpoint, scheme: Scheme, told: Callable[[int, int], None]
) -> float:
    """How far what a device would hold is from what the files say (see `imports.Rounding`): converts the model.

    Args:
        told: how many of how many bytes have been read.
    """
    model = models.find(checkpoint.architecture).read(checkpoint.settings)
    image = Image.of(checkpoint.tensors, model.wanted(), scheme)
    async with aclosing(image.convert(source)) as pieces:
        async for done, _ in pieces:
            told(done, image.source_nbytes)
    return image.rounding.share


def problems(checkpoint: Checkpoint) -> list[SottoError]:
    """All that keeps a model's files from running, as far as one thing does not hide another."""
    found: list[SottoError] = []

    def tried(step: Callable[[], object]) -> None:
        try:
            with about(checkpoint.name):
                step()
        except SottoError as error:
            found.append(error)

    def image() -> None:
        model = models.find(checkpoint.architecture).read(checkpoint.settings)
        Image.of(checkpoint.tensors, model.wanted())

    tried(checkpoint.check_model)
    if checkpoint.refusal:
        return found
    vocabulary = checkpoint.vocabulary
    if vocabulary is not None:
        tried(lambda: Tokenizer(vocabulary))
    tried(image)
    for name, count in Counter(info.type for info in checkpoint.tensors.values()).items():
        try:
            layout.format_of(name)
        except UnsupportedModel as error:
            if not any(name in other.message for other in found):
                message = f"{checkpoint.name}: {error.message} It has {count}."
                found.append(UnsupportedModel(message, error.hint))
    return found
