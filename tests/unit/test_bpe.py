"""Tokenizers with a list of merges, against the library `tokenizers`, and tokenizer.model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hugging
import tiny
from sotto import formats
from sotto.assets import default_model
from sotto.errors import FormatError, SottoError, UnsupportedModel
from sotto.formats import bpe, gguf_checkpoint, sentencepiece, tokenizer_json
from sotto.formats.gguf import Header, parse
from sotto.text.merges import Merges
from sotto.text.tokenizer import Segment, Tokenizer
from sotto.text.vocabulary import BPE, SPACE, TokenType, Vocabulary

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "gemma3-tokenizer.json").read_text("utf-8"))
SMALL = tiny.vocabulary()
FIELDS = hugging.tokenizer_json(SMALL)


def read(fields: object) -> Vocabulary:
    return tokenizer_json.read(json.dumps(fields).encode(), "tokenizer.json", 2, 1, 6)


@pytest.fixture(scope="module")
def gemma() -> Vocabulary:
    """Gemma's vocabulary from the default model's file."""
    with default_model().open("rb") as file:
        found = gguf_checkpoint.read(parse(file.read(formats.FIRST_READ)), "gemma").vocabulary
    assert found
    return found


@pytest.fixture(scope="module")
def merges(gemma: Vocabulary) -> list[tuple[str, str]]:
    """The merges of Gemma's tokenizer.json: those that transformers makes of the vocabulary, and no others."""
    return hugging.merges_of(hugging.spelled(gemma))


def test_gemmas_merges(merges: list[tuple[str, str]]) -> None:
    assert len(merges) == GOLDEN["merges"]
    joined = "\n".join(map(" ".join, merges))
    assert hashlib.sha256(joined.encode()).hexdigest() == GOLDEN["merges_sha256"]


@pytest.fixture(scope="module")
def tokenizer(gemma: Vocabulary, merges: list[tuple[str, str]]) -> Tokenizer:
    """Gemma's tokenizer as its tokenizer.json has it."""
    tokens = hugging.spelled(gemma)
    ids = {token: number for number, token in enumerate(tokens)}
    types = np.where([token.strip(SPACE) == "" for token in tokens], TokenType.NORMAL, gemma.types)
    found = bpe.merge_ids(map(list, merges), ids, "merges")
    nothing = np.zeros(len(ids), np.float32)
    types = types.astype(np.uint8)
    return Tokenizer(replace(gemma, kind=BPE, tokens=tokens, types=types, merges=found, scores=nothing))


def test_gemmas_ids(tokenizer: Tokenizer) -> None:
    for case in GOLDEN["gemma"]:
        assert tokenizer.encode(case["text"]) == case["ids"], case["text"]
        assert tokenizer.decode(case["ids"]) == case["text"].replace(SPACE, " ")


def test_scores_give_the_same_ids_but_for_literal_signs_and_long_runs_of_spaces(gemma: Vocabulary) -> None:
    by_scores = Tokenizer(gemma)
    plain = [case for case in GOLDEN["gemma"] if SPACE not in case["text"] and " " * 32 not in case["text"]]
    assert len(plain) > 60
    for case in plain:
        assert by_scores.encode(case["text"]) == case["ids"], case["text"]


def test_the_small_vocabulary() -> None:
    vocabulary = read(FIELDS)
    tokenizer = Tokenizer(vocabulary)
    for case in GOLDEN["tiny"]:
        assert tokenizer.encode(case["text"]) == case["ids"], case["text"]
    assert tokenizer.stop_ids == {1, 5, 6}
    again = Vocabulary.from_json(json.loads(json.dumps(vocabulary.to_json())), vocabulary.spellings())
    assert Tokenizer(again).encode(GOLDEN["tiny"][1]["text"]) == GOLDEN["tiny"][1]["ids"]
    assert again.merges is not None and again.merges.shape == (len(FIELDS["model"]["merges"]), 2)  # type: ignore[index]


def test_merges_in_one_word_are_the_same() -> None:
    """Older files have them so."""
    model = FIELDS["model"]
    assert isinstance(model, dict)
    words = [" ".join(pair) for pair in model["merges"]]
    found = read({**FIELDS, "model": {**model, "merges": words}})
    assert np.array_equal(found.merges, read(FIELDS).merges)  # type: ignore[arg-type]


