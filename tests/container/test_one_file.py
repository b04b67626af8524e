"""One file that plays everywhere: streams in MP4, Matroska and WebM come back byte for byte,
players see the base frames, FFmpeg's copies and cuts can be painted, and damage is one line."""

import io
import json
import re
import subprocess
import zlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import gvcodec
from gvcodec import _core
from gvcodec.base.resample import Resampler
from gvcodec.base.standard.payloads import packet_of
from gvcodec.bitstream import Kind, Packet, Reader, metadata_obu
from gvcodec.bitstream.metadata import Chapter, Metadata
from gvcodec.bitstream.metadata_obu import (
    Entry,
    EntryType,
    insert_entries,
    pack,
    parse,
    parse_temporal_unit,
)
from gvcodec.codec.gops import NO_PAINTING
from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.one_file.mp4_limits import check_mp4
from gvcodec.one_file.write import write_one_file
from gvcodec.opening import unwrap
from gvcodec.tracks.copier import TrackCopier
from gvcodec.types import Planes
from tests.browser import Page, browser
from tests.clips import box, ffmpeg, make_clip, packets_of, sound_of, write_clip
from tests.conftest import clips_equal, moving_texture, packets_in, rewritten, run
from tests.edit.test_tools import FORMAT, TIMES, made, sound
from tests.errors import raises

#: What changes the painter, by the frame from which it is in force; it need not be paintable here.
FITS = {0: b"\1\0first weights", 10: b"\1\0others"}
CONTAINERS = (".mp4", ".mkv", ".webm")


@pytest.fixture(scope="module")
def frames() -> list[Planes]:
    return moving_texture(64, 48, 18)


@pytest.fixture(scope="module")
def stream(frames: list[Planes]) -> bytes:
    return made(frames, "av1", TIMES, FITS)


def written(data: bytes, path: Path) -> Path:
    write_one_file(Reader(io.BytesIO(data)), path, overwrite=True)
    return path


