"""The time of a load that choosing kernels may take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """What a load has for it.

    Attributes:
        seconds: the check of the device and waiting for compilers included.
        clock: seconds that only ever grow.
    """

    seconds: float = 2.0
    clock: Callable[[], float] = time.perf_counter


class Spending:
    """What is left of a budget."""

    def __init__(self, budget: Budget) -> None:
        self.clock = budget.clock
        self._left = budget.seconds

    @property
    def until(self) -> float:
        """When it is used up, by the clock, if the time counts from now on."""
        return self.clock() + self._left

    @contextmanager
    def counted(self) -> Iterator[None]:
        """What is done inside counts."""
        began = self.clock()
        yield
        self._left -= self.clock() - began
