"""What pages say can be followed: links lead somewhere, the dissected file is one."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

import gvcodec
from gvcodec.bitstream import Kind, Reader

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    p
    for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("eval/*.md")]
    if p.is_file()
]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """Headings as GitHub names them."""
    found = re.findall(r"^#+ +(.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{page.name}: {link}"


def test_dissected_file_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    block = re.search(r"```hex\n(.*?)```", (ROOT / "docs/format.md").read_text(), re.DOTALL)
    assert block
    lines = [
        re.match(r"(?:[0-9a-f]{2} )*[0-9a-f]{2}(?=  |$)", line) for line in block[1].splitlines()
    ]
    data = bytes.fromhex(" ".join(match[0] for match in lines if match))
    reader = Reader(io.BytesIO(data))
    assert (
        reader.header.format.width == 16 and reader.header.base == "av1" and reader.header.q == 50
    )
    packets = list(reader.packets())
    assert [p.kind for p in packets if p.is_frame] == [Kind.KEY, Kind.INTER]
    assert len(data) == 133 and reader.base_hash == bytes.fromhex("ab789a698f3c4520")


def test_the_reference_has_every_name() -> None:
    listed = re.findall(r"^::: gvcodec\.(\w+)$", (ROOT / "docs/api.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(gvcodec.__all__)


def test_pages_stay_short() -> None:
    others = [page for page in PAGES if page.parent.name != "spec"]
    assert sum(len(page.read_text().split()) for page in others) < 25_000
    for name in ("tutorial", "faq", "model-card"):
        assert len((ROOT / f"docs/{name}.md").read_text().split()) <= 500
