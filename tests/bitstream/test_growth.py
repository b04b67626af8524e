"""A made-up format 1.2: unknown parts are skipped, copied or newer, never damage."""

import hashlib
import io
import zlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

import gvcodec
from conformance import reference
from conformance.decoder import decode
from conformance.decoder.wire import Newer
from gvcodec.bitstream import Kind, Packet, Reader, SequenceHeader, header
from gvcodec.bitstream.header import LEVELS, MAGIC, NO_LEVEL
from gvcodec.bitstream.varint import Cursor, encode_var
from gvcodec.config import FORMATS
from gvcodec.errors import DamagedStreamError, FormatVersionError, UsageError
from gvcodec.types import VideoFormat
from tests.conftest import clips_equal, moving_texture, packets_in, run, stream_of
from tests.errors import raises

FORMAT = VideoFormat(64, 48, Fraction(25), Fraction(1, 25))
HEADER = SequenceHeader(FORMAT, "av1", Fraction(1), 40)
GVC1D = SequenceHeader(FORMAT, "gvc1d", Fraction(1), 40, base_model_id=bytes(8), needs=(1, 1))
#: Places of header fields: needed, profile, level, must, may.
MUST, MAY, SIZES = 4, 5, 6
_SAFE, _PRIVATE, _UNSAFE, _NEEDED = 100, 120, 200, 20
CONFORMANCE = Path(__file__).resolve().parents[2] / "conformance"


def grown(
    header: bytes,
    *,
    written: tuple[int, int] = (1, 2),
    needed: tuple[int, int] = (1, 0),
    more: bytes = b"",
    changes: dict[int, int] | None = None,
) -> bytes:
    """A header with other versions, fields at these places, and bytes after the last."""
    cursor = Cursor(header[6:], "header")
    body = bytearray(cursor.take(cursor.var()))
    body[:2] = bytes(needed)
    for place, value in (changes or {}).items():
        body[place] = value
    body += more
    head = MAGIC + bytes(written) + encode_var(len(body)) + bytes(body)
    return head + zlib.crc32(head).to_bytes(4, "little")


def read(header: bytes) -> SequenceHeader:
    found, size = SequenceHeader.read(io.BytesIO(header))
    assert size == len(header)
    return found


@pytest.mark.parametrize("more", [b"", b"\x01", bytes(300)])
def test_a_longer_header_of_a_later_writer_is_read(more: bytes) -> None:
    assert read(grown(HEADER.pack(), more=more)) == HEADER


def test_flags_that_may_be_ignored_profile_and_level_are() -> None:
    assert read(grown(HEADER.pack(), changes={MAY: 0x40, 2: 9, 3: 77})) == HEADER


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({MUST: 0x20}, "flag 0x20"),
        ({MUST: 0x40}, "flag 0x40"),
        ({-3: 200}, "base 200"),
        ({-2: 9}, "scale 9"),
    ],
)
def test_what_must_be_understood_is_newer(changes: dict[int, int], what: str) -> None:
    with pytest.raises(FormatVersionError, match=f"{what} .*needs a newer format.* 1.1") as newer:
        read(grown(HEADER.pack(), changes=changes))
    assert newer.value.exit_code == 4


@pytest.mark.parametrize("needed", [(1, 2), (2, 0)])
def test_a_file_that_needs_more_says_what(needed: tuple[int, int]) -> None:
    with pytest.raises(FormatVersionError, match=f"needs format {needed[0]}.{needed[1]}"):
        read(grown(HEADER.pack(), written=needed, needed=needed, changes={MUST: 0x10}))


def test_base_gvc1d_has_no_painter_and_no_latent_tokens() -> None:
    for flags, what in ((3, "not painted"), (5, "no tokens")):
        with pytest.raises(DamagedStreamError, match=what):
            read(grown(GVC1D.pack(), changes={MUST: flags}, more=bytes(8)))
    with raises(UsageError, "format-promise"):
        replace(GVC1D, needs=(1, 0))


