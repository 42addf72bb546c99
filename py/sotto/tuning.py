"""Finds the kernels that are right and fastest on the device at hand, on the model's own weights and shapes.

A sample of the forward pass, a few layers that have every kind of matrix and of cache, is recorded with each variant.
What it gives is held against what the simple kernels give (which known_answer.py holds against numpy): a variant
that differs by more than its precision explains, or that does not compile, is rejected. The others are timed in
turns. There is a budget; when it is used up, the fastest so far has won. The likely winners come first.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from . import selection, wgsl
from .device import Device, Store
from .errors import Cancelled, LimitError, SottoError, UnsupportedModel
from .known_answer import KnownAnswer, answer, cover, distance, past, question
from .layout import LAYOUT_VERSION
from .memory import Memory, kernels
from .models.base import Head
from .plan import Plan
from .recording import Recorder
from .variants import SIMPLE, Choice, Role, Variant
from .weights import Weights

BUDGET = 2.0  # seconds, from when the device has been checked
ROUNDS = 5
SLOWER = 1.25  # times the fastest: out after a round
CLEARLY = 0.97  # of the time of a likelier variant: only then is the less likely one taken
WHOLE = 0.03  # seconds: where a token takes less, whole tokens are timed
AHEAD = 3  # candidates of a role that compile while the weights arrive
POSITION = 512  # tokens before the sample
DECODE_ROWS, PREFILL_ROWS = 4096, 512  # of the head that are in a sample
TAIL = 3  # tokens that a prefill sample lacks of a full chunk
TOLERANCE = {"f32": 0.005, "f16": 0.05, "int8": 0.3}  # of the spread of a sample's outputs, by precision


@dataclass(frozen=True)
class Tuned:
    """What was found.

    Attributes:
        choices: by tokens of a plan.
        rejected: why a variant was not taken, by "role:name".
        seconds: medians of a sample, by plan size and variant; empty for what was not timed.
        how: "measured", "remembered" or "usual".
    """

    choices: Mapping[int, Choice]
    rejected: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    how: str = "usual"

    def to_text(self) -> str:
        """For the store."""
        choices = {
            tokens: [str(v) for v in choice.variants.values()] for tokens, choice in self.choices.items()
        }
        return json.dumps({"choices": choices, "rejected": self.rejected, "seconds": self.seconds})

    @classmethod
    def of_text(cls, text: str, device: Device, tokens: Sequence[int]) -> Tuned | None:
        """What `to_text` gave; None where it is not about these plan sizes, or a variant does not run any more."""
        try:
            found = json.loads(text)
            choices = {}
            for count in tokens:
                names = ",".join(found["choices"][str(count)])
                choices[count] = SIMPLE.but(*selection.pinned(names, device.adapter, device.limits).values())
            seconds = {int(count): dict(times) for count, times in found["seconds"].items()}
            return cls(choices, dict(found["rejected"]), seconds, "remembered")
        except (ValueError, TypeError, KeyError, AttributeError, SottoError):
            return None


def usual(device: Device, recorder: Recorder, pinned: Mapping[Role, Variant], tokens: Sequence[int]) -> Tuned:
    """What is taken where nothing was measured: the likely winners among those that have the model's shapes."""

    choice = SIMPLE.but(*pinned.values())
    for role in set(Role) - set(pinned):
        for variant in selection.candidates(role, device.adapter, device.limits):
            if variant == SIMPLE[role]:
                break
            with suppress(UnsupportedModel, LimitError):
                count = tokens[0] if role is Role.DECODE else tokens[-1]
                recorder.plan("trial", count, SIMPLE.but(variant), layers=(0,))
                choice = choice.but(variant)
                break
    return Tuned(dict.fromkeys(tokens, choice))


