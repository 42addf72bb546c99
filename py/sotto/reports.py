"""What the engine is told and what it tells: settings, the progress of a load, text pieces, statistics."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from . import values

MOST_CANDIDATES = 1024  # that a device selects: their scores are kept in a GPU's workgroup memory
PROCESSORS = ("auto", "gpu", "cpu")  # that can be asked for; "auto" is the one that will do better
WEIGHTS = (
    "",
    "int8",
    "q4_0",
    "int4",
    "original",
)  # to what a checkpoint's floats can be rounded; "": what suits
GROWN = 1.25  # times what weights take in their files: that much more is worth a word
# Of a load, in their order; "ready" ends it.
STAGES = ("header", "weights", "tokenizer", "pipelines", "tuning")


@dataclass(frozen=True)
class Settings:
    """How a model is loaded.

    Attributes:
        context: the most tokens of prompt and answer together; at most what the model was trained for.
        candidates: the highest logits, which the device selects to choose from, 1 to 1,024. Where top_k, and
            repeat_last with a penalty, together want more, all logits are read, which takes longer.
        chunks: prefill chunk sizes in tokens; the smallest that holds the rest of a prompt is used, or a smaller one
            where a single step on so many tokens would hold a slow device for too long.
        variant: kernel variants to use without measuring, "job:name" with commas between them; "f32" or "f16" among
            them is the least that others compute with, and "measure" forgets what earlier loads measured.
        weights: to what the matrices of a checkpoint in safetensors are rounded: "int8", "q4_0", "int4" (see
            weights/imports.py), or "original" for nothing; "" for what suits the checkpoint and the processor.
        tune: check the device and measure which kernels are fastest, where that is not known yet.

    Raises InvalidSetting, naming the value, for one of the wrong kind or out of range.
    """

    context: int = 2048
    candidates: int = 128
    chunks: tuple[int, ...] = (32, 128, 512)
    variant: str = ""
    weights: str = ""
    tune: bool = True

    def __post_init__(self) -> None:
        values.whole("context", self.context, 2)
        values.whole("candidates", self.candidates, 1, MOST_CANDIDATES)
        for tokens in self.chunks:
            values.whole("a chunk", tokens, 1)
        if not isinstance(self.variant, str):
            raise values.invalid("variant", self.variant, 'a text such as "matmul:simple"')
        if self.weights not in WEIGHTS:
            raise values.invalid("weights", self.weights, f"one of {', '.join(WEIGHTS[1:])}")


class How(StrEnum):
    """How it came about which kernels are used."""

    MEASURED = "measured"  # now
    PARTLY = "partly"  # there was no time for some of them
    REMEMBERED = "remembered"  # from an earlier load
    USUAL = "usual"  # not measured on this processor


@dataclass(frozen=True)
class LoadProgress:
    """Where a load is. `done` of `total` counts bytes for "weights", variants for "tuning", plans for "pipelines"."""

    stage: str  # "download" (api.load only), one of STAGES, or "ready"
    done: int
    total: int
    cached: bool


@dataclass(frozen=True)
class Rejection:
    """Why a kernel variant is not used.

    Attributes:
        kind: "lost", "wrong", or that of an error (`errors.kind_of`): for a page that says it in its own words.
        text: what a person reads, in English.
    """

    kind: str
    text: str


@dataclass(frozen=True)
class LoadStats:
    """How a load went.

    Attributes:
        cached: the weights came from the store.
        seconds: by stage, which follow each other. Kernels compile beside the other stages from the weights on:
            "pipelines" is what had to be waited for afterwards, also for other kernels than the usual ones.
        device_bytes: on the device, by kind.
        note: why the weights were not stored, when they were not.
        dropped: why those in the store could not be used but had to be made again; usually empty.
        mended: bytes of those in the store that were damaged, and made again from the model's file.
        variants: of the kernels, job by job ("matmul": "simple"), for each plan.
        chosen: how.
        rejected: why a variant is not used here, by "job:name".
        tuned: seconds that a workload took with each variant, by plan.
        untried: variants for which there was no time yet, by plan; the next load goes on with them.
        instead: why this processor was taken in place of the one that was tried first; usually empty.
        weights: to what the files' floats were rounded, as in Settings; "" where the weights are as in the files.
        rounded_types: tensor types of a GGUF file whose values no format here holds: they are rounded to eight bits.
        rounding: how far what was rounded is from the files', as a share: the root of the mean square of the
            differences over that of the weights; None where they come from the store.
        source_bytes: of the weights in the files.
    """

    cached: bool
    seconds: dict[str, float]
    device_bytes: dict[str, int]
    note: str = ""
    dropped: str = ""
    mended: int = 0
    variants: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    chosen: How = How.USUAL
    rejected: Mapping[str, Rejection] = field(default_factory=dict)
    tuned: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    untried: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    instead: str = ""
    weights: str = ""
    rounded_types: tuple[str, ...] = ()
    rounding: float | None = None
    source_bytes: int = 0

    @property
    def total_seconds(self) -> float:
        """All stages together."""
        return sum(self.seconds.values())

    @property
    def grown(self) -> bool:
        """Whether the weights take much more on the device than in the files, which hold smaller types than it can."""
        return 0 < GROWN * self.source_bytes < self.device_bytes.get("weights", 0)


class Stages:
    """The stages of a load while it goes on.

    Args:
        progress: told where it is.

    Attributes:
        cached: whether the weights come from the store, as far as is known.
        seconds: of each stage.
    """

    def __init__(self, progress: Callable[[LoadProgress], None]) -> None:
        self.progress = progress
        self.cached = False
        self.seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    def tell(self, stage: str, done: int, total: int) -> None:
        """The load is in this stage."""
        self.progress(LoadProgress(stage, done, total, self.cached))

    def lap(self, stage: str) -> None:
        """The time since the last lap belongs to this stage."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._since
        self._since = now


