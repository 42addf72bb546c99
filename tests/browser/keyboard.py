"""A person who has a keyboard and nothing else."""

from __future__ import annotations

from playwright.sync_api import Page, expect

FURTHEST = 80  # presses of Tab, on the longest screen
LOST = 1.0  # seconds: whoever still has no place by then has lost it

# Notes every time when nothing has the keyboard for longer than a moment, and what had it before. (The first place is
# that of a page that was just opened.)
WATCH = """(() => {
    globalThis.lost = [];
    let last = "", since = 0;
    setInterval(() => {
        const at = document.activeElement;
        if (at && at !== document.body) {
            last = at.id || at.outerHTML.slice(0, 200);
            since = 0;
        } else if (last) {
            since ||= performance.now();
            if (performance.now() - since > %d) {
                globalThis.lost.push(last);
                last = "";
            }
        }
    }, 50);
})()"""


class Keyboard:
    """The keyboard of a page that is opened afterwards."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.press = page.keyboard.press
        self.type = page.keyboard.type
        page.add_init_script(WATCH % (1000 * LOST))

    def to(self, selector: str) -> None:
        """Go to an element, forwards or backwards, past all that lies between."""
        expect(self._page.locator(selector)).to_be_visible()
        back = "document.activeElement.compareDocumentPosition(document.querySelector(s)) & 2"
        step = "Shift+Tab" if self._page.evaluate(f"(s) => Boolean({back})", selector) else "Tab"
        for _ in range(FURTHEST):
            if self.at(selector):
                return
            self.press(step)
        raise AssertionError(f"{selector} cannot be reached with {step}; the keyboard is at {self.place()}")

    def into(self, selector: str, text: str) -> None:
        """Write into a field in place of what is there."""
        self.to(selector)
        self.press("Control+A")
        self.type(text)

    def at(self, selector: str) -> bool:
        """Whether an element has the keyboard."""
        return bool(self._page.evaluate("(s) => document.activeElement.matches(s)", selector))

    def comes_to(self, selector: str) -> None:
        """Wait until an element has the keyboard, which the page has moved there."""
        try:
            expect(self._page.locator(selector)).to_be_focused()
        except AssertionError as error:
            raise AssertionError(f"the keyboard should be at {selector}, and is at {self.place()}") from error

    def place(self) -> str:
        """What has the keyboard."""
        return str(self._page.evaluate("document.activeElement.outerHTML.slice(0, 200)"))

    def never_lost(self) -> None:
        """What had the keyboard before nothing had it: nothing ever."""
        self._page.wait_for_timeout(1500 * LOST)
        lost = self._page.evaluate("globalThis.lost")
        assert lost == [], lost
