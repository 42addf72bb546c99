"""What the browser tests share besides fixtures."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import BrowserContext

from sotto.site.site import OfferedModel

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120_000  # milliseconds; SwiftShader on a busy machine is slow

Serve = Callable[[list[OfferedModel]], str]  # serves models; returns the address of the page
Profile = Callable[[], BrowserContext]  # starts a Chromium that keeps its data
Offer = Callable[
    [str, bytes], str
]  # serves the bytes of a model file under a name; returns the page's address

WORDS = json.loads((ROOT / "web" / "words.json").read_text(encoding="utf-8"))
ENGLISH, JAPANESE = WORDS["en"], WORDS["ja"]


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[str]:
    """Run a server; afterwards nobody answers at its address."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
