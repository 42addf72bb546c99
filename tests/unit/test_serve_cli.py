"""serve.py as a person runs it: a process in a checkout of its own, with pins for a server of the test."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import sotto.assets
from local_sources import Cdn, serve_cdn, sha256

ROOT = Path(sotto.assets.__file__).resolve().parents[3]
TIMEOUT = 60

RUNTIME = b"export default 1;"
MODEL = b"GGUF" + bytes(100_000)
PINS = """
_tool = File("runtime/tool.mjs", {tool_size}, "{tool_sha}", ("{base}/tool.mjs",))
_model = File("models/m.gguf", {model_size}, "{model_sha}", ("{base}/m.gguf",))
RUNTIME = (Group("Runtime 1", (_tool,)),)
MODELS = {{"gemma-3-270m": Group("Model 1", (_model,))}}
"""


class Checkout:
    """A copy of the parts of the repository that serve.py needs."""

    def __init__(self, folder: Path, base: str) -> None:
        self.folder = folder
        folder.mkdir()
        shutil.copy(ROOT / "serve.py", folder)
        ignore = shutil.ignore_patterns("__pycache__")
        for room in ("assets", "site"):
            shutil.copytree(ROOT / "py/sotto" / room, folder / "py/sotto" / room, ignore=ignore)
        for module in ("__init__.py", "errors.py", "model_files.py"):
            shutil.copy(ROOT / "py/sotto" / module, folder / "py/sotto")
        (folder / "web").mkdir()
        (folder / "web/index.html").write_text("<title>Sotto</title>")
        with (folder / "py/sotto/assets/pins.py").open("a") as pins:
            pins.write(
                PINS.format(
                    base=base,
                    tool_size=len(RUNTIME),
                    tool_sha=sha256(RUNTIME),
                    model_size=len(MODEL),
                    model_sha=sha256(MODEL),
                )
            )

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """Start serve.py with the options and environment variables given."""
        environment = os.environ | variables
        environment.pop("SOTTO_CACHE", None)
        environment.pop("PYTHONPATH", None)
        return subprocess.Popen(
            # A warning in serve.py is an error here too; isolated from whatever packages the tests have.
            [sys.executable, "-W", "error", "-s", "serve.py", *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments) as process:
            try:
                out, err = process.communicate(timeout=TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    @contextmanager
    def serving(self, *arguments: str, ask_to_end: int = signal.SIGINT) -> Iterator[str]:
        """The address of a running serve.py, which is asked to end afterwards and must do so quietly."""
        with self.start("--port", "0", "--no-browser", *arguments) as process:
            assert process.stdout is not None
            try:
                line = process.stdout.readline()
                match = re.fullmatch(r"Sotto is at (http://127\.0\.0\.1:\d+/) \(Ctrl-C stops it\)\n", line)
                assert match, line
                yield match[1]
                process.send_signal(ask_to_end)
                out, err = process.communicate(timeout=TIMEOUT)
            finally:
                process.kill()
        assert process.returncode == 0
        assert out.strip() == ""
        assert "Traceback" not in err
        self.last_log = err


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Children can be interrupted, even where the tests themselves run in the background and cannot."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def cdn() -> Iterator[Cdn]:
    with serve_cdn() as cdn:
        cdn.files["/tool.mjs"] = RUNTIME
        cdn.files["/m.gguf"] = MODEL
        yield cdn


@pytest.fixture
def checkout(cdn: Cdn, tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "checkout", cdn.base)


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
        return bytes(response.read())


def test_first_start_fetches_and_second_start_asks_for_nothing(checkout: Checkout, cdn: Cdn) -> None:
    with checkout.serving() as address:
        assert get(address) == b"<title>Sotto</title>"
        assert get(address + "runtime/tool.mjs") == RUNTIME
        models = json.loads(get(address + "models.json"))
        assert models["default"] == "gemma-3-270m"
        assert models["models"][0]["sha256"] == sha256(MODEL)
        assert get(address + models["models"][0]["url"]) == MODEL
    assert "Model 1: " in checkout.last_log
    assert (checkout.folder / ".cache/models/m.gguf").read_bytes() == MODEL
    assert len(cdn.requests) == 2

    cdn.files.clear()
    with checkout.serving(ask_to_end=signal.SIGTERM) as address:
        assert get(address + "models/m.gguf") == MODEL
    assert checkout.last_log == ""
    assert len(cdn.requests) == 2


def test_an_own_model_needs_no_other(checkout: Checkout, cdn: Cdn, tmp_path: Path) -> None:
    own = tmp_path / "own model.gguf"
    own.write_bytes(b"GGUF own")
    with checkout.serving("--model", str(own), "--cache", str(tmp_path / "elsewhere")) as address:
        models = json.loads(get(address + "models.json"))
        assert models["default"] == "own model.gguf"
        assert models["models"][0]["sha256"] == hashlib.sha256(b"GGUF own").hexdigest()
        assert get(address + models["models"][0]["url"]) == b"GGUF own"
    assert [path for path, _ in cdn.requests] == ["/tool.mjs"]
    assert not (checkout.folder / ".cache").exists()


def test_a_model_in_several_files(checkout: Checkout, tmp_path: Path) -> None:
    """Any of its parts stands for all that are there, and so does their folder."""
    folder = tmp_path / "split model"
    folder.mkdir()
    for number in (1, 2, 3):
        (folder / f"m-{number:05}-of-00003.gguf").write_bytes(b"GGUF" + bytes(number))
    for given, called in ((folder / "m-00002-of-00003.gguf", "m-00002-of-00003.gguf"), (folder, folder.name)):
        with checkout.serving("--model", str(given)) as address:
            (model,) = json.loads(get(address + "models.json"))["models"]
            assert model["name"] == called
            assert [file["size"] for file in model["files"]] == [5, 6, 7]
            for number, file in enumerate(model["files"], 1):
                assert file["name"] == f"m-{number:05}-of-00003.gguf"
                assert get(address + file["url"]) == b"GGUF" + bytes(number)


def test_an_adapter_is_offered_with_the_model(checkout: Checkout, tmp_path: Path) -> None:
    """The one that is given; else with the default model the checkout's own, where it has one."""
    names = ["adapter_config.json", "adapter_model.safetensors"]
    given, own = tmp_path / "given", checkout.folder / "finetune" / "posts"
    for folder in (given, own):
        folder.mkdir(parents=True)
        for name in names:
            (folder / name).write_text(folder.name)
    for arguments, wanted in (([], "posts"), (["--lora", str(given)], "given")):
        with checkout.serving(*arguments) as address:
            (model,) = json.loads(get(address + "models.json"))["models"]
            assert model["adapter"]["name"] == wanted
            for file in model["adapter"]["files"]:
                assert get(address + file["url"]) == wanted.encode()
    (given / names[1]).unlink()
    result = checkout.run("--lora", str(given))
    assert result.returncode == 1
    assert "has no adapter_model.safetensors" in result.stderr


