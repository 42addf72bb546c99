"""`sotto inspect --kernel`: a kernel's text as it is compiled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from ..errors import SottoError
from ..paths import kernels_folder
from ..plan import wgsl
from .options import F


def kernel_options(command: F) -> F:
    """--kernel, --format and --option."""
    for option in (
        click.option(
            "--option", "options", multiple=True, metavar="KEY=VALUE",
            help="With --kernel: what else its text is put together by, such as stage=f16; may be repeated.",
        ),
        click.option("--format", "weight_format", metavar="FORMAT", help="With --kernel: the weights' format."),
        click.option(
            "--kernel", metavar="NAME",
            help="Print the WGSL of a kernel with all that it includes. A wrong name lists them.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def text(name: str, weight_format: str | None, options: Sequence[str]) -> str:
    """The WGSL of a kernel.

    Args:
        name: as in kernels/.
        weight_format: of the weights, where it reads any.
        options: the other options, "key=value" each.

    Raises:
        SottoError: no such kernel, an option that it does not take or lacks, or a value that there is not.
    """
    if name not in wgsl.names():
        raise SottoError(f"There is no kernel {name!r}.", f"There are: {', '.join(wgsl.names())}.")
    known = wgsl.options(name)
    told = "; ".join(f"{key}: {', '.join(values)}" for key, values in known.items()) or "no options"
    hint = f"{name} takes {told}."
    given = {"format": weight_format} if weight_format else {}
    for pair in options:
        key, equals, value = pair.partition("=")
        if not equals or not key or not value:
            raise SottoError(f"--option {pair!r} is not KEY=VALUE.", hint)
        if given.setdefault(key, value) != value:
            raise SottoError(f"The option {key} is given twice.", hint)
    for key, value in given.items():
        if key not in known:
            raise SottoError(f"{name} has no option {key!r}.", hint)
        if value not in known[key]:
            raise SottoError(f"{value!r} is no {key} of {name}.", hint)
    try:
        return wgsl.load(name, given.pop("format", ""), **given).source
    except FileNotFoundError as error:
        lacking = Path(error.filename).relative_to(kernels_folder())
        raise SottoError(
            f"These options of {name} do not go together: there is no {lacking}.", hint
        ) from error
    except wgsl.OptionsError as error:
        if error.missing:
            raise SottoError(f"{name} is not told its {' and '.join(error.missing)}.", hint) from error
        raise SottoError(f"{name} has no {' and '.join(error.surplus)} with these options.", hint) from error
