"""Files from public addresses: what arrives is checked, and kept across interruptions."""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_sources import Cdn, serve_cdn, sha256
from sotto.assets import fetch
from sotto.assets.cache import Stamps
from sotto.assets.pins import File, Group
from sotto.errors import AssetError

CONTENT = random.Random(1).randbytes(700_000)
OTHER = random.Random(2).randbytes(700_000)
URL = "/release/tool.wasm"


class Record:
    """Remembers what `fetch` reported."""

    def __init__(self) -> None:
        self.updates: list[tuple[str, int, int]] = []
        self.notes: list[str] = []

    def update(self, what: str, done: int, total: int) -> None:
        self.updates.append((what, done, total))

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def cdn() -> Iterator[Cdn]:
    with serve_cdn() as cdn:
        cdn.files[URL] = CONTENT
        yield cdn


def pinned(*urls: str, content: bytes = CONTENT, path: str = "runtime/tool.wasm") -> Group:
    return Group("Tool 1.0", (File(path, len(content), sha256(content), urls),))


def part_of(cache: Path) -> Path:
    return cache / "downloads" / f"{sha256(CONTENT)}.part"


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_file_arrives_is_put_in_place_and_is_not_asked_for_again(cdn: Cdn, tmp_path: Path) -> None:
    record = Record()
    group = pinned(cdn.base + URL)
    fetch([group], tmp_path, record)
    assert (tmp_path / "runtime/tool.wasm").read_bytes() == CONTENT
    assert record.updates[-1] == ("Tool 1.0", len(CONTENT), len(CONTENT))
    done = [update[1] for update in record.updates]
    assert done == sorted(done)
    assert not part_of(tmp_path).exists()

    fetch([group], tmp_path, record)
    assert len(cdn.requests) == 1


def test_a_missing_file_is_taken_from_the_next_address(cdn: Cdn, tmp_path: Path) -> None:
    fetch([pinned(cdn.base + "/gone", cdn.base + URL)], tmp_path)
    assert (tmp_path / "runtime/tool.wasm").read_bytes() == CONTENT
    assert [path for path, _ in cdn.requests] == ["/gone", URL]


def test_a_dropped_connection_goes_on_where_it_broke(cdn: Cdn, tmp_path: Path) -> None:
    cdn.drops[URL] = [300_000, 0, 200_000]
    fetch([pinned(cdn.base + URL)], tmp_path)
    assert (tmp_path / "runtime/tool.wasm").read_bytes() == CONTENT
    assert [header for _, header in cdn.requests] == ["", "bytes=300000-", "bytes=300000-", "bytes=500000-"]


def test_an_interrupted_run_is_continued_by_the_next(cdn: Cdn, tmp_path: Path) -> None:
    cdn.drops[URL] = [400_000, 0, 0, 0, 0]
    with pytest.raises(AssetError, match=r"runtime/tool\.wasm .*breaking off after 400,000 of 700,000"):
        fetch([pinned(cdn.base + URL)], tmp_path)
    assert part_of(tmp_path).read_bytes() == CONTENT[:400_000]
    assert not (tmp_path / "runtime/tool.wasm").exists()

    cdn.drops.clear()
    cdn.requests.clear()
    fetch([pinned(cdn.base + URL)], tmp_path)
    assert (tmp_path / "runtime/tool.wasm").read_bytes() == CONTENT
    assert cdn.requests == [(URL, "bytes=400000-")]


def test_a_server_without_ranges_makes_it_start_again(cdn: Cdn, tmp_path: Path) -> None:
    cdn.ranges = False
    cdn.drops[URL] = [400_000]
    fetch([pinned(cdn.base + URL)], tmp_path)
    assert (tmp_path / "runtime/tool.wasm").read_bytes() == CONTENT


def test_wrong_bytes_are_an_error_that_names_the_file(cdn: Cdn, tmp_path: Path) -> None:
    cdn.files[URL] = OTHER
    with pytest.raises(AssetError, match=r"runtime/tool\.wasm .*not the pinned file") as caught:
        fetch([pinned(cdn.base + URL)], tmp_path)
    assert sha256(OTHER) in caught.value.message
    assert caught.value.hint
    assert not (tmp_path / "runtime/tool.wasm").exists()
    assert not part_of(tmp_path).exists()


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"x", b"<html>Please sign in</html>"])
def test_another_size_is_an_error_too(cdn: Cdn, tmp_path: Path, content: bytes) -> None:
    cdn.files[URL] = content
    with pytest.raises(AssetError, match=f"offers {len(content)} bytes where 700000 bytes are pinned"):
        fetch([pinned(cdn.base + URL)], tmp_path)
    assert not (tmp_path / "runtime/tool.wasm").exists()


