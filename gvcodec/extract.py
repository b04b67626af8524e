"""The standard bitstream inside a gvcodec file as a playable file: packets are copied, nothing is coded again.

The picture is the coded one: at reduced scale it is smaller, and padding to even sizes of at least 64 is not cropped.
"""

from __future__ import annotations

import io
import os
from fractions import Fraction
from pathlib import Path

import av

from gvcodec.bitstream import Packet, PtsDecoder, Reader
from gvcodec.errors import DamagedStreamError, MediaError, UsageError
from gvcodec.files import PendingFile
from gvcodec.structure.order import numbers_shown
from gvcodec.structure.units import RESTORE, packet_of

_FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
#: FFmpeg's names of the raw format and of the decoder.
_RAW = {"av1": ("obu", "libdav1d"), "hevc": ("hevc", "hevc"), "vvc": ("vvc", "vvc")}


def extract(reader: Reader, path: str | os.PathLike[str], overwrite: bool) -> int:
    """Write the base of a stream to .mp4, .mov or .mkv, return the number of frames.

    Raises `UsageError` for a base that is no standard bitstream, `DamagedStreamError`, `MediaError`.
    """
    header = reader.header
    if header.base not in _RAW:
        raise UsageError(f"the structure layer {header.base} is no standard bitstream, there is nothing to extract")
    kind = _FORMATS.get(Path(path).suffix.lower())
    if kind is None:
        raise UsageError(f"{path}: extract to .mp4, .mkv or .mov")
    raw_format, decoder = _RAW[header.base]
    timing = PtsDecoder(header.start_pts, header.format.frame_rate, header.format.time_base)
    units: list[bytes] = []
    keys: list[bool] = []
    for packet in reader.packets():
        if packet.is_frame:
            units.append(RESTORE[header.base](packet.payload))
            keys.append(packet.kind.name == "KEY")
        else:
            _take_timing(timing, packet)
    if not units:
        raise DamagedStreamError("the stream holds no frames")
    shown = _display_order(units, decoder)
    times = [timing.receive() for _ in units]
    with PendingFile(path, overwrite) as pending:
        try:
            with av.open(io.BytesIO(b"".join(units)), format=raw_format) as source:
                output = av.open(str(pending.temporary), "w", format=kind)
                try:
                    _copy(output, source.streams.video[0], units, keys, shown, times, header.format.time_base)
                finally:
                    output.close()
        except (av.FFmpegError, OSError, ValueError) as error:
            raise MediaError(f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}") from error
    return len(units)


def _take_timing(timing: PtsDecoder, packet: Packet) -> None:
    if packet.kind.name == "TIMING":
        timing.send(packet.payload)


def _display_order(units: list[bytes], codec: str) -> list[int]:
    """Place in display order of every unit. Raises `DamagedStreamError` unless each has one frame."""
    order = numbers_shown(units, codec)
    if sorted(order) != list(range(len(units))):
        raise DamagedStreamError("the structure layer does not have one frame for each packet")
    shown = [0] * len(units)
    for place, number in enumerate(order):
        shown[number] = place
    return shown


def _copy(
    output: av.container.OutputContainer,
    template: av.VideoStream,
    units: list[bytes],
    keys: list[bool],
    shown: list[int],
    times: list[int],
    tick: Fraction,
) -> None:
    """Mux the units; decoding times are display times earlier by the reordering delay."""
    stream = output.add_stream_from_template(template, opaque=True)
    stream.time_base = tick
    delay = max(number - place for number, place in enumerate(shown))
    step = times[1] - times[0] if len(times) > 1 else 1
    for number, unit in enumerate(units):
        packet = packet_of(unit)
        packet.stream, packet.time_base = stream, tick
        packet.pts = times[shown[number]]
        packet.dts = times[number - delay] if number >= delay else times[0] - (delay - number) * step
        packet.duration = step
        packet.is_keyframe = keys[number]
        output.mux(packet)
