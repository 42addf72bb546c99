"""Forward passes in plain numpy, from a file's own tensors: no plan, no kernel, no cache, the whole text at once.

Independent of sotto's kernels and their reference; only the file's blocks are decoded by sotto.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sotto.formats import blocks, gguf

Array = np.ndarray


@dataclass(frozen=True)
class Layer:
    """How one layer computes.

    order: its sublayers. window: positions it looks back; None: all. factor: positions are divided by it.
    """

    heads: int
    kv_heads: int
    head_dim: int
    window: int | None
    rope_base: float
    factor: float = 1.0
    order: tuple[str, ...] = ("attention", "ffn")


def tensors(data: bytes) -> dict[str, Array]:
    """Every tensor of a GGUF file by its name there, float32."""
    return {
        name: blocks.dequantize(t.type, np.frombuffer(data, np.uint8, t.nbytes, t.offset), t.shape)
        for name, t in gguf.parse(data).tensors.items()
    }


def logits(w: Mapping[str, Array], layers: Sequence[Layer], ids: Sequence[int], scale: float) -> Array:
    """(T, rows of the head) f64; `scale` is the embedding's. Keys and values are rounded to f16, as a cache does."""
    x = w["token_embd.weight"][list(ids)].astype(np.float64) * scale
    for i, layer in enumerate(layers):
        own = {
            name.split(".")[2]: tensor.astype(np.float64)
            for name, tensor in w.items()
            if name.startswith(f"blk.{i}.")
        }
        for sublayer in layer.order:
            x = x + (_attention(own, layer, x) if sublayer == "attention" else _ffn(own, x))
    return _norm(x, w["output_norm.weight"]) @ w.get("output.weight", w["token_embd.weight"]).T


def log_probabilities(found: Array, ids: Sequence[int]) -> Array:
    """(T - 1,): of each token but the first, from the logits (T, V) of those before it."""
    shifted = found - found.max(axis=1, keepdims=True)
    normal = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return normal[np.arange(len(ids) - 1), ids[1:]]


def _norm(x: Array, weight: Array) -> Array:
    return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-6) * weight


def _rotate(x: Array, layer: Layer) -> Array:
    """RoPE of (T, heads, E): dimension i is paired with i + E/2."""
    half = layer.head_dim // 2
    turn = np.arange(len(x))[:, None] / layer.factor * layer.rope_base ** (-np.arange(half) / half)
    cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
    a, b = x[..., :half], x[..., half:]
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def _attention(w: Mapping[str, Array], layer: Layer, x: Array) -> Array:
    count, e = len(x), layer.head_dim
    h = _norm(x, w["attn_norm"])
    q, k, v = ((h @ w[f"attn_{name}"].T).reshape(count, -1, e) for name in "qkv")
    q = _rotate(_norm(q, w["attn_q_norm"]), layer) * e**-0.5
    k = _rotate(_norm(k, w["attn_k_norm"]), layer).astype(np.float16).astype(np.float64)
    v = v.astype(np.float16).astype(np.float64)
    group = layer.heads // layer.kv_heads
    scores = np.einsum("the,she->hts", q, np.repeat(k, group, axis=1))
    back = np.arange(count)[:, None] - np.arange(count)
    seen = (back >= 0) & (back < (layer.window or count))
    scores = np.where(seen, scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    a = np.einsum("hts,she->the", weights, np.repeat(v, group, axis=1)).reshape(count, -1)
    return _norm(a @ w["attn_output"].T, w["post_attention_norm"])


def _ffn(w: Mapping[str, Array], x: Array) -> Array:
    h = _norm(x, w["ffn_norm"])
    gate, up = h @ w["ffn_gate"].T, h @ w["ffn_up"].T
    gelu = 0.5 * gate * (1 + np.tanh(np.sqrt(2 / np.pi) * (gate + 0.044715 * gate**3)))
    return _norm((gelu * up) @ w["ffn_down"].T, w["post_ffw_norm"])
