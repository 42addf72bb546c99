"""The benchmark's screen in a real Chromium: measure a tiny made-up model on the CPU, stop, keep, compare, export.

What the page and `sotto bench` say is read by one and the same reader, which knows every field.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from common import ENGLISH, JAPANESE, ROOT, Serve
from pages import barriers, losing, state, until
from playwright.sync_api import Browser, Page, Route, expect

import sample
from sotto.bench.published import published
from sotto.bench.report import FORMAT, Machine, Report
from sotto.bench.request import Request
from sotto.site.site import OfferedModel
from tiny import Tiny, build

ASKED = "#benchmark?shape=tiny&device=cpu&prefill=16,32&decode=8&context=64&runs=2&budget=120"
QUICK = f"{ASKED}&loads=0&probes=0"


@pytest.fixture(scope="session")
def address(serve: Serve, runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page with a small model for posts."""
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    path.write_bytes(build(Tiny(chat=True)))
    return serve([OfferedModel("tiny", path)])


def run(page: Page) -> Report:
    """Measure to the end; the report. A short one may be over before a busy test sees it begin."""
    before = page.get_attribute("#bench-json", "href")
    page.click("#bench-run")
    until(page, "document.querySelector('#bench-json').getAttribute('href') !== v.before", before=before)
    return done(page)


def done(page: Page) -> Report:
    """Wait for the end of what is being measured; the report."""
    expect(page.locator("#bench-run")).to_be_visible()
    expect(page.locator("#bench-error")).to_be_hidden()
    expect(page.locator("#bench-actions")).to_be_visible()
    return shown(page)


def shown(page: Page) -> Report:
    """The report that the link to save it holds."""
    href = str(page.get_attribute("#bench-json", "href"))
    return Report.from_json(unquote(href.partition(",")[2]))


def saved(page: Page, kind: str) -> str:
    """What a click on a link to save gives."""
    with page.expect_download() as download:
        page.click(f"#bench-{kind}")
    assert re.fullmatch(rf"sotto-benchmark-[\dT-]+\.{kind}", download.value.suggested_filename)
    return Path(download.value.path()).read_text("utf-8")


def keys(value: object) -> object:
    """The shape of a JSON value: names and kinds, whatever the numbers."""
    match value:
        case dict():
            return {name: keys(item) for name, item in value.items() if name not in ("kernels", "notes")}
        case list():
            return [keys(value[0])] if value else []
        case bool() | None:
            return type(value).__name__
        case int() | float():
            return "number"
    return "text"


