"""The engine for plain Python: no event loop, no `await`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from . import formats, values
from .assets import DEFAULT_MODEL, default_cache
from .device import AdapterInfo, Device
from .devices import policy
from .devices.threads import remembered_threads
from .driving import drive as drive  # noqa: PLC0414 - a part of this module's face
from .driving import iterate
from .engine.engine import Engine
from .errors import DeviceError, LimitError
from .formats.adapter import Adapter
from .library import adapters as shelf
from .library.library import Entry, Library
from .models import ARCHITECTURES
from .native import dawn, files
from .native.disk import DiskStore
from .native.wasm import open_cpu
from .reports import LoadProgress, LoadStats, RunStats, Settings, TextPart
from .source import Folder, Source
from .text.chat import Message
from .text.json_schema import Schema
from .text.prompt import Prompt
from .text.sampler import Sampling
from .text.tokenizer import Segment
from .tuning.candidates import measured_again


class SamplingOptions(TypedDict, total=False):
    """The fields of `Sampling`, as keyword arguments."""

    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repeat_penalty: float
    repeat_last: int
    copy_bias: float
    seed: int | None


def load(
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    *,
    device: str = "auto",
    adapter: str | None = None,
    threads: int | None = None,
    context: int = Settings.context,
    candidates: int = Settings.candidates,
    cache: bool | str | os.PathLike[str] = True,
    variant: str = "",
    weights: str = "",
    lora: Sequence[Lora] = (),
    progress: Callable[[LoadProgress], None] | None = None,
) -> Model:
    """Load a model onto a GPU or the CPU.

    Args:
        model: the path of a file of GGUF, or of any that one was split into, or of LiteRT (.task, .litertlm), of a
            folder that holds one, of a folder as transformers writes it (config.json, safetensors files, a
            tokenizer), or of a manifest or blob of Ollama's; the name of a known model
            (sotto.assets.known_models()); a hub's `owner/name`, `owner/name:file` or page, or a URL: these are
            fetched on first use. A name in the library (`sotto models`) is loaded from there.
        device: "gpu", "cpu", or "auto": the GPU unless there is none, or only a software one, or it cannot load
            the model or computes wrongly (then load_stats.instead says why).
        adapter: part of a GPU's name, or its number in `sotto adapters`; default SOTTO_ADAPTER, else the first.
        threads: of the CPU; default: as many as are fastest, measured after loading, and known for a day then.
        context: the most tokens of prompt and answer together.
        candidates: the most probable tokens that the device selects, 1 to 1,024. Settings that want more (a larger
            top_k, or 0 for all) work too, but more slowly.
        cache: keep the converted weights, so that loading is quicker next time: in Sotto's cache folder, in
            the given folder, or (False) not.
        variant: kernel variants to use without measuring which is fastest: "job:name", with commas between.
        weights: to what the weights of safetensors files are rounded: "int8", "q4_0" (four bits in blocks of 32),
            "int4" (four bits with one scale for a row, for checkpoints that were trained for it), or "original" for
            nothing; default: what suits the checkpoint and the processor. load_stats.rounding tells the error.
        lora: adapters that are on from the beginning: a path as `Model.add_lora` takes it, or a path and a scale.
        progress: told how loading goes; its stage is "download" while a known model is fetched.

    Raises:
        SottoError: there is no such file, or no such variant.
        AssetError: the model cannot be fetched.
        FormatError, UnsupportedModel: the file cannot be run.
        DeviceError, LimitError: there is no such processor, or it is too small.
    """
    told = progress or _ignore
    settings = Settings(context, candidates, variant=variant, weights=weights)
    if threads is not None:
        values.whole("threads", threads, 1)
    adapters = read_adapters(lora)  # before the model, which takes longer
    store = store_in(cache)
    found = find_model(model, store, told)
    source = found.source

    def loaded_on(opened: Device) -> Model:
        try:
            loaded = load_from(source, opened, settings, store, told, adapters)
            if store:
                drive(Library(store).used(source.key, found.about))
            if opened.traits.most_threads and threads is None:
                again = measured_again(variant)
                drive(remembered_threads(opened, loaded.engine.time_token, store, source.key, again))
            return loaded
        except BaseException:
            opened.close()
            raise

    try:
        opened = open_device(device, adapter, threads)
        try:
            return loaded_on(opened)
        except DeviceError as error:
            if not opened.traits.wgsl or _gpu_asked(device, adapter):
                raise
            try:
                loaded = loaded_on(drive(open_cpu(threads)))
            except LimitError as smaller:
                raise (error if isinstance(error, LimitError) else smaller) from None
            why = f"The CPU is used in place of the GPU: {error.message}"
            loaded.engine.load_stats = replace(loaded.load_stats, instead=why)
            return loaded
    finally:
        source.close()


def find_model(
    model: str | os.PathLike[str], store: DiskStore | None, progress: Callable[[LoadProgress], None]
) -> files.Found:
    """What `load` is given, as a model on this disk; it is fetched first where it has to be. Raises as `load`."""

    def kept() -> Sequence[Entry]:
        return drive(Library(store).entries()) if store else []

    return files.find_model(model, progress, kept, ARCHITECTURES.__contains__)


def load_from(
    source: Source | Folder,
    device: Device,
    settings: Settings,
    store: DiskStore | None = None,
    progress: Callable[[LoadProgress], None] | None = None,
    adapters: Sequence[tuple[str, Adapter, float]] = (),
) -> Model:
    """Load a model from any source, or a folder of them, onto an open device, which the model then owns."""
    load = Engine.load(source, device, store, settings, progress or _ignore, adapters=adapters)
    return Model(drive(load))


def open_device(device: str = "auto", adapter: str | None = None, threads: int | None = None) -> Device:
    """A processor by its kind: "gpu", "cpu" or "auto" (see `load`). Asking for an adapter is asking for a GPU.

    Raises:
        InvalidSetting: there is no such kind.
        DeviceError: there is no such processor here.
    """

    async def gpu() -> Device:
        return dawn.NativeDevice(adapter)

    asked = "gpu" if device == "auto" and _gpu_asked(device, adapter) else device
    return drive(policy.choose(asked, gpu, lambda: open_cpu(threads)))[0]


def _gpu_asked(device: str, adapter: str | None) -> bool:
    return device == "gpu" or bool(adapter or os.environ.get("SOTTO_ADAPTER"))


def any_adapter() -> bool:
    """Whether there is a GPU to use, be it one in software."""
    try:
        return bool(dawn.adapters())
    except DeviceError:
        return False


Lora = str | os.PathLike[str] | tuple[str | os.PathLike[str], float]
"""An adapter's path, or that and its scale; without one, 1: as it was trained."""


