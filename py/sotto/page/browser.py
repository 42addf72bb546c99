"""What the browser knows of itself, of its computer and of the address."""

from __future__ import annotations

from collections.abc import Callable

from pyodide.ffi import create_proxy

from . import web
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
        self.storage = Storage(lambda: web.window.localStorage)
        self.tab = Storage(lambda: web.window.sessionStorage)
        self.isolated = bool(web.window.crossOriginIsolated)
        self.secure = bool(web.window.isSecureContext)
        self.language = str(web.document.documentElement.lang)
        self.keyboard = bool(web.document.documentElement.hasAttribute("data-keyboard"))

    def private(self) -> bool:
        """Whether nothing that is written in this tab is to be kept (web/kept.js)."""
        return bool(web.document.documentElement.hasAttribute("data-private"))

    def wide(self) -> bool:
        """Whether there is room for what stands beside a screen, as in web/style.css."""
        return bool(web.window.matchMedia("(min-width: 60rem)").matches)

    # --- the address

    def query(self) -> str:
        """The part of the address from `?` on."""
        return str(web.window.location.search)

    def shown(self) -> tuple[str, str]:
        """The screen that is shown, and what stands behind `?` in the address's part behind #."""
        return str(web.document.documentElement.dataset.screen), str(web.window.location.hash).partition("?")[
            2
        ]

    def go(self, screen: str) -> None:
        """Show another screen."""
        web.window.location.hash = screen

    def on_screen(self, handler: Callable[[], object]) -> None:
        """Call a handler when another screen was asked for."""
        web.window.addEventListener("hashchange", create_proxy(lambda _event: handler()))

    def address(self, path: str) -> str:
        """An absolute URL: a worker has no base of its own."""
        return str(web.window.URL.new(path, web.window.location.href).href)

    def hub(self) -> str:
        """The address of the hub that the document names."""
        return str(web.document.documentElement.getAttribute("data-hub") or "")

    def own_address(self) -> str:
        """The page's address without what it asks for."""
        return str(web.window.location.origin) + str(web.window.location.pathname)

    def put_query(self, query: str) -> None:
        """Let the address ask for something else, without opening it again."""
        web.window.history.replaceState(None, "", self.own_address() + query + str(web.window.location.hash))

    def leave(self, url: str) -> None:
        """Open another site in this tab; the page's texts are kept by web/kept.js."""
        web.window.location.assign(url)

    def reload(self) -> None:
        """Open the page again; its texts are kept by web/kept.js."""
        web.window.location.reload()

    def without_query(self) -> None:
        """Open the page again as if its address had asked for nothing."""
        web.window.location.search = ""

    # --- the computer

    def age(self) -> float:
        """Seconds since the page was opened."""
        return float(web.window.performance.now()) / 1000

    def agent(self) -> str:
        """What the browser calls itself."""
        return str(web.window.navigator.userAgent)

    def command_key(self) -> str:
        """The key that makes Enter a command here."""
        return "⌘" if "Mac" in str(web.window.navigator.platform) else "Ctrl"

    def cores(self) -> int:
        """Threads that can run at once."""
        return int(web.window.navigator.hardwareConcurrency or 1)

    def on_battery(self) -> bool:
        """Whether the computer runs on its battery; False where the browser does not tell."""
        return bool(web.document.documentElement.getAttribute("data-battery"))

    def disturbances(self) -> frozenset[str]:
        """What disturbed the computer since this was last asked: "hidden", "battery", "battery-low"."""
        root, found = web.document.documentElement, set()
        if root.hasAttribute("data-was-hidden") or web.document.hidden:
            root.removeAttribute("data-was-hidden")
            found.add("hidden")
        if battery := str(root.getAttribute("data-battery") or ""):
            found |= {"battery"} if battery == "on" else {"battery", "battery-low"}
        return frozenset(found)
