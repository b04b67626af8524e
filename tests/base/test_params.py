"""`encoder_params`: what SVT-AV1 and VVenC know by their own names, and what is refused."""

from __future__ import annotations

import pytest

import gvcodec
from gvcodec.base.standard.params import parse_params
from gvcodec.errors import UsageError
from tests.cli.test_cli import FORMAT
from tests.cli.test_cli import gvcodec as command
from tests.clips import make_clip, write_clip

CLIP = make_clip(96, 80, 8, seed=3)


def coded(**settings: object) -> bytes:
    return gvcodec.encode(CLIP, fit=0, threads=1, base="av1", preset=10, **settings)


def test_options_reach_svt_av1_and_the_file_is_exact() -> None:
    plain, tuned = coded(), coded(encoder_params="enable-cdef=0:tune=0")
    assert tuned != plain == coded(encoder_params="")
    assert len(list(gvcodec.decode_planes(tuned))) == len(CLIP)


def test_options_reach_vvenc() -> None:
    plain, tuned = (
        gvcodec.encode(CLIP, fit=0, threads=1, base="vvc", preset=4, encoder_params=params)
        for params in ("", "GOPSize=16:SAO=0")
    )
    assert tuned != plain and len(list(gvcodec.decode_planes(tuned))) == len(CLIP)


@pytest.mark.parametrize(
    ("codec", "params", "words"),
    [
        ("av1", "film-grain=8", "film-grain is refused: film grain is made in each player's"),
        ("av1", "tune=0:crf=20", "crf is refused: -q, --size, --target and --maxrate say that"),
        ("av1", "resize-mode=1", "every picture has the size"),
        ("av1", "superres-mode=3", "every picture has the size"),
        ("av1", "keyint=30", "keyframes are placed by --keyint"),
        ("av1", "enable-overlays=1", "each frame that is sent has one packet"),
        ("av1", "lp=4", "--threads says that"),
        ("av1", "input-depth=10", "the source says that"),
        ("av1", "tune", "are K=V:K=V…, 'tune' is none of these"),
        ("av1", "tune=0:", "'' is none of these"),
        ("av1", "nosuch=1", "Error parsing option nosuch: 1"),
        ("av1", "tune=99", "Invalid tune flag"),
        ("vvc", "QP=20", "QP is refused: -q, --size"),
        ("vvc", "InternalBitDepth=8", "the source says that"),
        ("vvc", "Threads=4", "VVenC is exact in one thread alone"),
        ("vvc", "nosuch=1", "Unknown vvenc option: nosuch"),
    ],
)
def test_what_breaks_a_promise_or_is_unknown_is_refused(
    codec: str, params: str, words: str
) -> None:
    with pytest.raises(UsageError) as refused:
        parse_params(codec, params)
    assert words in str(refused.value) and "\n" not in str(refused.value)


def test_other_bases_have_none() -> None:
    with pytest.raises(UsageError, match="encoder_params is for av1 and vvc"):
        gvcodec.encode(CLIP, fit=0, base="motion", encoder_params="tune=0")


def test_the_command_takes_and_refuses_them(tmp_path) -> None:
    source, stream = tmp_path / "in.mkv", tmp_path / "out.gvc"
    write_clip(source, FORMAT, CLIP, 512)
    common = ("--fit", "off", "--preset", 10, "-y")
    command("encode", source, stream, "--encoder-params", "sharpness=2", *common)
    said = command("encode", source, stream, "--encoder-params=film-grain=8", *common, fails=2)
    assert said.stderr.decode().startswith("gvcodec: encoder param film-grain is refused: film")
    table, out = tmp_path / "list.csv", tmp_path / "out"
    table.write_text("uri,encoder_params\nin.mkv,sharpness=2\n")
    command("batch", table, "-o", out, *common[:-1], "--base", "av1")
    assert (out / "in.gvc").is_file()
