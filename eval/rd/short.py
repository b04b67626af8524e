"""`rd --short`: a try of everything, report included, on two small clips that are computed here.

The files are raw and named as those of HEVC Class B (`BasketballDrive_416x240_50.yuv`), so that
reading them is tried as well; the clips are called `generated-…`, and the report says what they
are. No figure measured on them says anything about a codec.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from eval.points.profiles import SHORT
from eval.sequences import Source, file_source, procedural
from eval.tools import write_bytes

SIZE = (416, 240)
#: Name, frames a second, and motion.
CLIPS = (("BasketballDrive", 50, "pan"), ("Kimono1", 24, "zoom"))


def make_sources(folder: Path) -> list[Source]:
    """Both clips as files in `folder`, written where they are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_make_source(folder, *clip) for clip in CLIPS]


def _make_source(folder: Path, name: str, rate: int, kind: str) -> Source:
    width, height = SIZE
    path = folder / f"{name}_{width}x{height}_{rate}.yuv"
    if not path.is_file():
        frames = procedural(kind, width, height, SHORT.frames).planes
        write_bytes(path, b"".join(plane.tobytes() for planes in frames for plane in planes))
    source = file_source(path, SHORT.set_name, stand_in=True)
    # A new date of the file alone does not invalidate results.
    return replace(source, name=f"generated-{name}", identity=[kind, 1, *SIZE, SHORT.frames])
