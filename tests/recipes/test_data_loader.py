"""torchcodec, PyAV and `Video` in one data loader: the page's code, and the script of its table."""

import csv
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

import gvcodec
from gvcodec.cli import main
from tests.clips import make_clip, write_clip
from tests.recipes.commands import RECIPES, blocks

torch = pytest.importorskip("torch")
pytest.importorskip("imageio_ffmpeg")

from eval.experiments import frame_access

FRAMES, KEYINT = 14, 5


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("film")
    write_clip(folder / "in.mp4", make_clip(96, 64, FRAMES))
    words = ["--keyint", str(KEYINT), "--preset", "10", "--fit", "off", "--quiet"]
    assert main(["encode", str(folder / "in.mp4"), str(folder / "film.mp4"), *words]) == 0
    return folder / "film.mp4"


def test_the_data_set_of_the_page_works_in_workers(film: Path, tmp_path: Path, monkeypatch) -> None:
    (code,) = blocks("data-loader", "python")
    (tmp_path / "frames_of_the_page.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    frames = importlib.import_module("frames_of_the_page").Frames(film, painted=True)
    order = [13, 2, 7]
    loader = torch.utils.data.DataLoader(frames, sampler=order, batch_size=None, num_workers=1)
    expected = gvcodec.open(film, dimension_order="NCHW")[order]
    assert np.array_equal(torch.stack(list(loader)).numpy(), expected)


@pytest.mark.parametrize("name", frame_access.READERS)
def test_readers_give_the_frames_asked_for(name: str, film: Path, monkeypatch) -> None:
    if name == "torchcodec":
        from tests.recipes.test_lerobot import has_torchcodec

        if not has_torchcodec():
            pytest.skip("torchcodec cannot be imported here")
    monkeypatch.setattr(frame_access, "KEYINT", KEYINT)
    every = gvcodec.open(film, fidelity="painted" not in name, dimension_order="NCHW")[:]
    order = [3, 4, 12, 0, 7, 6, 13, 13, 5]
    read = frame_access.READERS[name](film)(order).numpy()
    assert read.shape == (len(order), 3, 64, 96)
    distance = lambda a, b: np.abs(a.astype(int) - b).mean()
    for picture, number in zip(read, order, strict=True):
        nearest = min(range(FRAMES), key=lambda n: distance(every[n], picture))
        assert nearest == number


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_script_measures_each_access(tmp_path: Path) -> None:
    table = tmp_path / "access.csv"
    frame_access.main(f"--frames 8 --workers 1 --out {table}".split())
    rows = list(csv.DictReader(table.open()))
    assert {row["access"] for row in rows} == {"random", "sparse", "sequential"}
    assert {row["reader"] for row in rows} >= {"PyAV", "Video, base", "Video, painted"}
    assert all(float(row["seconds"]) >= 0 and int(row["frames"]) > 0 for row in rows)


def test_the_pages_table_is_that_of_the_measurements() -> None:
    rows = list(csv.DictReader((RECIPES.parent / "data/frame-access.csv").open()))
    assert {row["workers"] for row in rows} == {"1", "2", "16"}
    text = (RECIPES / "data-loader.md").read_text()
    assert frame_access.ratio_table(rows) in text
