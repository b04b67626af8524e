"""What `eval rd` says at its start, its LaTeX, its charts by frame; a codec by `--codec-file`."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("imageio_ffmpeg")
pytest.importorskip("matplotlib")

from eval.report.plot import Chart, Series
from eval.tools import latex

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What a run of the example codec says, and its folder."""
    out = tmp_path_factory.mktemp("mine")
    words = "--set procedural --only pan --frames 4 --codecs mpeg4 --targets 0.1,0.3 --jobs 1"
    words += " --metrics psnr_y --codec-file examples/codec/mpeg4.toml"
    command = [sys.executable, "-m", "eval", "rd", *words.split(), "--out", str(out)]
    # The commands of the file begin with `python`.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    where = {"cwd": ROOT, "env": {**os.environ, "PATH": path}}
    done = subprocess.run(command, capture_output=True, text=True, check=False, **where)
    assert done.returncode == 0, done.stderr
    return done.stderr, out


def test_the_start_says_what_is_measured(told: tuple[str, Path]) -> None:
    for line in (
        r"clips: procedural-pan \(4 frames of \d+×\d+\)",
        "codecs: mpeg4",
        "rates: 0.1, 0.3 bpp",
        "metrics: psnr_y",
        "1 clips × 1 codecs × 2 rates = 2 points, 2 of them to be made",
    ):
        assert re.search(line, told[0]), line


def test_the_page_links_tables_and_draws_frames(told: tuple[str, Path]) -> None:
    page = (told[1] / "report.html").read_text()
    for name in re.findall(r'href="(tables/[\w.]+)"', page):
        assert (told[1] / name).stat().st_size
    assert 'href="tables/results.tex"' in page
    assert "PSNR-Y, procedural-pan, ≈ 0.1 bpp" in page
    assert "mathdefault" not in page
    rows = list(csv.DictReader((told[1] / "tables/frames.csv").open()))
    assert {row["metric"] for row in rows} == {"psnr_y"}
    assert sum(row["metric"] == "psnr_y" for row in rows) in (4, 8)
    assert r"\begin{tabular}" in (told[1] / "tables/results.tex").read_text()


def test_latex_is_escaped() -> None:
    text = latex(["a_b", "† 5 %"], [["x & {y}", "≈ 1"]], "100 % of $")
    assert r"a\_b & $^\dagger$ 5 \% \\" in text
    assert r"x \& \{y\} & $\approx$ 1 \\" in text
    assert r"\caption{100 \% of \$}" in text


def test_logarithmic_axes_have_plain_numbers() -> None:
    points = [(0.0, 700.0), (1.0, 52_000.0)]
    svg = Chart("t", [Series("a", "a", points, "#000")], "frame", "bits", log_y=True).svg()
    assert "mathdefault" not in svg
    assert ">1,000<" in svg
    assert ">20,000<" in svg
