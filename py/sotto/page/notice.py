"""A fault on the page: what happened, what is safe, and the next step as a button."""

from __future__ import annotations

from collections.abc import Callable

from .background import Background
from .browser import Browser
from .elements import Elements
from .faults import EMPTY, Fault
from .model_holder import ModelHolder
from .model_panel import ModelPanel
from .words import Words


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
        self._action: Callable[[], object] = str
        self.kind = ""
        elements.on(f"{prefix}-action", "click", self._act)

    def tell(self, fault: Fault, action: Callable[[], object], label: str = "") -> None:
        """Tell a fault.

        Args:
            action: what its button does.
            label: the key of the button's word; the fault's own when empty.
        """
        words, at, prefix = self._words, self._elements.at, self._prefix
        self._action = action
        self.kind = fault.kind
        for part, text in (
            ("title", words(f"error.{fault.kind}", **fault.values)),
            ("text", words(f"error.{fault.kind}.text", **fault.values)),
            ("action", words(label or f"error.{fault.kind}.action")),
            ("detail", fault.detail),
        ):
            self._elements.say(f"{prefix}-{part}", text)
        at(prefix).dataset.kind = fault.kind
        at(f"{prefix}-kept").hidden = fault == EMPTY
        at(f"{prefix}-more").hidden = not fault.detail
        at(prefix).hidden = False
        self._panel.state("error", "state.ready" if fault.sound else "state.error")
        at(prefix).scrollIntoView(block="nearest")

    def _act(self) -> None:
        self._action()

    def hide(self) -> None:
        """It is answered."""
        self.kind = ""
        self._elements.at(self._prefix).hidden = True


def remedy(
    fault: Fault, browser: Browser, holder: ModelHolder, do: Background
) -> tuple[Callable[[], object], str]:
    """What can be done about a model that could not be loaded, and the key of the word for it ("": the fault's):
    to delete what is kept of it, the same again, the CPU or the default model instead, or the one that was there
    before."""
    if fault.kind == "damaged":
        return lambda: do(holder.discard()), ""
    if holder.can_go_back:
        return lambda: do(holder.load()), "error.before.action"
    if fault.kind == "lost":
        return lambda: do(holder.load()), ""
    if fault.kind == "adapter":
        return lambda: do(holder.use_device("cpu")), ""
    if fault.kind != "browser" and browser.query():
        return browser.without_query, "error.default.action"
    return browser.reload, ""
