"""Fonts, covers and other files in a video stay in it: through streams and files that play
everywhere, in sizes, in parts and after damage. What comes out is read by FFmpeg alone."""

import hashlib
import io
import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

import gvcodec
from gvcodec.bitstream import Kind, Packet, Reader
from gvcodec.bitstream.attachments import MAX_BYTES
from gvcodec.bitstream.metadata_obu import EntryType, packet_entry
from gvcodec.input_options import InputOptions
from gvcodec.one_file import write
from gvcodec.one_file.write import write_one_file
from gvcodec.opening import open_stream
from gvcodec.source.reader import VideoReader
from tests.clips import ffmpeg
from tests.conftest import packets_in, piped, rewritten, run, stream_of

FAST: dict[str, Any] = {"preset": 10, "fit": 0, "tokens": "off", "keyint": 4, "overwrite": True}
STYLES = b"[Script Info]\n[V4+ Styles]\nFormat: Name, Fontname\nStyle: Default,A Font\n[Events]\n"


class File(NamedTuple):
    name: str
    media_type: str
    data: bytes

    @property
    def short(self) -> tuple[str, str, str]:
        return self.name, self.media_type, hashlib.sha256(self.data).hexdigest()


def picture(kind: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), (200, 10, 30)).save(out, kind)
    return out.getvalue()


FONTS = [
    File("a font.ttf", "application/x-truetype-font", bytes(range(256)) * 9),
    File("Grüße/../x.otf", "font/otf", np.random.default_rng(1).bytes((1 << 20) + 5)),
]
COVER = File("cover.jpg", "image/jpeg", picture("JPEG"))
SMALL = File("small_cover.png", "image/png", picture("PNG"))
FILES = [FONTS[0], COVER, FONTS[1], SMALL]


def film(path: Path, files: Iterable[File], tags: dict[str, str] | None = None) -> Path:
    """Ten frames of Matroska with subtitles that have styles, and attachments."""
    with av.open(path, "w") as out:
        video = out.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for file in files:
            out.add_attachment(*file)
        words = out.add_stream("ass")
        words.codec_context.subtitle_header = STYLES
        out.metadata.update(tags or {})
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(
                np.full((72, 64), 20 * number, np.uint8), format="yuv420p"
            )
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        line = av.Packet(b"0,0,Default,,0,0,0,,{\\b1}Hello")
        line.stream, line.pts, line.dts, line.duration = words, 0, 0, 100
        line.time_base = Fraction(1, 1000)
        out.mux(line)
    return path


def files_in(path: Path) -> list[tuple[str, str, str]]:
    """Attachments and covers of a file, in its order, as FFmpeg's demuxer gives them."""
    with av.open(path) as container:
        data = {s.index: s.data for s in container.streams if s.type == "attachment"}
        covers = [s for s in container.streams.video if s.disposition & Disposition.attached_pic]
        for packet in container.demux(covers) if covers else ():
            data.setdefault(packet.stream.index, bytes(packet))
        streams = [container.streams[number].metadata for number in sorted(data)]
        labels = [(s.get("filename", ""), s.get("mimetype", "")) for s in streams]
        digests = [hashlib.sha256(data[number]).hexdigest() for number in sorted(data)]
        return [(*label, digest) for label, digest in zip(labels, digests, strict=True)]


def short(files: Iterable[File]) -> list[tuple[str, str, str]]:
    return [file.short for file in files]


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return film(tmp_path_factory.mktemp("source") / "in.mkv", FILES)


