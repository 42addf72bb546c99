"""What a GGUF file's keys and tensor names mean: its header to a checkpoint.

The keys are those of ggml's `docs/gguf.md` and of llama.cpp's converters (`gguf-py/gguf/constants.py`); the tensors'
names are theirs too. Norms have their 1 added already, and matrices are (outputs, inputs): nothing is transformed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError, about
from ..text import gemma_tokens
from ..text.vocabulary import BPE, MOST_TOKENS, SENTENCEPIECE, SPACE, Vocabulary
from . import bpe
from .blocks import TYPES
from .checkpoint import MOST_LAYERS, Checkpoint, Setting, TensorInfo, checked
from .gguf import Header, Record
from .gguf_kinds import (
    OLLAMAS_SOFTCAP,
    TRY_ANOTHER,
    chat_template,
    described,
    flat,
    is_ollamas,
    refusal_of,
    word,
)

SETTINGS = {  # without the architecture in front
    "block_count": "layers",
    "embedding_length": "dim",
    "attention.head_count": "heads",
    "attention.head_count_kv": "kv_heads",
    "attention.key_length": "head_dim",
    "attention.value_length": "value_dim",
    "feed_forward_length": "ffn_dim",
    "context_length": "context_limit",
    "attention.layer_norm_rms_epsilon": "eps",
    "attention.sliding_window": "window",
    "attention.sliding_window_pattern": "window_pattern",
    "attention.scale": "query_scale",
    "attention.causal": "causal",
    "attn_logit_softcapping": "attention_softcap",
    "final_logit_softcapping": "logit_softcap",
    "rope.freq_base": "rope_base",
    "rope.freq_base_swa": "local_rope_base",
    "rope.dimension_count": "rope_dim",
    "rope.scaling.type": "rope_scaling",
    "rope.scaling.factor": "rope_factor",
    "rope.scale_linear": "rope_factor",  # of older files
    "rope.global.freq_base": "rope_base",  # of Ollama's files
    "rope.local.freq_base": "local_rope_base",
}
FRAME = "sotto.frame"
"""How prompts were framed in the training of an adapter that was merged into the file (gguf_merge.py)."""
PER_LAYER = ("attention.head_count", "attention.head_count_kv", "feed_forward_length")  # may be arrays
HARMLESS = (
    "rope.scaling.original_context_length",
    "rope.scaling.finetuned",
)  # unless the scaling is not linear
OTHER_PARTS = ("vision.", "mm.", "audio.")  # what is said of parts that see or hear
CHANGES = (
    "attention.",
    "rope.",
    "expert",
    "pooling",
    "softcap",
    "scale",
    "altup",
    "dense",
    "bidirectional",
)  # what is computed

TENSORS = {  # canonical name: the file's, without ".weight"
    "embedding": "token_embd",
    "head": "output",
    "final_norm": "output_norm",
}
LAYER_TENSORS = {  # likewise, of each layer
    "attention_norm": "attn_norm",
    "query": "attn_q",
    "key": "attn_k",
    "value": "attn_v",
    "query_norm": "attn_q_norm",
    "key_norm": "attn_k_norm",
    "output": "attn_output",
    "post_attention_norm": "post_attention_norm",
    "ffn_norm": "ffn_norm",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
    "post_ffn_norm": "post_ffw_norm",
}
_CANONICAL = {source: name for name, source in TENSORS.items()}
_CANONICAL_OF_LAYER = {source: name for name, source in LAYER_TENSORS.items()}
_OTHER_TENSORS = ("v.", "mm.", "a.")  # of models that see or hear too; the text part is whole without them


def source_name(name: str) -> str:
    """The file's name of a canonical tensor."""
    if name in TENSORS:
        return f"{TENSORS[name]}.weight"
    _, layer, tensor = name.split(".")
    return f"blk.{layer}.{LAYER_TENSORS[tensor]}.weight"


def canonical_name(source: str) -> str:
    """The canonical name of the file's tensor; its own name where there is none."""
    stem = source.removesuffix(".weight")
    if stem == source:
        return source
    block, _, rest = stem.partition(".")
    layer, _, tensor = rest.partition(".")
    if block == "blk" and layer.isascii() and layer.isdecimal() and tensor in _CANONICAL_OF_LAYER:
        return f"layers.{int(layer[:9])}.{_CANONICAL_OF_LAYER[tensor]}"
    return _CANONICAL.get(stem, source)


