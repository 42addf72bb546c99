"""The window and its document, whose objects are met without a call into the page for each question about them."""

from __future__ import annotations

from typing import Any

import pyscript
from pyscript.js_modules.light import light

window: Any = light(pyscript.window)
document: Any = light(pyscript.document)
