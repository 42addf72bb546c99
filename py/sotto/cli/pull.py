"""`sotto pull`."""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table

from .. import api
from ..assets import known_models, model_path
from ..assets.progress import size_text
from ..errors import SottoError
from ..formats.adapter import Outline
from ..library import adapters as shelf
from ..library.address import HubAddress, parse
from ..library.curated import CURATED, TERMS
from ..library.library import About
from ..library.offers import Offer
from ..models import ARCHITECTURES
from ..native import files, hub, pull
from .models import library
from .options import STAGES, bar, json_option, print_json
from .terminal import output


@click.command()
@click.argument("model", required=False)
@click.option(
    "--list", "only_list", is_flag=True, help="Show what a repository has and what of it runs; fetch nothing."
)
@json_option
def command(model: str | None, only_list: bool, as_json: bool) -> None:
    """Fetch MODEL: a hub's owner/name (of which the fitting file is taken, or where there is none the folder that
    transformers writes), owner/name:file, the address of a page of the hub, a URL of a GGUF file, or a known name.
    Without MODEL, a few worth having are shown. A LoRA adapter, of the hub or on this disk, is copied into the library,
    for --lora with its name.

    An access token of the hub, where a model wants one, is taken from HF_TOKEN or from `hf auth login`. What has
    arrived of a broken download is kept.
    """
    if model is None:
        _show_curated(as_json)
        return
    if model in known_models():
        with bar() as told:
            model_path(model, progress=files.Download(lambda p: told(STAGES[p.stage], p.done, p.total)))
        click.echo(f"{model} is here.")
        return
    if _is_adapter(model):
        _keep(model, About(origin=str(Path(model).expanduser().resolve())), as_json)
        return
    address = parse(model, hub.endpoint())
    if address is None:
        raise SottoError(
            f"{model} is neither a repository of a hub nor an address.",
            f"Give owner/name, a URL, or one of: {', '.join(known_models())}.",
        )
    if only_list:
        if not isinstance(address, HubAddress):
            raise click.UsageError("--list is for repositories of a hub.")
        _list(address, as_json)
        return
    with bar() as told:
        path, about = pull.pull(
            address, ARCHITECTURES.__contains__, lambda done, total: told(STAGES["download"], done, total),
            or_adapter=True,
        )  # fmt: skip
    if _is_adapter(path):
        _keep(path, about, as_json)
        return
    with bar() as told:
        found = files.find_model(path, lambda p: told(STAGES[p.stage], p.done, p.total))
    try:
        api.drive(library()[0].record(found.source.key, about))
    finally:
        found.source.close()
    if as_json:
        print_json(
            {"path": str(path), "origin": about.origin, "licence": about.licence, "bytes": about.file_bytes}
        )
        return
    click.echo(f"{about.origin} ({size_text(about.file_bytes)}) is in {path}")
    if about.licence:
        click.echo(
            f"Its licence: {about.licence}."
            + (f" The terms: {TERMS}" if about.licence.lower() == "gemma" else "")
        )


def _is_adapter(path: str | Path) -> bool:
    return files.is_adapter(path) or files.holds_adapter(path)


def _keep(path: str | Path, about: About, as_json: bool) -> None:
    """Keep an adapter in the library, and say which models can have it."""
    store = api.store_in(True)
    assert store is not None
    source = files.adapter_source(path, about.title)
    try:
        entry, adapter = api.drive(shelf.keep(store, source, about.origin, about.licence))
    finally:
        source.close()
    fits = _fitting(adapter.outline)
    if as_json:
        facts = {"adapter": entry.title, "base": adapter.base, "fits": fits}
        print_json(
            {**facts, "origin": about.origin, "licence": about.licence, "bytes": entry.about.file_bytes}
        )
        return
    made_for = f", made for {adapter.base}" if adapter.base else ""
    click.echo(f"Kept the adapter {entry.title}{made_for}: --lora {entry.title}")
    click.echo(_fits_text(fits))


def _fitting(outline: Outline) -> list[str]:
    """The library's models that can have an adapter."""
    shapes = api.drive(library()[0].shapes())
    return [entry.title for entry, matrices in shapes if outline.fits(matrices)]


def _fits_text(fits: list[str]) -> str:
    return f"It fits {', '.join(fits)}." if fits else "It fits none of the models that are kept here so far."


def _show_curated(as_json: bool) -> None:
    rows = [
        (c.title, size_text(c.nbytes), size_text(c.memory), c.licence, c.address, c.recommended)
        for c in CURATED
    ]
    names = ("model", "size", "memory", "licence", "address", "recommended")
    if as_json:
        print_json({"models": [dict(zip(names, row, strict=True)) for row in rows]})
        return
    table = Table(box=None, header_style="bold", padding=(0, 3, 0, 0))
    for heading in names:
        table.add_column(heading)
    for *row, recommended in rows:
        table.add_row(*row, "recommended" if recommended else "")
    output().print(table)
    click.echo(f"Gemma's terms: {TERMS}")


def _list(address: HubAddress, as_json: bool) -> None:
    """What a repository has."""
    model, offered = hub.look(address, ARCHITECTURES.__contains__)
    if as_json:
        print_json({
            "repository": model.repository, "revision": model.revision, "licence": model.licence, "gated": model.gated,
            "files": [_facts(offer) for offer in offered],
        })  # fmt: skip
        return
    table = Table(box=None, header_style="bold", padding=(0, 3, 0, 0))
    for heading in ("file", "size", "type", ""):
        table.add_column(heading)
    for offer in offered:
        kind = "LoRA adapter" if offer.adapter else offer.type
        table.add_row(offer.path, size_text(offer.nbytes), kind, _remark(offer))
    licence = f", licence: {model.licence}" if model.licence else ""
    output().print(
        f"{model.repository}{licence}{', its terms have to be accepted' if model.gated else ''}",
        table,
        sep="\n",
    )


def _remark(offer: Offer) -> str:
    if offer.why_not:
        return f"does not run: {offer.why_not}"
    said = ["recommended"] if offer.recommended else []
    if offer.rounded:
        said.append(f"{len(offer.files)} files; rounded to {offer.rounded} when it is loaded (--weights)")
    if offer.outline:
        base = offer.outline.base
        said += [f"made for {base}"] if base else []
        said.append(_fits_text(_fitting(offer.outline)).removesuffix("."))
    return "; ".join(said)


def _facts(offer: Offer) -> dict[str, object]:
    facts: dict[str, object] = {
        "file": offer.path, "bytes": offer.nbytes, "type": offer.type, "format": offer.format,
        "recommended": offer.recommended, "why_not": offer.why_not, "adapter": offer.adapter,
        "files": [file.path for file in offer.files],
    }  # fmt: skip
    if offer.rounded:
        facts["rounded"] = offer.rounded
    if offer.outline:
        facts |= {"base": offer.outline.base, "fits": _fitting(offer.outline)}
    return facts
