"""What a hub means when it refuses, and what a person can do about it."""

from __future__ import annotations

from ..errors import AssetError


def refused(
    where: str, page: str, status: int, *, token: bool, give: str, gated: bool = False, wait: str = ""
) -> AssetError:
    """The error to tell.

    Args:
        where: what was asked for.
        page: the address of its page at the hub.
        status: the hub's answer.
        token: a token was sent.
        give: how a token is given here, as the end of a sentence.
        gated: the hub said that terms have to be accepted.
        wait: seconds that it said to wait; may be empty.
    """
    tokens = f"{'/'.join(page.split('/')[:3])}/settings/tokens"
    if status == 401 and token:
        return AssetError(
            f"{where}: the hub does not accept the access token.",
            f"It may have expired: make one at {tokens}.",
            "token.bad",
        )
    if status == 401 or (gated and not token):
        return AssetError(
            f"{where} needs an access token of the hub, or there is no such model.",
            f"Open {page} in a browser, accept the terms there if it asks for that, make a token at {tokens}"
            f" and {give}.",
            "token",
        )
    if status == 403 or gated:
        return AssetError(
            f"{where} may not be read with this access token.",
            f"Open {page} in a browser and accept the model's terms there, with the account of the token.",
            "terms",
        )
    if status == 404:
        return AssetError(
            f"There is no {where} at the hub.", f"Look whether {page} exists; it may be private.", "absent"
        )
    if status == 429:
        when = f"in {wait} seconds" if wait.isdecimal() else "later"
        return AssetError(
            f"{where}: the hub has had too many requests from here.", f"Try again {when}.", "busy"
        )
    return AssetError(
        f"{where}: the hub answered {status}.", "Try again later; what has arrived is kept.", "answered"
    )
