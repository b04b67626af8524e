"""A hook of mkdocs: adds pages and files of the repository outside docs/ to the site, under the
places of `PAGES` and `files/`, and changes links to them."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
#: By their path in the repository.
PAGES = {
    "README.md": "start.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "CODE_OF_CONDUCT.md": "conduct.md",
    "examples/README.md": "examples/gallery.md",
    "web/README.md": "gv-video.md",
    "training/log/2026-11.md": "log/2026-11.md",
}
_LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\]]*\])*\])\(([^)\s#]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages, and the files that any page links to."""
    for path, place in PAGES.items():
        files.append(File.generated(config, place, content=(ROOT / path).read_text("utf-8")))
    for page in [*PAGES, *(f"docs/{file.src_uri}" for file in files.documentation_pages())]:
        if not (ROOT / page).is_file():
            continue
        for _, link, _ in _LINK.findall((ROOT / page).read_text("utf-8")):
            path = _in_repository(page, link)
            if path and _place_of(path).startswith("files/") and (ROOT / path).is_file():
                place = _place_of(path)
                if files.get_file_from_path(place) is None:
                    files.append(File.generated(config, place, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Replace links by those of the site; a link to a folder becomes its text."""
    place = page.file.src_uri
    path = next((path for path, at in PAGES.items() if at == place), f"docs/{place}")

    def relink(match: re.Match[str]) -> str:
        text, link, anchor = match[1], match[2], match[3] or ""
        target = _in_repository(path, link)
        if target is None:
            return match[0]
        if (ROOT / target).is_dir():
            return text.strip("[]")
        to = posixpath.relpath(_place_of(target), posixpath.dirname(place) or ".")
        return f"{text}({to}{anchor})"

    return _LINK.sub(relink, markdown)


def _in_repository(page: str, link: str) -> str | None:
    """Path of a link's target; None for other sites."""
    if ":" in link:
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), link))


def _place_of(path: str) -> str:
    """Place of a repository file in the site."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return PAGES.get(path, f"files/{path}")
