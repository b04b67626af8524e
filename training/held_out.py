"""Which clips are kept for validation: whole sources, from one list for all trainers.

`held_out.txt` names the sources by the beginnings of their file names, so clips of one source
always stand on one side.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

LIST = Path(__file__).with_name("held_out.txt")


@lru_cache(maxsize=1)
def sources() -> tuple[str, ...]:
    """The sources that are held out."""
    lines = (line.strip() for line in LIST.read_text().splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


def is_held_out(clip: str) -> bool:
    """Whether a clip, by its file's name, is for validation."""
    return clip.startswith(sources())


def list_sha256() -> str:
    """SHA-256 of the list, for the card of a trained model."""
    return hashlib.sha256("\n".join(sources()).encode()).hexdigest()
