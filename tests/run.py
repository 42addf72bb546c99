#!/usr/bin/env python3
"""Set up what the tests need on a fresh machine, then run all of them.

    python3 tests/run.py                 everything, in two processes
    python3 tests/run.py tests/unit -q   arguments go to pytest

Needs Python 3.11 or newer. Makes .venv with the test dependencies, looks for a system Chromium and a Vulkan
loader and installs them with the package manager where they are missing, and fetches the pinned runtime and the
default model into .cache (or SOTTO_CACHE).
"""

from __future__ import annotations

import ctypes.util
import os
import platform
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC_CHROME = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
TIME_LIMIT = 85 * 60  # seconds


def run(*command: str | Path, check: bool = True) -> int:
    """Run a command in the project's folder and show it."""
    words = [str(word) for word in command]
    print("$", " ".join(words), flush=True)
    return subprocess.run(words, cwd=ROOT, check=check).returncode


def install(package: str, purpose: str) -> None:
    """Install a system package where apt can; else say what is missing."""
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        run("apt-get", "update", "-q")
        run("apt-get", "install", "-y", "-q", "--no-install-recommends", package)
    else:
        sys.exit(f"{purpose} was not found. Install it ({package} on Debian and Ubuntu) and run this again.")


def main() -> int:
    """Prepare, then hand over to pytest."""
    if not PYTHON.exists():
        venv.create(ENVIRONMENT, with_pip=True, clear=True)
    run(PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-e", ".[test]")
    chromium = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None) or os.environ.get("SOTTO_CHROMIUM")
    if not chromium and not MAC_CHROME.exists():
        install("chromium", "A Chromium or Chrome")
    if platform.system() == "Linux" and not ctypes.util.find_library("vulkan"):
        install("libvulkan1", "The Vulkan loader")
    run(PYTHON, ROOT / "serve.py", "--fetch-only")
    arguments = sys.argv[1:] or ["tests", "-n", "2", "--dist", "loadgroup", "--no-loadscope-reorder"]
    try:
        command = [str(PYTHON), "-m", "pytest", *arguments]
        print("$", " ".join(command), flush=True)
        return subprocess.run(command, cwd=ROOT, timeout=TIME_LIMIT, check=False).returncode
    except subprocess.TimeoutExpired:
        print(f"The tests took longer than {TIME_LIMIT // 60} minutes.", flush=True)
        return 1


if __name__ == "__main__":
    sys.exit(main())
