"""LoRA adapters in files of the LiteRT family: TensorFlow Lite flatbuffers with tensors and no operations.

Those for phones are written by litert-torch (`generative/layers/lora.py`) and read here: two halves in f32 for each of
a layer's four matrices of attention, transposed, with the scale in the first one: `lora_atten_q_a_prime_weight_3` is
scale * A^T (K, r), `lora_atten_q_b_prime_weight_3` is B^T (r, N).

Those for the web have pairs w_prime_left and w_prime_right, by a converter that is not public: in which order their
values lie, and whether the scale is among them, cannot be known, and nothing in the file would tell a wrong guess.
"""

from __future__ import annotations

import re

import numpy as np

from ..errors import FormatError, UnsupportedModel
from ..source import Source
from .adapter import DAMAGED, Adapter, Floats, Outline, outlined, paired
from .flatbuffer import Flatbuffer
from .tflite import FLOAT32, Graph, Model, Tensor, shown

HINT = "Give the adapter that it was converted from: a folder with adapter_config.json and safetensors."
_OF_THE_WEB = ("w_prime_left", "w_prime_right")
_HALF = re.compile(r"lora_atten_([qkvo])_([ab])_prime_weight_(\d{1,4})")
_PROJECTIONS = {"q": "query", "k": "key", "v": "value", "o": "output"}


def is_half(name: str) -> bool:
    """Whether a tensor is a half of an adapter for phones."""
    return _HALF.fullmatch(name) is not None


def check_not_for_the_web(bag: Graph, name: str) -> None:
    """Raise UnsupportedModel for an adapter of MediaPipe's web files; `name` is the file's."""
    if any(map(_is_of_the_web, bag.tensors)):
        raise UnsupportedModel(
            f"{name} is a LoRA adapter of MediaPipe for the web ({', '.join(_OF_THE_WEB)}): in which order its values "
            "lie, and how strongly they count, is not in it.",
            HINT,
        )


def _is_of_the_web(tensor: Tensor) -> bool:
    return any(end in tensor.name for end in _OF_THE_WEB)


async def read(source: Source) -> Adapter:
    """The adapter that a file holds.

    Raises:
        FormatError: it is damaged, or holds something else.
        UnsupportedModel: it is one of MediaPipe's for the web.
    """
    tensors = await _tensors(source)
    halves = [(*_half(tensor, source), await _values(tensor, source)) for tensor in tensors]
    return Adapter("LiteRT", source.name, "", paired(halves, lambda _, rank: 1.0))


async def outline(source: Source) -> Outline:
    """What the file's tables tell of the adapter; else as `read`."""
    halves = [(*_half(tensor, source), tensor.shape[::-1]) for tensor in await _tensors(source)]
    return Outline("LiteRT", source.name, "", outlined(halves))


async def is_one(source: Source) -> bool:
    """Whether a flatbuffer holds an adapter, also one that cannot be used, and no model. Raises FormatError."""
    graph = await Model(Flatbuffer(source, 0, source.size)).graph()
    return any(is_half(tensor.name) or _is_of_the_web(tensor) for tensor in graph.tensors)


async def _tensors(source: Source) -> list[Tensor]:
    """All of a file, which are halves of matrices."""
    graph = await Model(Flatbuffer(source, 0, source.size)).graph()
    check_not_for_the_web(graph, source.name)
    other = next((tensor.name for tensor in graph.tensors if not is_half(tensor.name)), None)
    if other is not None:
        raise FormatError(f"{source.name} is not an adapter: it holds the tensor {shown(other)}.", HINT)
    return graph.tensors


def _half(tensor: Tensor, source: Source) -> tuple[str, str]:
    """A tensor's canonical matrix, and which half of it it is. Raises FormatError unless it is a matrix of f32."""
    found = _HALF.fullmatch(tensor.name)
    assert found is not None
    data = tensor.data
    fits = len(tensor.shape) == 2 and min(tensor.shape) > 0 and data and data.nbytes == 4 * tensor.elements
    if tensor.type != FLOAT32 or not fits:
        raise FormatError(f"The tensor {tensor.name} of {source.name} is not a matrix of f32.", DAMAGED)
    return f"layers.{int(found[3])}.{_PROJECTIONS[found[1]]}", found[2]


async def _values(tensor: Tensor, source: Source) -> Floats:
    """(r, K) or (N, r)."""
    data = tensor.data
    assert data is not None
    values = np.frombuffer(await source.read(data.offset, data.nbytes), "<f4").reshape(tensor.shape)
    return np.ascontiguousarray(values.T)
