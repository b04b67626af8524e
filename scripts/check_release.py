"""A release says one version everywhere, and its changelog has a dated section for it.

python scripts/check_release.py v1.0.0    # the tag, empty = the version of pyproject.toml
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Files with the version, and where it is in them.
PLACES = {
    "CITATION.cff": r"^version: (\S+)$",
    "CMakeLists.txt": r"set\(GVC_VERSION (\S+)\)",
}
#: Header of libgvc, which has the three numbers.
LIBRARY = "csrc/include/gvc.h"
#: Header of the format, and the version that it writes.
FORMAT, WRITTEN = "gvcodec/bitstream/header.py", r"^VERSION = \((\d+), (\d+)\)$"
PACKAGE, CHANGELOG = "web/package.json", "CHANGELOG.md"
#: The changelog's heading for a release without a number.
UNNUMBERED = "the release after"


def wrongs(tag: str, root: Path = ROOT) -> list[str]:
    """Problems, a line each."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    version = project["version"]
    major, minor, patch = version.split(".")
    problems = []
    if tag and tag != f"v{version}":
        problems.append(f"the tag is {tag}, pyproject.toml says {version}")
    for name, pattern in PLACES.items():
        if _find(root / name, pattern) != (version,):
            problems.append(f"{name} does not say {version}")
    if json.loads((root / PACKAGE).read_text())["version"] != version:
        problems.append(f"{PACKAGE} does not say {version}")
    parts = ("MAJOR", "MINOR", "PATCH")
    library = [_find(root / LIBRARY, rf"GVC_VERSION_{part} (\d+)") for part in parts]
    if library != [(major,), (minor,), (patch,)]:
        problems.append(f"{LIBRARY} does not say {version}")
    changelog = (root / CHANGELOG).read_text()
    if not re.search(rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
        problems.append(f"{CHANGELOG} has no section '## {version} - YYYY-MM-DD'")
    if tag:
        problems += _unready(root, changelog, int(major), int(minor), patch)
    return problems


def _unready(root: Path, changelog: str, major: int, minor: int, patch: str) -> list[str]:
    """Problems of a release that is tagged; sources between two releases may have them."""
    problems = []
    if re.search(r"^## Unreleased$(?=\n+###)", changelog, re.MULTILINE):
        problems.append(f"{CHANGELOG} has changes in 'Unreleased'")
    if UNNUMBERED in changelog:
        problems.append(f"{CHANGELOG} says '{UNNUMBERED}' instead of its version")
    written = _find(root / FORMAT, WRITTEN)
    if tuple(map(int, written)) > (major, minor):
        problems.append(f"{FORMAT} writes format {'.'.join(written)}, which is later")
    notes = f"docs/release-{major}.{minor}.md"
    if (major, minor) > (1, 0) and patch == "0" and not (root / notes).is_file():
        problems.append(f"{notes} is missing")
    return problems


def _find(path: Path, pattern: str) -> tuple[str, ...]:
    """Groups of a pattern in a file, () where it does not match."""
    match = re.search(pattern, path.read_text(), re.MULTILINE)
    return match.groups() if match else ()


if __name__ == "__main__":
    lines = wrongs(sys.argv[1] if len(sys.argv) > 1 else "")
    print("\n".join(lines) or "ready")
    sys.exit(bool(lines))
