"""The tensors of a file of MediaPipe for the web: a bag of weights with names, without a graph.

Two generations of names are known: those of mediapipe's converter (`safetensors_converter.py`, "params.lm.
transformer.x_layers_0..."), and "transformer.layer_0...". A tensor's shape is its count of bytes; what it has of rows
follows from its scales, one f32 for each output. How the codes lie: `tiles`. Norms are stored as their distance from 1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..errors import FormatError
from . import litert_adapter, tflite
from .checkpoint import TensorInfo, Transform
from .flatbuffer import DAMAGED
from .litert_files import Extent
from .tiles import SIDE

NAMES = {  # without a matrix's ".w" or a vector's ".scale"
    "params.lm.softmax.logits_ffn": "embedding",
    "params.lm.final_ln": "final_norm",
    "transformer.embedder.input_embedding": "embedding",
    "transformer.final_norm": "final_norm",
}
LAYER_NAMES = {
    "self_attention.q": "query", "self_attention.k": "key", "self_attention.v": "value",
    "self_attention.post": "output", "self_attention.q_norm": "query_norm", "self_attention.k_norm": "key_norm",
    "ff_layer.ffn_layer1_gate": "gate", "ff_layer.ffn_layer1": "up", "ff_layer.ffn_layer2": "down",
    "pre_layer_norm": "attention_norm", "post_layer_norm": "post_attention_norm",
    "ff_layer.pre_layer_norm": "ffn_norm", "ff_layer.post_layer_norm": "post_ffn_norm",
    "attn.q": "query", "attn.k": "key", "attn.v": "value", "attn.attn_vec_einsum": "output",
    "attn.q_norm": "query_norm", "attn.k_norm": "key_norm",
    "mlp.ff_gate": "gate", "mlp.ff1": "up", "mlp.linear": "down",
    "pre_attention_norm": "attention_norm", "post_attention_norm": "post_attention_norm",
    "pre_ffw_norm": "ffn_norm", "post_ffw_norm": "post_ffn_norm",
}  # fmt: skip
SCALES, SUMS = "_quantized_scale", ".sum_i"
_LAYER = re.compile(r"(?:params\.lm\.transformer\.x_layers_|transformer\.layer_)(\d{1,4})\.(.+)")
_BITS = {tflite.INT8: 8, tflite.INT4: 4}
_ANOTHER = "Take the file for phones (.task or .litertlm), or a GGUF file of this model."


def canonical_name(source: str) -> str:
    """The canonical name of a tensor; its own where there is none."""
    stem, dot, end = source.rpartition(".")
    if dot and end in ("w", "scale"):
        layer = _LAYER.fullmatch(stem)
        if layer and layer[2] in LAYER_NAMES:
            return f"layers.{int(layer[1])}.{LAYER_NAMES[layer[2]]}"
        return NAMES.get(stem, source)
    return source


def read(bag: tflite.Graph, name: str) -> tuple[dict[str, TensorInfo], tuple[str, str] | None]:
    """All tensors by canonical name, and why they cannot be used, with what to take instead, if it is so.

    Args:
        name: of the file, for people.

    Raises:
        FormatError: the bag is damaged.
        UnsupportedModel: it is an adapter for the web.
    """
    litert_adapter.check_not_for_the_web(bag, name)
    by_name: dict[str, tflite.Tensor] = {}
    for tensor in bag.tensors:
        if tensor.name in by_name:
            raise FormatError(f"{name} has the tensor {tflite.shown(tensor.name)} twice.", DAMAGED)
        by_name[tensor.name] = tensor
    found: dict[str, TensorInfo] = {}
    reasons = []
    for tensor in bag.tensors:
        if tensor.name.endswith((SCALES, SUMS)):
            continue
        if tensor.data is None:
            raise FormatError(f"{name} has no data for its tensor {tflite.shown(tensor.name)}.", DAMAGED)
        canonical = canonical_name(tensor.name)
        if canonical in found:
            raise FormatError(
                f"{name} has the tensor {tflite.shown(canonical)} twice, under two names.", DAMAGED
            )
        if tensor.type in _BITS:
            found[canonical], reason = _matrix(canonical, tensor, by_name, name)
            reasons += [reason] if reason else []
        else:
            found[canonical] = _vector(canonical, tensor)
    if any(map(litert_adapter.is_half, found)):
        return found, (
            f"{name} is a LoRA adapter: changes to a model, without the model.",
            "Load that model, and give this with it (--lora).",
        )
    return found, (reasons[0], _ANOTHER) if reasons else None


def _vector(canonical: str, tensor: tflite.Tensor) -> TensorInfo:
    assert tensor.data is not None
    offset, nbytes = tensor.data.offset, tensor.data.nbytes
    if tensor.type != tflite.FLOAT32 or nbytes % 4:
        return TensorInfo(canonical, tflite.shown(tensor.name), (nbytes,), f"type {tensor.type}", offset, 0)
    one = (Transform.ADD_ONE,) if canonical.endswith("_norm") else ()
    return TensorInfo(canonical, tflite.shown(tensor.name), (nbytes // 4,), "F32", offset, nbytes, one)


def _matrix(
    canonical: str, tensor: tflite.Tensor, others: Mapping[str, tflite.Tensor], file: str
) -> tuple[TensorInfo, str]:
    """A matrix with its scales and sums, and why it cannot be used, "" where it can."""
    scales, sums = (others.get(tensor.name + end) for end in (SCALES, SUMS))
    shown = tflite.shown(tensor.name)
    assert tensor.data is not None
    if scales is None or scales.data is None or scales.type != tflite.FLOAT32:
        raise FormatError(f"{file} has no scales for its tensor {shown}.", DAMAGED)
    bits, reason = _BITS[tensor.type], ""
    elements = tensor.data.nbytes * 8 // bits
    beside: tuple[Extent, ...]
    if sums is None or sums.data is None or sums.type != tflite.INT32:
        rows, block, beside = scales.data.nbytes // 4, 0, (scales.data,)
        reason = (
            f"{file} has no sums beside its tensor {shown}, by which the order of its values is made sure of."
        )
    else:
        rows, beside = sums.data.nbytes // 4, (scales.data, sums.data)
        many = scales.data.nbytes > sums.data.nbytes > 0
        block = elements * 4 // scales.data.nbytes if many else 0
        if many:
            reason = (
                f"{file} has several scales for each row of its tensor {shown}, one for {block} columns; in which "
                "order such files keep them is not known."
            )
    columns = elements // rows if rows else 0
    type_name = f"INT{bits}/{block}" if block else f"INT{bits}"
    per_row = columns // block if block else 1
    fits = rows * columns == elements and scales.data.nbytes == 4 * rows * per_row
    if not elements or not fits or rows % SIDE or columns % SIDE:
        raise FormatError(f"{file} is damaged: its tensor {shown} does not fit its scales.", DAMAGED)
    info = TensorInfo(
        canonical, shown, (rows, columns), type_name, tensor.data.offset, tensor.data.nbytes,
        (Transform.TILES,), beside=tuple((extent.offset, extent.nbytes) for extent in beside),
    )  # fmt: skip
    return info, reason