def test_profile_and_level_follow_from_the_fields() -> None:
    assert (HEADER.profile, HEADER.level) == (0, 1) and HEADER.codecs == "gvc.1.0.01.av1"
    painted = SequenceHeader(FORMAT, "av1", Fraction(1), 40, painter_id=bytes(8))
    tokens = SequenceHeader(FORMAT, "av1", Fraction(1), 40, gvc1d_id=bytes(8))
    assert (painted.profile, tokens.profile, GVC1D.profile) == (1, 3, 3)
    hd = VideoFormat(1920, 1080, Fraction(30), Fraction(1, 30))
    assert SequenceHeader(hd, "av1", Fraction(1), 40).level == 3
    fast = VideoFormat(8192, 8192, Fraction(100), Fraction(1, 100))
    assert SequenceHeader(fast, "av1", Fraction(1), 40).level == NO_LEVEL
    assert list(LEVELS.values()) == sorted(LEVELS.values())


@pytest.fixture(scope="module")
def plain() -> bytes:
    return gvcodec.encode(moving_texture(64, 48, 6), format=FORMAT, base="av1", keyint=3, fit=0)


def with_extras(data: bytes, types: tuple[int, ...]) -> bytes:
    """The stream with packets of these types before every frame packet and after the last."""
    reader = Reader(io.BytesIO(data))
    packets: list[Packet] = []
    for packet in reader.packets():
        packets += [extra(number) for number in types] * packet.is_frame + [packet]
    packets += [extra(number) for number in types]
    return stream_of(reader.header, packets, reader.base_hash)


def extra(number: int) -> Packet:
    kind = Kind.UNKNOWN if number < 64 else Kind.EXTRA
    return Packet(kind, b"from 1.2", number)


def extras_of(data: bytes) -> list[int | None]:
    return [p.type for p in packets_in(data) if p.kind is Kind.EXTRA]


def test_packets_that_may_be_ignored_change_no_frame(plain: bytes) -> None:
    grown_up = with_extras(plain, (_SAFE, _PRIVATE, _UNSAFE))
    frames = [list(gvcodec.decode(data)) for data in (plain, grown_up)]
    assert len(frames[0]) == len(frames[1]) == 6
    for one, two in zip(*frames, strict=True):
        assert (one == two).all()


def test_who_cuts_and_joins_copies_what_is_safe_to_copy(plain: bytes) -> None:
    grown_up = with_extras(plain, (_SAFE, _PRIVATE, _UNSAFE))
    out = io.BytesIO()
    gvcodec.cut(grown_up, out, 0.12)
    assert extras_of(out.getvalue()) == [_SAFE, _PRIVATE] * 4
    out = io.BytesIO()
    gvcodec.cat([grown_up, grown_up], out)
    assert extras_of(out.getvalue()) == [_SAFE, _PRIVATE] * 14


def test_a_packet_that_must_be_understood_is_newer_and_mending_leaves_it_out(plain):
    grown_up = with_extras(plain, (_NEEDED,))
    with pytest.raises(FormatVersionError, match=f"type {_NEEDED}"):
        list(gvcodec.decode(grown_up))
    assert len(list(gvcodec.decode(grown_up, fidelity=True))) == 6
    with pytest.raises(FormatVersionError, match=f"type {_NEEDED}"):
        gvcodec.cut(grown_up, io.BytesIO(), 0.12)
    repaired = gvcodec.repair(grown_up, io.BytesIO())
    assert repaired.kept == 6 and f"type {_NEEDED}" in repaired.losses[0]


def test_an_encoder_may_be_held_to_what_1_0_promises() -> None:
    assert tuple(header.FORMAT_PROFILES) == FORMATS
    frames = moving_texture(32, 32, 2)
    data = gvcodec.encode(frames, frame_rate=25, base="av1", fit=0, file_format="1.0", threads=1)
    made = Reader(io.BytesIO(data)).header
    assert made.profile <= 1 and data[4:6] == b"\1\0"
    with pytest.raises(UsageError, match="base gvc1d needs format 1.1"):
        gvcodec.encode(frames, frame_rate=25, file_format="1.0", threads=1, base="gvc1d")
    with raises(UsageError, "format-promise"):
        made.check_format("0.9")
    with raises(UsageError, "format-promise"):
        replace(made, needs=(1, 1)).check_format("1.0")


