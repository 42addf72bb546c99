"""What all rungs share: the GPU, the golden files, a loop-free way to drive coroutines."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sotto.native import NativeDevice

SWIFTSHADER = Path("/usr/lib/chromium/vk_swiftshader_icd.json")
GOLDEN = Path(__file__).parent / "golden"


def choose_vulkan_driver() -> None:
    """Without a driver of its own, a machine with Chromium has SwiftShader's. Must run before Dawn starts."""
    if "VK_ICD_FILENAMES" not in os.environ and SWIFTSHADER.exists() and not Path("/dev/dri").exists():
        os.environ["VK_ICD_FILENAMES"] = str(SWIFTSHADER)


@pytest.fixture(scope="session")
def gpu() -> Iterator[NativeDevice]:
    """A real WebGPU device. No adapter is a failure, never a skip."""
    choose_vulkan_driver()
    device = NativeDevice()
    print(f"\nadapter: {device.adapter}")
    yield device
    device.close()


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    """Outputs of Hugging Face transformers for the default model."""
    return json.loads((GOLDEN / "gemma3-270m.json").read_text("utf-8"))
