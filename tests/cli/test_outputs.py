"""Kinds of files that come out: .webm, bare bitstreams, and what a cut-off file says."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from gvcodec.media.writer import visually_lossless
from gvcodec.types import Colour, VideoFormat
from gvcodec.util.psnr import psnr
from tests.clips import write_clip
from tests.conftest import moving_texture, run

COLOUR = Colour(1, 1, 1)
COUNT = 6


def form(depth: int = 8, rate: int = 25, width: int = 96) -> VideoFormat:
    return VideoFormat(width, 80, Fraction(rate), Fraction(1, 12800), depth, COLOUR)


@pytest.fixture(scope="module")
def stream(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("outputs")
    write_clip(folder / "in.mp4", form(), moving_texture(96, 80, COUNT), 512)
    words = [str(folder / "in.mp4"), str(folder / "in.gvc"), "--fit", "off", "--preset", "10"]
    run("encode", *words)
    return folder / "in.gvc"


def pictures(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


@pytest.mark.parametrize(("depth", "codec"), [(8, "vp9"), (10, "libdav1d")])
def test_webm_looks_the_same(tmp_path, depth: int, codec: str) -> None:
    path, fmt = tmp_path / "a.webm", form(depth)
    frames = list(moving_texture(96, 80, COUNT))
    write_clip(path, fmt, frames, 512, crf=visually_lossless(path, fmt))
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == codec
    found = pictures(path)
    assert len(found) == COUNT
    shift = 10 - depth
    for frame, planes in zip(found, frames, strict=True):
        assert psnr(frame.to_ndarray()[:80].astype(np.uint16) << shift, planes[0]) > 38


def test_the_bitstream_alone_has_the_base_frames(tmp_path, stream: Path) -> None:
    path, base = tmp_path / "a.obu", tmp_path / "base.y4m"
    run("extract", stream, path)
    run("decode", stream, base, "--fidelity")
    ours, theirs = pictures(path), pictures(base)
    assert len(ours) == len(theirs) == COUNT
    for a, b in zip(ours, theirs, strict=True):
        # Both have the 8 bits of the source.
        assert np.array_equal(a.to_ndarray()[:80], b.to_ndarray()[:80])


def test_a_cut_off_file_names_repair(tmp_path, stream: Path, capsys) -> None:
    cut = tmp_path / "cut.gvc"
    cut.write_bytes(stream.read_bytes()[:-30])
    for words in (["verify", str(cut)], ["decode", str(cut), str(tmp_path / "a.y4m")]):
        run(*words, code=3)
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and "gvcodec repair" in said
    run("repair", cut, tmp_path / "whole.gvc")
    run("verify", tmp_path / "whole.gvc")
