"""A model as Hugging Face's transformers saves it: a folder with config.json, safetensors files and a tokenizer.

The tensors are in one file, or in several (shards) that model.safetensors.index.json lists. Matrices are (outputs,
inputs); norms are stored as their distance from 1. The tokenizer is tokenizer.json, or tokenizer.model where that is
all there is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from ..errors import FormatError, about
from ..model_files import CONFIG, GENERATION, INDEX, TEMPLATES, TOKENIZERS, transformers_files, weight_files
from ..source import Folder, Source
from ..text.vocabulary import MOST_TOKENS, Vocabulary
from . import hf_config, safetensors, sentencepiece, tokenizer_json
from .checkpoint import Checkpoint, Setting, TensorInfo, Transform
from .hf_kinds import quantizer, refusal_of
from .safetensors import Record

MOST_SHARDS = 1000
MOST_INDEX_BYTES = 16 << 20
COMPARED_BYTES = 8 << 20  # of two tensors at a time
_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.safetensors")
_DAMAGED = "Download the folder again; if it stays so, choose another copy of the model."

TENSORS = {"embed_tokens": "embedding", "norm": "final_norm", "lm_head": "head"}  # without ".weight"
LAYER_TENSORS = {
    "input_layernorm": "attention_norm",
    "self_attn.q_proj": "query",
    "self_attn.k_proj": "key",
    "self_attn.v_proj": "value",
    "self_attn.q_norm": "query_norm",
    "self_attn.k_norm": "key_norm",
    "self_attn.o_proj": "output",
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "mlp.gate_proj": "gate",
    "mlp.up_proj": "up",
    "mlp.down_proj": "down",
    "post_feedforward_layernorm": "post_ffn_norm",
}
_FRONT = re.compile(r"(?:(?:model|language_model)\.)*")
_LAYER = re.compile(r"layers\.(\d{1,4})\.(.+)")
_OTHER_PARTS = (
    "vision_tower.",
    "multi_modal_projector.",
    "vision_model.",
    "audio_tower.",
)  # that see or hear


def canonical_name(source: str) -> str:
    """The canonical name of a file's tensor; its own name where there is none."""
    stem = source.removesuffix(".weight")
    if stem == source:
        return source
    stem = stem[_FRONT.match(stem).end() :]  # type: ignore[union-attr]
    layer = _LAYER.fullmatch(stem)
    if layer:
        kind = LAYER_TENSORS.get(layer[2])
        return f"layers.{int(layer[1])}.{kind}" if kind else source
    return TENSORS.get(stem, source)


def shard_names(name: str) -> tuple[str, ...]:
    """The usual names of all shards of a model that one's name tells of; none for another name."""
    found = _SHARD.fullmatch(name)
    if not found or not 1 <= int(found[2]) <= int(found[3]) <= MOST_SHARDS:
        return ()
    return tuple(f"{found[1]}-{shard:05}-of-{found[3]}.safetensors" for shard in range(1, int(found[3]) + 1))


@dataclass(frozen=True)
class Outline:
    """What a folder's config.json and the headers of its tensors' files tell.

    Attributes:
        architecture: as config.json has it, or our name of it.
        files: that are read of it, those of the tensors first.
        type: of most of its weights; "" where it was not looked for.
        quantizer: whose codes they are, by the name that people give it; "" where they are floats.
        refusal: why it cannot run; "" where it can, as far as this tells.
    """

    architecture: str
    files: tuple[str, ...]
    type: str = ""
    quantizer: str = ""
    refusal: str = ""


async def outline(folder: Folder, runs: Callable[[str], bool]) -> Outline:
    """Look at a folder of which nothing but these files' beginnings is to be read.

    Args:
        runs: whether an architecture can be run.

    Raises:
        FormatError: as `read`, as far as that can be seen there.
    """
    files = folder.files
    config = await hf_config.read_json(files[CONFIG])
    found = Outline(hf_config.architecture(config), _in_order(weight_files(files), files))
    if not runs(found.architecture):
        which = f"it is of the architecture {found.architecture!r}, which Sotto cannot run"
        return replace(found, refusal=which)
    refused = _refused(found, config, ())
    if refused.refusal:
        return refused
    hf_config.settings(config)
    if not any(name in files for name in TOKENIZERS):
        raise FormatError(f"There is no {' and no '.join(TOKENIZERS)}.", _DAMAGED)
    placed = await _records(folder)
    weights = sorted({file for _, (file, _) in placed})
    sizes: dict[str, int] = {}
    for _, (_, record) in placed:
        sizes[record.dtype] = sizes.get(record.dtype, 0) + record.nbytes
    kind = max(sizes, key=lambda dtype: sizes[dtype], default="")
    found = replace(found, files=_in_order(weights, files), type=kind)
    refused = _refused(found, config, [name for name, _ in placed])
    if refused.refusal or kind in safetensors.FLOATS:
        return refused
    return replace(
        found, quantizer=kind, refusal=f"its weights are of the type {kind[:20]}, which Sotto does not read"
    )


