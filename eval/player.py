"""The player in a headless Chromium: does it show what `decode` gives, how soon, how fast.

    python -m eval player FILE … --out DIR

For each stream: time from opening the page to the first frame, three seeks compared with the
decoder sample by sample (base frames, and painted ones where the page paints, by WebAssembly and by
WebGPU), playing to the end with both hashes, the compare handle, the console. A copy without its
last third has to show what is whole. `DIR` gets player.json and a picture of each page.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from eval.arguments import add_out
from eval.browser import Browser, Page, find_browser
from eval.tools import EvalError, say, write_json
from gvcodec.cli.play import serve
from gvcodec.types import Planes
from gvcodec.video import Video

_DIGEST = """crypto.subtle.digest("SHA-256", player.shown.%s).then((data) =>
  Array.from(new Uint8Array(data), (byte) => byte.toString(16).padStart(2, "0")).join(""))"""
_BEGUN = "window.player?.failed || (window.player?.shown && player.painter !== undefined)"
_SETTLED = "player.wanted === undefined && player.shown.frame === %d"
#: Seconds that a page may take for anything.
_PATIENCE = 300.0
#: Samples of a stream that SwiftShader may paint; it takes seconds for a frame of CIF.
_MOST_SAMPLES = 3_000_000


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="streams")
    add_out(parser, "out/player", "where to write (out/player)")


def run(options: argparse.Namespace) -> None:
    measure(options.files, options.out)


def measure(files: Sequence[Path], out: Path) -> None:
    """Facts about each stream to `out`/player.json. Raises `EvalError` without a Chromium."""
    if find_browser() is None:
        raise EvalError("no Chromium: apt-get install chromium, or name one in $GVCODEC_CHROMIUM")
    out.mkdir(parents=True, exist_ok=True)
    streams = []
    with Browser() as browser:
        for path in files:
            facts = measure_stream(browser, path, out / f"{path.stem}.png")
            streams.append(facts)
            say("  ".join(f"{name} {value}" for name, value in facts.items()))
    write_json(out / "player.json", {"processors": os.cpu_count(), "streams": streams})


def measure_stream(browser: Browser, path: Path, picture: Path) -> dict[str, Any]:
    """What the page does with one stream."""
    with page_of(browser, path, query="?gpu=off") as page, Video(path) as video:
        page.until(_BEGUN, _PATIENCE)
        by_page, paints = page.run("[player.byPage, player.paintsByPage]")
        facts = {
            "name": path.name,
            "size": f"{video.header.format.width}×{video.header.format.height}",
            "frames": len(video),
            "base": video.header.base,
            "first frame, ms": round(page.run("player.statistics.firstMs")),
            "decoded by page": by_page,
            "painted by page": paints and page.run("player.painter.name"),
            **show_and_play(page, video, False, "base"),
        }
        if paints:
            facts |= show_and_play(page, video, True, "painted")
        facts["handle"] = slides(page) if video.painted else "-"
        page.screenshot(picture)
        facts["console"] = page.errors()
        facts["notes"] = page.run("player.errors")
    if paints:
        facts |= by_gpu(browser, path)
    facts["of two thirds, shown"] = play_broken(browser, path)
    return facts


def show_and_play(page: Page, video: Video, painted: bool, what: str) -> dict[str, Any]:
    page.run("player.insists = true")
    page.run(f"player.setMode('{'compare' if painted else 'base'}')")
    last = len(video) - 1
    seeks = sum(exact(page, video, n, painted) for n in (last // 3, last, 1))
    facts = {f"{name}, {what}": value for name, value in play(page, last).items()}
    return {f"exact seeks, {what}": seeks, **facts}


def by_gpu(browser: Browser, path: Path) -> dict[str, Any]:
    """The same, painted by WebGPU: on SwiftShader, a program, where there is no other adapter."""
    with page_of(browser, path, query="?gpu=any") as page, Video(path) as video:
        fmt = video.header.format
        if fmt.width * fmt.height * len(video) > _MOST_SAMPLES:
            return {"WebGPU": "not tried: too many samples for SwiftShader"}
        page.until(
            "window.player?.painter?.reason || window.player?.painter?.name === 'WebGPU'", _PATIENCE
        )
        if reason := page.run("player.painter.reason"):
            return {"WebGPU": reason}
        facts = show_and_play(page, video, True, "WebGPU")
        return {**facts, "console, WebGPU": page.errors()}


def exact(page: Page, video: Video, number: int, painted: bool) -> bool:
    """Whether the page shows frame `number` as the decoder gives it."""
    page.run(f"player.go({number})")
    page.until(
        f"{_SETTLED % number} && Boolean(player.shown.painted) === {str(painted).lower()}",
        _PATIENCE,
    )
    (frame,) = video.decode_range(number, number + 1)
    shown: bool = page.run(_DIGEST % ("painted" if painted else "base")) == _digest(
        frame.planes if painted else frame.base_frame
    )
    return shown


def play(page: Page, last: int) -> dict[str, Any]:
    """From the first frame to the last at the fastest speed: frames a second, hashes."""
    page.run("player.go(0)")
    page.until(_SETTLED % 0, _PATIENCE)
    page.run("player.setSpeed(4)")
    began = time.monotonic()
    page.run("player.play()")
    page.until(f"!player.playing && player.shown.frame === {last}", _PATIENCE)
    seconds = time.monotonic() - began
    if page.run("Boolean(player.byPage && player.whole)"):
        page.until(
            "player.verified !== null || player.errors.some((note) => note.includes('hashes are "
            "not'))",
            _PATIENCE,
        )
    return {"frames/s": round(last / seconds, 1), "hashes": page.run("player.verified")}


def slides(page: Page) -> bool:
    """Whether three places of the compare handle give three pictures."""
    page.run("player.setMode('compare')")
    page.until("player.wanted === undefined && player.shown.painted", _PATIENCE)
    pictures = set()
    for place in (0, 0.5, 1):
        page.run(f"player.page.compare.set({place})")
        pictures.add(page.call("Page.captureScreenshot")["data"])
    page.run("player.page.compare.set(0.5)")
    return len(pictures) == 3


def play_broken(browser: Browser, path: Path) -> str:
    """What the page says and shows of the first two thirds of a file."""
    data = path.read_bytes()
    with TemporaryDirectory() as folder:
        cut = Path(folder) / path.name
        cut.write_bytes(data[: len(data) * 2 // 3])
        with page_of(browser, cut, "--fidelity") as page:
            page.until("window.player?.shown || window.player?.failed", _PATIENCE)
            if page.run("Boolean(player.failed)"):
                return str(page.run("player.failed"))
            last = page.run("player.frames - 1")
            page.run("player.play()")
            page.until(f"!player.playing && player.shown.frame === {last}", _PATIENCE)
            return f"{last + 1} frames; {page.run('player.errors')[0]}"


@contextmanager
def page_of(browser: Browser, path: Path, *options: str, query: str = "") -> Iterator[Page]:
    """The page of `gvcodec play PATH`."""
    with serve(str(path), options) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        page = browser.open(server.address + query)
        try:
            yield page
        finally:
            page.call("Page.navigate", {"url": "about:blank"})
            server.shutdown()
            thread.join()


def _digest(planes: Planes) -> str:
    return hashlib.sha256(b"".join(plane.tobytes() for plane in planes)).hexdigest()
