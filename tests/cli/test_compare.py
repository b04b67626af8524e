"""`gvcodec compare`: peers at the bytes of ours, and a page that needs nothing else."""

import html
import json
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from gvcodec import compare as module
from gvcodec.compare import (
    DRAWN_NOTE,
    PEERS,
    compare,
    is_drawn_clip,
    is_nearest_everywhere,
    metrics_for,
    tell_nearest,
)
from gvcodec.compare.page import Row, write_page
from gvcodec.compare.peers import PeerEncode, encode, encode_at
from gvcodec.errors import UsageError
from gvcodec.planes import Scaler
from gvcodec.types import Planes
from tests.clips import format_of, write_clip
from tests.conftest import moving_texture, run
from tests.errors import raises


@pytest.fixture(scope="module")
def film(tmp_path_factory, clip: list[Planes]) -> Path:
    return write_clip(tmp_path_factory.mktemp("compare") / "film.mp4", clip[:6])


@pytest.fixture(scope="module")
def stream(film: Path) -> Path:
    run("encode", film, film.with_suffix(".gvc"), "--fit", "off", "--preset", "10")
    return film.with_suffix(".gvc")


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_has_no_more_bytes_than_it_may(name: str, clip: list[Planes]) -> None:
    size = 2500
    coded = encode_at(name, clip[:2], format_of(clip), size)
    assert coded is not None and 0.5 * size < sum(coded.sizes) <= 1.02 * size
    assert len(coded.frames) == len(coded.sizes) == 2
    assert np.corrcoef(coded.frames[1][0].ravel(), clip[1][0].ravel())[0, 1] > 0.8


def test_a_peer_that_does_not_reach_the_rate_is_coded_at_half_size() -> None:
    name, film = "x265", moving_texture(192, 160, 6)
    fmt = format_of(film)
    coarsest = PEERS[name].quality_range[1]
    least = sum(encode(name, film, fmt, coarsest).sizes)
    down = Scaler(fmt, Fraction(1, 2))
    smaller = [down.apply(planes) for planes in film]
    size = (least + sum(encode(name, smaller, down.format, coarsest).sizes)) // 2
    seen: list[tuple[int, int]] = []
    coded = encode_at(name, film, fmt, size, lambda *at: seen.append(at))
    assert coded is not None and coded.scale == Fraction(1, 2) and sum(coded.sizes) <= 1.02 * size
    assert coded.frames[0][0].shape == (160, 192)
    assert np.corrcoef(coded.frames[3][0].ravel(), film[3][0].ravel())[0, 1] > 0.2
    assert seen[:6] == [(1, done) for done in range(1, 7)] and seen[-1][0] > 1


def test_an_ffmpeg_without_the_encoder_is_named(film: Path, tmp_path, monkeypatch) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("GVCODEC_FFMPEG", str(program))
    with raises(UsageError, "package-missing"):
        compare(film, tmp_path / "film.gvc", ["x265"])


def test_the_sentence_says_who_is_nearest_whoever_it_is() -> None:
    picture = [np.zeros((48, 48, 3), np.uint8)]
    ours = Row("gvcodec", [1000], [30.0], picture, {"LPIPS-Alex": 0.10, "DISTS": 0.30})
    other = Row("x265", [990], [33.0], picture, {"LPIPS-Alex": 0.20, "DISTS": 0.24})
    told = tell_nearest([ours, other])
    assert "gvcodec by LPIPS-Alex, 50 %" in told
    assert "x265 by DISTS (a loss of gvcodec's training), 20 %" in told
    # One figure that no part of gvcodec was trained on.
    assert "x265 by PSNR-Y, 3.00 dB above gvcodec" in told
    for row, score in ((ours, 71.5), (other, 70.25)):
        row.scores["SSIMULACRA2"] = score
    assert "gvcodec by SSIMULACRA2, 1.25 above x265" in tell_nearest([ours, other])
    ours.scores.clear()
    ours.distances.clear()
    assert "x265 has the highest PSNR-Y, 3.00 dB" in tell_nearest([ours, other])
    assert "nothing to compare" in tell_nearest([ours])


def test_metrics_are_those_of_the_weights_that_are_there(weights_folder, monkeypatch, tmp_path):
    pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    source = rng.integers(0, 256, (64, 96, 3), np.uint8)
    near = np.clip(source + rng.normal(0, 4, source.shape), 0, 255).astype(np.uint8)
    far = np.clip(source + rng.normal(0, 40, source.shape), 0, 255).astype(np.uint8)
    for folder, names in (
        (weights_folder, ["LPIPS-Alex", "DISTS"]),
        (tmp_path, ["small-network distance"]),
    ):
        monkeypatch.setenv("GVCODEC_METRIC_WEIGHTS", str(folder))
        found = metrics_for(64, 96)
        distances = [metric for metric in found if not metric.is_score]
        assert [metric.name for metric in distances] == names
        for metric in distances:
            values = [metric.of(picture, source) for picture in (source, near, far)]
            assert values[0] == pytest.approx(0, abs=1e-4) and values[0] < values[1] < values[2]
    assert metrics_for(16, 16) == []


