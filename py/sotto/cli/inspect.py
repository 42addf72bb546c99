"""`sotto inspect`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass, replace
from typing import Any

import click
from rich.table import Table

from .. import api, formats
from ..assets import DEFAULT_MODEL
from ..devices.reference.device import NumpyDevice
from ..engine.engine import Engine
from ..errors import DeviceError, FormatError, SottoError, UnsupportedModel
from ..formats.checkpoint import Checkpoint
from ..models import synthetic
from ..native import files
from ..plan.plan import Plan
from ..reports import Settings
from ..source import Folder, Source
from . import inspect_adapter, inspect_file, inspect_kernel
from .inspect_kernel import kernel_options
from .options import (
    adapter_lines,
    bar,
    json_option,
    lora_option,
    print_json,
    rounding_line,
    stage,
    variant_option,
    weights_option,
)
from .terminal import output

FEATURES = ("shader-f16", "subgroups")  # of WebGPU, that most GPUs have


@click.command()
@click.argument("model", required=False)
@click.option("-m", "--model", "named", metavar="MODEL", help="The same as the argument.")
@click.option(
    "--shape", type=click.Choice(list(synthetic.SHAPES)), help="A synthetic model in place of a file."
)
@click.option(
    "-c",
    "--context",
    default=Settings.context,
    show_default=True,
    metavar="TOKENS",
    type=click.IntRange(min=2),
)
@click.option(
    "--plan", "plan_name", metavar="NAME", help='Show this plan step by step: "decode", "prefill 128".'
)
@variant_option
@weights_option
@lora_option
@kernel_options
@json_option
def command(
    model: str | None,
    named: str | None,
    shape: str | None,
    context: int,
    plan_name: str | None,
    variant: str,
    weights: str,
    lora: tuple[tuple[str, float], ...],
    kernel: str | None,
    weight_format: str | None,
    options: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show what is in MODEL (a file of GGUF or LiteRT, a folder that holds one, a folder as transformers writes it, or
    a known name) and how it would run; of a LoRA adapter (a folder as PEFT writes it, or a GGUF file) what it changes.

    What cannot run is shown too, with the reason. No GPU is needed: plans are recorded as for a GPU without limits
    and with the kernels that it would try first. An adapter with a small binding limit cuts large matrices into
    several.
    """
    _check_together(kernel, (weight_format, *options), (model, named, shape), (plan_name, as_json or None))
    if kernel is not None:
        click.echo(inspect_kernel.text(kernel, weight_format, options), nl=False)
        return
    path = model or named
    if path is not None and files.is_adapter(path):
        inspect_adapter.show(api.read_adapter(path), as_json)
        return
    source: Source | Folder
    if shape:
        source = synthetic.source(shape)
    else:
        with bar() as told:
            source = files.open_source(
                model or named or DEFAULT_MODEL, lambda progress: told(*stage(progress))
            )
    click.get_current_context().call_on_close(source.close)
    checkpoint = api.drive(formats.open(source))
    if formats.is_adapter(checkpoint):
        inspect_adapter.show(api.drive(formats.open_adapter(source)), as_json)
        return
    adapters = api.read_adapters(lora)
    device = NumpyDevice()
    device.adapter = replace(device.adapter, name="a GPU", software=False, features=FEATURES)
    engine: Engine | None = None
    problems: list[SottoError] = []
    try:
        engine = api.drive(
            Engine.outline(source, device, Settings(context, variant=variant, weights=weights), adapters)
        )
    except (FormatError, UnsupportedModel, DeviceError) as error:
        if plan_name is not None:
            raise
        problems = inspect_file.problems(checkpoint) or [error]
    if engine and plan_name is not None:
        _print_plan(_find(engine, plan_name), as_json)
        return
    rounding = _rounding(source, checkpoint, engine)
    types = inspect_file.kinds(checkpoint, engine.scheme if engine else None)
    if as_json:
        print_json(_facts(source, checkpoint, engine, types, problems) | rounding)
        return
    _print(source, checkpoint, engine, types, problems)
    if rounding:
        output().print(rounding_line(**rounding), markup=False)


def _rounding(source: Source | Folder, checkpoint: Checkpoint, engine: Engine | None) -> dict[str, Any]:
    """To what weights are rounded, and how far from what they were; empty where they are as in the files."""
    if not engine or not engine.scheme:
        return {}
    with bar() as told:
        share = api.drive(
            inspect_file.rounding(
                source,
                checkpoint,
                engine.scheme,
                lambda done, total: told("Looking at the weights", done, total),
            )
        )
    return {"scheme": engine.scheme.name, "share": share}


def _check_together(
    kernel: str | None, of_kernel: Sequence[object], models: Sequence[object], of_model: Sequence[object]
) -> None:
    """Raise UsageError for arguments of which one would be ignored."""
    if kernel is not None and any((*models, *of_model)):
        raise click.UsageError("--kernel prints a kernel alone: give no model, --plan or --json with it.")
    if kernel is None and any(of_kernel):
        raise click.UsageError("--format and --option are for --kernel.")
    if sum(model is not None for model in models) > 1:
        raise click.UsageError("Give one model: an argument, --model or --shape.")


