"""The command `sotto`. Each subcommand is a module here, imported when it is called: help comes at once.

Answers go to standard output, everything else to standard error. Exit codes: 0 done, 1 an error that is told in
a sentence, 2 wrong usage, 130 interrupted, 141 whoever read the output has gone.
"""

from __future__ import annotations

import os
import sys
import threading
from _thread import interrupt_main
from importlib import import_module

import click

from .. import __version__
from ..errors import SottoError

COMMANDS = {
    "generate": "Continue a text.",
    "chat": "Talk with an instruction-tuned model.",
    "score": "How probable a text is to a model: mean nll and perplexity.",
    "bench": "Measure a processor: prefill, decode, loading, and what it can do at all.",
    "inspect": "Show a model file: architecture, tensors, recorded plans, memory.",
    "merge": "Write a model file with LoRA adapters merged into it.",
    "adapters": "List the processors: the GPUs and the CPU.",
    "models": "List the models that are kept.",
    "pull": "Fetch a model from a hub or a URL, or look what there is.",
    "rm": "Delete kept models.",
}
INTERRUPTED = 130  # as shells report a program ended by Ctrl-C
UNREAD = 141  # and one ended because nobody reads its output any more, as that of `sotto ... | head`


class _Commands(click.Group):
    """Finds subcommands in the modules of this package."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            result: object = super().invoke(ctx)
            if sys.stdout is not None:
                sys.stdout.flush()  # here rather than at the very end, where nobody could catch what it raises
            return result
        except BrokenPipeError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still to be flushed
            raise click.exceptions.Exit(UNREAD) from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f".{cmd_name}", __name__).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="sotto")
def sotto() -> None:
    """Gemma 3 on your own GPU or CPU: the engine of the browser page, from plain Python.

    `sotto COMMAND --help` tells more of a command.
    """


def main() -> None:
    """Run the command line and exit."""
    sys.unraisablehook = _not_lost
    sys.exit(_run())


def _not_lost(raised: sys.UnraisableHookArgs) -> None:
    """Ctrl-C in a finaliser, of which a call into WebAssembly has many, would be printed and forgotten: it comes again.

    In a moment, and from another thread: here it would be lost once more.
    """
    if isinstance(raised.exc_value, KeyboardInterrupt):
        threading.Timer(0.01, interrupt_main).start()
    else:
        sys.__unraisablehook__(raised)


def _run() -> int:
    try:
        result = sotto.main(prog_name="sotto", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except SottoError as error:
        click.echo(f"sotto: {error.message}", err=True)
        if error.hint:
            click.echo(error.hint, err=True)
        return 1
    except click.Abort:
        return INTERRUPTED
