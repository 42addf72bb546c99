"""The few-shot prompt that turns a text into a short post: for base models that have no adapter for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from ..text.prompt import Prompt
from ..text.tokenizer import Segment
from .phrases import Language

Examples = Literal["en", "ja"]  # the languages that there are examples in

_HEADINGS: Mapping[Examples, tuple[str, str]] = {
    "en": ("Article: ", "The article in one short sentence:"),
    "ja": ("記事：", "短くまとめると："),
}

# Chosen on Gemma 3 270M: with "Post:" as the heading it copies most articles whole, and emoji or hashtags in
# the examples send it into loops.
_EXAMPLES: Mapping[Examples, tuple[tuple[str, str], ...]] = {
    "en": (
        (
            "I baked bread for the first time today. I forgot the salt, and the crust was as hard as a "
            "stone. My children ate all of it and asked for more.",
            " No salt, a crust like stone, and yet my children loved my first bread!",
        ),
        (
            "A team in Porto has built a brick from used coffee grounds. It weighs half as much as clay, "
            "keeps the heat out, and needs no oven.",
            " Coffee grounds make a good brick: light, warm, and no oven needed.",
        ),
        (
            "Lake Orra will be closed to boats from May to July. Rangers say that the noise drives away the "
            "swans, which nest on its islands every spring.",
            " Lake Orra closes to boats until July, to give the swans some peace.",
        ),
    ),
    "ja": (
        (
            "今日、初めてパンを焼きました。塩を入れ忘れ、皮は石のように硬くなりました。"
            "それでも子どもたちは全部食べて、もっとほしいと言いました。",
            "塩なしで石のように硬い初めてのパン。それでも子どもたちは完食でした！",
        ),
        (
            "ポルトの研究チームが、使い終わったコーヒーの粉でレンガを作りました。重さは粘土の半分で、"
            "窯で焼く必要もありません。",
            "コーヒーの粉から、軽くて焼かなくてもいいレンガができたそうです。",
        ),
        (
            "オーラ湖では、五月から七月まで船の利用が禁止されます。"
            "島で巣を作る白鳥が、船の音で逃げてしまうためです。",
            "白鳥の巣作りを守るため、オーラ湖は七月まで船が禁止に。",
        ),
    ),
}


def post(text: str, language: Language) -> Prompt:
    """The prompt for a post of `text`; its examples are English where there are none in the text's language.

    The text is never trusted: what it says cannot end the request, only be part of it.
    """
    which: Examples = "ja" if language == "ja" else "en"
    article, heading = _HEADINGS[which]
    examples = "".join(f"{article}{before}\n{heading}{after}\n\n" for before, after in _EXAMPLES[which])
    # One line as in the examples: an empty line inside the article would look like its end.
    line = " ".join(text.split())
    return Prompt((Segment(f"{examples}{article}{line}\n{heading}"),), stop=("\n",))


def shown(language: Language) -> list[str]:
    """The answers that the prompt shows: a small model gives one of them back for a text it cannot make anything of."""
    return [answer.strip() for _, answer in _EXAMPLES["ja" if language == "ja" else "en"]]
