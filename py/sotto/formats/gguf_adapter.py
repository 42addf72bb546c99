"""LoRA adapters in GGUF files, as llama.cpp's convert_lora_to_gguf.py writes them.

general.type is "adapter", adapter.type "lora", adapter.lora.alpha a number; a model's tensor `T` has the two halves
`T.lora_a` (r, K) and `T.lora_b` (N, r). Nothing is permuted for Gemma.
"""

from __future__ import annotations

import numpy as np

from ..errors import FormatError, UnsupportedModel
from ..source import Source
from . import blocks, gguf
from .adapter import DAMAGED, PROJECTIONS, Adapter, Floats, Outline, outlined, paired
from .gguf_checkpoint import canonical_name
from .gguf_kinds import ADAPTER_ENDS, base_of

_HALVES = dict(zip(ADAPTER_ENDS, "ab", strict=True))


async def read(header: gguf.Header, source: Source) -> Adapter:
    """The adapter that a file holds. Raises FormatError, UnsupportedModel, each with a reason."""
    alpha = _alpha(header, source)
    halves = [(*_half(record, source), await _values(record, source)) for record in header.tensors.values()]
    # Without an alpha, llama.cpp takes the matrices as they are.
    factors = paired(halves, lambda _, rank: alpha / rank if alpha else 1.0)
    return Adapter("GGUF", source.name, base_of(header.metadata)[:200], factors)


def outline(header: gguf.Header, source: Source) -> Outline:
    """What the header tells of the adapter; else as `read`."""
    _alpha(header, source)
    halves = [(*_half(record, source), record.shape) for record in header.tensors.values()]
    return Outline("GGUF", source.name, base_of(header.metadata)[:200], outlined(halves))


def _alpha(header: gguf.Header, source: Source) -> float:
    """How strongly it counts; 0 where the file does not say. Raises unless the file's settings describe plain LoRA."""
    metadata = header.metadata
    kind = metadata.get("adapter.type", "lora")
    if kind != "lora":
        raise UnsupportedModel(
            f"{source.name} holds an adapter of the kind {str(kind)[:40]}; Sotto runs LoRA.",
            "Merge it into the model and load the merged model.",
        )
    if "adapter.alora.invocation_tokens" in metadata:
        raise UnsupportedModel(
            f"{source.name} is an activated LoRA (aLoRA), which works from certain tokens on only.",
            "Choose a plain LoRA adapter.",
        )
    alpha = metadata.get("adapter.lora.alpha", 0.0)
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not abs(alpha) < 1e6:
        raise FormatError(f"The setting adapter.lora.alpha of {source.name} is {str(alpha)[:40]}.", DAMAGED)
    return alpha


def _half(record: gguf.Record, source: Source) -> tuple[str, str]:
    """A tensor's canonical matrix, and which half of it it is. Raises UnsupportedModel."""
    stem, dot, end = record.name.rpartition(".")
    name = canonical_name(stem)
    half = _HALVES.get(dot + end)
    if half is None or not name.startswith("layers.") or name.rpartition(".")[2] not in PROJECTIONS:
        raise UnsupportedModel(
            f"{source.name} changes {stem if half else record.name}, which is none of the matrices that Sotto adapts.",
            f"Choose an adapter that changes only {', '.join(PROJECTIONS)}.",
        )
    if record.type not in {kind.name for kind in blocks.decodable()}:
        raise UnsupportedModel(
            f"The tensor {record.name} of {source.name} is of {record.type}, which cannot be read.",
            "Convert the adapter again as F16 or F32.",
        )
    return name, half


async def _values(record: gguf.Record, source: Source) -> Floats:
    data = np.frombuffer(await source.read(record.offset, record.nbytes), np.uint8)
    return blocks.dequantize(record.type, data, record.shape)
