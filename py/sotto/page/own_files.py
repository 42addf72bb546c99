"""Files of models and adapters that a person chooses or drops: what is in them is loaded (web/drop.js sends them)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyodide.ffi import create_proxy
from pyscript.js_modules import files

from ..errors import SottoError
from ..source import Folder, Source
from .parts import Parts


def listen(parts: Parts) -> None:
    """Load what is given from now on."""
    holder, say = parts.holder, parts.elements.say

    async def take(given: Sequence[Any], folder: str) -> None:
        try:
            adapter = await holder.adapters.given(given, folder)
            model = None if adapter else await holder.stock.give(given, folder)
        except SottoError as error:
            say("models-fault", str(error))
            parts.browser.go("models")  # where it is told
            return
        say("models-fault", "")
        if adapter:
            await use(adapter)
        if model:
            await holder.use_model(model)
            if holder.engine is not None and holder.kept:
                await holder.stock.persist()  # somebody wants to have this model again

    async def use(adapter: Source | Folder) -> None:
        """Keep an adapter, and use it with the model that is loaded, if it fits that."""
        parts.browser.go("models")
        fault = ""
        try:
            entry = await holder.adapters.keep(adapter)
            await holder.use_adapter(entry.key, True)
            await holder.stock.persist()  # as above
        except SottoError as error:
            fault = str(error)
        say("adapters-fault", fault)

    files.onGiven(create_proxy(lambda given, folder: parts.do(take(list(given), str(folder)))))
    parts.elements.root.dataset.files = files.channel
