"""Which clips a run uses: named sets, any folder, or procedural clips that need no file.

* `hevc-b`: HEVC Class B (five 1920×1080 sequences, not freely redistributable) in a folder the user names. Names, sizes
  and frame rates are checked, and what is missing is said precisely.
* `devtest`: the project's own development clips, in `devtest/` of the folder named by `$GVCODEC_DATA` or in that of
  `--sequences`; a stand-in for the published test sets, and every table made from them says so.
* `procedural`: three small clips computed here.
* a folder: every NAME_WxH_FPS[_bitdepth].yuv, .y4m and ordinary video in it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from eval.tools import EvalError
from eval.video import Clip, Frames, Planes, open_raw, open_video, prepare

VIDEO_SUFFIXES = {".y4m", ".mp4", ".mkv", ".mov", ".webm", ".avi"}
#: Name → (width, height, frames a second).
HEVC_B = {
    "BasketballDrive": (1920, 1080, Fraction(50)),
    "BQTerrace": (1920, 1080, Fraction(60)),
    "Cactus": (1920, 1080, Fraction(50)),
    "Kimono1": (1920, 1080, Fraction(24)),
    "ParkScene": (1920, 1080, Fraction(24)),
}
RAW_NAME = re.compile(
    r"(?P<name>.+)_(?P<w>\d+)x(?P<h>\d+)_(?P<fps>\d+(\.\d+)?)(fps)?(_(?P<depth>8|10)(bit)?)?", re.IGNORECASE
)
#: Environment variable that names the folder of the project's clips (`train/`, `devtest/`).
DATA_VARIABLE = "GVCODEC_DATA"
SETS = ("hevc-b", "devtest", "procedural")


@dataclass(frozen=True)
class Source:
    """Where a clip comes from, before any frame is read."""

    name: str
    identity: Any
    open: Callable[[], Frames]
    set_name: str
    stand_in: bool = False

    def prepare(self, frames: int, folder: Path) -> Clip:
        return prepare(
            self.name, self.identity, self.open, frames, folder, set_name=self.set_name, stand_in=self.stand_in
        )


def file_source(path: Path, set_name: str, stand_in: bool = False) -> Source:
    """A source for one file; a raw file's name must tell its size and frame rate. Raises EvalError."""
    identity = [path.name, path.stat().st_size, path.stat().st_mtime_ns]
    if path.suffix.lower() != ".yuv":
        return Source(path.stem, identity, lambda: open_video(path), set_name, stand_in)
    match = RAW_NAME.fullmatch(path.stem)
    if match is None:
        raise EvalError(f"{path}: a raw file is named NAME_WxH_FPS.yuv or NAME_WxH_FPS_10bit.yuv")
    width, height, fps = int(match["w"]), int(match["h"]), known_rate(match["fps"])
    depth = int(match["depth"] or 8)
    return Source(match["name"], identity, lambda: open_raw(path, width, height, fps, depth), set_name, stand_in)


def known_rate(text: str) -> Fraction:
    """Frames a second; 23.976, 29.97 and 59.94 are the NTSC fractions they stand for."""
    value = Fraction(text)
    ntsc = Fraction(round(value) * 1000, 1001)
    return ntsc if abs(value - ntsc) < Fraction(1, 200) and value.denominator != 1 else value


def folder_sources(folder: Path, set_name: str, stand_in: bool = False) -> list[Source]:
    """Every video of a folder, by name. Raises EvalError when there is none."""
    if not folder.is_dir():
        raise EvalError(f"{folder}: no such folder")
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES | {".yuv"})
    if not paths:
        raise EvalError(f"{folder}: no .yuv, .y4m or other video in it")
    return [file_source(path, set_name, stand_in) for path in paths]


