"""The tiny model of tiny.py as transformers saves it: config.json, safetensors files, and a tokenizer in each form."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

import tiny
from sotto import formats
from sotto.api import drive
from sotto.formats import blocks, gguf_checkpoint
from sotto.formats.gguf import parse
from sotto.formats.hf_folder import LAYER_TENSORS, TENSORS
from sotto.models.gemma3 import Config
from sotto.source import Folder, MemorySource
from sotto.text.vocabulary import SPACE, TokenType, Vocabulary

SIZES = tiny.Tiny(layers=7, width=64, hidden=96, heads=2, head_dim=32)
Tensors = dict[str, np.ndarray]  # transformers' names
Files = dict[str, bytes]
_SOURCE = {name: source for source, name in {**TENSORS, **LAYER_TENSORS}.items()}


def name_of(canonical: str, front: str = "model.") -> str:
    """transformers' name of a tensor."""
    if canonical == "head":
        return "lm_head.weight"
    *layer, kind = canonical.split(".")
    return f"{front}{'.'.join([*layer, _SOURCE[kind]])}.weight"


def tensors(sizes: tiny.Tiny = SIZES, front: str = "model.") -> Tensors:
    """The model's values, f32; norms as their distance from 1."""
    data = tiny.build(replace_types(sizes, "F32"))
    found = {}
    for record in parse(data).tensors.values():
        name = gguf_checkpoint.canonical_name(record.name)
        raw = np.frombuffer(data, np.uint8, record.nbytes, record.offset)
        values = blocks.dequantize(record.type, raw, record.shape)
        found[name_of(name, front)] = values - 1 if name.endswith("_norm") else values
    return found


def replace_types(sizes: tiny.Tiny, type_name: str) -> tiny.Tiny:
    """The same model with all matrices of one type."""
    return tiny.Tiny(**{**vars(sizes), "types": dict.fromkeys(tiny.DEFAULT_TYPES, type_name)})


def stored(values: np.ndarray, dtype: str) -> bytes:
    """Values as a safetensors file has them."""
    return blocks.quantize(dtype, values).tobytes()


