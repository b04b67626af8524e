"""The file format: fields and packets survive, overhead is bounded, every damage is refused."""

import binascii
import io
import zlib
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gvcodec.bitstream import Kind, Packet, PtsDecoder, PtsEncoder, Reader, SequenceHeader
from gvcodec.bitstream.header import MAGIC
from gvcodec.bitstream.packets import read_packet
from gvcodec.bitstream.varint import Cursor, encode_svar, encode_var
from gvcodec.errors import DamagedStreamError, FormatVersionError, UsageError
from gvcodec.types import Colour, VideoFormat
from tests.conftest import stream_of
from tests.errors import raises

FORMAT = VideoFormat(1920, 1080, Fraction(30000, 1001), Fraction(1, 30000), 8, Colour(1, 1, 1))
HEADER = SequenceHeader(FORMAT, "av1", Fraction(1), 40, 0, b"12345678", b"abcdefgh")
HASH = b"loophash"


def write(header: SequenceHeader, packets: list[Packet]) -> bytes:
    return stream_of(header, packets, HASH)


def read(data: bytes) -> tuple[Reader, list[Packet]]:
    reader = Reader(io.BytesIO(data), "x.bin")
    return reader, list(reader.packets())


def gop(frames: int, size: int = 20) -> list[Packet]:
    return [Packet(Kind.INTER if n else Kind.KEY, bytes([n]) * size) for n in range(frames)]


@given(st.integers(0, (1 << 63) - 1), st.integers(-(1 << 62), (1 << 62) - 1))
def test_integers_come_back(unsigned: int, signed: int) -> None:
    cursor = Cursor(encode_var(unsigned) + encode_svar(signed), "test")
    assert (cursor.var(), cursor.svar(), len(cursor)) == (unsigned, signed, 0)


@given(
    width=st.integers(1, 4096),
    height=st.integers(1, 4096),
    rate=st.fractions(Fraction(1, 1000), 1000, max_denominator=1001),
    tick=st.fractions(Fraction(1, 90000), 10, max_denominator=90000),
    ten=st.booleans(),
    colour=st.builds(Colour, *[st.integers(0, 255)] * 3, st.booleans(), st.integers(0, 6)),
    sar=st.fractions(Fraction(1, 100), 100, max_denominator=1000),
    base=st.sampled_from(["av1", "vvc"]),
    scale=st.sampled_from([Fraction(1), Fraction(3, 4), Fraction(1, 2)]),
    q=st.integers(0, 63),
    pts=st.integers(-(1 << 40), 1 << 40),
    ids=st.tuples(*[st.none() | st.binary(min_size=8, max_size=8)] * 2),
)
def test_header_comes_back(width, height, rate, tick, ten, colour, sar, base, scale, q, pts, ids):
    fmt = VideoFormat(width, height, rate, tick, 10 if ten else 8, colour, sar)
    header = SequenceHeader(fmt, base, scale, q, pts, *ids)
    data = header.pack()
    assert SequenceHeader.read(io.BytesIO(data)) == (header, len(data))


class Pipe(io.BytesIO):
    """Cannot seek, and gives at most five bytes at once, as a `bytearray`."""

    def seekable(self) -> bool:
        return False

    def read(self, size: int | None = -1, /) -> bytes:
        return bytearray(super().read(min(size, 5) if size and size > 0 else size))


def test_a_pipe_in_small_pieces_is_read_no_further_than_its_packets() -> None:
    data = write(HEADER, [Packet(Kind.FIT, bytes(300)), *gop(3), *gop(2)])
    pipe = Pipe(data)
    reader = Reader(pipe)
    packets = []
    for packet in reader.packets():
        assert pipe.tell() == reader.size == reader.packet_offset + reader.packet_size
        packets.append(packet)
    assert packets == read(data)[1]
    assert (reader.size, reader.base_hash) == (len(data), HASH)


def test_header_refuses_what_it_cannot_hold() -> None:
    for change in (
        *({"width": 0}, {"width": 16385}, {"width": 16384, "height": 16384}),
        *({"frame_rate": Fraction(0)}, {"bit_depth": 12}),
    ):
        with pytest.raises(UsageError):
            SequenceHeader(replace(FORMAT, **change), "av1", Fraction(1), 40)


@pytest.mark.parametrize("size", [0, 1, 31, 32, 62, 4095, 4096, 100_000, (1 << 19) - 1])
def test_framing_of_an_inter_packet_is_at_most_5_bytes(size: int) -> None:
    most = 3 if size < 32 else 4 if size < 4096 else 5
    assert len(Packet(Kind.INTER, bytes(size)).pack()) - size <= most


def test_index_lists_gops_and_the_fit_in_force() -> None:
    fit, other, sound = Packet(Kind.FIT, b"A"), Packet(Kind.FIT, b"B"), Packet(Kind.TRACKS, b"t")
    packets = [*gop(4), other, fit, *gop(3), *gop(2), other, sound, *gop(6)]
    reader = Reader(io.BytesIO(write(HEADER, packets)))
    gops = reader.gops()
    wanted = [(0, 4, False), (4, 3, True), (7, 2, False), (9, 6, True)]
    assert [(entry.first_frame, entry.frames, entry.has_fit) for entry in gops] == wanted
    assert [reader.fit_before(gops, number) for number in range(4)] == [None, None, fit, None]
    assert list(reader.packets_of(gops[2])) == gop(2)


def sample() -> bytes:
    fit, sound = Packet(Kind.FIT, b"w" * 9), Packet(Kind.TRACKS, b"audio")
    return write(HEADER, [fit, *gop(3, 7), sound, *gop(2, 40)])


