"""`sotto chat`."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

import click

from ..api import Model
from ..errors import ContextFull
from ..text.chat import Message
from .options import (
    device_options,
    length_option,
    loaded,
    lora_option,
    model_options,
    sampling_options,
    silence,
)


@click.command()
@model_options
@device_options
@lora_option
@click.option("--system", default="", metavar="TEXT", help="What the model is told before the conversation.")
@length_option(1024)
@sampling_options
def command(
    model: str,
    adapter: str | None,
    context: int,
    no_cache: bool,
    variant: str,
    device: str,
    threads: int | None,
    lora: tuple[tuple[str, float], ...],
    system: str,
    max_tokens: int,
    **sampling: Any,
) -> None:
    """Talk with a model: each line is a message. Ctrl-C stops an answer, Ctrl-D ends the conversation.

    The model has to be instruction-tuned; a base model only continues text (`sotto generate`).
    """
    with suppress(ImportError):
        import readline  # noqa: F401, PLC0415  (line editing; some platforms have none)
    with loaded(model, adapter, context, no_cache, device, threads, variant, lora) as ready:
        ready.engine.conversation([Message("user", "")])  # whether it can
        messages = [Message("system", system)] if system else []
        while True:
            try:
                line = input("> " if sys.stdin.isatty() else "")
            except EOFError:
                break
            if not line.strip():
                continue
            try:
                answer = _answer(ready, [*messages, Message("user", line)], max_tokens, sampling)
            except ContextFull as error:
                click.echo(f"{error.message} {error.hint}", err=True)
                continue
            messages += [Message("user", line), Message("assistant", answer)]


def _answer(ready: Model, messages: list[Message], max_tokens: int, sampling: dict[str, Any]) -> str:
    """Print the answer while it comes; Ctrl-C ends it there."""
    answer = ""
    pieces = ready.chat(messages, max_tokens, **sampling)
    try:
        for piece in pieces:
            answer += piece
            click.echo(piece, nl=False)
    except KeyboardInterrupt:
        click.echo(" [stopped]", nl=False, err=True)
    if not answer:
        click.echo(silence(ready.stats), nl=False, err=True)
    click.echo()
    return answer
