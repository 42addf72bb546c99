"""What a GGUF file is, by what it says of itself: a model, a part of one, or something else that people take for one.

Also whose file a Gemma 3 is: Ollama's converters write some keys of their own, and leave others out.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..errors import FormatError
from .checkpoint import LONGEST_WORD, Setting
from .gguf import Header

TRY_ANOTHER = "The file is damaged or was converted wrongly: try another copy."
TAKE_THE_MODEL = "Choose the file of the model itself, often in the same place."
ADAPTER_ENDS = (".lora_a", ".lora_b")
"""Of the names of an adapter's tensors."""
EMBEDDER = (768, 24)  # width and layers of EmbeddingGemma
OLLAMAS_SOFTCAP = 30.0
"""What Ollama's first converter wrote into every Gemma 3 for a setting that these models have not; its own runner reads
no such setting of them."""
OLLAMAS_KEYS = (
    "gemma3.rope.global.freq_base",
    "gemma3.rope.local.freq_base",
    "tokenizer.ggml.add_padding_token",
    "tokenizer.ggml.add_unknown_token",
)


def text(metadata: Mapping[str, object], key: str) -> str | None:
    """A text, if there is one."""
    value = metadata.get(key)
    if value is not None and not isinstance(value, str):
        raise FormatError(f"The file's setting {key} is {described(value)}; it must be text.", TRY_ANOTHER)
    return value


def word(metadata: Mapping[str, object], key: str) -> str | None:
    """A text that is one word."""
    value = text(metadata, key)
    if value is not None and len(value) > LONGEST_WORD:
        raise FormatError(f"The file's setting {key} is {described(value)}…; it must be a word.", TRY_ANOTHER)
    return value


def described(value: object) -> str:
    """A value in a sentence."""
    return "a list" if isinstance(value, list | np.ndarray) else repr(value)[:40]


def refusal_of(header: Header, name: str, architecture: str) -> tuple[str, str] | None:
    """Why a file cannot run by itself, and what to take instead."""
    metadata, tensors = header.metadata, header.tensors
    kind = word(metadata, "general.type") or "model"
    base = base_of(metadata)
    base = f" ({base[:80]})" if base else ""

    number, count = part(metadata)
    cases = (
        (
            count > 1,
            f"is part {number + 1} of {count} of a model that was split into several files.",
            "Give the folder that holds all of its files.",
        ),
        (
            is_adapter(header),
            f"is a LoRA adapter: changes to a model, without the model{base}.",
            "Load that model, and give this with it (--lora).",
        ),
        (
            kind == "mmproj" or architecture == "clip",
            f"is the part of a model that sees images (mmproj), without the part that writes{base}.",
            TAKE_THE_MODEL,
        ),
        (
            kind == "imatrix" or any(tensor.endswith(".in_sum2") for tensor in tensors),
            f"is an importance matrix: what quantizers read, without a model{base}.",
            TAKE_THE_MODEL,
        ),
        (
            _is_embedder(metadata, architecture),
            "is a model that turns texts into vectors (embeddings); it cannot write.",
            "Choose a model for text generation, such as Gemma 3.",
        ),
        (kind != "model", f"says that it is of the type {kind!r}, which is no model.", TAKE_THE_MODEL),
        (not tensors, "holds no weights, only a description or a vocabulary.", TAKE_THE_MODEL),
    )
    return next(((f"{name} {what}", instead) for is_so, what, instead in cases if is_so), None)


def is_adapter(header: Header) -> bool:
    """Whether a file holds an adapter."""
    return header.metadata.get("general.type") == "adapter" or any(
        name.endswith(ADAPTER_ENDS) for name in header.tensors
    )


def base_of(metadata: Mapping[str, object]) -> str:
    """The model that something was made for, as its file names it; "" where it does not."""
    names = (metadata.get(f"general.{key}") for key in ("base_model.0.name", "basename"))
    return next((name for name in names if isinstance(name, str)), "")


def _is_embedder(metadata: Mapping[str, object], architecture: str) -> bool:
    """Whether a file holds EmbeddingGemma or its like, whose tokens see those behind them too.

    Some files of EmbeddingGemma say that they are gemma3; no Gemma 3 that writes has its sizes.
    """
    sizes = tuple(
        flat(metadata.get(f"{architecture}.{key}", 0)) for key in ("embedding_length", "block_count")
    )
    return (
        architecture == "gemma-embedding"
        or bool(flat(metadata.get(f"{architecture}.pooling_type", 0)))
        or (architecture == "gemma3" and sizes == EMBEDDER)
    )


def part(metadata: Mapping[str, object]) -> tuple[int, int]:
    """Which part a file is, from 0, of how many. Raises FormatError."""
    number, count = metadata.get("split.no", 0), metadata.get("split.count", 1)
    if not (isinstance(number, int) and isinstance(count, int)) or number < 0 or count < 0:
        raise FormatError(
            f"The file's settings split.no and split.count are {described(number)} and {described(count)}.",
            TRY_ANOTHER,
        )
    return number, count


def is_ollamas(metadata: Mapping[str, object]) -> bool:
    """Whether a Gemma 3 was converted by Ollama, by keys that only its converters write."""
    return any(key in metadata for key in OLLAMAS_KEYS)


def chat_template(metadata: Mapping[str, object]) -> str | None:
    """The file's; Gemma's where Ollama's converter left it out, as Ollama does, whose models are all tuned."""
    template = text(metadata, "tokenizer.chat_template")
    if template is None and is_ollamas(metadata):
        return "<start_of_turn>"
    return template


def flat(value: object) -> Setting:
    """A value that is not understood, as something to show."""
    if isinstance(value, bool | int | float | str):
        return value[:80] if isinstance(value, str) else value
    if isinstance(value, np.ndarray) and not value.any():
        return False
    return "a list"
