"""Videos and pictures of any tree of folders, and their sizes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gvcodec.errors import MediaError, UsageError

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


def read_size(clip: Any, name: str) -> tuple[int, int]:
    """Width and height of a video or picture, as its container says; `clip`: opened by PyAV.
    Raises `MediaError`."""
    import av

    try:
        with av.open(clip) as container:
            context = container.streams.video[0].codec_context
            return context.width, context.height
    except (av.FFmpegError, IndexError, OSError) as error:
        raise MediaError(f"{name}: cannot be read ({error})") from None


def describe_small(small: Sequence[tuple[str, int, int]], side: int, part: str = "crops") -> str:
    """One line about clips (name, width, height) that are too small for crops, or another `part`,
    of `side`²."""
    name, width, height = small[0]
    others = f" (and {len(small) - 1} more)" if len(small) > 1 else ""
    return f"{name}{others}: {width}×{height} is too small, {part} have {side}×{side} samples"