def test_ssimulacra2_is_measured_where_its_package_is(film, stream, monkeypatch) -> None:
    """A package of that name, which scores by the mean of differences."""
    monkeypatch.setattr("gvcodec.compare.missing_package", lambda name: "")
    monkeypatch.setattr("gvcodec.compare.has_torch", lambda: False)
    monkeypatch.setattr(
        "gvcodec.compare.ssimulacra2", lambda one, two: 100 - 255 * float(np.abs(one - two).mean())
    )
    made = compare(film, stream, ["x264"])
    assert sum(made.rows[0].sizes) == stream.stat().st_size
    assert len(made.rows[0].sizes) == len(made.rows[0].psnr) == 6
    assert all(50 < row.scores["SSIMULACRA2"] < 100 for row in made.rows)
    assert "by SSIMULACRA2" in made.verdict and "SSIMULACRA2 ↑" in made.html
    assert any("no part of gvcodec is trained on it" in note for note in made.notes)


def test_the_command_writes_one_page_with_every_codec(film: Path, tmp_path) -> None:
    page = tmp_path / "film.html"
    words = ["compare", str(film), str(page), "--fit", "off", "--preset", "10", "-q", "45"]
    error = run(*words, "--with", "x264,svtav1", "--frames", "4", "--start", "0.04").err
    text = page.read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert [row["title"] for row in data["rows"]][:2] == ["source", "gvcodec"]
    assert len(data["rows"]) == 4 and data["frames"] == list(range(4))
    assert all(len(row["pictures"]) == 4 for row in data["rows"])
    sizes = [sum(row["sizes"]) for row in data["rows"][1:]]
    assert max(sizes[1:]) <= 1.02 * sizes[0] and not re.findall(r'(?:src|href)="(?!data:)', text)
    assert "<!--" not in text.partition("<script")[0]
    assert f"gvcodec: gvcodec: {sizes[0]:,} bytes" in error
    verdict = re.search(r'<p id="verdict">(.*?)</p>', text)
    assert verdict is not None and verdict[1].startswith(f"At {sizes[0]:,} bytes ")
    assert f"gvcodec: {html.unescape(verdict[1])}" in error.splitlines()
    run(*words, "--with", "x264", code=1)  # the page is there already


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["film.png"], "is a .html file"),
        (["film.html", "--with", "mpeg2"], "no encoder mpeg2"),
        (
            ["film.html", "--stream", "x.gvc", "--start", "1"],
            "--start cannot be combined with --stream",
        ),
    ],
)
def test_wrong_words(words: list[str], answer: str, film: Path, tmp_path) -> None:
    words[0] = str(tmp_path / words[0])
    said = run("compare", film, *words, "--fit", "off", "--preset", "10", code=2)
    assert answer in said.err and not list(tmp_path.iterdir())


def test_a_title_cannot_end_the_script() -> None:
    picture = np.zeros((16, 16, 3), np.uint8)
    page = write_page("</script><b>", [picture], [Row("<i>", [1], [40.0], [picture])], 25, ["<u>"])
    assert "</script><b>" not in page and "<b>" not in page
    assert page.count("</script>") == 2 and "<u>" not in page


def drawn_clip(frames: int) -> list[Planes]:
    """A slide: bars and boxes on a flat ground, one of which moves."""
    clip = []
    for number in range(frames):
        luma = np.full((96, 160), 900, np.uint16)
        for row in range(8, 80, 12):
            luma[row : row + 5, 10 : 60 + row] = 80
        luma[40:70, 100 + number : 130 + number] = 300
        chroma = np.full((48, 80), 512, np.uint16)
        clip.append((luma, chroma, chroma))
    return clip


def test_drawn_clips_are_told_from_a_camera_s() -> None:
    assert is_drawn_clip(drawn_clip(3)) and is_drawn_clip(drawn_clip(1))
    assert not is_drawn_clip(moving_texture(160, 96, 6))


def test_gvcodec_is_nearest_everywhere_or_not() -> None:
    picture = [np.zeros((4, 4, 3), np.uint8)]

    def row(lpips: float, score: float) -> Row:
        return Row("a", [1000], [30.0], picture, {"LPIPS-Alex": lpips}, {"SSIMULACRA2": score})

    assert is_nearest_everywhere([row(0.1, 60)])
    assert is_nearest_everywhere([row(0.1, 60), row(0.2, 50)])
    assert not is_nearest_everywhere([row(0.1, 60), row(0.2, 70)])
    assert not is_nearest_everywhere([row(0.1, 60), row(0.05, 50)])


@pytest.mark.parametrize("drawn", [True, False])
def test_a_defeat_on_drawn_pictures_is_explained(drawn: bool, tmp_path, monkeypatch) -> None:
    frames = drawn_clip(4) if drawn else moving_texture(160, 96, 4)
    film, stream = write_clip(tmp_path / "film.mp4", frames), tmp_path / "film.gvc"
    run("encode", film, stream, "--preset", "10", "--fit", "off")
    perfect = lambda name, originals, *_: PeerEncode([9] * len(originals), list(originals))
    monkeypatch.setattr(module, "encode_at", perfect)
    comparison = compare(film, stream, ["x265"])
    assert (DRAWN_NOTE in comparison.notes) == drawn
    assert (html.escape(DRAWN_NOTE) in comparison.html) == drawn
    assert DRAWN_NOTE not in compare(film, stream, []).notes
