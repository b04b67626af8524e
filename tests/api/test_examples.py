"""The files of examples/ run, on clips that they make."""

import re
import runpy
import sys
import tempfile
from pathlib import Path

import pytest

from tests.conftest import in_process

FOLDER = Path(__file__).resolve().parents[2] / "examples"
PARTS = ("made_clip",)
EXAMPLES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in PARTS)
#: One needs weights: `tests/retrieval/test_search.py` runs it with a small model.
ALONE = ("search_by_words", "clip_dataset")
NEED_TORCH = ("arrays", "measure_lpips")


def test_the_gallery_lists_them_all() -> None:
    assert sorted(re.findall(r"\((\w+)\.py\)", (FOLDER / "README.md").read_text())) == EXAMPLES
    assert len(EXAMPLES) == 9


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples find each other, and what they make goes into a folder of the test."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name not in ALONE])
def test_an_example_runs(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys, request: pytest.FixtureRequest
) -> None:
    if name in NEED_TORCH:
        pytest.importorskip("torch")
    if name == "measure_lpips":
        request.getfixturevalue("made_weights")
    monkeypatch.setattr(sys, "argv", [name])
    runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    assert capsys.readouterr().out.strip()


def test_the_data_set_of_clips_runs(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """In a process of its own: its workers are forked."""
    pytest.importorskip("torch")
    monkeypatch.setattr(sys, "argv", ["encode_decode"])
    runpy.run_path(str(FOLDER / "encode_decode.py"), run_name="__main__")
    streams = re.findall(r"\S+\.gvc(?=:)", capsys.readouterr().out) * 2
    assert streams and in_process(FOLDER / "clip_dataset.py", *streams).stdout
