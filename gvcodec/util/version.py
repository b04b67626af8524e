"""The version in words: of sources that are not released, the commit that they are at."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import gvcodec

#: A heading of CHANGELOG.md about a release.
_RELEASE = re.compile(r"^## (\d+\.\d+\.\d+) - ", re.MULTILINE)
#: Seconds that git may take.
_PATIENCE = 10


def describe_version() -> str:
    """`1.0.0` of a release, `1.1.dev (commit abc1234)` of a checkout that git knows and that is not
    at the tag of a release."""
    version = str(gvcodec.__version__)
    root = Path(gvcodec.__file__).parent.parent
    head = _read_head(root)
    if head is None or f"tag: v{version}" in head[1]:
        return version
    return f"{_next_version(version, root)}.dev (commit {head[0]})"


def _read_head(root: Path) -> tuple[str, list[str]] | None:
    """Short hash and names of the commit that is checked out; None outside of a checkout of
    gvcodec, or without git."""
    if not (root / ".git").exists() or not _is_ours(root / "pyproject.toml"):
        return None
    command = ["git", "-C", str(root), "log", "-1", "--format=%h%n%D"]
    environment = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    try:
        ran = subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE, env=environment, check=True
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    short, _, names = ran.stdout.strip().partition("\n")
    return (short, names.split(", ")) if short else None


def _is_ours(project: Path) -> bool:
    import tomllib  # 5 ms, which every start would take

    try:
        facts = tomllib.loads(project.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return facts.get("project", {}).get("name") == "gvcodec"


def _next_version(version: str, root: Path) -> str:
    """The release that sources lead to: the next minor one where theirs is in the changelog."""
    major, minor, *_ = version.split(".")
    try:
        released = _RELEASE.findall((root / "CHANGELOG.md").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        released = []
    return f"{major}.{int(minor) + (version in released)}"
