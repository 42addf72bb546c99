"""Starts of Python from a snapshot of its memory: the same page sooner, and never at the price of the page."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from common import ROOT, Profile, serving
from pages import SHORT, in_page, state, until, write
from playwright.sync_api import BrowserContext, Page, expect

from sotto.site.server import Server
from sotto.site.site import OfferedModel, Site

CACHE = "(await caches.keys()).find((name) => name.startsWith('sotto.python '))"
SNAPSHOT = (
    f"(await (await caches.open({CACHE})).keys()).map(({{ url }}) => url).filter((url) => !/body$/.test(url))"
)
# Changes one byte of the snapshot's memory.
DAMAGE = f"""(async () => {{
    const cache = await caches.open({CACHE});
    const request = (await cache.keys()).find(({{ url }}) => /body$/.test(url));
    const kept = await cache.match(request);
    const bytes = new Uint8Array(await kept.arrayBuffer());
    bytes[bytes.length - 1000] ^= 1;
    await cache.put(request, new Response(bytes));
}})()"""


def started(page: Page, how: str) -> None:
    """Wait until the page is ready and all is done for the next visit."""
    state(page, "ready")
    expect(page.locator("html")).to_have_attribute("data-started", how)
    expect(page.locator("html")).to_have_attribute("data-snapshot", "settled")


def snapshot(page: Page) -> str:
    """The address of the one that is kept."""
    (address,) = in_page(page, f"(async () => {SNAPSHOT})()")
    return str(address)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose Python can be changed."""
    root = tmp_path / "checkout"
    shutil.copytree(ROOT / "py" / "sotto", root / "py" / "sotto")
    for name in ("web", "kernels"):
        (root / name).symlink_to(ROOT / name)
    return root


def test_the_second_visit_starts_from_a_snapshot_until_anything_differs(
    visitor: BrowserContext,
    runtime: Path,
    model: OfferedModel,
    checkout: Path,
) -> None:
    page = visitor.new_page()
    server = Server(0)
    server.site = Site(checkout, runtime, [model])
    with serving(server) as address:
        page.goto(address + SHORT)
        started(page, "bare")
        post, first = write(page), snapshot(page)
        page.reload()
        started(page, "snapshot")
        assert write(page) == post
        assert in_page(page, f"(async () => {SNAPSHOT})()") == [first]

        in_page(page, DAMAGE)
        page.reload()
        started(page, "bare")
        assert snapshot(page) == first  # made anew

        with (checkout / "py" / "sotto" / "page" / "main.py").open("a") as file:
            file.write("\n# newer\n")
        page.reload()  # of the old version, which offers the newer one
        with page.expect_navigation():
            page.click("#update-take")
        started(page, "bare")
        assert write(page) == post
        second = snapshot(page)
        assert second != first
        page.reload()
        started(page, "snapshot")
    visitor.set_offline(True)
    page.reload()
    started(page, "snapshot")
    assert write(page) == post


def test_a_snapshot_that_keeps_the_page_from_starting_is_given_up(
    visitor: BrowserContext,
    runtime: Path,
    model: OfferedModel,
) -> None:
    page = visitor.new_page()
    server = Server(0)
    server.site = Site(ROOT, runtime, [model])
    with serving(server) as address:
        page.goto(address + SHORT)
        started(page, "bare")
        for _ in range(2):  # as if Python had been started from it and never come to an end
            page.goto(f"{address}blank")
            in_page(
                page,
                f"(async () => {{ const cache = await caches.open({CACHE});"
                " const tried = new URL('snapshot/tried', location.href).href;"
                " const before = Number(await (await cache.match(tried))?.text() ?? 0);"
                " await cache.put(tried, new Response(String(before + 1))); })()",
            )
        page.goto(address + SHORT)
        started(page, "bare")
        until(page, "(await caches.keys()).length")
        page.reload()
        started(page, "snapshot")


def test_what_was_compiled_of_pyodide_is_kept(
    profile: Profile,
    runtime: Path,
    model: OfferedModel,
) -> None:
    """A browser that is started again has the code that it compiled at the first visit."""
    server = Server(0)
    server.site = Site(ROOT, runtime, [model])
    with serving(server) as address:
        context = profile()
        page = context.pages[0]
        page.goto(address + SHORT)
        started(page, "bare")
        page.wait_for_timeout(5000)  # the last of it is still on its way
        context.close()

        page = profile().pages[0]
        tracing = page.context.new_cdp_session(page)
        names: set[str] = set()
        done: list[bool] = []

        def hear(data: dict[str, list[dict[str, str]]]) -> None:
            names.update(event["name"] for event in data["value"])

        def end(_: object) -> None:
            done.append(True)

        tracing.on("Tracing.dataCollected", hear)
        tracing.on("Tracing.tracingComplete", end)
        categories = ["v8.wasm", "disabled-by-default-v8.wasm.detailed"]
        tracing.send("Tracing.start", {"traceConfig": {"includedCategories": categories}})
        page.goto(address + SHORT)
        started(page, "snapshot")
        tracing.send("Tracing.end")
        while not done:
            page.wait_for_timeout(100)
    assert "wasm.StartStreamingCompilation" in names, "the trace has nothing of WebAssembly"
    assert "wasm.CompilationAfterDeserialization" in names
