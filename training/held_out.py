"""Which clips are kept for validation: whole sources, by one rule for all trainers.

`held_out.txt` names sources by the beginnings of their file names. Of other people's clips, which
are on no list, those of a file of the same form, or a share of the sources (first words of file
names) by hash: `--held-out FILE|SHARE`. Clips of one source are always on the same side.
"""

from __future__ import annotations

import argparse
import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from gvcodec.errors import UsageError

LIST = Path(__file__).with_name("held_out.txt")


@dataclass(frozen=True)
class HeldOut:
    """Clips held out besides the project's list: beginnings of file names, a share of sources."""

    names: tuple[str, ...] = ()
    share: float = 0.0

    def has(self, clip: str) -> bool:
        """Whether a clip, by its file's name, is for validation."""
        return clip.startswith(self.names) or is_held_out(clip, self.share)


def add_option(parser: argparse.ArgumentParser, default: str) -> None:
    """`--held-out`; `default`: in its help."""
    text = "clips to validate on: a text file with the beginnings of their names, one a line, or a "
    text += f"share of the sources (first words of names), such as 0.2 ({default})"
    parser.add_argument("--held-out", metavar="FILE|SHARE", help=text)


def parse_held_out(text: str) -> HeldOut:
    """The rule of an option's value: a share, else a file. Raises `UsageError`."""
    try:
        share = float(text)
    except ValueError:
        try:
            names = _lines(Path(text))
        except (OSError, UnicodeDecodeError):
            raise UsageError(
                f"--held-out {text}: neither a text file nor a share of 1, such as 0.2"
            ) from None
        if not names:
            raise UsageError(f"--held-out {text}: the file names no clips") from None
        return HeldOut(names)
    if not 0 <= share < 1:
        raise UsageError(f"--held-out {text}: a share is at least 0 and less than 1")
    return HeldOut(share=share)


def _lines(path: Path) -> tuple[str, ...]:
    lines = (line.strip() for line in path.read_text().splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


@lru_cache(maxsize=1)
def sources() -> tuple[str, ...]:
    return _lines(LIST)


def is_held_out(clip: str, share: float = 0.0) -> bool:
    """Whether a clip, by its file's name, is for validation: on the list, or of the share."""
    if clip.startswith(sources()):
        return True
    return hashlib.sha256(re.split("[-_.]", clip)[0].encode()).digest()[0] < 256 * share


def list_sha256() -> str:
    return hashlib.sha256("\n".join(sources()).encode()).hexdigest()
