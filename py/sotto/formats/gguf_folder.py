"""The model among a folder's GGUF files: one file, or one that was split into several (llama.cpp's gguf-split).

The parts of a split file say in their metadata which of how many they are (split.no from 0, split.count); the first one
has all of the model's metadata, and each lists the tensors it holds. Their usual names end in -00001-of-00003.gguf.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..errors import FormatError
from ..model_files import MOST_PARTS, part_names, stem_of
from . import gguf_checkpoint, gguf_kinds
from .checkpoint import Checkpoint
from .gguf import Header


@dataclass(frozen=True)
class _Candidate:
    """What may be the model: its files in order, None for those that are not there."""

    name: str
    files: tuple[str | None, ...]


def read(headers: Mapping[str, Header], folder: str) -> Checkpoint:
    """The checkpoint of the one model among files.

    Args:
        headers: by the files' names.
        folder: what a person calls the folder.

    Raises:
        FormatError: there is no model, or several, or one whose parts are not all there.
    """
    whole: dict[str, Checkpoint] = {}
    parts: dict[tuple[str, int], dict[int, str]] = {}
    for name, header in headers.items():
        number, count = gguf_kinds.part(header.metadata)
        if count > 1:
            if number >= count or count > MOST_PARTS:
                raise FormatError(
                    f"{name} says that it is part {number + 1:,} of {count:,}.", gguf_kinds.TRY_ANOTHER
                )
            same = parts.setdefault((stem_of(name), count), {})
            if number in same:
                raise FormatError(
                    f"{same[number]} and {name} both say that they are part {number + 1} of {count}.",
                    "Give a folder that holds the parts of one model only.",
                )
            same[number] = name
        else:
            whole[name] = gguf_checkpoint.read(header, name)
    candidates = [_Candidate(name, (name,)) for name, found in whole.items() if not found.refusal]
    candidates += [
        _Candidate(stem or min(same.values()), tuple(same.get(number) for number in range(count)))
        for (stem, count), same in parts.items()
    ]
    if len(candidates) > 1:
        names = ", ".join(sorted(candidate.name for candidate in candidates))
        raise FormatError(
            f"{folder} holds {len(candidates)} models: {names}.", "Give the path of one GGUF file."
        )
    if not candidates:
        name, refused = next(iter(whole.items()))  # which says what it is
        return _placed(refused, dict.fromkeys(headers[name].tensors, name))
    (chosen,) = candidates
    if len(chosen.files) == 1:
        return _placed(whole[chosen.name], dict.fromkeys(headers[chosen.name].tensors, chosen.name))
    return _joined(chosen, headers)


def _joined(chosen: _Candidate, headers: Mapping[str, Header]) -> Checkpoint:
    """The checkpoint of a model in parts."""
    missing = [number for number, name in enumerate(chosen.files, 1) if name is None]
    there = [name for name in chosen.files if name is not None]
    if missing:
        usual = part_names(there[0])
        names = ", ".join(usual[number - 1] if usual else f"part {number}" for number in missing[:5])
        raise FormatError(
            f"{chosen.name} is split into {len(chosen.files)} files, of which {len(missing)} are not there: {names}"
            f"{', …' if len(missing) > 5 else ''}.",
            "Put all of its files into one folder, with the names that they were published with.",
        )
    metadata = dict(headers[there[0]].metadata)
    del metadata["split.count"]
    files: dict[str, str] = {}
    tensors = {}
    for name in there:
        for tensor, record in headers[name].tensors.items():
            if tensor in files:
                raise FormatError(
                    f"{files[tensor]} and {name} both hold the tensor {tensor}.", gguf_kinds.TRY_ANOTHER
                )
            files[tensor], tensors[tensor] = name, record
    total = metadata.get("split.tensors.count", len(tensors))
    if total != len(tensors):
        raise FormatError(
            f"{chosen.name} should have {total} tensors; its {len(there)} files hold {len(tensors):,}.",
            "They do not belong together: download all of them again.",
        )
    return _placed(gguf_checkpoint.read(Header(metadata, tensors, 0), chosen.name), files)


def _placed(checkpoint: Checkpoint, files: Mapping[str, str]) -> Checkpoint:
    """A checkpoint whose tensors say which file they are in."""
    tensors = {name: replace(info, file=files[info.source]) for name, info in checkpoint.tensors.items()}
    return replace(checkpoint, tensors=tensors)
