"""The steps of a forward pass, as a model records them."""

from .simple import (
    Cache,
    attention,
    embed,
    geglu,
    last_row,
    log_prob,
    matmul,
    matvec,
    norm_add,
    rms_norm,
    rope_kv,
    sample,
    slice_maxima,
)

__all__ = [
    "Cache",
    "attention",
    "embed",
    "geglu",
    "last_row",
    "log_prob",
    "matmul",
    "matvec",
    "norm_add",
    "rms_norm",
    "rope_kv",
    "sample",
    "slice_maxima",
]
