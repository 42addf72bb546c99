"""What the address of the page asks for: `?model=&context=&max_tokens=&temperature=&seed=&device=&threads=
&variant=`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TypedDict
from urllib.parse import parse_qs

from ..errors import SottoError

DEVICES = ("auto", "gpu", "cpu")


@dataclass(frozen=True)
class Options:
    """Choices with their defaults.

    Attributes:
        model: a name or URL from models.json; empty for the default.
        context: tokens the model can see at once.
        max_tokens: the most tokens of a post; fifty words are about 70.
        temperature: 0 for the likeliest word each time. 0.3 suits the small default model: above it invents,
            at 0 it more often copies the text.
        seed: None for another post each time.
        device: "auto", "gpu" or "cpu"; empty for what was chosen last in this browser.
        threads: of the CPU; 0 for as many as are fastest here.
        variant: kernel variants to use without measuring, "role:name" with commas between them; "measure" forgets
            what earlier loads measured.
    """

    model: str = ""
    context: int = 2048
    max_tokens: int = 96
    temperature: float = 0.3
    seed: int | None = None
    device: str = ""
    threads: int = 0
    variant: str = ""

    @classmethod
    def from_query(cls, query: str) -> Options:
        """Read the part of the address after `?`. Raises SottoError naming a value that is not a number."""
        given = {name: values[-1] for name, values in parse_qs(query.removeprefix("?")).items()}
        seed = _number(given, "seed", -1.0)
        device = given.get("device", cls.device)
        if device not in ("", *DEVICES):
            raise SottoError(
                f"?device={device} in the address is no processor.", f"Choose one of: {', '.join(DEVICES)}."
            )
        return cls(
            model=given.get("model", cls.model),
            context=int(_number(given, "context", cls.context)),
            max_tokens=int(_number(given, "max_tokens", cls.max_tokens)),
            temperature=_number(given, "temperature", cls.temperature),
            seed=None if seed < 0 else int(seed),
            device=device,
            threads=int(_number(given, "threads", cls.threads)),
            variant=given.get("variant", cls.variant),
        )

    def changed(self, temperature: str, max_tokens: str, seed: str) -> Options:
        """These options with what a person wrote into the fields; what is no number there changes nothing."""
        return replace(
            self,
            temperature=max(0.0, _parsed(temperature, self.temperature)),
            max_tokens=max(1, int(_parsed(max_tokens, self.max_tokens))),
            seed=abs(int(_parsed(seed, 0))) if seed.strip() else None,
        )


class Model(TypedDict):
    """A row of models.json; `sha256` is known of files the server verified, `etag` of every file."""

    name: str
    url: str
    size: int
    sha256: str | None
    etag: str


class Models(TypedDict):
    """models.json: the files the server offers."""

    default: str
    models: list[Model]


def choose(models: Models, asked: str) -> Model:
    """The row that has the asked name or URL, or the default. Raises SottoError naming the choices."""
    name = asked or models["default"]
    for model in models["models"]:
        if name in (model["name"], model["url"]):
            return model
    names = ", ".join(model["name"] for model in models["models"])
    raise SottoError(f"There is no model called {name}.", f"This server has: {names}.")


def _number(given: dict[str, str], name: str, default: float) -> float:
    value = _parsed(given.get(name, ""), math.nan) if name in given else default
    if math.isnan(value):
        raise SottoError(f"?{name}={given[name]} in the address is not a number.", "Correct or remove it.")
    return value


def _parsed(text: str, default: float) -> float:
    try:
        value = float(text)
    except ValueError:
        return default
    return value if math.isfinite(value) else default
