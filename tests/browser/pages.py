"""JavaScript in a page, and what a person does there, from a test."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from common import ENGLISH, ROOT
from playwright.sync_api import Page, Route, expect

TEXT = "the small library writes a short story for every morning and people read it in the garden. "
SHORT = "?max_tokens=12&temperature=0&versions=1"
CLEARED = """new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase("sotto");
    Object.assign(request, { onsuccess: resolve, onerror: reject, onblocked: reject });
})"""

TURN = """{
    const root = document.documentElement;
    delete root.dataset.turned;
    let writing = false;
    const seen = () => {
        writing ||= root.dataset.state === "writing";
        if (!writing || root.dataset.state !== "ready") return;
        root.dataset.turned = "";
        observer.disconnect();
    };
    const observer = new MutationObserver(seen);
    observer.observe(root, { attributeFilter: ["data-state"] });
}"""  # a turn that comes, marked at its end: what the page shows already may be the post before


class PageError(Exception):
    """What a JavaScript expression threw: its name and message."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message


def open_blank(page: Page, site: str) -> None:
    """Put a page at an address of the site where nothing is: no scripts, but isolated as every page is."""
    page.goto(f"{site}blank")


def in_page(page: Page, expression: str, **values: object) -> Any:
    """The value of a JavaScript expression, which may await; `v` holds the values. It has four minutes.

    Raises:
        PageError: the expression threw, or did not come to an end.
    """
    result = page.evaluate(
        f"""async (v) => {{
            const late = new Promise((resolve) => setTimeout(() => resolve({{ name: "Timeout" }}), 240000));
            const work = async () => {{
                try {{ return {{ value: await (async () => {expression})() }}; }}
                catch (error) {{ return {{ name: error.name, message: error.message }}; }}
            }};
            return await Promise.race([work(), late]);
        }}""",
        values,
    )
    if "name" in result:
        raise PageError(result["name"], result.get("message", ""))
    return result.get("value")


def until(page: Page, condition: str, **values: object) -> None:
    """Wait until a JavaScript expression is true. (Playwright's own way evaluates texts in the page, whose policy
    refuses that.)"""
    in_page(
        page, f"{{ while (!({condition})) await new Promise((again) => setTimeout(again, 50)); }}", **values
    )


def state(page: Page, expected: str) -> None:
    """Wait for a state of the page."""
    expect(page.locator("html")).to_have_attribute("data-state", expected)


def go(page: Page, screen: str) -> None:
    """Go to a screen, and wait until Python has made it."""
    page.click(f"#screens [data-screen={screen}]")
    expect(page.locator(f"main[data-screen={screen}]")).to_have_attribute("data-made", "")


def write(page: Page, text: str = TEXT) -> str:
    """Write a post from a text, and return it."""
    page.fill("#source", text)
    page.evaluate(TURN)
    page.click("#write")
    expect(page.locator("html")).to_have_attribute("data-turned", "")
    expect(page.locator("#stats")).to_contain_text("tok/s")
    return page.inner_text("#post")


def fault(page: Page, kind: str) -> str:
    """Wait for a fault of a kind, whose title has no values; return all that is said."""
    expect(page.locator("#error-title")).to_have_text(ENGLISH[f"error.{kind}"])
    state(page, "error")
    expect(page.locator("#error")).to_be_visible()
    return page.inner_text("#error")


def barriers(page: Page) -> list[str]:
    """What axe-core finds on the screen that is shown that is serious for people with other means."""
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text("utf-8"))
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    return [
        f"{each['id']}: {node['html']}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


def before_bridge(page: Page, script: str) -> None:
    """Run JavaScript in the worker before the bridge opens the GPU."""

    def with_script(route: Route) -> None:
        bridge = (ROOT / "web" / "bridge.js").read_text("utf-8")
        route.fulfill(body=f"{script};\n{bridge}", content_type="text/javascript")

    page.route("**/bridge.js", with_script)


def losing(page: Page) -> None:
    """Let the page's GPUs be lost when something is posted to the channel "lose"."""
    before_bridge(
        page,
        """const request = GPUAdapter.prototype.requestDevice;
        GPUAdapter.prototype.requestDevice = async function (...given) {
            const device = await request.apply(this, given);
            new BroadcastChannel("lose").onmessage = () => device.destroy();
            return device;
        }""",
    )
