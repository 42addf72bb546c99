"""What a person wishes of a post: how it sounds, how long it is, in which language it is."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from .. import values
from ..errors import SottoError
from .language import language
from .phrases import BY_CHARACTERS, LANGUAGES, TONES, Language, Tone
from .request import Frame, Request

SHORTEST, LONGEST = 5, 500  # words or characters that a post may be limited to


@dataclass(frozen=True)
class Wishes:
    """Wishes; what is not wished is as usual.

    Attributes:
        words: the most of a post.
        characters: that in languages that are counted so (`BY_CHARACTERS`).
        language: of the post; None for the text's own.
        voice: in that of posts of the person's own, in place of a tone.
    """

    tone: Tone | None = None
    words: int | None = None
    characters: int | None = None
    language: Language | None = None
    hashtags: bool = False
    voice: bool = False

    def __post_init__(self) -> None:
        """Raises InvalidSetting, naming the value, for one that cannot be."""
        for name in ("words", "characters"):
            if (limit := getattr(self, name)) is not None:
                values.whole(name, limit, SHORTEST, LONGEST)
        if self.tone not in (None, *TONES):
            raise values.invalid("tone", self.tone, f"one of: {', '.join(TONES)}")
        if self.language not in (None, *LANGUAGES):
            raise values.invalid("language", self.language, f"one of: {', '.join(LANGUAGES)}")

    def heard(self, how: Frame) -> Wishes:
        """Those of them that a model hears.

        One that is shown examples alone only knows how to write a post. The adapted default model was trained on posts
        in their texts' languages, and writes in them whatever is asked: of 26 posts that were asked for in another
        language two came in that, both of them wrong.
        """
        if how == "examples":
            return Wishes()
        return self if how == "chat" else replace(self, language=None, voice=False)

    def request(self, text: str, network: str | None = None) -> Request:
        """The request for such a post of a text."""
        own = language(text)
        written = self.language or own
        return Request(
            language=written,
            limit=self.characters if written in BY_CHARACTERS else self.words,
            network=network,
            tone=self.tone,
            hashtags=self.hashtags,
            into=written if written != own else None,
        )

    def to_text(self) -> str:
        """As `from_text` reads them; empty where all is as usual."""
        wished = {name: value for name, value in asdict(self).items() if value != getattr(Wishes(), name)}
        return json.dumps(wished) if wished else ""

    @classmethod
    def from_text(cls, text: str) -> Wishes:
        """What was kept; what another version kept, and cannot be read here, is as usual."""
        try:
            return cls(**json.loads(text or "{}"))
        except (ValueError, TypeError, SottoError):
            return cls()
