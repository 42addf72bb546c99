"""Files whose text a person wants in the text box: read part by part, and told of in the line below it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from pyodide.ffi import JsException
from pyodide.http import pyfetch

from ..documents.document import LARGEST, Reading, needs, parts
from ..errors import DocumentError
from . import web
from .parts import Parts
from .throttle import Throttle

# Where the server has the libraries (assets/pins.py); they are fetched when the first file needs them.
_WHEELS = {
    "pypdf": ("pypdf-7.1.0-py3-none-any.whl",),
    "mammoth": ("cobble-0.1.4-py3-none-any.whl", "mammoth-1.13.0-py2.py3-none-any.whl"),
}
_FOLDER = "runtime/documents/"


class DocumentBox:
    """The text box `source`, into which web/documents.js gives files; `source-note` tells how it goes."""

    def __init__(self, page: Parts) -> None:
        self._page = page
        self._words = page.words
        self._at = page.elements.at
        self._reading = 0  # the number of the file that is read; a newer one, or a stop, ends the one before
        page.elements.on("source", "file", lambda: page.do(self._take()))
        page.elements.on("source-cancel", "click", self._cancel)
        if self._at("source").getAttribute("data-file"):  # it was given before Python came
            page.do(self._take())

    def _cancel(self) -> None:
        self._reading += 1
        self._tell(self._words("document.cancelled"))
        self._at("source").focus()

    async def _take(self) -> None:
        """Read the file that is given, and put its text into the box."""
        given = self._at("source").dataset
        address, name, size = str(given.file), str(given.fileName), int(given.fileSize)
        given.file = ""
        self._reading = mine = self._reading + 1
        self._tell(self._words("document.reading", name=name), reading=True)
        try:
            text = await self._text(address, name, size, mine)
        except DocumentError as error:
            told = self._words(f"document.{error.kind}", name=name, most=f"{LARGEST // 1_000_000}")
        except (OSError, JsException):  # the file is gone, or its library could not be fetched
            told = self._words("document.unread", name=name)
        else:
            if text:
                before = str(self._at("source").value).strip()
                web.documents.fill(text)
                told = self._words("document.taken", name=name, count=len(text))
                if before:
                    told = f"{told} {self._page.hint('document.undo')}".rstrip()
        finally:
            web.window.URL.revokeObjectURL(address)
        if self._reading == mine:
            self._tell(told)

    async def _text(self, address: str, name: str, size: int, mine: int) -> str:
        """The text of a file; empty when another one is wanted meanwhile. Raises DocumentError, OSError."""
        if size > LARGEST:
            raise DocumentError("large", f"{name} has {size:,} bytes.", f"At most {LARGEST:,} are read.")
        data = bytes(await (await pyfetch(address)).bytes())
        for wheel in _WHEELS.get(needs(name, data), ()):
            await self._library(wheel)
        reading, throttle = Reading(name, data), Throttle()
        for number, (part, count) in enumerate(parts(name, data), 1):
            reading.add(part)
            if count > 1 and throttle.due("page"):
                self._tell(self._words("document.page", name=name, number=number, count=count), reading=True)
            await asyncio.sleep(0)  # a person may stop it here
            if self._reading != mine:
                return ""
        return reading.text()

    async def _library(self, wheel: str) -> None:
        """Let a library be imported. Raises OSError."""
        place = Path("/tmp") / wheel  # of Pyodide's own memory
        if str(place) in sys.path:
            return
        response = await pyfetch(self._page.browser.address(_FOLDER + wheel))
        response.raise_for_status()
        place.write_bytes(bytes(await response.bytes()))
        sys.path.append(str(place))

    def _tell(self, text: str, reading: bool = False) -> None:
        self._page.elements.say("source-note-text", text)
        self._at("source-cancel").hidden = not reading
