"""A stranger's machine: an empty home, no variables set, a checkout that was never built."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from eval.sequences import DATA_VARIABLE, select
from eval.tools import EvalError
from gvcodec.api import encoding as rated
from tests.conftest import run
from tests.house.scripts import ROOT, load_script


def test_weights_are_looked_for_in_the_home_and_where_the_variable_says(
    tmp_path, monkeypatch, weights_folder: Path
) -> None:
    from gvcodec import perceptual

    monkeypatch.delenv(perceptual.WEIGHTS_VARIABLE, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert perceptual.find_weights() is None
    with pytest.raises(perceptual.MissingWeightsError, match="python -m eval weights"):
        perceptual.lpips("vgg")
    (tmp_path / ".cache/gvcodec").mkdir(parents=True)
    (tmp_path / ".cache/gvcodec/metrics").symlink_to(weights_folder)
    assert perceptual.find_weights() == tmp_path / ".cache/gvcodec/metrics"
    monkeypatch.setenv(perceptual.WEIGHTS_VARIABLE, str(tmp_path))
    assert perceptual.find_weights() is None  # a set variable is the only place


def test_a_user_without_a_home_has_no_weights(monkeypatch, capsys) -> None:
    from eval.__main__ import main as eval_main
    from gvcodec import perceptual

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv(perceptual.WEIGHTS_VARIABLE, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert perceptual.find_weights() is None
    network = perceptual.loss_network()
    assert network is not None and network[0] == "small"
    with pytest.raises(perceptual.MissingWeightsError):
        perceptual.lpips("vgg")
    assert eval_main(["weights"]) == 1
    assert "name the folder" in capsys.readouterr().err


def test_devtest_is_where_the_variable_says(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    with pytest.raises(EvalError, match=DATA_VARIABLE):
        select("devtest", None, [])
    (tmp_path / "devtest").mkdir()
    (tmp_path / "devtest/one_64x48_25.yuv").write_bytes(b"")
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    assert [source.name for source in select("devtest", None, [])] == ["one"]


@pytest.mark.parametrize("source", ["nowhere.mp4", "-"])
def test_a_target_that_needs_weights_says_so_before_anything_is_read(
    tmp_path, monkeypatch, source: str
) -> None:
    monkeypatch.setenv("GVCODEC_METRIC_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(rated, "open_rereadable", lambda path: pytest.fail("the input is read"))
    printed = run("encode", source, tmp_path / "out.bin", "--target", "lpips=0.2", code=4).err
    assert "no weights for LPIPS and DISTS" in printed and "python -m eval weights" in printed
    assert not list(tmp_path.iterdir())


RELEASE_FILES = (
    *("pyproject.toml", "CITATION.cff", "CHANGELOG.md", "CMakeLists.txt"),
    *("web/package.json", "csrc/include/gvc.h", "gvcodec/bitstream/header.py"),
)


def release_check(folder: Path) -> ModuleType:
    """`scripts/check_release.py`; the files that it reads are copied to a folder."""
    for name in RELEASE_FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return load_script("check_release")


def test_a_release_says_one_version_everywhere(tmp_path) -> None:
    release = release_check(tmp_path)
    assert not release.wrongs("", tmp_path)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for name in RELEASE_FILES[1:6]:
        text = (tmp_path / name).read_text()
        other = re.sub(r"(GVC_VERSION_MINOR) \d+", r"\1 99", text.replace(version, "9.9.9"))
        (tmp_path / name).write_text(other)
        (wrong,) = release.wrongs("", tmp_path)
        assert wrong.startswith(f"{name} ")
        (tmp_path / name).write_text(text)


def test_a_tag_is_refused_for_sources_between_releases(tmp_path) -> None:
    release = release_check(tmp_path)
    assert any("v9.9.9" in wrong for wrong in release.wrongs("v9.9.9", tmp_path))
    changelog = tmp_path / "CHANGELOG.md"
    ready = "# Changelog\n\n## Unreleased\n\n## 1.2.0 - 2027-01-01\n\n### Added\n\n* all\n"
    changelog.write_text(ready)
    for name in RELEASE_FILES:
        text = (tmp_path / name).read_text()
        text = re.sub(
            r"^((?:version: |version = \"|  set\(GVC_VERSION ))[\d.]+",
            r"\g<1>1.2.0",
            text,
            flags=re.MULTILINE,
        )
        text = re.sub(r"(\"version\": \")[\d.]+", r"\g<1>1.2.0", text)
        (tmp_path / name).write_text(re.sub(r"(GVC_VERSION_MINOR) \d+", r"\1 2", text))
    assert release.wrongs("v1.2.0", tmp_path) == ["docs/release-1.2.md is missing"]
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/release-1.2.md").write_text("")
    assert not release.wrongs("v1.2.0", tmp_path)
    changelog.write_text(ready.replace("## 1.2.0", "### Added\n\n* the release after\n\n## 1.2.0"))
    assert len(release.wrongs("v1.2.0", tmp_path)) == 2
    header = tmp_path / "gvcodec/bitstream/header.py"
    header.write_text(header.read_text().replace("VERSION = (1, 1)", "VERSION = (1, 3)"))
    assert any("format 1.3" in wrong for wrong in release.wrongs("v1.2.0", tmp_path))


@pytest.mark.parametrize(
    ("code", "first"),
    [
        ("import gvcodec; gvcodec.encode_file", "ImportError: "),
        ("import runpy; runpy.run_module('gvcodec', run_name='__main__')", "gvcodec: "),
    ],
)
def test_the_source_without_its_compiled_part_says_what_to_do(
    tmp_path: Path, code: str, first: str
) -> None:
    """Python that is started in a checkout after `pip install .` finds the source there."""
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd")
    shutil.copytree(ROOT / "gvcodec", tmp_path / "gvcodec", ignore=ignored)
    places = [str(tmp_path), *(place for place in sys.path if place and place != str(ROOT))]
    start = f"import sys; sys.path[:] = {places!r}; sys.argv[:] = ['gvcodec', 'info', 'a.gvc']; "
    command = [sys.executable, "-S", "-c", start + code]  # -S: no hook of an editable install
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1
    assert last.startswith(f"{first}the compiled part of gvcodec is not in {tmp_path}")
    assert first == "ImportError: " or len(done.stderr.splitlines()) == 1