def test_measure_and_save_as_the_command_does(page: Page, address: str, tmp_path: Path) -> None:
    page.goto(address + ASKED)
    report = run(page)
    assert report.format == FORMAT and report.complete and report.threads >= 1
    assert [p.tokens for p in report.prefill] == [16, 32]
    assert all(p.rate and p.rate.runs == 2 and p.share_of_limit for p in report.prefill)
    assert report.decode and report.decode.tokens == 8 and len(report.decode.points) == 3
    assert report.load.cold and report.load.cached and report.probes and report.probes.int8
    assert report.request == Request.from_query(ASKED.partition("?")[2])
    assert Report.from_json(saved(page, "json")) == report
    assert saved(page, "csv").startswith("figure,tokens,")

    said = page.inner_text("#bench-headline")
    assert ENGLISH["bench.head.decode"] in said and "tok/s" in said
    for figure in ("decode", "prefill", "first", "drift", "beside", "load", "memory", "device"):
        table = page.locator(f"#figure-{figure} table")
        expect(table).to_be_visible()
        for canvas in page.locator(f"#figure-{figure} canvas").all():
            assert canvas.evaluate(
                "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].some((v) => v)"
            ), f"{figure} is drawn"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    paths = os.pathsep.join([str(ROOT / "py"), os.environ.get("PYTHONPATH", "")])
    options = "--shape tiny --device cpu --prefill 16,32 --decode 8 --context 64 --runs 2 --json"
    command = subprocess.run(
        [sys.executable, "-m", "sotto", "bench", *options.split()],
        env=os.environ | {"PYTHONPATH": paths, "SOTTO_CACHE": str(tmp_path)},
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    other = Report.from_json(command.stdout)
    assert (other.model, other.memory_bytes) == (report.model, report.memory_bytes)
    assert keys(json.loads(command.stdout)) == keys(json.loads(report.to_json()))


def test_nothing_leaves_and_no_measured_copy_stays(page: Page, address: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address + ASKED)
    run(page)
    hosts = {urlsplit(url).netloc for url in asked if urlsplit(url).scheme in ("http", "https")}
    assert hosts == {urlsplit(address).netloc}
    assert not any("/models/" in url for url in asked), "a made-up model needs no file"
    assert page.evaluate("localStorage.getItem('sotto.benchmark.scratch')") == ""
    kept = """async () => {
        const names = (await indexedDB.databases()).map(({ name }) => name);
        const found = [];
        for (const name of names) {
            const db = await new Promise((done) => {
                const opening = indexedDB.open(name);
                opening.onsuccess = () => done(opening.result);
            });
            for (const store of db.objectStoreNames) {
                const keys = db.transaction(store).objectStore(store).getAllKeys();
                await new Promise((done) => { keys.onsuccess = done; });
                found.push(...keys.result.flat().map(String));
            }
            db.close();
        }
        return found;
    }"""
    assert not [key for key in page.evaluate(kept) if "benchmark" in key]


@pytest.mark.parametrize("where", ["by button", "by key", "while loading"])
def test_stop(page: Page, address: str, where: str) -> None:
    more = "&shape=270m&probes=0" if where == "while loading" else "&loads=0&probes=0&runs=5000&decode=60"
    page.goto(address + ASKED + more)
    page.click("#bench-run")
    expect(page.locator("#bench-stop")).to_be_visible()
    if where == "while loading":
        expect(page.locator("#bench-when")).to_contain_text(ENGLISH["bench.doing.first"])
        page.click("#bench-stop")
        expect(page.locator("#bench-run")).to_be_visible()
        expect(page.locator("#bench-empty")).to_be_visible()
        return
    expect(page.locator("#bench-when")).to_contain_text("left")
    page.click("#bench-stop") if where == "by button" else page.press("body", "Escape")
    report = done(page)
    assert not report.complete and report.decode is None
    assert ENGLISH["bench.note.cancelled"] in page.inner_text("#bench-remarks")


def test_keep_compare_and_delete(page: Page, address: str) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(address + QUICK)
    expect(page.locator("#bench-kept")).to_have_text(ENGLISH["bench.kept.none"])
    first = run(page)
    page.click("#bench-keep")
    expect(page.locator("#bench-keep")).to_be_disabled()
    expect(page.locator("#bench-kept li")).to_have_count(1)
    second = run(page)
    rows = page.locator("#figure-decode tbody tr")
    expect(rows).to_have_count(2)  # the kept one stands beside it
    assert first.date[:10] in rows.nth(1).inner_text()
    page.click("#bench-kept [data-do=compare]")
    expect(rows).to_have_count(1)

    page.click("#bench-copy")
    expect(page.locator("#bench-copy")).to_have_text(ENGLISH["copied"])
    assert re.fullmatch(
        r"Sotto .+: prefill 16: .+ tok/s, .+ MB", page.evaluate("navigator.clipboard.readText()")
    )
    page.click("#bench-link")
    expect(page.locator("#bench-link")).to_have_text(ENGLISH["copied"])
    link = page.evaluate("navigator.clipboard.readText()")
    assert Request.from_query(unquote(link.partition("#benchmark?")[2])) == second.request

    page.reload()
    expect(page.locator("#bench-kept li")).to_have_count(1)
    page.click("#bench-kept [data-do=show]")
    expect(page.locator("#bench-json")).to_be_visible()
    assert shown(page) == first
    page.click("#bench-kept [data-do=drop]")
    expect(page.locator("#bench-kept")).to_have_text(ENGLISH["bench.kept.none"])
    page.reload()
    expect(page.locator("#bench-run")).to_be_enabled()
    expect(page.locator("#bench-kept li")).to_have_count(0)


def test_the_post_and_its_text_survive_a_benchmark(page: Page, address: str) -> None:
    page.goto(address + "?max_tokens=12&temperature=0&versions=1")
    page.fill("#source", "the small library writes a short story for every morning. ")
    page.click("#write")
    expect(page.locator("#stats")).to_contain_text("tok/s")
    state(page, "ready")
    post = page.inner_text("#post")
    page.click("#screens [data-screen=benchmark]")
    expect(page.locator("#source")).to_be_hidden()
    expect(page.locator("#bench-run")).to_be_enabled()
    page.select_option("#bench-model", "tiny")  # a file of the server's
    page.select_option("#bench-device", "cpu")
    page.select_option("#bench-preset", "quick")
    page.click("#bench-more summary")
    expect(page.locator("#bench-prefill")).to_have_value("32, 128")
    page.fill("#bench-runs", "1")
    page.uncheck("#bench-probes")
    expect(page.locator("#bench-preset")).to_have_value("")  # no longer the preset's
    report = run(page)
    assert report.model == "tiny" and report.prefill[1].tokens == 128
    page.click("#screens [data-screen=post]")
    expect(page.locator("#source")).to_have_value(
        "the small library writes a short story for every morning. "
    )
    state(page, "ready")
    assert page.inner_text("#post") == post
    page.evaluate("document.querySelector('#stats').textContent = ''")
    page.click("#write")
    expect(page.locator("#stats")).to_contain_text("tok/s")
    state(page, "ready")
    assert page.inner_text("#post") == post


def test_a_hidden_tab_and_an_empty_battery_are_told(page: Page, address: str) -> None:
    page.add_init_script(
        """navigator.getBattery = async () => Object.assign(new EventTarget(), { charging: false, level: 0.1 });"""
    )
    page.goto(address + QUICK + "&runs=80&decode=60")
    expect(page.locator("#bench-when")).to_have_text(ENGLISH["bench.hint.battery"])
    page.click("#bench-run")
    expect(page.locator("#bench-when")).to_contain_text("left")
    page.evaluate("document.documentElement.dataset.wasHidden = ''")  # as boot.js does when the tab is hidden
    report = done(page)
    assert report.marks == ("battery", "battery-low", "hidden")
    told = page.inner_text("#bench-remarks")
    assert ENGLISH["bench.mark.hidden"] in told and ENGLISH["bench.mark.battery-low"] in told
    assert any("hidden" in point.marks for p in (*report.prefill, report.decode) if p for point in p.points)


@pytest.mark.parametrize("change", ["decode=many", "device=npu"])
def test_a_wrong_link_is_told_and_the_rest_works(page: Page, address: str, change: str) -> None:
    page.goto(f"{address}#benchmark?{change}")
    expect(page.locator("#bench-error")).to_contain_text(change.partition("=")[2])
    expect(page.locator("#bench-run")).to_be_enabled()
    expect(page.locator("#bench-decode")).to_have_value("256")


def test_on_the_gpu(page: Page, address: str) -> None:
    page.goto(address + QUICK.replace("device=cpu", "device=gpu") + "&profile=1")
    report = run(page)
    assert report.adapter.wgsl and report.threads == 0 and report.kernels
    assert report.agreement and report.agreement.tokens > 40 and report.agreement.share > 0.95
    expect(page.locator("#bench-headline")).to_contain_text(ENGLISH["bench.head.agreement"])
    expect(page.locator("#figure-kernels tbody tr").first).to_be_visible()


def test_japanese_on_a_phone(browser: Browser, address: str) -> None:
    page = browser.new_page(locale="ja-JP", color_scheme="dark", viewport={"width": 375, "height": 812})
    page.goto(address + QUICK)
    expect(page.locator("#bench-run")).to_have_text(JAPANESE["bench.run"])
    run(page)
    expect(page.locator("#bench-headline")).to_contain_text(JAPANESE["bench.head.decode"])
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
        "nothing sticks out of a phone"
    )
    page.close()


