"""Loads a model onto a device and runs it: prefill, decode, stop, statistics.

Everything is asynchronous because a browser's GPU is; under plain Python nothing here ever waits, so the same
coroutines are driven to their end without an event loop (api.py).
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from .. import formats, models, ops, values
from ..device import Device
from ..errors import ContextFull, FilesNeeded, ModelLost, OutOfMemory, SottoError, about
from ..formats.adapter import Adapter
from ..formats.checkpoint import Checkpoint
from ..models.base import Config
from ..models.recorder import Recorder
from ..plan.memory import Memory
from ..plan.plan import Plan
from ..plan.weights import bind
from ..reports import LoadProgress, LoadStats, RunStats, Settings, Stages, TextPart
from ..source import Folder, Source, opened
from ..store import Store
from ..text.chat import Message, conversation, format_of, required_format
from ..text.constraint import Constraint, TokenTexts
from ..text.json_schema import Schema, grammar
from ..text.prompt import Prompt
from ..text.sampler import Sampling, not_a_number
from ..text.tokenizer import Tokenizer
from ..tuning import candidates as selection
from ..tuning.budget import Budget
from ..tuning.tuner import Tuner
from ..tuning.verdict import Verdict, usual
from ..weights import imports
from ..weights.image import Image
from ..weights.loader import Loader, find, read_checkpoint
from .adapter_sets import AdapterSets
from .adapters import AdapterMemory, Adapters
from .generation import Logits, Request, generate
from .programs import Programs, name_of
from .room import Room
from .session import Session

DEFAULTS = Settings()
BUDGET = Budget()


def _ignore(progress: LoadProgress) -> None:
    """The default progress callback."""


class Engine:
    """A loaded model. Make one with `Engine.load`.

    Attributes:
        name: the model file's name.
        config: sizes of the model.
        tokenizer: of the model file.
        chat_format: how a conversation is written for the model; None where it is not tuned for any that is known.
        context: tokens that fit, prompt and answer together.
        scheme: to what the weights of the files are rounded; None where they are as in the files.
        roundable: whether that can be chosen.
        load_stats: how loading went.
        stats: of the latest generation, filled in while it runs.
    """

    def __init__(self, device: Device, checkpoint: Checkpoint, settings: Settings, name: str) -> None:
        self.device = device
        self.name = name
        with about(name):
            vocabulary = checkpoint.check_model()
            architecture = models.find(checkpoint.architecture).read(checkpoint.settings)
        self.tokenizer = Tokenizer(vocabulary)
        self.chat_format = format_of(checkpoint.chat_template, vocabulary)
        self._card = checkpoint.card
        self._required_format = partial(required_format, name, checkpoint.chat_template, vocabulary)
        self.config: Config = architecture.config
        self._check_context(settings.context)
        self.context = settings.context
        self.settings = replace(
            settings,
            chunks=tuple(sorted({min(c, settings.context) for c in settings.chunks})),
            candidates=min(settings.candidates, self.config.vocabulary),
        )
        self.stats = RunStats()
        self.load_stats = LoadStats(False, {}, {})
        self._memory = Memory(device)
        self.scheme = imports.choose(checkpoint, settings.weights, device.memory)
        self.roundable = imports.roundable(checkpoint)
        with about(name):
            self._image = Image.of(checkpoint.tensors, architecture.wanted(), self.scheme)
        limits = device.limits
        self._recorder = Recorder.of(
            architecture,
            bind(self._image, limits.max_binding),
            self.context,
            max((1, *self.settings.chunks)),
            self.settings.candidates,
            limits,
        )
        self._pinned = selection.pinned(settings.variant, device)
        self._sizes = tuple(sorted({1, *self.settings.chunks}))
        self._verdict = Verdict({})
        self._adapters = Adapters(self._memory, architecture.wanted())
        self._sets = AdapterSets(self._adapters, self._record)
        ring = min(cache.keys.shape[0] for cache in self._recorder.caches)
        self.session = Session(device, self.context, ring, self.config.window, self.settings.candidates)
        self._roomy = ring >= min(self.context, self.config.window + ops.MOST_TOKENS)

    @classmethod
    async def load(
        cls,
        source: Source | Folder,
        device: Device,
        store: Store | None = None,
        settings: Settings = DEFAULTS,
        progress: Callable[[LoadProgress], None] = _ignore,
        budget: Budget = BUDGET,
        adapters: Sequence[tuple[str, Adapter, float]] = (),
    ) -> Engine:
        """Load a model file: from the store when it was converted before, else from the source.

        Args:
            progress: told how the load goes.
            budget: for choosing kernels, where `settings` want that.
            adapters: names, adapters and scales of those that are on from the beginning.

        Raises:
            FormatError, UnsupportedModel: the file cannot be run, or an adapter was made for another model.
            LimitError: the adapter's limits are too small for it.
            DeviceError: the device gave up.
        """
        stages = Stages(progress)
        manifest, dropped = await find(source, store)
        stages.cached = manifest is not None
        stages.tell("header", 0, 0)
        checkpoint, manifest, altered = await read_checkpoint(source, store, manifest)
        engine = cls(device, checkpoint, settings, source.name)
        scheme = engine.scheme.name if engine.scheme else ""
        if manifest and checkpoint.scheme != scheme:  # rounded in another way: it stays until this is there
            source = await _for_rounding(source, scheme, checkpoint.scheme)
            manifest = None
            stages.cached = False
        try:
            engine._begin_with(adapters)
            async with engine._tuner(store, budget) as tuner:
                engine._take(tuner.verdict)
                stages.lap("header")
                await engine._take_room()
                await tuner.before(engine.plans, stages)
                card = replace(checkpoint, scheme=scheme)
                loader = Loader(device, engine._image, engine._memory.placements, card, progress)
                filled = await loader.fill(source, store, manifest)
                stages.cached = filled.cached
                stages.lap("weights")
                stages.tell("tokenizer", 0, 1)
                engine.tokenizer.encode("a b")  # builds the tables now rather than at the first prompt
                stages.lap("tokenizer")
                await engine._compile(stages)
                stages.lap("pipelines")
                await engine._change(await tuner.after(stages), stages)
            engine._take_programs(engine._programs)
        except BaseException:
            engine.close()
            raise
        engine.load_stats = replace(
            engine._facts(),
            cached=stages.cached,
            seconds=stages.seconds,
            note=filled.note,
            dropped=dropped or altered or filled.dropped,
            mended=filled.mended,
            weights=scheme,
            rounded_types=tuple(engine._image.rounded_types),
            source_bytes=engine._image.source_nbytes,
            rounding=None if filled.cached else engine._image.rounding.share,
        )
        stages.tell("ready", 1, 1)
        return engine

    @classmethod
    async def outline(
        cls,
        source: Source | Folder,
        device: Device,
        settings: Settings = DEFAULTS,
        adapters: Sequence[tuple[str, Adapter, float]] = (),
    ) -> Engine:
        """A model without its weights: the plans and the memory of what `load` would put onto the device.

        Raises what `load` raises about the file, the adapters and the limits.
        """
        engine = cls(device, await formats.open(source), settings, source.name)
        engine._begin_with(adapters)
        precision = selection.precision(settings.variant)
        engine._take(usual(device, engine._recorder, engine._pinned, engine._sizes, precision=precision))
        engine._allocate()
        await engine._compile(Stages(_ignore))
        engine.load_stats = engine._facts()
        return engine

    def needed(self, context: int) -> dict[str, int]:
        """Bytes that the model would take on the device with another context, by kind; nothing is taken.

        Raises:
            SottoError: the model does not allow it.
            LimitError: the device does not.
        """
        self._check_context(context)
        sizes = sorted({1, *(min(size, context) for size in self.settings.chunks)})
        recorder = _adapted(self._recorder.at(context, sizes[-1]), self._sets.memory)
        usual = list(self._verdict.choices.values())[-1]
        choices = {size: self._verdict.choices.get(size, usual) for size in sizes}
        return recorder.needed(recorder.plan(name_of(size), size, choice) for size, choice in choices.items())

    # --- Loading ----------------------------------------------------------------------------------------

    def _tuner(self, store: Store | None, budget: Budget) -> Tuner:
        """What chooses the kernels while the model loads."""
        return Tuner(
            self.device,
            self._recorder,
            self._memory,
            self._pinned,
            self._sizes,
            store,
            budget if self.settings.tune else None,
            selection.measured_again(self.settings.variant),
            selection.precision(self.settings.variant),
        )

    def _begin_with(self, adapters: Sequence[tuple[str, Adapter, float]]) -> None:
        """Have these adapters on from the beginning."""
        for name, adapter, _ in adapters:
            self.add_adapter(name, adapter)
        self._sets.on = self._adapters.checked({name: scale for name, _, scale in adapters})

    def _take(self, verdict: Verdict) -> None:
        """Record the plans with these kernels."""
        self._verdict = verdict
        self._sets.renew()

    async def _change(self, verdict: Verdict, stages: Stages) -> None:
        """Take other kernels than those compiled so far."""
        same = verdict.choices == self._verdict.choices
        if same:
            self._verdict = verdict
            return
        self._unload()
        self._take(verdict)
        self._memory.reserve(self.plans)
        await self._compile(stages)
        stages.lap("pipelines")

    def _facts(self) -> LoadStats:
        """What there is on the device."""
        verdict = self._verdict
        return LoadStats(
            False,
            {},
            dict(self._memory.nbytes),
            variants={name_of(t): choice.names() for t, choice in verdict.choices.items()},
            chosen=verdict.how,
            rejected=verdict.rejected,
            tuned={name_of(t): seconds for t, seconds in verdict.seconds.items()},
            untried={name_of(t): tuple(names) for t, names in verdict.untried.items()},
        )

    def _allocate(self) -> None:
        self._recorder.allocate(self._memory)
        self.session.text, _ = self._memory.place(self._recorder.text)
        self._memory.reserve(self.plans)

    async def _take_room(self) -> None:
        """Take the memory, before the weights are read. Raises LimitError, with what to take instead."""
        device = self.device
        room = Room(self.name, device.adapter.name, device.memory, self._image, self.needed, self.context)
        room.check(sum(self._recorder.needed(()).values()))
        try:
            self._allocate()
            await device.finish()  # where a lack of memory is told late, it is told now
        except OutOfMemory as error:
            raise room.refused(error) from error

    async def _compile(self, stages: Stages) -> None:
        await self._programs.compile(stages)
        self.session.programs = self._programs.loaded

    @property
    def _programs(self) -> Programs:
        """Those that run now."""
        return self._sets.programs

    def _take_programs(self, programs: Programs) -> None:
        """Let these run from now on. Drafts are checked only where the rings have room for those not wanted."""
        if self._roomy and programs.check is None:
            programs.prepare_check()
        self.session.programs = programs.loaded
        self.session.adapters = self._sets.on
        self.session.checker = programs.checker if programs.check else None

    # --- Adapters ---------------------------------------------------------------------------------------

    @property
    def adapters(self) -> Mapping[str, Adapter]:
        """The adapters that were added, by name."""
        return self._adapters.known

    @property
    def matrix_shapes(self) -> Mapping[str, tuple[int, int]]:
        """(N, K) of the matrices that an adapter can change, by canonical name."""
        return self._adapters.shapes

    @property
    def adapters_on(self) -> Mapping[str, float]:
        """Those that are on, with their scales."""
        return MappingProxyType(self._sets.on)

    def add_adapter(self, name: str, adapter: Adapter) -> None:
        """Keep an adapter by a name, for `use_adapters`; nothing changes yet.

        Raises:
            UnsupportedModel: it was made for another model.
            InvalidSetting: there is one of this name, or it is no name.
        """
        if name in self.adapters:
            raise values.invalid("the name of an adapter", name, "one that no other adapter has")
        self._adapters.add(name, adapter)

    async def use_adapters(self, on: Mapping[str, float]) -> None:
        """Let these adapters count, with these scales, and no others; {} is the model by itself.

        What is being written meanwhile ends as one that was stopped; when nothing changes, nothing happens. The
        weights stay where they are; a set that was on before is there at once.

        Args:
            on: scales by name; 1 is as trained, 0 is off.

        Raises:
            SottoError: there is no such adapter.
            InvalidSetting: a scale is no number, or too large.
            DeviceError: the device has no room for it, or gave up.
        """
        wanted = self._adapters.checked(on)
        if wanted == self._sets.on:
            return
        await self._sets.prepare(wanted)
        with self.session.turn():  # nothing is waited for in it: no other turn comes between
            self._sets.take(wanted)
            self.session.reset()
            self._take_programs(self._programs)
            self._sets.drop_oldest()
        self.load_stats = replace(self.load_stats, device_bytes=dict(self._memory.nbytes))

    async def remove_adapter(self, name: str) -> None:
        """Forget an adapter; when it is on, it is off first. Raises SottoError when there is none of this name."""
        self._adapters.named(name)
        await self.use_adapters({n: scale for n, scale in self._sets.on.items() if n != name})
        self._adapters.remove(name)
        self._sets.drop_with(name)
        self.load_stats = replace(self.load_stats, device_bytes=dict(self._memory.nbytes))

    def _record(self, memory: AdapterMemory | None) -> Programs:
        """The plans with some adapters."""
        recorder = _adapted(self._recorder, memory)
        return Programs(self.device, self._memory, recorder, self._verdict.choices)

    # --- Running ----------------------------------------------------------------------------------------

    @property
    def plans(self) -> tuple[Plan, ...]:
        """The recorded plans: decode, then prefill by chunk size."""
        return tuple(self._programs.plans.values())

    def encode(self, prompt: Prompt | Sequence[int]) -> list[int]:
        """A prompt's token ids, BOS included."""
        return self.tokenizer.encode_segments(prompt.segments) if isinstance(prompt, Prompt) else list(prompt)

    def count(self, prompt: Prompt | Sequence[int]) -> int:
        """Tokens of a prompt."""
        return len(self.encode(prompt))

    def generate(
        self,
        prompt: Prompt | Sequence[int],
        max_tokens: int = 256,
        sampling: Sampling = Sampling(),  # noqa: B008  (frozen)
        stop: Sequence[str] = (),
        ignore_eos: bool = False,
        logits: Logits | None = None,
        loop_guard: bool = False,
        schema: Schema | None = None,
    ) -> AsyncGenerator[TextPart]:
        """Continue a prompt, token by token. `stats` describes the run while it goes on and afterwards.

        Args:
            prompt: segments with their stop strings, or token ids with BOS.
            max_tokens: the most new tokens; with 0 nothing is read either.
            sampling: how tokens are chosen.
            stop: more stop strings; they and what follows them are not shown.
            ignore_eos: go on where the model would end, to measure speed.
            logits: changes the logits before the choice: given those of all tokens, (V,) f32, which it may write to,
                and the text so far, it returns as many; minus infinity for a token that must not come. Costs a round
                trip for each token, and a copy of the logits.
            loop_guard: end an answer that repeats itself without end (text/loop_guard.py).
            schema: a JSON schema (text/json_schema.py tells which). The answer is JSON of it, whole also where the
                tokens are few, and nothing else ends it. Costs as much as `logits`.

        Raises:
            ContextFull: the prompt leaves no room for an answer.
            InvalidSetting: a setting is of the wrong kind or out of range.
            SottoError: there are too few tokens for any JSON of the schema.
        """
        ids = self.encode(prompt)
        if len(ids) > self.context - 1:
            raise ContextFull(len(ids), self.context - 1)
        ids = self._check_ids(ids)
        if isinstance(stop, str):
            raise values.invalid("stop", stop, "a list of texts")
        stops = (*prompt.stop, *stop) if isinstance(prompt, Prompt) else tuple(stop)
        if schema is not None:
            if stop or ignore_eos or logits:
                raise values.invalid("schema", schema, "given without stop, ignore_eos and logits")
            values.whole("max_tokens", max_tokens, 0)
            logits = self._constraint(schema, min(max_tokens, self.context - len(ids)))
            stops, loop_guard = (), False
        request = Request(ids, max_tokens, sampling, stops, ignore_eos, logits, loop_guard)
        self.stats = RunStats(prompt_tokens=len(ids))
        return generate(self.session, self.tokenizer, request, self.stats)

    def _constraint(self, schema: Schema, tokens: int) -> Constraint:
        """What lets an answer of so many tokens be JSON of a schema."""
        texts = self._token_texts
        root = grammar(schema, texts.characters.__contains__)
        return Constraint(texts, self.tokenizer, root, self.tokenizer.stop_ids, tokens)

    @cached_property
    def _token_texts(self) -> TokenTexts:
        return TokenTexts(self.tokenizer)

    @property
    def cards(self) -> list[Mapping[str, object]]:
        """What the model's files, and those of the adapters that are on, say of their training."""
        return [self._card, *(self.adapters[name].card for name in self.adapters_on)]

    @property
    def instruction_tuned(self) -> bool:
        """Whether the model is tuned for conversations of a known format."""
        return self.chat_format is not None

    def conversation(self, messages: Sequence[Message]) -> Prompt:
        """A prompt to answer the last of some messages.

        Raises:
            UnsupportedModel: the model is not tuned for conversations, or for those of a kind that is not known.
            SottoError: the messages do not take turns.
        """
        return conversation(messages, self._required_format())

    def stop(self) -> None:
        """End the generation in progress: within one token, and between layers during prefill."""
        self.session.stop()

    async def score(self, ids: Sequence[int], first: int = 1) -> NDArray[np.float32]:
        """Log-probability of each token from ids[first] on, given those before it.

        Args:
            ids: at most `context` tokens, BOS included.
            first: index of the first token to score, 1 to len(ids); what lies before it is only prefilled.

        Returns:
            (len(ids) - first,) f32, in nats.

        Raises:
            ContextFull: more tokens than the context holds.
            InvalidSetting: `first` or a token is none of those there are.
            Cancelled: `stop` was called.
            TurnLost: something else was begun on this model meanwhile.
            DeviceError: the model's output is not a number.
        """
        if len(ids) > self.context:
            raise ContextFull(len(ids), self.context)
        ids = self._check_ids(ids)
        values.whole("first", first, 1, len(ids))
        await self._programs.scorer()  # compiled before the turn
        parts = []
        self.session.forget()
        with self.session.turn() as turn:
            scorer = await self._programs.scorer()  # of the adapters that are on in this turn
            await turn.read(ids[: first - 1], first - 1)
            for start in range(first - 1, len(ids) - 1, scorer.plan.tokens):
                end = min(start + scorer.plan.tokens, len(ids) - 1)
                out = await turn.run(scorer, start, ids[start:end], targets=ids[start + 1 : end + 1])
                parts.append(np.frombuffer(out, np.float32)[: end - start])
        scores = np.concatenate(parts) if parts else np.empty(0, np.float32)
        if not np.isfinite(scores).all():
            raise not_a_number()
        return scores

    def forget(self) -> None:
        """Read the next prompt from its beginning, also where it shares that with the text in the cache.

        For measurements: what is in the cache is otherwise not computed again.
        """
        self.session.forget()

    async def time_token(self) -> float:
        """Seconds that one token takes at the beginning of a text. Nothing of it stays in the cache: decode's rounding
        is not prefill's, and what is written next must not depend on whether something was timed."""
        started = time.perf_counter()
        with self.session.turn() as turn:
            await turn.run(self.session.programs[1], 0, [self.tokenizer.bos])
        taken = time.perf_counter() - started
        self.forget()
        return taken

    async def profile(
        self, tokens: int, passes: Sequence[Sequence[int]], position: int = 0
    ) -> list[float] | None:
        """Seconds on the device of dispatches of the plan that takes so many tokens; None without timestamp queries.

        Args:
            tokens: of the plan; they are all token 0.
            passes: numbers of dispatches; each sequence is replayed in this order and timed as a whole. What is
                computed means nothing where that is not the plan's order.
            position: of the first token; what the cache holds before it is attended to.
        """
        with self.session.turn() as turn:
            return await turn.profile(self.session.programs[tokens], position, passes)

    def close(self) -> None:
        """Free the model's device memory; the device itself stays open."""
        self._unload()
        self._memory.release()

    def _unload(self) -> None:
        self._sets.unload()

    def _check_context(self, context: int) -> None:
        if context < 2 or context > self.config.context_limit:
            raise SottoError(
                f"A context of {context:,} tokens is not possible.",
                f"This model allows 2 to {self.config.context_limit:,}.",
            )

    def _check_ids(self, ids: Sequence[int]) -> list[int]:
        """Token ids as plain numbers."""
        if not len(ids):
            raise SottoError("There is nothing to read: the prompt has no tokens.", "Give it some text.")
        most = self.config.vocabulary - 1
        if all(type(i) is int and 0 <= i <= most for i in ids):  # nearly always, and quick to see
            return list(ids)
        return [values.whole("a token", i, 0, most) for i in ids]


def _adapted(recorder: Recorder, memory: AdapterMemory | None) -> Recorder:
    """A recorder with some adapters."""
    return recorder.adapted(memory.adapted(recorder.weights)) if memory else recorder


async def _for_rounding(source: Source | Folder, scheme: str, kept: str) -> Source | Folder:
    """The files of a model that is kept with its weights rounded in another way. Raises FilesNeeded."""
    try:
        return await opened(source, whole=True)
    except ModelLost as error:
        raise FilesNeeded(source.name, kept or imports.ORIGINAL, scheme or imports.ORIGINAL) from error
