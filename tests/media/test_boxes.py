"""MP4 boxes and EBML elements, walked without FFmpeg."""

import io

import pytest

from gvcodec.errors import DamagedStreamError
from gvcodec.util.boxes import (
    SEGMENT,
    TRACK,
    TRACKS,
    VOID,
    bodies,
    boxes,
    element,
    element_head,
    elements,
    find_box,
    read_at,
    rewrite,
)
from tests.clips import box


def walk(data: bytes) -> list[tuple[bytes, int, int]]:
    return list(boxes(io.BytesIO(data), 0, len(data)))


def test_boxes_have_short_long_and_open_sizes() -> None:
    long = (1).to_bytes(4) + b"mdat" + (18).to_bytes(8) + b"ab"
    open_ended = bytes(4) + b"free" + b"abc"
    assert walk(box(b"ftyp", b"isom") + long + open_ended) == [
        (b"ftyp", 8, 12),
        (b"mdat", 28, 30),
        (b"free", 38, 41),
    ]


@pytest.mark.parametrize("size", [2, 7])
def test_a_box_smaller_than_its_head_ends_the_walk(size: int) -> None:
    assert walk(box(b"ftyp", b"") + size.to_bytes(4) + b"moov" + bytes(99)) == [(b"ftyp", 8, 8)]


def test_a_box_may_claim_more_than_there_is() -> None:
    ((name, begin, end),) = walk((1 << 31).to_bytes(4) + b"mdat" + b"abc")
    assert (name, begin, end) == (b"mdat", 8, 1 << 31)


def test_a_box_is_found_by_its_path() -> None:
    track = box(b"trak", box(b"tkhd", b"size"))
    data = box(b"ftyp", b"isom") + box(b"moov", box(b"mvhd", b"") + track + box(b"trak", b""))
    file = io.BytesIO(data)
    place = find_box(file, b"moov", b"trak", b"tkhd")
    assert place is not None and read_at(file, place, 4) == b"size"
    assert find_box(file, b"moov", b"udta") is None
    assert find_box(file, b"tkhd") is None


def test_elements_are_found_by_their_path_and_rewritten() -> None:
    tracks = element(TRACKS, element(TRACK, b"") + element(VOID, b"xx") + element(TRACK, b""))
    data = element(SEGMENT, element(VOID, b"y") + tracks)
    assert list(bodies(data, "file", SEGMENT, TRACKS, VOID)) == [b"xx"]
    assert len(list(bodies(data, "file", SEGMENT, TRACKS, TRACK))) == 2

    def change(identity: int, body: bytes) -> bytes | None:
        if identity in (SEGMENT, TRACKS):
            return rewrite(body, "file", change)
        return None if identity == VOID else body + b"more"

    expected = element(SEGMENT, element(TRACKS, 2 * element(TRACK, b"more")))
    assert rewrite(data, "file", change) == expected
    with pytest.raises(DamagedStreamError, match="file ends early"):
        list(bodies(data[:-1], "file", SEGMENT, TRACKS))


def test_reading_behind_the_end_gives_zeros() -> None:
    assert read_at(io.BytesIO(b"abc"), 1, 4) == b"bc\0\0"


@pytest.mark.parametrize("size", [0, 1, 126, 127, 16_382, 16_383, 70_000])
def test_elements_come_back(size: int) -> None:
    data = element(TRACKS, bytes(size)) + element(VOID, b"x")
    assert list(elements(data, "file")) == [(TRACKS, bytes(size)), (VOID, b"x")]
    head = element_head(data)
    assert head is not None and head.identity == TRACKS and head.body_bytes == size


def test_only_a_segment_may_be_of_unknown_size() -> None:
    unknown = b"\x01" + b"\xff" * 7
    assert list(elements(SEGMENT.to_bytes(4) + unknown + b"abc", "file")) == [(SEGMENT, b"abc")]
    with pytest.raises(DamagedStreamError, match="file ends early"):
        list(elements(TRACKS.to_bytes(4) + unknown + b"abc", "file"))


@pytest.mark.parametrize(
    "data", [b"\0", b"\x08" + bytes(9), b"\xec", b"\xec\0" + bytes(9), b"\x1a\x45\xdf\xa3\x40"]
)
def test_what_is_no_element_is_refused(data: bytes) -> None:
    assert element_head(data) is None
    with pytest.raises(DamagedStreamError, match="file cannot be read"):
        list(elements(data, "file"))


def test_an_element_larger_than_the_file_is_refused() -> None:
    with pytest.raises(DamagedStreamError, match="file ends early"):
        list(elements(element(VOID, b"abc")[:-1], "file"))
