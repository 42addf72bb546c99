"""Which processor is taken."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from sotto.api import drive
from sotto.device import Traits
from sotto.devices.policy import choose
from sotto.devices.reference.device import NumpyDevice
from sotto.errors import DeviceError, InvalidSetting

SLOW, FAST = {"gpu": 5.0, "cpu": 9.0}, {"gpu": 9.0, "cpu": 5.0}


class Opened(NumpyDevice):
    """One that knows whether it was closed."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.closed = False

    @property
    def traits(self) -> Traits:
        return Traits(few_cores=self.kind != "gpu")

    def close(self) -> None:
        self.closed = True


def opening(kind: str, made: list[Opened]) -> Callable[[], Awaitable[Opened]]:
    """What opens a processor of a kind; of kind "" there is none."""

    async def opened() -> Opened:
        if not kind:
            raise DeviceError("There is none.")
        made.append(Opened(kind))
        return made[-1]

    return opened


@pytest.mark.parametrize(
    ("asked", "gpu", "cpu", "rates", "kind", "why"),
    [
        ("cpu", "gpu", "cpu", {}, "cpu", "asked"),
        ("gpu", "software", "cpu", SLOW, "software", "asked"),
        ("auto", "gpu", "cpu", {}, "gpu", "best"),
        ("auto", "gpu", "cpu", FAST, "gpu", "best"),
        ("auto", "gpu", "cpu", {"cpu": 9.0}, "gpu", "best"),
        ("auto", "gpu", "cpu", SLOW, "cpu", "slower"),
        ("auto", "software", "cpu", FAST, "cpu", "software"),
        ("auto", "software", "", {}, "software", "only"),
        ("auto", "gpu", "", SLOW, "gpu", "only"),
        ("auto", "", "cpu", {}, "cpu", "none"),
    ],
)
def test_the_processor_that_does_best(
    asked: str, gpu: str, cpu: str, rates: dict[str, float], kind: str, why: str
) -> None:
    made: list[Opened] = []
    device, told = drive(choose(asked, opening(gpu, made), opening(cpu, made), rates))
    assert (device.kind, told) == (kind, why)
    assert [d for d in made if not d.closed] == [device], "what is not taken is closed"


@pytest.mark.parametrize(("asked", "gpu", "cpu"), [("cpu", "gpu", ""), ("gpu", "", "cpu"), ("auto", "", "")])
def test_what_there_is_not_is_told(asked: str, gpu: str, cpu: str) -> None:
    with pytest.raises(DeviceError, match="There is none"):
        drive(choose(asked, opening(gpu, []), opening(cpu, [])))


def test_there_are_three_kinds() -> None:
    with pytest.raises(InvalidSetting, match="device is 'tpu'"):
        drive(choose("tpu", opening("gpu", []), opening("cpu", [])))