def speech() -> TrackCopier:
    """A copier with the head of one track of AAC, 8 kHz; containers keep its packets apart."""
    data = io.BytesIO()
    with av.open(data, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        silence = sound_of(np.zeros((1, 1024), np.float32), 8000)
        container.mux([*stream.encode(silence), *stream.encode(None)])
    return TrackCopier(av.open(io.BytesIO(data.getvalue())).streams.audio)


def read(path: Path) -> bytes:
    with open(path, "rb") as file:
        return unwrap(file, path.name).read()


def copied(source: Path, target: Path, before: str = "", after: str = "") -> Path:
    """What `ffmpeg BEFORE -i SOURCE -c copy AFTER TARGET` makes."""
    ffmpeg(*before.split(), "-i", source, "-c", "copy", *after.split(), target)
    return target


def with_aac(source: Path, target: Path) -> Path:
    """The pictures of SOURCE and its sound as AAC."""
    return copied(source, target, after="-c:a aac")


def test_the_example_of_the_specification() -> None:
    page = Path(__file__).resolve().parents[2] / "docs/spec/one-file.md"
    (line,) = re.findall(r"^(2a 1c [0-9a-f ]+)$", page.read_text(), re.MULTILINE)
    obu = bytes.fromhex(line)
    gop, end = bytes([25, 1, 2, 3, 4]), bytes(range(0xA0, 0xA8))
    entries = [Entry(EntryType.GOP, gop), Entry(EntryType.END, end)]
    assert obu == pack(entries) and parse(obu[2:]) == entries


@pytest.mark.parametrize(
    "unit",
    [
        b"\x2a\x80\x80\x80\x80\x80\x80\x80\x80\x00",  # a size of more bytes than AV1 allows
        b"\x2a\xff\xff\xff\xff\x7f",  # 2^35
        b"\x2a\x7f\x16",  # longer than the unit
        b"\xaa\x00",  # the forbidden bit
        b"\x2e",  # an extension that is not there
        b"\x12\x00" * 5000,  # more OBUs than any unit has
    ],
)
def test_hostile_units_are_refused(unit: bytes) -> None:
    with pytest.raises(DamagedStreamError):
        parse_temporal_unit(unit)


def test_newer_versions_and_entries(stream: bytes) -> None:
    def sealed(inside: bytes) -> bytes:
        return b"\x16" + inside + zlib.crc32(inside).to_bytes(4, "little") + b"\x80"

    assert parse(sealed(b"\x89GVC\1\x41\2hi\1\1\5")) == [Entry(EntryType.PLACE, b"\5")]
    for inside in (b"\x89GVC\2", b"\x89GVC\1\x3f\0", b"\x89GVC\1\1\5"):
        with pytest.raises(DamagedStreamError):
            parse(sealed(inside))
    assert parse(sealed(b"\x89GVB\1")) is None


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_the_same_bytes_come_back(stream: bytes, tmp_path, suffix: str) -> None:
    first = written(stream, tmp_path / f"a{suffix}")
    assert read(first) == stream
    assert written(read(first), tmp_path / f"b{suffix}").read_bytes() == first.read_bytes()


def test_sound_title_chapters_and_hdr_come_back(frames: list[Planes], tmp_path) -> None:
    """Every kind of packet that a stream may have, in the same places."""
    metadata = Metadata("Alps", (Chapter(0, 400_000, "one"),), light=(1000, 400))
    first, last = Packet(Kind.METADATA, metadata.pack()), Packet(Kind.PAINTED, b"painted!")
    data = made(frames, "av1", TIMES, FITS, speech())
    data = rewritten(data, lambda packets: [first, *packets, last])
    path = written(data, tmp_path / "a.mp4")
    assert read(path) == data
    with av.open(str(path)) as container:
        assert container.metadata["title"] == "Alps"
        assert [chapter["metadata"]["title"] for chapter in container.chapters()] == ["one"]
        (track,) = container.streams.audio
        assert track.codec_context.name == "aac"
    data = b"".join(map(bytes, packets_of(path)))
    assert data == b"".join(bytes([ten]) * 160 for ten in range(72))


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_players_see_the_base_frames(stream: bytes, tmp_path, suffix: str) -> None:
    path = written(stream, tmp_path / f"a{suffix}")
    wanted = list(gvcodec.decode_planes(stream, fidelity=True))
    with av.open(str(path)) as container:
        shown = list(container.decode(video=0))
        tick = 1000 * Fraction(shown[0].time_base)
    assert [round(frame.pts * tick) for frame in shown] == TIMES
    for frame, planes in zip(shown, wanted, strict=True):
        # Coded pictures are padded to 64 lines.
        luma = frame.to_ndarray()[:64].astype(np.uint16)
        assert np.array_equal(luma[:48] << 2, planes[0])  # AV1 has the 8 bits of its source


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_keyframes_and_samples_are_as_isobmff_wants(stream: bytes, tmp_path, suffix: str) -> None:
    """One sample a temporal unit, without delimiter, sync samples with a sequence header."""
    path = written(stream, tmp_path / f"a{suffix}")
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        extradata = bytes(container.streams.video[0].codec_context.extradata or b"")
    assert [number for number, p in enumerate(packets) if p.is_keyframe] == [0, 5, 10, 15]
    assert all(p.pts == p.dts for p in packets) and extradata[:1] == b"\x81"
    for packet in packets:
        kinds = [kind for kind, _, _ in _core.parse_obus(bytes(packet))]
        assert 2 not in kinds and (kinds[0] == 1) == packet.is_keyframe
    assert b"\x89GVC" not in extradata


def test_reduced_size_is_shown_large(frames: list[Planes], tmp_path) -> None:
    fmt = replace(FORMAT, width=256, height=192, sar=Fraction(4, 3))
    large = moving_texture(256, 192, 3)
    data = gvcodec.encode(large, format=fmt, base="av1", scale=Fraction(1, 2), fit=0, preset=10)
    coded = Resampler(256, 192, Fraction(1, 2))
    assert (coded.coded_width, coded.coded_height) == (128, 96)
    _, notes = write_one_file(Reader(io.BytesIO(data)), tmp_path / "a.mp4", False)
    assert ["at 1/2 of the size say 352×198" in note for note in notes] == [True]
    mp4 = (tmp_path / "a.mp4").read_bytes()
    at = mp4.index(b"tkhd")
    assert mp4[at + 80 : at + 88] == (352 << 16).to_bytes(4) + (198 << 16).to_bytes(4)
    written(data, tmp_path / "a.mkv")
    matroska = (tmp_path / "a.mkv").read_bytes()
    assert bytes.fromhex("54b0820160") in matroska and bytes.fromhex("54ba81c6") in matroska
    for name in ("a.mp4", "a.mkv"):
        assert read(tmp_path / name) == data
        with av.open(str(tmp_path / name)) as container:
            video = container.streams.video[0]
            assert (video.width, video.height) == (128, 96)
            assert abs(float(video.sample_aspect_ratio or 0) - 4 / 3) < 0.01
            assert len(list(container.decode(video=0))) == 3


def test_remuxing_keeps_every_byte(stream: bytes, tmp_path) -> None:
    path = written(stream, tmp_path / "a.mp4")
    for number, suffix in enumerate((".mkv", ".webm", ".mp4", ".mkv", ".mp4")):
        path = copied(path, tmp_path / f"{number}{suffix}")
        assert read(path) == stream, path.name
    fragments = copied(path, tmp_path / "f.mp4", after="-movflags frag_keyframe+empty_moov")
    assert read(fragments) == stream


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_a_piece_is_what_cut_makes(stream, tmp_path, suffix, capsys):
    """Frames 5 to 14 with weights in force since frame 0, and others from frame 10 on."""
    (tmp_path / "a.gvc").write_bytes(stream)
    path = written(stream, tmp_path / f"a{suffix}")
    begin, end = TIMES[5] / 1000, TIMES[15] / 1000
    times = f"-ss {begin + 0.001}", f"-t {end - begin - 0.005}"
    piece = copied(path, tmp_path / f"p{suffix}", *times)
    run("cut", tmp_path / "a.gvc", tmp_path / "c.gvc", "--from", begin, "--to", end)
    cut = (tmp_path / "c.gvc").read_bytes()
    found = read(piece)
    line = capsys.readouterr().err
    assert "or it is damaged: frames are missing at its beginning; 10 frames are left" in line
    assert line.count("\n") == 1
    # The last frame's end is not in every container, when the source began in none.
    lost = Kind.TIMING, Kind.METADATA
    ours, theirs = ([p for p in packets_in(data) if p.kind not in lost] for data in (found, cut))
    assert ours == theirs and [p.payload for p in ours if p.kind is Kind.FIT] == [FITS[0], FITS[10]]
    with gvcodec.open(found, fidelity=True) as one, gvcodec.open(cut, fidelity=True) as other:
        assert [one.pts_of(n) for n in range(10)] == [other.pts_of(n) for n in range(10)]


def test_a_coarse_clock_costs_no_time_of_a_steady_rate(frames, tmp_path):
    """Matroska rounds 1001/24000 s to milliseconds."""
    fmt = replace(FORMAT, frame_rate=Fraction(24000, 1001), time_base=Fraction(1, 24000))
    data = gvcodec.encode(frames, format=fmt, keyint=5, fit=0, preset=10)
    path = written(data, tmp_path / "a.mkv")
    assert read(path) == data
    piece = read(copied(path, tmp_path / "p.mkv", "-ss 0.25"))
    assert Kind.TIMING not in [p.kind for p in packets_in(piece)]
    with gvcodec.open(piece, fidelity=True) as video:
        assert [video.pts_of(n) for n in range(13)] == [1001 * n for n in range(13)]


def test_joined_pieces_play_one_after_the_other(stream, tmp_path, capsys):
    path = written(stream, tmp_path / "a.mp4")
    (tmp_path / "list").write_text(f"file {path}\nfile {path}\n")
    copied(tmp_path / "list", tmp_path / "j.mp4", "-f concat -safe 0")
    joined = read(tmp_path / "j.mp4")
    assert "more follows its 18 frames; 36 frames are left" in capsys.readouterr().err
    with gvcodec.open(joined, fidelity=True) as video:
        times = [video.pts_of(number) for number in range(36)]
    assert times[:18] == TIMES and [t - times[18] for t in times[18:]] == TIMES
    fits = [p.payload for p in packets_in(joined) if p.kind is Kind.FIT]
    assert fits == [FITS[0], FITS[10]] * 2


def test_sound_is_cut_with_the_frames(frames: list[Planes], tmp_path) -> None:
    path = written(made(frames, "av1", tracks=sound()), tmp_path / "a.mkv")
    piece = copied(path, tmp_path / "p.mkv", "-ss 0.201", "-t 0.39")
    run("decode", piece, tmp_path / "d.mkv", "--fidelity", code=3)
    packets = packets_of(tmp_path / "d.mkv")
    data = b"".join(map(bytes, packets))
    first = packets[0].pts * packets[0].time_base
    assert data[0] == 20 and abs(first) < 0.002
    assert set(data) >= set(range(20, 58)) and not set(data) & set(range(20))


def test_sound_that_was_added_later(stream: bytes, tmp_path) -> None:
    written(stream, tmp_path / "a.mp4")
    tone = ["-f", "lavfi", "-i", "sine=440:r=48000:d=0.7", "-c:v", "copy", "-c:a", "aac"]
    ffmpeg("-i", tmp_path / "a.mp4", *tone, tmp_path / "b.mp4")
    packets = packets_in(read(tmp_path / "b.mp4"))
    rest = [packet for packet in packets if packet.kind is not Kind.TRACKS]
    assert len(rest) < len(packets) and rest == packets_in(stream)
    run("decode", tmp_path / "b.mp4", tmp_path / "d.mp4", "--fidelity")
    with av.open(str(tmp_path / "d.mp4")) as container:
        assert container.streams.audio[0].codec_context.name == "aac"


def test_commands_take_such_a_file(stream: bytes, tmp_path) -> None:
    path = written(stream, tmp_path / "a.mp4")
    assert "18 frames, checksums, index, base hash" in run("verify", path, "--fidelity").out
    assert re.search(r"^base +av1$", run("info", path).out, re.MULTILINE)
    run("decode", path, tmp_path / "d.y4m", "--fidelity")
    run("cut", path, tmp_path / "c.mp4", "--from", 0.2)
    run("extract", path, tmp_path / "b.gvc")
    assert (tmp_path / "b.gvc").read_bytes() == stream
    run("extract", tmp_path / "b.gvc", tmp_path / "b.mp4")
    assert (tmp_path / "b.mp4").read_bytes() == path.read_bytes()
    run("cat", path, path, "-o", tmp_path / "d.mkv")
    with gvcodec.open(tmp_path / "d.mkv", fidelity=True) as video:
        assert len(video) == 36


def test_encode_writes_such_a_file(frames: list[Planes], tmp_path) -> None:
    write_clip(tmp_path / "in.mkv", frames)
    for suffix in CONTAINERS:
        out = tmp_path / f"out{suffix}"
        said = run("encode", tmp_path / "in.mkv", out, "--preset", 10, "--fit", "off")
        assert f"{out}: AV1 that every player shows" in said.err
        with gvcodec.open(out) as video:
            assert len(video) == 18
    gvcodec.encode_file(tmp_path / "in.mkv", tmp_path / "lib.mp4", preset=10, fit=0)
    assert len(gvcodec.open(tmp_path / "lib.mp4")) == 18


@pytest.mark.parametrize(
    ("size", "shown"), [((48, 36), (64, 64)), ((97, 81), (98, 82)), ((96, 80), None)], ids=str
)
def test_an_edge_that_other_players_show_is_named(size, shown, tmp_path) -> None:
    write_clip(tmp_path / "in.y4m", make_clip(*size, 3))
    out = tmp_path / "out.mp4"
    said = run("encode", tmp_path / "in.y4m", out, "--preset", 10, "--fit", "off")
    line = "other players show {}×{} pictures".format(*shown or size)
    assert (line in said.err) is (shown is not None)
    with av.open(str(out)) as container:
        video = container.streams.video[0]
        assert (video.width, video.height) == (shown or size)
    assert next(iter(gvcodec.decode(out))).shape[1::-1] == size


def test_the_size_is_that_of_the_file(frames: list[Planes], tmp_path: Path) -> None:
    """With sound that the container holds, and with sound that it leaves out."""
    source = written(made([*frames, *frames], "av1", tracks=sound()), tmp_path / "in.mkv")
    for suffix, kept in ((".mp4", True), (".webm", False)):
        out = tmp_path / f"out{suffix}"
        done = gvcodec.encode_file(source, out, size=30_000, preset=10, fit=0)
        size = out.stat().st_size
        assert (done.size, done.limit) == (size, 30_000) and 27_000 < size <= 30_000
        assert (done.tracks is not None) == kept
        if done.tracks:
            sizes = [packet.size for packet in packets_of(out)]
            assert done.tracks == (sum(sizes), len(sizes), "audio")
    smallest = r"the smallest possible size is about \d+ bytes"
    advice = r'\(sound="opus:24k" codes .* sound="none" drops it, no_attachments .*\)'
    sound_alone = rf"sound, subtitles and attachments alone have \d+ {advice}"
    for suffix, why in ((".mp4", sound_alone), (".webm", smallest)):
        refused = rf"^1500 bytes are not enough: {why}$"
        with pytest.raises(UsageError, match=refused):
            gvcodec.encode_file(source, tmp_path / f"no{suffix}", size=1500, preset=10, fit=0)
        assert not (tmp_path / f"no{suffix}").exists()


def test_other_bases_are_one_line(frames: list[Planes], tmp_path) -> None:
    data, out = made(frames[:2], "vvc"), tmp_path / "out.mp4"
    (tmp_path / "a.gvc").write_bytes(data)
    with pytest.raises(UsageError, match="base av1"):
        write_one_file(Reader(io.BytesIO(data)), out, False)
    (tmp_path / "in.mkv").write_bytes(b"")
    for command in (
        ("encode", tmp_path / "in.mkv", out, "--base", "vvc"),
        ("cut", tmp_path / "a.gvc", out),
    ):
        line = run(*command, code=2).err
        assert line.count("\n") == 1 and "has base av1, not" in line
    assert not list(tmp_path.glob("*.mp4"))


def test_the_library_opens_paths_bytes_files_and_pipes(stream, tmp_path, monkeypatch):
    path = written(stream, tmp_path / "a.mkv")
    whole = path.read_bytes()
    wanted = list(gvcodec.decode(stream, fidelity=True))
    for source in (path, whole, io.BytesIO(whole)):
        with gvcodec.open(source, fidelity=True) as video:
            assert np.array_equal(video[[7, 16]], [wanted[7], wanted[16]])
    for source in (path, whole, io.BytesIO(whole)):
        assert len(list(gvcodec.decode(source, fidelity=True))) == 18
    with open(path, "rb") as file:
        gvcodec.decode_file(file, tmp_path / "d.y4m", fidelity=True)
    with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as cat:
        assert cat.stdout is not None and unwrap(cat.stdout, "pipe").read() == stream


def changed(path: Path, target: Path, change: dict[int, object]) -> Path:
    with av.open(str(path)) as source, av.open(str(target), "w") as out:
        video = source.streams.video[0]
        stream = out.add_stream_from_template(video, opaque=True)
        for number, packet in enumerate(p for p in source.demux(video) if p.size):
            copy = packet_of(change.get(number, bytes)(bytes(packet)))
            copy.pts = copy.dts = packet.pts
            copy.time_base, copy.duration = packet.time_base, packet.duration
            copy.is_keyframe, copy.stream = packet.is_keyframe, stream
            out.mux(copy)
    return target


def flipped(unit: bytes) -> bytes:
    at = unit.index(b"\x16\x89GVC") + 8
    return unit[:at] + bytes([unit[at] ^ 1]) + unit[at + 1 :]


def without(unit: bytes) -> bytes:
    return parse_temporal_unit(unit).payload


@pytest.mark.parametrize(
    ("frame", "change", "why"),
    [
        (0, flipped, "metadata OBU: checksum mismatch"),
        (5, flipped, "frame 5: metadata OBU: checksum mismatch"),
        (0, without, "its first frame has no header"),
        (5, without, "a keyframe is missing before frame 5"),
    ],
)
def test_damaged_metadata_of_a_keyframe_costs_the_painting_of_its_gop(
    stream, tmp_path, frame, change, why, capsys
):
    """The others are painted, with weights from their own `state`; every command says so."""
    path = changed(written(stream, tmp_path / "a.mp4"), tmp_path / "b.mp4", {frame: change})
    found = read(path)
    line, since = capsys.readouterr().err, f"0:00.{TIMES[frame] // 100}"
    lost = f"18 frames are left, 5 of them without painting, from {since} on"
    assert line.endswith(f"or it is damaged: {why}; {lost}\n")
    with gvcodec.open(found) as video:
        assert [video.pts_of(n) - video.pts_of(0) for n in range(18)] == TIMES
    fits = {0: FITS[0], 5: FITS[0], 10: FITS[10]} | {frame: NO_PAINTING}
    assert fits_in(found) == [fits[0], *([fits[5]] if frame == 5 or frame == 0 else []), fits[10]]
    assert clips_equal(
        gvcodec.decode_planes(path, fidelity=True), gvcodec.decode_planes(stream, fidelity=True)
    )
    assert lost in run("decode", path, tmp_path / "d.y4m", "--fidelity", "-y", code=3).err
    assert "18 frames kept" in run("repair", path, tmp_path / "r.gvc", code=3).err
    assert fits_in((tmp_path / "r.gvc").read_bytes()) == fits_in(found)


def fits_in(data: bytes) -> list[bytes]:
    return [packet.payload for packet in packets_in(data) if packet.kind is Kind.FIT]


def test_files_without_state_show_base_frames_after_a_damaged_keyframe(stream, tmp_path) -> None:
    """Their writer may have set weights in the damaged OBU that later GOPs do not repeat. A GOP
    with a `fit` of its own is painted."""

    def stateless(unit: bytes) -> bytes:
        parsed = parse_temporal_unit(unit)
        kept = [entry for entry in parsed.entries if entry.what is not EntryType.STATE]
        return insert_entries(parsed.payload, kept)

    change: dict[int, object] = dict.fromkeys(range(18), stateless) | {0: flipped}
    path = changed(written(stream, tmp_path / "a.mp4"), tmp_path / "b.mp4", change)
    assert fits_in(read(path))[:2] == [NO_PAINTING, FITS[10]]
    path = changed(written(stream, tmp_path / "c.mp4"), tmp_path / "d.mp4", change | {10: flipped})
    assert fits_in(read(path)) == [NO_PAINTING]


def test_damaged_metadata_elsewhere_costs_no_painting(stream: bytes, tmp_path, capsys) -> None:
    path = changed(written(stream, tmp_path / "a.mp4"), tmp_path / "b.mp4", {4: flipped})
    found = Reader(io.BytesIO(read(path)))
    assert "frame 4: metadata OBU: checksum mismatch" in capsys.readouterr().err
    assert found.header == Reader(io.BytesIO(stream)).header
    fits = [packet.payload for packet in found.packets() if packet.kind is Kind.FIT]
    assert fits == list(FITS.values())


def test_a_file_whose_metadata_is_all_damaged_is_refused(frames: list[Planes], tmp_path) -> None:
    path = written(made(frames[:6], "av1"), tmp_path / "a.mp4")
    with raises(DamagedStreamError, "metadata-obu"):
        read(changed(path, tmp_path / "b.mp4", dict.fromkeys(range(6), spoiled)))


def spoiled(unit: bytes) -> bytes:
    return flipped(unit) if b"\x16\x89GVC" in unit else unit


def test_other_frames_are_refused(stream: bytes, tmp_path) -> None:
    """A frame of the file is another one: the checksum of its GOP says so."""
    path = written(stream, tmp_path / "a.mp4")
    ninth = bytes(packets_of(path, "video")[8])
    other = changed(path, tmp_path / "b.mp4", {7: lambda _: ninth})
    with pytest.raises(DamagedStreamError, match=r"b.mp4: frames 5 to 9 are not those"):
        read(other)


def test_ordinary_videos_are_one_line(stream: bytes, tmp_path) -> None:
    path = written(stream, tmp_path / "a.mp4")
    changed(path, tmp_path / "av1.mp4", dict.fromkeys(range(18), without))
    for name, codec in (("h264.mp4", "libx264"), ("vp9.webm", "libvpx-vp9")):
        ffmpeg("-f", "lavfi", "-i", "testsrc=d=0.2:s=64x64", "-c:v", codec, tmp_path / name)
    (tmp_path / "cut.mp4").write_bytes(path.read_bytes()[:300])
    for name in ("av1.mp4", "h264.mp4", "vp9.webm", "cut.mp4"):
        line = run("decode", tmp_path / name, tmp_path / "o.y4m", code=9).err
        assert line.count("\n") == 1 and line.startswith(f"gvcodec: {tmp_path / name}: ")
    assert not (tmp_path / "o.y4m").exists()


def table(each: int, count: int) -> bytes:
    inside = box(b"stsz", bytes(4), each.to_bytes(4), count.to_bytes(4))
    for name in (b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        inside = box(name, inside)
    return box(b"ftyp", b"isom", bytes(4)) + inside


def run_of(flags: int, count: int) -> bytes:
    trun = box(b"trun", flags.to_bytes(4), count.to_bytes(4))
    return box(b"ftyp", b"isom", bytes(4)) + box(b"moof", box(b"traf", trun))


@pytest.mark.parametrize(
    "data", [table(1, 1 << 31), table(0, 1 << 20), run_of(0, 1 << 30), run_of(0x200, 1 << 20)]
)
def test_tables_that_claim_too_much_are_refused(data: bytes, tmp_path) -> None:
    with pytest.raises(DamagedStreamError, match="no room"):
        check_mp4(io.BytesIO(data))
    (tmp_path / "a.mp4").write_bytes(data)
    with pytest.raises(DamagedStreamError, match=r"a\.mp4: tables claim"):
        read(tmp_path / "a.mp4")


def test_a_browser_plays_it(stream: bytes, tmp_path) -> None:
    """Chromium's own <video>, before it knows of any of this."""
    names = [written(stream, tmp_path / f"a{suffix}").name for suffix in CONTAINERS]
    videos = "".join(f'<video id="{n[2:]}" src="{n}" muted autoplay></video>' for n in names)
    (tmp_path / "page.html").write_text(f"<!doctype html>{videos}")
    with browser() as chromium:
        page = Page(chromium, (tmp_path / "page.html").as_uri())
        for name in names:
            which = f'document.getElementById("{name[2:]}")'
            page.until(f"{which}?.ended || {which}?.error")
            assert page.run(f"[{which}.error, {which}.videoWidth]") == [None, 64]
            last = TIMES[-1] / 1000
            assert last < page.run(f"{which}.duration") < last + 0.2
            assert page.run(f"{which}.getVideoPlaybackQuality().totalVideoFrames") >= 15


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """Two seconds of pictures, 25 a second, that begin a little after their sound."""
    path = tmp_path_factory.mktemp("source") / "source.mkv"
    inputs = "-f lavfi -i testsrc2=s=64x48:r=25:d=2 -f lavfi -i sine=440:r=48000:d=2"
    ffmpeg(*inputs.split(), "-c:v", "ffv1", "-c:a", "pcm_s16le", path)
    return path


def refused_by_verify(path: Path) -> str:
    """What `verify` says of a file, which it does not call right."""
    captured = run("verify", path, "--fidelity", code=3)
    assert "right" not in captured.out
    return captured.err


@pytest.mark.parametrize("suffix", CONTAINERS)
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_a_truncated_file_is_not_called_right(stream, tmp_path, suffix, part):
    """K2: a download that stopped. An MP4 file without its index is refused as a whole."""
    whole = written(stream, tmp_path / f"a{suffix}")
    cut = tmp_path / f"t{suffix}"
    cut.write_bytes(whole.read_bytes()[: int(part * whole.stat().st_size)])
    lines = refused_by_verify(cut)
    if suffix != ".mp4":
        assert "its end is missing" in lines and "the file is not as it was written" in lines
        line = run("decode", cut, tmp_path / "d.y4m", "--fidelity", code=3).err
        assert line.count("or it is damaged: its end is missing; ") == 1


def test_an_edit_list_that_hides_frames_is_said(stream, tmp_path) -> None:
    """K15: players do not show the frames between the keyframe and the cut."""
    path = written(stream, tmp_path / "a.mp4")
    cut = copied(path, tmp_path / "c.mp4", f"-ss {TIMES[7] / 1000 - 0.001}")
    assert "2 of which an edit list hides from players" in refused_by_verify(cut)


def test_a_packet_that_is_lost_between_frames_is_noticed(stream, tmp_path) -> None:
    """A tool that leaves a metadata OBU out, in a unit without a mark of its GOP."""

    def with_another(packets: list[Packet]) -> list[Packet]:
        at = [place for place, packet in enumerate(packets) if packet.is_frame][12]
        return [*packets[:at], Packet(Kind.EXTRA, b"of a later version", 100), *packets[at:]]

    path = written(rewritten(stream, with_another), tmp_path / "a.mp4")
    other = changed(path, tmp_path / "b.mp4", {12: without})
    assert "packets between its frames" in refused_by_verify(other)


def test_times_that_are_not_those_written_are_noticed(stream, tmp_path) -> None:
    path = written(stream, tmp_path / "a.mp4")
    slow = copied(path, tmp_path / "b.mp4", "-itsscale 1.25")
    assert "the time of frame 2 is not" in refused_by_verify(slow)


@pytest.mark.parametrize("sound_of_file", ["copy", "opus", "aac"])
def test_whole_remuxes_with_sound_verify(source, tmp_path, sound_of_file) -> None:
    """Between MP4 and Matroska, and as fragments, whose first picture is shown early."""
    given = with_aac(source, tmp_path / "aac.mkv") if sound_of_file == "aac" else source
    kept = "opus" if sound_of_file == "opus" else "copy"
    first = tmp_path / "a.mp4"
    gvcodec.encode_file(given, first, preset=10, fit=0, sound=kept)
    wanted = gvcodec.verify(first)
    chain = [
        ("b.mkv", ""),
        ("c.mp4", ""),
        ("d.mp4", "-movflags frag_keyframe+empty_moov"),
        ("e.mkv", ""),
    ]
    path = first
    for name, after in chain:
        path = copied(path, tmp_path / name, after=after)
        assert gvcodec.verify(path) == wanted, name


def test_other_sound_is_noticed(source, tmp_path) -> None:
    whole = tmp_path / "a.mp4"
    gvcodec.encode_file(source, whole, preset=10, fit=0, sound="opus")
    silent = copied(whole, tmp_path / "b.mp4", after="-an")
    line = "its sound or subtitles are not those that were written"
    assert line in refused_by_verify(silent)
    assert line in run("decode", silent, tmp_path / "d.y4m", code=3).err
    middle = bytes(packets_of(whole)[20])
    data = whole.read_bytes()
    at = data.index(middle) + len(middle) // 2
    whole.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
    assert line in refused_by_verify(whole)


def test_a_changed_file_is_not_copied_as_a_whole_one(stream, tmp_path) -> None:
    """What would be called right is made by `repair`, by name."""
    whole = written(stream, tmp_path / "a.mkv")
    cut = tmp_path / "t.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    for name in ("x.gvc", "x.mp4"):
        said = run("extract", cut, tmp_path / name, code=3)
        assert "gvcodec repair writes the intact part" in said.err
        assert not (tmp_path / name).exists()
    out = tmp_path / "y.gvc"
    for words in (
        ("cut", cut, out, "--to", "0.1"),
        ("cat", whole, cut, "-o", out),
        ("summarize", cut, "-o", out),
    ):
        assert "gvcodec repair writes the intact part" in run(*words, code=3).err
        assert not out.exists()
    run("repair", cut, tmp_path / "r.gvc", code=3)
    assert "are right" in run("verify", tmp_path / "r.gvc", "--fidelity").out


@pytest.mark.parametrize("name", ["one-file.mkv", "one-file-mp4.mp4"])
def test_files_of_format_1_0_are_verified_as_before(name: str) -> None:
    """They have no `whole` entry."""
    path = Path(__file__).resolve().parents[2] / "conformance/files" / name
    assert not any(entry.what is EntryType.WHOLE for entry in entries_of(path))
    wanted = json.loads(path.with_suffix(".json").read_text())
    found = gvcodec.verify(path)
    hashes = wanted["container"]["base_hash"], len(wanted["base"])
    assert (found.base_hash, found.frames) == hashes


def entries_of(path: Path) -> list[Entry]:
    units = map(bytes, packets_of(path, "video"))
    return [entry for unit in units for entry in parse_temporal_unit(unit).entries]


def test_new_files_have_their_number_of_frames_and_a_hash_of_the_whole(stream, tmp_path) -> None:
    (data,) = [
        entry.data
        for entry in entries_of(written(stream, tmp_path / "a.mp4"))
        if entry.what is EntryType.WHOLE
    ]
    digest = metadata_obu.FileDigest.read(data)
    assert digest.frames == 18 and digest.has_backup and len(data) == 1 + 8 + 8 + 1


def test_a_packet_of_sound_at_another_time_is_noticed(source, tmp_path) -> None:
    """One bit of a Matroska block's time: FFmpeg gives the packet without any."""
    given, path = with_aac(source, tmp_path / "aac.mkv"), tmp_path / "a.mkv"
    gvcodec.encode_file(given, path, preset=10, fit=0)
    middle = bytes(packets_of(path)[20])
    data = bytearray(path.read_bytes())
    data[data.index(middle) - 3] ^= 0x80  # i16 time of the block, u8 flags
    path.write_bytes(data)
    assert "its sound or subtitles are not those" in refused_by_verify(path)
