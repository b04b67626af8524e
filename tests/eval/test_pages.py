"""What `eval rd` says at its start, a table of every frame; a codec by `--codec-file`."""

from __future__ import annotations

import csv
import io
import os
import re
import sys
from contextlib import redirect_stderr
from pathlib import Path

import pytest

pytest.importorskip("imageio_ffmpeg")
pytest.importorskip("matplotlib")

from eval.__main__ import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What a run of the example codec says, and its folder."""
    out = tmp_path_factory.mktemp("mine")
    words = "--set procedural --only pan --frames 4 --codecs mpeg4 --targets 0.1,0.3 --jobs 1"
    words += f" --metrics psnr_y --codec-file {ROOT}/examples/codec/mpeg4.toml"
    # The commands of the file begin with `python`.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(io.StringIO()) as said:
        patch.setenv("PATH", path)
        patch.chdir(ROOT)
        assert main(["rd", *words.split(), "--out", str(out)]) == 0
    return said.getvalue(), out


def test_the_start_says_what_is_measured(told: tuple[str, Path]) -> None:
    for line in (
        r"clips: procedural-pan \(4 frames of \d+×\d+\)",
        "codecs: mpeg4",
        "rates: 0.1, 0.3 bpp",
        "metrics: psnr_y",
        "1 clips × 1 codecs × 2 rates = 2 points",
    ):
        assert re.search(line, told[0]), line


def test_every_frame_is_in_a_table(told: tuple[str, Path]) -> None:
    rows = list(csv.DictReader((told[1] / "tables/frames.csv").open()))
    assert {row["metric"] for row in rows} == {"psnr_y"}
    assert sum(row["metric"] == "psnr_y" for row in rows) in (4, 8)
