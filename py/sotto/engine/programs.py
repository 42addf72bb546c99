"""A model's plans and their programs on the device, for one choice of adapters."""

from __future__ import annotations

from collections.abc import Mapping

from .. import ops
from ..device import Device
from ..models.base import Head
from ..models.recorder import Recorder
from ..plan import variants
from ..plan.memory import Memory, kernels
from ..plan.plan import Plan
from ..plan.variants import KernelChoice
from ..reports import Stages
from .session import Loaded

SCORE_CHUNK = 32  # tokens: the head's logits for one chunk are SCORE_CHUNK * V floats


def name_of(tokens: int) -> str:
    """What the plan of a size is called."""
    return "decode" if tokens == 1 else f"prefill {tokens}"


class Programs:
    """Plans that are recorded at once, and programs that are made of them when they are wanted.

    Args:
        recorder: the model, with the adapters that are on.
        choices: of kernels, by the most tokens of a plan.

    Attributes:
        plans: by the most tokens that each takes, ascending; 1 is decode, the others are prefill chunks.
        loaded: their programs, as far as they are compiled.
        check: the plan that checks drafts; None where these are not checked.
    """

    def __init__(
        self, device: Device, memory: Memory, recorder: Recorder, choices: Mapping[int, KernelChoice]
    ) -> None:
        self._device = device
        self._memory = memory
        self._recorder = recorder
        self._choices = choices
        self.plans: dict[int, Plan] = {
            tokens: recorder.plan(name_of(tokens), tokens, choice) for tokens, choice in choices.items()
        }
        self.loaded: dict[int, Loaded] = {}
        self.check: Plan | None = None
        self._checker: Loaded | None = None
        self._scorer: Loaded | None = None

    async def compile(self, stages: Stages) -> None:
        """Make the programs of the plans. Raises DeviceError."""
        for index, (tokens, plan) in enumerate(self.plans.items()):
            stages.tell("pipelines", index, len(self.plans))
            if tokens not in self.loaded:
                self.loaded[tokens] = await self._load(plan)

    def prepare_check(self) -> None:
        """Let what checks drafts compile beside the first answer, where it can have decode's very arithmetic: the fused
        kernels take several tokens."""
        choice = self.plans[1].choice
        if choice[variants.Job.DECODE] != variants.SIMPLE[variants.Job.DECODE]:
            self.check = self._recorder.plan("check", ops.MOST_TOKENS, choice, Head.BEST)
            if not self._device.traits.dear_compiler:  # it would take turns with every answer, wanted or not
                self._device.prepare(*kernels(self.check)[:2])

    async def checker(self) -> Loaded | None:
        """The program that checks drafts; None as long as it is being compiled, which begins now at the latest."""
        plan = self.check
        if plan and self._checker is None and await self._device.ready(*kernels(plan)[:2], 0):
            loaded = await self._load(plan)
            if self._checker is None:
                self._checker = loaded
            else:  # somebody else was faster
                self._drop(loaded)
        return self._checker

    async def scorer(self) -> Loaded:
        """The program that tells the log-probabilities of given tokens, SCORE_CHUNK at a time. Raises DeviceError."""
        if self._scorer is None:
            tokens = min(SCORE_CHUNK, self._recorder.text.shape[0])
            size = next((size for size in self._choices if size >= tokens), max(self._choices))
            loaded = await self._load(self._recorder.plan("score", tokens, self._choices[size], Head.SCORES))
            if self._scorer is None:
                self._scorer = loaded
            else:  # somebody else was faster
                self._drop(loaded)
        return self._scorer

    def unload(self) -> None:
        """Forget the programs, and free what each has for itself."""
        for loaded in (*self.loaded.values(), self._scorer, self._checker):
            if loaded is not None:
                self._drop(loaded)
        self.loaded.clear()
        self._scorer = self._checker = None

    async def _load(self, plan: Plan) -> Loaded:
        return await Loaded.load(self._device, self._memory, plan)

    def _drop(self, loaded: Loaded) -> None:
        self._device.unload(loaded.program)
        self._memory.forget(loaded.inputs)
