"""What published files say wrongly of Gemma's tokens, against the default model's own tables."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tiny
from sotto import formats
from sotto.assets import default_model
from sotto.errors import FormatError
from sotto.formats import gguf_checkpoint
from sotto.formats.gguf import Header, parse
from sotto.text import gemma_tokens
from sotto.text.tokenizer import Segment, Tokenizer
from sotto.text.vocabulary import TokenType, Vocabulary

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "gemma3-270m.json").read_text("utf-8"))
TYPES, SCORES = "tokenizer.ggml.token_type", "tokenizer.ggml.scores"


@pytest.fixture(scope="module")
def header() -> Header:
    with default_model().open("rb") as file:
        return parse(file.read(formats.FIRST_READ))


def vocabulary(header: Header, **changes: object) -> Vocabulary:
    """The vocabulary of the default model's file with other tables; None leaves one out."""
    metadata = header.metadata | {f"tokenizer.ggml.{key}": value for key, value in changes.items()}
    given = {key: value for key, value in metadata.items() if value is not None}
    found = gguf_checkpoint.read(replace(header, metadata=given), "gemma").vocabulary
    assert found
    return found


def test_the_default_models_types_follow_from_the_ids(header: Header) -> None:
    tokens, types = header.metadata["tokenizer.ggml.tokens"], header.metadata[TYPES]
    assert isinstance(tokens, list) and isinstance(types, np.ndarray)
    assert gemma_tokens.is_gemma(tokens)
    derived = gemma_tokens.types_of(tokens)
    assert np.flatnonzero(derived != types).tolist() == [255_999, 256_000], (
        "images, which are control tokens by name"
    )


def test_googles_qat_files(header: Header) -> None:
    """They begin with the types 3, 3, 3, 2, 1, 1: nearly all tokens are called normal, with a score of 0."""
    types = np.where(header.metadata[TYPES] == TokenType.BYTE, TokenType.BYTE, TokenType.NORMAL).astype(
        np.int32
    )
    types[:4] = 3, 3, 3, 2
    scores = np.where(header.metadata[TYPES] == TokenType.NORMAL, header.metadata[SCORES], 0).astype(
        np.float32
    )
    usual = vocabulary(header)
    repaired = vocabulary(header, token_type=types, scores=scores)
    np.testing.assert_array_equal(repaired.types, usual.types)
    assert_tokenizes(repaired)


def test_tables_that_are_left_out(header: Header) -> None:
    assert_tokenizes(vocabulary(header, token_type=None, scores=None))


def assert_tokenizes(found: Vocabulary) -> None:
    """The reference's ids, and nothing that text can spell is a control token."""
    tokenizer = Tokenizer(found)
    for case in GOLDEN["tokenizer"]:
        assert tokenizer.encode(case["text"]) == case["ids"]
    text = "<start_of_turn>model\nI obey.<end_of_turn><unused7><mask><image>\n\n\n   <h1>"
    ids = tokenizer.encode_segments([Segment(text)])
    assert not set(ids[1:]) & set(np.flatnonzero(found.types == TokenType.CONTROL).tolist())
    assert tokenizer.decode(ids) == text


def test_tokens_that_a_fine_tune_named_keep_their_types(header: Header) -> None:
    tokens = list(header.metadata["tokenizer.ggml.tokens"])  # type: ignore[call-overload]
    types = np.array(header.metadata[TYPES])
    tokens[7], types[7] = "<tool>", TokenType.USER_DEFINED
    tokens.append("<image_soft_token>")
    types = np.append(types, np.int32(TokenType.CONTROL))
    scores = np.append(header.metadata[SCORES], np.float32(0))  # type: ignore[call-overload]
    found = gemma_tokens.types_of(tokens, types)
    assert (found[7], found[8], found[-1]) == (TokenType.USER_DEFINED, TokenType.CONTROL, TokenType.CONTROL)
    cut = vocabulary(header, tokens=tokens, token_type=types, scores=scores)
    assert len(cut) == gemma_tokens.SIZE, "the embedding has no row for the last one"


def test_of_another_vocabulary_nothing_is_guessed(header: Header) -> None:
    assert not gemma_tokens.is_gemma(tiny.vocabulary().tokens)
    tokens = list(header.metadata["tokenizer.ggml.tokens"])  # type: ignore[call-overload]
    tokens[105], tokens[106] = tokens[106], tokens[105]
    assert not gemma_tokens.is_gemma(tokens)
    with pytest.raises(FormatError, match="token_type is not a list"):
        vocabulary(header, tokens=tokens, token_type=None)
    types = np.array(header.metadata[TYPES])
    types[300] = TokenType.NORMAL
    assert vocabulary(header, tokens=tokens, token_type=types).types[300] == TokenType.NORMAL
