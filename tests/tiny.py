"""A tiny random Gemma 3 as a real GGUF file, built in memory: every tensor format, in under a second.

The weights are random but scaled so that the model is worth testing: attention is peaked, the next token
depends on all the layers and on the position, and what it writes is legible.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np

from rows import weights_like
from sotto.formats.blocks import CODE_TYPES, FLOAT_TYPES, TYPES, quantize
from sotto.formats.gguf import parse
from sotto.formats.gguf_checkpoint import source_name
from sotto.formats.gguf_writer import RawTensor, metadata_of, write
from sotto.models import synthetic
from sotto.models.gemma3 import Config
from sotto.text.vocabulary import SENTENCEPIECE, TokenType, Vocabulary

DEFAULT_TYPES: Mapping[str, str] = {
    "token_embd": "Q8_0",
    "attn_q": "Q5_0",
    "attn_k": "Q4_0",
    "attn_v": "Q8_0",
    "attn_output": "Q4_K",
    "ffn_gate": "Q4_0",
    "ffn_up": "Q5_0",
    "ffn_down": "Q6_K",
    # Real files change formats from layer to layer too.
    "blk.1.attn_q": "Q4_K",
    "blk.1.attn_k": "Q6_K",
    "blk.1.attn_v": "Q5_0",
    "blk.2.attn_q": "F16",
    "blk.2.attn_v": "BF16",
    "blk.2.ffn_down": "Q4_0",
    "blk.3.attn_output": "F32",
    "blk.3.ffn_down": "Q4_K",
}

CONTROL = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")
CONTROL += ("<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>")
USER_DEFINED = (*("\n" * n for n in range(1, 6)), *(" " * n for n in range(2, 6)), "<b>", "</b>")
# fmt: off
WORDS = (
    "the", "and", "of", "to", "in", "that", "is", "with", "for", "printing", "press", "small",
    "garden", "model", "browser", "paper", "quiet", "voice", "river", "morning", "writes", "reads",
    "short", "post", "article", "library", "light", "every", "people", "user", "word", "story",
    "on", "a", "it",
)
# fmt: on
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;!?'\"()-<>/のはをに日本語図書館é"

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}"
    "<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}"
    "<end_of_turn>\n{% endfor %}<start_of_turn>model\n"
)


@dataclass(frozen=True)
class Tiny:
    """The sizes and formats of a tiny model.

    types: format of a tensor, by its name without ".weight" ("blk.3.ffn_down"), or of that tensor in all
    layers ("ffn_down"); it goes before DEFAULT_TYPES. A type that formats/blocks.py only reads has random codes, one
    that it does not read zeros.
    metadata: added to the file's, or replacing what it would hold; a value of None removes the key.
    """

    layers: int = 7
    width: int = 256
    hidden: int = 512
    heads: int = 4
    kv_heads: int = 1
    head_dim: int = 64
    window: int = 32
    context: int = 4096
    vocabulary: int = 512
    chat: bool = False
    seed: int = 0
    types: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, object] = field(default_factory=dict)


def build(tiny: Tiny = Tiny()) -> bytes:
    """The bytes of the model's GGUF file; the same for the same `tiny`."""
    metadata = metadata_of("gemma3", asdict(config(tiny)), vocabulary(tiny.vocabulary))
    metadata |= {"general.name": "Tiny random Gemma 3", **tiny.metadata}
    if tiny.chat:
        metadata["tokenizer.chat_template"] = CHAT_TEMPLATE
    tensors = {name: _tensor(tiny, name, shape) for name, shape in shapes(tiny).items()}
    return write({key: value for key, value in metadata.items() if value is not None}, tensors)


def tensors_of(data: bytes) -> dict[str, RawTensor]:
    """The tensors of a GGUF file."""
    return {
        name: RawTensor(record.shape, record.type, data[record.offset : record.offset + record.nbytes])
        for name, record in parse(data).tensors.items()
    }


def split(data: bytes, count: int, stem: str) -> dict[str, bytes]:
    """A model's file in parts by their names, as gguf-split writes them: all metadata in the first one."""
    metadata, tensors = parse(data).metadata, tensors_of(data)
    names = list(tensors)
    files = {}
    for part in range(count):
        said: dict[str, object] = {"split.no": part, "split.count": count, "split.tensors.count": len(names)}
        held = {name: tensors[name] for name in names[part::count]}
        files[f"{stem}-{part + 1:05}-of-{count:05}.gguf"] = write(
            {**(metadata if part == 0 else {}), **said}, held
        )
    return files


