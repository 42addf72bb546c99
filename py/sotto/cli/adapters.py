"""`sotto adapters`."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.table import Table

from .. import api
from ..errors import DeviceError
from ..native import dawn, wasm
from .options import json_option, output, print_json


@click.command()
@json_option
def command(as_json: bool) -> None:
    """List the GPUs that --adapter and SOTTO_ADAPTER choose from, real ones first, and the CPU of --device cpu.

    With SOTTO_UNSAFE_APIS=1 experimental features of WebGPU are among theirs, and are used: subgroup matrices.
    """
    try:
        found, missing = dawn.adapters(), ""
        if not found:
            missing = f"No GPU adapter was found. {dawn.NO_ADAPTER_HINT}"
    except DeviceError as error:
        found, missing = [], str(error)
    cpu = api.drive(wasm.open_cpu())
    threads = cpu.traits.most_threads
    cpu.close()
    if as_json:
        gpus = [asdict(info) for info in found]
        version = dawn.version() if found else ""
        print_json({"version": version, "adapters": gpus, "cpu": asdict(cpu.adapter) | {"threads": threads}})
        return
    table = Table(box=None, header_style="bold", padding=(0, 3, 0, 0))
    for heading in ("", "adapter", "architecture", "backend", "driver", "features"):
        table.add_column(heading)
    for number, info in enumerate(found):
        name = f"{info.name} (software)" if info.software else info.name
        features = ", ".join(info.features)
        table.add_row(
            str(number), name, f"{info.vendor} {info.architecture}", info.backend, info.driver, features
        )
    name = f"CPU, {threads} thread{'s' if threads > 1 else ''}"
    table.add_row("cpu", name, cpu.adapter.architecture, cpu.adapter.backend, cpu.adapter.driver, "")
    output().print(*([dawn.version()] if found else []), table, sep="\n")
    if missing:
        click.echo(missing, err=True)