def read_adapters(lora: Sequence[Lora]) -> list[tuple[str, Adapter, float]]:
    """Adapters with names and scales."""
    found: dict[str, tuple[Adapter, float]] = {}
    for one in lora:
        path, scale = one if isinstance(one, tuple) else (one, 1.0)
        adapter = read_adapter(path)
        found[_free_name(adapter, found)] = adapter, scale
    return [(name, adapter, scale) for name, (adapter, scale) in found.items()]


def _free_name(adapter: Adapter, taken: Collection[str]) -> str:
    """What an adapter is called that was given no name: as its file or folder, with a number where that is taken."""
    usual = (adapter.name, *(f"{adapter.name} {number}" for number in range(2, len(taken) + 2)))
    return next(name for name in usual if name not in taken)


def read_adapter(path: str | os.PathLike[str]) -> Adapter:
    """The LoRA adapter that a path, or a name in the library, stands for (see `Model.add_lora`).

    Raises:
        SottoError: there is no such file, and nothing of that name is kept.
        FormatError, UnsupportedModel: it is no adapter, or one that does more than LoRA.
    """
    if not Path(path).expanduser().exists():
        store = DiskStore(default_cache() / "weights")
        for entry in drive(Library(store).adapters()):
            if str(path) in (entry.title, entry.digits, entry.about.origin):
                return drive(shelf.read(store, entry))
    source = files.adapter_source(path)
    try:
        return drive(formats.open_adapter(source))
    finally:
        source.close()


def store_in(cache: bool | str | os.PathLike[str]) -> DiskStore | None:
    """The store of converted weights: True for the usual folder, False for none."""
    if cache is False:
        return None
    return DiskStore(default_cache() / "weights" if cache is True else Path(cache).expanduser())


