"""What all rungs share: the GPU, the golden files, a loop-free way to drive coroutines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

import vulkan
from sotto.native.dawn import NativeDevice

settings.register_profile("untimed", deadline=None)  # a busy machine is no fault of an example
settings.load_profile("untimed")

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def gpu() -> Iterator[NativeDevice]:
    """A real WebGPU device. No adapter is a failure, never a skip."""
    vulkan.choose_driver()
    device = NativeDevice()
    print(f"\nadapter: {device.adapter}")
    yield device
    device.close()


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    """Outputs of Hugging Face transformers for the default model."""
    return json.loads((GOLDEN / "gemma3-270m.json").read_text("utf-8"))


@pytest.fixture(scope="session")
def golden_adapters() -> dict[str, list[float]]:
    """Negative log-likelihoods that transformers and PEFT give for the adapters of lora.CASES."""
    found: dict[str, list[float]] = json.loads((GOLDEN / "gemma3-270m-adapters.json").read_text("utf-8"))[
        "nll"
    ]
    return found


@pytest.fixture(scope="session")
def golden_types() -> dict[str, Any]:
    """Negative log-likelihoods that transformers gives for the models of typed.CASES."""
    found: dict[str, Any] = json.loads((GOLDEN / "gemma3-270m-types.json").read_text("utf-8"))
    return found


@pytest.fixture(scope="session")
def golden_imports() -> dict[str, Any]:
    """Negative log-likelihoods that transformers gives for the default model, rounded as folders are."""
    found: dict[str, Any] = json.loads((GOLDEN / "gemma3-270m-imports.json").read_text("utf-8"))
    return found


RUNGS = ("unit", "kernels", "native", "cpu", "browser")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Climb the rungs: what is small and quick first, the browser last.

    Playwright also needs that: while it runs, its event loop counts as running in the tests' own thread. Where two
    processes share the tests (run.py), a file stays together for its fixtures' sake; only kernels need nothing of
    each other.
    """

    def rung(item: pytest.Item) -> str:
        return item.path.relative_to(Path(__file__).parent).parts[0]

    items.sort(key=lambda item: RUNGS.index(rung(item)))
    for item in items:
        if rung(item) != "kernels":
            item.add_marker(pytest.mark.xdist_group(item.path.name))
