"""Which clips are kept for validation: whole sources, by one rule for all trainers.

`held_out.txt` names sources by the beginnings of their file names. Of other people's clips, which
are on no list, a share of the sources (first words of file names) is held out by hash. Clips of one
source always stand on one side.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from pathlib import Path

LIST = Path(__file__).with_name("held_out.txt")


@lru_cache(maxsize=1)
def sources() -> tuple[str, ...]:
    lines = (line.strip() for line in LIST.read_text().splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


def is_held_out(clip: str, share: float = 0.0) -> bool:
    """Whether a clip, by its file's name, is for validation: on the list, or of the share."""
    if clip.startswith(sources()):
        return True
    return hashlib.sha256(re.split("[-_.]", clip)[0].encode()).digest()[0] < 256 * share


def list_sha256() -> str:
    return hashlib.sha256("\n".join(sources()).encode()).hexdigest()
