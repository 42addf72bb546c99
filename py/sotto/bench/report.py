"""What a benchmark found, as one value; its JSON is the value's own shape and can be read back."""

from __future__ import annotations

import json
import types
import typing
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any, Self, TypeVar, Union, cast

from ..device import AdapterInfo
from ..errors import SottoError
from .agreement import Agreement
from .notes import Note
from .probes import Probes
from .protocol import Decode, KernelTime, Prefill
from .request import Request

FORMAT = 4  # of the JSON; reports of other formats are not read

T = TypeVar("T")


@dataclass(frozen=True)
class Machine:
    """Where it ran: the operating system, the CPU's name, the Python, and what stands between it and the processor.

    In a browser, `system` and `engine` are what the browser says of itself.
    """

    system: str
    processor: str
    python: str
    engine: str


@dataclass(frozen=True)
class Load:
    """One load: seconds in all and by stage."""

    seconds: float
    stages: dict[str, float]


@dataclass(frozen=True)
class Loads:
    """The first load (from the model file) and the one from the cache; None was not measured."""

    cold: Load | None = None
    cached: Load | None = None


@dataclass(frozen=True)
class Report:
    """Everything that was measured.

    Attributes:
        format: FORMAT.
        sotto: the version.
        date: when it began, ISO 8601, UTC.
        machine: where.
        adapter: on which processor.
        threads: of the CPU; 0 on a GPU.
        request: what was asked for.
        model: its name.
        variants: kernel variants in use, by job: the decode plan's, and of prefill the largest plan's.
        variants_chosen: how, as LoadStats.chosen.
        variants_rejected: why a variant was not taken, by "job:name".
        load: how long loading took.
        prefill, decode: the protocol's results.
        dispatches_per_token, read_back_bytes_per_token: of the decode plan.
        memory_bytes: on the device, and by kind.
        encode_seconds_per_token: what recording the latest token's commands took, where the device tells.
        probes: what the device can do.
        kernels: their times by plan; None where they were not taken.
        agreement: with the CPU; None where it was not measured.
        marks: what disturbed the machine meanwhile: "hidden", "battery", "battery-low".
        notes: remarks on the whole.
        complete: False for one that was stopped by hand, or ended with its processor.
        seconds: all of it.
    """

    format: int
    sotto: str
    date: str
    machine: Machine
    adapter: AdapterInfo
    threads: int
    request: Request
    model: str
    variants: dict[str, str] = field(default_factory=dict)
    variants_chosen: str = ""
    variants_rejected: dict[str, str] = field(default_factory=dict)
    load: Loads = Loads()
    prefill: tuple[Prefill, ...] = ()
    decode: Decode | None = None
    dispatches_per_token: int = 0
    read_back_bytes_per_token: int = 0
    memory_bytes: int = 0
    memory_bytes_by_kind: dict[str, int] = field(default_factory=dict)
    encode_seconds_per_token: float | None = None
    probes: Probes | None = None
    kernels: dict[str, tuple[KernelTime, ...]] | None = None
    agreement: Agreement | None = None
    marks: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    complete: bool = True
    seconds: float = 0.0

    def to_json(self) -> str:
        """The report as one JSON object."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a report. Raises SottoError where the text is none, naming the first place that is wrong."""
        try:
            value = json.loads(text)
        except ValueError as error:
            raise SottoError(f"This is no report: {error}.") from error
        if isinstance(value, dict) and value.get("format") != FORMAT:
            raise SottoError("This is a report of another version of Sotto.", "Measure again.")
        return read(cls, value)


def read(kind: type[T], value: object, where: str = "report") -> T:
    """A value of a dataclass from what JSON made of it: every field there, none besides, each of its type.

    Raises SottoError naming the place that is wrong.
    """
    return cast(T, _value(kind, value, where))


def _value(kind: Any, value: object, where: str) -> object:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    found: object = None
    if origin in (Union, types.UnionType):
        inner = next(a for a in arguments if a is not type(None))
        found = None if value is None else _value(inner, value, where)
    elif origin is tuple and isinstance(value, list):
        found = tuple(_value(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    elif origin is dict and isinstance(value, dict):
        found = {key: _value(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    elif is_dataclass(kind) and isinstance(value, dict):
        found = _fields(kind, value, where)
    elif kind is float and type(value) is int:
        found = float(value)
    elif isinstance(kind, type) and type(value) is kind:
        found = value
    else:
        raise SottoError(f"{where} is {value!r}, which is not what belongs there.")
    return found


def _fields(kind: Any, value: dict[str, object], where: str) -> object:
    names = {f.name for f in fields(kind)}
    if names != set(value):
        raise SottoError(f"{where} has other fields than it should: {sorted(names ^ set(value))}.")
    hints = typing.get_type_hints(kind)
    return kind(**{name: _value(hints[name], value[name], f"{where}.{name}") for name in names})