def _in_order(weights: Sequence[str], files: Collection[str]) -> tuple[str, ...]:
    """The files that are read of a folder, those of the tensors first."""
    others = set(transformers_files(files)).difference(weight_files(files))
    return (*weights, *sorted(others))


def _refused(found: Outline, config: Mapping[str, object], tensors: Sequence[str]) -> Outline:
    """With what a folder is refused for, where it is."""
    refusal = refusal_of("it", config, tensors)
    if refusal is None:
        return found
    return replace(found, quantizer=quantizer(config, tensors), refusal=refusal[0].rstrip("."))


async def read(folder: Folder) -> Checkpoint:
    """The checkpoint of a folder.

    Raises:
        FormatError: a file is missing or damaged, or they do not belong together.
        UnsupportedModel: its tokenizer is of another kind.
    """
    with about(folder.name):
        return await _read(folder)


async def _read(folder: Folder) -> Checkpoint:
    files = folder.files
    config = await hf_config.read_json(files[CONFIG])
    architecture = hf_config.architecture(config)
    placed = await _records(folder)
    refusal = refusal_of(folder.name, config, [name for name, _ in placed])
    vocabulary = None if refusal else await _vocabulary(files, config)
    infos = [] if refusal else _tensors(placed)
    tensors = {info.name: info for info in infos}
    if len(tensors) < len(infos):
        twice = next(info.source for info in infos if tensors[info.name] is not info)
        raise FormatError(f"The tensor {twice} is there twice, under two names.", _DAMAGED)
    embedding, head = tensors.get("embedding"), tensors.get("head")
    if embedding and head and await _same(folder, embedding, head):
        del tensors["head"]
    if embedding and vocabulary and len(embedding.shape) == 2:
        vocabulary = vocabulary.without_extra(embedding.shape[0])
        for name in ("embedding", "head"):
            if name in tensors:
                tensors[name] = _first_rows(tensors[name], len(vocabulary))
    settings: dict[str, Setting] = {}
    if not refusal and architecture in hf_config.ARCHITECTURES.values():
        settings = hf_config.settings(config)
        if vocabulary:
            settings["vocabulary"] = len(vocabulary)
    return Checkpoint(
        "safetensors",
        folder.name,
        architecture,
        settings,
        tensors,
        vocabulary,
        await _template(files),
        refusal,
    )


# --- Tensors ------------------------------------------------------------------------------------------------------


async def _records(folder: Folder) -> list[tuple[str, tuple[str, Record]]]:
    """Every tensor by its name: the file it is in, and where. Of the files those that belong to the model."""
    files = folder.files
    listed = await _index(files[INDEX]) if INDEX in files else None
    names = weight_files(files)
    if listed is not None:
        wanted = sorted(set(listed.values()))
        missing = [name for name in wanted if name not in files]
        if missing:
            raise FormatError(
                f"{INDEX} names {len(missing)} files that are not there: {', '.join(missing[:5])}"
                f"{', …' if len(missing) > 5 else ''}.",
                "Put all of the model's files into one folder, with the names that they were published with.",
            )
        names = wanted
    elif len(names) > 1:
        usual = shard_names(names[0])
        absent = [name for name in usual if name not in files]
        if not usual or absent or set(names) != set(usual):
            what = (
                f"not the shards {', '.join(absent[:5])}"
                if absent
                else f"no {INDEX} that says which belong together"
            )
            raise FormatError(
                f"There are {len(names)} safetensors files, and {what}.",
                "Give a folder with one model's files.",
            )
    elif any(name not in files for name in shard_names(names[0])):
        raise FormatError(
            f"{names[0]} is one of several shards; the others are not there.",
            "Put all of the model's files into one folder, with the names that they were published with.",
        )
    found: dict[str, tuple[str, Record]] = {}
    for name in names:
        header = await safetensors.read_header(files[name])
        for tensor, record in header.tensors.items():
            if listed is not None and listed.get(tensor) != name:
                where = listed.get(tensor)
                raise FormatError(
                    f"{name} holds the tensor {tensor[:100]}, which {INDEX} "
                    + (f"says is in {where}." if where else "does not name."),
                    "They do not belong together: download all of them again.",
                )
            if tensor in found:
                raise FormatError(
                    f"{found[tensor][0]} and {name} both hold the tensor {tensor[:100]}.", _DAMAGED
                )
            found[tensor] = name, record
    lost = [tensor for tensor in listed or () if tensor not in found]
    if listed is not None and lost:
        raise FormatError(
            f"{listed[lost[0]]} lacks the tensor {lost[0][:100]}, which {INDEX} says is in it.",
            "They do not belong together: download all of them again.",
        )
    return list(found.items())