def test_on_one_thread_where_the_page_is_not_isolated(page: Page, address: str) -> None:
    def without_headers(route: Route) -> None:
        reply = route.fetch()
        headers = {name: value for name, value in reply.headers.items() if "cross-origin" not in name}
        route.fulfill(response=reply, headers=headers)

    page.route(address, without_headers)
    page.goto(address + QUICK)
    report = run(page)
    assert report.threads == 1 and report.decode and report.decode.rate
    expect(page.locator("#figure-decode table")).to_be_visible()


def test_a_saved_run_is_opened_and_compared(page: Page, address: str, tmp_path: Path) -> None:
    """Of another computer: its figures stand beside this one's, and are there after a reload."""
    other = replace(sample.report(), machine=Machine("macOS 26", "", "3.13.2", "Safari 26"))
    for name, text in (("other", other.to_json()), ("none", "{}")):
        (tmp_path / f"{name}.json").write_text(text, "utf-8")
    page.goto(address + QUICK)
    expect(page.locator("#bench-run")).to_be_enabled()
    page.set_input_files("#bench-file", tmp_path / "none.json")
    expect(page.locator("#bench-error")).to_contain_text(ENGLISH["bench.open.wrong"])
    expect(page.locator("#bench-kept")).to_have_text(ENGLISH["bench.kept.none"])

    page.set_input_files("#bench-file", tmp_path / "other.json")
    expect(page.locator("#bench-kept li")).to_contain_text("macOS 26, Safari 26")
    expect(page.locator("#figure-agreement td").first).to_have_text("126 of 128")
    assert shown(page) == other  # nothing else was measured yet
    page.reload()
    expect(page.locator("#bench-kept [data-do=compare]")).to_be_checked()
    run(page)
    rows = page.locator("#figure-decode tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(1)).to_contain_text("15.7")
    assert not barriers(page)


def test_charts_that_cannot_be_drawn_are_told(page: Page, address: str) -> None:
    page.route("**/chart.umd.min.js", lambda route: route.abort())
    page.goto(address + QUICK)
    expect(page.locator("#bench-uncharted")).to_have_text(ENGLISH["bench.uncharted"])
    expect(page.locator("#figure-beside table")).to_be_visible()
    expect(page.locator("#figure-beside canvas").first).to_be_hidden()
    page.unroute("**/chart.umd.min.js")
    run(page)  # the library is asked for again
    expect(page.locator("#bench-uncharted")).to_be_hidden()
    expect(page.locator("#figure-decode canvas")).to_be_visible()


def test_published_numbers_lead_to_their_sources(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(address + QUICK)
    links = page.locator("#figure-beside td a")
    expect(links).to_have_count(len(published()))
    assert [link.get_attribute("href") for link in links.all()] == [p.address for p in published()]


def test_a_lost_gpu_is_opened_again(page: Page, address: str) -> None:
    losing(page)
    page.goto(address + QUICK.replace("device=cpu", "device=gpu") + "&runs=300&decode=40&agreement=0")
    page.click("#bench-run")
    expect(page.locator("#bench-when")).to_contain_text("left")
    page.evaluate("new BroadcastChannel('lose').postMessage('')")
    expect(page.locator("#bench-when")).to_contain_text(ENGLISH["bench.doing.again"])
    expect(page.locator("#bench-when")).to_contain_text("left")
    page.click("#bench-stop")
    done(page)
    told = page.inner_text("#bench-remarks")
    assert ENGLISH["bench.note.lost"].partition("(")[0] in told and "destroyed" in told
    assert ENGLISH["bench.note.cancelled"] in told
