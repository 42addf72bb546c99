"""What native libraries say on standard error, behind Python's back."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STDERR = 2  # its file descriptor


@contextmanager
def quiet() -> Iterator[None]:
    """Let nothing reach standard error meanwhile: drivers warn there of what an error says better, if it is one at all.

    Of the whole process, so for a few calls only that raise what matters.
    """
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        kept = os.dup(_STDERR)
    except OSError:  # it is closed: nothing can be said there
        yield
        return
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), _STDERR)
        yield
    finally:
        os.dup2(kept, _STDERR)
        os.close(kept)
