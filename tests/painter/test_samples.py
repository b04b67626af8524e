"""Sample clips of the parts of a video, and `fit` packets before the GOPs that they are for."""

import io
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gvcodec
from gvcodec.bitstream import Kind, Reader
from gvcodec.painter.samples import ClipSampler, Gop, Part
from gvcodec.types import Planes, VideoFormat
from tests.clips import make_clip
from tests.conftest import coded, planes_equal

FORMAT = VideoFormat(96, 80, Fraction(30), Fraction(1, 90000))
PLANES: Planes = tuple(np.zeros(shape, np.uint16) for shape in ((80, 96), (40, 48), (40, 48)))


def numbered(number: int) -> Planes:
    return (np.full((80, 96), number, np.uint16), *PLANES[1:])


def filled(frames: int) -> ClipSampler:
    reservoir = ClipSampler(FORMAT)
    for number in range(frames):
        reservoir.send_source(number, numbered(number))
        reservoir.send_base(number, numbered(number))
    return reservoir


@given(st.integers(1, 700), st.lists(st.integers(1, 300), max_size=20))
def test_parts_are_whole_gops_of_the_video(frames: int, lengths: list[int]) -> None:
    firsts = [0, *(int(n) for n in np.cumsum(lengths) if n < frames)]
    gops = [Gop(first, 100 + first) for first in firsts]
    parts = filled(frames).parts(gops, frames)
    assert 1 <= len(parts) <= 3 and parts[0].first == 0
    assert sum(part.size for part in parts) == sum(gop.size for gop in gops)
    for part, end in zip(parts, [*(part.first for part in parts[1:]), frames], strict=True):
        assert part.first in firsts
        assert len(parts) == 1 or end - part.first >= 48
        assert len(part.samples) <= ClipSampler.RUNS
        for run in part.samples:
            numbers = [int(source[0][0, 0]) for _, source in run]
            assert numbers == list(range(numbers[0], numbers[0] + len(run)))
            assert part.first <= numbers[0] and numbers[-1] < end
    assert all(part.samples for part in parts)


def test_of_large_pictures_only_windows_are_kept() -> None:
    width, height = 1920, 1080
    sampler = ClipSampler(VideoFormat(width, height, Fraction(30), Fraction(1, 90000)))
    luma = np.arange(width * height, dtype=np.uint32).reshape(height, width)
    planes: Planes = (luma, luma[::2, ::2], luma[::2, ::2])
    for number in range(1200):
        sampler.send_source(number, planes)
        sampler.send_base(number, planes)
        assert len(sampler._pairs) <= ClipSampler.RUN * 3 * ClipSampler.RUNS
    parts = sampler.parts([Gop(first, 1) for first in range(0, 1200, 50)], 1200)
    assert len(parts) > 1 and all(part.samples for part in parts)
    corners = set()
    for run in (run for part in parts for run in part.samples):
        y, u, v = run[0][0]
        assert y.shape == (ClipSampler.WINDOW,) * 2 and u.shape == (ClipSampler.WINDOW // 2,) * 2
        assert y[0, 0] == u[0, 0] == v[0, 0], "luma and chroma of one place"
        assert all(planes_equal(pair[k], run[0][0]) for pair in run for k in (0, 1))
        corners.add(int(y[0, 0]))
    assert len(corners) > 20, "at other places in every run"


def stream(clip: list[Planes], fitted: dict[int, bytes] | None = None) -> bytes:
    return coded(FORMAT, clip, False, fitted, base="av1", preset=10, keyint=50)


def test_payloads_stand_before_the_gop_that_they_are_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make_clip(96, 80, 10, seed=1) * 20
    asked: list[Part] = []
    answer = {0: b"\0", 60: b"\0", 160: b"\1\0"}

    def choose(model: object, condition: object, parts: list[Part], *rest: object) -> object:
        asked.extend(parts)
        return answer

    monkeypatch.setattr("gvcodec.codec.encoder.painter_id", lambda *given: (b"12345678", ""))
    monkeypatch.setattr("gvcodec.codec.painter_stage.choose_strengths", choose)
    data = stream(clip)
    assert len(asked) == 3 and asked[0].first == 0 and all(part.size for part in asked)
    assert data == stream(clip, fitted=answer), "as in a later pass of rate control"
    found, frame, size = {}, 0, 0
    for packet in (reader := Reader(io.BytesIO(data))).packets():
        if packet.kind is Kind.FIT:
            found[frame] = packet.payload
        frame += packet.is_frame
        size += reader.packet_size if packet.is_frame else 0
    assert sum(part.size for part in asked) == size, "bundled, as they are in the file"
    assert found == {0: b"\0", 160: b"\1\0"}, "nothing is sent twice in a row"
    everything = list(gvcodec.decode_planes(data, fidelity=True))
    later = next(gvcodec.decode_planes(data, fidelity=True, start=160))
    assert planes_equal(everything[160], later)
