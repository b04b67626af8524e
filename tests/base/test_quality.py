"""One scale of q for all bases: equal q, about equal PSNR-Y; the header keeps the layer's own
index."""

from __future__ import annotations

import io
import itertools
from fractions import Fraction

import pytest

import gvcodec
from gvcodec.base.standard.programs import find_ffmpeg
from gvcodec.bases import Q_END, index_of, names, q_of
from gvcodec.bitstream import Reader
from gvcodec.errors import UsageError
from gvcodec.types import VideoFormat
from tests.clips import make_clip

FORMAT = VideoFormat(208, 160, Fraction(25), Fraction(1, 25))


def psnr_y(base: str, **quality: float) -> float:
    config = gvcodec.EncoderConfig(
        base=base, fit=0, keyint=0, threads=1, preset=8 if base == "av1" else None, **quality
    )  # type: ignore[arg-type]
    encoder = gvcodec.Encoder(FORMAT, config)
    for planes in make_clip(208, 160, 8, seed=4):
        encoder.send_frame(planes)
    encoder.flush()
    return encoder.psnr_y


@pytest.mark.parametrize("base", names())
def test_one_scale_has_one_end_and_rises(base: str) -> None:
    """For every base at the sizes that it chooses."""
    coarsest = gvcodec.EncoderConfig(base=base).coarsest
    steps = [index_of(base, q / 4) for q in range(4 * Q_END + 1)]
    assert steps[0] == 0 and steps[-1] == coarsest
    assert all(a < b for a, b in itertools.pairwise(steps))
    assert all(q_of(base, index) == pytest.approx(q / 4) for q, index in enumerate(steps))
    settled = gvcodec.EncoderConfig(base=base, q=Q_END).resolve()
    assert settled.base_q == 63, "at the smallest size"
    with pytest.raises(UsageError, match="q is 0…67 here, not 68"):
        gvcodec.EncoderConfig(base=base, q=68).resolve()


@pytest.mark.parametrize(("base", "end"), [("av1", 66), ("motion", 63), ("vvc", 67)])
def test_a_given_size_ends_where_its_index_does(base: str, end: int) -> None:
    config = gvcodec.EncoderConfig(base=base, scale=Fraction(1), q=end)
    assert config.resolve().base_q == (66 if base == "av1" else 63)
    with pytest.raises(UsageError, match=f"q is 0…{end} here"):
        gvcodec.EncoderConfig(base=base, scale=Fraction(1), q=end + 1).resolve()


def test_equal_q_is_about_equal_psnr() -> None:
    try:
        find_ffmpeg()
    except UsageError as error:
        pytest.skip(str(error))
    wanted = psnr_y("av1", q=50)
    assert abs(psnr_y("vvc", q=50) - wanted) < 2
    assert psnr_y("vvc", base_q=50) < wanted - 2, "the index is not q"


def test_the_header_holds_the_index() -> None:
    try:
        find_ffmpeg()
    except UsageError as error:
        pytest.skip(str(error))
    clip = make_clip(96, 80, 3)
    config = {"base": "vvc", "fit": 0, "threads": 1, "preset": 4}
    by_q = gvcodec.encode(clip, q=50, **config)
    assert Reader(io.BytesIO(by_q)).header.q == round(index_of("vvc", 50)) != 50
    assert gvcodec.encode(clip, base_q=index_of("vvc", 50), **config) == by_q
    assert Reader(io.BytesIO(gvcodec.encode(clip, base_q=50, **config))).header.q == 50
    with pytest.raises(UsageError, match="base_q is 0…63 here, not 64"):
        gvcodec.encode(clip, base_q=64, **config)