def _find(engine: Engine, name: str) -> Plan:
    for plan in engine.plans:
        if plan.name == name:
            return plan
    raise SottoError(f"There is no plan {name!r}.", f"There are: {', '.join(p.name for p in engine.plans)}.")


def _config(checkpoint: Checkpoint, engine: Engine | None) -> dict[str, object]:
    """A model's sizes as it will run; those of the file where it cannot."""
    config = engine.config if engine else None
    sizes = asdict(config) if is_dataclass(config) and not isinstance(config, type) else checkpoint.settings
    return {name: inspect_file.as_written(value) for name, value in sizes.items()}


def _facts(
    source: Source | Folder,
    checkpoint: Checkpoint,
    engine: Engine | None,
    types: Mapping[str, inspect_file.Kind],
    problems: list[SottoError],
) -> dict[str, object]:
    facts: dict[str, object] = {
        "name": source.name,
        "bytes": source.size,
        "format": checkpoint.format,
        "architecture": checkpoint.architecture,
        "instruction_tuned": engine is not None and engine.instruction_tuned,
        "tuning": inspect_file.tuning(checkpoint),
        "config": _config(checkpoint, engine),
        "parameters": sum(kind.elements for kind in types.values()),
        "tensors": {
            name: {
                "tensors": kind.tensors,
                "elements": kind.elements,
                "bytes": kind.nbytes,
                "stored": kind.stored,
                "stored_bytes": kind.stored_bytes,
                "exact": kind.exact,
            }
            for name, kind in types.items()
        },
    }
    if engine is None:
        return facts | {"problems": [str(problem) for problem in problems]}
    return facts | {
        "context": engine.context,
        "adapters": dict(engine.adapters_on),
        "plans": {
            plan.name: {
                "tokens": plan.tokens,
                "dispatches": len(plan.dispatches),
                "variants": plan.choice.names(),
            }
            for plan in engine.plans
        },
        "gpu_bytes": sum(engine.load_stats.device_bytes.values()),
        "gpu_bytes_by_kind": engine.load_stats.device_bytes,
    }


def _table(*headings: str) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 3, 0, 0))
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index else "left")
    return table


def _print(
    source: Source | Folder,
    checkpoint: Checkpoint,
    engine: Engine | None,
    types: Mapping[str, inspect_file.Kind],
    problems: list[SottoError],
) -> None:
    console = output()
    parameters = sum(kind.elements for kind in types.values())
    what = f"{checkpoint.architecture}, {inspect_file.tuning(checkpoint)}, " if not checkpoint.refusal else ""
    console.print(
        f"{source.name}: {what}{parameters / 1e6:,.0f} million parameters in {source.size / 1e6:,.0f} MB"
    )
    sizes = _table()
    sizes.show_header = False
    sizes.add_column()
    sizes.add_column(justify="right")
    for name, value in _config(checkpoint, engine).items():
        whole = isinstance(value, int) and not isinstance(value, bool)
        sizes.add_row(name.replace("_", " "), f"{value:,}" if whole else str(value))
    console.print(sizes, "")
    tensors = _table("tensor type", "tensors", "elements", "MB", "on the device as", "MB there")
    for name, kind in types.items():
        there = f"{kind.stored_bytes / 1e6:,.1f}" if kind.stored else ""
        stored = kind.stored if kind.exact else f"{kind.stored}, rounded"
        tensors.add_row(
            name,
            f"{kind.tensors:,}",
            f"{kind.elements:,}",
            f"{kind.nbytes / 1e6:,.1f}",
            stored or "not read",
            there,
        )
    console.print(tensors, "")
    if engine is None:
        console.print("It cannot run here.")
        for problem in problems:
            console.print(str(problem), markup=False)
        return
    _print_plans(engine)


def _print_plans(engine: Engine) -> None:
    console = output()
    for line in adapter_lines(engine.adapters_on):
        console.print(line, "", markup=False, sep="\n")
    plans = _table("plan", "tokens", "dispatches", "kernels", "variants")
    for plan in engine.plans:
        kernels = len({d.kernel.name for d in plan.dispatches})
        plans.add_row(
            plan.name,
            f"{plan.tokens:,}",
            str(len(plan.dispatches)),
            str(kernels),
            _variants(plan),
        )
    console.print(plans, "")
    memory = _table(f"GPU memory at a context of {engine.context:,}", "MB")
    for name, nbytes in engine.load_stats.device_bytes.items():
        memory.add_row({"cache": "KV cache"}.get(name, name), f"{nbytes / 1e6:,.1f}")
    memory.add_row("total", f"{sum(engine.load_stats.device_bytes.values()) / 1e6:,.1f}")
    console.print(memory)


def _variants(plan: Plan) -> str:
    jobs = ("decode",) if plan.tokens == 1 else ("matmul", "attention")
    return ", ".join(f"{job} {plan.choice.names()[job]}" for job in jobs)


def _print_plan(plan: Plan, as_json: bool) -> None:
    headings = ("step", "kernel", "grid", "constants", "tensors")
    if as_json:
        rows = [dict(zip(headings, row, strict=True)) for row in plan.table()]
        print_json({"plan": plan.name, "tokens": plan.tokens, "steps": rows})
        return
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in plan.table():
        table.add_row(*row)
    output().print(table)
