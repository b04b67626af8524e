"""Tables of `eval rd`; a codec by `--codec-file`."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from eval.__main__ import main
from eval.report.data import load
from eval.report.tables import results_markdown
from eval.tools import EvalError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mine")
    words = "--set procedural --only pan --frames 4 --codecs mpeg4 --targets 0.1,0.3 --jobs 1"
    words += f" --metrics psnr_y --codec-file {ROOT}/examples/codec/mpeg4.toml"
    with pytest.MonkeyPatch.context() as patch:
        # As where no environment is activated.
        patch.setenv("PATH", str(tmp_path_factory.mktemp("empty")))
        patch.chdir(ROOT)
        assert main(["rd", *words.split(), "--out", str(out)]) == 0
    return out


def test_every_frame_is_in_a_table(mine: Path) -> None:
    rows = list(csv.DictReader((mine / "tables/frames.csv").open()))
    assert {row["metric"] for row in rows} == {"psnr_y"}
    assert sum(row["metric"] == "psnr_y" for row in rows) in (4, 8)


def test_a_codec_that_reaches_no_rate_is_named(mine: Path, tmp_path: Path) -> None:
    folder = tmp_path / "far"
    shutil.copytree(mine, folder)
    [curve] = (folder / "curves").glob("*__mpeg4.json")
    far = json.loads(curve.read_text())
    far["codec"] |= {"name": "far", "label": "Far"}
    far["targets"] = {"0.1": {"q": None, "lowest_bpp": 0.4}, "0.3": {"q": None, "lowest_bpp": 0.4}}
    curve.with_name("procedural-pan__far.json").write_text(json.dumps(far))
    text = results_markdown(load(folder))
    assert "| Far | not reached |" in text
    assert "**Far reaches none of these rates**: its smallest streams have 0.400 to 0.4" in text
    assert "MPEG-4 part 2 reaches none" not in text
    curve.unlink()
    with pytest.raises(EvalError, match=r"no rate was reached.*0\.400 bpp; --targets"):
        load(folder)
