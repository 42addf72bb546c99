"""The page without a network, without its server, on hosts that know nothing of it, and in a newer version."""

from __future__ import annotations

import functools
import shutil
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import pytest
from common import ENGLISH, JAPANESE, ROOT, serving
from pages import SHORT, TEXT, PageError, in_page, open_blank, state, until, write
from playwright.sync_api import BrowserContext, Page, expect

from office import docx, pdf
from sotto.site.export import export
from sotto.site.release import Release
from sotto.site.server import Server
from sotto.site.site import OfferedModel, Resource, Site
from tiny import Tiny, build


def kept(page: Page) -> None:
    """Wait until the page is there for the time without a network."""
    in_page(page, "navigator.serviceWorker.ready.then(({ active }) => new Promise((resolve) => {"
            "const look = () => active.state === 'activated' && resolve();"
            "active.onstatechange = look; look(); }))")  # fmt: skip


def refused(page: Page, expression: str) -> str:
    """The name of the error that JavaScript in the page throws."""
    with pytest.raises(PageError) as caught:
        in_page(page, expression)
    return caught.value.name


def test_after_one_visit_neither_the_network_nor_the_server_is_needed(
    visitor: BrowserContext, runtime: Path, model: OfferedModel
) -> None:
    asked: list[str] = []
    visitor.on("request", lambda request: asked.append(request.url))
    page = visitor.new_page()
    server = Server(0)
    server.site = Site(ROOT, runtime, [model])
    with serving(server) as address:
        page.goto(address + SHORT)
        state(page, "ready")
        post = write(page)
        kept(page)
    visitor.set_offline(True)
    page.reload()
    assert page.evaluate("crossOriginIsolated")
    expect(page.locator("#source")).to_have_value(TEXT)
    state(page, "ready")
    assert write(page) == post
    expect(page.locator("#stats")).to_contain_text(ENGLISH["stats.adapters"].format(names="posts"))

    # Files whose text libraries take out.
    for name, data in (("timetable.pdf", pdf("The ferry is late.")), ("letter.docx", docx("Dear Anna,"))):
        page.set_input_files("#source-file", {"name": name, "mimeType": "", "buffer": data})
        expect(page.locator("#source-note")).to_contain_text(name)
        expect(page.locator("#source")).to_have_value(
            "Dear Anna," if "docx" in name else "The ferry is late."
        )

    # A measurement, with charts.
    page.evaluate("location.hash = 'benchmark?prefill=32&decode=8&runs=1&loads=0&probes=0'")
    expect(page.locator("#bench-run")).to_be_enabled()
    page.click("#bench-run")
    expect(page.locator("#bench-actions")).to_be_visible()
    expect(page.locator("#bench-error")).to_be_hidden()
    expect(page.locator("#bench-figures canvas").first).to_be_visible()
    until(page, "globalThis.Chart")  # its library too

    # The other language, and back.
    page.evaluate("location.hash = 'settings'")
    for language, words in (("ja", JAPANESE), ("en", ENGLISH)):
        page.select_option("#language", language)
        expect(page.locator("[data-screen=post]").first).to_have_text(words["screen.post"])

    # A text that is shared with the page, as the system sends it.
    page.evaluate("""() => {
        const form = Object.assign(document.createElement("form"), {
            action: "share", method: "post", enctype: "multipart/form-data" });
        for (const [name, value] of [["title", "A title"], ["text", "What was shared."], ["url", ""]]) {
            form.append(Object.assign(document.createElement("input"), { name, value }));
        }
        document.body.append(form);
        form.submit();
    }""")
    expect(page.locator("#source")).to_have_value("A title\n\nWhat was shared.")
    assert page.url == address

    # The policy lets nothing out and nothing in.
    assert {urlsplit(url).netloc for url in asked if urlsplit(url).scheme != "blob"} == {
        urlsplit(address).netloc
    }


class Stranger(SimpleHTTPRequestHandler):
    """Another origin, which lets everybody have everything and notes what was asked of it."""

    heard: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.heard.append(self.path)
        self.send_response(HTTPStatus.OK)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Cross-Origin-Resource-Policy", "cross-origin")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


def test_the_policy_is_kept(page: Page, site: str, runtime: Path) -> None:
    """Nothing is asked of another origin, and no script is made of a text."""
    # In a task of its own: what the debugger's protocol calls itself may eval whatever the policy says.
    later = (
        "new Promise((done, fail) => setTimeout(() => { try { done(%s) } catch (error) { fail(error) } }))"
    )
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Stranger)) as stranger:
        page.goto(site)
        page.evaluate(
            "() => { globalThis.told = []; addEventListener('securitypolicyviolation', (event) =>"
            " told.push(`${event.effectiveDirective} ${event.blockedURI}`)); }"
        )
        assert refused(page, f"fetch('{stranger}fetch')") == "TypeError"
        assert in_page(page, later % "1 + 1") == 2
        assert refused(page, later % "eval('1 + 1')") == "EvalError"
        assert refused(page, later % "new Function('return 2')()") == "EvalError"
        # Texts that become markup, or a script's address, pass trusted.js.
        strange = ("<img src=x onerror=\\'ran = 1\\'>", "<b onclick=\"ran = 1\">", "<script>ran = 1</script>",
                   "<b data-a=\"x\"onclick=\"ran = 1\">", "<iframe srcdoc=\"\"></iframe>", "<b>1 < 2</b>")  # fmt: skip
        for html in strange:
            assert (
                refused(page, later % f"document.body.insertAdjacentHTML('beforeend', '{html}')")
                == "TypeError"
            )
        for url in (f"{stranger}script", "data:text/javascript,ran=1"):
            assert refused(page, later % f"document.createElement('script').src = '{url}'") == "TypeError"
            assert refused(page, later % f"new Worker('{url}')") == "TypeError"
        harmless = '<p class="a" hidden title="1 > 2, once = &lt;b&gt;">a <b>b</b><br/></p>'
        page.evaluate(f"document.body.insertAdjacentHTML('beforeend', '{harmless}')")
        assert page.evaluate("document.body.lastElementChild.title") == "1 > 2, once = <b>"
        page.evaluate(f"new Image().src = '{stranger}image'")
        page.evaluate(f"navigator.sendBeacon('{stranger}beacon', 'text')")
        refusals = {
            f"connect-src {stranger}fetch",
            "require-trusted-types-for trusted-types-sink",
            f"img-src {stranger}image",
            f"connect-src {stranger}beacon",
        }
        until(page, "new Set(told).size >= v.count", count=len(refusals))
        assert set(page.evaluate("told")) == refusals
        assert not page.evaluate("'ran' in globalThis")
        assert Stranger.heard == []
        open_blank(page, stranger)  # it does hear what reaches it
    assert Stranger.heard[0] == "/blank"  # and perhaps the wish for an icon of that document


