"""Bringing a model to this disk: from a hub, or from any address."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from .. import formats
from ..assets import default_cache, sources
from ..assets.sources import SourceError
from ..errors import AssetError
from ..library.address import HubAddress, UrlAddress
from ..library.library import About
from ..library.offers import called
from . import hub, hub_cache, room

PULLED = "pulled"
"""The folder of files that came from plain addresses; what comes from a hub lies in the hub's own cache."""


def pull(
    address: HubAddress | UrlAddress,
    runs: Callable[[str], bool],
    progress: Callable[[int, int], None],
    token: str | None = None,
    *,
    or_adapter: bool = False,
) -> tuple[Path, About]:
    """Fetch a model, as far as it is not here.

    Args:
        address: of it.
        runs: whether an architecture can be run, for choosing a file of a repository.
        progress: hears how many of how many bytes are there.
        token: of the hub.
        or_adapter: an adapter of a hub will do, too.

    Returns:
        Its file, or the first of those that it comes in, and what is known of it.

    Raises:
        AssetError: it cannot be had, is no model file, or other bytes arrived than were announced.
        SottoError: the repository has no file that runs here.
    """
    if isinstance(address, HubAddress):
        model, offer = hub.find(address, runs, token, or_adapter=or_adapter)
        paths = hub.fetch(address, model, offer, token, progress)
        origin = str(HubAddress(model.repository, offer.path))
        title = called(model, offer.files) if offer.adapter or offer.folder else ""
        return paths[0], About(title, origin, model.licence, offer.format, offer.nbytes, str(paths[0]))
    path, kind, size = _from_url(address, progress)
    return path, About("", str(address), "", kind, size, str(path))


def cached(address: HubAddress | UrlAddress) -> tuple[Path, About] | None:
    """The model's file where it was fetched before, and what is known of it: nobody is asked for it.

    See `hub_cache.cached`.
    """
    if isinstance(address, HubAddress):
        return hub_cache.cached(address)
    path = _place(address)
    return (path, About(origin=str(address), path=str(path))) if path.is_file() else None


def _place(address: UrlAddress) -> Path:
    digest = hashlib.sha256(address.url.partition("?")[0].encode()).hexdigest()[:16]
    return default_cache() / PULLED / digest / address.name


def _from_url(address: UrlAddress, progress: Callable[[int, int], None]) -> tuple[Path, str, int]:
    """The file of an address, its format and its bytes."""
    path = _place(address)
    try:
        start, size, tag = sources.probe(address.url, formats.BEGINNING)
        kind, looks_like = formats.kind_of(start)
        if not kind:
            raise AssetError(
                f"{address} is no model file that Sotto reads; it looks like {looks_like or 'something else'}.",
                "Give the address of a GGUF file. A page of a hub works too, a page about a model elsewhere does not.",
            )
        version = hashlib.sha256(f"{size} {tag}".encode()).hexdigest()[:16]
        part = path.with_name(f"{version}.part")  # nothing is added to the bytes of another version
        room.check(path.parent, size - (part.stat().st_size if part.exists() else 0), str(address))
        part.parent.mkdir(parents=True, exist_ok=True)
        for other in part.parent.glob("*.part"):
            if other != part:
                other.unlink()
        sources.download_url(address.url, part, size, lambda done: progress(done, size), tag)
        part.replace(path)
    except SourceError as error:
        raise AssetError(
            f"{address} could not be fetched: {error.reason}.",
            error.hint or "Check the network and run this again; what has arrived is kept.",
        ) from error
    except OSError as error:
        raise AssetError(
            f"{address} could not be kept in {path.parent}: {error.strerror or error}.",
            "Make room there, or set SOTTO_CACHE to another folder.",
        ) from error
    return path, kind, size
