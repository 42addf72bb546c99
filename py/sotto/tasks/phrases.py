"""What a request says, in eight languages: as a label for models that continue text, as a sentence for the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Language = Literal["en", "ja", "de", "fr", "es", "pt", "ko", "zh"]
Task = Literal[
    "post", "caption", "reply", "summary", "headline", "rewrite", "bullets", "paragraph", "dialogue", "translation",
    "record",
]  # fmt: skip
Tone = Literal["friendly", "excited", "formal"]

LANGUAGES: tuple[Language, ...] = get_args(Language)
TASKS: tuple[Task, ...] = get_args(Task)
TRAINED = TASKS[:6]  # those of the pairs in finetune/data, which the default model's adapter has learned
TONES: tuple[Tone, ...] = get_args(Tone)
NETWORKS = ("X", "Threads", "Bluesky", "Mastodon", "LinkedIn", "Instagram")
BY_CHARACTERS = frozenset({"ja", "ko", "zh"})  # languages whose limits count characters, not words


@dataclass(frozen=True)
class Phrases:
    """The words of a language.

    Attributes:
        text: the heading of the text.
        labels: the heading of the answer, by task.
        sentences: the request itself, by task; of instruction-tuned models.
        tones: each as an adjective.
        hashtags: with hashtags.
        limit: the most words or characters; {limit} stands for the number.
        into: the language of a translation; {language} stands for its name.
        written_in: that of a post whose text is in another.
        languages: their names.
        voice: what stands before posts of the person's own, in whose voice one is to be; of instruction-tuned models.
        alone: what keeps chat models from explaining their answer.
        options: the options as a sentence; {options} stands for their list.
        brackets: around a label's options.
        comma: between them.
        colon: behind headings.
    """

    text: str
    labels: Mapping[Task, str]
    sentences: Mapping[Task, str]
    tones: Mapping[Tone, str]
    hashtags: str
    limit: str
    alone: str
    options: str
    into: str
    written_in: str
    voice: str
    languages: Mapping[Language, str]
    brackets: str = " ()"
    comma: str = ", "
    colon: str = ":"


_FULL_WIDTH = {"brackets": "（）", "comma": "、", "colon": "："}

PHRASES: Mapping[Language, Phrases] = {
    "en": Phrases(
        "Text",
        {
            "post": "Post", "caption": "Caption", "reply": "Reply", "summary": "Summary in one sentence",
            "headline": "Headline", "rewrite": "Rewritten",
            "bullets": "Summary in bullet points", "paragraph": "Summary in one paragraph",
            "dialogue": "The character says", "translation": "Translation", "record": "JSON",
        },
        {
            "post": "Write a social media post that tells what the text below says, in its own words.",
            "caption": "Write one sentence that says what the data below show.",
            "reply": "Write a short reply to the last message below.",
            "summary": "Summarise the text below in one sentence.",
            "headline": "Write a headline for the text below.",
            "rewrite": "Rewrite the text below, with nothing added and nothing left out.",
            "bullets": "Summarise the text below in three to five bullet points.",
            "paragraph": "Summarise the text below in one paragraph.",
            "dialogue": "Write what the character says next in the game situation below, in one or two sentences.",
            "translation": "Translate the text below.",
            "record": "Write what the text below says as JSON.",
        },
        {"friendly": "friendly", "excited": "excited", "formal": "formal"},
        "with hashtags", "at most {limit} words", "Answer with nothing else.", "It should be: {options}.",
        "into {language}", "in {language}",
        "Write it in the voice of these posts of mine, and take nothing else from them:",
        {"en": "English", "ja": "Japanese", "de": "German", "fr": "French",
         "es": "Spanish", "pt": "Portuguese", "ko": "Korean", "zh": "Chinese"},
    ),
    "ja": Phrases(
        "文章",
        {
            "post": "投稿", "caption": "説明", "reply": "返信", "summary": "一文の要約", "headline": "見出し",
            "rewrite": "書き直し",
            "bullets": "箇条書きの要約", "paragraph": "一段落の要約", "dialogue": "登場人物のせりふ",
            "translation": "翻訳", "record": "JSON",
        },
        {
            "post": "次の文章の内容を、文章の言葉を生かして伝えるSNSの投稿を書いてください。",
            "caption": "次のデータが示すことを一文で書いてください。",
            "reply": "次の最後のメッセージに短く返信してください。",
            "summary": "次の文章を一文で要約してください。",
            "headline": "次の文章に見出しを付けてください。",
            "rewrite": "次の文章を、内容を足したり省いたりせずに書き直してください。",
            "bullets": "次の文章を三つから五つの箇条書きで要約してください。",
            "paragraph": "次の文章を一段落で要約してください。",
            "dialogue": "次のゲームの状況で登場人物が次に言うせりふを、一、二文で書いてください。",
            "translation": "次の文章を翻訳してください。",
            "record": "次の文章の内容をJSONで書いてください。",
        },
        {"friendly": "親しみやすく", "excited": "わくわくした調子で", "formal": "丁寧に"},
        "ハッシュタグ付き", "{limit}字以内", "それ以外は書かないでください。", "条件：{options}。",
        "{language}に", "{language}で",
        "次の私の投稿の口調で書いてください。内容は使わないでください：",
        {"en": "英語", "ja": "日本語", "de": "ドイツ語", "fr": "フランス語",
         "es": "スペイン語", "pt": "ポルトガル語", "ko": "韓国語", "zh": "中国語"},
        **_FULL_WIDTH,
    ),
    "de": Phrases(
        "Text",
        {
            "post": "Beitrag", "caption": "Bildunterschrift", "reply": "Antwort",
            "summary": "Zusammenfassung in einem Satz", "headline": "Überschrift", "rewrite": "Umgeschrieben",
            "bullets": "Zusammenfassung in Stichpunkten", "paragraph": "Zusammenfassung in einem Absatz",
            "dialogue": "Die Figur sagt", "translation": "Übersetzung", "record": "JSON",
        },
        {
            "post": "Schreibe einen Beitrag für soziale Medien, der den folgenden Text mit dessen Worten wiedergibt.",
            "caption": "Schreibe einen Satz, der sagt, was die folgenden Daten zeigen.",
            "reply": "Schreibe eine kurze Antwort auf die letzte der folgenden Nachrichten.",
            "summary": "Fasse den folgenden Text in einem Satz zusammen.",
            "headline": "Schreibe eine Überschrift für den folgenden Text.",
            "rewrite": "Schreibe den folgenden Text um, ohne etwas hinzuzufügen oder wegzulassen.",
            "bullets": "Fasse den folgenden Text in drei bis fünf Stichpunkten zusammen.",
            "paragraph": "Fasse den folgenden Text in einem Absatz zusammen.",
            "dialogue": "Schreibe in ein, zwei Sätzen, was die Figur in der folgenden Spielsituation nun sagt.",
            "translation": "Übersetze den folgenden Text.",
            "record": "Gib den Inhalt des folgenden Textes als JSON wieder.",
        },
        {"friendly": "freundlich", "excited": "begeistert", "formal": "förmlich"},
        "mit Hashtags", "höchstens {limit} Wörter", "Antworte mit nichts anderem.", "Vorgaben: {options}.",
        "auf {language}", "auf {language}",
        "Schreibe ihn im Ton dieser Beiträge von mir, und nimm sonst nichts aus ihnen:",
        {"en": "Englisch", "ja": "Japanisch", "de": "Deutsch", "fr": "Französisch",
         "es": "Spanisch", "pt": "Portugiesisch", "ko": "Koreanisch", "zh": "Chinesisch"},
    ),
    "fr": Phrases(
        "Texte",
        {
            "post": "Publication", "caption": "Légende", "reply": "Réponse", "summary": "Résumé en une phrase",
            "headline": "Titre", "rewrite": "Réécrit",
            "bullets": "Résumé en points", "paragraph": "Résumé en un paragraphe", "dialogue": "Le personnage dit",
            "translation": "Traduction", "record": "JSON",
        },
        {
            "post": "Écris une publication pour les réseaux sociaux qui dit le texte ci-dessous avec ses mots.",
            "caption": "Écris une phrase qui dit ce que montrent les données ci-dessous.",
            "reply": "Écris une courte réponse au dernier message ci-dessous.",
            "summary": "Résume le texte ci-dessous en une phrase.",
            "headline": "Écris un titre pour le texte ci-dessous.",
            "rewrite": "Réécris le texte ci-dessous, sans rien ajouter ni omettre.",
            "bullets": "Résume le texte ci-dessous en trois à cinq points.",
            "paragraph": "Résume le texte ci-dessous en un paragraphe.",
            "dialogue": "Écris en une ou deux phrases ce que dit ensuite le personnage du jeu ci-dessous.",
            "translation": "Traduis le texte ci-dessous.",
            "record": "Écris en JSON ce que dit le texte ci-dessous.",
        },
        {"friendly": "amical", "excited": "enthousiaste", "formal": "formel"},
        "avec hashtags", "{limit} mots au plus", "Ne réponds rien d'autre.", "Consignes : {options}.",
        "en {language}", "en {language}",
        "Écris-la sur le ton de ces publications de moi, sans rien en reprendre d'autre :",
        {"en": "anglais", "ja": "japonais", "de": "allemand", "fr": "français",
         "es": "espagnol", "pt": "portugais", "ko": "coréen", "zh": "chinois"},
        colon=" :",
    ),
    "es": Phrases(
        "Texto",
        {
            "post": "Publicación", "caption": "Leyenda", "reply": "Respuesta", "summary": "Resumen en una frase",
            "headline": "Titular", "rewrite": "Reescrito",
            "bullets": "Resumen en puntos", "paragraph": "Resumen en un párrafo", "dialogue": "El personaje dice",
            "translation": "Traducción", "record": "JSON",
        },
        {
            "post": "Escribe una publicación para redes sociales que cuente el texto siguiente con sus palabras.",
            "caption": "Escribe una frase que diga lo que muestran los datos siguientes.",
            "reply": "Escribe una respuesta breve al último de los mensajes siguientes.",
            "summary": "Resume el texto siguiente en una frase.",
            "headline": "Escribe un titular para el texto siguiente.",
            "rewrite": "Reescribe el texto siguiente sin añadir ni omitir nada.",
            "bullets": "Resume el texto siguiente en tres a cinco puntos.",
            "paragraph": "Resume el texto siguiente en un párrafo.",
            "dialogue": "Escribe en una o dos frases lo que dice ahora el personaje del juego siguiente.",
            "translation": "Traduce el texto siguiente.",
            "record": "Escribe en JSON lo que dice el texto siguiente.",
        },
        {"friendly": "cercano", "excited": "entusiasta", "formal": "formal"},
        "con hashtags", "{limit} palabras como máximo", "No respondas nada más.", "Condiciones: {options}.",
        "en {language}", "en {language}",
        "Escríbela con el tono de estas publicaciones mías, sin tomar nada más de ellas:",
        {"en": "inglés", "ja": "japonés", "de": "alemán", "fr": "francés",
         "es": "español", "pt": "portugués", "ko": "coreano", "zh": "chino"},
    ),
    "pt": Phrases(
        "Texto",
        {
            "post": "Publicação", "caption": "Legenda", "reply": "Resposta", "summary": "Resumo em uma frase",
            "headline": "Título", "rewrite": "Reescrito",
            "bullets": "Resumo em tópicos", "paragraph": "Resumo em um parágrafo", "dialogue": "O personagem diz",
            "translation": "Tradução", "record": "JSON",
        },
        {
            "post": "Escreva uma publicação para redes sociais que conte o texto abaixo com as palavras dele.",
            "caption": "Escreva uma frase que diga o que mostram os dados abaixo.",
            "reply": "Escreva uma resposta curta à última mensagem abaixo.",
            "summary": "Resuma o texto abaixo em uma frase.",
            "headline": "Escreva um título para o texto abaixo.",
            "rewrite": "Reescreva o texto abaixo sem acrescentar nem omitir nada.",
            "bullets": "Resuma o texto abaixo em três a cinco tópicos.",
            "paragraph": "Resuma o texto abaixo em um parágrafo.",
            "dialogue": "Escreva em uma ou duas frases o que o personagem do jogo abaixo diz em seguida.",
            "translation": "Traduza o texto abaixo.",
            "record": "Escreva em JSON o que diz o texto abaixo.",
        },
        {"friendly": "amigável", "excited": "animado", "formal": "formal"},
        "com hashtags", "no máximo {limit} palavras", "Não responda mais nada.", "Condições: {options}.",
        "em {language}", "em {language}",
        "Escreva-a no tom destas publicações minhas, sem tirar mais nada delas:",
        {"en": "inglês", "ja": "japonês", "de": "alemão", "fr": "francês",
         "es": "espanhol", "pt": "português", "ko": "coreano", "zh": "chinês"},
    ),
    "ko": Phrases(
        "글",
        {
            "post": "게시물", "caption": "설명", "reply": "답장", "summary": "한 문장 요약", "headline": "제목",
            "rewrite": "고쳐 쓴 글",
            "bullets": "요점 정리", "paragraph": "한 단락 요약", "dialogue": "등장인물의 대사", "translation": "번역",
            "record": "JSON",
        },
        {
            "post": "다음 글의 내용을 글의 표현을 살려 전하는 SNS 게시물을 쓰세요.",
            "caption": "다음 데이터가 보여 주는 것을 한 문장으로 쓰세요.",
            "reply": "다음의 마지막 메시지에 짧게 답장하세요.",
            "summary": "다음 글을 한 문장으로 요약하세요.",
            "headline": "다음 글에 제목을 붙이세요.",
            "rewrite": "다음 글을 더하거나 빼지 말고 고쳐 쓰세요.",
            "bullets": "다음 글을 세 개에서 다섯 개의 요점으로 요약하세요.",
            "paragraph": "다음 글을 한 단락으로 요약하세요.",
            "dialogue": "다음 게임 상황에서 등장인물이 이어서 할 말을 한두 문장으로 쓰세요.",
            "translation": "다음 글을 번역하세요.",
            "record": "다음 글의 내용을 JSON으로 쓰세요.",
        },
        {"friendly": "친근하게", "excited": "들뜬 말투로", "formal": "격식 있게"},
        "해시태그 포함", "{limit}자 이내", "다른 말은 쓰지 마세요.", "조건: {options}.",
        "{language}로", "{language}로",
        "제가 쓴 다음 게시물의 말투로 쓰고, 내용은 가져오지 마세요:",
        {"en": "영어", "ja": "일본어", "de": "독일어", "fr": "프랑스어",
         "es": "스페인어", "pt": "포르투갈어", "ko": "한국어", "zh": "중국어"},
    ),
    "zh": Phrases(
        "文章",
        {
            "post": "帖子", "caption": "说明", "reply": "回复", "summary": "一句话摘要", "headline": "标题",
            "rewrite": "改写",
            "bullets": "要点", "paragraph": "一段话摘要", "dialogue": "角色说", "translation": "翻译", "record": "JSON",
        },
        {
            "post": "请用下面文章自己的话，写一条社交媒体帖子，说明文章的内容。",
            "caption": "请用一句话说明下面的数据。",
            "reply": "请简短回复下面的最后一条消息。",
            "summary": "请用一句话概括下面的文章。",
            "headline": "请为下面的文章写一个标题。",
            "rewrite": "请改写下面的文章，不增加也不省略内容。",
            "bullets": "请用三到五个要点概括下面的文章。",
            "paragraph": "请用一段话概括下面的文章。",
            "dialogue": "请用一两句话写出角色在下面的游戏情境中接下来说的话。",
            "translation": "请翻译下面的文章。",
            "record": "请用JSON写出下面文章的内容。",
        },
        {"friendly": "亲切", "excited": "兴奋", "formal": "正式"},
        "带话题标签", "不超过{limit}字", "不要回答别的内容。", "要求：{options}。",
        "译成{language}", "用{language}写",
        "请用下面我的帖子的语气来写，不要使用其中的内容：",
        {"en": "英语", "ja": "日语", "de": "德语", "fr": "法语",
         "es": "西班牙语", "pt": "葡萄牙语", "ko": "韩语", "zh": "中文"},
        **_FULL_WIDTH,
    ),
}  # fmt: skip
