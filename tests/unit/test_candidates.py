"""Which variants a device is given, and how they are asked for by name."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import cast

import pytest

from sotto.device import AdapterInfo, Limits
from sotto.devices.reference.device import NumpyDevice
from sotto.errors import SottoError, UnsupportedModel
from sotto.models.recorder import Recorder
from sotto.plan.variants import SIMPLE, Job, KernelChoice, Variant
from sotto.tuning import candidates
from sotto.tuning.verdict import usual as usual_kernels

GPU = AdapterInfo("A GPU", "", "", "", "", False, ("shader-f16",))
SOFTWARE = replace(GPU, name="Software", software=True)
CPU = replace(GPU, name="CPU", wgsl=False)
LIMITS = Limits(1 << 30, 1 << 30, 8, 256, 16_384, 65_535)

TILED = Variant(Job.MATMUL, "tiled")
HALF = Variant(Job.MATMUL, "half", features=frozenset({"shader-f16"}))
WAVES = Variant(Job.MATMUL, "waves", features=frozenset({"subgroups"}))
WIDE = Variant(Job.MATMUL, "wide", workgroup=512)
ROWS = Variant(Job.MATMUL, "rows", suits="software")
ALL = (HALF, TILED, WAVES, WIDE, ROWS, SIMPLE[Job.MATMUL])


def device(adapter: AdapterInfo, limits: Limits = LIMITS) -> NumpyDevice:
    """One that says it is this."""
    made = NumpyDevice()
    made.adapter, made.limits = adapter, limits
    return made


class Shapes:
    """Records plans of a model whose shapes some matmuls do not have."""

    def __init__(self, lacking: Collection[str]) -> None:
        self._lacking = lacking

    def plan(self, name: str, tokens: int, choice: KernelChoice, *, layers: Sequence[int]) -> None:
        if choice[Job.MATMUL].name in self._lacking:
            raise UnsupportedModel("The kernels cannot run this shape.")


def usual(
    adapter: AdapterInfo,
    lacking: Collection[str] = (),
    barred: Collection[str] = (),
    pinned: Mapping[Job, Variant] = MappingProxyType({}),
) -> str:
    """The matmul that an adapter is given where nothing was measured on it."""
    found = usual_kernels(device(adapter), cast("Recorder", Shapes(lacking)), pinned, (1, 8), barred)
    assert found.choices.keys() == {1, 8} and found.how == "usual"
    (name,) = {choice[Job.MATMUL].name for choice in found.choices.values()}
    return name


@pytest.fixture(autouse=True)
def variants(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    found = {**{job: (SIMPLE[job],) for job in Job}, Job.MATMUL: ALL}
    monkeypatch.setattr(candidates, "VARIANTS", MappingProxyType(found))
    yield


@pytest.mark.parametrize(
    ("adapter", "names"),
    [
        (GPU, ["half", "tiled", "rows", "simple"]),
        (replace(GPU, features=()), ["tiled", "rows", "simple"]),
        (replace(GPU, features=("subgroups",)), ["tiled", "waves", "rows", "simple"]),
        (SOFTWARE, ["rows", "simple", "half", "tiled"]),
        (CPU, ["simple"]),
    ],
)
def test_what_can_run_comes_with_the_likely_winner_first(adapter: AdapterInfo, names: list[str]) -> None:
    found = candidates.candidates(Job.MATMUL, device(adapter))
    assert [variant.name for variant in found] == names
    assert usual(adapter) == names[0]


def test_what_lacks_the_models_shapes_or_is_barred_is_passed_over() -> None:
    assert usual(GPU, lacking={"half"}) == usual(GPU, barred={"matmul:half"}) == "tiled"
    assert usual(GPU, lacking={"half", "rows"}, barred={"matmul:tiled"}) == "simple"
    assert usual(GPU, pinned={Job.MATMUL: TILED}) == "tiled"


def test_limits_count() -> None:
    large = replace(LIMITS, max_workgroup_invocations=1024)
    assert WIDE in candidates.candidates(Job.MATMUL, device(GPU, large))
    small = replace(LIMITS, max_workgroup_memory=8192)
    assert (
        candidates.candidates(Job.MATMUL, device(GPU, small)) == ()
    )  # every device that WebGPU knows has 16 KiB


def test_pinned_by_name() -> None:
    assert candidates.pinned("", device(GPU)) == {}
    found = candidates.pinned("matmul:tiled, decode:simple,", device(GPU))
    assert found == {Job.MATMUL: TILED, Job.DECODE: SIMPLE[Job.DECODE]}


@pytest.mark.parametrize("name", ["matmul:fast", "tiled", "matmul", "gemm:tiled", "MATMUL:tiled"])
def test_an_unknown_name_lists_the_possible_ones(name: str) -> None:
    with pytest.raises(SottoError, match=r"no kernel variant.*matmul:half, matmul:tiled.*attention:simple"):
        candidates.pinned(name, device(GPU))


def test_what_does_not_run_here_is_refused() -> None:
    with pytest.raises(SottoError, match=r"does not run on A GPU\. Here run: matmul:half, matmul:tiled"):
        candidates.pinned("matmul:waves", device(GPU))
    with pytest.raises(SottoError, match=r"does not run on CPU\. Here run: matmul:simple\."):
        candidates.pinned("matmul:half", device(CPU))


@pytest.mark.parametrize(("text", "found"), [("", "int8"), ("f16", "f16"), ("f16, matmul:tiled,f32", "f32")])
def test_the_least_precision_is_asked_for_beside_variants(text: str, found: str) -> None:
    assert candidates.precision(text) == found
    assert set(candidates.pinned(text, device(GPU))) == ({Job.MATMUL} if "tiled" in text else set())


@pytest.mark.parametrize(
    ("precision", "names"),
    [("int8", {"eighth", "half", "tiled"}), ("f16", {"half", "tiled"}), ("f32", {"tiled"})],
)
def test_nothing_computes_with_less(precision: str, names: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    half, eighth = replace(HALF, precision="f16"), replace(TILED, name="eighth", precision="int8")
    there = {**candidates.VARIANTS, Job.MATMUL: (half, eighth, TILED, SIMPLE[Job.MATMUL])}
    monkeypatch.setattr(candidates, "VARIANTS", MappingProxyType(there))
    found = {variant.name for variant in candidates.candidates(Job.MATMUL, device(GPU), precision)}
    assert found == names | {"simple"}
    verdict = usual_kernels(device(GPU), cast("Recorder", Shapes(())), {}, (1, 8), precision=precision)
    assert {choice[Job.MATMUL].name for choice in verdict.choices.values()} <= names
