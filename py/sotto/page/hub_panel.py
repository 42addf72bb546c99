"""Models and adapters from a hub: what a repository holds, its terms, and fetching it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from ..browser import hub
from ..errors import Cancelled, SottoError
from ..library.address import HubAddress, UrlAddress, parse
from ..library.curated import CURATED, TERMS, Curated
from ..library.offers import HubModel, Offer, called, choose
from ..models import ARCHITECTURES
from . import format as numbers
from . import web
from .adapters_panel import take_in
from .hub_account import HubAccount
from .options import HubPart, Model
from .parts import Parts
from .reasons import reason

Matrices = Mapping[str, tuple[int, ...]]  # shapes by canonical name
TAKES = 2  # times its size, that a model takes while it is fetched: what arrives, and what is made of it


class HubPanel:
    """The part `hub` of the screen of models."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._words = parts.words
        self._at = parts.elements.at
        self._say = parts.elements.say
        self._access = parts.holder.stock.hub
        self._account = HubAccount(parts, self._fault)
        self._model: HubModel | None = None
        self._unfinished: list[hub.Unfinished] = []
        self._offered: list[Offer] = []
        self._wanted: Model | None = None  # waits for its terms to be accepted, or for an answer about room
        self._is_adapter = False  # that is an adapter
        parts.elements.on(
            "hub-form", "submit", lambda: parts.do(self._look(str(self._at("hub-address").value)))
        )
        parts.elements.on("hub-yes", "click", lambda: parts.do(self._yes()))
        parts.elements.on("hub-no", "click", self._no)
        parts.elements.on("hub-stop", "click", lambda: parts.do(parts.holder.cancel()))
        for name in ("hub-offers", "hub-curated", "hub-unfinished"):
            parts.elements.on_choice(name, self._heard)
        parts.elements.items("hub-curated", "".join(map(self._suggestion, CURATED)))

    # --- looking

    async def _look(self, text: str) -> None:
        """Show what is at an address."""
        self._no()
        self._fault(None)
        self._account.take()
        self._parts.elements.items("hub-offers", "")
        self._say("hub-of", self._words("hub.looking"))
        try:
            address = parse(text, self._access.address)
            if not isinstance(address, HubAddress):
                self._say("hub-of", "")
                self._say("hub-fault", self._no_hub(text, address))
                return
            runs = ARCHITECTURES.__contains__
            self._model, self._offered = await hub.look(
                web.download, self._access.address, address, runs, self._access.token
            )
            self._list(self._model, address, await self._matrices())
            if address.file:
                choose(self._model, self._offered, address.file)  # says what is wrong with it
        except SottoError as error:
            self._say("hub-of", "")
            self._fault(error)

    async def _matrices(self) -> dict[str, Matrices]:
        """The shapes of the matrices of the models that are here, by what these are called; only where adapters are
        offered: it takes a moment."""
        if not any(offer.outline for offer in self._offered):
            return {}
        holder = self._parts.holder
        found = {entry.title: shapes for entry, shapes in await (await holder.stock.library()).shapes()}
        return found | ({holder.title: holder.engine.matrix_shapes} if holder.engine else {})

    def _list(self, model: HubModel, address: HubAddress, here: Mapping[str, Matrices]) -> None:
        """Show what a repository has.

        Args:
            here: what `_matrices` gives.
        """
        words = self._words
        facts = [model.repository, model.licence and words("hub.licence", name=model.licence)]
        self._say("hub-of", words("separator").join(filter(None, facts)))
        items = []
        for offer in self._offered:
            paths = [file.path for file in offer.files]
            wanted = address.file in paths if address.file else offer.recommended
            facts = [numbers.size(offer.nbytes), words("hub.adapter") if offer.adapter else offer.type]
            if offer.rounded:
                facts += [words("hub.files", count=len(paths)), words("hub.rounded", scheme=offer.rounded)]
            if outline := offer.outline:
                fits = [title for title, shapes in here.items() if outline.fits(shapes)]
                facts.append(words("adapters.for", name=outline.base) if outline.base else "")
                facts.append(
                    words("hub.fits", names=words("comma").join(fits)) if fits else words("hub.fits.none")
                )
            if offer.why_not:
                facts.append(words("hub.refused", why=self._why_not(offer)))
            elif wanted:
                facts.append(words("hub.recommended"))
            label = words("hub.fetch.adapter" if offer.adapter else "hub.fetch")
            button = "" if offer.why_not else self._button("fetch", offer.path, label)
            items.append(self._item(offer.path, facts, button))
        none = f"<li>{escape(words('hub.empty'))}</li>"
        self._parts.elements.items("hub-offers", "".join(items) or none)

    def _why_not(self, offer: Offer) -> str:
        by = offer.folder.quantizer if offer.folder else ""
        return self._words(f"fault.offer.{offer.kind}", message=offer.why_not, by=by)

    def _suggestion(self, one: Curated) -> str:
        words = self._words
        facts = [
            words(f"hub.curated.{one.name}"),
            words("hub.about", size=numbers.size(one.nbytes)),
            words("hub.memory", size=numbers.size(one.memory)),
            words("hub.licence", name=one.licence),
            words("hub.recommended") if one.recommended else "",
        ]
        return self._item(one.title, facts, self._button("look", one.address, words("hub.look")))

    def _button(self, do: str, on: str, text: str) -> str:
        return f'<button type="button" data-do="{do}" data-on="{escape(on)}">{escape(text)}</button>'

    def _item(self, title: str, facts: Sequence[str], button: str) -> str:
        said = "".join(f"<span>{escape(fact)}</span>" for fact in facts if fact)
        return f"<li><b>{escape(title)}</b><small>{said}</small><p>{button}</p></li>"

    def _no_hub(self, text: str, address: UrlAddress | None) -> str:
        if address is None:
            return self._words("hub.none", text=text[:80])
        return self._words("hub.elsewhere", address=str(address))  # the page's policy lets it ask nobody else

    def _fault(self, error: SottoError | None) -> None:
        self._parts.elements.fault("hub-fault", *reason(self._words, error))
        if error:
            self._account.show(asked=True)  # most refusals want a token

    # --- fetching

    def _heard(self, does: str, on: str) -> None:
        """Look at an address, fetch what is at a path, or drop what is unfinished, by its name."""
        if does == "look":
            self._at("hub-address").value = on
            self._parts.do(self._look(on))
        for offer in self._offered:
            if does == "fetch" and offer.path == on:
                self._parts.do(self._ask(offer))
        for file in self._unfinished:
            if does == "drop" and file.name == on:
                self._parts.do(self._drop(file))

    async def list_unfinished(self) -> None:
        """Show what was not fetched to its end, or was cleared by the browser."""
        words, self._unfinished = self._words, await hub.unfinished(web.download)
        items = []
        for file in self._unfinished:
            part = words("hub.part", done=numbers.size(file.done), total=numbers.size(file.size))
            buttons = self._button("look", file.name, words("hub.further"))
            buttons += self._button("drop", file.name, words("models.drop"))
            items.append(self._item(file.name, [part], buttons))
        holder = self._parts.holder
        if holder.missing and holder.last.origin:
            again = self._button("look", holder.last.origin, words("hub.look"))
            items.append(self._item(holder.last.origin, [words("hub.lost")], again))
        self._parts.elements.items("hub-unfinished", "".join(items))

    async def _drop(self, file: hub.Unfinished) -> None:
        await hub.forget(web.download, file)
        await self.list_unfinished()

    async def _ask(self, offer: Offer) -> None:
        """Fetch a model or an adapter, when its terms were accepted and there is room; else ask."""
        words, model = self._words, self._model
        assert model is not None
        self._is_adapter = offer.adapter
        origin = str(HubAddress(model.repository, offer.path))
        self._wanted = Model(
            name=called(model, offer.files),
            url="",
            size=offer.nbytes,
            sha256=None,
            etag="",
            format=offer.format,
            hub=[
                HubPart(url=hub.resolved(self._access.address, model, file), file=file)
                for file in offer.files
            ],
            origin=origin,
            licence=model.licence,
            token=self._access.token,
        )
        accepting = self._of_gemma and not self._parts.browser.storage.remembered("accepted.gemma")
        questions = [words("hub.terms")] if accepting else []
        free = (await self._parts.holder.stock.room())["free"]
        if free is not None and free < TAKES * offer.nbytes:
            need = numbers.size(TAKES * offer.nbytes)
            questions.append(words("hub.room", need=need, free=numbers.size(free)))
        if not questions:
            await self._yes()
            return
        self._parts.elements.lines("hub-question", questions)
        self._at("hub-terms").hidden = not accepting
        self._at("hub-terms").href = TERMS
        self._say("hub-yes", words("hub.accept" if accepting else "hub.anyway"))
        self._at("hub-ask").hidden = False
        self._at("hub-ask").scrollIntoView(block="nearest")

    @property
    def _of_gemma(self) -> bool:
        return self._wanted is not None and self._wanted.get("licence", "").lower() == "gemma"

    async def _yes(self) -> None:
        """Fetch what was asked about."""
        if self._of_gemma:
            self._parts.browser.storage.remember("accepted.gemma", "1")
        model, self._wanted = self._wanted, None
        self._at("hub-ask").hidden = True
        if model is None:
            return
        holder, stop = self._parts.holder, self._at("hub-fetching")
        what = "hub.fetching.adapter" if self._is_adapter else "hub.fetching"
        self._say("hub-what", self._words(what, name=model["name"]))
        stop.hidden = False
        try:
            if self._is_adapter:
                await self._take_adapter(model)
                return
            await holder.use_model(model)
        finally:
            stop.hidden = True
        if holder.engine is not None and holder.kept:
            await holder.stock.persist()

    async def _take_adapter(self, wanted: Model) -> None:
        """Fetch an adapter, keep it, and use it with the model that is loaded, if it fits that."""
        self._fault(None)
        stock = self._parts.holder.stock
        try:
            found = await stock.fetch_adapter(
                wanted, lambda: self._say("hub-what", self._words("state.waiting"))
            )
        except Cancelled:
            found = None
        except SottoError as error:
            found = None
            self._fault(error)
        if found is not None:
            await take_in(self._parts, found, wanted["origin"], wanted.get("licence", ""))
        await self.list_unfinished()

    def _no(self) -> None:
        self._wanted = None
        self._at("hub-ask").hidden = True
