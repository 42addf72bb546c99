"""What the address of the page asks for: `?model=&context=&max_tokens=&temperature=&top_k=&top_p=&min_p=
&repeat_penalty=&seed=&stop=&loop_guard=&versions=&device=&threads=&variant=&weights=`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict
from urllib.parse import parse_qs

from .. import values
from ..errors import InvalidSetting, SottoError
from ..library.offers import HubFile
from ..reports import PROCESSORS, Settings
from ..text.sampler import Sampling

MOST_VERSIONS = 9
DEVICES = (*PROCESSORS, "low-power")  # this is the GPU that saves power, where a browser has two


@dataclass(frozen=True)
class Options:
    """Choices with their defaults.

    Attributes:
        model: a name or URL from models.json; empty for the default.
        context: tokens the model can see at once; None for what was chosen for the model, or is usual.
        max_tokens: the most tokens of an answer; None for what suits what is written.
        temperature: 0 for the likeliest word each time, and the same answer to the same question; None likewise.
        seed: None for another answer each time.
        top_k, top_p, min_p, repeat_penalty: as in `Sampling`. No penalty: a post says again what its text says, and
            with one a small model drifts or copies.
        stop: texts that end an answer, and are not shown.
        loop_guard: end an answer that repeats itself without end.
        versions: the most posts that are written, to choose the best from: no more once one breaks no rule.
        device: one of DEVICES; empty for what was chosen for the model.
        threads: of the CPU; 0 for what was chosen for the model, or as many as are fastest here.
        variant: of kernels, as in Settings.
        weights: to what the weights of safetensors files are rounded, as in Settings.
    """

    model: str = ""
    context: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    top_k: int = 64
    top_p: float = 0.95
    min_p: float = 0.0
    repeat_penalty: float = 1.0
    stop: tuple[str, ...] = ()
    loop_guard: bool = True
    versions: int = 3
    device: str = ""
    threads: int = 0
    variant: str = ""
    weights: str = ""

    def __post_init__(self) -> None:
        """Raises InvalidSetting, naming the value, for one of the wrong kind or out of range."""
        self.longest(1)
        values.whole("versions", self.versions, 1, MOST_VERSIONS)
        values.whole("threads", self.threads, 0)
        context = Settings.context if self.context is None else self.context
        Settings(context=context, variant=self.variant, weights=self.weights)
        self.sampling(0)
        if self.device not in ("", *DEVICES):
            raise values.invalid("device", self.device, f"one of: {', '.join(DEVICES)}")

    def longest(self, usual: int) -> int:
        """The most tokens of an answer, with what is usual for one of its kind."""
        return usual if self.max_tokens is None else values.whole("max_tokens", self.max_tokens, 1)

    def sampling(self, usual: float) -> Sampling:
        """How tokens are chosen, with the temperature that is usual for an answer of this kind."""
        temperature = usual if self.temperature is None else self.temperature
        return Sampling(temperature, self.top_k, self.top_p, self.min_p, self.repeat_penalty, seed=self.seed)

    @classmethod
    def from_query(cls, query: str) -> Options:
        """Read the part of the address after `?`. Raises InvalidSetting naming a value that is not possible."""
        asked = parse_qs(query.removeprefix("?"))
        given = {name: texts[-1] for name, texts in asked.items()}
        read: dict[str, Any] = {}
        for name in ("context", "max_tokens", "threads", "seed", "versions", "top_k"):
            if name in given:
                read[name] = values.parsed(int, given[name])
        for name in ("temperature", "top_p", "min_p", "repeat_penalty"):
            if name in given:
                read[name] = values.parsed(float, given[name])
        if "stop" in asked:
            read["stop"] = tuple(asked["stop"])
        if "loop_guard" in given:
            read["loop_guard"] = given["loop_guard"] not in ("0", "off", "false")
        read |= {name: given[name] for name in ("model", "device", "variant", "weights") if name in given}
        try:
            return cls(**read)
        except InvalidSetting as error:
            raise InvalidSetting(
                f"In the address, {error.message}", f"{error.hint} Correct or remove it."
            ) from error


class FilePart(TypedDict):
    """A part of a file, where a host takes no large ones."""

    url: str
    size: int


class File(TypedDict):
    """A file that the server has; `sha256` is known of those that it verified, `etag` of every one.

    Where it comes in parts, these together are the file, and there is nothing at its own `url`.
    """

    name: str
    url: str
    size: int
    sha256: str | None
    etag: str
    parts: NotRequired[list[FilePart]]


class OfferedAdapter(TypedDict):
    """A LoRA adapter that belongs to a model."""

    name: str
    files: list[File]


class HubPart(TypedDict):
    """A file of a hub: its address, and what the hub says of it."""

    url: str
    file: HubFile


class Model(File):
    """A row of models.json; of a model in several files the address and size are those of the first.

    Or a model that the server does not have, which has no address: in the library under a `key`, or the one that a
    person gave as files, counted by `given`, of a `format`; or at a `hub`, with the `origin` as people name it, the
    `licence`, and perhaps a `token`, which is nowhere else.
    """

    files: NotRequired[list[File]]
    key: NotRequired[str]
    given: NotRequired[int]
    format: NotRequired[str]
    hub: NotRequired[list[HubPart]]
    origin: NotRequired[str]
    licence: NotRequired[str]
    token: NotRequired[str]
    adapter: NotRequired[OfferedAdapter]


class Models(TypedDict):
    """models.json: the files the server offers."""

    default: str
    models: list[Model]


def choose(models: Models, asked: str) -> Model:
    """The row that has the asked name or URL, or the default. Raises SottoError naming the choices."""
    if not models["models"]:
        raise SottoError(
            "This site was published without a model.",
            "Use a file of your own, on the screen of models; its publisher adds one with --with-model "
            "(docs/publishing.md). The benchmark needs none.",
            "site",
        )
    name = asked or models["default"]
    for model in models["models"]:
        if name in (model["name"], model["url"]):
            return model
    names = ", ".join(model["name"] for model in models["models"])
    raise SottoError(f"There is no model called {name}.", f"This server has: {names}.", "unknown")
