"""Files of models and adapters that a person chooses or drops: what is in them is loaded (web/drop.js sends them)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyodide.ffi import create_proxy

from ..errors import SottoError
from . import web
from .adapters_panel import take_in
from .parts import Parts
from .reasons import reason


def listen(parts: Parts) -> None:
    """Load what is given from now on."""
    holder = parts.holder

    async def take(given: Sequence[Any], folder: str) -> None:
        try:
            adapter = await holder.adapters.given(given, folder)
            model = None if adapter else await holder.stock.give(given, folder)
        except SottoError as error:
            parts.elements.fault("models-fault", *reason(parts.words, error))
            parts.browser.go("models")  # where it is told
            return
        parts.elements.fault("models-fault", *reason(parts.words, None))
        if adapter:
            await take_in(parts, adapter)
        if model:
            await holder.use_model(model)
            if holder.engine is not None and holder.kept:
                await holder.stock.persist()  # somebody wants to have this model again

    web.files.onGiven(create_proxy(lambda given, folder: parts.do(take(list(given), str(folder)))))
    parts.elements.root.dataset.files = web.files.channel
