"""One scale of q for all bases; keyframes where scenes begin."""

import csv
import io
import itertools
from fractions import Fraction
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

import gvcodec
from gvcodec.base.scene_cuts import SceneCutDetector
from gvcodec.base.standard.encoder import StandardEncoder
from gvcodec.base.standard.encoders import Settings
from gvcodec.bases import Q_END, index_of, names, q_of
from gvcodec.bitstream import Reader
from gvcodec.errors import UsageError
from gvcodec.types import Planes, VideoFormat
from tests.clips import make_clip
from tests.conftest import FASTEST, send_all
from tests.errors import raises

FORMAT = VideoFormat(208, 160, Fraction(25), Fraction(1, 25))


def psnr_y(base: str, **quality: float) -> float:
    usual = {"fit": 0, "keyint": 0, "threads": 1, "preset": 8 if base == "av1" else None}
    encoder = gvcodec.Encoder(FORMAT, gvcodec.EncoderConfig(base=base, **usual, **quality))
    for planes in make_clip(208, 160, 8, seed=4):
        encoder.send_frame(planes)
    encoder.flush()
    return encoder.psnr_y


@pytest.mark.parametrize("base", names())
def test_one_scale_has_one_end_and_rises(base: str) -> None:
    coarsest = gvcodec.EncoderConfig(base=base).max_base_q
    steps = [index_of(base, q / 4) for q in range(4 * Q_END + 1)]
    assert steps[0] == 0 and steps[-1] == coarsest
    assert all(a < b for a, b in itertools.pairwise(steps))
    assert all(q_of(base, index) == pytest.approx(q / 4) for q, index in enumerate(steps))
    settled = gvcodec.EncoderConfig(base=base, q=Q_END).resolve()
    assert settled.base_q == 63, "at the smallest size"
    with raises(UsageError, "option-value"):
        gvcodec.EncoderConfig(base=base, q=68).resolve()


@pytest.mark.usefixtures("vvenc")
def test_equal_q_is_about_equal_psnr() -> None:
    wanted = psnr_y("av1", q=50)
    assert abs(psnr_y("vvc", q=50) - wanted) < 2
    assert psnr_y("vvc", base_q=50) < wanted - 2, "the index is not q"


def test_the_scale_of_vvc_is_that_of_the_measured_clips() -> None:
    """Mean over clips of PSNR-Y less that of av1 at equal q, up to where the index of vvc ends."""
    path = Path(__file__).parents[2] / "docs/data/q-scale.csv"
    points: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            point = float(row["index"]), float(row["psnr_y"])
            points.setdefault((row["base"], row["clip"]), []).append(point)
    for q in (20, 30, 40, 50, 57, 60):
        psnr = {
            key: float(np.interp(index_of(key[0], q), *zip(*sorted(found), strict=True)))
            for key, found in points.items()
        }
        better = [psnr["vvc", c] - value for (base, c), value in psnr.items() if base == "av1"]
        assert len(better) == 3 and abs(fmean(better)) < 0.2, (q, better)


@pytest.mark.usefixtures("vvenc")
def test_the_header_holds_the_index() -> None:
    clip = make_clip(96, 80, 3)
    config = {"base": "vvc", "fit": 0, "threads": 1, "preset": 4}
    by_q = gvcodec.encode(clip, q=50, **config)
    assert Reader(io.BytesIO(by_q)).header.base_q == round(index_of("vvc", 50)) != 50
    assert gvcodec.encode(clip, base_q=index_of("vvc", 50), **config) == by_q
    assert Reader(io.BytesIO(gvcodec.encode(clip, base_q=50, **config))).header.base_q == 50
    with raises(UsageError, "option-value"):
        gvcodec.encode(clip, base_q=64, **config)


def found(clip: list[Planes]) -> list[int]:
    height, width = clip[0][0].shape
    finder = SceneCutDetector(width, height)
    return [number for number, planes in enumerate(clip) if finder.is_gop_start(planes[0])]


@pytest.mark.parametrize("size", [(208, 160), (720, 560), (16, 16), (8, 40)])
def test_cuts_are_found_and_nothing_else(size: tuple[int, int]) -> None:
    assert found(make_clip(*size, 12, seed=3, cut=7)) == ([0, 7] if min(size) >= 16 else [0])
    assert found(make_clip(*size, 12, seed=3)) == [0]


def test_noise_and_rest_are_no_cuts() -> None:
    rng = np.random.default_rng(1)
    still = make_clip(208, 160, 1, seed=2) * 6
    assert found(still) == [0]
    grain = lambda y: np.clip(y + rng.normal(0, 8, y.shape), 0, 1023).astype(np.uint16)
    assert found([(grain(y), u, v) for y, u, v in make_clip(208, 160, 6)]) == [0]
    black = [tuple(np.full_like(plane, 64) for plane in still[0])] * 6
    assert found(black) == [0]


@pytest.mark.parametrize("base", ["av1", "vvc"])
def test_a_scene_begins_with_a_keyframe(base: str) -> None:
    clip = [p for n, seed in ((15, 3), (6, 4), (14, 5)) for p in make_clip(208, 160, n, seed=seed)]
    fmt = VideoFormat(208, 160, Fraction(25), Fraction(1, 25))

    def keys(keyint: int) -> list[int]:
        fast = Settings(50, threads=1, preset=FASTEST[base])
        packets, _ = send_all(StandardEncoder(fmt, base, fast, keyint), clip)
        return [n for n, packet in enumerate(packets) if packet.keyframe]

    assert keys(100) == [0, 15], "six frames later there is none yet"
    assert keys(18) == [0, 15, 33], "the distance counts from the last one"
    assert keys(0) == [0]
