"""Whether a disk has room for what is to be fetched."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..errors import AssetError


def check(folder: Path, nbytes: int, what: str) -> None:
    """Look before anything is fetched.

    Args:
        folder: where it will lie; it need not be there yet.
        nbytes: that are still to come.
        what: is fetched, as people call it.

    Raises:
        AssetError: there is no room, with the figures.
    """
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        free = shutil.disk_usage(there).free
    except OSError:  # nobody tells: then it is tried
        return
    if free < nbytes:
        raise AssetError(
            f"{what} takes {nbytes / 1e9:,.2f} GB, and {free / 1e9:,.2f} GB are free in {there}.",
            "Make room there (`sotto models` shows what is kept, `sotto rm` deletes), or keep it elsewhere: models of "
            "a hub in HF_HOME, others in SOTTO_CACHE.",
        )
