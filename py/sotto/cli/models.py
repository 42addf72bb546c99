"""`sotto models`."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table

from .. import api
from ..assets.progress import size_text
from ..library.library import Entry, Library, to_delete
from .options import json_option, print_json
from .terminal import output

_LITTLE = 5_000_000_000  # bytes free, below which a person is told what could go


def library() -> tuple[Library, Path]:
    """The library of this computer, and its folder."""
    store = api.store_in(True)
    assert store is not None
    return Library(store), store.folder


@click.command()
@click.option("--keep", metavar="NAME", help="Never offer this model for deletion.")
@click.option("--no-keep", metavar="NAME", help="Offer it again.")
@click.option("--rename", nargs=2, metavar="NAME NEW", help="Call a model by another name.")
@json_option
def command(keep: str | None, no_keep: str | None, rename: tuple[str, str] | None, as_json: bool) -> None:
    """List the models whose converted weights are kept, the last used first, those that were fetched for it, and the
    adapters that are kept beside them.

    All are known by their content: the same file is one entry, wherever it lies and however it came here.
    """
    books, folder = library()
    for name, pinned in ((keep, True), (no_keep, False)):
        if name:
            api.drive(books.pin(api.drive(books.find(name)), pinned))
    if rename:
        api.drive(books.rename(api.drive(books.find(rename[0])), rename[1]))
    entries, adapters = api.drive(books.entries()), api.drive(books.adapters())
    room = folder
    while not room.exists():
        room = room.parent
    free = shutil.disk_usage(room).free
    if as_json:
        print_json(
            {
                "folder": str(folder),
                "free_bytes": free,
                "models": [_facts(entry) for entry in entries],
                "adapters": [_facts(entry) for entry in adapters],
            }
        )
        return
    if not entries:
        click.echo("No models are kept yet. `sotto pull` lists some to begin with.")
    if entries:
        output().print(_table(entries))
    if adapters:
        output().print(_adapters(adapters))
    if not entries and not adapters:
        return
    click.echo(
        f"{size_text(sum(entry.nbytes for entry in [*entries, *adapters]))} in {folder}, {size_text(free)} free."
    )
    if free < _LITTLE:
        for entry in to_delete(entries, _LITTLE - free):
            click.echo(f"`sotto rm {entry.key[:12]}` frees {size_text(entry.nbytes)}: {entry.title}.")


def _facts(entry: Entry) -> dict[str, object]:
    return {
        "key": entry.digits,
        "name": entry.title,
        "bytes": entry.nbytes,
        "layout_version": entry.kept.layout_version if entry.kept else None,
        "loadable": entry.current,
        **asdict(entry.about),
        "used": entry.used,
    }


def _adapters(entries: list[Entry]) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 3, 0, 0))
    for heading in ("adapter", "size", "made for", "origin", "format", "key"):
        table.add_column(heading, justify="right" if heading == "size" else "left")
    for entry in entries:
        about = entry.about
        size = size_text(entry.nbytes)
        table.add_row(entry.title, size, about.base, about.origin, about.format, entry.digits[:12])
    return table


def _table(entries: list[Entry]) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 3, 0, 0))
    for heading in ("name", "size", "last used", "origin", "licence", "format", "layout", "key"):
        table.add_column(heading, justify="right" if heading == "size" else "left")
    for entry in entries:
        kept = entry.kept
        layout = "not converted yet"
        if kept:
            layout = str(kept.layout_version) + ("" if entry.current else " (of another version of Sotto)")
        name = f"{entry.title} (keep)" if entry.about.pinned else entry.title
        size = size_text(entry.nbytes or entry.about.file_bytes)
        used = entry.used[:16].replace("T", " ") or "never"
        origin, licence, kind = entry.about.origin, entry.about.licence, entry.about.format
        table.add_row(name, size, used, origin, licence, kind, layout, entry.key[:12])
    return table