def test_the_order_of_merges_decides() -> None:
    """Of "abc" the pair that stands first is merged, whatever its place in the text and in the vocabulary."""
    tokens = ["<bos>", "<eos>", *bpe.BYTES, "a", "b", "c", "ab", "bc"]
    ids = {token: number for number, token in enumerate(tokens)}
    types = np.ones(len(tokens), np.uint8)
    bpe.mark_bytes(types, ids)
    for pairs, pieces in (
        ([["a", "b"], ["b", "c"]], ["ab", "c"]),
        ([["b", "c"], ["a", "b"]], ["a", "bc"]),
        ([], list("abc")),
    ):
        merges = bpe.merge_ids(pairs, ids, "merges")
        tokenizer = Tokenizer(
            Vocabulary(BPE, tokens, np.zeros(len(tokens), np.float32), types, 0, 1, merges=merges)
        )
        assert [tokenizer.piece(token) for token in tokenizer.encode("abc")] == pieces
    assert Merges(np.zeros((0, 2), np.uint32)).rank(0, 0) is None


def test_added_tokens_with_a_space_inside_are_merged_too() -> None:
    """Where the text has a literal sign in place of the space, so that they are not found before."""
    tokens = ["<bos>", "<eos>", *bpe.BYTES, "a", "b", "▁", "▁b", "a b", "c"]
    ids = {token: number for number, token in enumerate(tokens)}
    types = np.ones(len(tokens), np.uint8)
    bpe.mark_bytes(types, ids)
    types[ids["a b"]] = TokenType.USER_DEFINED
    pairs = [["▁", "b"], ["a", "▁b"]]
    merges = bpe.merge_ids(pairs, ids, "merges")
    scores = np.zeros(len(tokens), np.float32)
    tokenizer = Tokenizer(Vocabulary(BPE, tokens, scores, types, 0, 1, merges=merges))
    assert [tokenizer.piece(token) for token in tokenizer.encode("ca▁bc")] == ["c", "a b", "c"]
    assert [tokenizer.piece(token) for token in tokenizer.encode("ca bc")] == ["c", "a b", "c"]


def test_control_tokens_are_never_made_of_text() -> None:
    model = FIELDS["model"]
    assert isinstance(model, dict)
    merges = [["<", "b"], ["<b", "os>"], *model["merges"]]
    vocab = {**model["vocab"], "<b": 512, "os>": 513, "os": 514}
    fields = {**FIELDS, "model": {**model, "vocab": vocab, "merges": [["o", "s"], ["os", ">"], *merges]}}
    tokenizer = Tokenizer(read(fields))
    assert 2 not in tokenizer.encode("<bos>") and tokenizer.decode(tokenizer.encode("<bos>")) == "<bos>"
    assert tokenizer.encode_segments([Segment("<bos>", trusted=True)], bos=False) == [2]


def test_added_tokens_that_are_looked_for_later() -> None:
    """A token with `normalized` is found behind a space that was replaced, one without is not."""
    added = FIELDS["added_tokens"]
    assert isinstance(added, list)
    entry = {**added[-1], "id": 512, "content": SPACE + "<x>", "special": False}
    for normalized, expected in ((True, [512]), (False, 3)):
        fields = {**FIELDS, "added_tokens": [*added, {**entry, "normalized": normalized}]}
        ids = Tokenizer(read(fields)).encode(" <x>")
        assert ids == expected if isinstance(expected, list) else len(ids) > 1


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"normalizer": None}, "the normalizer None"),
        ({"normalizer": {"type": "Lowercase"}}, "Lowercase"),
        ({"pre_tokenizer": {"type": "ByteLevel"}}, "the pre-tokenizer .*ByteLevel"),
        ({"model": {"type": "Unigram"}}, "the model Unigram"),
        ({"model": {"byte_fallback": False}}, "byte_fallback"),
        ({"model": {"ignore_merges": True}}, "ignore_merges: True"),
        ({"model": {"dropout": 0.1}}, "dropout: 0.1"),
        ({"model": {"vocab": []}}, "no vocabulary"),
        ({"model": {"vocab": {"a": 0}}}, "256 bytes"),
        ({"model": {"merges": None}}, "no list of merges"),
        ({"model": {"merges": [["a", "b", "c"]]}}, "list of pairs"),
        ({"model": {"merges": [["a", "never"]]}}, "never"),
        ({"model": {"merges": [[[], {}]]}}, "merges"),
        ({"model": 3}, "describes no tokenizer"),
        ({"added_tokens": [{"id": 7}]}, "without a spelling"),
        ({"added_tokens": [{"id": 7, "content": "<pad>"}]}, "two ids"),
        ({"added_tokens": [{"id": 7000, "content": "<new>"}]}, "ids must be 0 to"),
        ({"added_tokens": [{"id": 512, "content": "<new>", "lstrip": True}]}, "lstrip"),
    ],
)  # fmt: skip
def test_other_tokenizers_are_refused(changes: dict[str, Any], complaint: str) -> None:
    fields = {**FIELDS, **changes}
    if isinstance(changes.get("model"), dict):
        fields["model"] = {**FIELDS["model"], **changes["model"]}  # type: ignore[dict-item]
    with pytest.raises((FormatError, UnsupportedModel), match=complaint) as error:
        read(fields)
    assert error.value.hint


