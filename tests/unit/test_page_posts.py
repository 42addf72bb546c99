"""A text and its posts: how they are changed, found, kept and written out."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from sotto.errors import FormatError
from sotto.page.clock import local
from sotto.page.options import Options
from sotto.page.post.entry import Entry, Version, from_json, to_json, to_markdown
from sotto.page.post.job import Job, Written, shorter
from sotto.page.run_figures import Figures
from sotto.reports import RunStats
from sotto.tasks.candidates import judge
from sotto.tasks.request import Request

TEXT = "The bakery on Hill Road opens at six from Monday on.\nRye bread costs 4.20."
GOOD = "From Monday on the bakery on Hill Road opens at six."
WRONG = "The bakery opens at 8, says Lena."
RUN = RunStats(prompt_tokens=40, new_tokens=12, adapters={"posts": 1.0})
FIGURES = Figures(RUN, "tiny", "CPU", "matvec simple", True)
ENTRY = Entry(
    TEXT,
    (
        Version(GOOD, Request(network="X"), FIGURES),
        Version(WRONG, Request(tone="formal", limit=20), FIGURES, edited=True),
    ),
)


def changed(**changes: Any) -> str:
    """The entry as it is kept, its first post with changes; None takes a part away."""
    data = json.loads(to_json([ENTRY]))
    post = data["posts"][0]["versions"][0]
    post |= changes
    data["posts"][0]["versions"][0] = {name: value for name, value in post.items() if value is not None}
    return json.dumps(data)


def test_json_gives_them_back() -> None:
    assert from_json(to_json([ENTRY, replace(ENTRY, text="Another.", versions=())])) == [
        ENTRY,
        replace(ENTRY, text="Another.", versions=()),
    ]


def test_what_a_later_version_adds_to_a_request_or_a_run_is_passed_over() -> None:
    request = {**json.loads(to_json([ENTRY]))["posts"][0]["versions"][0]["request"], "emoji": True}
    assert from_json(changed(request=request)) == [ENTRY]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        to_json([ENTRY]).replace('"version": 1', '"version": 2'),
        to_json([ENTRY]).replace('"posts"', '"tasks"', 1),
        to_json([replace(ENTRY, created="yesterday")]),
        to_json([replace(ENTRY, shown=0)]),
        changed(answer=None),
        changed(answer=7),
        changed(request={"language": "xx"}),
        changed(request={"language": "en", "tone": "rude"}),
        changed(request=["en"]),
        changed(figures=None),
        changed(figures={"run": 3}),
    ],
)
def test_what_is_no_kept_post_is_told(text: str) -> None:
    with pytest.raises(FormatError):
        from_json(text)


def test_steps() -> None:
    one = ENTRY.inserted(1, ENTRY.versions[0])
    assert [each.answer for each in one.versions] == [GOOD, GOOD, WRONG] and one.id == ENTRY.id
    assert (ENTRY.shown, one.shown, one.without(0).shown, ENTRY.without(0).shown) == (1, 2, 1, 1)
    two = one.edited(1, "Open at six!")
    assert [(each.answer, each.edited) for each in two.versions] == [
        (GOOD, False),
        ("Open at six!", True),
        (WRONG, True),
    ]
    assert [each.answer for each in two.without(0).versions] == ["Open at six!", WRONG]
    assert two.under("x").id == "x" and two.under("x").versions == two.versions
    assert two.changed >= ENTRY.changed


def test_a_posts_judgement() -> None:
    wrong = ENTRY.versions[1].candidate(TEXT)
    assert [part for part, foreign in wrong.parts() if foreign] == ["8", "Lena"]
    long = "One two three. " * 20
    own = Version(long, Request(), FIGURES, edited=True)
    assert own.candidate(TEXT).answer == long, "what a person has written is not shortened"
    assert replace(own, edited=False).candidate(TEXT).answer != long


def test_that_a_post_copies_an_example_is_kept() -> None:
    copied = replace(ENTRY.versions[0], copied=True)
    (kept,) = from_json(to_json([replace(ENTRY, versions=(copied,))]))[0].versions
    assert [finding.rule for finding in kept.candidate(TEXT).findings] == ["prompt"]
    assert not replace(kept, edited=True).candidate(TEXT).findings, "a person has changed it"
    assert from_json(changed(copied=None)) == [ENTRY], "posts of before do not say"


def test_markdown() -> None:
    told = to_markdown([ENTRY, replace(ENTRY, text="Another text.", versions=ENTRY.versions[:1])], "Text")
    date = local(ENTRY.created)
    assert told.startswith(
        f"# {date} · X\n\n{GOOD}\n\n---\n\n{WRONG}\n\n## Text\n\n> The bakery on Hill Road"
    )
    assert "\n> Rye bread costs 4.20.\n\n# " in told
    assert told.endswith(f"{GOOD}\n\n## Text\n\n> Another text.\n")


def test_what_is_searched() -> None:
    whole = "\n".join(ENTRY.texts())
    assert all(part in whole for part in (TEXT, GOOD, WRONG, "X"))


def test_what_a_job_wants() -> None:
    ten = "one two three four five six seven eight nine ten"
    assert shorter(Version(ten, Request(), FIGURES)) == (6, 10)
    assert shorter(Version("雨の日は本を読む。", Request(language="ja"), FIGURES)) == (6, 9), (
        "characters there"
    )
    job = Job(TEXT, TEXT, Request(), Options(), unlike=(GOOD,), below=10)
    assert job.fits("Open at six, from Monday on!")
    assert not job.fits(ten), "it is no shorter"
    assert not job.fits(GOOD.upper()), "it is there already"
    assert replace(job, below=0).fits(ten)


def test_what_came_of_a_job() -> None:
    written = Written()
    for answer in (WRONG, GOOD, f"{GOOD} ", "From Monday on the bakery opens at six."):
        written.add(Version(answer.strip(), Request(), FIGURES), judge(Request(), TEXT, answer))
    assert [each.answer for each in written.versions] == [
        WRONG,
        GOOD,
        "From Monday on the bakery opens at six.",
    ]
    assert written.good == 2
    assert written.best()[0].answer == GOOD and written.best()[-1].answer == WRONG
    assert not written.stopped and Written(ended="cancelled").stopped and Written(ended="failed").stopped
