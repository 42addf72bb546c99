"""Which of the languages that requests are made in a text is in: by its script, then by its commonest words."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .phrases import Language

_SHARE = 0.1  # of all letters; Japanese prose has half of them in kana, and names in other scripts stand in every text
_SCRIPTS: Mapping[Language, re.Pattern[str]] = {
    "ja": re.compile(r"[ぁ-ヿｦ-ﾟ]"),
    "ko": re.compile(r"[가-힣]"),
    "zh": re.compile(r"[\u4e00-\u9fff]"),
}
_LATIN = re.compile(r"[A-Za-zªºÀ-ÖØ-öø-ɏḀ-ỿ]")
# Function words, some of them of several languages: what tells two apart is how many of a text's words are one's own.
_WORDS: Mapping[Language, str] = {
    "en": (
        "the a and of to in is it that for on with at by from was were are be this have has had not but they you we he "
        "she our your will can or an as which who what there been i my no"
    ),
    "de": (
        "der die das und in zu den ist im von mit für auf ein eine einen dem des sich auch nicht es wir ich sie er war "
        "wird werden am um bei aus nach oder sind hat haben noch nur zum zur"
    ),
    "fr": (
        "le la les l et de des du d en un une est dans pour que qu qui par sur au aux avec ce cette il elle nous vous "
        "je n ne pas plus sont été ou mais s"
    ),
    "es": (
        "el la los las y de del en un una es que por para con se su al lo como más pero sus le ya o este esta son fue "
        "hay nos desde hasta está no"
    ),
    "pt": (
        "o a os as e de do da dos das em um uma é que por para com se seu sua ao no na nos nas mais mas como foi são "
        "não pelo pela até está já ou desde à às"
    ),
}
# Those of languages that no request is made in, so that none of them is taken for one of the five.
_OTHERS: Mapping[str, str] = {
    "cs": "a v na se že je s z do o ve k pro ale jako by které jsou byl jeho nebo po od si také jsme není už který",
    "da": "og i at det er en til af på der med for ikke den som har de et vi var fra kan om men hun han efter også",
    "fi": "ja on ei se että oli hän mutta kun niin ovat myös jo voi sen sitä ole joka mukaan kuin vain tai nyt",
    "hu": "a az és hogy nem is egy de van meg ha csak azt már volt ez mint még lesz vagy el ki szerint minden után",
    "id": "yang dan di itu dengan untuk tidak ini dari dalam akan pada juga ke karena ada kami mereka bisa oleh sudah "
    "saya atau lebih telah",
    "it": "il di che è la per un in non una con sono del le si da come i della nel ha più al gli anche dei ma alla lo "
    "dalle delle",
    "nb": "og i det er på en til som av for at med ikke den har de et vi var fra kan om men hun han etter eller også",
    "nl": "de het een en van in is dat op te zijn met voor niet aan er om ook als bij maar uit ze door naar wordt nog "
    "hij worden deze we",
    "pl": "i w na z do się nie to że jest o jak po co od dla za ale są przez był tym tego który które oraz jego też",
    "ro": "și în de la a cu pe nu o un că este pentru din care se mai au sunt sau dar ce fi lui după prin",
    "sv": "och i att det som en på är av för med till den har inte om ett de vi var från kan men hon han efter också",
    "tr": "bir ve bu için ile da de çok olarak daha ne var kadar gibi olan en ama her sonra değil biz ben o mi",
    "vi": "và của là có trong cho không được một các với người này đã những khi để từ đến tôi như sẽ cũng ở",
}
_SETS = {name: frozenset(words.split()) for name, words in _WORDS.items()}
_OTHER_SETS = [frozenset(words.split()) for words in _OTHERS.values()]
_SURE = 2  # words by which one language leads another


def language(text: str) -> Language:
    """The language of a text; English when nothing tells, and for languages that no request is made in."""
    if script := _script(text):
        return script
    counts = _counts(text)
    if _is_another(text, counts):
        return "en"
    return max(counts, key=lambda name: (counts[name], name == "en"))


def foreign(text: str) -> bool:
    """Whether a text is in a language that no request is made in: then `language` says English for want of it."""
    letters = sum(character.isalpha() for character in text)
    ours = len(_LATIN.findall(text)) + sum(len(script.findall(text)) for script in _SCRIPTS.values())
    return ours < letters / 2 or (not _script(text) and _is_another(text, _counts(text)))


def differs(text: str, expected: Language) -> bool:
    """Whether a text is certainly in another language than `expected`: short texts, names and tables tell nothing."""
    script = _script(text)
    if script or expected in _SCRIPTS:
        return script != expected and not (script == "zh" and expected == "ja")  # Japanese lines without kana
    counts = _counts(text)
    return max(counts.values()) >= counts[expected] + _SURE


def _script(text: str) -> Language | None:
    letters = sum(character.isalpha() for character in text)
    for name, script in _SCRIPTS.items():  # Japanese has Chinese characters too, and comes first
        found = len(script.findall(text))
        if found and found >= _SHARE * letters:
            return name
    return None


def _counts(text: str) -> dict[Language, int]:
    words = _words(text)
    return {name: sum(word in own for word in words) for name, own in _SETS.items()}


def _is_another(text: str, counts: Mapping[Language, int]) -> bool:
    """Whether the words of another language lead those of all that requests are made in."""
    words = _words(text)
    most = max(sum(word in own for word in words) for own in _OTHER_SETS)
    return most >= max(counts.values()) + _SURE


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.lower())
