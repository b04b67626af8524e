"""Which clips a run uses: named sets, any folder, or procedural clips that need no file.

* `hevc-b`, `uvg`, `mcl-jcv`: test sets of the papers in a folder the user names; none of them can
  be shipped. Files are found by the beginning of their names, as
  `BasketballDrive_1920x1080_50_420_8bit.yuv`; so are folders of PNGs. Of several files that fit the
  first by name is taken. Names, sizes and frame rates are checked; missing clips are named.
* `devtest`: the project's own development clips, in `devtest/` of the folder named by
  `$GVCODEC_DATA` or in that of `--sequences`; a stand-in for the published test sets, and every
  table made from them says so.
* `kept-out`: clips that nobody trained, fitted or tuned on, with the reason of each in
  `eval/kept_out.csv`; in `train/` of the same folder, at most 416×240 samples (by area).
* `procedural`: three small clips computed here.
* a folder: every NAME_WxH_FPS[_420][_8bit|_10bit][_YUV].yuv, .y4m and ordinary video in it, and
  every folder of numbered PNGs. Unreadable files are named and left out.
"""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from eval.tools import EvalError, log_line
from eval.video import Clip, Frames, Part, Planes, open_pngs, open_raw, open_video, prepare

VIDEO_SUFFIXES = {".y4m", ".mp4", ".mkv", ".mov", ".webm", ".avi"}
RAW_NAME = re.compile(
    r"(?P<name>.+)_(?P<w>\d+)x(?P<h>\d+)_(?P<fps>\d+(\.\d+)?)(fps)?(_420)?(_(?P<depth>8|10)(bit)?)?(_YUV)?",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"(?P<before>.*?)(?P<number>\d+)\.png", re.IGNORECASE)
#: Environment variable that names the folder of the project's clips (`train/`, `devtest/`).
DATA_VARIABLE = "GVCODEC_DATA"
_SIZE = (1920, 1080)
#: Set → clip → frames a second, None = any; all are 1920×1080.
NAMED: dict[str, dict[str, Fraction | None]] = {
    "hevc-b": {
        "BasketballDrive": Fraction(50),
        "BQTerrace": Fraction(60),
        "Cactus": Fraction(50),
        "Kimono1": Fraction(24),
        "ParkScene": Fraction(24),
    },
    "uvg": dict.fromkeys(
        ("Beauty", "Bosphorus", "HoneyBee", "Jockey", "ReadySteadyGo", "ShakeNDry", "YachtRide"),
        Fraction(120),
    ),
    "mcl-jcv": {f"videoSRC{n:02}": None for n in range(1, 31)},
}
#: Other names that the same clip goes by.
_ALSO = {"Kimono1": ("Kimono",), "ReadySteadyGo": ("ReadySetGo",)}
SETS = ("hevc-b", "uvg", "mcl-jcv", "devtest", "kept-out", "procedural")
KEPT_OUT = Path(__file__).with_name("kept_out.csv")
KEPT_OUT_HD = Path(__file__).with_name("kept_out_hd.csv")
#: Luma samples of a kept-out picture at most: slow encoders take minutes a clip even so.
KEPT_OUT_SAMPLES = 416 * 240
#: Frames a second of PNGs, unless told.
PNG_RATE = Fraction(25)


@dataclass(frozen=True)
class Source:
    """Where a clip comes from, before any frame is read. `pictures`: PNGs that are its frames."""

    name: str
    identity: Any
    open: Callable[[], Frames]
    set_name: str
    stand_in: bool = False
    pictures: tuple[Path, ...] = ()

    def prepare(self, part: Part | int, folder: Path) -> Clip:
        """The clip of these frames (a number: the first, 0 = all). Raises EvalError."""
        step = part.step if isinstance(part, Part) else 1
        marks = {"set_name": self.set_name, "stand_in": self.stand_in}
        return prepare(
            self.name,
            self.identity,
            self.open,
            part,
            folder,
            **marks,
            pictures=self.pictures[::step],
        )


def source_of(
    path: Path, set_name: str, png_rate: Fraction = PNG_RATE, stand_in: bool = False
) -> Source:
    """A source for one file or one folder of PNGs. Raises EvalError."""
    if path.is_dir():
        return png_source(path, set_name, png_rate, stand_in)
    return file_source(path, set_name, stand_in)


def file_source(path: Path, set_name: str, stand_in: bool = False) -> Source:
    """A source for one file; a raw file's name must tell its size and frame rate. Raises
    EvalError."""
    identity = [path.name, path.stat().st_size, path.stat().st_mtime_ns]
    if path.suffix.lower() != ".yuv":
        return Source(path.stem, identity, lambda: open_video(path), set_name, stand_in)
    match = RAW_NAME.fullmatch(path.stem)
    if match is None:
        raise EvalError(f"{path}: a raw file is named NAME_WxH_FPS.yuv or NAME_WxH_FPS_10bit.yuv")
    width, height, fps = int(match["w"]), int(match["h"]), known_rate(match["fps"])
    depth = int(match["depth"] or 8)
    return Source(
        match["name"],
        identity,
        lambda: open_raw(path, width, height, fps, depth),
        set_name,
        stand_in,
    )


