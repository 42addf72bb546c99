"""A Firefox by its own protocol, Marionette: what Playwright drives is a Firefox of its making, which nobody has."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Self

COMMANDS = ("firefox", "firefox-esr")
SECONDS = 60.0  # until it answers
SCRIPT_SECONDS = 250
PREFERENCES = {
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
}


def find_firefox() -> str | None:
    """Its command, where one is installed."""
    return next((found for found in map(shutil.which, COMMANDS) if found), None)


class Firefox:
    """A headless Firefox with an empty profile, and the one page of it that is used. A context manager: it ends then.

    Args:
        command: that starts it.
        folder: for its profile; made here.
        preferences: of about:config, besides PREFERENCES.
    """

    def __init__(self, command: str, folder: Path, preferences: dict[str, object] | None = None) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            port = int(free.getsockname()[1])
        folder.mkdir(parents=True)
        wanted = {**PREFERENCES, "marionette.port": port, **(preferences or {})}
        lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in wanted.items())
        (folder / "user.js").write_text("".join(lines), "utf-8")
        options = ("--headless", "--marionette", "--no-remote", "--profile", str(folder))
        self._process = subprocess.Popen(
            [command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._asked = 0
        try:
            self._socket = self._connected(port)
            self._file = self._socket.makefile("rb")
            self._read()  # it says who it is
            self.send("WebDriver:NewSession", capabilities={})
            self.send("WebDriver:SetTimeouts", script=1000 * SCRIPT_SECONDS)
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
        self._socket.close()
        self._end()

    def _connected(self, port: int) -> socket.socket:
        end = time.monotonic() + SECONDS
        while True:
            try:
                return socket.create_connection(("127.0.0.1", port))
            except ConnectionRefusedError:
                if time.monotonic() > end or self._process.poll() is not None:
                    raise
                time.sleep(0.2)

    def _end(self) -> None:
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._process.kill()
        self._process.wait()

    def _read(self) -> Any:
        """One message: its length in digits, a colon, JSON."""
        length = b""
        while (byte := self._file.read(1)) != b":":
            assert byte, "Firefox has gone"
            length += byte
        return json.loads(self._file.read(int(length)))

    def send(self, command: str, **parameters: object) -> Any:
        """The answer to a command of WebDriver. Raises RuntimeError where that is an error."""
        self._asked += 1
        data = json.dumps([0, self._asked, command, parameters]).encode()
        self._socket.sendall(b"%d:%s" % (len(data), data))
        _, _, error, result = self._read()
        if error:
            raise RuntimeError(f"{command}: {error['error']}: {error['message']}")
        return result

    def goto(self, address: str) -> None:
        """Open an address."""
        self.send("WebDriver:Navigate", url=address)

    def run(self, script: str, *arguments: object) -> Any:
        """What a script returns, or the promise that it returns."""
        return self.send("WebDriver:ExecuteScript", script=script, args=list(arguments))["value"]

    def until(self, condition: str, *arguments: object) -> None:
        """Wait until an expression holds; `arguments` are what it is called with."""
        look = "const [...given] = arguments; return new Promise((resolve) => { const look = () => (%s) ? resolve()"
        self.run(f"{look % condition} : setTimeout(look, 100); look(); }})", *arguments)
