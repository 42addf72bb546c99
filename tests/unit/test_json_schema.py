"""JSON of a schema: what the grammar has, and that whatever a model wants, the answer parses and keeps the schema."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import sotto
import tiny
from sotto import api
from sotto.devices.reference.device import NumpyDevice
from sotto.errors import InvalidSetting, SottoError, UnsupportedModel
from sotto.reports import Settings
from sotto.source import MemorySource
from sotto.text.constraint import Constraint, TokenTexts
from sotto.text.grammar import may_end, read
from sotto.text.json_schema import grammar
from sotto.text.tokenizer import Tokenizer
from sotto.text.vocabulary import SPACE

TOKENIZER = Tokenizer(tiny.vocabulary())
TEXTS = TokenTexts(TOKENIZER)
NODE = {
    "type": "object", "properties": {"word": {"type": "string"}, "next": {"$ref": "#/$defs/node"}},
    "required": ["word"],
}  # fmt: skip
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 8},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "mood": {"enum": ["quiet", "light as paper", None, 7]},
        "likes": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 3},
        "height": {"type": "number"},
        "here": {"type": "boolean"},
    },
    "required": ["name", "mood", "likes", "here"],
    "additionalProperties": False,
}


def is_person(value: Any) -> bool:
    return (
        {"name", "mood", "likes", "here"} <= value.keys() <= PERSON["properties"].keys()  # type: ignore[attr-defined]
        and 1 <= len(value["name"]) <= 8
        and value["mood"] in ["quiet", "light as paper", None, 7]
        and 1 <= len(value["likes"]) <= 3
        and all(isinstance(each, str) for each in value["likes"])
        and type(value["here"]) is bool
        and type(value.get("age", 1)) is int
        and 0 <= value.get("age", 1) <= 120
        and isinstance(value.get("height", 1), int | float)
    )


def is_node(value: Any) -> bool:
    return isinstance(value["word"], str) and ("next" not in value or is_node(value["next"]))


CASES: dict[str, tuple[Any, Callable[[Any], bool]]] = {
    "a person": (PERSON, is_person),
    "anything": (True, lambda value: True),
    "an object": ({"type": "object"}, lambda value: isinstance(value, dict)),
    "a map": (
        {"type": "object", "additionalProperties": {"type": "integer"}},
        lambda value: all(type(each) is int for each in value.values()),
    ),
    "a list of pairs": (
        {
            "type": "array",
            "items": {"prefixItems": [{"type": "string"}, {"type": "number"}], "type": "array"},
        },
        lambda value: all(isinstance(a, str) and isinstance(b, int | float) for a, b in value),
    ),
    "itself": ({"$ref": "#/$defs/node", "$defs": {"node": NODE}}, is_node),
    "one of two": (
        {"anyOf": [{"type": "string", "maxLength": 3}, {"type": "null"}]},
        lambda value: value is None or len(value) <= 3,
    ),
    "types": (
        {"type": ["integer", "boolean"], "title": "An age, if it is known"},
        lambda value: isinstance(value, int),
    ),
    "a constant": ({"const": {"é": "図 \U0001f431"}}, lambda value: value == {"é": "図 \U0001f431"}),
    "a range": ({"type": "integer", "minimum": -3, "maximum": 12}, lambda value: -3 <= value <= 12),
    "all optional": (
        {"properties": {"the": {"type": "null"}, "press": {"type": "null"}}},
        lambda value: set(value) <= {"the", "press"},
    ),
}


def written(schema: Any, tokens: int, seed: int, greed: float = 0.0) -> tuple[str, int]:
    """What a model of random taste writes, and how many tokens that took. Greed for strings: they end late."""
    constraint = Constraint(
        TEXTS, TOKENIZER, grammar(schema, TEXTS.characters.__contains__), TOKENIZER.stop_ids, tokens
    )
    rng = np.random.default_rng(seed)
    ids = [TOKENIZER.bos]
    while len(ids) <= tokens:
        logits = rng.normal(size=TOKENIZER.size).astype(np.float32)
        logits[TEXTS.ids] += greed * (TEXTS.lengths > 2)
        token = int(np.argmax(constraint(logits, ids)))
        assert np.isfinite(constraint(logits, ids)[token])
        if token in TOKENIZER.stop_ids:
            break
        ids.append(token)
    return TOKENIZER.decode(ids[1:]), len(ids) - 1


@pytest.mark.parametrize("name", CASES)
def test_whatever_a_model_wants_it_writes_json_of_the_schema(name: str) -> None:
    schema, keeps = CASES[name]
    least = grammar(schema, TEXTS.characters.__contains__).least
    found = set()
    for seed in range(12):
        tokens = (least, least + 1, least + 9, 150)[seed % 4]
        text, taken = written(schema, tokens, seed, greed=3.0 * (seed % 3))
        assert taken <= tokens
        assert keeps(json.loads(text)), text
        found.add(text)
    assert len(found) > 1 or name == "a constant"


@pytest.mark.parametrize(
    ("schema", "has", "has_not"),
    [
        (
            PERSON,
            ['{"name":"a","mood":7,"likes":["b"],"here":true}',
             '{ "name": "é\\n",\n  "mood":null,"likes":[ "" ], "here":false }'],
            [
                '{"name":"","mood":7,"likes":["b"],"here":true}', '{"name":"a","mood":8,"likes":["b"],"here":true}',
                '{"name":"a","mood":7,"likes":[],"here":true}', '{"mood":7,"name":"a","likes":["b"],"here":true}',
                '{"name":"a","age":121,"mood":7,"likes":["b"],"here":true}', '{"name":"a","mood":7,"likes":["b"]}',
            ],
        ),
        ({"type": "number"}, ["0", "-1.50", "12e-3", "3.14"], ["01", ".5", "1.", "+1", "--1", "1e", "NaN"]),
        ({"type": "string"}, ['""', '"\\u00e9\\\\"', '"a b"'], ['"\n"', '"\\x"', '"\\ud800"', '"a', "a"]),
        (True, ['{"a":[1,{"b":null}]}', "[]", "false"], ['{"a"}', "[1,]", "{a:1}"]),
    ],
)  # fmt: skip
def test_texts_of_a_grammar(schema: Any, has: list[str], has_not: list[str]) -> None:
    state = frozenset({(grammar(schema), None)})
    for text in has:
        json.loads(text)
        assert may_end(read(state, text.replace(" ", SPACE))), text
    for text in has_not:
        assert not may_end(read(state, text.replace(" ", SPACE))), text


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "text"}, "the schema has the type"),
        ({"type": "string", "pattern": "a+"}, "'pattern'"),
        ({"properties": {"age": {"type": "integer", "minimum": 0}}}, "the schema.age has a minimum of 0"),
        ({"type": "object", "required": ["name"]}, "requires 'name'"),
        ({"oneOf": [True]}, "'oneOf'"),
        ({"$ref": "http://elsewhere/schema"}, "refers to"),
        ({"$ref": "#/$defs/none"}, "no such part"),
        ({"enum": []}, "enum"),
        ([], r"\[\]"),
        ("string", "must be a JSON schema"),
        ({"type": "array", "minItems": 3, "maxItems": 2}, "minItems of 3"),
        ({"$defs": {"a": {"items": {"$ref": "#/$defs/a"}, "minItems": 1}}, "$ref": "#/$defs/a"}, "no JSON that ends"),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused(schema: Any, told: str) -> None:
    with pytest.raises(InvalidSetting, match=told):
        grammar(schema)


def test_a_character_without_a_token_is_written_in_bytes() -> None:
    """And what begins one in bytes goes on with them."""
    constraint = Constraint(TEXTS, TOKENIZER, grammar({"type": "string"}), TOKENIZER.stop_ids, 20)
    ids = [TOKENIZER.bos]
    logits = np.zeros(TOKENIZER.size, np.float32)
    for part in ['"', *"😷".encode(), '"']:
        token = TEXTS.bytes_by_value[part] if isinstance(part, int) else TOKENIZER.encode(part)[0]
        allowed = constraint(logits, ids)
        assert allowed[token] == 0
        ids.append(token)
    assert TOKENIZER.decode(ids[1:]) == '"😷"'
    assert set(np.flatnonzero(np.isfinite(constraint(logits, ids)))) == TOKENIZER.stop_ids
    constraint = Constraint(TEXTS, TOKENIZER, grammar({"type": "string"}), TOKENIZER.stop_ids, 20)
    begun = [TOKENIZER.encode('"')[0], TEXTS.bytes_by_value[0xF0]]
    constraint(logits, [TOKENIZER.bos])
    allowed = np.flatnonzero(np.isfinite(constraint(logits, [TOKENIZER.bos, *begun])))
    assert sorted(allowed.tolist()) == sorted(TEXTS.bytes_by_value[value] for value in range(0x80, 0xC0))


def test_too_few_tokens_are_told_before_anything_is_written() -> None:
    with pytest.raises(SottoError, match="46 characters; 45 tokens are allowed"):
        written(PERSON, 45, 0)
    assert "ü" not in TEXTS.characters
    with pytest.raises(UnsupportedModel, match="no token for 'ü'"):
        Constraint(TEXTS, TOKENIZER, grammar({"const": "ü"}), TOKENIZER.stop_ids, 20)


@pytest.fixture(scope="module")
def model() -> Iterator[sotto.Model]:
    types = dict.fromkeys(tiny.DEFAULT_TYPES, "F16")
    sizes = tiny.Tiny(layers=1, width=128, hidden=128, heads=2, head_dim=32, chat=True, types=types)
    source = MemorySource(tiny.build(sizes), "tiny.gguf", "tiny")
    with api.load_from(source, NumpyDevice(), Settings(context=96, chunks=(16,))) as ready:
        yield ready


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_a_model_answers_in_json(model: sotto.Model, temperature: float) -> None:
    text = "".join(model.generate("the press", 60, schema=PERSON, temperature=temperature, seed=3))
    assert is_person(json.loads(text))
    assert model.stats.new_tokens <= 60 and model.stats.mode == "single"
    message = [sotto.Message("user", "the press")]
    short = "".join(
        model.chat(
            message, 200, schema={"type": "array", "items": {"type": "string"}}, temperature=temperature
        )
    )
    assert isinstance(json.loads(short), list), "whole, although the context ends before it wants to"


def test_what_would_cut_json_is_refused(model: sotto.Model) -> None:
    with pytest.raises(InvalidSetting, match="without stop"):
        model.generate("the", schema=True, stop=["a"])
    with pytest.raises(SottoError, match="characters; 3 tokens"):
        model.generate("the", 3, schema=PERSON)