def config(tiny: Tiny) -> Config:
    """The model's sizes."""
    return Config(
        tiny.layers, tiny.width, tiny.heads, tiny.kv_heads, tiny.head_dim, tiny.hidden, tiny.vocabulary, tiny.window,
        eps=1e-6, rope_base=1e6, rope_factor=1.0, context_limit=tiny.context,
    )  # fmt: skip


def shapes(tiny: Tiny) -> dict[str, tuple[int, ...]]:
    """Every tensor of the model by the file's name, and its shape in numpy order (rows, columns)."""
    return {source_name(name): shape for name, shape in synthetic.tensors(config(tiny)).items()}


def vocabulary(size: int = 512) -> Vocabulary:
    """The test vocabulary, filled up to `size` with unused control tokens.

    Order as in Gemma's: control, user-defined, bytes, then normal pieces whose score falls with their rank.
    """
    pieces = dict.fromkeys("▁" + word[:n] for word in WORDS for n in range(1, len(word) + 1))
    normal = [*pieces, "▁", *LETTERS]  # as in Gemma's vocabulary, single characters come last
    byte_tokens = [f"<0x{value:02X}>" for value in range(256)]
    tokens = [*CONTROL, *USER_DEFINED, *byte_tokens, *normal]
    types = [TokenType.CONTROL] * len(CONTROL) + [TokenType.USER_DEFINED] * len(USER_DEFINED)
    types += [TokenType.BYTE] * 256 + [TokenType.NORMAL] * len(normal)
    scores = (
        [-1000.0] * (len(CONTROL) + len(USER_DEFINED)) + [0.0] * 256 + [-float(n) for n in range(len(normal))]
    )
    unused = size - len(tokens)
    if unused < 0:
        raise ValueError(f"the test vocabulary needs {len(tokens)} ids")
    return Vocabulary(
        SENTENCEPIECE,
        tokens + [f"<unused{n}>" for n in range(unused)],
        np.array(scores + [-1000.0] * unused, np.float32),
        np.array(types + [TokenType.CONTROL] * unused, np.uint8),
        bos=2,
        eos=1,
    )


def _tensor(tiny: Tiny, name: str, shape: tuple[int, ...]) -> RawTensor:
    stem = name.removesuffix(".weight")
    kind = stem.rsplit(".", 1)[-1]
    # The caller's choice goes before the defaults, a named layer before all the layers.
    choices = [types.get(key) for types in (tiny.types, DEFAULT_TYPES) for key in (stem, kind)]
    type_name = next((choice for choice in choices if choice), "F32")
    if type_name not in FLOAT_TYPES | CODE_TYPES:
        return RawTensor(shape, type_name, bytes(TYPES[type_name].size(shape)))
    try:
        data = quantize(type_name, _values(tiny, kind, name, shape))
    except ValueError:  # it is only read
        data = weights_like(type_name, *shape)
    return RawTensor(shape, type_name, data.tobytes())


def _values(tiny: Tiny, kind: str, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Random float32 values. Each tensor has its own stream: a change to one leaves the others alone."""
    random = np.random.default_rng([tiny.seed, zlib.crc32(name.encode())])
    values = random.standard_normal(shape, np.float32)
    if kind == "output_norm":  # spreads the logits: a standard deviation of about 2
        return 15 + 1.5 * values
    if kind in (
        "attn_q_norm",
        "attn_k_norm",
    ):  # scores with a standard deviation of about 2: peaked attention
        return 1.4 + 0.2 * values
    if kind.endswith("norm"):
        return 1 + 0.2 * values
    values /= np.float32(np.sqrt(shape[-1]))
    if kind == "token_embd":
        # A fifth of the strength of a layer's output, or the tied head would repeat the token it was given.
        values *= 0.2
        # Control and byte tokens stay improbable: the model does not end by chance, and writes legible text.
        types = vocabulary(tiny.vocabulary).types
        values[np.isin(types, (TokenType.CONTROL, TokenType.BYTE))] *= 0.1
    return values