@dataclass(frozen=True)
class TextPart:
    """A token and the text that became showable with it (a character's last token carries it)."""

    text: str
    token: int


@dataclass
class RunStats:
    """What one generation did; seconds and tokens per second.

    Attributes:
        mode: "batches": the device picks tokens, several without asking; "single": Python picks each token, because
            the caller changes the logits or more of them are wanted than the device selects; "speculation": the device
            picks, and drafts were checked.
        reused_tokens: of the prompt, which were in the KV cache already.
        read_tokens: of the prompt, which were computed: the others, or fewer where the run was stopped meanwhile.
        prefill_seconds: that reading them took.
        stop_reason: "eos", "stop", "length", "context", "loop" (the answer repeated itself), "cancelled" or, where an
            error was raised, "failed".
        decode_seconds: from the first token's choice until the last one arrived.
        batches, largest_batch: submits of decode runs, and the most tokens of one.
        dropped_tokens: computed behind the end of the answer, and never shown.
        drafted_tokens, accepted_tokens: guessed from the text, and those that were right.
        python_seconds: spent in Python during decode: text, stop strings, submitting.
        host_seconds: spent in the device's own code during decode, JavaScript in the browser: encoding, submitting; 0
            for tokens that Python picks.
        idle_seconds: the device waited for the next submit during decode, as far as the host can tell.
        lag_seconds: from the end of a batch on the device until its first text was taken, all batches together.
        adapters: that were on, with their scales.
    """

    prompt_tokens: int = 0
    reused_tokens: int = 0
    read_tokens: int = 0
    new_tokens: int = 0
    time_to_first_token: float = 0.0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    total_seconds: float = 0.0
    stop_reason: str = ""
    mode: str = "batches"
    batches: int = 0
    largest_batch: int = 0
    dropped_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    python_seconds: float = 0.0
    host_seconds: float = 0.0
    idle_seconds: float = 0.0
    lag_seconds: float = 0.0
    adapters: Mapping[str, float] = field(default_factory=dict)

    @property
    def wordless(self) -> bool:
        """Whether an answer that has no text is made of control tokens, and nobody wanted it so."""
        return self.new_tokens > 0 and self.stop_reason not in ("stop", "cancelled")

    @property
    def prefill_rate(self) -> float:
        """Prompt tokens per second, of those that were not in the cache."""
        return self.read_tokens / self.prefill_seconds if self.prefill_seconds else 0.0

    @property
    def decode_rate(self) -> float:
        """New tokens per second after the first, which prefill gives."""
        return (
            (self.new_tokens - 1) / self.decode_seconds
            if self.decode_seconds and self.new_tokens > 1
            else 0.0
        )
