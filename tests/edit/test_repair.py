"""`repair` keeps whatever is intact and says what is lost, by track and time; `info` shows it."""

import io
import json
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

import gvcodec
from conformance.decoder import container, decode
from gvcodec.bitstream import Kind, Packet, Reader, SequenceHeader
from gvcodec.bitstream.backup import BACKUP, find_backup
from gvcodec.bitstream.metadata import Metadata
from gvcodec.edit.repair import RepairReport, repair_stream
from gvcodec.errors import DamagedStreamError
from gvcodec.tracks.packets import Track, TrackPacket, TrackReader
from tests.clips import ffmpeg
from tests.conftest import run

#: Two seconds in three GOPs, two sound tracks, subtitles, chapters, a tag.
_SOURCE = (
    "-f lavfi -i testsrc2=s=96x64:r=25:d=2 -f lavfi -i sine=440:r=32000:d=2 "
    "-f lavfi -i sine=880:r=16000:d=2 -i {0}/a.srt -i {0}/chapters.txt -map 0 -map 1 -map 2 "
    "-map 3 -map_metadata 4 -map_chapters 4 -c:v ffv1 -c:a pcm_s16le -c:s srt "
    "-metadata:s:a:0 language=deu"
)
_TEXTS = "1\n00:00:00,100 --> 00:00:00,600\nHello\n\n2\n00:00:01,200 --> 00:00:01,900\nWorld\n"
_CHAPTERS = (
    ";FFMETADATA1\ntitle=A film\nartist=Me\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\n"
    "title=One\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=1000\nEND=2000\ntitle=Two\n"
)


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> bytes:
    folder = tmp_path_factory.mktemp("repair")
    (folder / "a.srt").write_text(_TEXTS)
    (folder / "chapters.txt").write_text(_CHAPTERS)
    ffmpeg(*_SOURCE.format(folder).split(), folder / "source.mkv")
    gvcodec.encode_file(
        folder / "source.mkv", folder / "a.gvc", fit=0, preset=10, q=30, keyint=20, threads=1
    )
    return (folder / "a.gvc").read_bytes()


class Content:
    """Everything in a stream: header, frame packets, metadata, tracks and their packets."""

    def __init__(self, data: bytes) -> None:
        reader, tracks = Reader(io.BytesIO(data)), None
        self.header, self.metadata = reader.header, Metadata()
        self.frames: list[bytes] = []
        for packet in reader.packets():
            if packet.is_frame:
                self.frames.append(packet.payload)
            elif packet.kind is Kind.METADATA:
                self.metadata = Metadata.unpack(packet.payload)
            elif packet.kind is Kind.TRACKS and tracks is None:
                tracks = TrackReader(packet.payload)
            elif packet.kind is Kind.TRACKS and tracks is not None:
                tracks.send(packet.payload)
        self.tracks: list[Track] = tracks.tracks if tracks else []
        self.packets: list[TrackPacket] = list(tracks.waiting) if tracks else []

    def facts(self) -> tuple[object, ...]:
        return self.header, self.metadata, self.frames, self.tracks, self.packets


def repaired(data: bytes, like: SequenceHeader | None = None) -> tuple[Content, RepairReport]:
    output = io.BytesIO()
    report = repair_stream(io.BytesIO(data), "a.gvc", output, threads=1, like=like)
    return Content(output.getvalue()), report


def flipped(data: bytes, *places: int) -> bytes:
    damaged = bytearray(data)
    for place in places:
        damaged[place] ^= 0x24
    return bytes(damaged)


def places_of(data: bytes, kind: Kind) -> list[tuple[int, int]]:
    """Offset and size of the packets of a kind."""
    reader = Reader(io.BytesIO(data))
    return [(reader.packet_offset, reader.packet_size) for p in reader.packets() if p.kind is kind]


def without_backup(data: bytes) -> bytes:
    """The stream as release 1.0.0 would have written it."""
    reader = Reader(io.BytesIO(data))
    packets = [packet for packet in reader.packets() if packet.type != BACKUP]
    output = io.BytesIO()
    writer = gvcodec.bitstream.writer.Writer(output, reader.header)
    for packet in packets:
        writer.write(packet)
    assert reader.base_hash is not None
    writer.finish(reader.base_hash, has_backup=False)
    return output.getvalue()


