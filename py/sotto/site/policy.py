"""The headers that every file of the page has to be sent with, by whatever server.

Isolation gives a page shared memory, which PyScript's worker needs. The policy lets the page talk to its own origin
only: nothing of a text can leave, whatever a library tries. One worker, which has no text, may talk to the hub of
models in its place, and to nobody else.
"""

from __future__ import annotations

ISOLATION = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}

_SOURCES = {
    "default-src": "'none'",
    "script-src": "'self' 'wasm-unsafe-eval'",  # and no eval: web/ready_made.js
    "worker-src": "'self' blob:",  # PyScript's worker is a blob
    "connect-src": "'self' blob:",  # and so is the Python that it reads
    "style-src": "'self'",
    "img-src": "'self' data:",
    "manifest-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "require-trusted-types-for": "'script'",  # web/trusted.js
    "trusted-types": "default dompurify",
}

PAGE_POLICY = "; ".join(f"{name} {value}" for name, value in _SOURCES.items())
"""The Content-Security-Policy as it stands in web/index.html too, for servers that send no headers."""

POLICY = f"{PAGE_POLICY}; frame-ancestors 'none'"
"""The same as a header, which can say more than a page can."""

HEADERS = {**ISOLATION, "Content-Security-Policy": POLICY}
"""Of all files of the page but those of POLICIES."""

HUB = ("huggingface.co", "*.huggingface.co", "hf.co", "*.hf.co")
"""The hub's hosts: its API, and those that it sends to for the files."""

POLICIES = {
    "hub_worker.js": "; ".join(
        ("default-src 'none'", f"connect-src {' '.join(f'https://{host}' for host in HUB)}")
    )
}
"""The Content-Security-Policy of a file that has one of its own, by its address relative to the page's."""


def policy_of(address: str) -> str:
    """The Content-Security-Policy of a request's path, perhaps with a query."""
    return POLICIES.get(address.partition("?")[0].removeprefix("/"), POLICY)
