"""Plays streams in Chromium and records when frames are shown: `python scripts/player_times.py
STREAM … [--csv FILE] [--seconds N]`.

For each stream one page of `gvcodec play` plays it painted, from its start, without WebGPU. A row
has frames shown and dropped, intervals between shown frames (median, 95th percentile and longest,
in milliseconds), work that the page skipped to keep up, and the painter's time per frame. Needs
playwright and Chromium; `$GVCODEC_CHROMIUM` names another one.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.browser import Page, browser
from tests.player_helpers import PAINTED, running

FIELDS = (
    *("stream", "size", "speed", "all painted", "painted by", "frames", "shown", "dropped"),
    *("frames/s", "median ms", "p95 ms", "longest ms", "painter ms", "moved", "mode", "view"),
)
#: A machine without a GPU: neither WebGL nor the compositor has one.
_FLAGS = ("--disable-gpu", "--autoplay-policy=no-user-gesture-required")
#: Records for every shown frame its number, display time, frames dropped before, whether its detail
#: is moved, and its painting time.
_RECORD = """(() => { window.record = []; const shows = player.show.bind(player);
    player.show = (frame, now) => { shows(frame, now);
        const moved = Number(Boolean(frame.moved));
        record.push([frame.frame, now, player.statistics.dropped, moved, frame.ms]); }; })()"""


def record(page: Page, seconds: float) -> list[list[float]]:
    """Rows of `_RECORD` until the end or for so many seconds."""
    page.run(_RECORD)
    page.run("player.go(0)")
    page.until("player.wanted === undefined && player.shown.frame === 0 && player.shown.painted")
    page.until("player.queue.length + 2 >= player.ahead")
    page.run("record.length = 0; player.play()")
    for _ in range(round(10 * seconds)):
        if not page.run("player.playing"):
            break
        page.tab.wait_for_timeout(100)
    return page.run("record")


def row(path: Path, page: Page, seconds: float) -> dict[str, object]:
    rows = record(page, seconds)
    apart = [b[1] - a[1] for a, b in itertools.pairwise(rows)]
    longest = sorted(apart)
    duration = (rows[-1][1] - rows[0][1]) / 1000
    return {
        "stream": path.name,
        "size": page.run("`${player.header.width}×${player.header.height}`"),
        "speed": page.run("player.speed"),
        "all painted": page.run("player.insists"),
        "painted by": page.run("player.painter?.name"),
        "frames": int(rows[-1][0] - rows[0][0] + 1),
        "shown": len(rows),
        "dropped": page.run("player.statistics.dropped"),
        "frames/s": round((len(rows) - 1) / duration, 1),
        "median ms": round(statistics.median(apart), 1),
        "p95 ms": round(longest[int(0.95 * (len(longest) - 1))], 1),
        "longest ms": round(longest[-1], 1),
        "painter ms": round(statistics.mean(each[4] for each in rows), 1),
        "moved": int(sum(each[3] for each in rows)),
        "mode": page.run("player.mode"),
        "view": page.run("player.view.constructor.name"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("streams", nargs="+", type=Path)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--insist", action="store_true", help="paint every frame, however late")
    parser.add_argument("--picture", type=Path, help="a folder for a picture of each page")
    options = parser.parse_args()
    rows_of_run = []
    with browser(_FLAGS) as chromium:
        for path in options.streams:
            with running(path) as server:
                page = Page(chromium, server.address + "?gpu=off")
                page.until(PAINTED)
                page.run(f"player.setMode('painted'); player.setSpeed({options.speed})")
                page.run(f"player.insists = {str(options.insist).lower()}")
                rows_of_run.append(row(path, page, options.seconds))
                print(rows_of_run[-1])
                if options.picture:
                    page.tab.screenshot(path=options.picture / f"{path.stem}.png")
    if options.csv:
        with open(options.csv, "w", newline="") as file:
            writer = csv.DictWriter(file, FIELDS)
            writer.writeheader()
            writer.writerows(rows_of_run)


if __name__ == "__main__":
    main()