def test_a_flip_in_the_first_bytes_or_the_index_loses_nothing(film: bytes) -> None:
    """Header, metadata, descriptions of tracks, backup, index and end."""
    whole, last = Content(film), Reader(io.BytesIO(film)).gops()[-1]
    index = last.offset + last.size
    (backup, _), *_ = [place for place in places_of(film, Kind.EXTRA)]
    places = [*range(0, 256, 15), backup, backup + 40, *range(index, len(film), 5)]
    for place in places:
        found, report = repaired(flipped(film, place))
        assert found.facts() == whole.facts() and report.kept == 50, place
        assert not report.losses and report.notes, place


def test_a_damaged_tracks_packet_costs_that_packet(film: bytes, tmp_path: Path) -> None:
    whole, places = Content(film), places_of(film, Kind.TRACKS)
    place, size = places[len(places) // 2]
    found, report = repaired(flipped(film, place + size // 2))
    assert found.frames == whole.frames and found.metadata == whole.metadata
    assert found.tracks == whole.tracks
    lost = [packet for packet in whole.packets if packet not in found.packets]
    assert 0 < sum(len(packet.data) for packet in lost) < size
    assert [packet for packet in whole.packets if packet in found.packets] == found.packets
    sound = [packet for packet in lost if packet.track == 0]
    first = float(sound[0].pts * whole.tracks[0].tick)
    line = next(line for line in report.losses if line.startswith("sound (track 1, deu)"))
    assert line.endswith(f"s lost at 0:0{int(first * 10) / 10}"), (line, first)
    assert any("(tracks): checksum mismatch at 0:0" in line for line in report.losses)
    (tmp_path / "a.gvc").write_bytes(flipped(film, place + size // 2))
    said = run("repair", tmp_path / "a.gvc", tmp_path / "b.gvc", code=3).err
    assert "sound (track 1, deu)" in said and "50 frames kept, 0 lost" in said
    assert "something is lost" in said.splitlines()[-1]


def test_sound_at_the_end_is_reported_too(film: bytes) -> None:
    place, size = places_of(film, Kind.TRACKS)[-1]
    _, report = repaired(flipped(film, place + size // 2))
    assert any(line.startswith("sound") and "to the end" in line for line in report.losses)


def test_a_lost_description_is_read_from_the_damaged_packet(film: bytes) -> None:
    """Of a file without a backup, whose first packet of tracks describes them."""
    old = without_backup(film)
    place, size = places_of(old, Kind.TRACKS)[0]
    found, report = repaired(flipped(old, place + size - 1))
    assert found.tracks == Content(film).tracks and report.losses
    assert found.packets == Content(film).packets


def test_a_header_without_a_copy_is_replaced(film: bytes, tmp_path: Path) -> None:
    whole, old = Content(film), without_backup(film)
    damaged = flipped(old, 20)
    found, report = repaired(damaged, like=whole.header)
    assert found.facts() == whole.facts()
    assert any("those of --like" in line for line in report.losses)
    fmt = replace(whole.header.format, width=640, height=480)
    found, _ = repaired(damaged, like=replace(whole.header, format=fmt))
    assert found.header.format == whole.header.format  # the size is AV1's
    found, report = repaired(damaged)
    fmt = found.header.format
    assert (fmt.width, fmt.height, fmt.frame_rate) == (96, 64, 25) and found.frames == whole.frames
    assert found.header.painter_id is None and found.tracks == whole.tracks
    assert any("are guessed (--like" in line for line in report.losses)
    (tmp_path / "a.gvc").write_bytes(damaged)
    (tmp_path / "like.gvc").write_bytes(film)
    words = ("repair", tmp_path / "a.gvc", tmp_path / "b.gvc", "--like", tmp_path / "like.gvc")
    run(*words, code=3)
    assert Content((tmp_path / "b.gvc").read_bytes()).facts() == whole.facts()


def test_other_bases_need_a_copy_or_another_file(tmp_path: Path) -> None:
    """Their bitstream does not say what the header says."""
    data = (Path(__file__).parents[1] / "golden" / "vvc.bin").read_bytes()
    with pytest.raises(DamagedStreamError, match="only --like"):
        repaired(flipped(data, 20))
    found, report = repaired(flipped(data, 20), like=Content(data).header)
    assert found.frames == Content(data).frames and report.losses


def test_info_shows_what_can_be_read(film: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.gvc"
    place, size = places_of(film, Kind.KEY)[1]
    for data in (film[:place], flipped(film, place + size // 2), flipped(film, 0)):
        path.write_bytes(data)
        said = run("info", path, code=3)
        assert "96×64" in said.out and "pcm_s16le" in said.out and "A film" in said.out
    path.write_bytes(b"nothing of ours" * 99)
    assert not run("info", path, code=9).out


def test_a_backup_takes_at_most_a_hundredth(film: bytes) -> None:
    backup = find_backup(io.BytesIO(film))
    assert backup is not None and backup.read_header() == Content(film).header
    assert TrackReader(backup.tracks).tracks == Content(film).tracks
    (_, size), *others = places_of(film, Kind.EXTRA)
    assert not others and 100 * size <= len(film)
    # What does not fit is left out; a small file has no backup.
    half = io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gvcodec.bitstream.backup._SHARE", 1500)
        reader = Reader(io.BytesIO(film))
        writer = gvcodec.bitstream.writer.Writer(half, reader.header)
        for packet in reader.packets():
            writer.write(packet)
        writer.finish(bytes(8))
    part = find_backup(half)
    assert part is None or not part.tracks


def test_tools_write_one_backup(film: bytes, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.gvc").write_bytes(film)
    run("cut", tmp_path / "a.gvc", tmp_path / "cut.gvc", "--start", 0.8)
    run("cat", tmp_path / "a.gvc", tmp_path / "b.gvc", "-o", tmp_path / "cat.gvc")
    run("repair", tmp_path / "a.gvc", tmp_path / "repaired.gvc")
    run("extract", tmp_path / "a.gvc", tmp_path / "one.mkv")
    run("extract", tmp_path / "one.mkv", tmp_path / "back.gvc")
    for name in ("cut", "cat", "repaired", "back"):
        data = (tmp_path / f"{name}.gvc").read_bytes()
        packets = list(Reader(io.BytesIO(data)).packets())
        assert [packet.type for packet in packets].count(BACKUP) == 1
        assert packets[-1].type == BACKUP
        backup = find_backup(io.BytesIO(data))
        assert backup is not None and backup.read_header() == Content(data).header
    assert (tmp_path / "back.gvc").read_bytes() == film


def test_a_reader_of_1_0_skips_the_backup(monkeypatch) -> None:
    """The second decoder with the packets of 1.0 alone. Release 1.0.0 itself gives the same hashes,
    and its `cut`, `cat` and `repair` omit the packet, as the rule for types from 128 on says."""
    path = Path(__file__).parents[2] / "conformance" / "files" / "backup.gvc"
    types = {number: name for number, name in container.TYPES.items() if number < 69}
    monkeypatch.setattr(container, "TYPES", types)
    data = path.read_bytes()
    stream = container.read_stream(data)
    assert Reader(io.BytesIO(data)).header.needs == (1, 0)
    assert stream.gops[-1].packets[-1].name == "skipped"
    assert decode.answer(data) == json.loads(path.with_suffix(".json").read_text("utf-8"))
    assert not next(p for p in Reader(io.BytesIO(data)).packets() if p.type == BACKUP).is_copied


def test_forged_backups_are_refused_in_bounded_memory(film: bytes) -> None:
    header = Content(film).header.pack()
    bomb = zlib.compress(bytes(1 << 26), 9)[2:-4]
    for rest in (b"\xff", b"\x80", bomb):
        packet = Packet(Kind.EXTRA, header + rest, BACKUP).pack()
        assert find_backup(io.BytesIO(packet)) is None
    assert find_backup(io.BytesIO(b"\x80\x89GVC" * 5000)) is None
