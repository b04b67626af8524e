"""Options that several commands share, and their meaning."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from eval.sequences import SETS, Source, known_rate, select
from eval.tools import EvalError, fill_marks, log_line
from eval.video import Clip, Part
from gvcodec.util.process import count_cores


def add_out(
    parser: argparse.ArgumentParser, default: str | None = None, help: str | None = None
) -> None:
    """`--out DIR`, required where there is no default."""
    place: dict[str, Any] = {"default": Path(default)} if default else {"required": True}
    parser.add_argument("--out", type=Path, metavar="DIR", help=help, **place)


def add_clips(parser: argparse.ArgumentParser, frames: int) -> None:
    """Options that choose clips; `frames` is the default of `--frames`."""
    add = parser.add_argument
    add("--set", choices=SETS, help="a named set of clips")
    add("--sequences", type=Path, metavar="DIR", help="folder of the set, or any folder of videos")
    names = "clips whose names contain one of these"
    add("--only", type=words, default=[], metavar="NAME,…", help=names)
    add(
        "--png-rate",
        type=_rate,
        default="25",
        metavar="FPS",
        help="frame rate of folders of PNGs (25)",
    )
    count = f"frames from the first, 0 = all (default {frames})"
    add("--frames", type=int, default=frames, help=count)


def add_readme(parser: argparse.ArgumentParser, marks: str) -> None:
    """`--readme FILE …`: files with `marks` that take the tables."""
    help = f"also write it between the marks {marks} in these files"
    parser.add_argument("--readme", type=Path, nargs="+", default=[], metavar="FILE", help=help)


def add_threads(parser: argparse.ArgumentParser) -> None:
    cores = count_cores()
    parser.add_argument(
        "--threads", type=int, default=cores, help="threads of every codec (all cores)"
    )


def words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _rate(text: str) -> Fraction:
    try:
        value = known_rate(text)
    except (ValueError, ZeroDivisionError):
        value = Fraction(0)
    if not 0 < value <= 1000:
        raise argparse.ArgumentTypeError("frames a second: 25, 29.97, 30000/1001")
    return value


def sources(options: argparse.Namespace) -> list[Source]:
    """The sources that the options of `add_clips` ask for. Raises EvalError."""
    return select(options.set, options.sequences, options.only, options.png_rate)


def clips(options: argparse.Namespace) -> list[Clip]:
    """The clips of a command, read; unreadable clips are named and left out. Raises
    EvalError where none is left."""
    return prepare(sources(options), options.frames, options.out)


def prepare(
    sources_to_read: Iterable[Source],
    part: Part | int,
    out: Path,
    check: Callable[[Clip], None] | None = None,
) -> list[Clip]:
    """A part of each source (a number: its first frames, 0 = all). A clip that cannot be read, or
    that `check` refuses, is named and left out. Raises EvalError where none is left."""
    prepared, left_out = [], []
    for source in sources_to_read:
        log_line(f"reading {source.name}")
        try:
            clip = source.prepare(part, out / "sources")
            if check is not None:
                check(clip)
            prepared.append(clip)
        except EvalError as error:
            left_out.append(str(error))
    if not prepared:
        raise EvalError("; ".join(left_out))
    for line in left_out:
        log_line(f"{line}; left out")
    return prepared


def largest(clips: list[Clip]) -> Clip:
    """The clip with the most samples a frame."""
    return max(clips, key=lambda clip: clip.raw.width * clip.raw.height)


def publish(options: argparse.Namespace, texts: Mapping[str, str]) -> None:
    """Shows tables, and writes them between the marks of their names in the files of `--readme`."""
    print("\n\n".join(texts.values()))
    for path in options.readme:
        fill_marks(path, texts)