def known_rate(text: str) -> Fraction:
    """Frames a second; 23.976, 29.97 and 59.94 are the NTSC fractions they stand for."""
    value = Fraction(text)
    ntsc = Fraction(round(value) * 1000, 1001)
    return ntsc if abs(value - ntsc) < Fraction(1, 200) and value.denominator != 1 else value


def png_source(folder: Path, set_name: str, fps: Fraction, stand_in: bool = False) -> Source:
    """A source for a folder of numbered PNGs of 8 bits: codecs get 4:2:0 made of them, metrics in
    RGB compare with the PNGs. Raises EvalError when a number is missing."""
    numbered = {int(m["number"]): p for p in folder.iterdir() if (m := _NUMBERED.fullmatch(p.name))}
    first, last = min(numbered), max(numbered)
    if gaps := [n for n in range(first, last) if n not in numbered]:
        raise EvalError(f"{folder}: PNG {gaps[0]} is missing between {first} and {last}")
    paths = [numbered[n] for n in sorted(numbered)]
    files = [[p.name, p.stat().st_size, p.stat().st_mtime_ns] for p in paths]
    identity = ["png", folder.name, str(fps), files]
    return Source(
        folder.name, identity, lambda: open_pngs(paths, fps), set_name, stand_in, tuple(paths)
    )


def _has_pngs(path: Path) -> bool:
    return path.is_dir() and any(_NUMBERED.fullmatch(p.name) for p in path.iterdir())


def videos_of(folder: Path) -> list[Path]:
    """Every video file and folder of PNGs in a folder, by name; the folder itself if the PNGs lie
    in it. Raises EvalError when there is none."""
    if not folder.is_dir():
        raise EvalError(f"{folder}: no such folder")
    kinds = VIDEO_SUFFIXES | {".yuv"}
    is_video = lambda path: path.suffix.lower() in kinds and not path.is_dir()
    paths = sorted(p for p in folder.iterdir() if is_video(p) or _has_pngs(p))
    paths += [folder.resolve()] if _has_pngs(folder) else []
    if not paths:
        raise EvalError(f"{folder}: no .yuv, .y4m or other video in it, nor numbered PNGs")
    return paths


def folder_sources(
    folder: Path, set_name: str, stand_in: bool = False, png_rate: Fraction = PNG_RATE
) -> list[Source]:
    """Every video of a folder, by name; files with unusable names are reported and left out. Raises
    EvalError when there is none."""
    sources, left_out = [], []
    for path in videos_of(folder):
        try:
            sources.append((path, source_of(path, set_name, png_rate, stand_in)))
        except EvalError as error:
            left_out.append(str(error))
    for line in left_out if sources else []:
        log_line(f"{line}; left out")
    if not sources:
        raise EvalError("; ".join(left_out))
    twice = {name for name, n in Counter(source.name for _, source in sources).items() if n > 1}
    renamed = [
        replace(source, name=path.stem) if source.name in twice else source
        for path, source in sources
    ]
    # Files of one name and two kinds, or a folder next to them.
    twice = {name for name, n in Counter(source.name for source in renamed).items() if n > 1}
    renamed = [
        replace(source, name=path.name.replace(".", "-")) if source.name in twice else source
        for source, (path, _) in zip(renamed, sources, strict=True)
    ]
    ((name, count),) = Counter(source.name for source in renamed).most_common(1)
    if count > 1:
        raise EvalError(f"{folder}: two clips are called {name}, rename one")
    return renamed


def data_folder(set_name: str, inside: str) -> Path:
    """A folder in $GVCODEC_DATA. Raises EvalError where that is not set."""
    folder_name = os.environ.get(DATA_VARIABLE)
    if not folder_name:
        raise EvalError(
            f"--set {set_name} needs --sequences DIR, or the folder above {inside}/ in "
            f"${DATA_VARIABLE}"
        )
    return Path(folder_name) / inside


def kept_out_sources(folder: Path) -> list[Source]:
    """The clips of `KEPT_OUT`, small. Raises EvalError that names missing clips."""
    with open(KEPT_OUT, newline="", encoding="utf-8") as file:
        names = [row["clip"] for row in csv.DictReader(file)]
    paths = [folder / f"{name}.mp4" for name in names]
    if missing := [path.name for path in paths if not path.is_file()]:
        raise EvalError(f"{folder}: {', '.join(missing)} missing")
    return [
        Source(
            path.stem,
            [path.name, path.stat().st_size, KEPT_OUT_SAMPLES],
            lambda path=path: open_video(path, most=KEPT_OUT_SAMPLES),  # type: ignore[misc]
            "kept-out",
        )
        for path in paths
    ]


