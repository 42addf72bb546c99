"""Signing in at a hub: what is asked, and which answers are none."""

from __future__ import annotations

import html
import json
import re
import urllib.error
import urllib.request
from dataclasses import replace
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from local_hub import serve_hub
from sotto.errors import AssetError
from sotto.library.sign_in import SCOPES, SigningIn, is_answer, token_in

BEGUN = SigningIn.begin("https://hub.example", "an id", "https://me.example/sotto/")


def test_the_address_and_the_form_are_those_of_the_standard() -> None:
    """With the verifier and challenge of RFC 7636, appendix B."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    begun = SigningIn("https://hub.example", "an id", "https://me.example/sotto/", "the state", verifier)
    parts = urlsplit(begun.url)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == "https://hub.example/oauth/authorize"
    assert parse_qs(parts.query, strict_parsing=True) == {
        "client_id": ["an id"],
        "redirect_uri": ["https://me.example/sotto/"],
        "response_type": ["code"],
        "scope": [SCOPES],
        "state": ["the state"],
        "code_challenge": ["E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"],
        "code_challenge_method": ["S256"],
    }
    assert verifier not in begun.url
    assert parse_qs(begun.form("?code=a%20b&state=the+state"), strict_parsing=True) == {
        "grant_type": ["authorization_code"],
        "client_id": ["an id"],
        "code": ["a b"],
        "redirect_uri": ["https://me.example/sotto/"],
        "code_verifier": [verifier],
    }


def test_nobody_can_guess_what_is_begun() -> None:
    begun = [SigningIn.begin("https://hub.example", "id", "https://me.example/") for _ in range(9)]
    assert len({each.state for each in begun} | {each.verifier for each in begun}) == 18
    assert all(43 <= len(each.verifier) <= 128 and len(each.state) >= 32 for each in begun)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"code": "c"}, "does not belong"),
        ({"code": "c", "state": "another"}, "does not belong"),
        ({"error": "access_denied", "state": "another"}, "does not belong"),
        ({"error": "access_denied", "state": BEGUN.state}, "refused on the hub's page"),
        ({"error": "invalid_scope", "state": BEGUN.state}, "invalid_scope"),
        ({"error": "x", "error_description": "No such app.", "state": BEGUN.state}, "No such app"),
        ({"state": BEGUN.state}, "no code"),
    ],
)
def test_answers_that_are_none(answer: dict[str, str], why: str) -> None:
    with pytest.raises(AssetError, match=why):
        BEGUN.form(f"?{urlencode(answer)}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "<html>",
        "{}",
        '{"access_token": 3}',
        '{"access_token": ""}',
        '{"error": "invalid_grant"}',
        "[" * 9999,
    ],
)
def test_answers_without_a_token(text: str) -> None:
    with pytest.raises(AssetError, match=r"no access token|invalid_grant"):
        token_in(text)


def test_a_token() -> None:
    assert (
        token_in('{"access_token": "hf_oauth_x", "token_type": "bearer", "expires_in": 28800}')
        == "hf_oauth_x"
    )


def test_what_is_kept_until_the_person_comes_back() -> None:
    assert SigningIn.from_json(BEGUN.to_json()) == BEGUN
    for text in ("", "{}", "null", "[" * 9999, json.dumps({**json.loads(BEGUN.to_json()), "state": 3})):
        assert SigningIn.from_json(text) is None


def test_addresses_that_may_be_an_answer() -> None:
    assert is_answer("?code=c&state=s") and is_answer("?error=e&state=s")
    assert not is_answer("") and not is_answer("?model=tiny&state=s") and not is_answer("?code=c")


def test_the_way_to_the_hub_and_back() -> None:
    """Against the local hub, which is as strict as the standard: a code is good once, and for who began alone."""
    with serve_hub() as hub:
        hub.sign_in.apps["app"] = {"https://me.example/"}

        def answers(begun: SigningIn) -> tuple[str, str]:
            """The queries that the person may come back with: allowed, and refused."""
            with urllib.request.urlopen(begun.url) as page:
                yes, no = re.findall(r'href="([^"]*)"', page.read().decode())
            return urlsplit(html.unescape(yes)).query, urlsplit(html.unescape(no)).query

        def exchange(form: str) -> str:
            try:
                with urllib.request.urlopen(begun.exchange, form.encode()) as answer:
                    return str(answer.read().decode())
            except urllib.error.HTTPError as error:
                return error.read().decode()

        begun = SigningIn.begin(hub.url, "app", "https://me.example/")
        yes, no = answers(begun)
        assert is_answer(yes) and is_answer(no)
        with pytest.raises(AssetError, match="refused on the hub"):
            begun.form(no)
        assert token_in(exchange(begun.form(yes))) == hub.sign_in.token
        with pytest.raises(AssetError, match="Code is not valid"):
            token_in(exchange(begun.form(yes)))
        thief = replace(begun, verifier="x" * 64)
        with pytest.raises(AssetError, match="not given for this"):
            token_in(exchange(thief.form(answers(begun)[0])))
        for wrong in (replace(begun, client="another"), replace(begun, redirect="https://thief.example/")):
            with pytest.raises(urllib.error.HTTPError, match="400"):
                answers(wrong)
