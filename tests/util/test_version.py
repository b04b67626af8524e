"""`gvcodec --version`: releases, unreleased sources, and machines without git."""

import shutil
import subprocess
from pathlib import Path

import pytest

import gvcodec
from gvcodec import cli
from gvcodec.util.version import describe_version

_NAMED = ("-c", "user.name=someone", "-c", "user.email=someone@example.org")


def _git(root: Path, *words: str) -> str:
    command = ["git", "-C", str(root), *_NAMED, *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sources of the released version 3.4.0, with one commit."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "gvcodec"\nversion = "3.4.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## Unreleased\n\n## 3.4.0 - 2030-01-01\n"
    )
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", "-A")
    _git(tmp_path, "commit", "-q", "-m", "sources")
    monkeypatch.setattr(gvcodec, "__file__", str(tmp_path / "gvcodec/__init__.py"))
    monkeypatch.setitem(vars(gvcodec), "__version__", "3.4.0")
    return tmp_path


def test_unreleased_sources_name_the_next_release_and_their_commit(checkout: Path) -> None:
    commit = _git(checkout, "rev-parse", "--short", "HEAD")
    assert describe_version() == f"3.5.dev (commit {commit})"
    (checkout / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n")
    assert describe_version() == f"3.4.dev (commit {commit})"


def test_the_tag_of_the_release_is_the_release(checkout: Path) -> None:
    _git(checkout, "tag", "v3.4.0")
    assert describe_version() == "3.4.0"


def test_without_git_the_version_is_plain(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(checkout))
    assert describe_version() == "3.4.0"


@pytest.mark.parametrize("part", [".git", "pyproject.toml"])
def test_sources_outside_of_a_checkout_have_the_plain_version(checkout: Path, part: str) -> None:
    (checkout / part).rename(checkout / "elsewhere")
    assert describe_version() == "3.4.0"


def test_a_broken_checkout_has_the_plain_version(checkout: Path) -> None:
    (checkout / ".git/HEAD").write_bytes(b"\xff\xfe")
    assert describe_version() == "3.4.0"


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"gvcodec {describe_version()}\n"
