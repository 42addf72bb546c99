"""What a program can tell of an answer without reading it: a small model's usual faults.

Rules see numbers, names, copies and loops, not who did what: an answer that passes may still be wrong.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from .language import differs
from .phrases import BY_CHARACTERS, Language
from .request import Request

Rule = Literal["empty", "unended", "loop", "language", "length", "number", "name", "copy", "short", "prompt"]

# What weighs how much when one answer is chosen among several: what cannot be shown, what is untrue, what is poor.
WEIGHTS: dict[Rule, float] = {
    "empty": 100, "loop": 20, "prompt": 20, "language": 10, "unended": 5, "number": 5, "name": 4, "length": 3,
    "copy": 2, "short": 1,
}  # fmt: skip

_SMALL_NUMBERS = (
    "one two three four five six seven eight nine ten eleven twelve",
    "eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf",
    "un deux trois quatre cinq six sept huit neuf dix onze douze",
    "uno dos tres cuatro cinco seis siete ocho nueve diez once doce",
    "um dois três quatro cinco seis sete oito nove dez onze doze",
    "一 二 三 四 五 六 七 八 九 十 十一 十二",
)
_VALUES = {word: str(n) for words in _SMALL_NUMBERS for n, word in enumerate(words.split(), 1)}
_NUMBER = re.compile(r"\d+(?:[.,:\u00a0\u202f]\d+)*")
_THOUSANDS = re.compile(r"(?<=\d)[.,\u00a0\u202f](?=\d{3}(?!\d))")
_KATAKANA = re.compile(r"[ァ-ヺー]{3,}")
_LATIN = re.compile(r"[A-Za-z][A-Za-z0-9]+")
_WORD = re.compile(r"[^\W_]+(?:[-'’.][^\W_]+)*")
_SENTENCE = re.compile(r"(?<=[.!?…])[\"'”’)]*\s+|(?<=[。！？])|\n+")
_ABBREVIATED = re.compile(
    r"(?:(?<!['’])\b(?:Mrs?|Ms|Dr|Drs|St|No|Nr|Sra?|Prof|Mme|bzw|ca|etc|[^\W\d_])|(?<!\d)\d{1,2})\.$"
)
_GOES_ON = ",)%&/"  # with letters and digits, what a capital stands behind inside a sentence
# Capitals that name nobody.
_POLITE = {"I", "I'm", "I've", "I'll", "I'd", "Sie", "Ihr", "Ihre", "Ihren", "Ihrem", "Ihrer", "Ihnen"}
_STEM = 4  # letters of a name that endings leave alone
_ENDING = 3
_SHORTENED = 3
_REPEATS = 3
_LONGEST_LOOP = 60  # characters
_SHORTEST = 0.4  # of a post's limit, which says too little of a text of twice the limit: no person's post did
_SHORT_ANSWER = 12  # letters from which on an answer's language can be told


@dataclass(frozen=True)
class Finding:
    """A rule that an answer breaks.

    Attributes:
        detail: the number or name, or what it is about; empty where the rule says all.
        start, end: where that stands in the answer; both 0 for the whole.
    """

    rule: Rule
    detail: str = ""
    start: int = 0
    end: int = 0


def check(
    request: Request, text: str, answer: str, *, ended: bool = True, shown: Sequence[str] = ()
) -> list[Finding]:
    """All that an answer to a request about a text breaks.

    Args:
        ended: the model ended it, not the limit of tokens.
        shown: answers that stood in the prompt as examples.
    """
    answer = answer.strip()
    if not flat(answer):
        return [Finding("empty")]
    found = [] if ended else [Finding("unended")]
    if loops(answer):
        found.append(Finding("loop"))
    if sum(map(str.isalpha, answer)) >= _SHORT_ANSWER and differs(without_tags(answer), request.language):
        found.append(Finding("language"))
    if request.longest and length(answer, request.language) > request.longest:
        found.append(Finding("length", str(length(answer, request.language))))
    elif request.longest and _says_too_little(request, text, answer):
        found.append(Finding("short"))
    found += unsupported_numbers(text, answer)
    if not request.into:  # names are written otherwise in other languages
        found += unsupported_names(text, answer, request.language)
    if request.task in ("post", "summary", "caption") and is_one_sentence(text, answer):
        found.append(Finding("copy"))
    if any(_shares(example, answer) and not _shares(text, answer) for example in shown):
        found.append(Finding("prompt"))
    return found


def _says_too_little(request: Request, text: str, answer: str) -> bool:
    longest = request.longest or 0
    own = length(without_tags(answer), request.language)
    return own < _SHORTEST * longest and length(text, request.language) >= 2 * longest


def weight(findings: Iterable[Finding]) -> float:
    """How bad the findings are together; 0 is none."""
    return sum(WEIGHTS[finding.rule] for finding in findings)


def length(answer: str, of: Language) -> int:
    """Words; characters without white space in languages whose limits count these."""
    return len("".join(answer.split())) if of in BY_CHARACTERS else len(answer.split())


def flat(text: str) -> str:
    """Letters and digits alone, in one form and case."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", text)).lower()


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text."""
    return [part.strip() for part in _SENTENCE.split(text) if part and part.strip()]


def sentence_ends(text: str) -> list[int]:
    """Where sentences and lines end inside a text: behind their full stops and quotes; not behind "Dr." or "5."."""
    ends = [match.start() + len(match.group().rstrip()) for match in _SENTENCE.finditer(text)]
    return [end for end in ends if not _ABBREVIATED.search(text[:end])]


def without_tags(answer: str) -> str:
    """An answer without its hashtags."""
    return re.sub(r"#\w+", "", answer)


def numbers(text: str) -> list[tuple[str, int, int]]:
    """The numbers of a text in digits, thousands joined, with their places. Full-width digits count."""
    plain = "".join(unicodedata.normalize("NFKC", c) if c.isdecimal() else c for c in text)  # same length
    return [
        (_THOUSANDS.sub("", match.group()), match.start(), match.end()) for match in _NUMBER.finditer(plain)
    ]


def unsupported_numbers(text: str, answer: str) -> list[Finding]:
    """The numbers of an answer that stand nowhere in the text, neither in digits nor, up to twelve, in words."""
    known = {value for value, _, _ in numbers(text)}
    known |= {part for value in known for part in re.split(r"[.,:]", value)}
    lower = text.lower()
    known |= {value for word, value in _VALUES.items() if word in lower}
    return [
        Finding("number", answer[start:end], start, end)
        for value, start, end in numbers(answer)
        if value not in known
    ]


def unsupported_names(text: str, answer: str, of: Language) -> list[Finding]:
    """The names of an answer of which the text has nothing.

    A name is a word with a capital where no sentence begins (a noun, in German); in Japanese and Chinese a word in
    katakana or in Latin letters. Endings may differ, and the text may have it shortened ("Sat").
    """
    known = flat(text)
    short = {flat(word) for word in _WORD.findall(text) if len(word) >= _SHORTENED and word[0].isupper()}
    if of in ("ja", "zh", "ko"):
        matches = [*_KATAKANA.finditer(answer), *_LATIN.finditer(answer)]
    else:
        matches = [match for match in _WORD.finditer(answer) if _is_name(answer, match)]
    return [
        Finding("name", match.group(), match.start(), match.end())
        for match in matches
        if not _stands(match.group(), known) and not any(map(flat(match.group()).startswith, short))
    ]


def _is_name(answer: str, match: re.Match[str]) -> bool:
    word = match.group()
    before = answer[: match.start()].rstrip(" \u00a0")
    inside = bool(before) and (before[-1].isalnum() or before[-1] in _GOES_ON)
    return word[0].isupper() and inside and word.replace("’", "'") not in _POLITE


def _stands(name: str, known: str) -> bool:
    whole = flat(name)
    stems = {whole, *(whole[:-cut] for cut in range(1, _ENDING + 1) if len(whole) - cut >= _STEM)}
    return not whole or any(stem in known for stem in stems)


def is_one_sentence(text: str, answer: str) -> bool:
    """Whether an answer is a sentence of the text, word for word, and nothing else."""
    own = flat(answer)
    return any(own == flat(sentence) for sentence in sentences(text))


def is_one_stretch(text: str, answer: str) -> bool:
    """Whether an answer, but for its hashtags, is one stretch of the text, word for word: nothing re-worded, left out
    or joined."""
    return flat(without_tags(answer)) in flat(text)


def loops(answer: str) -> bool:
    """Whether a stretch comes three times on end, or a sentence twice."""
    own = flat(answer)
    for size in range(1, min(_LONGEST_LOOP, len(own) // _REPEATS) + 1):
        repeats = _REPEATS if size >= _STEM else 8
        if re.search(rf"(.{{{size}}})\1{{{repeats - 1}}}", own) and not own.isdigit():
            return True
    said = [flat(sentence) for sentence in sentences(answer)]
    return len(said) != len(set(said))


def closeness(text: str, answer: str, of: Language) -> float:
    """The share of an answer's pairs of neighbouring words (of three characters, without spaces) that the text has."""
    own, known = _pairs(answer, of), set(_pairs(text, of))
    return sum(pair in known for pair in own) / len(own) if own else 0.0


def _pairs(text: str, of: Language) -> list[tuple[str, ...]]:
    units = list(flat(text)) if of in ("ja", "zh") else [flat(word) for word in _WORD.findall(text)]
    size = 3 if of in ("ja", "zh") else 2
    return [tuple(units[at : at + size]) for at in range(len(units) - size + 1)]


def _shares(text: str, answer: str) -> bool:
    """Whether more than half of an answer's runs of twelve characters stand in a text."""
    own, known = flat(answer), flat(text)
    runs = [own[at : at + 12] for at in range(max(1, len(own) - 11))]
    return sum(run in known for run in runs) > len(runs) / 2
