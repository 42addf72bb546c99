"""Files in memory that others have reserved: the pages of one take the place of some of the other's."""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
import sys
from collections.abc import Callable
from contextlib import suppress

_FIXED = 0x10  # MAP_FIXED of Linux, on every processor that Python runs on there
_POPULATE_READ = (
    22  # MADV_POPULATE_READ, since Linux 5.14: all at once costs a tenth of a fault for each few pages
)


@functools.cache
def _system() -> tuple[Callable[..., int], Callable[..., int]] | None:
    """The C library's mmap and madvise; None on systems where this was not tried."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None, use_errno=True)
    with suppress(AttributeError):
        place, advise = library.mmap64, library.madvise
        place.restype = ctypes.c_void_p
        place.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_int64]
        advise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        return place, advise
    return None


def map_file(address: int, file: int, nbytes: int) -> bool:
    """Map the beginning of a file to an address of this process, whose pages are readable and writable.

    What is written there stays in memory. The pages are given back by who reserved them.

    Args:
        address: must begin a page, else nothing is done.
        file: its descriptor.
        nbytes: the last of them, where they do not fill a page, are copied: the rest of it is somebody else's.

    Returns:
        Whether it is done.
    """
    system = _system()
    whole = nbytes // mmap.PAGESIZE * mmap.PAGESIZE
    if system is None or address % mmap.PAGESIZE or not whole or os.fstat(file).st_size < nbytes:
        return False
    place, advise = system
    rest = os.pread(file, nbytes - whole, whole)
    flags, access = mmap.MAP_PRIVATE | _FIXED, mmap.PROT_READ | mmap.PROT_WRITE
    if place(address, whole, access, flags, file, 0) != address:
        return False  # the system refuses such a file; what was there still is
    advise(address, whole, _POPULATE_READ)
    ctypes.memmove(address + whole, rest, len(rest))
    return True
