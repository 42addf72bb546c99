"""Tables and the progress bar, by rich: imported only where one is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

_WIDE = 400  # characters


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on standard error, told what goes on, and how much of how much is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f}%"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("", total=None)

        def told(what: str, done: int, total: int) -> None:
            shown.update(task, description=what, completed=done, total=total or None)

        yield told


class _Output(Console):
    """Standard output, whose reader may go: that is told in one place for all commands."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def output() -> Console:
    """For tables on standard output; where that is no terminal, lines are not wrapped to a terminal's width."""
    console = _Output(highlight=False)
    return console if console.is_terminal else _Output(highlight=False, width=_WIDE)
