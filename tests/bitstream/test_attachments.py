"""Attachments in packets: what is complete comes back, what is not is left out with a line."""

import tracemalloc

import pytest

from gvcodec.bitstream import Kind, Packet
from gvcodec.bitstream.attachments import (
    MAX_BYTES,
    MAX_COUNT,
    MAX_NAME,
    PIECE,
    Attachment,
    AttachmentReader,
    attachments_of,
    choose_fitting,
    guess_name,
    name_all,
    pack,
)
from gvcodec.bitstream.varint import encode_var

FONT = Attachment("a.ttf", "font/ttf", b"font")
COVER = Attachment("cover.jpg", "image/jpeg", b"\xff\xd8\xff", True)
LARGE = Attachment("large", "font/otf", bytes(range(256)) * (PIECE // 128) + b"end")


def packet(number: int, offset: int, piece: bytes, head: bytes | None = None) -> Packet:
    start = encode_var(number) + encode_var(offset)
    start += b"" if head is None else encode_var(len(head)) + head
    return Packet(Kind.ATTACHMENT, start + piece)


def head(total: int, name: bytes = b"x", media_type: bytes = b"a/b") -> bytes:
    texts = (encode_var(len(text)) + text for text in (name, media_type))
    return encode_var(total) + b"\0" + b"".join(texts)


def test_attachments_come_back_from_pieces() -> None:
    packets = list(pack([FONT, LARGE, COVER]))
    assert [len(p.payload) > PIECE for p in packets] == [False, True, True, False, False]
    assert max(len(p.payload) for p in packets) < PIECE + 64
    assert attachments_of(packets) == ([FONT, LARGE, COVER], [])


def test_packets_after_the_first_frame_do_not_count() -> None:
    reader = AttachmentReader()
    for sent in (*pack([FONT]), Packet(Kind.KEY, b""), *pack([COVER, COVER])):
        reader.send(sent)
    assert (reader.finish(), reader.losses) == ([FONT], [])


@pytest.mark.parametrize("lost", range(5))
def test_a_lost_piece_costs_its_attachment_alone_and_is_named(lost: int) -> None:
    packets = list(pack([FONT, LARGE, COVER]))
    del packets[lost]
    names = ["a.ttf", "large", "large", "large", "cover.jpg"]
    found, losses = attachments_of(packets)
    assert [a for a in (FONT, LARGE, COVER) if a.name != names[lost]] == found
    assert len(losses) == (lost < 4)  # nobody can know of a last one
    assert lost not in (2, 3) or "large" in losses[0]


WRONG = {
    "pieces in the wrong order": [packet(0, 0, b"ab", head(6)), packet(0, 4, b"ef")],
    "no beginning": [packet(0, 2, b"ab")],
    "a total that is too small": [packet(0, 0, b"abc", head(2))],
    "a total that is too large": [packet(0, 0, b"abc", head(4))],
    "64 MiB with ten bytes": [packet(0, 0, bytes(10), head(MAX_BYTES))],
    "more than there is room for": [packet(0, 0, bytes(10), head(MAX_BYTES + 1))],
    "no byte": [packet(0, 0, b"", head(0))],
    "a piece that is too large": [packet(0, 0, bytes(PIECE + 1), head(PIECE + 1))],
    "an empty name": [packet(0, 0, b"a", head(1, b""))],
    "a blank name": [packet(0, 0, b"a", head(1, b" \x01\n"))],
    "a name that is no UTF-8": [packet(0, 0, b"a", head(1, b"\xff"))],
    "a type that is no UTF-8": [packet(0, 0, b"a", head(1, b"x", b"\xc3"))],
    "a long name": [packet(0, 0, b"a", head(1, b"x" * (MAX_NAME + 1)))],
    "a head that ends early": [packet(0, 0, b"", b"\5")],
    "a number that is too large": [packet(MAX_COUNT, 0, b"a", head(1))],
    "nothing": [Packet(Kind.ATTACHMENT, b"")],
}


@pytest.mark.parametrize("packets", WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_left_out_with_one_line(packets: list[Packet]) -> None:
    good = packet(9, 0, b"a", head(1, b"good"))
    found, losses = attachments_of([*packets, good])
    assert [attachment.name for attachment in found] == ["good"]
    assert 1 <= len(losses) <= 2 and all(line.endswith("left out") for line in losses)


def test_equal_names_are_kept_and_falling_numbers_left_out() -> None:
    packets = [*pack([FONT, FONT]), packet(0, 0, b"a", head(1, b"falls"))]
    found, losses = attachments_of(packets)
    assert found == [FONT, FONT] and losses == ["attachment 0 comes after 1: left out"]


def test_names_reach_no_terminal_raw() -> None:
    (found,), _ = attachments_of([packet(0, 0, b"a", head(1, b"a\x1b[31m\xe2\x80\xaeb", b""))])
    assert (found.name, found.media_type) == ("a [31m b", "application/octet-stream")


def test_memory_follows_the_bytes_that_came() -> None:
    claims = [packet(n, 0, bytes(10), head(MAX_BYTES)) for n in range(MAX_COUNT)]
    tracemalloc.start()
    found, losses = attachments_of(claims)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert not found and len(losses) == MAX_COUNT and peak < 1 << 20


def test_attachments_beyond_the_room_of_a_file_are_known() -> None:
    most = Attachment("most", "a/b", bytes(MAX_BYTES - 4))
    assert choose_fitting([FONT, most, COVER]) == ([FONT, most], [COVER])
    assert attachments_of(pack([FONT, most])) == ([FONT, most], [])
    nameless, empty = Attachment("", "a/b", b"x"), Attachment("x", "a/b", b"")
    assert choose_fitting([nameless, empty, FONT]) == ([FONT], [nameless, empty])
    many = [FONT] * (MAX_COUNT + 1)
    assert len(choose_fitting(many)[0]) == MAX_COUNT


def test_lines_name_the_first_ones() -> None:
    assert name_all([FONT, COVER]) == "attachment a.ttf, cover cover.jpg"
    assert name_all([FONT] * 7).endswith("attachment a.ttf, 2 other attachments")


def test_a_damaged_packet_still_says_what_it_held() -> None:
    first, second, _ = pack([LARGE])
    assert guess_name(first.payload[:100]) == "attachment large"
    assert guess_name(second.payload[:9]) == "attachment 0"
    assert guess_name(b"\xff") == "an attachment"
