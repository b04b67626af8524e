"""What a container says of its video beside the bitstream: cropping, Dolby Vision."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np
import pytest

from gvcodec.media.reader import VideoReader
from gvcodec.media.stored import read_stored
from tests.clips import put_planes
from tests.conftest import moving_texture, planes_equal

PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), name) + body


def with_box(data: bytes, entry: bytes, added: bytes) -> bytes:
    """An MP4 file whose sample entry has one more box."""
    out, at = b"", 0
    while at + 8 <= len(data):
        size, name = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + size]
        if name in PARENTS:
            body = with_box(body, entry, added)
        elif name == b"stsd":
            body = body[:8] + with_box(body[8:], entry, added)
        elif name == entry:
            body += added
        out += box(name, body)
        at += size
    return out


def clap(width: int, height: int, right: int = 0, down: int = 0) -> bytes:
    """A clean aperture of this size, moved from the middle."""
    values = (width, 1, height, 1, 2 * right, 2, 2 * down, 2)
    return box(b"clap", struct.pack(">4I", *values[:4]) + struct.pack(">iIiI", *values[4:]))


def dolby(profile: int, compatibility: int) -> bytes:
    level = struct.pack(">H", profile << 9 | 1 << 3 | 0b101)
    return box(b"dvcC", b"\1\0" + level + bytes([compatibility << 4]) + bytes(19))


def written(path: Path, codec: str, entry: bytes, added: bytes, suffix: str) -> Path:
    """64×48 pixels with this box, in MP4 or copied from it to another kind of file."""
    with av.open(str(path / "plain.mp4"), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.options = {"qp": "0"} if codec == "libx264" else {"x265-params": "log-level=none"}
        if codec == "libx265":
            stream.codec_context.codec_tag = "hvc1"
        put_planes(container, stream, moving_texture(64, 48, 4))
    made = path / "made.mp4"
    made.write_bytes(with_box((path / "plain.mp4").read_bytes(), entry, added))
    if suffix == ".mp4":
        return made
    copy = path / f"copy{suffix}"
    with (
        av.open(str(made)) as source,
        av.open(str(copy), "w", options={"strict": "-2"}) as target,
    ):
        video = source.streams.video[0]
        stream = target.add_stream_from_template(video, opaque=True)
        for packet in source.demux(video):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    return copy


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(
    ("size", "moved", "corner"), [((40, 32), (0, 0), (12, 8)), ((50, 30), (-3, 5), (4, 14))]
)
def test_pictures_are_cropped_as_the_container_asks(tmp_path, suffix, size, moved, corner) -> None:
    path = written(tmp_path, "libx264", b"avc1", clap(*size, *moved), suffix)
    with VideoReader(tmp_path / "plain.mp4") as reader:
        whole = [frame.planes for frame in reader]
    with VideoReader(path) as reader:
        assert (reader.format.width, reader.format.height) == size
        assert f"cropped to {size[0]}×{size[1]} as the file asks" in reader.notes
        shown = [frame.planes for frame in reader]
    (width, height), (left, top) = size, corner
    for (y, u, v), cropped in zip(whole, shown, strict=True):
        parts = [y[top : top + height, left : left + width]]
        parts += [
            plane[top // 2 : (top + height) // 2, left // 2 : (left + width) // 2]
            for plane in (u, v)
        ]
        assert planes_equal(cropped, tuple(map(np.ascontiguousarray, parts)))


def test_a_crop_that_leaves_nothing_is_none(tmp_path) -> None:
    path = written(tmp_path, "libx264", b"avc1", clap(0, 0), ".mp4")
    with VideoReader(path) as reader:
        assert (reader.format.width, reader.format.height) == (64, 48)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(("profile", "compatibility"), [(5, 0), (8, 1), (8, 4)])
def test_dolby_vision_without_a_base_layer_is_said(
    tmp_path, suffix: str, profile: int, compatibility: int
) -> None:
    path = written(tmp_path, "libx265", b"hvc1", dolby(profile, compatibility), suffix)
    with av.open(str(path)) as container:
        assert read_stored(container.streams.video[0]).dolby_vision == (profile, compatibility)
    with VideoReader(path) as reader:
        said = [note for note in reader.notes if "Dolby Vision profile 5" in note]
    assert bool(said) == (compatibility == 0)