def test_fetch_only_prepares_for_being_offline(checkout: Checkout, cdn: Cdn) -> None:
    result = checkout.run("--fetch-only")
    assert result.returncode == 0
    assert result.stdout == f"Everything is in {checkout.folder.resolve() / '.cache'}.\n"
    cdn.files.clear()
    with checkout.serving() as address:
        assert get(address + "runtime/tool.mjs") == RUNTIME


def test_the_site_is_exported(checkout: Checkout, cdn: Cdn, tmp_path: Path) -> None:
    """Without a model none is fetched; with it everything that was served is there."""
    shutil.copy(ROOT / "web/service_worker.js", checkout.folder / "web")
    folder = tmp_path / "site"
    result = checkout.run("--export", str(folder))
    assert (result.returncode, result.stdout.split(":")[0]) == (0, f"The site is in {folder}")
    assert (folder / "index.html").read_bytes() == b"<title>Sotto</title>"
    assert (folder / "runtime/tool.mjs").read_bytes() == RUNTIME
    assert [path for path, _ in cdn.requests] == ["/tool.mjs"]
    assert checkout.run("--export", str(folder), "--with-model").returncode == 0
    (row,) = json.loads((folder / "models.json").read_bytes())["models"]
    assert row["sha256"] == sha256(MODEL)
    assert b"".join((folder / part["url"]).read_bytes() for part in row["parts"]) == MODEL


