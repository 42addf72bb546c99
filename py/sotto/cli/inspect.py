"""`sotto inspect`."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, is_dataclass, replace
from math import prod

import click
from rich.table import Table

from .. import api
from ..assets import DEFAULT_MODEL
from ..devices.reference.device import NumpyDevice
from ..engine.engine import Engine
from ..errors import SottoError
from ..formats import gguf, synthetic
from ..formats.gguf import Header
from ..plan.plan import Plan
from ..reports import Settings
from ..source import Source
from . import inspect_kernel
from .inspect_kernel import kernel_options
from .options import STAGES, bar, json_option, output, print_json, variant_option

FEATURES = ("shader-f16", "subgroups")  # of WebGPU, that most GPUs have


@click.command()
@click.argument("model", required=False)
@click.option("-m", "--model", "named", metavar="MODEL", help="The same as the argument.")
@click.option(
    "--shape", type=click.Choice(list(synthetic.SHAPES)), help="A synthetic model in place of a file."
)
@click.option(
    "-c", "--context", default=2048, show_default=True, metavar="TOKENS", type=click.IntRange(min=2)
)
@click.option(
    "--plan", "plan_name", metavar="NAME", help='Show this plan step by step: "decode", "prefill 128".'
)
@variant_option
@kernel_options
@json_option
def command(
    model: str | None,
    named: str | None,
    shape: str | None,
    context: int,
    plan_name: str | None,
    variant: str,
    kernel: str | None,
    weight_format: str | None,
    options: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show what is in MODEL (a GGUF file, a folder that holds one, or a known name) and how it would run.

    No GPU is needed: plans are recorded as for a GPU without limits and with the kernels that it would try first.
    An adapter with a small binding limit cuts large matrices into several.
    """
    if kernel is not None:
        click.echo(inspect_kernel.text(kernel, weight_format, options), nl=False)
        return
    if weight_format or options:
        raise click.UsageError("--format and --option are for --kernel.")
    if sum(choice is not None for choice in (model, named, shape)) > 1:
        raise click.UsageError("Give one model: an argument, --model or --shape.")
    source: Source
    if shape:
        source = synthetic.source(shape)
    else:
        with bar() as told:
            source = api.open_source(
                model or named or DEFAULT_MODEL, lambda p: told(STAGES[p.stage], p.done, p.total)
            )
    header, _ = api.drive(gguf.read_header(source))
    device = NumpyDevice()
    device.adapter = replace(device.adapter, name="a GPU", software=False, features=FEATURES)
    engine = api.drive(Engine.outline(source, device, Settings(context, variant=variant)))
    if plan_name is not None:
        _print_plan(_find(engine, plan_name), as_json)
    elif as_json:
        print_json(_facts(source, header, engine))
    else:
        _print(source, header, engine)


def _find(engine: Engine, name: str) -> Plan:
    for plan in engine.plans:
        if plan.name == name:
            return plan
    raise SottoError(f"There is no plan {name!r}.", f"There are: {', '.join(p.name for p in engine.plans)}.")


def _types(header: Header) -> dict[str, tuple[int, int, int]]:
    """By tensor type: tensors, elements, bytes."""
    counts: Counter[str] = Counter()
    elements: Counter[str] = Counter()
    nbytes: Counter[str] = Counter()
    for info in header.tensors.values():
        counts[info.type] += 1
        elements[info.type] += prod(info.shape)
        nbytes[info.type] += info.nbytes
    return {kind: (counts[kind], elements[kind], nbytes[kind]) for kind, _ in nbytes.most_common()}


def _config(engine: Engine) -> dict[str, object]:
    config = engine.config
    return asdict(config) if is_dataclass(config) and not isinstance(config, type) else {}


def _facts(source: Source, header: Header, engine: Engine) -> dict[str, object]:
    return {
        "name": source.name,
        "bytes": source.size,
        "architecture": header.metadata.get("general.architecture"),
        "instruction_tuned": engine.instruction_tuned,
        "config": _config(engine),
        "parameters": sum(elements for _, elements, _ in _types(header).values()),
        "tensors": {
            kind: {"tensors": count, "elements": elements, "bytes": nbytes}
            for kind, (count, elements, nbytes) in _types(header).items()
        },
        "context": engine.context,
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


def _print(source: Source, header: Header, engine: Engine) -> None:
    console = output()
    types = _types(header)
    parameters = sum(elements for _, elements, _ in types.values())
    kind = "instruction-tuned" if engine.instruction_tuned else "base model"
    console.print(
        f"{source.name}: {header.metadata.get('general.architecture')}, {kind}, "
        f"{parameters / 1e6:,.0f} million parameters in {source.size / 1e6:,.0f} MB"
    )
    sizes = _table()
    sizes.show_header = False
    sizes.add_column()
    sizes.add_column(justify="right")
    for name, value in _config(engine).items():
        sizes.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else str(value))
    console.print(sizes, "")
    tensors = _table("tensor type", "tensors", "elements", "MB")
    for name, (count, elements, nbytes) in types.items():
        tensors.add_row(name, f"{count:,}", f"{elements:,}", f"{nbytes / 1e6:,.1f}")
    console.print(tensors, "")
    plans = _table("plan", "tokens", "dispatches", "kernels", "submits", "variants")
    for plan in engine.plans:
        kernels = len({d.kernel.name for d in plan.dispatches})
        submits = len(plan.submits) + 1 if plan.tokens > 1 else 1
        plans.add_row(
            plan.name,
            f"{plan.tokens:,}",
            str(len(plan.dispatches)),
            str(kernels),
            str(submits),
            _variants(plan),
        )
    console.print(plans, "")
    memory = _table(f"GPU memory at a context of {engine.context:,}", "MB")
    for name, nbytes in engine.load_stats.device_bytes.items():
        memory.add_row({"cache": "KV cache"}.get(name, name), f"{nbytes / 1e6:,.1f}")
    memory.add_row("total", f"{sum(engine.load_stats.device_bytes.values()) / 1e6:,.1f}")
    console.print(memory)


def _variants(plan: Plan) -> str:
    roles = ("decode",) if plan.tokens == 1 else ("matmul", "attention")
    return ", ".join(f"{role} {plan.choice.names()[role]}" for role in roles)


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
