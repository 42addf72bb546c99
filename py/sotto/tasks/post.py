"""The few-shot prompt that turns a text into a short post."""

from __future__ import annotations

from typing import Literal

from ..text.chat import Message, render
from ..text.prompt import Prompt
from ..text.tokenizer import Segment

Language = Literal["en", "ja"]

_JAPANESE_SHARE = 0.1  # of all letters; Japanese prose has half of them in kana

_REQUEST: dict[Language, str] = {
    "en": (
        "Write a social media post that tells what the text below says. Keep it short and easy to "
        "understand, with at most 50 words. Answer with the post alone.\n\n"
    ),
    "ja": (
        "次の文章の内容を伝えるSNSの投稿を書いてください。短く、わかりやすく、50語以内にまとめ、"
        "投稿の本文だけを答えてください。\n\n"
    ),
}

_HEADINGS: dict[Language, tuple[str, str]] = {
    "en": ("Article: ", "The article in one short sentence:"),
    "ja": ("記事：", "短くまとめると："),
}

# Chosen on Gemma 3 270M: with "Post:" as the heading it copies most articles whole, and emoji or hashtags in
# the examples send it into loops.
_EXAMPLES: dict[Language, tuple[tuple[str, str], ...]] = {
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


def post(text: str, chat: bool) -> Prompt:
    """The prompt for a post of `text`, in its language; `chat` when the model is tuned for instructions.

    The text is never trusted: what it says cannot end the request, only be part of it.
    """
    which = language(text)
    if chat:
        return Prompt(tuple(render([Message("user", _REQUEST[which] + text)])))
    article, heading = _HEADINGS[which]
    examples = "".join(f"{article}{before}\n{heading}{after}\n\n" for before, after in _EXAMPLES[which])
    # One line as in the examples: an empty line inside the article would look like its end.
    line = " ".join(text.split())
    return Prompt((Segment(f"{examples}{article}{line}\n{heading}"),), stop=("\n",))


def language(text: str) -> Language:
    """Japanese when at least a tenth of the letters are kana, else English."""
    letters = sum(character.isalpha() for character in text)
    kana = sum("ぁ" <= character <= "ヿ" or "ｦ" <= character <= "ﾟ" for character in text)
    return "ja" if kana and kana >= _JAPANESE_SHARE * letters else "en"
