"""How each model is loaded: what was chosen for it in this browser."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from ..reports import WEIGHTS, Settings
from ..tuning.candidates import PRECISIONS
from .options import DEVICES, Options
from .storage import Storage

USUAL = "auto"
_NAMES = {"device": DEVICES, "precision": PRECISIONS, "weights": (USUAL, *WEIGHTS[1:])}
_LEAST = {"context": 2, "threads": 1}


@dataclass(frozen=True)
class Choices:
    """What was chosen for a model; what is empty or 0 was not.

    Attributes:
        device: one of DEVICES.
        context: tokens.
        precision: the least that kernels may compute with, one of PRECISIONS.
        threads: of the CPU.
        weights: to what a checkpoint's floats are rounded, as in Settings; USUAL for what suits.
        adapters: by name, how much each counts; 0 is off.
    """

    device: str = ""
    context: int = 0
    precision: str = ""
    threads: int = 0
    weights: str = ""
    adapters: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str) -> Choices:
        """What `asdict` gave, as far as it is sound: what is not is left out."""
        try:
            given = json.loads(text or "{}")
        except (ValueError, RecursionError):
            given = {}
        usual, sound = cls(), {}
        for one in fields(cls) if isinstance(given, dict) else ():
            value = given.get(one.name)
            if type(value) is type(getattr(usual, one.name)) and _possible(one.name, value):
                sound[one.name] = value
        return cls(**sound)

    @classmethod
    def asked(cls, options: Options) -> Choices:
        """What the address asks for."""
        return cls(options.device, options.context or 0, "", options.threads, options.weights)

    def over(self, other: Choices) -> Choices:
        """These, and where nothing was chosen the others."""
        mine = {name: value for name, value in asdict(self).items() if value}
        return replace(other, **mine | {"adapters": {**other.adapters, **self.adapters}})

    def settings(self, options: Options) -> Settings:
        """For the engine, with what the address says of kernels. Raises InvalidSetting."""
        variant = ",".join(filter(None, (self.precision, options.variant)))
        weights = self.weights if self.weights != USUAL else ""
        return Settings(context=self.context or Settings.context, variant=variant, weights=weights)


def _possible(name: str, value: Any) -> bool:
    """Whether a value of the right type can have been chosen."""
    if name in _NAMES:
        return value in _NAMES[name]
    if name == "adapters":
        return all(type(scale) is float and 0 <= scale <= 1 for scale in value.values())
    return bool(value >= _LEAST[name])


class ChosenByModel:
    """Keeps the choices of all models by the keys of their content."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def of(self, key: str) -> Choices:
        """Those of a model."""
        return Choices.from_json(self._storage.remembered(_name(key)))

    def keep(self, key: str, choices: Choices) -> None:
        """Remember what was chosen last; the rest stays."""
        known = self.of(key)
        if (now := choices.over(known)) != known:
            self._storage.remember(_name(key), json.dumps(asdict(now)))

    def forget(self, key: str) -> None:
        """The model is gone."""
        self._storage.forget(_name(key))


def _name(key: str) -> str:
    return f"chosen.{key}"
