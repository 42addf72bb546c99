"""Where the files of an installation or a checkout are."""

from __future__ import annotations

import functools
from pathlib import Path


@functools.cache
def kernels_folder() -> Path:
    """Where the .wgsl files are: inside the installed package, or beside py/ in a checkout."""
    here = Path(__file__).resolve().parent
    packaged = here / "kernels"
    return packaged if packaged.is_dir() else here.parent.parent / "kernels"
