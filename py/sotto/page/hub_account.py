"""As whom the hub is asked: a token that is pasted, or signing in there."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import SottoError
from .parts import Parts


class HubAccount:
    """The fields `hub-token` and `hub-keep`, and what is beside `hub-sign`.

    Args:
        fault: tells what went wrong.
    """

    def __init__(self, parts: Parts, fault: Callable[[SottoError], None]) -> None:
        self._words = parts.words
        self._at = parts.elements.at
        self._say = parts.elements.say
        self._access = parts.holder.stock.hub
        self._fault = fault
        self._at("hub-token").value = self._access.token
        self._at("hub-keep").checked = self._access.kept
        parts.elements.on("hub-sign", "click", self._sign)
        parts.elements.on("hub-keep", "change", self.take)
        self.show()
        parts.do(self._finish())

    def take(self) -> None:
        """Ask with what is in the field from now on."""
        token = str(self._at("hub-token").value).strip()
        self._access.take(token, keep=bool(self._at("hub-keep").checked))
        self.show()

    def show(self, asked: bool = False) -> None:
        """How things stand; the field for a token where one is there, or is asked for."""
        words, access = self._words, self._access
        if asked or access.token:
            self._at("hub-token-label").hidden = False
        if asked or access.token or access.able:
            self._at("hub-keep-label").hidden = False
        self._at("hub-account").hidden = not access.able
        self._say("hub-signed", words("hub.signed") if access.token else "")
        self._say("hub-sign", words("hub.sign.out" if access.token else "hub.sign.in"))

    def _sign(self) -> None:
        """In, at the hub's page; or out."""
        if self._access.token:
            self._at("hub-token").value = ""
            self.take()
        else:
            self._access.leave()

    async def _finish(self) -> None:
        """Signing in, if the page was opened by coming back from the hub."""
        try:
            if await self._access.finish():
                self._at("hub-token").value = self._access.token
                self.show()
        except SottoError as error:
            self._fault(error)
