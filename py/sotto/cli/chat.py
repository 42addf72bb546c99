"""`sotto chat`."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

import click

from .. import formats
from ..api import Model, drive
from ..errors import ContextFull
from ..native import files
from ..text.chat import Message, required_format
from .options import (
    bar,
    device_options,
    length_option,
    loaded,
    loop_option,
    lora_option,
    remark,
    sampling_options,
    stage,
    stop_option,
    talking_model_options,
)


@click.command()
@talking_model_options
@device_options
@lora_option
@click.option("--system", default="", metavar="TEXT", help="What the model is told before the conversation.")
@length_option(1024)
@sampling_options
@stop_option
@loop_option
def command(
    model: str | None,
    adapter: str | None,
    context: int,
    no_cache: bool,
    variant: str,
    weights: str,
    device: str,
    threads: int | None,
    lora: tuple[tuple[str, float], ...],
    system: str,
    max_tokens: int,
    **answering: Any,
) -> None:
    """Talk with a model: each line is a message. Ctrl-C stops an answer, Ctrl-D ends the conversation.

    The model has to be instruction-tuned; a base model only continues text (`sotto generate`).
    """
    with suppress(ImportError):
        import readline  # noqa: F401, PLC0415  (line editing; some platforms have none)
    if model is None:
        raise click.UsageError(
            "Give a model to talk with (--model): the default one only continues text. One that answers has a name "
            "that ends in -it, such as gemma-3-270m-it or gemma-3-1b-it, in GGUF."
        )
    if sys.stdin is None:
        raise click.UsageError("Standard input is closed: there is nobody to talk with.")
    _can_talk(model)
    with loaded(model, adapter, context, no_cache, device, threads, variant, weights, lora) as ready:
        messages = [Message("system", system)] if system else []
        while True:
            try:
                line = input("> " if sys.stdin.isatty() else "")
            except EOFError:
                break
            if not line.strip():
                continue
            try:
                answer = _answer(ready, [*messages, Message("user", line)], max_tokens, answering)
            except ContextFull as error:
                click.echo(f"{error.message} {error.hint}", err=True)
                continue
            messages += [Message("user", line), Message("assistant", answer)]


def _can_talk(model: str) -> None:
    """Raise UnsupportedModel for one that cannot hold a conversation: before its weights are read, which takes long."""
    with bar() as told:
        source = files.open_source(model, lambda progress: told(*stage(progress)))
    try:
        checkpoint = drive(formats.open(source))
        required_format(source.name, checkpoint.chat_template, checkpoint.check_model())
    finally:
        source.close()


def _answer(ready: Model, messages: list[Message], max_tokens: int, answering: dict[str, Any]) -> str:
    """Print the answer while it comes; Ctrl-C ends it there."""
    answer = ""
    pieces = ready.chat(messages, max_tokens, **answering)
    try:
        for piece in pieces:
            answer += piece
            click.echo(piece, nl=False)
    except KeyboardInterrupt:
        click.echo(" [stopped]", nl=False, err=True)
    click.echo(remark(ready.stats, bool(answer)), nl=False, err=True)
    click.echo()
    return answer