def test_what_is_no_json() -> None:
    with pytest.raises(FormatError, match="is not JSON"):
        tokenizer_json.read(b"[" * 100_000, "tokenizer.json", 2, 1, None)


# --- In GGUF ------------------------------------------------------------------------------------------------------


def in_gguf(change: Callable[[dict[str, Any]], object]) -> Vocabulary | None:
    """The vocabulary of a file as llama.cpp's converter writes it where there is no tokenizer.model."""
    model = FIELDS["model"]
    assert isinstance(model, dict)
    types = SMALL.types.copy()
    types[SMALL.types == TokenType.BYTE] = TokenType.NORMAL
    metadata: dict[str, Any] = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": list(SMALL.tokens),
        "tokenizer.ggml.token_type": types.astype(np.int32),
        "tokenizer.ggml.merges": [" ".join(pair) for pair in model["merges"]],
        "tokenizer.ggml.bos_token_id": 2,
        "tokenizer.ggml.eos_token_id": 1,
    }
    change(metadata)
    return gguf_checkpoint.read(Header({"general.architecture": "gemma3", **metadata}, {}, 0), "m").vocabulary


def test_ggufs_model_gpt2_with_merges() -> None:
    vocabulary = in_gguf(lambda metadata: None)
    assert vocabulary and vocabulary.kind == BPE
    tokenizer = Tokenizer(vocabulary)
    plain = [case for case in GOLDEN["tiny"] if SPACE not in case["text"] and " " * 6 not in case["text"]]
    assert len(plain) > 60
    for case in plain:
        assert tokenizer.encode(case["text"]) == case["ids"], case["text"]


def test_another_model_gpt2_is_named() -> None:
    """Without Gemma's bytes it is of another kind: the GPT-2 that spells every byte as a letter."""
    vocabulary = in_gguf(lambda metadata: metadata["tokenizer.ggml.tokens"].__setitem__(100, "x"))
    assert vocabulary and vocabulary.kind == "gpt2"
    with pytest.raises(UnsupportedModel, match="'gpt2'"):
        Tokenizer(vocabulary)
    with pytest.raises(FormatError, match="never"):
        in_gguf(lambda metadata: metadata["tokenizer.ggml.merges"].append("never a"))


# --- tokenizer.model ----------------------------------------------------------------------------------------------


def test_a_sentencepiece_model() -> None:
    found = sentencepiece.read(hugging.sentencepiece(SMALL), "tokenizer.model")
    assert list(found.tokens) == hugging.spelled(SMALL)
    assert np.array_equal(found.types, SMALL.types) and np.array_equal(found.scores, SMALL.scores)
    text = "the printing  press\n\n <b>日本</b> 🚀"
    assert Tokenizer(found).encode(text) == Tokenizer(SMALL).encode(text)
    assert (found.bos, found.eos) == (2, 1)


@pytest.mark.parametrize(
    ("trainer", "normalizer", "complaint"),
    [
        (b"\x18\x01\x98\x02\x01", None, "model_type is not BPE"),
        (b"\x18\x02", None, "byte_fallback"),
        (None, b"\x18\x01\x20\x00", "add_dummy_prefix"),
        (None, b"\x18\x00\x20\x01", "remove_extra_whitespaces"),
        (None, b"\x0a\x08nmt_nfkc\x18\x00\x20\x00", "changes characters"),
    ],
)
def test_other_sentencepiece_models(trainer: bytes | None, normalizer: bytes | None, complaint: str) -> None:
    with pytest.raises(UnsupportedModel, match=complaint):
        sentencepiece.read(hugging.sentencepiece(SMALL, trainer, normalizer), "tokenizer.model")


def test_damaged_sentencepiece_models() -> None:
    data = hugging.sentencepiece(SMALL)
    for at in range(0, len(data), 97):
        for damaged in (data[:at], data[:at] + b"\xff" * 9 + data[at + 9 :]):
            try:
                sentencepiece.read(damaged, "tokenizer.model")
            except SottoError as error:
                assert error.hint
    with pytest.raises(FormatError, match="no SentencePiece model"):
        sentencepiece.read(b"", "tokenizer.model")