def test_a_painter_of_a_form_to_come_is_newer() -> None:
    reader = Reader(io.BytesIO((CONFORMANCE / "files/embedded.gvc").read_bytes()))
    packets, painter = list(reader.packets()), b""
    for number, packet in enumerate(packets):
        if packet.kind is Kind.MODEL:
            painter = packet.payload[1:].replace(b'form\\": 2', b'form\\": 3')
            assert painter != packet.payload[1:]
            packets[number] = replace(packet, payload=packet.payload[:1] + painter)
    header = replace(reader.header, painter_id=hashlib.sha256(painter).digest()[:8])
    data = stream_of(header, packets, reader.base_hash)
    with pytest.raises(FormatVersionError, match="a painter of form 3"):
        reference.answer(data)
    with pytest.raises(Newer):
        decode.answer(data)
    assert len(list(gvcodec.decode(data, fidelity=True))) == 3


def test_a_file_of_1_0_with_latent_tokens_is_shown_without_them(tmp_path: Path) -> None:
    """Its frames decode and verify; one line says which release reads the rest."""
    path = Path(__file__).with_name("tokens-1.0.gvc")
    said = run("decode", path, tmp_path / "a.y4m")
    assert "latent tokens are not read any more (gvcodec 1.0.0 does)" in said.err
    found = gvcodec.info(path)
    assert found.token_frames > 0 and "gvcodec 1.0.0 reads" in str(found)
    assert gvcodec.verify(path).base_hash == found.base_hash
    assert len(list(gvcodec.decode(path.read_bytes()))) == found.frames


def test_latent_tokens_of_1_0_are_left_out_of_what_is_written(tmp_path: Path) -> None:
    """By cut, cat and repair, with their bit and their id of the header; frames stay."""
    path, out = Path(__file__).with_name("tokens-1.0.gvc"), tmp_path / "out.gvc"
    for write, times in (
        (lambda: gvcodec.cut(path, out, 0, overwrite=True), 1),
        (lambda: gvcodec.cat([path, path], out, overwrite=True), 2),
        (lambda: gvcodec.repair(path, out, overwrite=True), 1),
    ):
        write()
        report = gvcodec.info(out)
        assert report.token_frames == 0 and report.gvc1d_id is None
        assert report.profile != gvcodec.info(path).profile == "Tokens"
        for fidelity in (False, True):
            before, after = (
                list(gvcodec.decode_planes(file.read_bytes(), fidelity=fidelity))
                for file in (path, out)
            )
            assert clips_equal(before * times, after)
        assert gvcodec.verify(out).frames == len(after)


def test_the_first_metadata_that_is_not_empty_counts(plain: bytes) -> None:
    reader = Reader(io.BytesIO(plain))
    payloads = b"", b"\1\1A", b"\1\5cut"
    packets = [Packet(Kind.METADATA, payload) for payload in payloads]
    packets += [packet for packet in reader.packets() if packet.kind is not Kind.METADATA]
    data = stream_of(reader.header, packets, reader.base_hash)
    out = io.BytesIO()
    gvcodec.cut(data, out, 0)
    assert gvcodec.info(data).title == gvcodec.info(out.getvalue()).title == "A"
    assert reference.answer(data)["metadata"] == decode.answer(data)["metadata"]
    assert len(list(gvcodec.decode(data))) == 6


def test_who_cuts_takes_the_first_summary_of_a_gop_wherever_it_stands(plain: bytes) -> None:
    reader = Reader(io.BytesIO(plain))
    packets, frames = list[Packet](), 0
    for packet in reader.packets():
        if frames in (1, 2) and packet.is_frame:
            packets.append(Packet(Kind.SUMMARY, b"\x02%d" % frames))
        packets.append(packet)
        frames += packet.is_frame
    out = io.BytesIO()
    gvcodec.cut(stream_of(reader.header, packets, reader.base_hash), out, 0)
    made = Reader(io.BytesIO(out.getvalue()))
    found = [[p.payload for p in made.packets_of(g) if p.kind is Kind.SUMMARY] for g in made.gops()]
    assert found == [[b"\x021"], []]
