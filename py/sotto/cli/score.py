"""`sotto score`."""

from __future__ import annotations

import json
import math

import click
import numpy as np

from ..api import any_adapter, windows
from .options import (
    adapter_lines,
    bar,
    device_options,
    json_option,
    listening,
    loaded,
    lora_option,
    model_options,
    print_json,
    read_text,
)


@click.command()
@click.argument("file", required=False)
@click.option("--ids", metavar="FILE", help="A JSON array of token ids, BOS included, in place of a text.")
@model_options
@device_options
@lora_option
@json_option
def command(
    file: str | None,
    ids: str | None,
    model: str,
    adapter: str | None,
    context: int,
    no_cache: bool,
    variant: str,
    weights: str,
    device: str,
    threads: int | None,
    lora: tuple[tuple[str, float], ...],
    as_json: bool,
) -> None:
    """How probable the text in FILE is to the model, given BOS; without FILE (or with "-") that on standard input.

    Prints the mean negative log-likelihood of a token in nats, and the perplexity, its exponential. A text
    longer than the context is scored in windows: every later one repeats half a context before what it scores.

    Without --device the GPU does it, a software one too: its arithmetic is f32, the CPU's rounds activations to
    8 bits, which is as good for writing but not for measuring.
    """
    if file is not None and ids is not None:
        raise click.UsageError("Give either a text file or --ids FILE.")
    if file is None and ids is None and listening():
        raise click.UsageError("Give a text file or --ids FILE, or a text on standard input.")
    given = _read_ids(ids) if ids is not None else read_text(file or "-")
    if device == "auto" and any_adapter():
        device = "gpu"
    with loaded(model, adapter, context, no_cache, device, threads, variant, weights, lora) as ready:
        tokens = ready.encode(given) if isinstance(given, str) else given
        if len(tokens) < 2:
            raise click.UsageError("There is nothing to score: there is no token after the first.")
        with bar() as told:
            logprobs = ready.score(tokens, lambda done, total: told("Scoring", done, total))
        count = len(windows(len(tokens), context))
        on = ready.adapters_on
    mean = -float(np.mean(logprobs, dtype=np.float64))
    perplexity = math.exp(mean) if mean < 700 else math.inf
    if as_json:
        print_json(
            {
                "mean_nll": mean,
                "perplexity": perplexity,
                "tokens": len(tokens),
                "context": context,
                "windows": count,
                "adapters": dict(on),
                "logprobs": [float(value) for value in logprobs],
            }
        )
        return
    for line in adapter_lines(on):
        click.echo(line)
    how = "in one window" if count == 1 else f"in {count} windows of {context:,} (the text is longer)"
    click.echo(
        f"tokens      {len(tokens):,}, {how}\nmean nll    {mean:.4f} nats\nperplexity  {perplexity:.3f}"
    )


def _read_ids(path: str) -> list[int]:
    try:
        ids = json.loads(read_text(path))
    except ValueError as error:
        raise click.UsageError(f"{path} is not JSON: {error}.") from error
    if not isinstance(ids, list) or not all(isinstance(i, int) and not isinstance(i, bool) for i in ids):
        raise click.UsageError(f"{path} must hold a JSON array of token ids: whole numbers.")
    return ids