def test_a_port_in_use_is_said_before_anything_is_fetched(checkout: Checkout, cdn: Cdn) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = checkout.run("--no-browser", "--port", str(port))
    assert result.returncode == 1
    assert f"Port {port} is already in use" in result.stderr
    assert "--port" in result.stderr.splitlines()[1]
    assert "Traceback" not in result.stderr
    assert cdn.requests == []


def test_wrong_bytes_stop_the_start_and_name_the_file(checkout: Checkout, cdn: Cdn) -> None:
    cdn.files["/m.gguf"] = MODEL[:-1] + b"x"
    result = checkout.run("--no-browser", "--port", "0")
    assert result.returncode == 1
    assert "models/m.gguf" in result.stderr
    assert "not the pinned file" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (checkout.folder / ".cache/models/m.gguf").exists()


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the platform decides what opens a page")
@pytest.mark.parametrize("display", ["", ":99"])
def test_the_page_is_opened_where_there_is_a_screen(checkout: Checkout, tmp_path: Path, display: str) -> None:
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}.new && mv {opened}.new {opened}\n')
    browser.chmod(0o755)
    variables = {"BROWSER": str(browser), "DISPLAY": display, "WAYLAND_DISPLAY": ""}
    with checkout.start("--port", "0", **variables) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[3]
        get(address)
        deadline = time.monotonic() + TIMEOUT
        while display and not opened.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=TIMEOUT)
    assert opened.exists() == bool(display)
    assert not display or opened.read_text() == address + "\n"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--model", "missing.gguf"], 1, "The model missing.gguf does not exist."),
        (["--model", "web"], 1, "The folder web holds no GGUF file, no safetensors files"),
        (["--port", "99999"], 2, "'99999' is not a number between 0 and 65535"),
        (["--port", "http"], 2, "'http' is not a number between 0 and 65535"),
        (["--cache", "serve.py"], 1, "The cache folder serve.py cannot be used"),
        (["--with-model"], 2, "--with-model goes with --export"),
        (["--export", "web", "--part-size", "0"], 2, "'0' is not a whole number of MB"),
        (["--export", "web"], 1, "The folder web is not empty"),
        (["--unknown"], 2, "unrecognized arguments: --unknown"),
    ],
)
def test_mistakes_are_explained(checkout: Checkout, arguments: list[str], status: int, message: str) -> None:
    result = checkout.run("--no-browser", *(["--port", "0"] if "--port" not in arguments else []), *arguments)
    assert result.returncode == status
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_stopping_a_download_keeps_what_has_arrived(checkout: Checkout, cdn: Cdn) -> None:
    cdn.drops["/m.gguf"] = [40_000]
    cdn.hold["/m.gguf"] = threading.Event()
    with checkout.start("--no-browser", "--port", "0") as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("Model 1: fetching"), line
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=TIMEOUT)
    cdn.hold.pop("/m.gguf").set()
    assert process.returncode == 130
    assert "Run it again to go on" in err
    assert "Traceback" not in err
    kept = (checkout.folder / f".cache/downloads/{sha256(MODEL)}.part").read_bytes()
    assert kept == MODEL[: len(kept)]
    assert kept

    cdn.requests.clear()
    assert checkout.run("--fetch-only").returncode == 0
    assert ("/m.gguf", f"bytes={len(kept)}-") in cdn.requests
