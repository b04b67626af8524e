"""`rd --short` goes through everything, and its report says that the clips are generated."""

import contextlib
import io
from xml.etree import ElementTree

import pytest

from eval.__main__ import main
from eval.rd.short import CLIPS, SIZE, make_sources
from eval.report.data import load


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """The report on one of the two clips, of half the size."""
    out = tmp_path_factory.mktemp("short") / "out"
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(io.StringIO()) as said:
        patch.setattr("eval.rd.short.CLIPS", CLIPS[:1])
        patch.setattr("eval.rd.short.SIZE", (288, 176))
        assert main(["rd", "--short", "--jobs", "1", "--out", str(out)]) == 0, said.getvalue()
    return out


def test_the_clips_have_names_of_hevc_class_b_and_are_called_generated(tmp_path):
    sources = make_sources(tmp_path)
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {"BasketballDrive_416x240_50.yuv", "Kimono1_416x240_24.yuv"}
    assert [source.name for source in sources] == ["generated-BasketballDrive", "generated-Kimono1"]
    for source in sources:
        clip = source.prepare(0, tmp_path / "out")
        assert (clip.raw.width, clip.raw.height, clip.raw.frames) == (*SIZE, 8)
        assert clip.stand_in and clip.set_name == "generated"


def test_every_part_of_the_report_is_there(short):
    text = (short / "report.md").read_text()
    title, first, *_ = text.split("\n\n")
    assert title == "# Rate–distortion on generated (stand-in)"
    assert first.startswith("**A try on generated clips.**")
    assert "generated clips are a stand-in for HEVC Class B and UVG: not comparable" in text
    parts = ("BD-rate against", "Means at about 0.05", "Means at about 0.1", "What painting saves")
    for part in (*parts, "What painting does", "Published points", "Speed"):
        assert f"**{part}" in text, part
    assert "8 frames, low delay" in text and "**Failed**" not in text
    results = load(short)
    assert len(results.rows) == 3 and len(results.clips) == 1 and len(results.all_runs()) == 6
    for metric in results.metrics:
        assert f"(figures/{metric.name}.svg)" in text
        ElementTree.parse(short / "figures" / f"{metric.name}.svg")
    assert {"points.csv", "bd.csv", "frames.csv"} == {p.name for p in (short / "tables").iterdir()}


def test_published_curves_get_no_bd_rate_against_generated_clips(short):
    results = load(short)
    assert "published" not in (short / "tables" / "bd.csv").read_text()
    assert not results.compares_published and results.find_published("lpips_alex")
    assert (
        "BD-rates against published curves are given for HEVC Class B alone"
        in (short / "report.md").read_text()
    )
    for metric in results.metrics:
        chart = (short / "figures" / f"{metric.name}.svg").read_text()
        drawn = metric.name in ("lpips_alex", "dists")
        assert ("GLC-Video (published, other clips)" in chart) == drawn


def test_what_it_sets_cannot_be_asked_for(tmp_path, capsys):
    for words in (["--set", "procedural"], ["--profile", "gvc1d"], ["--frames", "4"]):
        assert main(["rd", "--short", *words, "--out", str(tmp_path / "out")]) == 1
        assert f"--short already sets {words[0]}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
