"""What the browser knows of itself, of its computer and of the address."""

from __future__ import annotations

from collections.abc import Callable

from pyscript.ffi import create_proxy

from .dom import document, window
from .storage import Storage


class Browser:
    """The facts that no element of the page holds.

    Attributes:
        storage: what it keeps of this site.
        tab: what it keeps for this tab, until that is closed.
        isolated: False where the page has one thread only, for want of the headers or of a browser that heeds them.
        secure: False at an address to which browsers give neither WebGPU nor more than one thread: plain http
            from another computer.
        language: "en" or "ja", as web/boot.js chose.
        keyboard: there is one with all its keys; False on phones, whose own on the screen lacks most.
    """

    def __init__(self) -> None:
        self.storage = Storage(lambda: window.localStorage)
        self.tab = Storage(lambda: window.sessionStorage)
        self.isolated = bool(window.crossOriginIsolated)
        self.secure = bool(window.isSecureContext)
        self.language = str(document.documentElement.lang)
        self.keyboard = bool(document.documentElement.hasAttribute("data-keyboard"))

    def private(self) -> bool:
        """Whether nothing that is written in this tab is to be kept (web/kept.js)."""
        return bool(document.documentElement.hasAttribute("data-private"))

    def wide(self) -> bool:
        """Whether there is room for what stands beside a screen, as in web/style.css."""
        return bool(window.matchMedia("(min-width: 60rem)").matches)

    # --- the address

    def query(self) -> str:
        """The part of the address from `?` on."""
        return str(window.location.search)

    def shown(self) -> tuple[str, str]:
        """The screen that is shown, and what stands behind `?` in the address's part behind #."""
        return str(document.documentElement.dataset.screen), str(window.location.hash).partition("?")[2]

    def go(self, screen: str) -> None:
        """Show another screen."""
        window.location.hash = screen

    def on_screen(self, handler: Callable[[], object]) -> None:
        """Call a handler when another screen was asked for."""
        window.addEventListener("hashchange", create_proxy(lambda _event: handler()))

    def address(self, path: str) -> str:
        """An absolute URL: a worker has no base of its own."""
        return str(window.URL.new(path, window.location.href).href)

    def hub(self) -> str:
        """The address of the hub that the document names."""
        return str(document.documentElement.getAttribute("data-hub") or "")

    def own_address(self) -> str:
        """The page's address without what it asks for."""
        return str(window.location.origin) + str(window.location.pathname)

    def put_query(self, query: str) -> None:
        """Let the address ask for something else, without opening it again."""
        window.history.replaceState(None, "", self.own_address() + query + str(window.location.hash))

    def leave(self, url: str) -> None:
        """Open another site in this tab; the page's texts are kept by web/kept.js."""
        window.location.assign(url)

    def reload(self) -> None:
        """Open the page again; its texts are kept by web/kept.js."""
        window.location.reload()

    def without_query(self) -> None:
        """Open the page again as if its address had asked for nothing."""
        window.location.search = ""

    # --- the computer

    def age(self) -> float:
        """Seconds since the page was opened."""
        return float(window.performance.now()) / 1000

    def agent(self) -> str:
        """What the browser calls itself."""
        return str(window.navigator.userAgent)

    def command_key(self) -> str:
        """The key that makes Enter a command here."""
        return "⌘" if "Mac" in str(window.navigator.platform) else "Ctrl"

    def cores(self) -> int:
        """Threads that can run at once."""
        return int(window.navigator.hardwareConcurrency or 1)

    def on_battery(self) -> bool:
        """Whether the computer runs on its battery; False where the browser does not tell."""
        return bool(document.documentElement.getAttribute("data-battery"))

    def disturbances(self) -> frozenset[str]:
        """What disturbed the computer since this was last asked: "hidden", "battery", "battery-low"."""
        root, found = document.documentElement, set()
        if root.hasAttribute("data-was-hidden") or document.hidden:
            root.removeAttribute("data-was-hidden")
            found.add("hidden")
        if battery := str(root.getAttribute("data-battery") or ""):
            found |= {"battery"} if battery == "on" else {"battery", "battery-low"}
        return frozenset(found)