def windows(tokens: int, context: int) -> list[tuple[int, int, int]]:
    """How a text is scored: (start, first, end) of each window; it scores tokens first..end-1 given start..

    A text that fits is one window, and exact. In a longer one every later window repeats half a context that
    it does not score, so that each token is given at least that much of what came before it. A place for
    BOS in front of each later window is left free.
    """
    spans = [(0, 1, min(tokens, context))]
    while spans[-1][2] < tokens:
        first = spans[-1][2]
        start = first - min(context // 2, context - 2)  # at least one token to score beside BOS
        spans.append((start, first, min(tokens, start + context - 1)))
    return spans


class Model:
    """A model on a processor. Made by `load`; closes its resources as a context manager or by `close`.

    Attributes:
        engine: what does the work; asynchronous, for what this class does not offer.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the memory. The model cannot be used afterwards."""
        self.engine.close()
        self.engine.device.close()

    @property
    def name(self) -> str:
        """The model file's name."""
        return self.engine.name

    @property
    def adapter(self) -> AdapterInfo:
        """The processor it runs on."""
        return self.engine.device.adapter

    @property
    def context(self) -> int:
        """The most tokens of prompt and answer together."""
        return self.engine.context

    @property
    def stats(self) -> RunStats:
        """The latest generation: tokens, seconds, tokens per second."""
        return self.engine.stats

    @property
    def load_stats(self) -> LoadStats:
        """How loading went: seconds by stage, bytes on the GPU by kind, whether weights came from the cache."""
        return self.engine.load_stats

    def add_lora(self, path: str | os.PathLike[str], name: str | None = None) -> str:
        """Keep a LoRA adapter beside others; `use` switches it on.

        Args:
            path: a folder as PEFT writes it (adapter_config.json, adapter_model.safetensors), one of its files, a
                GGUF file, or the name of one in the library (`sotto models`).
            name: to call it by; without one, that of the folder or file.

        Returns:
            The name.

        Raises:
            SottoError: there is no such file, or an adapter of this name.
            FormatError: it is no adapter, or a damaged one.
            UnsupportedModel: it does more than LoRA, or was made for another model.
        """
        adapter = read_adapter(path)
        name = _free_name(adapter, self.engine.adapters) if name is None else name
        self.engine.add_adapter(name, adapter)
        return name

    def use(self, *adapters: str | tuple[str, float]) -> None:
        """Let these adapters count and no others, by name, or name and scale; none is the model by itself.

        The weights stay where they are. What is being written meanwhile ends.

        Raises SottoError for an unknown name, InvalidSetting for a scale that is none.
        """
        on = dict((adapter, 1.0) if isinstance(adapter, str) else adapter for adapter in adapters)
        drive(self.engine.use_adapters(on))

    @property
    def adapters_on(self) -> Mapping[str, float]:
        """The adapters that count, with their scales."""
        return self.engine.adapters_on

    def encode(self, text: str, *, bos: bool = True) -> list[int]:
        """Token ids of a text; control tokens spelled in it are text. With BOS in front, as the model expects."""
        return self.engine.tokenizer.encode_segments([Segment(text)], bos)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids."""
        return self.engine.tokenizer.decode(ids)

    def generate(
        self,
        prompt: str | Sequence[int] | Prompt,
        max_tokens: int = 256,
        stop: Sequence[str] = (),
        *,
        loop_guard: bool = False,
        schema: Schema | None = None,
        **sampling: Unpack[SamplingOptions],
    ) -> Iterator[str]:
        """Continue a text, piece by piece.

        Args:
            prompt: a text, or token ids with BOS.
            max_tokens: the most new tokens.
            stop: texts that end the answer; they are not shown.
            loop_guard: end an answer that repeats itself without end (stats.stop_reason is "loop").
            schema: a JSON schema; the answer then is JSON of it and nothing else, whole also where the tokens are few.
            **sampling: temperature, top_k, top_p, min_p, repeat_penalty, repeat_last, copy_bias, seed: see
                `Sampling`.

        Raises:
            ContextFull: the prompt leaves no room for an answer.
            SottoError: a setting is out of range.
        """
        if isinstance(prompt, str):
            prompt = Prompt((Segment(prompt),))
        settings = Sampling(**sampling)
        return self._texts(
            self.engine.generate(prompt, max_tokens, settings, stop, loop_guard=loop_guard, schema=schema)
        )

    def chat(
        self,
        messages: Sequence[Message],
        max_tokens: int = 1024,
        stop: Sequence[str] = (),
        *,
        loop_guard: bool = False,
        schema: Schema | None = None,
        **sampling: Unpack[SamplingOptions],
    ) -> Iterator[str]:
        """Answer the last message of a conversation, piece by piece. See `generate`.

        Raises:
            UnsupportedModel: the model is not tuned for conversations.
            SottoError: the messages do not take turns.
        """
        prompt = self.engine.conversation(messages)
        return self.generate(prompt, max_tokens, stop, loop_guard=loop_guard, schema=schema, **sampling)

    def score(
        self, text: str | Sequence[int], progress: Callable[[int, int], None] | None = None
    ) -> NDArray[np.float32]:
        """Log-probability, in nats, of each token after the first, given those before it.

        Args:
            text: a text, or token ids with BOS.
            progress: told how many of how many windows are done.

        Returns:
            (tokens - 1,) f32. What does not fit the context is scored in `windows`.
        """
        ids = self.encode(text) if isinstance(text, str) else list(text)
        spans = windows(len(ids), self.context)
        bos = ids[:1] if ids[:1] == [self.engine.tokenizer.bos] else []
        parts = []
        for done, (start, first, end) in enumerate(spans):
            window = (bos if start else []) + ids[start:end]
            parts.append(drive(self.engine.score(window, len(window) - (end - first))))
            if progress:
                progress(done + 1, len(spans))
        return np.concatenate(parts)

    def stop(self) -> None:
        """End the generation in progress, from another thread or a signal handler."""
        self.engine.stop()

    def _texts(self, pieces: AsyncIterator[TextPart]) -> Iterator[str]:
        for piece in iterate(pieces):
            if piece.text:
                yield piece.text


def _ignore(progress: LoadProgress) -> None:
    """The default progress callback."""
