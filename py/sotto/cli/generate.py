"""`sotto generate`."""

from __future__ import annotations

from typing import Any

import click

from .options import (
    adapter_lines,
    device_options,
    json_option,
    kernel_facts,
    kernel_lines,
    length_option,
    listening,
    loaded,
    loop_option,
    lora_option,
    model_options,
    print_json,
    processor,
    read_text,
    reading,
    remark,
    run_facts,
    sampling_options,
    schema_option,
    stop_option,
)


@click.command()
@click.argument("prompt", nargs=-1)
@model_options
@device_options
@lora_option
@length_option(256)
@sampling_options
@stop_option
@loop_option
@schema_option
@click.option("-v", "--verbose", is_flag=True, help="Tell speed and times on standard error.")
@json_option
def command(
    prompt: tuple[str, ...],
    model: str,
    adapter: str | None,
    context: int,
    no_cache: bool,
    variant: str,
    weights: str,
    device: str,
    threads: int | None,
    lora: tuple[tuple[str, float], ...],
    max_tokens: int,
    stop: tuple[str, ...],
    loop_guard: bool,
    schema: Any,
    verbose: bool,
    as_json: bool,
    **sampling: Any,
) -> None:
    """Continue PROMPT, or the text on standard input where there is none (or it is "-")."""
    if schema is not None and stop:
        raise click.UsageError("Give either --json-schema or --stop.")
    text = " ".join(prompt)
    if text in ("", "-"):
        if listening() and not text:
            raise click.UsageError("Give a prompt, or a text on standard input.")
        text = read_text("-")
    with loaded(model, adapter, context, no_cache, device, threads, variant, weights, lora) as ready:
        pieces = ready.generate(text, max_tokens, stop, loop_guard=loop_guard, schema=schema, **sampling)
        if as_json:
            text = "".join(pieces)
            facts = {**run_facts(ready.stats), "processor": processor(ready)}
            print_json({"text": text, **facts, "kernels": kernel_facts(ready.load_stats)})
            return
        shown = False
        for piece in pieces:
            shown = True
            click.echo(piece, nl=False)
        click.echo(remark(ready.stats, shown), nl=False, err=True)
        click.echo()
        if verbose:
            stats = ready.stats
            click.echo(
                f"{reading(stats)}; {stats.new_tokens} new at {stats.decode_rate:.1f} tokens/s, "
                f"first after {stats.time_to_first_token:.2f} s; "
                f"{stats.accepted_tokens} of {stats.drafted_tokens} guesses right; {ready.adapter.name}",
                err=True,
            )
            for line in (*adapter_lines(stats.adapters), *kernel_lines(ready.load_stats)):
                click.echo(line, err=True)
