"""cut, cat, index, repair, info, verify: coded frames are never touched."""

import io
import json
import os
import sys
from fractions import Fraction
from itertools import pairwise

import pytest

import gvcodec
from gvcodec.bitstream import Kind, Packet, Reader
from gvcodec.bitstream.packets import END_BYTES
from gvcodec.tracks.copier import TrackCopier
from gvcodec.tracks.packets import TrackPacket
from gvcodec.types import Planes, VideoFormat
from tests.clips import write_clip
from tests.conftest import FASTEST, clips_equal, moving_texture, piped, planes_equal, run
from tests.fuzz.robustness.streams import sound
from tests.networks import other_biases

FORMAT = VideoFormat(64, 48, Fraction(25), Fraction(1, 1000))
#: A frame is late, one is dropped, one comes early; keyframes at 0, 5, 10, 15.
TIMES = [40 * n + 13 * (n > 6) + 40 * (n > 11) - 5 * (n == 10) for n in range(18)]


def made(
    clip: list[Planes],
    base: str = "av1",
    times: list[int] | None = None,
    tunes: dict[int, bytes] | None = None,
    tracks: TrackCopier | None = None,
    start: int = 0,
) -> bytes:
    """A stream of GOPs of five with timestamps, `fit` payloads by frame and sound."""
    config = {"base_q": 30, "preset": FASTEST[base], "keyint": 5, "fit": 0, "threads": 1}
    encoder = gvcodec.Encoder(FORMAT, gvcodec.EncoderConfig(base=base, **config), start)
    stream = io.BytesIO()
    writer = gvcodec.Writer(stream, encoder.header)
    frames = 0
    if tracks:
        writer.write(Packet(Kind.TRACKS, tracks.pop()))

    def drain() -> None:
        nonlocal frames
        while (packet := encoder.receive_packet()) is not None:
            if packet.kind is Kind.KEY and tunes and frames in tunes:
                writer.write(Packet(Kind.FIT, tunes[frames]))
            frames += packet.is_frame
            writer.write(packet)

    for number, planes in enumerate(clip):
        encoder.send_frame(planes, start + (times[number] if times else 40 * number))
        drain()
        if tracks:
            for ten in range(4 * number, 4 * number + 4):
                tracks.send(TrackPacket(0, 8 * start + 80 * ten, 80, bytes([ten]) * 160))
            writer.write(Packet(Kind.TRACKS, tracks.pop()))
    encoder.flush()
    drain()
    writer.finish(encoder.base_hash)
    return stream.getvalue()


def contents(data: bytes) -> tuple[list[Packet], list[int], list[TrackPacket]]:
    """Coded packets with tunes, timestamps as decoded, and packets of sound."""
    reader = Reader(io.BytesIO(data))
    packets = list(reader.packets())
    decoder = gvcodec.Decoder(reader.header, fidelity=True, threads=1)
    times = [frame.pts for frame in decoder.frames_of(packets)]
    decoder.verify(reader.base_hash)
    sounds = list(decoder.tracks.waiting) if decoder.tracks else []
    coded = [packet for packet in packets if packet.is_frame or packet.kind is Kind.FIT]
    return coded, times, sounds


@pytest.fixture(scope="module")
def clip() -> list[Planes]:
    return moving_texture(64, 48, 18)


@pytest.mark.parametrize("base", ["av1", "vvc"])
def test_cut_and_cat_give_the_file_back(tmp_path, clip: list[Planes], base: str) -> None:
    (tmp_path / "a.bin").write_bytes(made(clip, base))
    run("cut", tmp_path / "a.bin", tmp_path / "1.bin", "--to", 0.2)
    run("cut", tmp_path / "a.bin", tmp_path / "2.bin", "--from", 0.2, "--to", 0.6)
    run("cut", tmp_path / "a.bin", tmp_path / "3.bin", "--from", 0.6)
    run("cat", *(tmp_path / f"{number}.bin" for number in (1, 2, 3)), "-o", tmp_path / "b.bin")
    assert (tmp_path / "b.bin").read_bytes() == (tmp_path / "a.bin").read_bytes()
    whole = list(gvcodec.decode_planes((tmp_path / "a.bin").read_bytes(), fidelity=True))
    piece = list(gvcodec.decode_planes((tmp_path / "2.bin").read_bytes(), fidelity=True))
    assert clips_equal(piece, whole[5:15])