@pytest.fixture(scope="module")
def stream(source: Path, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("stream") / "a.gvc"
    report = gvcodec.encode_file(source, path, **FAST)
    assert not report.notes
    return path


def test_fonts_covers_and_styled_subtitles_come_back_from_a_stream(source, stream, tmp_path):
    assert files_in(source) == short(FILES)
    report = gvcodec.decode_file(stream, tmp_path / "out.mkv")
    assert files_in(tmp_path / "out.mkv") == short(FILES)
    assert not any("left out" in line for line in report.outcome)
    with av.open(tmp_path / "out.mkv") as out:
        words = out.streams.subtitles[0]
        assert words.codec_context.name in ("ass", "ssa")
        assert b"A Font" in (words.codec_context.extradata or b"")


def test_each_is_in_packets_right_before_the_first_key(stream: Path) -> None:
    kinds = [packet.kind for packet in packets_in(stream.read_bytes())]
    first = kinds.index(Kind.KEY)
    assert kinds[first - 5 : first] == [Kind.ATTACHMENT] * 5  # the large font has two pieces
    assert kinds.count(Kind.ATTACHMENT) == 5


def test_a_file_that_plays_everywhere_gives_the_stream_back(source, stream, tmp_path) -> None:
    one = tmp_path / "one.mkv"
    gvcodec.encode_file(source, one, **FAST)
    assert files_in(one) == short(FILES)
    with open_stream(str(one)) as restored:
        assert restored.read() == stream.read_bytes()
    gvcodec.decode_file(one, tmp_path / "out.mkv")
    assert files_in(tmp_path / "out.mkv") == short(FILES)


def test_mp4_keeps_covers_and_names_the_others(source, stream, tmp_path, capsys) -> None:
    one = tmp_path / "one.mp4"
    gvcodec.encode_file(source, one, **FAST)
    lost = "attachment a font.ttf, attachment Grüße/../x.otf left out, .mp4 has no place"
    assert lost in capsys.readouterr().err
    report = gvcodec.decode_file(stream, tmp_path / "out.mp4")
    assert lost in report.outcome
    for path in (one, tmp_path / "out.mp4"):
        assert [digest for _, _, digest in files_in(path)] == [s.short[2] for s in (COVER, SMALL)]
    # And on: MP4 says no names.
    gvcodec.decode_file(one, tmp_path / "again.mkv")
    names = COVER, SMALL._replace(name="cover2.png")
    assert files_in(tmp_path / "again.mkv") == short(names)


def test_a_cover_of_mp4_survives_both_ways(tmp_path: Path) -> None:
    film(tmp_path / "in.mkv", [COVER])
    source = tmp_path / "in.mp4"
    words = ("-i", tmp_path / "in.mkv", "-map", "0:v", "-c:0", "libx264", "-c:1", "copy")
    ffmpeg(*words, "-disposition:1", "attached_pic", source)
    digest = COVER.short[2]
    assert files_in(source) == [("", "", digest)]
    for name in ("a.gvc", "b.mp4", "c.mkv"):
        report = gvcodec.encode_file(source, tmp_path / name, **FAST)
        assert not report.notes
        gvcodec.decode_file(tmp_path / name, tmp_path / f"{name}.mp4")
        assert files_in(tmp_path / f"{name}.mp4") == [("", "", digest)]
        gvcodec.decode_file(tmp_path / name, tmp_path / f"{name}.mkv")
        assert files_in(tmp_path / f"{name}.mkv") == [COVER.short]


@pytest.mark.parametrize("suffix", [".webm", ".mov", ".avi", ".y4m"])
def test_other_files_name_what_they_cannot_hold(stream, tmp_path, suffix) -> None:
    report = gvcodec.decode_file(stream, tmp_path / f"out{suffix}")
    (line,) = (line for line in report.outcome if "a font.ttf" in line)
    assert "cover cover.jpg" in line and "left out" in line


def test_webm_that_plays_everywhere_names_them(stream, tmp_path) -> None:
    with open(stream, "rb") as file:
        _, notes = write_one_file(Reader(file), tmp_path / "one.webm", False)
    assert any("cover small_cover.png left out, .webm has no place" in note for note in notes)
    with open_stream(str(tmp_path / "one.webm")) as restored:
        assert not [p for p in packets_in(restored.read()) if p.kind is Kind.ATTACHMENT]


def test_a_matroska_pipe_gets_them(stream, tmp_path) -> None:
    (tmp_path / "out.mkv").write_bytes(piped("decode", stream, "-", "-f", "matroska"))
    assert files_in(tmp_path / "out.mkv") == short(FILES)


def test_a_cut_keeps_them_and_a_join_those_of_the_first(source, stream, tmp_path) -> None:
    other = film(tmp_path / "other.mkv", [File("b.ttf", "font/ttf", b"other")])
    gvcodec.encode_file(other, tmp_path / "b.gvc", **FAST)
    for exact in (False, True):
        gvcodec.cut(stream, tmp_path / "cut.gvc", 0.2, exact=exact, overwrite=True)
        gvcodec.decode_file(tmp_path / "cut.gvc", tmp_path / "cut.mkv", overwrite=True)
        assert files_in(tmp_path / "cut.mkv") == short(FILES)
    joined = gvcodec.cat([stream, tmp_path / "b.gvc"], tmp_path / "both.gvc")
    gvcodec.decode_file(tmp_path / "both.gvc", tmp_path / "both.mkv")
    assert files_in(tmp_path / "both.mkv") == short(FILES)
    assert any("b.gvc: attachment b.ttf left out" in note for note in joined.notes)
    gvcodec.decode_file(stream, tmp_path / "part.mkv", start=0.2)
    assert files_in(tmp_path / "part.mkv") == short(FILES)


@pytest.mark.parametrize("name", ["a.gvc", "a.mkv"])
def test_they_count_in_a_size(source, tmp_path, name) -> None:
    held = sum(len(file.data) for file in FILES)
    report = gvcodec.encode_file(source, tmp_path / name, size=held + 20_000, **FAST)
    assert held < os.path.getsize(tmp_path / name) <= held + 20_000
    assert report.tracks is not None and report.tracks[0] >= held
    assert report.tracks[2] == "subtitles and attachments"
    assert 8 * (report.size - report.tracks[0]) == pytest.approx(report.bpp * 10 * 64 * 48)


def test_a_size_below_them_says_so_and_they_can_be_left_out(source, tmp_path) -> None:
    with pytest.raises(gvcodec.UsageError, match="attachments alone have.*no_attachments"):
        gvcodec.encode_file(source, tmp_path / "a.gvc", size=20_000, **FAST)
    options = InputOptions(no_attachments=True)
    report = gvcodec.encode_file(
        source, tmp_path / "a.gvc", size=20_000, input_options=options, **FAST
    )
    assert report.size <= 20_000 and not any("left out" in note for note in report.notes)
    run("encode", source, "-o", tmp_path / "b.gvc", "--no-attachments", "--preset", 10)
    kinds = [packet.kind for packet in packets_in((tmp_path / "b.gvc").read_bytes())]
    assert Kind.ATTACHMENT not in kinds
    assert gvcodec.info(tmp_path / "b.gvc").attachments == []


def test_chunks_are_joined_with_them(source, stream, tmp_path) -> None:
    report = gvcodec.encode_file(source, tmp_path / "a.gvc", jobs=1, **FAST)
    assert report.tracks is not None and report.tracks[2] == "subtitles and attachments"
    gvcodec.decode_file(tmp_path / "a.gvc", tmp_path / "a.mkv")
    assert files_in(tmp_path / "a.mkv") == short(FILES)


def test_info_lists_them_and_counts_pictures_without_them(stream) -> None:
    facts = gvcodec.info(stream)
    assert [a["name"] for a in facts.attachments] == [file.name for file in FILES]
    assert facts.attachments[1] == {
        "name": "cover.jpg",
        "media_type": "image/jpeg",
        "bytes": len(COVER.data),
        "cover": True,
    }
    held = sum(len(file.data) for file in FILES)
    assert facts.track_bytes > held and facts.video_bytes < facts.file_bytes - held
    said = str(facts)
    assert f"cover cover.jpg (image/jpeg, {len(COVER.data)} bytes)" in said
    assert "without sound, subtitles and attachments" in said


def test_more_than_a_file_has_room_for_is_named(tmp_path) -> None:
    large = File("large.bin", "application/x-odd", bytes(MAX_BYTES))
    source = film(tmp_path / "in.mkv", [FONTS[0], large, COVER])
    with VideoReader(source) as reader:
        assert [a.name for a in reader.attachments] == [FONTS[0].name, COVER.name]
        (note,) = (note for note in reader.notes if "large.bin" in note)
        assert note.startswith("attachment large.bin left out") and "64 MiB" in note


def test_a_cover_that_is_no_picture_is_kept_as_it_is(tmp_path) -> None:
    broken = File("cover.jpg", "image/jpeg", b"this is no picture")
    film(tmp_path / "in.mkv", [broken, broken])
    gvcodec.encode_file(tmp_path / "in.mkv", tmp_path / "a.gvc", **FAST)
    gvcodec.decode_file(tmp_path / "a.gvc", tmp_path / "out.mkv")
    assert files_in(tmp_path / "out.mkv") == short([broken, broken])
    report = gvcodec.decode_file(tmp_path / "a.gvc", tmp_path / "out.mp4")
    assert any("cover cover.jpg, cover cover.jpg left out" in line for line in report.outcome)


def test_data_and_timecode_tracks_are_named(tmp_path) -> None:
    film(tmp_path / "in.mkv", [])
    timed = tmp_path / "timed.mov"
    ffmpeg(
        "-i",
        tmp_path / "in.mkv",
        "-map",
        "0:v",
        "-c:v",
        "libx264",
        "-timecode",
        "01:00:00:00",
        timed,
    )
    report = gvcodec.encode_file(timed, tmp_path / "a.gvc", **FAST)
    assert "1 other track (data: timecode) left out" in report.notes


def test_tags_of_a_file_with_a_cover_are_named_where_mp4_has_no_place(tmp_path, capsys) -> None:
    film(tmp_path / "in.mkv", [COVER], {"DIRECTOR": "N. N."})
    gvcodec.encode_file(tmp_path / "in.mkv", tmp_path / "one.mp4", **FAST)
    assert "tags (director) left out, .mp4 has no place" in capsys.readouterr().err
    assert [digest for _, _, digest in files_in(tmp_path / "one.mp4")] == [COVER.short[2]]
    # The packets of painting hold the tags still.
    assert gvcodec.info(tmp_path / "one.mp4").tags == {"director": "N. N."}


@pytest.mark.parametrize("number", range(5))
def test_repair_keeps_whole_ones_and_names_the_lost_one(stream, tmp_path, number) -> None:
    facts = gvcodec.info(stream)
    places = [packet for packet in facts.packets if packet["type"] == "attachment"]
    data = bytearray(stream.read_bytes())
    data[places[number]["offset"] + places[number]["bytes"] - 9] ^= 1
    with pytest.raises(gvcodec.DamagedStreamError):
        gvcodec.info(bytes(data))
    report = gvcodec.repair(bytes(data), tmp_path / "out.gvc")
    lost = [FILES[0], FILES[1], FILES[2], FILES[2], FILES[3]][number]
    assert report.kept == 10 and report.lost == 0
    assert any(lost.name in line for line in report.losses)
    gvcodec.decode_file(tmp_path / "out.gvc", tmp_path / "out.mkv")
    assert files_in(tmp_path / "out.mkv") == short(file for file in FILES if file is not lost)


def test_attachments_that_another_tool_changed_are_noticed(source, tmp_path, capsys) -> None:
    one = tmp_path / "one.mkv"
    gvcodec.encode_file(source, one, **FAST)
    data = bytearray(one.read_bytes())
    data[data.index(FONTS[0].data) + 100] ^= 1
    changed = tmp_path / "changed.mkv"
    changed.write_bytes(data)
    with pytest.raises(gvcodec.DamagedStreamError):
        gvcodec.verify(changed)
    assert "its attachments are not those that were written" in capsys.readouterr().err
    report = gvcodec.decode_file(changed, tmp_path / "out.mkv")
    assert report.frames == 10 and len(files_in(tmp_path / "out.mkv")) == len(FILES)


def test_a_cut_one_file_keeps_its_attachments(source, tmp_path) -> None:
    one, part = tmp_path / "one.mkv", tmp_path / "part.mkv"
    gvcodec.encode_file(source, one, **FAST)
    ffmpeg(
        "-ss", "0.2", "-i", one, "-map", "0", "-c", "copy", "-map", "-0:v:1", "-map", "-0:v:2", part
    )
    gvcodec.decode_file(part, tmp_path / "out.mkv")
    assert files_in(tmp_path / "out.mkv") == short(FONTS)


def test_a_one_file_of_release_1_0_holds_them_in_its_first_unit(
    stream, tmp_path, monkeypatch
) -> None:
    """Its tools copy packets of types that they do not know."""
    monkeypatch.setattr(write._Muxer, "send", _send_as_1_0)
    with open(stream, "rb") as file:
        write_one_file(Reader(file), tmp_path / "one.mkv", False)
    assert not files_in(tmp_path / "one.mkv")
    reader = Reader(io.BytesIO(stream.read_bytes()))
    packets = list(reader.packets())
    copied = stream_of(reader.header, packets, reader.base_hash, has_backup=False)
    with open_stream(str(tmp_path / "one.mkv")) as restored:
        assert restored.read() == copied


def _send_as_1_0(self: Any, packet: Packet) -> None:
    if packet.kind is Kind.EXTRA:
        return
    if packet.is_frame:
        self._begin_unit(packet)
    elif packet.kind is Kind.TRACKS:
        self._send_tracks(packet.payload)
    else:
        self._before.append(packet_entry(EntryType.PACKET, packet))
        self._note(packet)


def test_incomplete_ones_are_named_and_frames_are_right(stream, tmp_path) -> None:
    def drop_a_piece(packets: list[Packet]) -> list[Packet]:
        attached = [packet for packet in packets if packet.kind is Kind.ATTACHMENT]
        return [packet for packet in packets if packet is not attached[3]]

    data = rewritten(stream.read_bytes(), drop_a_piece)
    (tmp_path / "a.gvc").write_bytes(data)
    report = gvcodec.decode_file(tmp_path / "a.gvc", tmp_path / "out.mkv")
    assert report.frames == 10
    (line,) = (line for line in report.outcome if "Grüße/../x.otf" in line)
    assert "left out" in line
    others = [file for file in FILES if file is not FONTS[1]]
    assert files_in(tmp_path / "out.mkv") == short(others)
    (line,) = gvcodec.info(data).lost_attachments
    assert "Grüße/../x.otf" in line
