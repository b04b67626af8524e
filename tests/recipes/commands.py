"""Command lines of the pages in docs/recipes, with other names of files and smaller pictures."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

RECIPES = Path(__file__).resolve().parents[2] / "docs/recipes"


def blocks(page: str, language: str) -> list[str]:
    """Texts of the blocks of a page."""
    text = (RECIPES / f"{page}.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def server_command(page: str, number: int, **names: object) -> list[str]:
    """Words after `ffmpeg` in a ```text block, with names (IN, OUT) replaced."""
    text = blocks(page, "text")[number].replace("\\\n", "")
    program, *words = shlex.split(text)
    assert program == "ffmpeg"
    for name, value in names.items():
        words = [re.sub(rf"\b{name}\b", str(value), word) for word in words]
    return words