def test_every_changed_byte_is_noticed() -> None:
    data = sample()
    for position in range(len(data)):
        for flip in (0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xFF):
            damaged = bytearray(data)
            damaged[position] ^= flip
            with pytest.raises(DamagedStreamError, match="x.bin"):
                read(bytes(damaged))


def test_every_cut_is_noticed_and_bytes_after_the_end_too() -> None:
    data = sample()
    for size in range(len(data)):
        with pytest.raises(DamagedStreamError, match="x.bin"):
            read(data[:size])
    with pytest.raises(DamagedStreamError, match="follow"):
        read(data + b"\0")


def test_a_lost_doubled_or_swapped_packet_is_noticed() -> None:
    packed = [packet.pack() for packet in gop(5)]
    data = write(HEADER, gop(5))
    for other in (
        packed[:2] + packed[3:],
        packed[:3] + packed[2:],
        [packed[0], packed[2], packed[1], *packed[3:]],
    ):
        with pytest.raises(DamagedStreamError, match="GOP"):
            read(data.replace(b"".join(packed), b"".join(other)))


def test_errors_name_file_packet_and_time() -> None:
    data = bytearray(write(HEADER, gop(100)))
    data[bytes(data).index(b"\x61" * 20)] ^= 1
    with pytest.raises(DamagedStreamError, match=r"^x.bin: packet 97: .* damaged after 0:03.2\)$"):
        read(bytes(data))


@pytest.mark.parametrize(
    ("packet", "what"),
    [
        (Packet(Kind.INTER, b"x"), "inter frame without a keyframe"),
        (Packet(Kind.INDEX, b"\1\1\0\0\0"), "GOP without frames"),
    ],
)
def test_packets_that_cannot_be_there_are_refused(packet: Packet, what: str) -> None:
    with pytest.raises(DamagedStreamError, match=what):
        read(HEADER.pack() + packet.pack())


def test_a_made_up_size_is_refused_before_memory_is_taken() -> None:
    claims = encode_var(1 << 40 | 1) + b"x" * 10
    with pytest.raises(DamagedStreamError, match="above"):
        read_packet(io.BytesIO(claims))


def test_unknown_types_are_skipped_or_marked_by_their_number() -> None:
    def made(kind: int) -> bytes:
        body = encode_var(2 << 2 | 3) + bytes([kind]) + b"hi"
        return body + binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "little")

    for kind, number in ((Kind.EXTRA, 100), (Kind.EXTRA, 200), (Kind.UNKNOWN, 20)):
        packet, data = read_packet(io.BytesIO(made(number)))
        assert packet == Packet(kind, b"hi", number) and packet.pack() == data


@given(
    st.lists(st.sampled_from([1001, 1001, 1002, 5000, 0, -700]), min_size=8, max_size=40),
    st.integers(1, 9),
    st.integers(0, 6),
)
def test_timestamps_come_back_from_any_gop_on(steps: list[int], keyint: int, ahead: int) -> None:
    """Frames run ahead of packets; decoding starts at each GOP with its `timing` packets alone."""
    times = [sum(steps[: number + 1]) for number in range(len(steps))]
    rate, tick = Fraction(30000, 1001), Fraction(1, 30000)
    encoder = PtsEncoder(times[0], rate, tick)
    gops: list[list[bytes]] = []
    sent = 0
    for packet in range(len(times)):
        while sent < min(len(times), packet + 1 + ahead):
            encoder.send(times[sent])
            sent += 1
        key = packet % keyint == 0
        if key:
            gops.append([])
        gops[-1].append(encoder.pop_payload(packet if key else None))
    for start, _ in enumerate(gops):
        decoder = PtsDecoder(times[0], rate, tick)
        decoder.restart(start * keyint)
        found: list[int] = []
        for payload in (payload for gop in gops[start:] for payload in gop):
            decoder.send(payload)
            found.append(decoder.receive())
        assert found == times[start * keyint :]


def test_a_constant_rate_costs_nothing_and_a_gap_one_entry() -> None:
    rate, tick = Fraction(30000, 1001), Fraction(1, 1000)
    times = [(2 * 1000 * number * 1001 + 30000) // 60000 for number in range(200)]
    encoder = PtsEncoder(0, rate, tick)
    for pts in times:
        encoder.send(pts)
    assert encoder.pop_payload() == b""
    encoder = PtsEncoder(0, Fraction(30), Fraction(1, 30000))
    for number in range(200):
        encoder.send(1000 * (number + 3 * (number >= 100)))
    assert 0 < len(encoder.pop_payload()) <= 3


@pytest.mark.parametrize("version", [(0, 3), (0, 7)])
def test_a_version_before_1_says_which_are_read(version: tuple[int, int]) -> None:
    head = MAGIC + bytes(version) + HEADER.pack()[len(MAGIC) + 2 : -4]
    with raises(FormatVersionError, "header-version") as refused:
        SequenceHeader.read(io.BytesIO(head + zlib.crc32(head).to_bytes(4, "little")))
    assert refused.value.exit_code == 4 and "1.0" in str(refused.value)


@pytest.mark.parametrize(("wire", "name"), [(0, "klt"), (2, "hevc")])
def test_a_base_that_left_says_who_reads_it(wire: int, name: str) -> None:
    packed = bytearray(HEADER.pack()[:-4])
    packed[-19] = wire  # base, scale, q, two model ids
    with pytest.raises(FormatVersionError, match=f"base {name} was written by gvcodec before 0.7"):
        SequenceHeader.read(io.BytesIO(packed + zlib.crc32(packed).to_bytes(4, "little")))