def safetensors(held: Mapping[str, np.ndarray], dtype: str = "BF16") -> bytes:
    """A safetensors file."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    parts: list[bytes] = []
    end = 0
    for name, values in held.items():
        raw = stored(values, dtype)
        header[name] = {
            "dtype": dtype,
            "shape": values.shape,
            "data_offsets": [end, end + len(raw)],
        }
        parts.append(raw)
        end += len(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([struct.pack("<Q", len(text)), text, *parts])


def sharded(held: Mapping[str, np.ndarray], count: int, dtype: str = "BF16") -> Files:
    """Shards and their index."""
    names = list(held)
    files, listed = {}, {}
    for shard in range(count):
        file = f"model-{shard + 1:05}-of-{count:05}.safetensors"
        mine = names[shard::count]
        files[file] = safetensors({name: held[name] for name in mine}, dtype)
        listed |= dict.fromkeys(mine, file)
    index = {"metadata": {"total_size": 0}, "weight_map": listed}
    return {**files, "model.safetensors.index.json": json.dumps(index).encode()}


def config(sizes: tiny.Tiny = SIZES, version: int = 5, **changes: object) -> dict[str, object]:
    """config.json in the spelling of transformers 4 or 5."""
    return config_of(tiny.config(sizes), version, **changes)


def config_of(c: Config, version: int = 5, **changes: object) -> dict[str, object]:
    """config.json of any Gemma 3, in the spelling of transformers 4 or 5."""
    common: dict[str, object] = {
        "architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "hidden_size": c.dim,
        "intermediate_size": c.ffn_dim, "num_hidden_layers": c.layers, "num_attention_heads": c.heads,
        "num_key_value_heads": c.kv_heads, "head_dim": c.head_dim, "query_pre_attn_scalar": c.head_dim,
        "max_position_embeddings": c.context_limit, "rms_norm_eps": c.eps, "sliding_window": c.window,
        "vocab_size": c.vocabulary, "bos_token_id": 2, "eos_token_id": [1, 6], "attention_bias": False,
        "attention_dropout": 0.0, "attn_logit_softcapping": None, "final_logit_softcapping": None,
        "hidden_activation": "gelu_pytorch_tanh", "tie_word_embeddings": True,
    }  # fmt: skip
    kinds = ["full_attention" if layer % 6 == 5 else "sliding_attention" for layer in range(c.layers)]
    if version == 4:
        common |= {
            "rope_theta": 1e6,
            "rope_local_base_freq": 1e4,
            "rope_scaling": None,
            "sliding_window_pattern": 6,
        }
    else:
        common["layer_types"] = kinds
        common["rope_parameters"] = {
            "full_attention": {"rope_theta": 1e6, "rope_type": "default"},
            "sliding_attention": {"rope_theta": 1e4, "rope_type": "default"},
        }
    return {**common, **changes}


def merges_of(tokens: Sequence[str]) -> list[tuple[str, str]]:
    """The merges that transformers makes of a SentencePiece vocabulary (`generate_merges` in its
    tokenization_utils_sentencepiece.py): every way to cut a piece into two others, the pieces in their order, of a
    piece the longest left part first."""
    known = frozenset(tokens)
    return [
        (token[:at], token[at:])
        for token in tokens
        for at in range(len(token) - 1, 0, -1)
        if token[:at] in known and token[at:] in known
    ]


def spelled(vocabulary: Vocabulary) -> list[str]:
    """The tokens as transformers spells them: no spaces."""
    return [token.replace(" ", SPACE) for token in vocabulary.tokens]


def tokenizer_json(vocabulary: Vocabulary, **changes: object) -> dict[str, object]:
    """tokenizer.json of a SentencePiece vocabulary, as transformers converts it.

    Args:
        **changes: of the model in it.
    """
    tokens = spelled(vocabulary)
    added = [
        {"id": number, "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
         "special": bool(vocabulary.types[number] != TokenType.USER_DEFINED)}
        for number, token in enumerate(tokens)
        if vocabulary.types[number] in (TokenType.CONTROL, TokenType.UNKNOWN, TokenType.USER_DEFINED)
        and token.strip(SPACE)  # transformers 5 leaves runs of spaces to the merges
    ]  # fmt: skip
    model = {
        "type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
        "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
        "vocab": {token: number for number, token in enumerate(tokens)},
        "merges": [list(pair) for pair in merges_of(tokens)],
    }  # fmt: skip
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": SPACE},
        "pre_tokenizer": {
            "type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False,
        },
        "post_processor": None,
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
        ]},
        "model": {**model, **changes},
    }  # fmt: skip


def sentencepiece(
    vocabulary: Vocabulary, trainer: bytes | None = None, normalizer: bytes | None = None
) -> bytes:
    """tokenizer.model: pieces, trainer_spec and normalizer_spec as Gemma's has them."""

    def field(number: int, content: bytes) -> bytes:
        return _varint(number << 3 | 2) + _varint(len(content)) + content

    pieces = []
    for token, score, kind in zip(spelled(vocabulary), vocabulary.scores, vocabulary.types, strict=True):
        piece = field(1, token.encode()) + b"\x15" + struct.pack("<f", score)
        if kind != TokenType.NORMAL:
            piece += b"\x18" + _varint(int(kind))
        pieces.append(field(1, piece))
    if trainer is None:
        trainer = b"".join(
            _varint(n << 3) + _varint(value) for n, value in ((3, 2), (35, 1), (41, 2), (42, 1))
        )
    if normalizer is None:
        normalizer = field(1, b"identity") + b"".join(_varint(n << 3) + _varint(0) for n in (3, 4))
    return b"".join([*pieces, field(2, trainer), field(3, normalizer)])


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def files(
    sizes: tiny.Tiny = SIZES, dtype: str = "BF16", shards: int = 1, version: int = 5, **changes: object
) -> Files:
    """The whole folder.

    Args:
        dtype: of the tensors.
        shards: files of tensors.
        version: of transformers, whose spelling config.json has.
        **changes: of config.json.
    """
    held = tensors(sizes)
    weights = {"model.safetensors": safetensors(held, dtype)} if shards == 1 else sharded(held, shards, dtype)
    vocabulary = tiny.vocabulary(sizes.vocabulary)
    return {
        "config.json": json.dumps(config(sizes, version, **changes)).encode(),
        "generation_config.json": json.dumps({"eos_token_id": [1, 6]}).encode(),
        "tokenizer.json": json.dumps(tokenizer_json(vocabulary)).encode(),
        "tokenizer_config.json": json.dumps({"bos_token": "<bos>"}).encode(),
        **weights,
    }


def whole(path: Path) -> Files:
    """A GGUF file's model as transformers saves it, in f32 (four bytes a weight)."""
    data = path.read_bytes()
    checkpoint = drive(formats.open(MemorySource(data, path.name, "model")))
    held = {}
    for record in parse(data).tensors.values():
        name = gguf_checkpoint.canonical_name(record.name)
        raw = np.frombuffer(data, np.uint8, record.nbytes, record.offset)
        values = blocks.dequantize(record.type, raw, record.shape)
        held[name_of(name)] = values - 1 if name.endswith("_norm") else values
    settings = config_of(Config.read(checkpoint.settings), eos_token_id=[1, 106])
    return {
        "config.json": json.dumps(settings).encode(),
        "tokenizer.model": sentencepiece(checkpoint.check_model()),
        "model.safetensors": safetensors(held, "F32"),
    }


def folder(contents: Mapping[str, bytes], name: str = "tiny") -> Folder:
    """The files in memory."""
    return Folder(name, {file: MemorySource(data, file, f"{name}/{file}") for file, data in contents.items()})


def write(path: Path, contents: Mapping[str, bytes]) -> Path:
    """The files on disk."""
    path.mkdir(parents=True, exist_ok=True)
    for name, data in contents.items():
        (path / name).write_bytes(data)
    return path
