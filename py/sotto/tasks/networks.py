"""How long a post may be where it will be posted, counted as each network counts.

The rules are the networks' own, as far as they publish them: X's of twitter-text (configuration 3), Mastodon's of its
StatusLengthValidator, Bluesky's of its lexicon and of what its app does with links, Threads' of its API ("emojis are
counted as the number of UTF-8 bytes"). LinkedIn and Instagram publish a number only; they are held to count UTF-16
units, as clients that post there do.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..text.graphemes import EMOJI, graphemes

LINK = 23  # characters that X and Mastodon count for a link of any length

_LETTER = r"0-9A-Za-z\u00c0-\u024f\u0400-\u04ff"
_PATH = rf"{_LETTER}!*';:=+,.$/%#\[\]\-–_~@|&"
_END = rf"{_LETTER}=_#/+\-"
_DOMAIN = r"(?:[^\W_](?:[\w-]*[^\W_])?\.)+"
_REST = (
    rf"(?::\d+)?(?:/(?:[{_PATH}]*(?:\([{_PATH}]*\)[{_PATH}]*)*(?:(?<=[{_END}])|(?<=\))))?)?"
    rf"(?:\?[{_PATH}?()]*[{_LETTER}\-_&=#/])?"
)
_BEFORE = r"(?<![0-9A-Za-z@＠$#＃\u202a-\u202e])"
_WITH_PROTOCOL = re.compile(rf"{_BEFORE}https?://{_DOMAIN}[^\W\d_]{{2,}}{_REST}", re.IGNORECASE)
# Without http:// a word with a dot is a link where its end is a country's, or one of these.
_ENDS = (
    "com|org|net|edu|gov|int|info|biz|name|pro|app|dev|blog|shop|store|site|online|tech|xyz|club|news|social|media|"
    "cloud|page|link|live|art|music|wiki|world|today|life|design|studio|digital|agency|games|space|website|email|jobs|"
    "museum|travel|mobi|tokyo|berlin|london|paris"
)
_COUNTRIES = (
    "ac|ad|ae|af|ag|ai|al|am|ao|aq|ar|as|at|au|aw|ax|az|ba|bb|bd|be|bf|bg|bh|bi|bj|bm|bn|bo|br|bs|bt|bw|by|bz|ca|cc|cd|"
    "cf|cg|ch|ci|ck|cl|cm|cn|co|cr|cu|cv|cw|cx|cy|cz|de|dj|dk|dm|do|dz|ec|ee|eg|er|es|et|eu|fi|fj|fk|fm|fo|fr|ga|gb|gd|"
    "ge|gf|gg|gh|gi|gl|gm|gn|gp|gq|gr|gs|gt|gu|gw|gy|hk|hm|hn|hr|ht|hu|id|ie|il|im|in|io|iq|ir|is|it|je|jm|jo|jp|ke|kg|"
    "kh|ki|km|kn|kp|kr|kw|ky|kz|la|lb|lc|li|lk|lr|ls|lt|lu|lv|ly|ma|mc|md|me|mg|mh|mk|ml|mm|mn|mo|mp|mq|mr|ms|mt|mu|mv|"
    "mw|mx|my|mz|na|nc|ne|nf|ng|ni|nl|no|np|nr|nu|nz|om|pa|pe|pf|pg|ph|pk|pl|pm|pn|pr|ps|pt|pw|py|qa|re|ro|rs|ru|rw|sa|"
    "sb|sc|sd|se|sg|sh|si|sk|sl|sm|sn|so|sr|ss|st|su|sv|sx|sy|sz|tc|td|tf|tg|th|tj|tk|tl|tm|tn|to|tr|tt|tv|tw|tz|ua|ug|"
    "uk|us|uy|uz|va|vc|ve|vg|vi|vn|vu|wf|ws|ye|yt|za|zm|zw"
)
_BARE = re.compile(
    rf"{_BEFORE}(?<![-_./])(?:[0-9A-Za-z](?:[0-9A-Za-z_-]*[0-9A-Za-z])?\.)+(?:{_ENDS}|{_COUNTRIES})"
    rf"(?![0-9A-Za-z@＠_+-]){_REST}",
    re.IGNORECASE,
)
_LINK = re.compile(f"{_WITH_PROTOCOL.pattern}|{_BARE.pattern}", re.IGNORECASE)
_MENTION = re.compile(r"(?<![\w/])@(\w+(?:[\w.-]+\w)?)@[\w-]+(?:\.[\w-]+)*(?:\.[^\W\d_]+)", re.IGNORECASE)
_HASHTAG = re.compile(r"(?<![\w&])[#＃](?=\w*[^\W\d])\w+")


@dataclass(frozen=True)
class Network:
    """Where posts go.

    Attributes:
        name: as in `phrases.NETWORKS`.
        limit: the most that a post may count.
        count: what a post counts.
        hashtags: the most of them; None for any number.
    """

    name: str
    limit: int
    count: Callable[[str], int]
    hashtags: int | None = None

    def left(self, text: str) -> int:
        """What may still be added; below 0, what is too much."""
        return self.limit - self.count(text)

    def too_many_hashtags(self, text: str) -> bool:
        """Whether the network refuses a post for the number of its hashtags."""
        return self.hashtags is not None and len(_HASHTAG.findall(text)) > self.hashtags


def _x(text: str) -> int:
    """1 for what alphabets and the usual signs are written with, 2 for anything else and for an emoji as a whole."""
    normal = unicodedata.normalize("NFC", text.replace("\r\n", "\n"))
    count, rest = 0, ""
    for part, is_link in _parts(_LINK, normal):
        count += LINK * is_link
        rest += "" if is_link else part
    for part, is_emoji in _parts(EMOJI, rest):
        count += 2 if is_emoji else sum(map(_weight, part))
    return count


def _weight(character: str) -> int:
    code = ord(character)
    light = code <= 0x10FF or 0x2000 <= code <= 0x200D or 0x2010 <= code <= 0x201F or 0x2032 <= code <= 0x2037
    return 1 if light else 2


def _threads(text: str) -> int:
    """Characters; of emoji, the bytes in UTF-8."""
    return sum(len(part.encode()) if is_emoji else len(part) for part, is_emoji in _parts(EMOJI, text))


def _bluesky(text: str) -> int:
    """Grapheme clusters, with links as they will be shown: the host, and as much of the path as 15 characters hold."""
    return len(
        graphemes("".join(_shortened(part) if is_link else part for part, is_link in _parts(_LINK, text)))
    )


def _shortened(link: str) -> str:
    url = urlsplit(link if "://" in link else f"https://{link}")
    path = ("" if url.path == "/" else url.path) + ("?" + url.query if url.query else "")
    path += "#" + url.fragment if url.fragment else ""
    return url.netloc.rpartition("@")[2].lower() + (path if len(path) <= 15 else path[:13] + "...")


def _mastodon(text: str) -> int:
    """Grapheme clusters; links with http:// or https:// count as 23, and of @name@server the name alone."""
    count, rest = 0, ""
    for part, is_link in _parts(_WITH_PROTOCOL, text):
        count += LINK * is_link
        rest += "\n" if is_link else part  # a break, so that what was apart stays apart
        count -= is_link
    return count + len(graphemes(_MENTION.sub(r"@\1", rest)))


def _utf16(text: str) -> int:
    """UTF-16 units: 1 for most characters, 2 for most emoji and rare characters, more for joined ones."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _parts(pattern: re.Pattern[str], text: str) -> Iterator[tuple[str, bool]]:
    """A text in pieces, each with whether it is what the pattern matches."""
    end = 0
    for match in pattern.finditer(text):
        yield text[end : match.start()], False
        yield match.group(), True
        end = match.end()
    yield text[end:], False


RULES: Mapping[str, Network] = {
    network.name: network
    for network in (
        Network("X", 280, _x),
        Network("Threads", 500, _threads),
        Network("Bluesky", 300, _bluesky),
        Network("Mastodon", 500, _mastodon),
        Network("LinkedIn", 3000, _utf16),
        Network("Instagram", 2200, _utf16, hashtags=30),
    )
}