class EditedSite(Site):
    """A site whose style sheet may be of the next version already, which its list does not know yet.

    Attributes:
        early: the style sheet that is given in place of the listed one, if any.
    """

    def __init__(self, root: Path, cache: Path, models: list[OfferedModel]) -> None:
        super().__init__(root, cache, models)
        self._listed = Site(root, cache, models)
        self.early = b""

    def release(self) -> Release:
        return self._listed.release()

    def find(self, address: str) -> Resource | None:
        found = super().find(address)
        if found and self.early and address.partition("?")[0] == "/style.css":
            return Resource(self.early, len(self.early), '"early"', found.content_type)
        return found


def test_a_new_version_is_offered_whole_or_not_at_all(
    visitor: BrowserContext, runtime: Path, model: OfferedModel, tmp_path: Path
) -> None:
    root = tmp_path / "checkout"
    shutil.copytree(ROOT / "web", root / "web")
    for name in ("py", "kernels"):
        (root / name).symlink_to(ROOT / name)
    versions = "caches.keys().then((names) => names.filter((name) => /^sotto .*(?<!kept)$/.test(name)))"
    style = "fetch('style.css').then((response) => response.text())"
    server = Server(0)
    server.site = site = EditedSite(root, runtime, [model])
    page = visitor.new_page()
    with serving(server) as address:
        page.goto(address + SHORT)
        state(page, "ready")
        kept(page)
        (first,) = in_page(page, versions)
        old = in_page(page, style)
        new = f"{old}\n/* newer */"

        # A server that gives a mixture: its list says one thing, a file another. Nothing comes of it.
        (root / "web/style.css").write_text(new)
        site.early = b"/* of the version after the next */"
        ended = (
            "navigator.serviceWorker.ready.then((registration) => new Promise((resolve) => {"
            "registration.onupdatefound = () => { const worker = registration.installing;"
            "worker.onstatechange = () => resolve(worker.state); }; registration.update(); }))"
        )
        assert in_page(page, ended) == "redundant"
        expect(page.locator("#update")).to_be_hidden()
        page.reload()
        assert in_page(page, style) == old

        # When the new version is whole, it is offered, and the old page goes on as it was until a person takes it.
        site.early = b""
        page.reload()
        expect(page.locator("#update")).to_be_visible()
        assert in_page(page, style) == old
        page.fill("#source", "kept")
        with page.expect_navigation():
            page.get_by_role("button", name=ENGLISH["update.take"]).click()
        expect(page.locator("#source")).to_have_value("kept")
        assert in_page(page, style) == new
        expect(page.locator("#update")).to_be_hidden()
        (second,) = in_page(page, versions)
        assert first != second


class Plain(SimpleHTTPRequestHandler):
    """Python's own server: no special headers, no ranges."""

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


def test_the_exported_site_on_a_plain_host_below_a_path(
    visitor: BrowserContext, page: Page, runtime: Path, tmp_path: Path
) -> None:
    path = tmp_path / "large.gguf"
    path.write_bytes(build(Tiny(chat=True, vocabulary=40_000)))  # more than a part
    site = Site(ROOT, runtime, [OfferedModel("large", path)])
    written = export(site, tmp_path / "host/some/path", 10_000_000, with_model=True)
    assert len([name for name in written if name.parts[0] == "models"]) == 2
    handler = functools.partial(Plain, directory=tmp_path / "host")
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as host:
        address = f"{host}some/path/"
        first = visitor.new_page()
        first.goto(address + SHORT)
        first.fill("#source", TEXT)
        first.click("#write")  # before the page is opened again for its isolation
        expect(first.locator("#stats")).to_contain_text("12 tokens")
        state(first, "ready")
        assert first.evaluate("crossOriginIsolated")
        post = first.inner_text("#post")
        first.reload()
        state(first, "ready")
        expect(first.locator("#fact-weights")).to_contain_text("cache")
        assert write(first) == post

        # A browser without service workers: it works on one thread, and says so once.
        page.goto(address + SHORT)
        state(page, "ready")
        assert not page.evaluate("crossOriginIsolated")
        expect(page.locator("#note")).to_have_text(ENGLISH["note.lost.isolation"])
        assert "CPU, 1 thread:" in str(page.text_content("#fact-processor"))
        assert write(page) == post
