"""`sotto adapters`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import click
from rich.table import Table

from .. import api
from ..device import AdapterInfo
from ..errors import DeviceError
from ..native import dawn, wasm
from .options import json_option, print_json
from .terminal import output


@click.command()
@json_option
def command(as_json: bool) -> None:
    """List the GPUs that --adapter and SOTTO_ADAPTER choose from, real ones first, and the CPU of --device cpu.

    With SOTTO_UNSAFE_APIS=1 experimental features of WebGPU are among theirs, and are used: subgroup matrices.
    """
    found: list[AdapterInfo] = []
    missing = []
    cpu, threads = None, 0
    try:
        found = dawn.adapters()
        if not found:
            missing.append(f"No GPU adapter was found. {dawn.NO_ADAPTER_HINT}")
    except DeviceError as error:
        missing.append(str(error))
    try:
        device = api.drive(wasm.open_cpu())
        cpu, threads = device.adapter, device.traits.most_threads
        device.close()
    except DeviceError as error:
        missing.append(str(error))
    for message in missing:
        click.echo(message, err=True)
    if as_json:
        gpus = [asdict(info) for info in found]
        version = dawn.version() if found else ""
        about = asdict(cpu) | {"threads": threads} if cpu else None
        print_json({"version": version, "adapters": gpus, "cpu": about})
    else:
        _print(found, cpu, threads)
    if not (found or cpu):
        raise SystemExit(1)


def _print(found: Sequence[AdapterInfo], cpu: AdapterInfo | None, threads: int) -> None:
    table = Table(box=None, header_style="bold", padding=(0, 3, 0, 0))
    for heading in ("", "adapter", "architecture", "backend", "driver", "features"):
        table.add_column(heading)
    for number, info in enumerate(found):
        name = f"{info.name} (software)" if info.software else info.name
        features = ", ".join(info.features)
        table.add_row(
            str(number), name, f"{info.vendor} {info.architecture}", info.backend, info.driver, features
        )
    if cpu:
        name = f"CPU, {threads} thread{'s' if threads > 1 else ''}"
        table.add_row("cpu", name, cpu.architecture, cpu.backend, cpu.driver, "")
    if found or cpu:
        output().print(*([dawn.version()] if found else []), table, sep="\n")
