"""Options that several commands share, and the loading of a model with a progress bar."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click

from .. import api, reports, values
from ..assets import DEFAULT_MODEL
from ..errors import InvalidSetting
from ..text.json_schema import grammar
from ..text.sampler import Sampling
from ..weights.imports import ORIGINAL_NLL, SCHEMES

F = TypeVar("F", bound=Callable[..., Any])


def _checked_by(check: Callable[..., object], name: str) -> Callable[..., Any]:
    """Has an option checked where the library checks that setting, before a model is loaded."""

    def checked(context: click.Context, parameter: click.Parameter, value: object) -> object:
        try:
            check(**{name: value})
        except InvalidSetting as error:
            raise click.BadParameter(str(error), context, parameter) from error
        return value

    return checked


def remark(stats: reports.RunStats, shown: bool) -> str:
    """What to say behind an answer: why it has no character, where that was not wanted, or why it was ended."""
    if stats.stop_reason == "loop":
        return " [Stopped: the answer repeated itself. --no-loop-guard lets it go on.]"
    if shown or not stats.wordless:
        return ""
    return f"[The model wrote nothing but control tokens: {stats.new_tokens:,}.]"


def processor(model: api.Model) -> str:
    """What a model runs on, with the CPU's threads."""
    threads = model.engine.device.threads
    return (
        f"{model.adapter.name}, {threads} thread{'s' if threads > 1 else ''}"
        if threads
        else model.adapter.name
    )


def reading(stats: reports.RunStats) -> str:
    """What was read of a prompt, and what was kept of the one before."""
    kept = f", {stats.reused_tokens:,} kept from before" if stats.reused_tokens else ""
    how = (
        f" in {stats.prefill_seconds:.2f} s ({stats.prefill_rate:.1f} tokens/s)" if stats.read_tokens else ""
    )
    return f"{stats.read_tokens:,} of {stats.prompt_tokens:,} prompt tokens read{how}{kept}"


STAGES = {
    "download": "Fetching the model",
    "header": "Reading the model",
    "weights": "Loading the weights",
    "tokenizer": "Preparing the tokenizer",
    "pipelines": "Compiling the kernels",
    "tuning": "Choosing the kernels",
    "ready": "Ready",
}


def stage(progress: reports.LoadProgress) -> tuple[str, int, int]:
    """A load's progress for `bar`."""
    return STAGES[progress.stage], progress.done, progress.total


def variant_option(command: F) -> F:
    """--variant."""
    return click.option(
        "--variant", default="", metavar="ROLE:NAME,...",
        help="Kernel variants to use without measuring, such as matmul:simple; a wrong name lists them. "
        "`f32` or `f16`: take none that computes with less. `measure` forgets what earlier loads measured.",
    )(command)  # fmt: skip


def weights_option(command: F) -> F:
    """--weights."""
    return click.option(
        "--weights", default="", type=click.Choice(reports.WEIGHTS), metavar="|".join(reports.WEIGHTS[1:]),
        help="To what the weights of a folder with safetensors files are rounded; without it, what suits the model "
        "and the processor. int4 is for checkpoints that were trained for it.",
    )(command)  # fmt: skip


def model_options(command: F) -> F:
    """--model, --adapter, --context, --variant, --weights and --no-cache, as the arguments of `loaded`."""
    command = _load_options(command)
    return click.option(
        "-m", "--model", default=DEFAULT_MODEL, show_default=True, metavar="MODEL",
        help="A file of GGUF or LiteRT (.task, .litertlm), a folder that holds one, a folder as transformers writes "
        "it (safetensors), or the name of a known model, fetched on first use.",
    )(command)  # fmt: skip


def talking_model_options(command: F) -> F:
    """The same where the default model would not do: it only continues text."""
    command = _load_options(command)
    return click.option(
        "-m",
        "--model",
        metavar="MODEL",
        help="An instruction-tuned model: a file of GGUF or LiteRT (.task, .litertlm), a folder that holds one, or a "
        "folder as transformers writes it.",
    )(command)


