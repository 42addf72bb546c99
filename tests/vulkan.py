"""Which Vulkan driver Dawn uses in the tests."""

from __future__ import annotations

import os
from pathlib import Path

SWIFTSHADER = Path("/usr/lib/chromium/vk_swiftshader_icd.json")


def choose_driver() -> None:
    """Without a driver of its own, a machine with Chromium has SwiftShader's. Must run before Dawn starts."""
    if "VK_ICD_FILENAMES" not in os.environ and SWIFTSHADER.exists() and not Path("/dev/dri").exists():
        os.environ["VK_ICD_FILENAMES"] = str(SWIFTSHADER)
