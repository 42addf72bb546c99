"""Which Chromium the browser tests use, and how it is started so that WebGPU works without a GPU."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Playwright

CHROMIUM_VARIABLE = "SOTTO_CHROMIUM"
LONGEST_SESSION = 3600  # seconds until the browser is ended, whatever it is doing: all its tests share one

_COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
_PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Microsoft/Edge/Application/msedge.exe",
)

QUIET = (
    "--no-sandbox",  # as root, in a container
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# SwiftShader runs WebGPU on the CPU, the same everywhere. Another set of GPU flags may hang the browser.
WEBGPU = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan")


def find_chromium(playwright: Playwright | None = None) -> Path:
    """A full Chromium: `$SOTTO_CHROMIUM`, the system's, or one that Playwright installed.

    Playwright's smaller "headless shell" has no WebGPU and is not looked for.

    Raises:
        FileNotFoundError: there is none.
    """
    chosen = os.environ.get(CHROMIUM_VARIABLE)
    if chosen:
        return Path(chosen)
    for command in _COMMANDS:
        found = shutil.which(command)
        if found:
            return Path(found)
    places = [Path(place) for place in _PLACES]
    if playwright:
        places.append(Path(playwright.chromium.executable_path))
    for place in places:
        if place.is_file():
            return place
    raise FileNotFoundError(
        f"No Chromium found: install one with the package manager, or set {CHROMIUM_VARIABLE} to its path."
    )


def _time_limited(executable: Path, folder: Path) -> Path:
    """A command that runs the browser under `timeout`, where there is one: no hung GPU stays behind."""
    timeout = shutil.which("timeout")
    if not timeout:
        return executable
    command = folder / "chromium"
    command.write_text(f'#!/bin/sh\nexec "{timeout}" -k 10 {LONGEST_SESSION} "{executable}" "$@"\n', "utf-8")
    command.chmod(0o755)
    return command


def launch(playwright: Playwright, folder: Path, *more: str, webgpu: bool = True) -> Browser:
    """Start a headless Chromium whose pages keep nothing.

    Args:
        folder: an empty folder for the browser's own use.
        more: options of its command line.
        webgpu: False for a browser that has navigator.gpu but no adapter.
    """
    return playwright.chromium.launch(
        executable_path=_time_limited(find_chromium(playwright), folder),
        args=[*QUIET, *(WEBGPU if webgpu else ()), *more],
    )


def launch_profile(playwright: Playwright, folder: Path) -> BrowserContext:
    """Start a headless Chromium that keeps its data in `folder`, as a person's browser does."""
    folder.mkdir(parents=True, exist_ok=True)
    return playwright.chromium.launch_persistent_context(
        folder / "profile",
        executable_path=_time_limited(find_chromium(playwright), folder),
        args=[*QUIET, *WEBGPU],
    )


@contextmanager
def as_a_person(playwright: Playwright, folder: Path) -> Iterator[BrowserContext]:
    """A headless Chromium that was started as a person starts it, with a tab: Playwright's own options let every tab
    believe that it is seen, and keep hidden ones as quick as others.

    Args:
        folder: an empty folder for the browser's own use.
    """
    profile = folder / "profile"
    command = [_time_limited(find_chromium(playwright), folder), "--headless=new", *QUIET, *WEBGPU]
    options = ["--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen([*map(str, command), *options], stderr=subprocess.DEVNULL) as running:
        try:
            told = profile / "DevToolsActivePort"
            while not (told.exists() and told.read_text("utf-8").strip()):
                assert running.poll() is None, "the browser has ended"
                time.sleep(0.05)
            port = told.read_text("utf-8").split()[0]
            browser = playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{port}", no_defaults=True)
            yield browser.contexts[0]
            browser.close()
        finally:
            running.terminate()
