"""`sotto adapters`."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.table import Table

from .. import native
from ..errors import DeviceError
from .options import json_option, output, print_json


@click.command()
@json_option
def command(as_json: bool) -> None:
    """List the GPUs that --adapter and SOTTO_ADAPTER choose from, real ones first."""
    found = native.adapters()
    if as_json:
        print_json({"version": native.version(), "adapters": [asdict(info) for info in found]})
        return
    if not found:
        raise DeviceError("No GPU adapter was found.", native.NO_ADAPTER_HINT)
    table = Table(box=None, header_style="bold", padding=(0, 3, 0, 0))
    for heading in ("", "adapter", "architecture", "backend", "driver", "features"):
        table.add_column(heading)
    for number, info in enumerate(found):
        name = f"{info.name} (software)" if info.software else info.name
        features = ", ".join(info.features)
        table.add_row(
            str(number), name, f"{info.vendor} {info.architecture}", info.backend, info.driver, features
        )
    output().print(native.version(), table, sep="\n")
