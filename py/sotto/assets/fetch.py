"""Bringing the cache folder up to the pins: fetch what is missing, check it, put it in place.

A file is in place only when its size and sha256 are the pinned ones. Until then its bytes are in
`downloads/<sha256>.part`, which a later run goes on from: by byte for a public address, by whole packages for
a file that is split over several.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

from ..errors import AssetError
from .cache import CACHE_VARIABLE, Stamps
from .lock import exclusive
from .pins import Group
from .progress import Progress, Silent


def fetch(groups: Sequence[Group], cache: Path, progress: Progress | None = None) -> None:
    """Make every file of the groups present and verified. Asks the network for nothing when they already are.

    Args:
        groups: what is wanted.
        cache: the cache folder, made if missing.
        progress: hears about downloads; silent when not given.

    Raises:
        AssetError: a file could not be had from any source, every source had the wrong bytes, or the folder
            cannot be written. What has arrived is kept for the next try.
    """
    stamps = Stamps(cache)
    if all(stamps.verify(file) for group in groups for file in group.files):
        return
    # Imported only now: with the modules of the network, which take longer to import than all else that is done here.
    from .fetcher import DOWNLOADS, Fetcher  # noqa: PLC0415

    progress = progress or Silent()
    try:
        with exclusive(
            cache / DOWNLOADS / "lock",
            lambda: progress.note("Another process is fetching into this folder; waiting for it."),
        ):
            fetcher = Fetcher(cache, progress)
            for group in groups:
                fetcher.fetch_group(group)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise AssetError(
                f"The disk of {cache} is full.",
                f"Free some space and run this again, or set {CACHE_VARIABLE} to a folder on another disk.",
            ) from error
        raise AssetError(
            f"The cache folder {cache} cannot be used: {error}.",
            f"Make it writable, or set {CACHE_VARIABLE} to another folder.",
        ) from error
