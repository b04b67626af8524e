"""Test sets of the papers: names, sizes and frame rates of their clips, and how to find these in a
folder of the user's.

None of them can be shipped. Files are found by the beginning of their names, as
`BasketballDrive_1920x1080_50_420_8bit.yuv` or `Beauty_1920x1080_120fps_420_8bit_YUV.yuv`; so are
folders of PNGs. Of several files that fit the first by name is taken.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

from eval.sequences import Source, matches, source_of, videos_of
from eval.tools import EvalError

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


def named_sources(
    set_name: str, folder: Path | None, only: Iterable[str], png_rate: Fraction
) -> list[Source]:
    """The clips of a set out of `folder`, those whose names hold a word of `only` (none = all).
    Raises EvalError that lists every missing or wrong file."""
    members = NAMED[set_name]
    if folder is None:
        raise EvalError(
            f"--set {set_name} needs --sequences DIR with {', '.join(members)} (1920x1080, .yuv, "
            f".y4m or PNGs)"
        )
    paths, sources, problems = videos_of(folder), [], []
    for name in (n for n in members if matches(n, only)):
        rate = members[name]
        starts = tuple(alias.lower() for alias in (name, *_ALSO.get(name, ())))
        found = [path for path in paths if path.stem.lower().startswith(starts)]
        tried = [_fitting(path, name, set_name, rate, png_rate) for path in found]
        if fitting := [source for source in tried if isinstance(source, Source)]:
            sources.append(fitting[0])
        elif tried:
            problems.append(str(tried[0]))
        else:
            problems.append(f"{name} is missing ({name}_1920x1080_{rate or 'FPS'}.yuv)")
    if problems:
        raise EvalError(f"{folder}: " + "; ".join(problems))
    return sources


def _fitting(
    path: Path, name: str, set_name: str, rate: Fraction | None, png_rate: Fraction
) -> Source | str:
    """The source of one file under the name of its clip, or what is wrong with it."""
    try:
        source = source_of(path, set_name, rate or png_rate)
        frames = source.open()
    except EvalError as error:
        return str(error)
    if (frames.width, frames.height) != _SIZE or rate not in (None, frames.fps):
        got = f"{frames.width}x{frames.height} at {frames.fps}"
        return f"{name} is {got} instead of 1920x1080 at {rate or 'any rate'}"
    return Source(name, source.identity, source.open, set_name)
