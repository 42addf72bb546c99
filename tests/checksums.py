"""kernels/loading/checksum.c in numpy."""

from __future__ import annotations

import numpy as np


def checksum(data: bytes) -> bytes:
    """16 bytes."""
    prime = np.uint32(0x9E3779B1)

    def stir(state: np.ndarray, word: np.ndarray) -> np.ndarray:
        product = (state ^ word) * prime
        return (product << np.uint32(15)) | (product >> np.uint32(17))

    words = np.frombuffer(data + bytes(-len(data) % 128), "<u4").reshape(-1, 8, 4)
    lanes = np.repeat(np.arange(0x85EBCA77, 0x85EBCA77 + 8, dtype=np.uint32)[:, None], 4, axis=1)
    for row in words:
        lanes = stir(lanes, row)
    folded = np.full(4, len(data), np.uint32)
    for lane in lanes:
        folded = stir(folded, lane)
    return folded.astype("<u4").tobytes()
