"""A fault on the page: what happened, what is safe, and the next step as a button."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from .background import Background
from .browser import Browser
from .elements import Elements
from .faults import EMPTY, Fault
from .model_holder import ModelHolder
from .model_panel import ModelPanel
from .reasons import reason
from .words import Words


@dataclass(frozen=True)
class Step:
    """What can be done about a fault.

    Attributes:
        do: does it.
        label: the key of the word for it; the fault's own when empty.
    """

    do: Callable[[], object]
    label: str = ""


class Notice:
    """The place of a screen where faults are told: `<prefix>`, `<prefix>-title`, `-text`, `-action`, ....

    Attributes:
        kind: the fault that is told; empty when none is.
    """

    def __init__(self, elements: Elements, words: Words, panel: ModelPanel, prefix: str = "error") -> None:
        self._elements = elements
        self._words = words
        self._panel = panel
        self._prefix = prefix
        self._steps: Sequence[Step] = ()
        self.kind = ""
        for number, button in enumerate(self._buttons):
            elements.on(button, "click", partial(self._do, number))

    @property
    def _buttons(self) -> list[str]:
        """Their ids; the first is the one that stands out."""
        return [f"{self._prefix}-action{number}" for number in ("", "-2", "-3")]

    def tell(self, fault: Fault, *steps: Step) -> None:
        """Tell a fault.

        Args:
            steps: what its buttons do, the likeliest first.
        """
        words, at, prefix = self._words, self._elements.at, self._prefix
        self._steps = steps
        self.kind = fault.kind
        values, detail = dict(fault.values), fault.detail
        if fault.error:
            values["message"], detail = reason(words, fault.error)
        for part, text in (
            ("title", words(f"error.{fault.kind}", **values)),
            ("text", words(f"error.{fault.kind}.text", **values)),
            ("detail", detail),
        ):
            self._elements.say(f"{prefix}-{part}", text)
        at(prefix).dataset.kind = fault.kind
        for number, button in enumerate(self._buttons):
            at(button).hidden = number >= len(steps)
            if number < len(steps):
                self._elements.say(button, words(steps[number].label or f"error.{fault.kind}.action"))
        at(f"{prefix}-kept").hidden = fault == EMPTY
        at(f"{prefix}-more").hidden = not detail
        at(prefix).hidden = False
        self._panel.state("error", "state.ready" if fault.sound else "state.error")
        at(prefix).scrollIntoView(block="nearest")

    def _do(self, number: int) -> None:
        self._steps[number].do()

    def hide(self) -> None:
        """It is answered."""
        self.kind = ""
        self._elements.at(self._prefix).hidden = True


def remedies(fault: Fault, browser: Browser, holder: ModelHolder, do: Background) -> list[Step]:
    """What can be done about a model that could not be loaded, the likeliest first: to delete what is kept of it, the
    same again, the CPU, another model or the default one instead, or the one that was there before."""
    again = Step(lambda: do(holder.load(anyway=True)))
    cpu = [Step(lambda: do(holder.use_device("cpu")), "error.cpu.action")]
    other = (
        [Step(lambda: browser.go("models"), "error.other.action")] if browser.shown()[0] != "models" else []
    )
    before = [Step(lambda: do(holder.load()), "error.before.action")] if holder.can_go_back else []
    elsewhere = "error.default.action" if fault.kind != "browser" and browser.query() else ""
    match fault.kind:
        case "damaged":
            steps = [Step(lambda: do(holder.discard())), *before]
        case "files":
            steps = [Step(lambda: do(holder.load()))]
        case "down" | "reset":
            on_cpu = cpu if fault.values["processor"] != "CPU" else []
            steps = [*on_cpu, again, *(before or other)]
        case "lost":
            steps = [again, *cpu, *before]
        case "adapter":
            steps = [*cpu, *before]
        case _:
            steps = before or [Step(browser.without_query if elsewhere else browser.reload, elsewhere)]
    return steps
