"""The model that this browser begins with: the one that a person took last."""

from __future__ import annotations

from .storage import Storage


class LastModel:
    """Remembers which model was taken on the screen of models, as long as the server goes on with the same default: who
    starts it with another one wants that.

    Args:
        storage: gives what the browser keeps.
        default: the name of the server's default model; may be empty.
    """

    def __init__(self, storage: Storage, default: str) -> None:
        self._storage = storage
        self._default = default

    @property
    def name(self) -> str:
        """The name of a model of the server's, or the key of one in the library; empty for none."""
        same = self._storage.remembered("model.default") == self._default
        return self._storage.remembered("model") if same else ""

    @property
    def title(self) -> str:
        """What people call it."""
        return self._storage.remembered("model.title")

    @property
    def origin(self) -> str:
        """Its address at the hub, where it came from there; else empty."""
        return self._storage.remembered("model.origin")

    def keep(self, name: str, title: str, origin: str) -> None:
        """Begin with this one from now on."""
        known = {"model": name, "model.title": title, "model.origin": origin, "model.default": self._default}
        for key, text in known.items():
            self._storage.remember(key, text)

    def forget(self, name: str = "") -> None:
        """Begin with the server's default again; with a `name` only if it was that model."""
        if not name or name == self.name:
            self._storage.remember("model", "")
