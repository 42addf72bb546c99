"""How the page asks the hub: where it is, and as whom."""

from __future__ import annotations

from ..library.address import HUB
from .browser import Browser


class HubAccess:
    """What everything that asks the hub has to know.

    Attributes:
        token: of a person's account there, known as long as the page is open; empty for none.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.token = ""

    @property
    def address(self) -> str:
        """Of the hub: the document names it."""
        return (self._browser.hub() or HUB).rstrip("/")
