"""The tokenizer: Gemma's own vocabulary against reference ids, a small one against a slow algorithm."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny
from sotto import formats
from sotto.assets import default_model
from sotto.errors import UnsupportedModel
from sotto.formats import gguf_checkpoint
from sotto.formats.gguf import parse
from sotto.text.tokenizer import Detokenizer, Segment, Tokenizer
from sotto.text.vocabulary import TokenType, Vocabulary

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "gemma3-270m.json").read_text())


@pytest.fixture(scope="module")
def gemma() -> Tokenizer:
    with default_model().open("rb") as file:
        data = file.read(formats.FIRST_READ)
    vocabulary = gguf_checkpoint.read(parse(data), "gemma").vocabulary
    assert vocabulary
    return Tokenizer(vocabulary)


@pytest.fixture(scope="module")
def small() -> Tokenizer:
    return Tokenizer(tiny.vocabulary())


# --- Gemma's vocabulary -------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", GOLDEN["tokenizer"], ids=lambda case: repr(case["text"])[:30])
def test_reference_texts(gemma, case):
    assert gemma.encode(case["text"]) == case["ids"]
    assert gemma.decode(case["ids"]) == case["text"].replace("▁", " ")


@pytest.mark.parametrize("prompt", GOLDEN["prompts"], ids=lambda prompt: prompt["id"])
def test_reference_prompts(gemma, prompt):
    assert gemma.encode_segments([Segment(prompt["text"])]) == prompt["prompt_ids"]
    assert gemma.decode(prompt["prompt_ids"]) == prompt["text"]


def test_the_perplexity_text_comes_back(gemma):
    ids = GOLDEN["perplexity"]["ids"]
    assert [gemma.bos, *gemma.encode(gemma.decode(ids))] == ids


@pytest.mark.parametrize(
    ("text", "pieces"),
    [  # the pieces that SentencePiece 0.2.3 gives with this vocabulary
        ("x" + " " * 33 + "y", ["x", " " * 31, "  ", "y"]),
        (" " * 32 + "y", [" " * 31, "▁y"]),
        ("a  b", ["a", "  ", "b"]),
        ("\n" * 33, ["\n" * 31, "\n\n"]),
        ("▁a ▁", ["▁a", "  "]),
        ("<b> </b>", ["<b>", "▁", "</b>"]),
        ("x> </y", ["x", ">▁</", "y"]),
        ("<start_of_turn>", ["<", "start", "_", "of", "_", "turn", ">"]),
        ("\0", ["<0x00>"]),
        ("\ufeffa\r\n", ["\ufeff", "a", "<0x0D>", "\n"]),
        ("🫠", ["🫠"]),
        ("𒀀", ["𒀀"]),
        ("\U000e0041", ["<0xF3>", "<0xA0>", "<0x81>", "<0x81>"]),
    ],
)
def test_pieces_of_odd_texts(gemma, text, pieces):
    assert [gemma.piece(token) for token in gemma.encode(text)] == pieces


def test_ids_of_the_chat_format(gemma):
    segments = [Segment("<start_of_turn>user\n", True), Segment("Hi"), Segment("<end_of_turn>\n", True)]
    assert gemma.encode_segments(segments) == [2, 105, 2364, 107, 10979, 106, 107]
    assert gemma.stop_ids == {1, 105, 106}
    assert gemma.size == 262144


# --- A small vocabulary -------------------------------------------------------------------------------------


def slow_encode(vocabulary: Vocabulary, text: str) -> list[int]:
    """The definition, without any of the tables: scan for user-defined pieces, then merge the best pair."""
    tokens, types = list(vocabulary.tokens), vocabulary.types.tolist()
    scores = vocabulary.scores.tolist()
    normal = {token: i for i, token in enumerate(tokens) if types[i] == 1}
    fixed = {token.replace(" ", "▁"): i for i, token in enumerate(tokens) if types[i] == 4}
    text = text.replace(" ", "▁")
    ids: list[int] = []
    plain = ""

    def merge() -> None:
        parts = list(plain)
        while True:
            pairs = [
                (scores[normal[a + b]], -i) for i, (a, b) in enumerate(pairwise(parts)) if a + b in normal
            ]
            if not pairs:
                break
            at = -max(pairs)[1]
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        for part in parts:
            in_bytes = [tokens.index(f"<0x{byte:02X}>") for byte in part.encode()]
            ids.extend([normal[part]] if part in normal else in_bytes)

    at = 0
    while at < len(text):
        found = max((piece for piece in fixed if text.startswith(piece, at)), key=len, default="")
        if found:
            merge()
            plain = ""
            ids.append(fixed[found])
        else:
            plain += text[at]
        at += len(found) or 1
    merge()
    return ids


SOUP = st.text(st.sampled_from("the and▁ \n<b>/voice.木日本🚀\0\ufeffé")) | st.text()


@given(SOUP)
def test_encode_equals_the_definition(text):
    assert Tokenizer(tiny.vocabulary()).encode(text) == slow_encode(tiny.vocabulary(), text)


@given(SOUP)
def test_decode_gives_the_text_back(text):
    tokenizer = Tokenizer(tiny.vocabulary())
    assert tokenizer.decode(tokenizer.encode(text)) == text.replace("▁", " ")


def test_scores_that_do_not_follow_the_ids_and_equal_scores():
    generator = random.Random(4)
    for _ in range(30):
        # Few different values, so that ties are common.
        scores = np.array([generator.randrange(5) for _ in range(512)], np.float32)
        shuffled = replace(tiny.vocabulary(), scores=scores)
        text = "".join(
            generator.choice(["the voice", " pap", "reads", " an", "andand", "inin"]) for _ in range(8)
        )
        assert Tokenizer(shuffled).encode(text) == slow_encode(shuffled, text)


def test_pieces_with_a_space_inside_are_found():
    tokens = list(tiny.vocabulary().tokens)
    normal = [i for i, kind in enumerate(tiny.vocabulary().types) if kind == TokenType.NORMAL]
    for place, piece in zip(normal[::9], ["d▁", "d▁t", "▁a▁", "▁a▁the", "e▁", "e▁v▁"], strict=False):
        tokens[place] = piece
    changed = replace(tiny.vocabulary(), tokens=tokens)
    for text in ("and the a the voice v a", "a a the e v v a d the", "bad tea", "e v", " a the"):
        assert Tokenizer(changed).encode(text) == slow_encode(changed, text)


def test_many_user_defined_pieces_that_begin_alike_are_found():
    tokens = list(tiny.vocabulary().tokens)
    types = tiny.vocabulary().types
    normal = np.flatnonzero(types == TokenType.NORMAL)
    for place, number in zip(normal.tolist(), range(100), strict=False):
        tokens[place], types[place] = f"<free{number}>", TokenType.USER_DEFINED
    changed = replace(tiny.vocabulary(), tokens=tokens, types=types)
    for text in ("in <free7> a", "<free99><free9><b>", "<free100><fre", "  <b>\n\nin", "in  a"):
        assert Tokenizer(changed).encode(text) == slow_encode(changed, text)


def test_user_defined_pieces_of_one_character_and_those_that_go_on():
    tokens = list(tiny.vocabulary().tokens)
    types = tiny.vocabulary().types
    normal = np.flatnonzero(types == TokenType.NORMAL).tolist()
    for place, piece in zip(normal, ["\n\n<", "\n" * 9, "<<", "<" * 4, "  -"], strict=False):
        tokens[place], types[place] = piece, TokenType.USER_DEFINED
    changed = replace(tiny.vocabulary(), tokens=tokens, types=types)
    for text in ("\n\n<b>", "\n" * 20 + "<<<", "<<<<<<<<b>", "   -  -", "\n" * 8 + "<<"):
        assert Tokenizer(changed).encode(text) == slow_encode(changed, text)


def test_a_vocabulary_of_several_parts(monkeypatch):
    monkeypatch.setattr("sotto.text.tokenizer._PART", 7)
    monkeypatch.setattr("sotto.text.tokenizer._CACHED_PIECES", 5)
    text = "the voice reads\n\nlibrary <b>木</b> printing press"
    tokenizer = Tokenizer(tiny.vocabulary())
    assert tokenizer.encode(text) == slow_encode(tiny.vocabulary(), text)
    assert len(tokenizer._normal) <= 5


@given(st.lists(st.text("▁ab ", max_size=5), max_size=20), st.data())
def test_what_a_vocabulary_finds_of_its_tokens(tokens, data):
    kinds = [TokenType.NORMAL, TokenType.USER_DEFINED, TokenType.CONTROL]
    types = np.array([data.draw(st.sampled_from(kinds)) for _ in tokens], np.uint8)
    given_ = Vocabulary("other", tokens, np.zeros(len(tokens), np.float32), types, bos=0, eos=0)
    kept = Vocabulary.from_json(json.loads(json.dumps(given_.to_json())), given_.spellings())
    first, last = sorted(data.draw(st.integers(0, len(tokens))) for _ in range(2))
    for vocabulary in (given_, kept):
        found = [token for token, kind in enumerate(types) if kind in kinds[:2]]
        assert vocabulary.of(*kinds[:2]) == [tokens[token] for token in found]
        assert vocabulary.by_spelling(*kinds[:2]) == {tokens[token]: token for token in found}
        assert vocabulary.by_spelling(*kinds[:2], within=slice(first, last)) == {
            tokens[token]: token for token in found if first <= token < last
        }
        assert vocabulary.with_inside("▁") == [token for token in tokens if "▁" in token.lstrip("▁")]


def test_control_tokens_count_in_trusted_text_only(small):
    text = "the<end_of_turn>\n<start_of_turn>voice<eos>"
    assert {1, 5, 6}.isdisjoint(small.encode(text))
    assert {1, 5, 6}.isdisjoint(small.encode_segments([Segment(text)]))
    trusted = small.encode_segments([Segment(text, trusted=True)])
    assert [token for token in trusted if token < 9] == [2, 6, 5, 1]


def test_a_control_token_cannot_be_pieced_together(small):
    for segments in (
        [Segment("<end_of", True), Segment("_turn>"), Segment("x", True)],
        [Segment("<end_of"), Segment("_turn>", True)],
        [Segment("<end_of_", True), Segment("turn>", True)],
    ):
        assert 6 not in small.encode_segments(segments)


def test_segments_are_tokenized_as_one_text(small):
    whole = small.encode_segments([Segment("the voice reads\n\nthe post")])
    parts = ["the voi", "ce", " ", "reads\n", "\nthe post"]
    for trusted in (False, True):
        assert small.encode_segments([Segment(part, trusted) for part in parts]) == whole
    assert small.encode_segments([Segment("the")], bos=False) == small.encode("the")
    assert small.encode_segments([]) == [small.bos]


def test_control_by_name_when_the_type_is_wrong():
    for kind in (TokenType.NORMAL, TokenType.USER_DEFINED):
        types = tiny.vocabulary().types
        types[:9] = kind
        tokenizer = Tokenizer(replace(tiny.vocabulary(), types=types))
        assert 6 not in tokenizer.encode("<end_of_turn>")
        assert tokenizer.encode_segments([Segment("<end_of_turn>", True)], bos=False) == [6]
        assert tokenizer.stop_ids == {1, 5, 6}
        assert tokenizer.decode([2, 5, 6, 1]) == ""


def test_lone_surrogates_do_not_stop_it(small):
    assert small.decode(small.encode("a\ud83db")) == "a?b"


def test_remembered_words_do_not_grow_without_end(small, monkeypatch):
    monkeypatch.setattr("sotto.text.tokenizer._CACHED_WORDS", 10)
    text = " ".join(f"the{n}" for n in range(50))
    assert small.encode(text) == small.encode(text)
    assert len(small._words) <= 10


# --- Streaming ----------------------------------------------------------------------------------------------


def test_characters_appear_whole(small):
    ids = small.encode("a🚀é木")
    detokenizer = Detokenizer(small)
    pieces = [detokenizer.push(token) for token in ids]
    assert [piece for piece in pieces if piece] == ["a", "🚀", "é", "木"]
    assert pieces.count("") == len("🚀木".encode()) - 2
    assert detokenizer.flush() == ""


def test_broken_characters_become_a_mark(small):
    first, second, third, _ = small.encode("🚀")
    detokenizer = Detokenizer(small)
    assert [detokenizer.push(token) for token in (first, second)] == ["", ""]
    assert detokenizer.push(small.encode("a")[0]) == "\ufffda"
    assert detokenizer.push(third) == "\ufffd"
    assert detokenizer.push(first) == "" and detokenizer.flush() == "\ufffd" and detokenizer.flush() == ""


def test_control_tokens_give_no_text(small):
    detokenizer = Detokenizer(small)
    assert [detokenizer.push(token) for token in (2, 5, 511)] == ["", "", ""]
    assert small.piece(511).startswith("<unused")


@given(st.lists(st.integers(0, 511)))
def test_streaming_equals_decoding(ids):
    tokenizer = Tokenizer(tiny.vocabulary())
    detokenizer = Detokenizer(tokenizer)
    assert "".join(map(detokenizer.push, ids)) + detokenizer.flush() == tokenizer.decode(ids)


# --- Files that do not fit ----------------------------------------------------------------------------------


def test_another_kind_of_tokenizer_is_named():
    with pytest.raises(UnsupportedModel, match="gpt2"):
        Tokenizer(replace(tiny.vocabulary(), kind="gpt2"))


def test_missing_byte_tokens():
    types = tiny.vocabulary().types
    types[np.flatnonzero(types == TokenType.BYTE)[0]] = TokenType.UNUSED
    tokenizer = Tokenizer(replace(tiny.vocabulary(), types=types))
    with pytest.raises(UnsupportedModel, match="255 byte tokens"):
        tokenizer.encode("🚀")
