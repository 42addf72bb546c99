"""What the browser knows of itself, of its computer and of the address."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

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
        page = web.window
        self._told, remembered = page.told, page.remembered  # of web/boot.js
        soon = asyncio.get_running_loop().call_soon
        self.storage = Storage(lambda: page.localStorage, lambda: str(remembered("localStorage")), soon)
        self.tab = Storage(lambda: page.sessionStorage, lambda: str(remembered("sessionStorage")), soon)
        told = self._tell()
        self.isolated = bool(told["isolated"])
        self.secure = bool(told["secure"])
        self.language = str(told["language"])
        self.keyboard = bool(told["keyboard"])

    def _tell(self) -> Mapping[str, Any]:
        """What web/boot.js tells in one call."""
        return dict(json.loads(str(self._told())))

    def private(self) -> bool:
        """Whether nothing that is written in this tab is to be kept (web/kept.js)."""
        return bool(self._tell()["private"])

    def wide(self) -> bool:
        """Whether there is room for what stands beside a screen, as in web/style.css."""
        return bool(web.window.matchMedia("(min-width: 60rem)").matches)

    # --- the address

    def query(self) -> str:
        """The part of the address from `?` on."""
        return str(self._tell()["search"])

    def shown(self) -> tuple[str, str]:
        """The screen that is shown, and what stands behind `?` in the address's part behind #."""
        told = self._tell()
        return str(told["screen"]), str(told["hash"]).partition("?")[2]

    def go(self, screen: str) -> None:
        """Show another screen."""
        web.window.location.hash = screen

    def on_screen(self, handler: Callable[[], object]) -> None:
        """Call a handler when another screen was asked for."""
        web.window.addEventListener("hashchange", create_proxy(lambda _event: handler()))

    def address(self, path: str) -> str:
        """An absolute URL: a worker has no base of its own."""
        return str(web.URL.new(path, self._tell()["href"]).href)

    def hub(self) -> str:
        """The address of the hub that the document names."""
        return str(self._tell().get("hub", ""))

    def own_address(self) -> str:
        """The page's address without what it asks for."""
        told = self._tell()
        return f"{told['origin']}{told['pathname']}"

    def put_query(self, query: str) -> None:
        """Let the address ask for something else, without opening it again."""
        web.window.history.replaceState(None, "", self.own_address() + query + str(self._tell()["hash"]))

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
        return float(self._tell()["age"])

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
