"""Fixtures of the browser tests: a real Chromium, the project's server, pages that cannot fail silently."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from chromium import launch, launch_profile
from common import PATIENCE, ROOT, Offer, Profile, Serve
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Playwright,
    expect,
    sync_playwright,
)

import lora
from sotto.assets import default_cache
from sotto.assets.fetch import fetch
from sotto.assets.pins import RUNTIME
from sotto.site.server import Server
from sotto.site.site import OfferedModel, Site
from tiny import Tiny, build

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    """Playwright, running."""
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def browser(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One Chromium with WebGPU for all tests that need no memory of their own."""
    browser = launch(playwright, tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a fresh private context. An error that nothing catches fails the test.

    It comes from the server each time: what a service worker answers could not be changed on its way by a test.
    """
    context = browser.new_context(service_workers="block")
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    uncaught: list[str] = []
    page.on("pageerror", lambda error: uncaught.append(str(error)))
    yield page
    context.close()
    assert not uncaught


@pytest.fixture
def profile(playwright: Playwright, tmp_path: Path) -> Iterator[Profile]:
    """Starts a Chromium with a profile on disk; close it and call again: a new one with the same data."""
    with ExitStack() as stack:

        def start() -> BrowserContext:
            context = launch_profile(playwright, tmp_path / "profile")
            context.set_default_timeout(PATIENCE)
            stack.callback(context.close)
            return context

        yield start


@pytest.fixture(scope="session")
def runtime() -> Path:
    """The cache folder, with the page's runtime in it."""
    cache = default_cache()
    fetch(RUNTIME, cache)
    return cache


@pytest.fixture(scope="session")
def serve() -> Iterator[Serve]:
    """Starts a server of this checkout with some models; returns its address, which ends with a slash."""
    with ExitStack() as stack:

        def start(models: list[OfferedModel]) -> str:
            server = stack.enter_context(Server(0))
            server.site = Site(ROOT, default_cache(), models)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
            return server.address

        yield start


@pytest.fixture(scope="session")
def site(serve: Serve) -> str:
    """The address of a server without models."""
    return serve([])


@pytest.fixture(scope="session")
def offer(serve: Serve, runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Offer:
    """Serves the bytes of a model file under a name; returns the page's address."""

    def start(name: str, data: bytes) -> str:
        path = tmp_path_factory.mktemp("model") / f"{name}.gguf"
        path.write_bytes(data)
        return serve([OfferedModel(name, path)])

    return start


@pytest.fixture(scope="session")
def tiny(offer: Offer) -> str:
    """The address of a page with a small instruction-tuned model."""
    return offer("tiny", build(Tiny(chat=True, context=1 << 20)))


@pytest.fixture
def model(tmp_path: Path) -> OfferedModel:
    """A small model with an adapter."""
    data = build(Tiny(chat=True))
    path = tmp_path / "tiny.gguf"
    path.write_bytes(data)
    adapter = lora.written(lora.files(lora.halves(lora.shapes_of(data), 8)), tmp_path / "posts")
    return OfferedModel("tiny", path, adapter)


@pytest.fixture
def visitor(browser: Browser) -> Iterator[BrowserContext]:
    """A private context as a person has it, whose pages may do nothing that their policy refuses."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE)
    told: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            told.append(message.text)

    context.on("console", hear)
    yield context
    context.close()
    assert told == []
