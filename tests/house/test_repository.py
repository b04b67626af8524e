"""Files that the host of the repository reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"


def test_actions_are_pinned_by_commit_and_say_their_version() -> None:
    lines = [
        line.strip()
        for path in GITHUB.glob("workflows/*.yml")
        for line in path.read_text().splitlines()
        if "uses:" in line
    ]
    assert lines
    for line in lines:
        assert re.fullmatch(r"(- )?uses: [\w./-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", line), line


@pytest.mark.parametrize(
    "path", sorted(GITHUB.glob("ISSUE_TEMPLATE/[!c]*.yml")), ids=lambda p: p.stem
)
def test_issue_forms_are_complete(path: Path) -> None:
    form = yaml.safe_load(path.read_text())
    assert {"name", "description", "labels", "body"} <= form.keys()
    ids = [part["id"] for part in form["body"]]
    assert len(set(ids)) == len(ids)
    assert all(part["attributes"]["label"] for part in form["body"])


def test_hooks_run_what_the_pull_request_template_names() -> None:
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    template = (GITHUB / "PULL_REQUEST_TEMPLATE.md").read_text()
    for hook in local["hooks"]:
        assert hook["entry"].replace(" --force-exclude", "") in template