def test_after_wrong_bytes_another_address_may_have_the_right_ones(cdn: Cdn, tmp_path: Path) -> None:
    cdn.files["/bad"] = OTHER
    record = Record()
    fetch([pinned(cdn.base + "/bad", cdn.base + URL)], tmp_path, record)
    assert (tmp_path / "runtime/tool.wasm").read_bytes() == CONTENT
    assert any("Not used: runtime/tool.wasm" in note for note in record.notes)


@pytest.mark.parametrize("left", [OTHER[:300_000], OTHER, OTHER + b"more"])
def test_what_an_earlier_run_left_is_not_trusted(cdn: Cdn, tmp_path: Path, left: bytes) -> None:
    part_of(tmp_path).parent.mkdir()
    part_of(tmp_path).write_bytes(left)
    fetch([pinned(cdn.base + URL)], tmp_path)
    assert (tmp_path / "runtime/tool.wasm").read_bytes() == CONTENT


def test_a_host_that_does_not_answer_is_asked_once(cdn: Cdn, tmp_path: Path) -> None:
    files = [
        File(
            f"runtime/{name}", 4, sha256(name.encode() * 4), (f"{cdn.base}/{name}", f"{closed_port()}/{name}")
        )
        for name in "abc"
    ]
    cdn.hang_up = True
    record = Record()
    with pytest.raises(AssetError, match=r"runtime/a \(4 bytes\) could not be fetched \(nor 2 more"):
        fetch([Group("Letters", tuple(files))], tmp_path, record)
    assert len(cdn.requests) == 1
    assert sum(cdn.base.removeprefix("http://") in note for note in record.notes) == 1


def test_offline_a_verified_folder_is_enough(tmp_path: Path) -> None:
    with serve_cdn() as cdn:
        cdn.files[URL] = CONTENT
        group = pinned(cdn.base + URL)
        fetch([group], tmp_path)
    file = tmp_path / "runtime/tool.wasm"
    fetch([group], tmp_path)

    os.utime(file, (1, 1))  # another time, the same bytes: hashed again, and right
    fetch([group], tmp_path)
    assert Stamps(tmp_path).known("runtime/tool.wasm") == sha256(CONTENT)

    (tmp_path / "verified.json").write_text("not json")
    fetch([group], tmp_path)

    file.write_bytes(OTHER)
    with pytest.raises(AssetError, match=r"runtime/tool\.wasm"):
        fetch([group], tmp_path)


def test_a_changed_file_is_noticed_and_fetched_again(cdn: Cdn, tmp_path: Path) -> None:
    group = pinned(cdn.base + URL)
    fetch([group], tmp_path)
    (tmp_path / "runtime/tool.wasm").write_bytes(OTHER)
    record = Record()
    fetch([group], tmp_path, record)
    assert (tmp_path / "runtime/tool.wasm").read_bytes() == CONTENT
    assert record.notes == ["runtime/tool.wasm has changed since it was fetched; fetching it again."]


def test_two_runs_at_once_fetch_each_file_once(cdn: Cdn, tmp_path: Path) -> None:
    group = pinned(cdn.base + URL)
    threads = [threading.Thread(target=fetch, args=([group], tmp_path)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "runtime/tool.wasm").read_bytes() == CONTENT
    assert len(cdn.requests) == 1


def test_a_file_that_sotto_writes_itself(tmp_path: Path) -> None:
    text = '{"packages": {}}\n'
    fetch([Group("Index", (File("index.json", len(text), sha256(text.encode()), text=text),))], tmp_path)
    assert (tmp_path / "index.json").read_bytes() == text.encode()


def test_a_folder_that_cannot_be_made_is_named(cdn: Cdn, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(AssetError, match=r"cache folder .*file/cache cannot be used") as caught:
        fetch([pinned(cdn.base + URL)], tmp_path / "file" / "cache")
    assert "SOTTO_CACHE" in caught.value.hint
