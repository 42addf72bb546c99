"""A tokenizer's list of merges: which two tokens become one, and which pair before which.

Half a million pairs would take 50 MB as a dict; sorted and looked up by bisection they take 6 MB, and no time to build.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray


class Merges:
    """The ranks of pairs.

    Args:
        merges: (M, 2) u32 ids of two tokens, the pair that is merged first in front.
    """

    def __init__(self, merges: NDArray[np.uint32]) -> None:
        keys = merges[:, 0].astype(np.uint64) << np.uint64(32) | merges[:, 1].astype(np.uint64)
        order = np.argsort(keys, kind="stable")
        self._keys = array("Q", keys[order].tobytes())
        self._ranks = array("Q", order.astype(np.uint64).tobytes())

    def rank(self, left: int, right: int) -> int | None:
        """The place of a pair in the list, the last one where it is there twice; None where it is not."""
        key = left << 32 | right
        at = bisect_right(self._keys, key) - 1
        return self._ranks[at] if at >= 0 and self._keys[at] == key else None
