"""Latent tokens through streams: which packets stand where, what damage costs."""

import io
from dataclasses import replace
from fractions import Fraction

import pytest

from gvcodec.bitstream import Kind, Loss, Packet, Reader, Salvage, SequenceHeader
from gvcodec.codec.gops import GopSource
from gvcodec.errors import DamagedStreamError
from gvcodec.types import VideoFormat
from tests.conftest import packets_in, stream_of

FORMAT = VideoFormat(64, 48, Fraction(25), Fraction(1, 25))
HEADER = SequenceHeader(FORMAT, "av1", Fraction(1), 40, gvc1d_id=b"tokens!!")


def latent(number: int) -> Packet:
    return Packet(Kind.LATENT, bytes([number, 0]))


#: Two GOPs of three frames; the second frame of each has no tokens.
PACKETS = [
    packet
    for first in (0, 3)
    for packet in (
        latent(first),
        Packet(Kind.KEY, b"key"),
        Packet(Kind.INTER, b"inter"),
        latent(first + 2),
        Packet(Kind.INTER, b"last"),
    )
]


def test_a_header_without_tokens_has_no_byte_more() -> None:
    plain = replace(HEADER, gvc1d_id=None)
    assert len(HEADER.pack()) == len(plain.pack()) + 8
    assert SequenceHeader.read(io.BytesIO(HEADER.pack()))[0] == HEADER
    assert HEADER.enhanced and not plain.enhanced


def test_packets_come_back_in_order_and_belong_to_their_gop() -> None:
    data = stream_of(HEADER, PACKETS)
    assert packets_in(data) == PACKETS
    first, second = Reader(io.BytesIO(data)).gops()
    reader = Reader(io.BytesIO(data))
    assert list(reader.packets_of(second)) == PACKETS[5:]
    assert (first.frames, second.frames) == (3, 3)
    gops = list(GopSource(HEADER, PACKETS))
    assert [packet for gop in gops for packet in gop.packets] == PACKETS
    assert [gop.frames for gop in gops] == [3, 3]


@pytest.mark.parametrize(
    "packets, header, what",
    [
        (PACKETS, replace(HEADER, gvc1d_id=None), "without any"),
        ([latent(1), *PACKETS], HEADER, "without a frame"),
        ([*PACKETS[:2], latent(1), *PACKETS[5:]], HEADER, "without a frame"),
    ],
)
def test_packets_out_of_place_are_refused(packets, header: SequenceHeader, what: str) -> None:
    with pytest.raises(DamagedStreamError, match=what):
        packets_in(stream_of(header, packets))


def test_a_latent_packet_needs_a_frame_to_write() -> None:
    with pytest.raises(ValueError, match="latent packet without a frame"):
        stream_of(HEADER, [*PACKETS, latent(9)])


@pytest.mark.parametrize("hit, kept", [(0, [1]), (3, [1]), (5, [0]), (8, [0])])
def test_a_damaged_packet_costs_the_tokens_of_its_gop(hit: int, kept: list[int]) -> None:
    """Frames stay, and so do the tokens of the other GOP."""
    data = bytearray(stream_of(HEADER, PACKETS))
    at = data.index(PACKETS[hit].pack())
    data[at + 3] ^= 1
    salvage = Salvage(io.BytesIO(bytes(data)))
    gops = list(GopSource(HEADER, salvage.events()))
    assert [gop.frames for gop in gops] == [3, 3]
    found = [n for n, gop in enumerate(gops) if any(p.kind is Kind.LATENT for p in gop.packets)]
    assert found == kept


def test_a_lost_frame_costs_the_tokens_of_its_gop() -> None:
    events = [*PACKETS[:3], Loss(1, "gone"), *PACKETS[5:]]
    gops = list(GopSource(HEADER, events))
    kinds = [[packet.kind for packet in gop.packets] for gop in gops]
    assert Kind.LATENT not in kinds[0] and Kind.LATENT in kinds[1]