def hevc_b_sources(folder: Path | None) -> list[Source]:
    """HEVC Class B out of `folder`. Raises EvalError that lists every missing or wrong file."""
    if folder is None:
        raise EvalError(f"--set hevc-b needs --sequences DIR with {', '.join(HEVC_B)} (1920x1080, .yuv or .y4m)")
    sources, problems = [], []
    candidates = folder_sources(folder, "hevc-b")
    for name, (width, height, fps) in HEVC_B.items():
        found = [s for s in candidates if s.name.lower().startswith(name.lower())]
        if not found:
            problems.append(f"{name} is missing ({name}_{width}x{height}_{fps}.yuv)")
            continue
        frames = found[0].open()
        got = (frames.width, frames.height, frames.fps)
        if got != (width, height, fps):
            problems.append(f"{name} is {got[0]}x{got[1]} at {got[2]} instead of {width}x{height} at {fps}")
        sources.append(Source(name, found[0].identity, found[0].open, "hevc-b"))
    if problems:
        raise EvalError(f"{folder}: " + "; ".join(problems))
    return sources


def devtest_folder() -> Path:
    """`devtest/` of $GVCODEC_DATA. Raises EvalError where that is not set."""
    named = os.environ.get(DATA_VARIABLE)
    if not named:
        raise EvalError(f"--set devtest needs --sequences DIR, or the folder above devtest/ in ${DATA_VARIABLE}")
    return Path(named) / "devtest"


def procedural_sources() -> list[Source]:
    kinds = ("pan", "zoom", "noise")
    return [Source(f"procedural-{k}", [k, 1], lambda k=k: procedural(k), "procedural", True) for k in kinds]


def procedural(kind: str, width: int = 320, height: int = 192, count: int = 96) -> Frames:
    """A clip computed from cosines and seeded noise: a textured plane that pans or zooms past a moving disc, or a
    still one under fresh noise. 8 bit, 25 frames a second."""

    def frames() -> Iterator[Planes]:
        rng = np.random.default_rng(7)
        waves = rng.normal(size=(24, 2)) * 10.0 ** rng.uniform(-2.2, -0.3, (24, 1))
        phases, strength = rng.uniform(0, 2 * np.pi, 24), 26 / (1 + 40 * np.hypot(*waves.T))
        y, x = np.mgrid[0:height, 0:width].astype(np.float64)
        for t in range(count):
            scale, shift = (1 + 0.004 * t, 0.0) if kind == "zoom" else (1.0, 1.7 * t if kind == "pan" else 0.0)
            u, v = (x - width / 2) / scale + shift, (y - height / 2) / scale + 0.3 * shift
            luma = 120 + sum(
                s * np.cos(a * u + b * v + p) for (a, b), p, s in zip(waves, phases, strength, strict=True)
            )
            centre = width * (0.3 + 0.4 * t / count), height * 0.5
            disc = np.clip(height / 6 - np.hypot(x - centre[0], y - centre[1]), 0, 1)
            luma = luma * (1 - disc) + disc * (190 + 12 * np.sin(x / 3))
            if kind == "noise":
                luma = luma + np.random.default_rng(1000 + t).normal(0, 6, luma.shape)
            blue = 128 + 20 * np.cos(u / 60)[::2, ::2] - 30 * disc[::2, ::2]
            red = 128 + 20 * np.sin(v / 45)[::2, ::2] + 25 * disc[::2, ::2]
            planes = [np.clip(np.rint(p), 16, 235).astype(np.uint8) for p in (luma, blue, red)]
            yield planes[0], planes[1], planes[2]

    return Frames(frames(), width, height, Fraction(25), 8, 1, False)


def select(set_name: str | None, folder: Path | None, only: list[str]) -> list[Source]:
    """The sources a command line asks for; `only` keeps those whose name contains one of its words. Raises
    EvalError."""
    if set_name == "hevc-b":
        sources = hevc_b_sources(folder)
    elif set_name == "devtest":
        sources = folder_sources(folder or devtest_folder(), "devtest", stand_in=True)
    elif set_name == "procedural":
        sources = procedural_sources()
    elif folder is not None:
        sources = folder_sources(folder, folder.resolve().name)
    else:
        raise EvalError(f"say which clips: --set {'|'.join(SETS)} or --sequences DIR")
    kept = [s for s in sources if not only or any(word in s.name for word in only)]
    if not kept:
        raise EvalError(f"no clip's name contains {' or '.join(only)}: there are {', '.join(s.name for s in sources)}")
    return kept