def test_irregular_times_sound_and_tunes_survive_cut_and_cat(tmp_path, clip: list[Planes]) -> None:
    tunes = {0: b"first", 10: b"second"}
    original = made(clip, times=TIMES, tunes=tunes, tracks=sound(), start=7000)
    (tmp_path / "a.bin").write_bytes(original)
    cuts = [0.0, 0.2, (TIMES[10] + 1) / 1000, 9.0]
    pieces = []
    for number, (begin, end) in enumerate(pairwise(cuts)):
        pieces.append(tmp_path / f"{number}.bin")
        end = end if number != 1 else (TIMES[10] - 1) / 1000
        run("cut", tmp_path / "a.bin", pieces[-1], "--from", begin, "--to", end)
    packets, times, sounds = contents(original)
    assert times == [7000 + time for time in TIMES]
    _, middle, middle_sounds = contents(pieces[1].read_bytes())
    assert middle == [time - TIMES[5] for time in TIMES[5:10]]
    spoken = range(0, 8 * (TIMES[10] - TIMES[5]), 80)
    assert [packet.pts for packet in middle_sounds] == list(spoken)
    assert contents(pieces[2].read_bytes())[0][0] == Packet(Kind.FIT, b"second")
    run("cat", *pieces, "-o", tmp_path / "b.bin")
    assert contents((tmp_path / "b.bin").read_bytes()) == (packets, times, sounds)


def test_painted_pictures_survive_cut_and_cat(tmp_path, clip: list[Planes]) -> None:
    pytest.importorskip("torch")
    original = made(clip[:13], tunes={5: other_biases(5)})
    (tmp_path / "a.bin").write_bytes(original)
    (tmp_path / "plain.bin").write_bytes(made(clip[:5]))
    whole = list(gvcodec.decode_planes(original))
    assert not planes_equal(whole[6], list(gvcodec.decode_planes(made(clip[:13])))[6])
    run("cut", tmp_path / "a.bin", tmp_path / "b.bin", "--from", 0.4)
    assert clips_equal(list(gvcodec.decode_planes((tmp_path / "b.bin").read_bytes())), whole[10:])
    # After a fitted stream one without a fit is painted by the shipped weights, as by itself.
    run("cat", tmp_path / "b.bin", tmp_path / "plain.bin", "-o", tmp_path / "c.bin")
    joined = list(gvcodec.decode_planes((tmp_path / "c.bin").read_bytes()))
    alone = list(gvcodec.decode_planes((tmp_path / "plain.bin").read_bytes()))
    assert clips_equal(joined, whole[10:] + alone)


def test_what_does_not_fit_together_is_refused(tmp_path, clip: list[Planes]) -> None:
    (tmp_path / "a.bin").write_bytes(made(clip[:3]))
    fast = {"base": "av1", "preset": 10, "fit": 0}
    (tmp_path / "b.bin").write_bytes(gvcodec.encode(clip[:3], format=FORMAT, base_q=31, **fast))
    (tmp_path / "c.bin").write_bytes(made(clip[:3], tracks=sound()))
    for names, what in (
        ("ab", "q 31, not 30"),
        ("ac", "different tracks"),
        ("ca", "different tracks"),
    ):
        said = run("cat", *(tmp_path / f"{n}.bin" for n in names), "-o", tmp_path / "o.bin", code=2)
        assert what in said.err
    run("cut", tmp_path / "a.bin", tmp_path / "o.bin", "--from", "9", code=2)
    run("cut", tmp_path / "a.bin", tmp_path / "a.bin", code=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "b.bin", "c.bin"]


def test_tools_work_on_pipes(tmp_path, clip: list[Planes]) -> None:
    data = made(clip)
    (tmp_path / "a.bin").write_bytes(data)
    run("cut", tmp_path / "a.bin", tmp_path / "b.bin", "--from", 0.3)
    assert piped("cut", "-", "-", "--from", 0.3, data=data) == (tmp_path / "b.bin").read_bytes()
    assert piped("repair", "-", "-", data=data) == piped("cat", "-", "-o", "-", data=data) == data


