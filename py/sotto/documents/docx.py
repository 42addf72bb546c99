"""The text of a Word file, by mammoth."""

from __future__ import annotations

import io
import zipfile

import mammoth

from ..errors import DocumentError

_LOCKED = b"\xd0\xcf\x11\xe0"  # begins what Word saves with a password, and what it saved before 2007
_LARGEST = 100_000_000  # bytes that a file may unpack to


def text(name: str, data: bytes) -> str:
    """Its paragraphs. Raises DocumentError for a file that is locked, or cannot be read."""
    if data.startswith(_LOCKED):
        raise DocumentError(
            "locked",
            f"{name} is locked with a password, or of an old kind.",
            "Save a copy of it as .docx without one.",
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > _LARGEST:
            raise DocumentError(
                "large", f"{name} unpacks to {unpacked:,} bytes.", f"At most {_LARGEST:,} are read."
            )
        return str(mammoth.extract_raw_text(io.BytesIO(data)).value)
    except DocumentError:
        raise
    except Exception as error:  # of a damaged file mammoth raises whatever its parts meet
        raise DocumentError(
            "broken", f"{name} cannot be read ({error}).", "Open it in its own program and save it again."
        ) from error