def key(device: Device, recorder: Recorder, tokens: Sequence[int]) -> str:
    """What the result of tuning holds for: adapter, driver, browser, model shape, layout and kernels."""
    weights = [(t.name, t.shape, t.nbytes) for t in recorder.weights.planes()]
    shape = hashlib.sha256(repr(sorted(weights)).encode()).hexdigest()
    parts = [asdict(device.adapter), shape, list(tokens), LAYOUT_VERSION, _kernels_digest()]
    return "tuning " + hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _kernels_digest() -> str:
    """Of the kernels' texts, and of the variants made from them."""
    digest = hashlib.sha256(repr(selection.VARIANTS).encode())
    folder = wgsl.kernels_folder()
    for path in sorted(folder.rglob("*.wgsl")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class _Sample:
    """A part of the forward pass that is timed.

    Attributes:
        expected: what the simple kernels give.
        seconds: that these take.
        choice: of the roles that are not timed.
    """

    recorder: Recorder
    tokens: int
    layers: tuple[int, ...]
    position: int
    count: int
    expected: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    seconds: float = 0.0
    choice: Choice = SIMPLE

    def plan(self, variant: Variant) -> Plan:
        """The sample with a variant."""
        head = Head.CANDIDATES if self.tokens == 1 else Head.SCORES
        name = f"{variant} for {self.tokens}"
        return self.recorder.plan(name, self.tokens, self.choice.but(variant), head, self.layers)


@dataclass
class _Lane:
    """A variant in a race."""

    variant: Variant
    plan: Plan
    program: int
    inputs: bytes
    times: list[float] = field(default_factory=list)


class Tuner:
    """Tunes one model on one device; made before the weights are there, run when they are.

    Args:
        pinned: variants that a person chose: their roles are not tuned.
        usual: what would be taken without tuning; its plan sizes, 1 among them, ascend.
    """

    def __init__(
        self,
        device: Device,
        recorder: Recorder,
        memory: Memory,
        pinned: Mapping[Role, Variant],
        usual: Tuned,
    ) -> None:
        self._device = device
        self._recorder = recorder
        self._memory = memory
        self._tokens = tuple(usual.choices)
        self._usual = usual
        self._pinned = pinned
        adapter, limits = device.adapter, device.limits
        self._candidates = {
            role: (pinned[role],)
            if role in pinned
            else self._tried(selection.candidates(role, adapter, limits))
            for role in Role
        }
        self._key = key(device, recorder, self._tokens)
        layers = cover(recorder.plan("kinds", 1, SIMPLE), lambda d: (d.kernel.name, d.constants))
        self._layers = tuple(sorted(layers[:1] if adapter.software else layers))
        self._rejected: dict[str, str] = {}
        self._seconds: dict[int, dict[str, float]] = {}
        self._done = 0

    def _tried(self, candidates: tuple[Variant, ...]) -> tuple[Variant, ...]:
        """On a software adapter not what was made for GPUs: compiling alone would use up the budget."""
        if not self._device.adapter.software:
            return candidates
        return tuple(variant for variant in candidates if variant.suits != "gpu")

    async def remembered(self, store: Store | None) -> Tuned | None:
        """What was found here before, but for what is pinned."""
        note = await store.find_note(self._key) if store else None
        found = Tuned.of_text(note, self._device, self._tokens) if note else None
        if not found:
            return None
        choices = {tokens: choice.but(*self._pinned.values()) for tokens, choice in found.choices.items()}
        return replace(found, choices=choices)

    def prepare(self) -> None:
        """Begin to compile what will be needed first."""
        self._known_answer = KnownAnswer(self._recorder)
        for plan in self._plans_ahead():
            self._device.prepare(*kernels(plan)[:2])

    def _plans_ahead(self) -> Iterator[Plan]:
        yield from self._known_answer.plans
        for tokens in self._tokens[:2]:
            rows = DECODE_ROWS if tokens == 1 else PREFILL_ROWS
            recorder = replace(self._recorder, weights=self._recorder.weights.shortened("embed", rows))
            sample = _Sample(recorder, tokens, self._layers, 0, 1)
            for role in self._races(tokens):
                yield sample.plan(SIMPLE[role])
                for variant in self._candidates[role][:AHEAD]:
                    with suppress(SottoError):  # told when it is its turn
                        yield sample.plan(variant)

    async def run(self, progress: Callable[[int, int], None], store: Store | None) -> Tuned:
        """Check the device, then tune, and remember what was found. Call `prepare` before.

        Args:
            progress: told how many of how many candidates are done.

        The usual programs may be loaded: they are not touched.

        Raises:
            WrongResults: the device computes wrongly even with the simple kernels.
            DeviceError: the device gave up.
        """
        self._progress = progress
        self._tell(0)
        await self._known_answer.check(self._device)
        began = time.perf_counter()
        fastest: dict[Role, Variant] = {}
        choices: dict[int, Choice] = {}
        expected = 0.0  # seconds of the sample with the simple kernels, where it can be told
        for index, (tokens, choice) in enumerate(self._usual.choices.items()):
            now = time.perf_counter()
            roles = self._races(tokens)
            races = sum(map(bool, map(self._races, self._tokens[index:])))
            until = now + (began + BUDGET - now) / max(races, 1)
            if expected:
                expected *= tokens / self._tokens[index - 1]
            if roles and (self._unknown(roles, fastest) or 2 * expected < until - now):
                with self._memory.temporary():
                    sample = await self._sample(tokens)
                    expected = sample.seconds if tokens > 1 else 0.0
                    for role in roles:
                        fastest[role] = await self._race(sample, role, until)
                        sample = replace(sample, choice=sample.choice.but(fastest[role]))
            choices[tokens] = choice.but(*fastest.values())
        for tokens, choice in choices.items():  # one that is wrong in one size is not trusted in another
            wrong = [v for v in choice.variants.values() if str(v) in self._rejected]
            choices[tokens] = choice.but(*(SIMPLE[v.role] for v in wrong))
        tuned = Tuned(choices, self._rejected, self._seconds, "measured")
        if store and not self._pinned:
            await store.keep_note(self._key, tuned.to_text())
        return tuned

    def _unknown(self, roles: Sequence[Role], fastest: Mapping[Role, Variant]) -> bool:
        """Whether a real GPU has not shown yet that what is usual for these roles is right on it."""
        return not self._device.adapter.software and not set(roles) <= set(fastest)

    def _races(self, tokens: int) -> list[Role]:
        """The roles in a plan that have more than one candidate."""
        roles = (Role.DECODE,) if tokens == 1 else (Role.MATMUL, Role.ATTENTION)
        if self._device.adapter.software and tokens not in self._tokens[:2]:
            return []  # the larger chunks take what the smallest has shown
        return [role for role in roles if len(self._candidates[role]) > 1]

    async def _sample(self, tokens: int) -> _Sample:
        """What is timed for a plan size, and what the simple kernels give for it."""
        rows = DECODE_ROWS if tokens == 1 else PREFILL_ROWS
        sample = await self._asked(tokens, self._layers, self._recorder.weights.shortened("embed", rows))
        everything = tuple(range(self._recorder.config.layers))
        if tokens == 1 and sample.seconds * len(everything) / len(self._layers) < WHOLE:
            sample = await self._asked(tokens, everything, self._recorder.weights)
        for role in self._races(tokens)[1:]:  # the first race needs right kernels for the other roles
            for variant in self._candidates[role]:
                lane = await self._enter(sample, variant)
                if lane:
                    self._device.unload(lane.program)
                    sample = replace(sample, choice=sample.choice.but(variant))
                    break
        return sample

    async def _asked(self, tokens: int, layers: tuple[int, ...], weights: Weights) -> _Sample:
        recorder = replace(self._recorder, weights=weights)
        slots = max(cache.keys.shape[0] for cache in recorder.caches)
        position = max(min(POSITION, slots - tokens), 0)
        count = max(tokens // 2, 1) if self._device.adapter.software else max(tokens - TAIL, 1)
        for layer in self._layers:
            for tensor in (recorder.caches[layer].keys, recorder.caches[layer].values):
                read = min(position, tensor.shape[0])
                self._device.write(self._memory.handle(tensor), 0, past(tensor, read))
        sample = _Sample(recorder, tokens, layers, position, count)
        lane = await self._loaded(sample, SIMPLE[Role.DECODE])
        try:
            out = await self._device.run(lane.program, lane.inputs)
            seconds = await self._time(lane)
        finally:
            self._device.unload(lane.program)
        return replace(sample, expected=answer(lane.plan, out, count), seconds=seconds)

    async def _loaded(self, sample: _Sample, variant: Variant) -> _Lane:
        plan = sample.plan(variant)
        program = await self._device.load(self._memory.program(plan))
        rows = sample.recorder.weights.matrix("embed").rows
        return _Lane(variant, plan, program, question(plan, rows, sample.position, sample.count))

    async def _enter(self, sample: _Sample, variant: Variant) -> _Lane | None:
        """A variant that gives the right answer, ready to be timed; None for a rejected one."""
        if str(variant) in self._rejected:
            return None
        lane = None
        try:
            lane = await self._loaded(sample, variant)
            out = await self._device.run(lane.program, lane.inputs)
            off = distance(answer(lane.plan, out, sample.count), sample.expected)
            if off <= TOLERANCE[variant.precision]:
                return lane
            reason = f"wrong results, off by {off:.1%}"
        except Cancelled:
            raise
        except SottoError as error:
            reason = error.message
        if lane:
            self._device.unload(lane.program)
        self._rejected[str(variant)] = reason
        return None

    async def _race(self, sample: _Sample, role: Role, until: float) -> Variant:
        """The fastest variant of a role."""
        entered: list[_Lane] = []
        least = 1 if self._device.adapter.software else 2  # are compared, whatever the time
        try:
            for variant in self._candidates[role]:
                if role is Role.DECODE and variant == SIMPLE[role] and entered:
                    break  # five dispatches a layer, and several tokens at once, wherever a fused one is right
                in_time = len(entered) < least or time.perf_counter() < until
                if in_time and (lane := await self._enter(sample, variant)):
                    lane.times.append(await self._time(lane))
                    entered.append(lane)
                self._tell(1)
            lanes = entered
            for _ in range(ROUNDS - 1):
                if len(lanes) < 2 or time.perf_counter() > until:
                    break
                for lane in lanes:
                    lane.times.append(await self._time(lane))
                fastest = min(min(lane.times) for lane in lanes)
                lanes = [lane for lane in lanes if min(lane.times) <= SLOWER * fastest]
        finally:
            for lane in entered:
                self._device.unload(lane.program)
        found = {str(lane.variant): statistics.median(lane.times) for lane in entered}
        self._seconds.setdefault(sample.tokens, {}).update(found)
        best = SIMPLE[role]
        for lane in lanes:
            if lane is lanes[0] or found[str(lane.variant)] < CLEARLY * found[str(best)]:
                best = lane.variant
        return best

    async def _time(self, lane: _Lane) -> float:
        began = time.perf_counter()
        await self._device.run(lane.program, lane.inputs)
        return time.perf_counter() - began

    def _tell(self, more: int) -> None:
        self._done += more
        total = sum(len(self._candidates[role]) for tokens in self._tokens for role in self._races(tokens))
        self._progress(min(self._done, total), total)
