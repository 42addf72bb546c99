"""The row below the text box: what a person wishes of a post."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ... import values
from ...engine.engine import Engine
from ...errors import InvalidSetting
from ...tasks.language import foreign, language
from ...tasks.phrases import BY_CHARACTERS, LANGUAGES, PHRASES
from ...tasks.request import Frame, frame
from ...tasks.wishes import Wishes
from .. import fields
from ..observer import Observer
from ..parts import Parts
from .source_text import SourceText
from .voice import Voice

KEPT = "wishes"  # under which the browser remembers them
VOICE = "voice"  # of the tones, that of the person's own posts
FAR_ENOUGH = 4000  # characters of a text that tell its language


class WishRow(Observer):
    """The fields `wish-length`, `wish-tone`, `wish-language` and `wish-hashtags`, and what is said of them.

    What a model cannot hear is disabled, and said; it is remembered all the same.
    """

    def __init__(self, parts: Parts, source: SourceText) -> None:
        self._parts = parts
        self._words = parts.words
        self._at = parts.elements.at
        self._storage = parts.browser.storage
        self._wishes = Wishes.from_text(self._storage.remembered(KEPT))
        self._voice = Voice(parts)
        self._how: Frame | None = None  # how the model is asked; None while there is none
        self._can_be_adapted = False  # it has an adapter, which may be off
        self._own = language("")  # that of the text
        self._foreign = False  # it is in a script that no request is made in
        on = parts.elements.on
        names = PHRASES["ja" if parts.browser.language == "ja" else "en"].languages
        parts.elements.options(
            "wish-languages",
            [(one, self._words("wish.language.in", language=names[one])) for one in LANGUAGES],
        )
        on("wish-length", "change", self._take_length)
        on("wish-tone", "change", self._take_tone)
        for name in ("language", "hashtags"):
            on(f"wish-{name}", "change", self._take)
        on("wishes-reset", "click", self._reset)
        self._show()
        source.listen(self._heard_text)
        self._at("wishes").disabled = False
        parts.holder.observe(self)

    # --- what others ask

    def check(self) -> bool:
        """Whether all is as it can be; what cannot is told beside its field, where the person is taken."""
        if self._take_length():
            return True
        self._at("wish-length").focus()
        return False

    def heard(self, how: Frame) -> Wishes:
        """What is wished, as far as a model hears it."""
        return self._wishes.heard(how)

    def voice(self, how: Frame) -> tuple[str, ...]:
        """The person's own posts, where their voice is wanted and heard."""
        return self._voice.posts if self.heard(how).voice else ()

    # --- what the holder tells

    def loaded(self) -> None:
        self._heard_model(self._parts.holder.engine)

    def adapted(self) -> None:
        self._heard_model(self._parts.holder.engine)

    def _heard_model(self, engine: Engine | None) -> None:
        """Let only be wished what the model hears."""
        if engine is None:
            return
        self._how = how = frame(engine.instruction_tuned, engine.cards)
        self._at("wishes").disabled = how == "examples"
        self._can_be_adapted = bool(engine.adapters)
        voice = self._at("wish-voice")
        voice.disabled = how != "chat"
        voice.textContent = self._words("wish.tone.voice" if how == "chat" else "wish.tone.voice.not")
        languages = self._at("wish-languages")
        languages.disabled = how != "chat"
        languages.label = self._words("wish.language.others" if how == "chat" else "wish.language.own.only")
        self._show()

    # --- what is written and shown

    def _heard_text(self, text: str) -> None:
        self._own = language(text[:FAR_ENOUGH])
        self._foreign = foreign(text[:FAR_ENOUGH])
        self._show_length()
        self._say_why()

    @property
    def _unit(self) -> str:
        """What the length is counted in, as `Wishes` calls it."""
        written = self._heard.language or self._own
        return "characters" if written in BY_CHARACTERS else "words"

    def _take_length(self) -> bool:
        """Take what is written as the length; whether it can be."""
        text = str(self._at("wish-length").value).strip()
        value: Any = values.parsed(int, text) if text else None
        try:
            self._wishes = replace(self._wishes, **{self._unit: value})
        except InvalidSetting as error:
            self._parts.elements.complain("wish-length", fields.complaint(self._words, error))
            self._at("wishes-reset").hidden = False
            return False
        self._parts.elements.complain("wish-length", "")
        self._keep()
        return True

    @property
    def _heard(self) -> Wishes:
        """What is shown: what the model hears, or all while there is none."""
        return self._wishes.heard(self._how or "chat")

    def _take_tone(self) -> None:
        self._take()
        if self._heard.voice:
            self._voice.ask()

    def _take(self) -> None:
        """Take what is chosen."""
        tone, hashtags = str(self._at("wish-tone").value), str(self._at("wish-hashtags").value)
        chosen: dict[str, Any] = {"hashtags": bool(hashtags)}
        if tone == VOICE:
            chosen |= {"tone": None, "voice": True}
        elif (
            tone or self._heard.voice == self._wishes.voice
        ):  # else it shows what is heard, not what is wished
            chosen |= {"tone": tone or None, "voice": False}
        if self._heard.language == self._wishes.language:  # likewise
            chosen["language"] = str(self._at("wish-language").value) or None
        self._wishes = replace(self._wishes, **chosen)
        self._keep()
        self._voice.show(self._heard.voice)
        self._show_length()
        self._say_why()

    def _reset(self) -> None:
        self._wishes = Wishes()
        self._keep()
        self._show()
        self._at("wish-length").focus()  # the button goes

    def _keep(self) -> None:
        self._storage.remember(KEPT, self._wishes.to_text())
        self._at("wishes-reset").hidden = self._wishes == Wishes()

    def _show(self) -> None:
        self._at("wish-tone").value = VOICE if self._heard.voice else self._wishes.tone or ""
        self._voice.show(self._heard.voice)
        self._at("wish-language").value = self._heard.language or ""
        self._at("wish-hashtags").value = "yes" if self._wishes.hashtags else ""
        self._at("wishes-reset").hidden = self._wishes == Wishes()
        self._unit_shown = ""
        self._show_length()
        self._say_why()

    def _say_why(self) -> None:
        """Say what the model does not hear, or hardly."""
        why = ""
        if self._how == "examples":
            why = self._words("wishes.deaf.adapter" if self._can_be_adapted else "wishes.deaf")
        elif self._foreign and not self._heard.language:
            why = self._words("wishes.foreign")
        elif self._how == "plain" and self._wishes.tone:
            why = self._words("wishes.tone.little")
        self._parts.elements.say("wishes-why", why)

    def _show_length(self) -> None:
        """Show the length in what it is counted in, unless it is there already: somebody may be writing it."""
        unit = self._unit
        if unit == self._unit_shown:
            return
        self._unit_shown = unit
        self._parts.elements.complain("wish-length", "")
        limit = getattr(self._wishes, unit)
        field = self._at("wish-length")
        field.value = "" if limit is None else limit
        usual = Wishes(language="ja" if unit == "characters" else "en").request("").longest
        field.setAttribute("placeholder", str(usual))
        said = "wish.length.characters" if unit == "characters" else "wish.length.words"
        self._parts.elements.say("wish-length-unit", self._words(said))
