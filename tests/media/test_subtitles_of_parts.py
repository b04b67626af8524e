"""Subtitles that are on screen where a part of a video begins, in every way to take a part."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import pytest

import gvcodec
from gvcodec.bitstream import Kind, Reader
from gvcodec.media.tracks import TrackPacket, TrackReader
from tests.clips import add_video, put_planes
from tests.conftest import moving_texture, run

#: Begin and end in seconds; the second one is on screen at 2 s.
SHOWN = ((0.2, 0.6), (1.0, 3.5), (3.8, 4.4))
FAST = {"base": "av1", "preset": 10, "fit": 0, "q": 60}


def stamp(seconds: float) -> str:
    return f"00:00:{seconds:06.3f}".replace(".", ",")


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """A folder with a.mkv and a.mp4 of 5 s, with subtitles, and a.gvc of them."""
    folder = tmp_path_factory.mktemp("subtitles")
    texts = folder / "a.srt"
    texts.write_text(
        "".join(
            f"{n}\n{stamp(begin)} --> {stamp(end)}\nLine {n}\n\n"
            for n, (begin, end) in enumerate(SHOWN)
        )
    )
    clip = moving_texture(64, 64, 25)
    with av.open(str(texts)) as words, av.open(str(folder / "a.mkv"), "w") as container:
        video = add_video(container, 64, 64, options={"g": "15", "bf": "2"})
        lines = container.add_stream_from_template(words.streams[0])
        for packet in words.demux():
            if packet.dts is not None:
                packet.stream = lines
                container.mux(packet)
        put_planes(container, video, clip * 5)
    gvcodec.encode_file(folder / "a.mkv", folder / "a.gvc", keyint=20, **FAST)
    return folder


def lines_of(stream: Path) -> list[tuple[float, float, bytes]]:
    """Begin and end in seconds, and text."""
    tracks: TrackReader | None = None
    for packet in Reader(io.BytesIO(stream.read_bytes())).packets():
        if packet.kind is Kind.TRACKS:
            if tracks is None:
                tracks = TrackReader(packet.payload)
            else:
                tracks.send(packet.payload)
    assert tracks is not None
    return [
        (float(p.pts * tracks.ticks[0]), float((p.pts + p.duration) * tracks.ticks[0]), p.data)
        for p in tracks.waiting
        if p.data
    ]


def shown_from(start: float) -> list[tuple[float, float, bytes]]:
    return [
        (max(0.0, begin - start), end - start, f"Line {n}".encode())
        for n, (begin, end) in enumerate(SHOWN)
        if end > start
    ]


def assert_lines(found: list[tuple[float, float, bytes]], start: float) -> None:
    wanted = shown_from(start)
    assert [line for *_, line in found] == [line for *_, line in wanted]
    for (begin, end, _), (first, last, _) in zip(found, wanted, strict=True):
        assert begin == pytest.approx(first, abs=0.002) and end == pytest.approx(last, abs=0.002)


@pytest.mark.parametrize("start", [0.4, 2.0, 3.0])
def test_encode_begins_with_the_subtitle_on_screen(videos: Path, tmp_path, start: float) -> None:
    gvcodec.encode_file(videos / "a.mkv", tmp_path / "b.gvc", start=start, **FAST)
    assert_lines(lines_of(tmp_path / "b.gvc"), start)
    gvcodec.encode_file(videos / "a.mkv", tmp_path / "c.gvc", start=start, jobs=1, **FAST)
    assert_lines(lines_of(tmp_path / "c.gvc"), start)


@pytest.mark.parametrize("exact", [False, True])
def test_cut_begins_with_the_subtitle_on_screen(videos: Path, tmp_path, exact: bool) -> None:
    done = gvcodec.cut(videos / "a.gvc", tmp_path / "b.gvc", 2.0, exact=exact)
    assert done.begin > 1.0
    assert_lines(lines_of(tmp_path / "b.gvc"), done.begin)


@pytest.mark.parametrize("pipe", [False, True])
def test_decode_begins_with_the_subtitle_on_screen(
    videos: Path, tmp_path, monkeypatch, pipe: bool
) -> None:
    source = str(videos / "a.gvc")
    if pipe:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(open(source, "rb")))  # noqa: SIM115
    to = str(tmp_path / "b.mkv")
    run("decode", "-" if pipe else source, to, "--start", "2", "--fidelity")
    gvcodec.encode_file(to, tmp_path / "c.gvc", **FAST)
    assert_lines(lines_of(tmp_path / "c.gvc"), 2.0)


def test_a_subtitle_without_an_end_stays_until_the_next_one(videos: Path) -> None:
    """As those of Blu-ray."""
    payload = next(
        packet.payload
        for packet in Reader(io.BytesIO((videos / "a.gvc").read_bytes())).packets()
        if packet.kind is Kind.TRACKS
    )
    tracks = TrackReader(payload)
    tick = tracks.ticks[0]
    tracks.waiting.clear()
    for seconds in (0, 1, 2, 4):
        tracks.waiting.append(TrackPacket(0, round(seconds / tick), 0, bytes([seconds])))
    tracks.keep(Fraction(3), None)
    assert [(p.pts * tick, p.data[0]) for p in tracks.waiting] == [(0, 2), (1, 4)]
