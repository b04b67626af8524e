"""Videos and pictures of any tree of folders."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from gvcodec.errors import UsageError

VIDEOS = {".mp4", ".mkv", ".webm", ".mov", ".avi", ".y4m", ".m4v", ".ts"}
PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
#: Least pictures of a folder that is one video.
_NUMBERED = 4


def list_clips(folder: Path, skip: Sequence[str] = ()) -> list[Path]:
    """Videos, pictures, folders of numbered pictures, none in `skip`. Raises `UsageError`."""
    clips: list[Path] = []
    for place in [folder, *sorted(p for p in folder.rglob("*") if p.is_dir())]:
        if set(place.relative_to(folder).parts) & set(skip):
            continue
        files = sorted(f for f in place.iterdir() if f.is_file())
        stills = [f for f in files if f.suffix.lower() in PICTURES]
        clips += [f for f in files if f.suffix.lower() in VIDEOS]
        numbered = len(stills) >= _NUMBERED and all(re.search(r"\d+$", f.stem) for f in stills)
        alike = len({re.sub(r"\d+$", "", f.stem) for f in stills}) == 1
        clips += [place] if numbered and alike else stills
    if not clips:
        raise UsageError(f"{folder}: no videos or pictures here")
    return clips
