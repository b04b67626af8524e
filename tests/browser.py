"""A headless Chromium, driven by Playwright: $GVCODEC_CHROMIUM, or one on the path."""

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
# Without `--disable-gpu-compositing`, SwiftShader draws the whole tab, not only the picture.
_FLAGS = (
    "--autoplay-policy=no-user-gesture-required", "--enable-unsafe-swiftshader",
    "--disable-gpu-compositing", "--use-angle=swiftshader",
    "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader",
)  # fmt: skip
_PATIENCE = 60.0
#: Whether a condition becomes true within a second. The page asks itself: a question by DevTools
#: costs more than what most pages do meanwhile.
_WAIT = """new Promise((answer, refuse) => {
  const last = performance.now() + 1000;
  const ask = () => {
    try {
      if (%s) answer(true);
      else if (performance.now() > last) answer(false);
      else setTimeout(ask, 20);
    } catch (error) { refuse(error); }
  };
  ask();
})"""


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
        self.tab = chromium.new_page(viewport={"width": 800, "height": 600})
        self._devtools = self.tab.context.new_cdp_session(self.tab)
        self._errors: list[str] = []
        self.tab.on("pageerror", lambda error: self._errors.append(str(error)))
        self.tab.on("console", self._hear)
        self.key, self.mouse = self.tab.keyboard.press, self.tab.mouse
        self.tab.goto(address, wait_until="commit")

    def _hear(self, message: Any) -> None:
        # A tab that the processor draws reads the pictures of WebGL back.
        if "GPU stall due to ReadPixels" in message.text:
            return
        if message.type in ("error", "warning", "assert"):
            self._errors.append(f"{message.text} {message.location}")

    def run(self, script: str) -> Any:
        asked = {"expression": script, "awaitPromise": True, "returnByValue": True}
        result = self._devtools.send("Runtime.evaluate", asked | {"userGesture": True})
        if (thrown := result.get("exceptionDetails")) is not None:
            raise RuntimeError(thrown.get("exception", {}).get("description") or thrown["text"])
        return result["result"].get("value")

    def until(self, condition: str, seconds: float = _PATIENCE) -> None:
        end = time.monotonic() + seconds
        while not self.run(_WAIT % condition):
            if time.monotonic() > end:
                errors = self.run("window.player?.errors")
                raise TimeoutError(f"never true: {condition}; {errors}")

    def errors(self) -> list[str]:
        self.run("0")
        return self._errors
