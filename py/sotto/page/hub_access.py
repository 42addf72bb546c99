"""How the page asks the hub: where it is, and as whom."""

from __future__ import annotations

from ..browser import hub
from ..errors import SottoError
from ..library.address import HUB
from ..library.sign_in import SigningIn, is_answer
from . import web
from .browser import Browser

_BEGUN = "hub.begun"  # kept in this tab while the person is at the hub
_CAME_FROM = "hub.came.from"  # likewise: the query of the page's address
_TOKEN = "hub.token"  # kept in this browser, where a person wants that:
_KEEP = "hub.keep"


class HubAccess:
    """What everything that asks the hub has to know.

    Args:
        client: the id that the hub gave to this site for signing in (web/site.json); empty for none.

    Attributes:
        token: of a person's account there; empty for none. It is known as long as the page is open, and longer only
            where the person wants that.
    """

    def __init__(self, browser: Browser, client: str) -> None:
        self._browser = browser
        self._client = client
        self._answer = ""
        self._begun: SigningIn | None = None
        self.token = browser.storage.remembered(_TOKEN)

    @property
    def address(self) -> str:
        """Of the hub: the document names it."""
        return (self._browser.hub() or HUB).rstrip("/")

    @property
    def kept(self) -> bool:
        """Whether the token stays in this browser when the page is closed."""
        return bool(self._browser.storage.remembered(_KEEP))

    def take(self, token: str, *, keep: bool) -> None:
        """Ask with this token from now on, and at the next visit too if it is to be kept; with "" without one."""
        self.token = token
        self._browser.storage.remember(_TOKEN, token if keep else "")
        self._browser.storage.remember(_KEEP, "1" if keep else "")

    # --- signing in

    @property
    def able(self) -> bool:
        """Whether people can sign in at the hub from here."""
        return bool(self._client)

    def leave(self) -> None:
        """Go to the hub's page for signing in; `returned` is told when the person is back."""
        begun = SigningIn.begin(self.address, self._client, self._browser.own_address())
        self._browser.tab.remember(_BEGUN, begun.to_json())
        self._browser.tab.remember(_CAME_FROM, self._browser.query())
        self._browser.leave(begun.url)

    def returned(self) -> bool:
        """Whether the page was opened by coming back from the hub; its address is then as it was before.

        To be asked before anybody looks at the address.
        """
        tab, query = self._browser.tab, self._browser.query()
        self._begun = SigningIn.from_json(tab.remembered(_BEGUN))
        if not is_answer(query):
            return False
        if self._begun is None:  # to what nobody began here
            self._browser.put_query("")
            return False
        self._answer = query
        self._browser.put_query(tab.remembered(_CAME_FROM))
        tab.remember(_BEGUN, "")  # a code is good once
        return True

    async def finish(self) -> bool:
        """Turn what the person came back with into a token. False where they did not come from the hub.

        Raises:
            SottoError: the hub or the person refused.
        """
        begun, answer, self._answer = self._begun, self._answer, ""
        if begun is None or not answer:
            return False
        if begun.hub != self.address:
            raise SottoError("The hub is another one by now.", "Sign in again.", "sign")
        self.take(await hub.token_for(web.download, begun, answer), keep=self.kept)
        return True
