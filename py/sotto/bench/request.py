"""What to measure, as the command line, the page and a link to the page say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from urllib.parse import parse_qsl, quote, urlencode

from ..errors import SottoError
from ..reports import PROCESSORS, Settings


@dataclass(frozen=True)
class Request:
    """The settings of a benchmark.

    Attributes:
        model: a model by name (or path, where there are files); empty for the default one.
        shape: measure a synthetic model of these sizes in place of one (synthetic.SHAPES).
        device: "auto", "gpu" or "cpu".
        adapter: which GPU: part of its name or its number; in a browser "low-power" or "fallback".
        threads: of the CPU; 0 for as many as are fastest.
        variant: kernel variants to use without measuring, as Settings.variant.
        weights: to what the weights of a folder with safetensors files are rounded, as Settings.weights.
        context: tokens the cache holds.
        prefill: prompt lengths in tokens.
        decode: new tokens of a decode run.
        after: tokens of the prompt before them; 1 is BOS alone.
        runs: warm runs of each measurement.
        warmup: runs before those; the first of them is reported as cold, at least 1.
        budget: seconds for all of it; what does not fit is shortened or left out, and says so.
        loads: measure the first load and the cached one, in a cache of their own.
        probes: measure what the device can do at all.
        profile: time every kernel.
        agreement: hold what the processor finds most probable against the CPU (bench/agreement.py).
    """

    model: str = ""
    shape: str = ""
    device: str = "auto"
    adapter: str = ""
    threads: int = 0
    variant: str = ""
    weights: str = ""
    context: int = Settings.context
    prefill: tuple[int, ...] = (32, 128, 512, 1024)
    decode: int = 256
    after: int = 1
    runs: int = 5
    warmup: int = 1
    budget: int = 600
    loads: bool = True
    probes: bool = True
    profile: bool = False
    agreement: bool = True

    def to_query(self) -> str:
        """What differs from the defaults, as the query of an address."""
        usual = Request()
        given = {
            field.name: _written(value)
            for field in fields(self)
            if (value := getattr(self, field.name)) != getattr(usual, field.name)
        }
        return urlencode(given, quote_via=quote, safe=",:")

    @classmethod
    def from_query(cls, query: str) -> Request:
        """Read what `to_query` wrote; names that are not settings are left alone. Raises SottoError."""
        return cls.from_texts(dict(parse_qsl(query, keep_blank_values=True)))

    @classmethod
    def from_texts(cls, texts: Mapping[str, str]) -> Request:
        """Settings by name, as people write them. Raises SottoError naming one that is not possible."""
        values = asdict(cls())
        for name, usual in values.items():
            if name in texts:
                values[name] = _read(name, texts[name].strip(), usual)
        return cls(**values).checked()

    def checked(self) -> Request:
        """Itself. Raises SottoError for a number that is too small, or a device there is not."""
        if self.device not in PROCESSORS:
            raise SottoError(
                f"There is no kind of processor called {self.device!r}.", "Choose auto, gpu or cpu."
            )
        least = {"threads": 0, "context": 2, "decode": 2, "after": 1, "runs": 1, "warmup": 1, "budget": 1}
        for name, smallest in least.items():
            if getattr(self, name) < smallest:
                raise SottoError(
                    f"{name}={getattr(self, name)} is not possible.", f"It is at least {smallest}."
                )
        if not all(tokens >= 1 for tokens in self.prefill):
            raise SottoError("A prompt has at least one token.", "Write the lengths as 32,128,512.")
        return self


# By the names that the command line and the page show. Google's published numbers for the web were taken with a
# prompt of 1024 tokens and 256 new ones behind it, in a context of 1280.
PRESETS = {
    "usual": Request(),
    "google": Request(context=1280, prefill=(1024,), decode=256, after=1024),
    "quick": Request(prefill=(32, 128), decode=32, runs=3, budget=60),
}


def preset_of(request: Request) -> str:
    """The preset whose lengths, context, runs and budget a request has; empty for none."""
    names = ("context", "prefill", "decode", "after", "runs", "warmup", "budget")
    for preset, usual in PRESETS.items():
        if all(getattr(request, name) == getattr(usual, name) for name in names):
            return preset
    return ""


def _written(value: object) -> str:
    match value:
        case bool():
            return "1" if value else "0"
        case tuple():
            return ",".join(map(str, value))
    return str(value)


def _read(name: str, text: str, usual: object) -> object:
    try:
        match usual:
            case bool():
                return {"1": True, "true": True, "0": False, "false": False}[text]
            case int():
                return int(text)
            case tuple():
                return tuple(int(part) for part in text.split(",") if part.strip())
    except (ValueError, KeyError):
        raise SottoError(f"{name}={text} is not possible.", "Correct or remove it.") from None
    return text
