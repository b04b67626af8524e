"""A headless Chromium, driven by Playwright: $GVCODEC_CHROMIUM, or one on the path."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = (
    "--autoplay-policy=no-user-gesture-required", "--enable-unsafe-swiftshader",
    "--use-angle=swiftshader", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader",
)  # fmt: skip
_PATIENCE = 60.0


@contextmanager
def browser(flags: Sequence[str] = _FLAGS) -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    path = os.environ.get("GVCODEC_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        pytest.skip("needs Chromium")
    with playwright.sync_playwright() as driver:
        sandbox = os.geteuid() != 0
        yield driver.chromium.launch(executable_path=path, args=flags, chromium_sandbox=sandbox)


class Page:
    """A tab. Its policy forbids the `eval` of Playwright: expressions go through DevTools."""

    def __init__(self, chromium: Any, address: str) -> None:
        self.tab = chromium.new_page(viewport={"width": 1280, "height": 900})
        self._devtools = self.tab.context.new_cdp_session(self.tab)
        self._errors: list[str] = []
        self.tab.on("pageerror", lambda error: self._errors.append(str(error)))
        self.tab.on("console", self._hear)
        self.key, self.mouse = self.tab.keyboard.press, self.tab.mouse
        self.tab.goto(address, wait_until="commit")

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning", "assert"):
            self._errors.append(f"{message.text} {message.location}")

    def run(self, script: str) -> Any:
        asked = {"expression": script, "awaitPromise": True, "returnByValue": True}
        result = self._devtools.send("Runtime.evaluate", asked | {"userGesture": True})
        if (thrown := result.get("exceptionDetails")) is not None:
            raise RuntimeError(thrown.get("exception", {}).get("description") or thrown["text"])
        return result["result"].get("value")

    def until(self, condition: str, seconds: float = _PATIENCE) -> None:
        for _ in range(round(20 * seconds)):
            if self.run(f"Boolean({condition})"):
                return
            self.tab.wait_for_timeout(50)
        raise TimeoutError(f"never true: {condition}; {self.run('window.player?.errors')}")

    def errors(self) -> list[str]:
        self.run("0")
        return self._errors
