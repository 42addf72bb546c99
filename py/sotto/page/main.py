"""Puts the page together, and makes each screen when it is first shown."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

from .background import Background
from .browser import Browser
from .elements import Elements
from .hub_access import HubAccess
from .model_holder import ModelHolder
from .model_panel import ModelPanel
from .observer import Observer
from .own_files import listen
from .parts import Parts, Screen
from .preferences import Preferences
from .words import Words

HERE = Path(__file__).parent


async def start() -> None:
    """Run the page."""
    elements = Elements()
    with elements.together():
        _begin(elements)


def _begin(elements: Elements) -> None:
    browser, do = Browser(), Background()
    words = Words.load(HERE / "words.json", browser.language)
    models = json.loads((HERE / "models.json").read_text(encoding="utf-8"))
    site = json.loads((HERE / "site.json").read_text(encoding="utf-8"))
    hub = HubAccess(browser, site["hub_client_id"])
    from_hub = hub.returned()
    holder = ModelHolder(browser, models, hub, runtime=browser.age(), together=elements.together)
    panel, preferences = ModelPanel(elements, words, holder, do), Preferences(browser, elements, words)
    parts = Parts(browser, elements, words, models, holder, panel, preferences, do)
    made: dict[str, Screen] = {}

    def show() -> None:
        name, asked = browser.shown()
        if name not in made:
            with elements.together():
                made[name] = import_module(f".screens.{name}", __package__).make(parts)
                elements.paint([(f"main[data-screen={name}]", "data-made", "")])
        do(made[name].open(asked))

    class Again(Observer):
        """What the screen that is shown could not have before, it may have now."""

        def freed(self) -> None:
            show()

    holder.observe(Again())
    listen(parts)
    browser.on_screen(show)
    if from_hub:
        browser.go("models")  # where signing in was begun
    show()
