"""Whether a request is meant for this server: the Host header, and request targets that carry a host.

A page of a stranger can make its own name point at this computer (DNS rebinding). To the browser the server is then
of that page's origin, and the page may read whatever the server gives: a person's own model file too. What gives it
away is the name in the Host header, which no page can set.
"""

from __future__ import annotations

from collections.abc import Iterable

HTTP_PORT = 80


class BadTargetError(ValueError):
    """A request target that is neither a path nor a whole address."""


def is_own(authority: str, names: Iterable[str], port: int) -> bool:
    """Whether a host with an optional port (RFC 9110, 7.2) is one of this server's names at its port.

    Args:
        authority: as in the Host header. Without a port it means port 80. Letters may be of either case; user
            names, a final dot and other ways to write an address are nobody's.
        names: host names and addresses, in lower case, IPv6 addresses in brackets.
        port: where the server listens.
    """
    host = authority.lower()
    return any(host == f"{name}:{port}" or (port == HTTP_PORT and host == name) for name in names)


def split_target(target: str) -> tuple[str | None, str]:
    """The authority of a request target, None where it has none, and its path with the query (RFC 9112, 3.2).

    Raises:
        BadTargetError: it is neither a path nor an address that begins with http://.
    """
    if target.startswith("/"):
        return None, target
    scheme, mark, rest = target.partition("://")
    if scheme.lower() != "http" or not mark:
        raise BadTargetError(target)
    end = min((rest.index(sign) for sign in "/?#" if sign in rest), default=len(rest))
    path = rest[end:]
    return rest[:end], path if path.startswith("/") else f"/{path}"
