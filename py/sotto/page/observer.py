"""What the screens and the panel hear of the model."""

from __future__ import annotations

from .faults import Fault
from .progress import Loading


class Observer:
    """Is told of every change of the model; each screen overrides what it wants to know."""

    def loading(self) -> None:
        """A load has begun; `options` and `model` are known."""

    def waiting(self) -> None:
        """Another tab loads the same model, and is waited for."""

    def progress(self, loading: Loading) -> None:
        """How far it is."""

    def loaded(self) -> None:
        """There is an engine."""

    def adapted(self) -> None:
        """An adapter was switched on or off, or could not be."""

    def failed(self, fault: Fault) -> None:
        """There is none, and why."""

    def resting(self) -> None:
        """There is none, and none is coming: nobody wants one, or something else has the processor."""

    def freed(self) -> None:
        """The processor can be had again."""
