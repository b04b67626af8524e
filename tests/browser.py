"""A headless Chromium that a script drives over its DevTools pipe.

    with Browser() as browser:
        page = browser.open("http://127.0.0.1:8000/")
        page.until("window.player?.shown")
        page.run("player.go(7)")

`found()` says whether there is one: $GVCODEC_CHROMIUM, or chromium or google-chrome on the path.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from typing import Any, Self

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = (
    "--headless=new", "--remote-debugging-pipe", "--no-first-run", "--no-default-browser-check",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--mute-audio", "--autoplay-policy=no-user-gesture-required", "--disable-dev-shm-usage",
    "--window-size=1280,900", "--enable-unsafe-swiftshader", "--use-angle=swiftshader",
    "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader",
)  # fmt: skip
_PATIENCE = 60.0


def find_browser() -> str | None:
    """Path of a Chromium."""
    named = os.environ.get("GVCODEC_CHROMIUM")
    return named or next((path for name in _NAMES if (path := shutil.which(name))), None)


class Browser:
    """One process with a profile of its own, which goes with it."""

    def __init__(self) -> None:
        path = find_browser()
        if path is None:
            raise FileNotFoundError(
                "no Chromium: apt-get install chromium, or name one in $GVCODEC_CHROMIUM"
            )
        self._profile = tempfile.TemporaryDirectory(
            prefix="gvcodec-browser-", ignore_cleanup_errors=True
        )
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []

        # The browser reads commands from descriptor 3 and answers on 4.
        shell = f'exec 3<&{to_browser} 4>&{from_browser}; exec "$@"'
        profile = f"--user-data-dir={self._profile.name}"
        words = ["bash", path, *_FLAGS, *sandbox, profile, "about:blank"]
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", shell, *words],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": self._profile.name},
        )
        os.close(to_browser)
        os.close(from_browser)
        self._number = 0
        self._rest = b""
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._write)
        os.close(self._read)
        self._profile.cleanup()

    def open(self, address: str) -> Page:
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})[
            "sessionId"
        ]
        page = Page(self, session, target)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        page.call("Page.navigate", {"url": address})
        return page

    def call(
        self, method: str, parameters: dict[str, Any] | None = None, session: str = ""
    ) -> dict[str, Any]:
        """The result of a command. Raises `RuntimeError`, `TimeoutError`."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters or {}}
        if session:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + _PATIENCE
        while True:
            answer = self._receive(end)
            if answer.get("id") != self._number:
                self.events.append(answer)
                continue
            if "error" in answer:
                raise RuntimeError(f"{method}: {answer['error'].get('message')}")
            result: dict[str, Any] = answer.get("result", {})
            return result

    def _receive(self, end: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], max(0, end - time.monotonic()))
            data = os.read(self._read, 1 << 20) if ready else b""
            if not data:
                raise TimeoutError("the browser does not answer")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message


class Page:
    """A tab."""

    def __init__(self, browser: Browser, session: str, target: str) -> None:
        self._browser, self._session, self._target = browser, session, target

    def close(self) -> None:
        self._browser.call("Target.closeTarget", {"targetId": self._target})

    def call(self, method: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
        return self._browser.call(method, parameters, self._session)

    def run(self, script: str) -> Any:
        """The value of an expression, awaited. Raises `RuntimeError` with what the page throws."""
        asked = {"expression": script, "awaitPromise": True, "returnByValue": True}
        result = self.call("Runtime.evaluate", asked | {"userGesture": True})
        if (thrown := result.get("exceptionDetails")) is not None:
            said = thrown.get("exception", {}).get("description") or thrown.get("text")
            raise RuntimeError(said)
        return result["result"].get("value")

    def until(self, condition: str, seconds: float = _PATIENCE) -> None:
        """Wait for an expression to be true. Raises `TimeoutError`."""
        end = time.monotonic() + seconds
        while not self.run(f"Boolean({condition})"):
            if time.monotonic() > end:
                raise TimeoutError(
                    f"never true: {condition}; {self.run('JSON.stringify(window.player?.errors)')}"
                )
            time.sleep(0.05)

    def key(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            text = key if len(key) == 1 else ""
            self.call("Input.dispatchKeyEvent", {"type": kind, "key": key, "text": text})

    def mouse(self, kind: str, x: float, y: float) -> None:
        """`kind`: mouseMoved, mousePressed, mouseReleased, with the left button."""
        where = {"x": x, "y": y, "button": "left", "clickCount": 1}
        self.call("Input.dispatchMouseEvent", {"type": kind, **where})

    def errors(self) -> list[str]:
        """What the console has complained about so far."""
        self.run("0")
        mine = (e for e in self._browser.events if e.get("sessionId") == self._session)
        return [text for event in mine if (text := _describe_error(event))]


def _describe_error(event: dict[str, Any]) -> str:
    """What an event says that went wrong, "" for others."""
    method, facts = event["method"], event.get("params", {})
    if method == "Runtime.exceptionThrown":
        thrown = facts["exceptionDetails"].get("exception", {})
        return str(thrown.get("description", "an exception"))
    if method == "Runtime.consoleAPICalled" and facts["type"] in ("error", "warning", "assert"):
        return " ".join(str(p.get("value", p.get("description"))) for p in facts["args"])
    if method == "Log.entryAdded" and facts["entry"]["level"] == "error":
        return facts["entry"]["text"] + " " + facts["entry"].get("url", "")
    return ""
