"""Side data of decoded frames, by FFmpeg's numbers of its kinds: HDR metadata that gvcodec keeps,
and the kinds that it loses. Works around gaps of PyAV."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Any, cast

import av
from av.sidedata.sidedata import SideData, SideDataContainer, Type

from gvcodec.bitstream.metadata import HIGHEST_MASTERING

#: FFmpeg's units of `AVMasteringDisplayMetadata` are fractions; H.265's are these.
_CHROMA, _LUMINANCE = 50_000, 10_000


def number_of(kind: Type) -> int:
    """FFmpeg's number of a kind of side data; for the stubs it is a `Type`."""
    return cast(int, kind.value)


_PROFILE = number_of(Type.ICC_PROFILE)
_YUV_COMPONENTS = 3
STEREO = number_of(Type.STEREO3D)
#: Closed captions: CEA-608 and CEA-708, three bytes for each pair (ATSC A/53 part 4).
CAPTIONS = number_of(Type.A53_CC)
#: Side data of frames that is lost, by its kind.
LOSSES = {
    STEREO: "the mark of stereo 3D",
    number_of(Type.SPHERICAL): "the projection of a 360° video",
    _PROFILE: "the ICC colour profile",
    number_of(Type.S12M_TIMECODE): "timecodes",
    number_of(Type.DYNAMIC_HDR_PLUS): "HDR metadata of single frames (HDR10+)",
    number_of(Type.DOVI_METADATA): "HDR metadata of single frames (Dolby Vision)",
    number_of(Type.DYNAMIC_HDR_VIVID): "HDR metadata of single frames (HDR Vivid)",
    number_of(Type.AMBIENT_VIEWING_ENVIRONMENT): "the ambient viewing environment",
    28: "an enhancement layer (LCEVC)",
    29: "all views of a video but the first",
    31: "EXIF data, except for its orientation,",
}


def side_data(frame: av.VideoFrame) -> dict[int, bytes]:
    """Side data of a frame by FFmpeg's number of its kind; empty if PyAV cannot read it."""
    side: dict[int, bytes] = {}
    # PyAV frees the name of a colour profile, which FFmpeg frees again: the process would die.
    # Decoders of PNG alone give names, and their pictures are RGB or gray.
    may_have_name = frame.format.is_rgb or len(frame.format.components) < _YUV_COMPONENTS
    if may_have_name and _filtered(frame, "select", _PROFILE) is not None:
        side[_PROFILE] = b""
        frame = _without(frame, _PROFILE)
    while True:
        try:
            # `frame.side_data` would be kept by the frame that it keeps: dozens of frames would
            # wait for the garbage collector. The stubs know neither its argument nor its
            # iterator.
            parts = cast(Any, SideDataContainer)(frame)
        except ValueError as error:
            # PyAV has no name for some kinds (EXIF, LCEVC …): "31 is not a valid Type".
            number = int(str(error).partition(" ")[0])
            side[number] = b""
            frame = _without(frame, number)
            continue
        # Iteration gives keys in PyAV 19, values in 18.
        listed = (part if isinstance(part, SideData) else parts[part] for part in parts)
        for data in listed:
            number = number_of(data.type)
            # AV1 may have several messages with captions of a frame.
            earlier = side.get(number, b"") if number == CAPTIONS else b""
            side[number] = earlier + bytes(data)
        return side


def mastering_display(data: bytes) -> tuple[int, ...] | None:
    """`Metadata.mastering` from an `AVMasteringDisplayMetadata`: ten fractions, then two flags."""
    if len(data) < 88:
        return None
    numbers = struct.unpack_from("22i", data)
    ratios = [
        Fraction(n, d) if d else Fraction(0)
        for n, d in zip(numbers[:20:2], numbers[1:20:2], strict=True)
    ]
    least, most = ratios.pop(8), ratios.pop(8)
    places = [round(value * _CHROMA) if numbers[20] else 0 for value in ratios]
    levels = [round(value * _LUMINANCE) if numbers[21] else 0 for value in (most, least)]
    values = (*places, *levels)
    fits = all(0 <= value <= limit for value, limit in zip(values, HIGHEST_MASTERING, strict=True))
    return values if fits and any(values) else None


def content_light(data: bytes) -> tuple[int, int] | None:
    """`Metadata.light` from an `AVContentLightMetadata`."""
    if len(data) < 8:
        return None
    most, mean = struct.unpack_from("2I", data)
    return (most, mean) if max(most, mean) <= 0xFFFF and (most or mean) else None


def _without(frame: av.VideoFrame, kind: int) -> av.VideoFrame:
    """The same frame without its side data of a kind (FFmpeg's number)."""
    filtered = _filtered(frame, "delete", kind)
    assert filtered is not None
    return filtered


def make_filter(frame: av.VideoFrame, name: str, settings: str) -> av.filter.Graph:
    """A filter of FFmpeg for frames like this one."""
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format,
        time_base=frame.time_base or Fraction(1, 25),
    )
    graph.link_nodes(source, graph.add(name, settings), graph.add("buffersink")).configure()
    return graph


def _filtered(frame: av.VideoFrame, mode: str, kind: int) -> av.VideoFrame | None:
    """A frame after FFmpeg's filter `sidedata`; None if the filter drops it."""
    graph = make_filter(frame, "sidedata", f"mode={mode}:type={kind}")
    graph.vpush(frame)
    try:
        return graph.vpull()
    except (av.BlockingIOError, av.EOFError):
        return None
