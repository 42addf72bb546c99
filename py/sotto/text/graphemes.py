"""What a person sees as one character: extended grapheme clusters, by the rules of Unicode Standard Annex #29.

Without its rules for Indic conjuncts (GB9c), and with the classes taken from `unicodedata`, which has most of them.
"""

from __future__ import annotations

import re
import unicodedata

# Extended_Pictographic of emoji-data.txt.
_PICTOGRAPHIC = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2194-\u2199\u21a9\u21aa\u231a\u231b\u2328\u23cf\u23e9-\u23f3"
    "\u23f8-\u23fa\u24c2\u25aa\u25ab\u25b6\u25c0\u25fb-\u25fe\u2600-\u2604\u260e\u2611\u2614\u2615\u2618\u261d"
    "\u2620\u2622\u2623\u2626\u262a\u262e\u262f\u2638-\u263a\u2640\u2642\u2648-\u2653\u265f\u2660\u2663\u2665\u2666"
    "\u2668\u267b\u267e\u267f\u2692-\u2697\u2699\u269b\u269c\u26a0\u26a1\u26a7\u26aa\u26ab\u26b0\u26b1\u26bd\u26be"
    "\u26c4\u26c5\u26c8\u26ce\u26cf\u26d1\u26d3\u26d4\u26e9\u26ea\u26f0-\u26f5\u26f7-\u26fa\u26fd\u2702\u2705"
    "\u2708-\u270d\u270f\u2712\u2714\u2716\u271d\u2721\u2728\u2733\u2734\u2744\u2747\u274c\u274e\u2753-\u2755\u2757"
    "\u2763\u2764\u2795-\u2797\u27a1\u27b0\u27bf\u2934\u2935\u2b05-\u2b07\u2b1b\u2b1c\u2b50\u2b55\u3030\u303d\u3297"
    "\u3299\U0001f004\U0001f02c-\U0001f02f\U0001f094-\U0001f09f\U0001f0af\U0001f0b0\U0001f0c0\U0001f0cf\U0001f0d0"
    "\U0001f0f6-\U0001f0ff\U0001f170\U0001f171\U0001f17e\U0001f17f\U0001f18e\U0001f191-\U0001f19a"
    "\U0001f1af-\U0001f1e5\U0001f201-\U0001f20f\U0001f21a\U0001f22f\U0001f232-\U0001f23a\U0001f23c-\U0001f23f"
    "\U0001f249-\U0001f25f\U0001f266-\U0001f321\U0001f324-\U0001f393\U0001f396\U0001f397\U0001f399-\U0001f39b"
    "\U0001f39e-\U0001f3f0\U0001f3f3-\U0001f3f5\U0001f3f7-\U0001f3fa\U0001f400-\U0001f4fd\U0001f4ff-\U0001f53d"
    "\U0001f549-\U0001f54e\U0001f550-\U0001f567\U0001f56f\U0001f570\U0001f573-\U0001f57a\U0001f587"
    "\U0001f58a-\U0001f58d\U0001f590\U0001f595\U0001f596\U0001f5a4\U0001f5a5\U0001f5a8\U0001f5b1\U0001f5b2"
    "\U0001f5bc\U0001f5c2-\U0001f5c4\U0001f5d1-\U0001f5d3\U0001f5dc-\U0001f5de\U0001f5e1\U0001f5e3\U0001f5e8"
    "\U0001f5ef\U0001f5f3\U0001f5fa-\U0001f64f\U0001f680-\U0001f6c5\U0001f6cb-\U0001f6d2\U0001f6d5-\U0001f6e5"
    "\U0001f6e9\U0001f6eb-\U0001f6f0\U0001f6f3-\U0001f6ff\U0001f7dc-\U0001f7f0\U0001f80c-\U0001f80f"
    "\U0001f848-\U0001f84f\U0001f85a-\U0001f85f\U0001f888-\U0001f88f\U0001f8ae\U0001f8af\U0001f8bc-\U0001f8bf"
    "\U0001f8c2-\U0001f8cf\U0001f8d9-\U0001f8ff\U0001f90c-\U0001f93a\U0001f93c-\U0001f945\U0001f947-\U0001f9ff"
    "\U0001fa58-\U0001fa5f\U0001fa6e-\U0001faff\U0001fc00-\U0001fffd"
)
_FLAG = "\U0001f1e6-\U0001f1ff"  # letters that make a flag in pairs
_TONE = "\U0001f3fb-\U0001f3ff"
_TAG = "\U000e0020-\U000e007f"  # of the flags of England, Scotland and Wales
_JOINED = f"[{_PICTOGRAPHIC}][{_TONE}{_TAG}\ufe0f\u20e3]*"
EMOJI = re.compile(f"[{_FLAG}]{{2}}|[0-9#*]\ufe0f?\u20e3|{_JOINED}(?:\u200d{_JOINED})*")
"""One emoji: joined ones, flags and keycaps whole. Signs that are text unless U+FE0F follows count as well."""

_EMOJI_START = re.compile(f"[{_PICTOGRAPHIC}]")
_FLAG_START = re.compile(f"[{_FLAG}]")
_PREPENDED = re.compile("[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u0d4e\U000110bd\U000110cd]")
_EXTENDING = re.compile(f"[\u200c\u0e33\u0eb3\uff9e\uff9f{_TONE}{_TAG}]")
_LEAD, _VOWEL, _TAIL = (
    "[\u1100-\u115f\ua960-\ua97c]",
    "[\u1160-\u11a7\ud7b0-\ud7c6]",
    "[\u11a8-\u11ff\ud7cb-\ud7fb]",
)
_OPEN = "".join(map(chr, range(0xAC00, 0xD7A4, 28)))  # syllables that may go on with a vowel
_HANGUL = re.compile(f"{_LEAD}*(?:{_VOWEL}+|[{_OPEN}]{_VOWEL}*|[\uac00-\ud7a3]){_TAIL}*|{_LEAD}+|{_TAIL}+")


def graphemes(text: str) -> list[str]:
    """A text in grapheme clusters."""
    found = []
    at = 0
    while at < len(text):
        end = _end(text, at)
        found.append(text[at:end])
        at = end
    return found


def _end(text: str, at: int) -> int:
    """Where the cluster ends that begins there."""
    if text.startswith("\r\n", at):
        return at + 2
    if _is_control(text[at]):
        return at + 1
    while _PREPENDED.match(text, at) and at + 1 < len(text) and not _is_control(text[at + 1]):
        at += 1
    if syllable := _HANGUL.match(text, at):
        return _extended(text, syllable.end())
    if _FLAG_START.match(text, at) and _FLAG_START.match(text, at + 1):
        return _extended(text, at + 2)
    pictographic = _EMOJI_START.match(text, at)
    end = _extended(text, at + 1)
    while pictographic and text[end - 1] == "\u200d" and _EMOJI_START.match(text, end):
        end = _extended(text, end + 1)
    return end


def _extended(text: str, end: int) -> int:
    """What extends a cluster is part of it."""
    while end < len(text) and _extends(text[end]):
        end += 1
    return end


def _extends(character: str) -> bool:
    return (
        character == "\u200d"
        or unicodedata.category(character) in ("Mn", "Me", "Mc")
        or _EXTENDING.match(character) is not None
    )


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Zl", "Zp") or (
        unicodedata.category(character) in ("Cf", "Cs")
        and not _extends(character)
        and not _PREPENDED.match(character)
    )
