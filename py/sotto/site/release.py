"""All files of one version of the page, by their hashes: what a browser keeps for the time without a network.

The service worker carries the list in itself. So a file that differs makes another worker, which a browser notices by
itself; it fetches the new version whole before it is used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from .policy import HEADERS, POLICIES

VERSION_LENGTH = 16  # hexadecimal digits


@dataclass(frozen=True)
class ReleasedFile:
    """A file of a version.

    Attributes:
        sha256: of its bytes, hexadecimal.
        size: bytes.
        content_type: MIME type to answer with; not every server knows those that browsers insist on.
    """

    sha256: str
    size: int
    content_type: str


@dataclass(frozen=True)
class Release:
    """One version.

    Attributes:
        files: by their addresses relative to the page's, whose own is empty.
    """

    files: Mapping[str, ReleasedFile]

    @property
    def version(self) -> str:
        """The same for the same files, and for no others."""
        names = {path: (file.sha256, file.content_type) for path, file in self.files.items()}
        text = json.dumps([names, HEADERS, POLICIES], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:VERSION_LENGTH]

    def service_worker(self, script: str) -> bytes:
        """web/service_worker.js with the list that it keeps to, in its constant RELEASE."""
        release = {
            "version": self.version,
            "headers": HEADERS,
            "policies": POLICIES,
            "files": {path: [file.sha256, file.size, file.content_type] for path, file in self.files.items()},
        }
        return f"const RELEASE = {json.dumps(release, sort_keys=True)};\n{script}".encode()
