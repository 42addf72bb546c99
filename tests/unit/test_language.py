"""Which language a text is in."""

from __future__ import annotations

import pytest

from pairs import FOLDER, read
from sotto.tasks.language import differs, foreign, language
from sotto.tasks.phrases import Language


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The river froze last night, for the first time since 1990.", "en"),
        ("昨夜、川が1990年以来はじめて凍りました。", "ja"),
        ("WebGPUはブラウザのAPIです", "ja"),
        ("ﾃｽﾄです", "ja"),
        ("The word カラオケ has found its way into the dictionaries of the whole world.", "en"),
        ("Der Fluss ist in der Nacht zum ersten Mal seit 1990 zugefroren.", "de"),
        ("La rivière a gelé cette nuit, pour la première fois depuis 1990.", "fr"),
        ("El río se heló anoche por primera vez desde 1990.", "es"),
        ("O rio congelou ontem à noite, pela primeira vez desde 1990.", "pt"),
        ("어젯밤 1990년 이후 처음으로 강이 얼었습니다.", "ko"),
        ("昨夜河水结冰", "zh"),
        ("Дом у реки", "en"),
        ("", "en"),
        ("12345 !?", "en"),
    ],
)
def test_language(text, expected):
    assert language(text) == expected


def test_the_texts_of_the_pairs():
    pairs = read(sorted(FOLDER.glob("*.jsonl")))
    prose = [pair for pair in pairs if pair.kind != "data" and len(pair.text) > 80]
    wrong = [pair.id for pair in prose if language(pair.text) != pair.request.language]
    assert len(prose) > 1500
    assert len(wrong) <= len(prose) // 200, wrong
    answers = [pair for pair in pairs if pair.request.task in ("post", "summary")]
    assert not [pair.id for pair in answers if differs(pair.answer, pair.request.language)]


@pytest.mark.parametrize(
    ("text", "expected", "differing"),
    [
        ("It was the best of the week.", "en", False),
        ("Es war der beste Tag der Woche.", "en", True),
        ("Roquelande va racheter sa boulangerie", "fr", False),  # a short line proves nothing
        ("今日は雪。", "en", True),
        ("The snow came today and it was deep.", "ja", True),
        ("来館者数 四月 八千人", "ja", False),
        ("今日は雪。", "zh", True),
    ],
)
def test_differs(text, expected, differing):
    assert differs(text, expected) is differing


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("הנהר קפא אתמול בלילה, לראשונה מאז 1990.", True),
        ("Река замёрзла прошлой ночью впервые с 1990 года (see BBC).", True),
        ("تجمد النهر الليلة الماضية لأول مرة منذ عام 1990.", True),
        ("The word מזל is on the door of the house.", False),
        ("Żółw śpi w łóżku.", False),
        ("昨夜、川が凍りました。", False),
        ("어젯밤 강이 얼었습니다.", False),
        ("1990: 12 / 14", False),
        ("", False),
    ],
)
def test_scripts_that_no_request_is_made_in(text: str, expected: bool) -> None:
    assert foreign(text) is expected


OTHERS = {
    "cs": "Město se rozhodlo, že stará tržnice bude opravena do podzimu a že v ní budou také dílny pro mladé lidi.",
    "da": "Byen har besluttet, at den gamle havn skal være et sted for alle, og at der ikke må køre biler om søndagen.",
    "nl": "De gemeente wil het oude zwembad niet sluiten, maar er is nog geen geld om het dak te laten repareren.",
    "fi": "Kaupunki on päättänyt, että vanha kirjasto ei sulje oviaan, mutta se on kesällä auki vain kolme päivää.",
    "hu": "A város úgy döntött, hogy a régi könyvtár nem zár be, de nyáron csak három nap lesz nyitva.",
    "id": "Perpustakaan itu akan dibuka untuk semua orang pada hari Minggu, tetapi kafe di lantai dua tidak.",
    "it": "Il comune ha deciso che la vecchia biblioteca non chiude, ma in estate è aperta solo per tre giorni.",
    "nb": "Kommunen har bestemt at det gamle biblioteket ikke skal stenge, men om sommeren er det åpent tre dager.",
    "pl": "Miasto zdecydowało, że stara biblioteka nie zostanie zamknięta, ale latem jest czynna tylko przez trzy dni.",
    "ro": "Orașul a decis că biblioteca veche nu se închide, dar vara este deschisă numai trei zile pe săptămână.",
    "sv": "Kommunen har beslutat att det gamla biblioteket inte ska stängas, men på sommaren är det öppet tre dagar.",
    "tr": "Belediye eski kütüphane için karar verdi: bu yaz kapanmıyor ama haftada üç gün ve daha kısa açık.",
    "vi": "Thư viện cũ không đóng cửa, nhưng vào mùa hè chỉ mở ba ngày một tuần cho các em nhỏ và người lớn.",
}
OURS: dict[Language, str] = {
    "en": "The town has decided that the old library will not close, but in summer it is open on three days only.",
    "de": "Die Stadt hat entschieden, dass die alte Bücherei nicht schließt, im Sommer aber nur drei Tage offen ist.",
    "fr": "La ville a décidé que la vieille bibliothèque ne ferme pas, mais en été elle n’est ouverte que trois jours.",
    "es": "El ayuntamiento ha decidido que la vieja biblioteca no cierra, pero en verano solo abre tres días.",
    "pt": "A câmara decidiu que a velha biblioteca não fecha, mas no verão só está aberta três dias por semana.",
}


@pytest.mark.parametrize("name", OTHERS)
def test_languages_that_no_request_is_made_in(name: str) -> None:
    assert foreign(OTHERS[name]) and language(OTHERS[name]) == "en"


@pytest.mark.parametrize("name", OURS)
def test_languages_that_are_like_them(name: Language) -> None:
    assert not foreign(OURS[name]) and language(OURS[name]) == name
