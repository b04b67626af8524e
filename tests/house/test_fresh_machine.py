"""A stranger's machine: an empty home, no variables set, a checkout that was never built."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from eval.sequences import DATA_VARIABLE, select
from eval.tools import EvalError
from gvcodec.api import encoding as rated
from tests.conftest import run

ROOT = Path(__file__).resolve().parents[2]


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
    guide = perceptual.guide_network()
    assert guide is not None and guide[0] == "small"
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


def test_a_release_says_one_version_everywhere(tmp_path) -> None:
    spec = importlib.util.spec_from_file_location("release", ROOT / "scripts/check_release.py")
    assert spec is not None and spec.loader is not None
    release = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(release)
    for name in ("pyproject.toml", "CITATION.cff", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path)
    assert not release.wrongs("", tmp_path)
    (wrong,) = release.wrongs("v9.9.9", tmp_path)
    assert "v9.9.9" in wrong
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n")
    (tmp_path / "CITATION.cff").write_text("version: 9.9.9\n")
    assert len(release.wrongs("", tmp_path)) == 2


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
