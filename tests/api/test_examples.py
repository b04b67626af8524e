"""The files of examples/ run, on clips that they make."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "examples"
PARTS = ("made_clip",)
EXAMPLES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in PARTS)
#: It needs weights: `tests/retrieval/test_search.py` runs it with a small model.
NEED_WEIGHTS = ("search_by_words",)
NEED_TORCH = ("arrays", "clip_dataset", "measure_lpips")


def test_the_gallery_lists_them_all() -> None:
    assert sorted(re.findall(r"\((\w+)\.py\)", (FOLDER / "README.md").read_text())) == EXAMPLES
    assert len(EXAMPLES) == 9


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name not in NEED_WEIGHTS])
def test_an_example_runs(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if name in NEED_TORCH:
        pytest.importorskip("torch")
    environment = {**os.environ, "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    if name == "measure_lpips":
        environment["GVCODEC_METRIC_WEIGHTS"] = str(request.getfixturevalue("weights_folder"))
    words = [sys.executable, str(FOLDER / f"{name}.py")]
    if name == "clip_dataset":
        made = run([sys.executable, str(FOLDER / "encode_decode.py")], environment)
        words += [found[0] for found in re.finditer(r"\S+\.gvc(?=:)", made)] * 2
    assert run(words, environment).strip()


def run(words: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
