"""Look-ahead of the klt layer: what it finds in a clip, the delay it makes, that it pays, and that
nothing else changes."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from clips import make_clip, texture
from conftest import planes_equal as same
from conftest import psnr

from gvcodec import _core
from gvcodec.errors import UsageError
from gvcodec.structure import CodedFrame
from gvcodec.structure.klt.codec import KltDecoder, KltEncoder, KltTools, open_encoder
from gvcodec.structure.klt.lookahead import DEPTH
from gvcodec.types import Planes, VideoFormat

NOISE = 100.0


def encode(
    clip: list[Planes], q: int, depth: int, **options: int
) -> tuple[list[CodedFrame], list[Planes]]:
    height, width = clip[0][0].shape
    encoder = KltEncoder(width, height, q, tools=KltTools(lookahead=depth), threads=1, **options)
    coded = [*(encoder.send(planes) for planes in clip), encoder.flush()]
    return [p for c in coded for p in c.packets], [frame for c in coded for frame in c.loops]


def half_still(frames: int) -> list[Planes]:
    """128×96: the left half stands still, the right one is new in every frame."""
    clip = []
    for t in range(frames):
        y = np.hstack([texture(1, 96, 64), texture(100 + t, 96, 64)]) * 900 + 60
        grey = np.full((48, 64), 512, np.uint16)
        clip.append((np.round(y).astype(np.uint16), grey, grey))
    return clip


def importance(clip: list[Planes], frames: int = 99) -> np.ndarray:
    height, width = clip[0][0].shape
    ahead = _core.Lookahead(width, height, 2)
    for planes in clip:
        ahead.push(planes[0])
    return np.asarray(ahead.importance(NOISE, frames))


def test_importance_counts_the_frames_that_a_block_lives_on_in() -> None:
    found = importance(half_still(6))
    assert found.shape == (6, 8) and found.dtype == np.float32
    assert (found[:, :3] > 5.5).all() and (found[:, :3] < 7).all()
    assert (found[:, 5:] < 1.6).all() and (found >= 1).all()
    # Nothing is handed on over a key frame.
    assert np.allclose(importance(half_still(6), frames=3)[:, :3], 3, atol=0.6)
    assert (importance(half_still(6), frames=1) == 1).all()


def test_importance_follows_motion() -> None:
    wide = np.round(texture(3, 96, 300) * 900 + 60).astype(np.uint16)
    grey = np.full((48, 64), 512, np.uint16)
    # The picture moves to the left by 16 samples a frame: what stands on the left is gone in the
    # next one.
    clip: list[Planes] = [(wide[:, 16 * t : 16 * t + 128].copy(), grey, grey) for t in range(5)]
    rows = importance(clip)[1:-1].mean(0)
    assert rows[0] < 2 and rows[5] > 4


def test_packets_wait_for_the_frames_ahead() -> None:
    clip = make_clip(48, 32, DEPTH + 3, seed=5)
    encoder, decoder = KltEncoder(48, 32, 40, tools=KltTools(lookahead=DEPTH)), KltDecoder(48, 32)
    counts = []
    for coded in [*(encoder.send(planes) for planes in clip), encoder.flush(), encoder.flush()]:
        counts.append(len(coded.packets))
        for packet, loop in zip(coded.packets, coded.loops, strict=True):
            assert same(decoder.send(packet.payload, packet.keyframe)[0], loop)
    assert counts == [0] * DEPTH + [1] * 3 + [DEPTH, 0]
    with pytest.raises(UsageError, match="look-ahead"):
        KltEncoder(48, 32, 40, tools=KltTools(lookahead=DEPTH + 1))


@pytest.mark.parametrize("low_delay", [False, True])
def test_low_delay_switches_it_off(low_delay: bool) -> None:
    fmt = VideoFormat(48, 32, Fraction(25), Fraction(1, 25))
    encoder = open_encoder(fmt, 40, 0, low_delay, 1)
    counts = [len(encoder.send(planes).packets) for planes in make_clip(48, 32, DEPTH + 2, seed=5)]
    assert counts == ([1] * (DEPTH + 2) if low_delay else [0] * DEPTH + [1, 1])


def test_key_frames_come_where_they_should() -> None:
    clip = make_clip(48, 32, 9, seed=5)
    packets, _ = encode(clip, 40, 5, keyint=4)
    assert [i for i, p in enumerate(packets) if p.keyframe] == [0, 4, 8]
    encoder = KltEncoder(48, 32, 40, tools=KltTools(lookahead=5))
    coded = [
        *(encoder.send(planes, force_key=i == 3) for i, planes in enumerate(clip)),
        encoder.flush(),
    ]
    assert [p.keyframe for c in coded for p in c.packets] == [i in (0, 3) for i in range(9)]


def test_it_pays_where_half_of_the_picture_stands_still() -> None:
    clip = half_still(16)

    def curve(depth: int) -> tuple[list[float], list[float]]:
        sizes, quality = [], []
        for q in (28, 34, 40, 46, 52):
            packets, loops = encode(clip, q, depth)
            sizes.append(np.log(sum(len(p.payload) for p in packets)))
            quality.append(float(np.mean([psnr(a, b) for a, b in zip(clip, loops, strict=True)])))
        return quality[::-1], sizes[::-1]

    (quality, sizes), (plain_quality, plain_sizes) = curve(8), curve(0)
    at = [q for q in quality if plain_quality[0] < q < plain_quality[-1]]
    saved = [np.interp(q, quality, sizes) - np.interp(q, plain_quality, plain_sizes) for q in at]
    assert len(saved) >= 3 and np.mean(saved) < np.log(0.97)