def read(header: Header, name: str) -> Checkpoint:
    """The checkpoint that a header describes.

    Args:
        header: of the file.
        name: what a person calls the file.

    Raises:
        FormatError: a value that matters is of the wrong kind or impossible.
    """
    with about(name):
        return _read(header, name)


def _read(header: Header, name: str) -> Checkpoint:
    metadata = header.metadata
    architecture = word(metadata, "general.architecture") or ""
    refusal = refusal_of(header, name, architecture)
    vocabulary = _vocabulary(metadata)
    table = header.tensors.get(source_name("embedding"))
    if vocabulary and table:
        vocabulary = vocabulary.without_padding().without_extra(table.shape[0])
    other = () if refusal else _OTHER_TENSORS
    tensors = _tensors(header.tensors, len(vocabulary) if vocabulary else MOST_TOKENS, other)
    settings = {} if refusal else _settings(metadata, architecture)
    if not refusal:
        _derive(settings, tensors, vocabulary)
    return Checkpoint(
        "GGUF", name, architecture, settings, tensors, vocabulary,
        chat_template(metadata), refusal, {"frame": frame} if (frame := word(metadata, FRAME)) else {},
    )  # fmt: skip


# --- Settings ---------------------------------------------------------------------------------------------------


def _settings(metadata: Mapping[str, object], architecture: str) -> dict[str, Setting]:
    """The settings of the architecture by their canonical names."""
    settings: dict[str, Setting] = {}
    front = f"{architecture}."
    for key, value in metadata.items():
        rest = key.removeprefix(front)
        if rest == key or rest in HARMLESS or rest.startswith(OTHER_PARTS):
            continue
        if rest == "final_logit_softcapping" and flat(value) == OLLAMAS_SOFTCAP and is_ollamas(metadata):
            continue
        if rest in SETTINGS:
            name = SETTINGS[rest]
            found = checked(name, _plain(value, key, rest), key)
            if settings.setdefault(name, found) != found:
                raise FormatError(f"The file says of {name} both {settings[name]} and {found}.", TRY_ANOTHER)
        elif any(word in rest for word in CHANGES):
            found = flat(value)
            if found:  # 0, "" and false are how a file says that there is none
                settings[rest] = found
    if "rope_factor" in settings:
        settings.setdefault("rope_scaling", "linear")
    return settings


def _plain(value: object, key: str, rest: str) -> object:
    """A value that may be an array as a plain one."""
    if rest == "attention.sliding_window_pattern" and isinstance(value, np.ndarray):
        return tuple(value[: MOST_LAYERS + 1].tolist())
    if rest in PER_LAYER and isinstance(value, np.ndarray) and value.size:
        if (value != value[0]).any():
            raise FormatError(
                f"The file's setting {key} differs from layer to layer, which Sotto cannot run yet.",
                "Choose another model.",
            )
        return value[0].item()
    return value


