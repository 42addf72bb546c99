"""The steps of a forward pass, as a model records them."""

from .prefill import MATMULS, matmul
from .simple import (
    Cache,
    attention,
    embed,
    geglu,
    last_row,
    log_prob,
    matvec,
    norm_add,
    rms_norm,
    rope_kv,
    rope_queries,
    sample,
    slice_maxima,
)

__all__ = [
    "MATMULS",
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
    "rope_queries",
    "sample",
    "slice_maxima",
]
