"""A headless Chromium, driven through chromedriver's WebDriver protocol: no client library."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Browser:
    """One window; scripts run in the page, keys go to what has the focus."""

    def __init__(self, base: str, session: str) -> None:
        self.base = f"{base}/session/{session}"

    def open(self, url: str) -> None:
        _call(f"{self.base}/url", {"url": "about:blank"})
        _call(f"{self.base}/url", {"url": url})
        self._wait_until_drawn()

    def _wait_until_drawn(self) -> None:
        # The driver can answer while a page of megabytes is still being parsed: the process of
        # `about:blank` is exchanged for another one, whose load event it then misses.
        self.until("return document.documentElement.dataset.drawn")

    def until(self, body: str, *arguments: Any) -> Any:
        """What the script returns once that is true: events of the page come when they come."""
        deadline = time.monotonic() + 60
        while not (found := self.script(body, *arguments)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not true within a minute: {body}")
            time.sleep(0.02)
        return found

    def script(self, body: str, *arguments: Any) -> Any:
        return _call(f"{self.base}/execute/sync", {"script": body, "args": list(arguments)})

    def keys(self, *names: str) -> None:
        """Types characters, or the named keys Enter and Escape."""
        special = {"Enter": "\ue007", "Escape": "\ue00c"}
        steps = [
            {"type": kind, "value": special.get(name, name)}
            for name in names
            for kind in ("keyDown", "keyUp")
        ]
        _call(
            f"{self.base}/actions", {"actions": [{"type": "key", "id": "keys", "actions": steps}]}
        )

    def resize(self, width: int, height: int) -> None:
        _call(f"{self.base}/window/rect", {"width": width, "height": height})

    def emulate(self, **media: str) -> None:
        """`media="print"`, `prefers-color-scheme="dark"` by its CSS name with underscores."""
        features = [
            {"name": key.replace("_", "-"), "value": value}
            for key, value in media.items()
            if key != "media"
        ]
        parameters = {"media": media.get("media", ""), "features": features}
        self.devtools("Emulation.setEmulatedMedia", parameters)

    def devtools(self, command: str, parameters: dict[str, Any]) -> Any:
        return _call(f"{self.base}/goog/cdp/execute", {"cmd": command, "params": parameters})

    def errors(self) -> list[str]:
        """Console errors of the page, uncaught exceptions and blocked requests included."""
        entries = _call(f"{self.base}/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(_call(f"{self.base}/screenshot")))


@contextmanager
def browsing(profile: Path, width: int = 1400, height: int = 1000) -> Iterator[Browser]:
    """A browser with a fresh profile, ended with everything it started."""
    port = _free_port()
    with _Driver(port) as base:
        switches = [*SWITCHES, f"--user-data-dir={profile}", f"--window-size={width},{height}"]
        options = {"binary": CHROMIUM, "args": switches}
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        session = _call(f"{base}/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        try:
            yield Browser(base, session)
        finally:
            _call(f"{base}/session/{session}", method="DELETE")


class _Driver:
    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            [str(DRIVER), f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def __enter__(self) -> str:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if _call(f"{self.base}/status")["ready"]:
                    return self.base
            except OSError:
                time.sleep(0.1)
        self.process.kill()
        raise TimeoutError("chromedriver did not become ready")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _call(url: str, body: Any = None, method: str | None = None) -> Any:
    sent = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=sent, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=120) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        raise AssertionError(json.load(error)["value"]["message"]) from None