def test_a_lost_footer_is_named_and_written_anew(tmp_path, clip) -> None:
    data = made(clip)
    last = Reader(io.BytesIO(data)).gops()[-1]
    footer = last.offset + last.size
    # The index proves that nothing is missing; without it frames may be.
    for size, code in ((footer, 3), (footer + 9, 3), (len(data) - 1, 0)):
        (tmp_path / "a.bin").write_bytes(data[:size])
        for words in (["verify", "--fidelity"], ["decode", tmp_path / "a.y4m", "--fidelity"]):
            assert "gvcodec repair" in run(words[0], tmp_path / "a.bin", *words[1:], code=3).err
        run("repair", tmp_path / "a.bin", tmp_path / "b.bin", "-y", code=code)
        assert (tmp_path / "b.bin").read_bytes() == data


@pytest.mark.parametrize("base", ["av1", "vvc"])
def test_repair_keeps_every_frame_before_the_cut(tmp_path, clip: list[Planes], base: str) -> None:
    data = made(clip, base, TIMES, tracks=sound())
    reader = Reader(io.BytesIO(data))
    ends = [reader.size for packet in reader.packets() if packet.is_frame]
    gops = Reader(io.BytesIO(data)).gops()
    whole = list(gvcodec.decode_planes(data, fidelity=True))
    # A keyframe of H.266 is shown after others: without them nothing can be kept of its GOP.
    first = gops[0].offset + gops[0].size if base == "vvc" else ends[0]
    for size in range(first + 1, len(data), 601):
        (tmp_path / "a.bin").write_bytes(data[:size])
        code = 0 if size >= len(data) - END_BYTES else 3
        run("repair", tmp_path / "a.bin", tmp_path / "b.bin", "-y", code=code)
        repaired = (tmp_path / "b.bin").read_bytes()
        kept = list(gvcodec.decode_planes(repaired, fidelity=True))
        arrived = sum(end <= size for end in ends)
        # Packets of H.265 and H.266 are not in display order: their last GOP may lose what came
        # before a missing frame.
        closed = sum(gop.frames for gop in gops if gop.offset + gop.size <= size)
        assert closed <= len(kept) <= arrived
        assert base in ("vvc",) or len(kept) == arrived
        assert clips_equal(kept, whole[: len(kept)]) and contents(repaired)[1] == TIMES[: len(kept)]


def test_info_shows_packets_and_budget(tmp_path, clip: list[Planes]) -> None:
    data = made(clip, times=TIMES, tracks=sound())
    (tmp_path / "a.bin").write_bytes(data)
    found = json.loads(run("info", tmp_path / "a.bin", "--json").out)
    assert [entry["frame"] for entry in found["packets"] if "frame" in entry] == list(range(18))
    assert found["packet_bytes"]["tracks"] > 18 * 4 * 160
    whole = sum(found["packet_bytes"].values()) + found["framing_bytes"]
    assert whole == len(data) == found["file_bytes"]
    for entry in found["packets"]:
        if entry["type"] == "key":
            assert data[entry["offset"]] & 3 == Kind.KEY
    assert "tracks" in run("info", tmp_path / "a.bin").out


def test_verify_measures_against_the_source(tmp_path, clip: list[Planes]) -> None:
    write_clip(tmp_path / "in.mkv", clip)
    quick = ("--fit", "off", "--preset", 10, "--base-q", 30)
    report = run("encode", tmp_path / "in.mkv", tmp_path / "a.bin", *quick).err
    out = run("verify", tmp_path / "a.bin", "--source", tmp_path / "in.mkv", "--fidelity").out
    assert report.split("PSNR-Y ")[1].split(" dB")[0] == out.split("Y ")[1].split()[0]
    assert "18 frames" in out
    write_clip(tmp_path / "other.mkv", moving_texture(32, 48, 1))
    run("verify", tmp_path / "a.bin", "--source", tmp_path / "other.mkv", code=10)
    damaged = bytearray((tmp_path / "a.bin").read_bytes())
    damaged[-4] ^= 1
    (tmp_path / "b.bin").write_bytes(damaged)
    run("verify", tmp_path / "b.bin", code=3)


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_more_pieces_are_joined_than_files_may_be_open(tmp_path, clip: list[Planes]) -> None:
    """K11: 1024 is usual on Linux, 256 on macOS."""
    import resource

    piece = tmp_path / "a.gvc"
    piece.write_bytes(made(clip[:2], "av1"))
    open_now = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 64
    most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 16, most[1]))
    try:
        joined = gvcodec.cat([piece] * 40, tmp_path / "c.gvc")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, most)
    assert joined.frames == 80 and gvcodec.verify(tmp_path / "c.gvc", fidelity=True).frames == 80
