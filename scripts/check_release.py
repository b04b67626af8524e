"""A release says one version everywhere, and its changelog has a dated section for it.

python scripts/check_release.py v1.0.0    # the tag, empty = what pyproject.toml says
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def wrongs(tag: str, root: Path = ROOT) -> list[str]:
    """Problems, a line each."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    version = project["version"]
    citation = re.search(r"^version: (\S+)$", (root / "CITATION.cff").read_text(), re.MULTILINE)
    problems = []
    if tag and tag != f"v{version}":
        problems.append(f"the tag is {tag}, pyproject.toml says {version}")
    if citation is None or citation[1] != version:
        problems.append(f"CITATION.cff does not say {version}")
    heading = rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d$"
    if not re.search(heading, (root / "CHANGELOG.md").read_text(), re.MULTILINE):
        problems.append(f"CHANGELOG.md has no section '## {version} - YYYY-MM-DD'")
    return problems


if __name__ == "__main__":
    lines = wrongs(sys.argv[1] if len(sys.argv) > 1 else "")
    print("\n".join(lines) or "ready")
    sys.exit(bool(lines))