def _derive(
    settings: dict[str, Setting], tensors: Mapping[str, TensorInfo], vocabulary: Vocabulary | None
) -> None:
    """Add what a file says by what it holds."""
    if vocabulary:
        settings["vocabulary"] = len(vocabulary)
    key, width = tensors.get("layers.0.key"), settings.get("head_dim")
    if "kv_heads" not in settings and key and isinstance(width, int) and key.shape[0] % width == 0:
        settings["kv_heads"] = checked("kv_heads", key.shape[0] // width, "attention.head_count_kv")


# --- Tensors ----------------------------------------------------------------------------------------------------


def _tensors(records: Mapping[str, Record], tokens: int, other: tuple[str, ...]) -> dict[str, TensorInfo]:
    """The tensors by their canonical names, but for those that begin with `other`."""
    found: dict[str, TensorInfo] = {}
    for record in records.values():
        if record.name.startswith(other):
            continue
        name = canonical_name(record.name)
        if name in found:
            raise FormatError(f"The file has the tensor {record.name} twice, under two names.", TRY_ANOTHER)
        shape = tuple(n for n in record.shape[:-2] if n != 1) + record.shape[-2:]
        if shape[0] == 1 and (name.endswith("_norm") or len(shape) > 2):
            shape = shape[1:]
        info = TensorInfo(name, record.name, shape, record.type, record.offset, record.nbytes)
        padded = name in ("embedding", "head") and len(shape) == 2 and shape[0] > tokens
        found[name] = _first_rows(info, tokens) if padded and info.nbytes else info
    return found


def _first_rows(info: TensorInfo, rows: int) -> TensorInfo:
    """A matrix without its last rows: those of no token are padding."""
    shape = (rows, info.shape[1])
    return replace(info, shape=shape, nbytes=TYPES[info.type].size(shape))


# --- Vocabulary -------------------------------------------------------------------------------------------------


def _vocabulary(metadata: Mapping[str, object]) -> Vocabulary | None:
    """The tokenizer's tables; None where there are none. Raises FormatError where they are not what they should be."""
    kind = word(metadata, "tokenizer.ggml.model")
    tokens = metadata.get("tokenizer.ggml.tokens")
    if kind is None or tokens is None:
        return None
    if not isinstance(tokens, list) or not tokens or not isinstance(tokens[0], str):
        raise FormatError("The file's setting tokenizer.ggml.tokens is not a list of words.", TRY_ANOTHER)
    size = len(tokens)
    merges = _merges(metadata, tokens) if kind == "gpt2" else None
    if kind != "llama" and merges is None:  # no algorithm here reads it; what it says is for people
        nothing = np.zeros(size, np.float32), np.ones(size, np.uint8)
        return Vocabulary(kind, tokens, *nothing, bos=0, eos=0)
    gemma = gemma_tokens.is_gemma(tokens)
    if merges is not None:
        scores: NDArray[Any] = np.zeros(size, np.float32)
    elif gemma and "tokenizer.ggml.scores" not in metadata:
        scores = gemma_tokens.scores_of(tokens)
    else:
        scores = _numbers(metadata, "tokenizer.ggml.scores", size)
    if gemma and "tokenizer.ggml.token_type" not in metadata:
        types: NDArray[Any] = gemma_tokens.types_of(tokens)
    else:
        types = _numbers(metadata, "tokenizer.ggml.token_type", size)
    if types.dtype.kind not in "iu" or types.min() < 0 or types.max() > 255:
        raise FormatError("The file's setting tokenizer.ggml.token_type holds no token types.", TRY_ANOTHER)
    bos, eos = _id(metadata, "bos", 2), _id(metadata, "eos", 1)
    assert bos is not None and eos is not None
    with np.errstate(over="ignore"):  # an infinity is refused by `check`
        scores = scores.astype(np.float32)
    types = gemma_tokens.types_of(tokens, types) if gemma else types.astype(np.uint8)
    if merges is not None:
        bpe.mark_bytes(types, dict(zip(tokens, range(size), strict=True)))
    vocabulary = Vocabulary(
        SENTENCEPIECE if merges is None else BPE,
        tokens,
        scores,
        types,
        bos=bos,
        eos=eos,
        end_of_turn=_id(metadata, "eot", None),
        merges=merges,
    )
    vocabulary.check()
    return vocabulary


def _merges(metadata: Mapping[str, object], tokens: list[str]) -> NDArray[np.uint32] | None:
    """The ids of the model "gpt2"'s merges; None where it spells bytes in another way than Gemma's tokenizer."""
    merges = metadata.get("tokenizer.ggml.merges")
    ids = {token.replace(" ", SPACE): number for number, token in enumerate(tokens)}
    if not isinstance(merges, list) or bpe.byte_ids(ids) is None:
        return None
    return bpe.merge_ids(merges, ids, "The file's setting tokenizer.ggml.merges")


def _numbers(metadata: Mapping[str, object], key: str, size: int) -> NDArray[Any]:
    """An array of so many numbers."""
    values = metadata.get(key)
    if not isinstance(values, np.ndarray) or values.shape != (size,) or values.dtype == np.bool_:
        raise FormatError(
            f"The file's setting {key} is not a list of {size:,} numbers, one for each token.", TRY_ANOTHER
        )
    return values


def _id(metadata: Mapping[str, object], which: str, default: int | None) -> int | None:
    value = metadata.get(f"tokenizer.ggml.{which}_token_id", default)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise FormatError(
            f"The file's setting tokenizer.ggml.{which}_token_id is {described(value)}, not a token's id.",
            TRY_ANOTHER,
        )
    return value
