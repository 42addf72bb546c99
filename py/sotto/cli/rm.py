"""`sotto rm`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import click

from .. import api
from ..assets import default_cache
from ..assets.progress import size_text
from ..library.address import HubAddress, parse
from ..library.library import ADAPTER, About
from ..native import hub
from ..native.pull import PULLED
from .models import library


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--file", "files_too", is_flag=True, help="Delete the file too, where it was fetched by Sotto.")
def command(names: tuple[str, ...], files_too: bool) -> None:
    """Delete the converted weights of models, or adapters, by the names or keys that `sotto models` shows.

    A file that they were made from stays, and is converted again when it is loaded.
    """
    books, _ = library()
    for name in names:
        entry = api.drive(books.find(name))
        api.drive(books.remove(entry))
        if entry.key.startswith(ADAPTER):
            click.echo(f"Deleted the adapter {entry.title} ({size_text(entry.nbytes)}).")
            continue
        click.echo(f"Deleted the converted weights of {entry.title} ({size_text(entry.nbytes)}).")
        path = Path(entry.about.path) if entry.about.path else None
        if path is None or not path.exists():
            continue
        if files_too and _fetched(entry.about, path):
            blob = path.resolve()
            for each in {path, blob}:  # the hub's cache has a link to the file itself
                with suppress(OSError):
                    each.unlink()
            click.echo(f"Deleted {path}.")
        else:
            click.echo(f"Its file stays: {path}")


def _fetched(about: About, path: Path) -> bool:
    """Whether a file was fetched for Sotto, and is not a person's own."""
    if path.is_relative_to(default_cache() / PULLED):
        return True
    return path.is_symlink() and isinstance(parse(about.origin, hub.endpoint()), HubAddress)
