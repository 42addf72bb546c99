"""The list of a version's files, and the policy that every one of them is sent with."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path

import pytest

import small_site
from local_sources import sha256
from small_site import FILES
from sotto.site.policy import HEADERS, PAGE_POLICY, POLICIES, POLICY, policy_of
from sotto.site.site import WORKER, Site

ROOT = Path(__file__).parents[2]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return small_site.build(tmp_path)


def release(site: Site) -> dict[str, object]:
    """What the service worker is told."""
    resource = site.find(f"/{WORKER}")
    assert resource is not None and isinstance(resource.content, bytes)
    told, script = resource.content.decode().split("\n", 1)
    assert script == "RELEASE;\n"
    found: dict[str, object] = json.loads(told.removeprefix("const RELEASE = ").removesuffix(";"))
    return found


def test_a_version_is_all_files_of_the_page_by_their_hashes(root: Path) -> None:
    """The page at the empty address, no models, no worker, nothing that is only left over."""
    site = Site(root, root / "cache", [])
    zipped = site.find("/app.zip")
    assert zipped is not None and isinstance(zipped.content, bytes)
    told = release(site)
    css, script = FILES["web/parts/deep.css"], FILES["cache/runtime/pyscript/core.js"]
    page = FILES["web/index.html"]
    assert told["files"] == {
        "": [sha256(page), len(page), "text/html; charset=utf-8"],
        "parts/deep.css": [sha256(css), len(css), "text/css; charset=utf-8"],
        "app.zip": [sha256(zipped.content), len(zipped.content), "application/zip"],
        "runtime/pyscript/core.js": [sha256(script), len(script), "text/javascript; charset=utf-8"],
    }
    assert told["headers"] == HEADERS
    assert told["policies"] == POLICIES


def test_another_file_makes_another_version_and_the_same_ones_the_same(root: Path) -> None:
    site = Site(root, root / "cache", [])
    versions = [release(site)["version"], release(site)["version"]]
    assert versions[0] == versions[1] == release(Site(root, root / "cache", []))["version"]
    for name in (
        "web/parts/deep.css",
        "py/sotto/__init__.py",
        "cache/runtime/pyscript/core.js",
        "web/new.js",
    ):
        with (root / name).open("ab") as file:
            file.write(b"\n\n")
        versions.append(release(site)["version"])
    assert len(set(versions)) == 5


def test_without_a_worker_there_is_none(root: Path) -> None:
    (root / "web" / WORKER).unlink()
    assert Site(root, root / "cache", []).find(f"/{WORKER}") is None


def test_the_page_says_the_policy_itself_where_a_server_sends_none() -> None:
    html = (ROOT / "web/index.html").read_text("utf-8")
    (said,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', html)
    assert said == PAGE_POLICY
    assert html.index("Content-Security-Policy") < min(html.index("<script"), html.index("<link"))
    sources = dict(each.split(" ", 1) for each in said.split("; "))
    assert sources["default-src"] == "'none'"
    assert sources.pop("require-trusted-types-for") == "'script'"
    assert sources.pop("trusted-types") == "default dompurify"
    assert html.index('<script src="trusted.js"') == html.index("<script"), "before whatever makes markup"
    assert all(
        word in ("'none'", "'self'", "'wasm-unsafe-eval'", "blob:", "data:")
        for source in sources.values()
        for word in source.split()
    )


def test_one_worker_may_ask_the_hub_and_nobody_else_anybody() -> None:
    assert list(POLICIES) == ["hub_worker.js"] and (ROOT / "web/hub_worker.js").is_file()
    sources = dict(each.split(" ", 1) for each in policy_of("/hub_worker.js?again").split("; "))
    assert sources.pop("default-src") == "'none'"
    assert sources == {
        "connect-src": "https://huggingface.co https://*.huggingface.co https://hf.co https://*.hf.co"
    }
    assert {policy_of(path) for path in ("/", "/download.js", "/models/hub_worker.js")} == {POLICY}
    script = (ROOT / "web/hub_worker.js").read_text("utf-8")
    assert "import" not in script.partition("*/")[2]  # it has no policy for that


def test_what_an_installed_page_needs_is_there() -> None:
    manifest = json.loads((ROOT / "web/manifest.webmanifest").read_text("utf-8"))
    assert {icon["purpose"] for icon in manifest["icons"]} == {"any", "maskable"}
    for icon in manifest["icons"]:
        assert (ROOT / "web" / icon["src"]).is_file()
    assert {each["form_factor"] for each in manifest["screenshots"]} == {"wide", "narrow"}
    for each in manifest["screenshots"]:
        first = (ROOT / "web" / each["src"]).read_bytes()[16:24]  # of a PNG's first chunk
        size = struct.unpack(">II", first)
        assert each["sizes"] == "{}x{}".format(*size)
        assert min(size) >= 320 and max(size) <= min(3840, 2.3 * min(size)), "Chrome leaves it out"
    worker = (ROOT / "web" / WORKER).read_text("utf-8")
    assert f'path === "{manifest["share_target"]["action"]}"' in worker
    for name in ("title", "text", "url", manifest["share_target"]["params"]["files"][0]["name"]):
        assert f'getAll("{name}")' in worker


def test_no_address_of_the_page_begins_at_the_root() -> None:
    """So that it works below any path."""
    found = [
        f"{path.name}: {match}"
        for path in (ROOT / "web").iterdir()
        if path.suffix in (".html", ".js", ".css", ".webmanifest")
        for match in re.findall(r"""(?:["'(`]/[a-z][\w./-]*(?:\.\w+|/)["')`?])""", path.read_text("utf-8"))
    ]
    assert found == []