def _load_options(command: F) -> F:
    for option in (
        weights_option,
        variant_option,
        click.option("--no-cache", is_flag=True, help="Neither use nor write the cache of converted weights."),
        click.option(
            "-c", "--context", default=reports.Settings.context, show_default=True, metavar="TOKENS",
            type=int, callback=_checked_by(reports.Settings, "context"), help="Room for prompt and answer together.",
        ),
        click.option(
            "-a", "--adapter", metavar="NAME",
            help="Part of a GPU's name, or its number in `sotto adapters`. [env: SOTTO_ADAPTER]",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


class _Lora(click.ParamType[tuple[str, float]]):
    """PATH or PATH:scale."""

    name = "lora"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        path, colon, scale = value.rpartition(":")
        try:
            if colon and path and not Path(value).exists():
                return path, float(scale)
        except ValueError:
            pass
        return value, 1.0


def lora_option(command: F) -> F:
    """--lora, as the argument of `loaded`."""
    return click.option(
        "--lora", multiple=True, type=_Lora(), metavar="PATH[:SCALE]",
        help="A LoRA adapter: a folder as PEFT writes it, or a GGUF file; may be given several times. "
        "SCALE is 1 unless given: as it was trained.",
    )(command)  # fmt: skip


def device_options(command: F) -> F:
    """--device and --threads, as the arguments of `loaded`."""
    for option in (
        click.option(
            "-t", "--threads", type=click.IntRange(min=1), help="Of the CPU; without it, as many as are fastest."
        ),
        click.option(
            "-d", "--device", default="auto", show_default=True, type=click.Choice(reports.PROCESSORS),
            help="The processor; auto takes the GPU unless there is none, or only a software one.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def sampling_options(command: F) -> F:
    """How tokens are chosen; collected by `sampling`."""

    def field(option: str, name: str, kind: type, text: str = "") -> Callable[[F], F]:
        usual = getattr(Sampling, name)
        return click.option(
            option, name, default=usual, show_default=usual is not None, type=kind,
            callback=_checked_by(Sampling, name), help=text or None,
        )  # fmt: skip

    for option in (
        field("--seed", "seed", int, "The same seed gives the same text."),
        field("--repeat-last-n", "repeat_last", int),
        field("--repeat-penalty", "repeat_penalty", float),
        field("--copy-bias", "copy_bias", float, "Nats for tokens that go on with a phrase of the prompt."),
        field("--min-p", "min_p", float),
        field("--top-p", "top_p", float),
        field("--top-k", "top_k", int, "0 for all tokens."),
        field("--temp", "temperature", float, "0 always takes the most probable token."),
    ):
        command = option(command)
    return command


def loop_option(command: F) -> F:
    """--loop-guard and --no-loop-guard."""
    return click.option(
        "--loop-guard/--no-loop-guard", default=True, show_default=True,
        help="End an answer that repeats itself without end.",
    )(command)  # fmt: skip


def stop_option(command: F) -> F:
    """--stop."""

    def checked(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
        if "" in texts:
            raise click.BadParameter("a text of at least one character is wanted.", context, option)
        return texts

    return click.option(
        "--stop", multiple=True, metavar="TEXT", callback=checked,
        help="End before this text; may be given several times.",
    )(command)  # fmt: skip


def schema_option(command: F) -> F:
    """--json-schema, read and checked before a model is loaded."""

    def checked(context: click.Context, option: click.Parameter, path: str | None) -> Any:
        if path is None:
            return None
        try:
            schema = json.loads(read_text(path))
        except ValueError as error:
            raise click.BadParameter(f"{path} is not JSON: {error}.", context, option) from error
        try:
            grammar(schema)
        except InvalidSetting as error:
            raise click.BadParameter(str(error), context, option) from error
        return schema

    return click.option(
        "--json-schema", "schema", metavar="FILE", callback=checked,
        help="A JSON schema: the answer is JSON of it and nothing else, and always parses.",
    )(command)  # fmt: skip


def length_option(usual: int) -> Callable[[F], F]:
    """-n, --max-tokens."""
    return click.option(
        "-n", "--max-tokens", default=usual, show_default=True, type=int,
        callback=_checked_by(lambda max_tokens: values.whole("max_tokens", max_tokens, 0), "max_tokens"),
    )  # fmt: skip


def json_option(command: F) -> F:
    """--json."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for a program.")(
        command
    )


@contextmanager
def loaded(
    model: str,
    adapter: str | None,
    context: int,
    no_cache: bool,
    device: str,
    threads: int | None,
    variant: str,
    weights: str,
    lora: Sequence[tuple[str, float]] = (),
) -> Iterator[api.Model]:
    """A loaded model, closed at the end. While it loads, a terminal shows a progress bar."""
    gc.disable()  # it would walk all that was imported again and again, to find nothing
    try:
        with bar() as told:
            ready = api.load(
                model,
                device=device,
                adapter=adapter,
                threads=threads,
                context=context,
                cache=not no_cache,
                variant=variant,
                weights=weights,
                lora=lora,
                progress=lambda p: told(*stage(p)),
            )
    finally:
        gc.enable()
    with ready:
        stats = ready.load_stats
        lines = (f"{ready.name} on {processor(ready)}", stats.instead, stats.dropped, stats.note)
        for line in filter(None, (*lines, _mended_line(stats), *weights_lines(stats))):
            click.echo(line, err=True)
        yield ready


def _mended_line(stats: reports.LoadStats) -> str:
    """What was damaged of the kept weights; nothing where nothing was."""
    if not stats.mended:
        return ""
    return f"{stats.mended / 1e6:,.1f} MB of the kept weights were damaged, and were made again from the model's file."


def weights_lines(stats: reports.LoadStats) -> Iterator[str]:
    """What became of a file's weights when they were converted just now, where that is more than another order."""
    if stats.cached:
        return
    yield rounding_line(stats.weights, stats.rounding)
    if stats.rounded_types and stats.rounding is not None:
        names = ", ".join(stats.rounded_types)
        yield f"{names}: rounded to 8 bits, {stats.rounding:.2%} from the file's values (root mean square)."
    if stats.grown:
        here, there = (nbytes / 1e6 for nbytes in (stats.device_bytes["weights"], stats.source_bytes))
        yield f"The weights take {here:,.0f} MB here, {there:,.0f} MB in the file."


def rounding_line(scheme: str, share: float | None) -> str:
    """To what weights were rounded just now, and what it costs, for people; nothing where they were not."""
    if not scheme or share is None:
        return ""
    return (
        f"The weights are rounded to {scheme}: {share:.2%} from those of the files (root mean square). That takes "
        f"{DEFAULT_MODEL}, which was not trained for it, from {ORIGINAL_NLL:.2f} to {SCHEMES[scheme].nll:.2f} nats a "
        "token on a test text."
    )


@contextmanager
def bar() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on standard error, told what goes on and how far it is; only on a terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    from .terminal import progress_bar  # noqa: PLC0415 - rich takes long to import, for nothing elsewhere

    with progress_bar() as told:
        yield told


def listening() -> bool:
    """Whether standard input is a person at a terminal, or nothing at all: no text will come by itself."""
    return sys.stdin is None or sys.stdin.isatty()


def read_text(path: str) -> str:
    """A UTF-8 text from a file, or from standard input for "-".

    Raises click.UsageError where there is none: a file that cannot be read, an empty or closed standard input.
    """
    if path == "-" and sys.stdin is None:
        raise click.UsageError("Standard input is closed: there is no text on it.")
    try:
        with click.open_file(path, encoding="utf-8") as file:
            text: str = file.read()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}.") from error
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}.") from error
    if not text.strip():
        raise click.UsageError(
            f"{'Standard input' if path == '-' else path} is empty: there is no text in it."
        )
    return text


def run_facts(stats: reports.RunStats) -> dict[str, object]:
    """A generation's statistics for JSON."""
    return {**asdict(stats), "prefill_rate": stats.prefill_rate, "decode_rate": stats.decode_rate}


def adapter_lines(adapters: Mapping[str, float]) -> Iterator[str]:
    """Which adapters are on, for people."""
    if adapters:
        yield "adapters: " + ", ".join(f"{name} ({scale:g})" for name, scale in adapters.items())


def kernel_facts(stats: reports.LoadStats) -> dict[str, object]:
    """Which kernel variants are used and why, for JSON."""
    return {
        "variants": stats.variants,
        "chosen": stats.chosen,
        "rejected": {name: why.text for name, why in stats.rejected.items()},
        "untried": stats.untried,
        "sample_seconds": stats.tuned,
        "tuning_seconds": stats.seconds.get("tuning", 0.0),
    }


def kernel_lines(stats: reports.LoadStats) -> Iterator[str]:
    """The same for people."""
    how = {
        "measured": "measured now",
        "partly": "measured now, as far as the time went",
        "remembered": "measured before",
        "usual": "not measured here",
    }[stats.chosen]
    if "tuning" in stats.seconds:
        how += f" in {stats.seconds['tuning']:.1f} s"
    for plan, variants in stats.variants.items():
        chosen = ", ".join(f"{job} {name}" for job, name in variants.items())
        yield f"kernels of {plan}: {chosen} ({how})"
    for plan, names in stats.untried.items():
        yield f"not tried yet for {plan}, for want of time: {', '.join(names)}"
    for variant, why in stats.rejected.items():
        yield f"not used here: {variant}: {why.text}"


def print_json(value: object) -> None:
    """One JSON object on standard output."""
    click.echo(json.dumps(value, ensure_ascii=False))
