"""Loads a model onto a device and runs it: prefill, decode, stop, statistics.

Everything is asynchronous because a browser's GPU is; under plain Python nothing here ever waits, so the same
coroutines are driven to their end without an event loop (api.py).
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .. import models, ops
from ..device import Device
from ..errors import ContextFull, SottoError, StoreDamaged, UnsupportedModel
from ..formats import gguf
from ..formats.gguf import Header
from ..models.base import Config, Head
from ..models.recorder import Recorder
from ..plan import variants
from ..plan.memory import Memory, kernels
from ..plan.plan import Plan, Use, tensor
from ..plan.weights import bind
from ..reports import LoadProgress, LoadStats, RunStats, Settings, TextPart
from ..source import Source
from ..store import Store
from ..text.prompt import Prompt
from ..text.sampler import Sampling, not_a_number
from ..text.tokenizer import Tokenizer
from ..tuning import candidates as selection
from ..tuning.tuner import Tuner
from ..tuning.verdict import Verdict, usual
from ..weights.image import Image
from ..weights.loader import Loader, Watch, read_header
from .generation import Logits, Request, generate
from .session import Loaded, Session

SCORE_CHUNK = 32  # tokens: the head's logits for one chunk are SCORE_CHUNK * V floats


DEFAULTS = Settings()


def _ignore(progress: LoadProgress) -> None:
    """The default progress callback."""


class Engine:
    """A loaded model. Make one with `Engine.load`.

    Attributes:
        name: the model file's name.
        config: sizes of the model.
        tokenizer: of the model file.
        context: tokens that fit, prompt and answer together.
        load_stats: how loading went.
        stats: of the latest generation, filled in while it runs.
    """

    def __init__(self, device: Device, header: Header, settings: Settings, name: str) -> None:
        self.device = device
        self.name = name
        architecture = models.find(header.metadata)
        self.config: Config = architecture.read(header.metadata)
        self._check_context(settings.context)
        self.context = settings.context
        self.settings = replace(
            settings,
            chunks=tuple(sorted({min(c, settings.context) for c in settings.chunks})),
            candidates=min(settings.candidates, self.config.vocabulary),
        )
        self.tokenizer = Tokenizer.from_metadata(header.metadata)
        self.stats = RunStats()
        self.load_stats = LoadStats(False, {}, {})
        self._memory = Memory(device)
        self._image = Image.of(header, architecture.wanted(self.config))
        adapter, limits = device.adapter, device.limits
        self._recorder = Recorder(
            architecture,
            self.config,
            bind(self._image, limits.max_binding),
            architecture.caches(self.config, self.context, max((1, *self.settings.chunks))),
            architecture.constants(self.config, self.context),
            tensor("text", (self.context,), "u32", Use.CACHE),
            self.settings.candidates,
            limits,
        )
        self._pinned = selection.pinned(settings.variant, adapter, limits)
        self._sizes = tuple(sorted({1, *self.settings.chunks}))
        self._tuned = Verdict({})
        self._plans: dict[int, Plan] = {}
        ring = min(cache.keys.shape[0] for cache in self._recorder.caches)
        self.session = Session(device, self.context, ring, self.config.window, self.settings.candidates)
        self._roomy = ring >= min(self.context, self.config.window + ops.MOST_TOKENS)
        self._score: Loaded | None = None
        self._check: Plan | None = None
        self._checker: Loaded | None = None

    @classmethod
    async def load(
        cls,
        source: Source,
        device: Device,
        store: Store | None = None,
        settings: Settings = DEFAULTS,
        progress: Callable[[LoadProgress], None] = _ignore,
    ) -> Engine:
        """Load a model file: from the store when it was converted before, else from the source.

        Raises:
            FormatError, UnsupportedModel: the file cannot be run.
            LimitError: the adapter's limits are too small for it.
            DeviceError: the device gave up.
        """
        watch = Watch()
        manifest = await store.find(source.key) if store else None
        progress(LoadProgress("header", 0, 0, manifest is not None))
        try:
            header, header_bytes = await read_header(source, store, manifest)
        except StoreDamaged:
            manifest = None
            header, header_bytes = await read_header(source, store, None)
        engine = cls(device, header, settings, source.name)
        tuner = None
        try:
            tuner = await engine._tuner(store)
            engine._record()
            watch.lap("header")
            engine._allocate()
            if tuner and tuner.unchecked:
                progress(LoadProgress("pipelines", 0, len(engine._plans), manifest is not None))
                await tuner.expect()
                watch.lap("pipelines")
                await tuner.check()
                watch.lap("tuning")
            await engine._prepare(tuner)
            loader = Loader(device, engine._image, engine._memory.placements, header_bytes, progress)
            note = await loader.fill(source, store, manifest)
            cached = note == "cached"
            watch.lap("weights")
            progress(LoadProgress("tokenizer", 0, 1, cached))
            engine.tokenizer.encode("a b")  # builds the tables now rather than at the first prompt
            watch.lap("tokenizer")
            await engine._compile(progress, cached)
            watch.lap("pipelines")
            if tuner:
                tuned = await tuner.run(lambda n, of: progress(LoadProgress("tuning", n, of, cached)))
                watch.lap("tuning")
                await engine._use(tuned, progress, cached)
                watch.lap("pipelines")
            engine._prepare_check()
        except BaseException as error:
            if tuner:
                await tuner.abandon(error)
            engine.close()
            raise
        engine.load_stats = replace(
            engine._facts(), cached=cached, seconds=watch.seconds, note="" if cached else note
        )
        progress(LoadProgress("ready", 1, 1, cached))
        return engine

    @classmethod
    async def outline(cls, source: Source, device: Device, settings: Settings = DEFAULTS) -> Engine:
        """A model without its weights: the plans and the memory of what `load` would put onto the device.

        Raises what `load` raises about the file and the limits.
        """
        header, _ = await gguf.read_header(source)
        engine = cls(device, header, settings, source.name)
        engine._tuned = usual(device, engine._recorder, engine._pinned, engine._sizes)
        engine._record()
        engine._allocate()
        await engine._compile(_ignore, False)
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
        recorder = self._recorder.at(context, sizes[-1])
        usual = list(self._tuned.choices.values())[-1]
        choices = {size: self._tuned.choices.get(size, usual) for size in sizes}
        return recorder.needed(recorder.plan(_name(size), size, choice) for size, choice in choices.items())

    # --- Loading ----------------------------------------------------------------------------------------

    async def _tuner(self, store: Store | None) -> Tuner | None:
        """Choose kernels: what was found here before, or the usual ones, and somebody who finds better ones."""
        device, recorder = self.device, self._recorder
        if not device.adapter.runtime or not self.settings.tune:
            self._tuned = usual(device, recorder, self._pinned, self._sizes)
            return None
        tuner = Tuner(device, recorder, self._memory, self._pinned, self._sizes, store)
        self._tuned = await tuner.recall(forget=selection.measured_again(self.settings.variant))
        return None if self._tuned.finished else tuner

    async def _use(self, tuned: Verdict, progress: Callable[[LoadProgress], None], cached: bool) -> None:
        """Take other kernels than those compiled so far."""
        same = tuned.choices == self._tuned.choices
        self._tuned = tuned
        if not same:
            self._unload()
            self._record()
            self._memory.reserve(self._plans.values())
            await self._compile(progress, cached)

    def _record(self) -> None:
        self._plans = {
            tokens: self._recorder.plan(_name(tokens), tokens, choice)
            for tokens, choice in self._tuned.choices.items()
        }

    def _facts(self) -> LoadStats:
        """What there is on the device."""
        tuned = self._tuned
        return LoadStats(
            False,
            {},
            dict(self._memory.nbytes),
            variants={_name(t): choice.names() for t, choice in tuned.choices.items()},
            chosen=tuned.how,
            rejected=tuned.rejected,
            tuned={_name(t): seconds for t, seconds in tuned.seconds.items()},
            untried={_name(t): tuple(names) for t, names in tuned.untried.items()},
        )

    def _allocate(self) -> None:
        self._recorder.allocate(self._memory)
        self.session.text, _ = self._memory.place(self._recorder.text)
        self._memory.reserve(self._plans.values())

    async def _prepare(self, tuner: Tuner | None) -> None:
        """Let the kernels compile while the weights arrive."""
        first, then = await tuner.ahead() if tuner else ([], [])
        for plan in (*first, *self._plans.values(), *then):
            self.device.prepare(*kernels(plan)[:2])

    async def _compile(self, progress: Callable[[LoadProgress], None], cached: bool) -> None:
        for index, (tokens, plan) in enumerate(self._plans.items()):
            progress(LoadProgress("pipelines", index, len(self._plans), cached))
            self.session.programs[tokens] = Loaded(plan, await self.device.load(self._memory.program(plan)))

    def _prepare_check(self) -> None:
        """Let what checks drafts compile beside the first answer, where it can have decode's very arithmetic: the fused
        kernels take several tokens, and the rings need room for those that are not wanted.
        """
        choice = self._plans[1].choice
        if self._roomy and choice[variants.Job.DECODE] != variants.SIMPLE[variants.Job.DECODE]:
            self._check = self._recorder.plan("check", ops.MOST_TOKENS, choice, Head.BEST)
            if not self.device.adapter.software:  # there it would take turns with every answer, wanted or not
                self.device.prepare(*kernels(self._check)[:2])
            self.session.checker = self._checks

    # --- Running ----------------------------------------------------------------------------------------

    @property
    def plans(self) -> tuple[Plan, ...]:
        """The recorded plans: decode, then prefill by chunk size."""
        return tuple(self._plans.values())

    @property
    def instruction_tuned(self) -> bool:
        """Whether the file has a chat template."""
        return self.tokenizer.chat_template is not None

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
    ) -> AsyncGenerator[TextPart]:
        """Continue a prompt, token by token. `stats` describes the run while it goes on and afterwards.

        Args:
            prompt: segments with their stop strings, or token ids with BOS.
            max_tokens: the most new tokens.
            sampling: how tokens are chosen.
            stop: more stop strings; they and what follows them are not shown.
            ignore_eos: go on where the model would end, to measure speed.
            logits: changes the candidates' logits before the choice: given the token ids (K,) and logits (K,) f32 of
                the candidates and the text so far, it returns new logits. Costs a round trip for each token.

        Raises:
            ContextFull: the prompt leaves no room for an answer.
        """
        ids = self.encode(prompt)
        if len(ids) > self.context - 1:
            raise ContextFull(len(ids), self.context - 1)
        self._check_ids(ids)
        if sampling.temperature > 0 and sampling.top_k > self.settings.candidates:
            raise UnsupportedModel(
                f"top-k {sampling.top_k} is more than the {self.settings.candidates} candidates the GPU selects.",
                "Lower top-k, or load the model with more candidates.",
            )
        stops = (*prompt.stop, *stop) if isinstance(prompt, Prompt) else tuple(stop)
        self.stats = RunStats(prompt_tokens=len(ids))
        request = Request(ids, max_tokens, sampling, stops, ignore_eos, logits)
        return generate(self.session, self.tokenizer, request, self.stats)

    async def _checks(self) -> Loaded | None:
        """The program that checks drafts; None as long as it is being compiled, which begins now at the latest."""
        plan = self._check
        if plan and self._checker is None and await self.device.ready(*kernels(plan)[:2], 0):
            self._checker = Loaded(plan, await self.device.load(self._memory.program(plan)))
        return self._checker

    def stop(self) -> None:
        """End the generation in progress: within one token, and between layers during prefill."""
        self.session.stop()

    async def score(self, ids: Sequence[int], first: int = 1) -> NDArray[np.float32]:
        """Log-probability of each token from ids[first] on, given those before it.

        Args:
            ids: at most `context` tokens, BOS included.
            first: index of the first token to score, at least 1; what lies before it is only prefilled.

        Returns:
            (len(ids) - first,) f32, in nats.

        Raises:
            ContextFull: more tokens than the context holds.
            DeviceError: the model's output is not a number.
        """
        ids = list(ids)
        if len(ids) > self.context:
            raise ContextFull(len(ids), self.context)
        self._check_ids(ids)
        session = self.session
        session.begin()
        session.forget()
        if self._score is None:
            tokens = min(SCORE_CHUNK, self.context)
            size = next((size for size in self._sizes if size >= tokens), self._sizes[-1])
            plan = self._recorder.plan("score", tokens, self._tuned.choices[size], Head.SCORES)
            self._score = Loaded(plan, await self.device.load(self._memory.program(plan)))
        plan = self._score.plan
        await session.read(ids[: first - 1], first - 1)
        parts = []
        for start in range(first - 1, len(ids) - 1, plan.tokens):
            end = min(start + plan.tokens, len(ids) - 1)
            out = await session.run(self._score, start, ids[start:end], targets=ids[start + 1 : end + 1])
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
        """Seconds that one token takes at the beginning of a text."""
        started = time.perf_counter()
        self.session.begin()
        await self.session.run(self.session.programs[1], 0, [self.tokenizer.bos])
        return time.perf_counter() - started

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
        self.session.begin()
        self.session.forget()
        loaded = self.session.programs[tokens]
        inputs = loaded.plan.inputs(position, [0] * tokens)
        return await self.device.profile(loaded.program, inputs, passes)

    def close(self) -> None:
        """Free the model's device memory; the device itself stays open."""
        self._unload()
        self._memory.release()

    def _unload(self) -> None:
        for loaded in (*self.session.programs.values(), self._score, self._checker):
            if loaded is not None:
                self.device.unload(loaded.program)
        self.session.programs.clear()
        self._score = self._checker = None

    def _check_context(self, context: int) -> None:
        if context < 2 or context > self.config.context_limit:
            raise SottoError(
                f"A context of {context:,} tokens is not possible.",
                f"This model allows 2 to {self.config.context_limit:,}.",
            )

    def _check_ids(self, ids: Sequence[int]) -> None:
        if not ids:
            raise SottoError("There is nothing to read: the prompt has no tokens.", "Give it some text.")
        wrong = next((i for i in ids if not 0 <= i < self.config.vocabulary), None)
        if wrong is not None:
            raise SottoError(
                f"{wrong} is not a token of this model.",
                f"Token ids go from 0 to {self.config.vocabulary - 1:,}.",
            )


def _name(tokens: int) -> str:
    """What the plan of a size is called."""
    return "decode" if tokens == 1 else f"prefill {tokens}"
