"""Signing in at a hub from a page that has no server of its own: OAuth 2's authorization code with PKCE (RFC 7636).

The person goes to the hub's page, allows it there, and comes back with a code, which only who began can turn into a
token: it takes the verifier, which never left this computer. There is no secret that a static page would have to keep.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from urllib.parse import parse_qs, urlencode

from ..errors import AssetError

SCOPES = "openid profile gated-repos read-repos"
"""Who it is, and to read what the account may read: models whose terms it accepted, and its own. Nothing to write."""
_AGAIN = "Sign in again, or paste an access token."


@dataclass(frozen=True)
class SigningIn:
    """A person is at the hub, and will come back.

    Attributes:
        hub: its address.
        client: the id that the hub gave to this site.
        redirect: the address that is come back to, as the hub knows it.
        state: comes back with the answer to what was begun here, and with no other.
        verifier: proves at the end that who asks is who began.
    """

    hub: str
    client: str
    redirect: str
    state: str
    verifier: str

    @classmethod
    def begin(
        cls, hub: str, client: str, redirect: str, random: Callable[[int], str] = secrets.token_urlsafe
    ) -> SigningIn:
        """With a state and a verifier that nobody can guess."""
        return cls(hub, client, redirect, random(24), random(48))

    @classmethod
    def from_json(cls, text: str) -> SigningIn | None:
        """What `to_json` gave; None of anything else."""
        try:
            found = json.loads(text)
            if all(type(found[field.name]) is str for field in fields(cls)):
                return cls(**found)
        except (ValueError, TypeError, KeyError, RecursionError):
            pass
        return None

    def to_json(self) -> str:
        """To be kept until the person comes back; for this tab alone."""
        return json.dumps(asdict(self))

    @property
    def url(self) -> str:
        """Where the person goes."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        asked = {
            "client_id": self.client,
            "redirect_uri": self.redirect,
            "response_type": "code",
            "scope": SCOPES,
            "state": self.state,
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        return f"{self.hub}/oauth/authorize?{urlencode(asked)}"

    @property
    def exchange(self) -> str:
        """Where the code is turned into a token."""
        return f"{self.hub}/oauth/token"

    def form(self, query: str) -> str:
        """What is sent there, of the query of the address that was come back to.

        Raises:
            AssetError: the hub refused, the person did, or it is no answer to what was begun here.
        """
        answer = {name: values[-1] for name, values in parse_qs(query.removeprefix("?")).items()}
        if answer.get("state") != self.state:
            raise AssetError("The hub's answer does not belong to what was begun here.", _AGAIN)
        if answer.get("error") == "access_denied":
            raise AssetError("Signing in was refused on the hub's page.", _AGAIN)
        if "error" in answer:
            raise _refused(answer)
        if not answer.get("code"):
            raise AssetError("The hub's answer has no code in it.", _AGAIN)
        return urlencode(
            {
                "grant_type": "authorization_code",
                "client_id": self.client,
                "code": answer["code"],
                "redirect_uri": self.redirect,
                "code_verifier": self.verifier,
            }
        )


def is_answer(query: str) -> bool:
    """Whether an address may be one that the hub sent a person back to."""
    asked = parse_qs(query.removeprefix("?"))
    return "state" in asked and ("code" in asked or "error" in asked)


def token_in(text: str) -> str:
    """The access token in the hub's answer to a form. Raises AssetError where there is none."""
    try:
        answer = json.loads(text)
        if isinstance(answer, dict) and "error" in answer:
            raise _refused(answer)
        token = answer["access_token"]
        if type(token) is str and token:
            return token
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise AssetError("The hub gave no access token.", _AGAIN)


def _refused(answer: dict[str, str]) -> AssetError:
    why = str(answer.get("error_description") or answer["error"])[:200].rstrip(".")
    return AssetError(f"The hub does not let this site sign in: {why}.", _AGAIN)
