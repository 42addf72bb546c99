"""Signing in at the local hub, as at the public one: a page that asks the person, a code, and a token for it.

It is strict, as the standard says (RFC 6749, RFC 7636): an app and its addresses have to be known, a code is good once
and for what it was given for, and only with the verifier whose challenge was sent.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from html import escape
from urllib.parse import parse_qs, urlencode

KNOWN_SCOPES = {"openid", "profile", "email", "read-repos", "gated-repos", "write-repos", "inference-api"}


@dataclass
class SignIn:
    """The hub's side.

    Attributes:
        apps: addresses that each app may be come back to, by client id.
        token: what the person's account gets; "" where the hub has a fault.
        codes: what each code that is still good was given for.
        given: tokens that were given.
        refusal: an error that the next exchange is answered with.
    """

    apps: dict[str, set[str]] = field(default_factory=dict)
    token: str = "hf_oauth_yes"
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    given: list[str] = field(default_factory=list)
    refusal: str = ""

    def authorize(self, query: str) -> tuple[int, str]:
        """The page of `/oauth/authorize`: status and HTML. It sends nobody to an address that is not the app's."""
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        addresses = self.apps.get(asked.get("client_id", ""))
        if addresses is None:
            return 400, "<p>Unknown app.</p>"
        back = asked.get("redirect_uri", "")
        if back not in addresses:
            return 400, "<p>This address is not the app's.</p>"
        sound = (
            asked.get("response_type") == "code"
            and asked.get("code_challenge_method") == "S256"
            and len(asked.get("code_challenge", "")) == 43
            and set(asked.get("scope", "").split()) <= KNOWN_SCOPES
        )
        if not sound:
            return 400, "<p>Invalid request.</p>"
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        state = {"state": asked["state"]} if "state" in asked else {}
        yes = f"{back}?{urlencode({'code': code, **state})}"
        no = f"{back}?{urlencode({'error': 'access_denied', 'error_description': 'The user said no.', **state})}"
        return (
            200,
            f'<a id="allow" href="{escape(yes)}">Authorize</a> <a id="deny" href="{escape(no)}">Cancel</a>',
        )

    def exchange(self, form: str) -> tuple[int, str]:
        """The answer of `/oauth/token`: status and JSON."""
        asked = {name: values[0] for name, values in parse_qs(form).items()}
        given = self.codes.pop(asked.get("code", ""), None)
        if self.refusal:
            return 400, json.dumps({"error": "invalid_grant", "error_description": self.refusal})
        if asked.get("grant_type") != "authorization_code":
            return 400, json.dumps({"error": "unsupported_grant_type"})
        if given is None:
            return 400, json.dumps({"error": "invalid_grant", "error_description": "Code is not valid"})
        digest = hashlib.sha256(asked.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        same = all(asked.get(name) == given[name] for name in ("client_id", "redirect_uri"))
        if not same or challenge != given["code_challenge"]:
            return 400, json.dumps(
                {"error": "invalid_grant", "error_description": "Code was not given for this"}
            )
        self.given.append(self.token)
        return 200, json.dumps(
            {
                "access_token": self.token,
                "token_type": "bearer",
                "expires_in": 28800,
                "scope": given["scope"],
                "id_token": "a.b.c",
            }
        )