def named_sources(
    set_name: str, folder: Path | None, only: Iterable[str], png_rate: Fraction
) -> list[Source]:
    """The clips of a set out of `folder`, those whose names hold a word of `only` (none = all).
    Says which are missing. Raises EvalError that lists every wrong file, or where none is there."""
    members = NAMED[set_name]
    if folder is None:
        raise EvalError(
            f"--set {set_name} needs --sequences DIR with {', '.join(members)} (1920x1080, .yuv, "
            f".y4m or PNGs)"
        )
    paths, sources, problems, missing = videos_of(folder), [], [], []
    for name in (n for n in members if matches(n, only)):
        rate = members[name]
        starts = tuple(alias.lower() for alias in (name, *_ALSO.get(name, ())))
        candidates = [path for path in paths if path.stem.lower().startswith(starts)]
        tried = [_fitting(path, name, set_name, rate, png_rate) for path in candidates]
        if fitting := [source for source in tried if isinstance(source, Source)]:
            sources.append(fitting[0])
        elif tried:
            problems.append(str(tried[0]))
        else:
            missing.append(f"{name} is missing ({name}_1920x1080_{rate or 'FPS'}.yuv)")
    if problems or (missing and not sources):
        raise EvalError(f"{folder}: " + "; ".join(problems + missing))
    for line in missing:
        log_line(f"{folder}: {line}; left out")
    return sources


def _fitting(
    path: Path, name: str, set_name: str, rate: Fraction | None, png_rate: Fraction
) -> Source | str:
    """The source of one file under the name of its clip, or its error."""
    try:
        source = source_of(path, set_name, rate or png_rate)
        frames = source.open()
    except EvalError as error:
        return str(error)
    if (frames.width, frames.height) != _SIZE or rate not in (None, frames.fps):
        got = f"{frames.width}x{frames.height} at {frames.fps}"
        return f"{name} is {got} instead of 1920x1080 at {rate or 'any rate'}"
    return replace(source, name=name, set_name=set_name)


def procedural_sources() -> list[Source]:
    kinds = ("pan", "zoom", "noise")
    return [
        Source(f"procedural-{k}", [k, 1], lambda k=k: procedural(k), "procedural", True)
        for k in kinds
    ]


def procedural(kind: str, width: int = 320, height: int = 192, count: int = 96) -> Frames:
    """A clip computed from cosines and seeded noise: a textured plane that pans or zooms past a
    moving disc, or a still one under fresh noise. 8 bit, 25 frames a second."""

    def frames() -> Iterator[Planes]:
        rng = np.random.default_rng(7)
        waves = rng.normal(size=(24, 2)) * 10.0 ** rng.uniform(-2.2, -0.3, (24, 1))
        phases, strength = rng.uniform(0, 2 * np.pi, 24), 26 / (1 + 40 * np.hypot(*waves.T))
        y, x = np.mgrid[0:height, 0:width].astype(np.float64)
        for t in range(count):
            scale, shift = (
                (1 + 0.004 * t, 0.0) if kind == "zoom" else (1.0, 1.7 * t if kind == "pan" else 0.0)
            )
            u, v = (x - width / 2) / scale + shift, (y - height / 2) / scale + 0.3 * shift
            luma = 120 + sum(
                s * np.cos(a * u + b * v + p)
                for (a, b), p, s in zip(waves, phases, strength, strict=True)
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


def matches(name: str, only: Iterable[str]) -> bool:
    """Whether a name holds one of the words of `--only`; without any, every name does."""
    return not (words := list(only)) or any(word in name for word in words)


def select(
    set_name: str | None, folder: Path | None, only: list[str], png_rate: Fraction = PNG_RATE
) -> list[Source]:
    """The sources a command line asks for; `only` keeps those whose name contains one of its words,
    `png_rate` is that of PNGs. Raises EvalError."""
    if set_name == "devtest":
        folder = folder or data_folder("devtest", "devtest")
        sources = folder_sources(folder, "devtest", stand_in=True)
    elif set_name == "kept-out":
        sources = kept_out_sources(folder or data_folder("kept-out", "train"))
    elif set_name == "procedural":
        sources = procedural_sources()
    elif set_name is not None:
        sources = named_sources(set_name, folder, only, png_rate)
    elif folder is not None:
        sources = folder_sources(folder, folder.resolve().name, png_rate=png_rate)
    else:
        raise EvalError(f"say which clips: --set {'|'.join(SETS)} or --sequences DIR")
    selected = [s for s in sources if matches(s.name, only)]
    if not selected:
        names = f": there are {', '.join(s.name for s in sources)}" if sources else ""
        raise EvalError(f"no clip's name contains {' or '.join(only)}{names}")
    return selected
