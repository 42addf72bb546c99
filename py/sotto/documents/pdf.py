"""The text of a PDF file, by pypdf."""

from __future__ import annotations

import io
from collections.abc import Iterator

from pypdf import PasswordType, PdfReader
from pypdf.errors import DependencyError

from ..errors import DocumentError


def pages(name: str, data: bytes) -> Iterator[tuple[str, int]]:
    """The text of each page, and how many there are.

    Raises DocumentError for a file that is locked, or cannot be read.
    """
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
            raise _locked(name)
        count = len(reader.pages)
        for page in reader.pages:
            yield page.extract_text(), count
    except DocumentError:
        raise
    except DependencyError as error:  # it is encrypted as only a library that is not here can read
        raise _locked(name) from error
    except Exception as error:  # of a damaged file pypdf raises whatever its parts meet
        raise DocumentError(
            "broken", f"{name} cannot be read ({error}).", "Open it in its own program and save it again."
        ) from error


def _locked(name: str) -> DocumentError:
    return DocumentError(
        "locked", f"{name} is locked with a password.", "Save a copy of it without one, and choose that."
    )
