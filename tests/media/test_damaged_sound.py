"""Recordings of broadcasts: lost packets of a transport stream, headers that flipped. The damaged
frame of sound is left out with a line; what comes after it is kept, in every kind of file."""

from __future__ import annotations

import contextlib
from pathlib import Path

import av
import numpy as np
import pytest

from gvcodec.media import track_muxing, tracks
from gvcodec.media.reader import VideoReader
from tests.clips import add_video, put_planes
from tests.conftest import moving_texture
from tests.media.test_real_sound import QUICK, run, samples, write_source

LENGTH = 1.9


def lose(path: Path, share: float, count: int = 3) -> None:
    """Take packets of 188 bytes out of a transport stream."""
    data = path.read_bytes()
    first = round(share * len(data) / 188)
    path.write_bytes(data[: 188 * first] + data[188 * (first + count) :])


def heard(path: Path) -> float:
    """Seconds between the first packet of sound and the end of the last."""
    with av.open(str(path)) as container:
        found = [p for p in container.demux(audio=0) if p.size and p.pts is not None]
    return float((found[-1].pts - found[0].pts + (found[-1].duration or 0)) * found[0].time_base)


def decoded(path: Path) -> int:
    """Samples that a decoder makes, which goes on after a damaged frame."""
    count = 0
    with av.open(str(path)) as container:
        for packet in container.demux(audio=0):
            with contextlib.suppress(av.FFmpegError):
                count += sum(frame.samples for frame in packet.decode())
    return count


@pytest.fixture(scope="module", params=["aac", "mp2", "ac3", "eac3"])
def recording(request, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("recording") / f"{request.param}.ts"
    assert write_source(path, request.param, "mpegts", LENGTH)
    lose(path, 0.6)
    return path


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_sound_goes_on_after_packets_that_are_lost(recording: Path, tmp_path, suffix: str) -> None:
    """Encoded to one file at once, and by a stream that is decoded and extracted."""
    assert run("encode", recording, tmp_path / f"one.{suffix}", *QUICK) == 0
    assert heard(tmp_path / f"one.{suffix}") > LENGTH - 0.3
    assert run("encode", recording, tmp_path / "a.gvc", *QUICK) == 0
    for command in ("decode", "extract"):
        out = tmp_path / f"{command}.{suffix}"
        assert run(command, tmp_path / "a.gvc", out, "-y") == 0
        assert heard(out) > LENGTH - 0.3
        assert decoded(out) > (LENGTH - 0.5) * 44100


def test_damaged_frames_are_counted_in_a_line(tmp_path) -> None:
    path = tmp_path / "aac.ts"
    assert write_source(path, "aac", "mpegts", LENGTH)
    with VideoReader(path) as whole:
        assert list(whole) and not whole.notes
    data = bytearray(path.read_bytes())
    at = data.index(b"\xff\xf1", len(data) // 2)
    data[at : at + 2] = b"\0\0"
    path.write_bytes(data)
    with VideoReader(path) as damaged:
        assert list(damaged)
        (note,) = damaged.notes
    assert note.endswith("of sound in the source left out")


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_streams_that_hold_damaged_frames_are_decoded(tmp_path, monkeypatch, suffix: str) -> None:
    """As encoders before this check wrote them."""
    path = tmp_path / "aac.ts"
    assert write_source(path, "aac", "mpegts", LENGTH)
    lose(path, 0.6)
    monkeypatch.setattr(tracks, "is_frame", lambda stream, data: True)
    assert run("encode", path, tmp_path / "old.gvc", *QUICK) == 0
    out = tmp_path / f"a.{suffix}"
    assert run("decode", tmp_path / "old.gvc", out, "-y") == 0
    assert heard(out) > LENGTH - 0.3
    if suffix != "mov":
        assert run("extract", tmp_path / "old.gvc", tmp_path / f"one.{suffix}") == 0
        assert heard(tmp_path / f"one.{suffix}") > LENGTH - 0.3
        assert run("decode", tmp_path / f"one.{suffix}", tmp_path / "again.mkv") == 0
        assert heard(tmp_path / "again.mkv") > LENGTH - 0.3


def test_one_packet_that_a_muxer_refuses_does_not_end_the_track(tmp_path, monkeypatch) -> None:
    path, found = tmp_path / "pcm.mkv", []
    assert write_source(path, "pcm_s16le", "matroska", LENGTH)
    assert run("encode", path, tmp_path / "a.gvc", *QUICK) == 0
    make = track_muxing.TrackMuxer._packet

    def one_refused(self, packet, output) -> av.Packet:
        found.append(make(self, packet, output))
        if len(found) == 10:
            found[-1].pts = found[-1].dts = -(1 << 62)
        return found[-1]

    monkeypatch.setattr(track_muxing.TrackMuxer, "_packet", one_refused)
    assert run("decode", tmp_path / "a.gvc", tmp_path / "a.mkv") == 0
    assert heard(tmp_path / "a.mkv") > LENGTH - 0.1
    assert np.abs(samples(tmp_path / "a.mkv")[:, -2000:]).max() > 1000


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_alaw", "pcm_u8", "pcm_s24le"])
@pytest.mark.parametrize("suffix", ["mov", "mp4", "mkv"])
def test_a_hole_in_pcm_does_not_make_sound_early(tmp_path, codec: str, suffix: str) -> None:
    """A camera that stops recording sound from 0.5 to 1 s; a beep at 1.5 s."""
    time = np.arange(48000 * LENGTH) / 48000
    beep = np.where((time > 1.5) & (time < 1.6), np.sin(2 * np.pi * 880 * time), 0)
    path = tmp_path / ("hole.nut" if "law" in codec else "hole.mkv")
    with av.open(str(path), "w") as container:
        video = add_video(container, 48, 48, "mpeg4")
        sound = container.add_stream(codec, rate=48000, layout="mono")
        put_planes(container, video, moving_texture(48, 48, 12))
        kind = sound.codec_context.codec.audio_formats[0]
        for begin in range(0, len(beep) - 480, 480):
            if 0.5 <= begin / 48000 < 1:
                continue
            piece = (20000 * beep[begin : begin + 480]).astype(np.int16)[None]
            heard = av.AudioFrame.from_ndarray(piece, "s16", "mono")
            heard.sample_rate, heard.pts = 48000, begin
            for frame in av.AudioResampler(kind, "mono", 48000).resample(heard):
                frame.pts = begin
                container.mux(sound.encode(frame))
    assert run("encode", path, tmp_path / "a.gvc", *QUICK) == 0
    assert run("decode", tmp_path / "a.gvc", tmp_path / f"a.{suffix}", "-y") == 0
    with av.open(str(tmp_path / f"a.{suffix}")) as container:
        if not container.streams.audio:
            assert suffix != "mov"  # MP4 and Matroska take few kinds of PCM
            return
        sampler = av.AudioResampler("flt", "mono", 48000)
        loud = [
            float(frame.pts * frame.time_base) + n / 48000
            for frame in container.decode(audio=0)
            for part in sampler.resample(frame)
            for n in np.flatnonzero(np.abs(part.to_ndarray()) > 0.3)[:1]
        ]
    assert loud[0] == pytest.approx(1.5, abs=0.02)
