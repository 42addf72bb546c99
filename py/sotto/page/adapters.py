"""The LoRA adapters of a model, as it is loaded with them."""

from __future__ import annotations

from pyscript.js_modules import ranges

from .. import formats
from ..errors import SottoError
from ..formats.adapter import Adapter
from .browser import Browser
from .choices import Choices
from .options import Model
from .sources import open_adapter

Named = list[tuple[str, Adapter, float]]


async def adapters_of(browser: Browser, model: Model, wanted: Choices) -> tuple[Named, str]:
    """The adapter that the server has for a model: on, unless it was switched off for that.

    Returns:
        Names, adapters and scales; and why one could not be read: the model is used without it.
    """
    if "adapter" not in model:
        return [], ""
    try:
        adapter = await formats.open_adapter(open_adapter(ranges, browser, model["adapter"]))
    except SottoError as error:
        return [], str(error)
    return [(adapter.name, adapter, wanted.adapters.get(adapter.name, 1.0))], ""
