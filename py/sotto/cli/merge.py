"""`sotto merge`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from .. import api
from ..assets import DEFAULT_MODEL
from ..errors import SottoError
from ..formats import gguf_merge
from ..native import files
from ..source import Folder
from .options import STAGES, bar, json_option, lora_option, print_json


@click.command()
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "-m",
    "--model",
    default=DEFAULT_MODEL,
    show_default=True,
    metavar="MODEL",
    help="A GGUF file, or the name of a known model.",
)
@lora_option
@click.option(
    "--type",
    "type_name",
    type=click.Choice(gguf_merge.TYPES),
    default=gguf_merge.TYPES[0],
    show_default=True,
    help="In which the changed matrices are written; all else stays as it is.",
)
@json_option
def command(
    out: Path, model: str, lora: tuple[tuple[str, float], ...], type_name: str, as_json: bool
) -> None:
    """Write OUT, a GGUF file: the model with LoRA adapters merged into it, for programs that know no adapters.

    Sotto itself runs adapters beside the model, which rounds less and lets them be switched off. How much the
    changed matrices were rounded is said at the end.
    """  # fmt: skip
    if not lora:
        raise click.UsageError("Give at least one adapter: --lora PATH.")
    if out.exists():
        raise click.UsageError(f"{out} exists: delete it, or choose another name.")
    adapters = [(adapter, scale) for _, adapter, scale in api.read_adapters(lora)]
    part = out.with_name(f"{out.name}.part")
    try:
        with bar() as told:
            source = files.open_source(model, lambda p: told(STAGES[p.stage], p.done, p.total))
            try:
                if isinstance(source, Folder):
                    raise click.UsageError(f"{model} is several files: give one GGUF file.")
                with part.open("wb") as file:
                    merging = gguf_merge.merge(
                        source, adapters, file, type_name, lambda done, total: told("Merging", done, total)
                    )
                    merged = api.drive(merging)
            finally:
                source.close()
        part.replace(out)
    except OSError as error:
        raise SottoError(
            f"{out} cannot be written: {error.strerror}.", "Choose another folder, or make room there."
        ) from error
    finally:
        part.unlink(missing_ok=True)
    if as_json:
        print_json({"out": str(out), **asdict(merged)})
        return
    click.echo(
        f"{out}: {merged.nbytes / 1e6:,.0f} MB. {merged.matrices:,} matrices were changed and written as {type_name}; "
        f"rounding took {merged.error:.2%} of their values, {merged.change_error:.2%} of the change "
        "(root mean square)."
    )