async def _index(source: Source) -> dict[str, str]:
    """Which file each tensor is in."""
    fields = await hf_config.read_json(source, MOST_INDEX_BYTES)
    listed = fields.get("weight_map")
    if (
        not isinstance(listed, dict)
        or not listed
        or not all(isinstance(name, str) for name in listed.values())
    ):
        raise FormatError(f"{source.name} does not say which file each tensor is in (weight_map).", _DAMAGED)
    if len(set(listed.values())) > MOST_SHARDS:
        raise FormatError(f"{source.name} names more than {MOST_SHARDS:,} files.", _DAMAGED)
    return listed


def _tensors(placed: list[tuple[str, tuple[str, Record]]]) -> list[TensorInfo]:
    """The tensors of the part that writes."""
    found = []
    for source, (file, record) in placed:
        if source[_FRONT.match(source).end() :].startswith(_OTHER_PARTS):  # type: ignore[union-attr]
            continue
        name = canonical_name(source)
        transforms = (Transform.ADD_ONE,) if name.endswith("_norm") else ()
        found.append(
            TensorInfo(
                name, source, record.shape, record.dtype, record.offset, record.nbytes, transforms, file
            )
        )
    return found


def _first_rows(info: TensorInfo, rows: int) -> TensorInfo:
    """A matrix without its last rows, where it has more: those of no token are padding."""
    if len(info.shape) != 2 or info.shape[0] <= rows:
        return info
    return replace(info, shape=(rows, info.shape[1]), nbytes=info.nbytes // info.shape[0] * rows)


async def _same(folder: Folder, one: TensorInfo, other: TensorInfo) -> bool:
    """Whether two tensors hold the same bytes. Reads both, up to the first difference."""
    if (one.type, one.shape) != (other.type, other.shape):
        return False
    for at in range(0, one.nbytes, COMPARED_BYTES):
        nbytes = min(COMPARED_BYTES, one.nbytes - at)
        first = await folder.files[one.file].read(one.offset + at, nbytes)
        second = await folder.files[other.file].read(other.offset + at, nbytes)
        if first != second:
            return False
    return True


# --- Tokenizer ----------------------------------------------------------------------------------------------------


async def _vocabulary(files: Mapping[str, Source], config: Mapping[str, object]) -> Vocabulary | None:
    """The vocabulary; None where there is none."""
    name = next((name for name in TOKENIZERS if name in files), None)
    if name is None:
        return None
    source = files[name]
    if source.size > tokenizer_json.MOST_BYTES:
        raise FormatError(f"{name} has {source.size:,} bytes; that is too much for a tokenizer.", _DAMAGED)
    data = bytes(await source.read(0, source.size))
    inner = hf_config.text_part(config)
    ends: list[int] = []
    if GENERATION in files:
        ends += _ids((await hf_config.read_json(files[GENERATION])).get("eos_token_id"))
    for given in (config, inner):
        ends += _ids(given.get("eos_token_id"))
    (bos,) = (_ids(inner.get("bos_token_id")) or _ids(config.get("bos_token_id")) or [2])[:1]
    eos = min(ends, default=1)  # <eos>, which every Gemma has; the other one ends a turn
    others = [token for token in ends if token != eos]
    end_of_turn = others[0] if others else None
    if name == "tokenizer.json":
        return tokenizer_json.read(data, name, bos, eos, end_of_turn)
    found = sentencepiece.read(data, name)
    return replace(found, end_of_turn=next((token for token in ends if token != found.eos), None))


def _ids(value: object) -> list[int]:
    """One id, or several, as a list. Raises FormatError for anything else."""
    values = value if isinstance(value, list) else [] if value is None else [value]
    ids = [token for token in values if type(token) is int and 0 <= token < MOST_TOKENS]
    if len(ids) < len(values):
        raise FormatError(
            f"The file names {str(value)[:40]} as a token that begins or ends a text.", _DAMAGED
        )
    return ids


async def _template(files: Mapping[str, Source]) -> str | None:
    """The chat template; None where there is none."""
    for name in TEMPLATES:
        source = files.get(name)
        if source is None or source.size > MOST_INDEX_BYTES:
            continue
        if name.endswith(".jinja"):
            return bytes(await source.read(0, source.size)).decode("utf-8", "replace")
        found = (await hf_config.read_json(source, MOST_INDEX_BYTES)).get("chat_template")
        if isinstance(found, list):  # several, by name
            named = {entry.get("name"): entry.get("template") for entry in found if isinstance(entry, dict)}
            found = named.get("default")
        if isinstance(found, str):
            return found
    return None
