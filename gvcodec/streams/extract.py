"""The standard bitstream inside a gvcodec file as a playable file: packets are copied, nothing is
coded again.

The picture is the coded one: at reduced scale it is smaller, and padding to even sizes of at least
64 is not cropped.
"""

from __future__ import annotations

import io
import os
from fractions import Fraction
from pathlib import Path

import av

from gvcodec.base.resample import Resampler
from gvcodec.base.standard.display_order import numbers_shown
from gvcodec.base.standard.payloads import packet_of, restore
from gvcodec.bases import base_of
from gvcodec.bitstream import Kind, Packet, PtsDecoder, Reader, SequenceHeader
from gvcodec.errors import DamagedStreamError, MediaError, UsageError
from gvcodec.limits import DEFAULT, Limits, check
from gvcodec.media.metadata import Metadata
from gvcodec.util.file_io import PendingFile, refuse_folder

_FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".ivf": "ivf"}
#: The bitstream alone, by what FFmpeg calls it.
_RAW = {".obu": "obu", ".266": "vvc", ".vvc": "vvc"}


def extract(
    reader: Reader, path: str | os.PathLike[str], overwrite: bool, limits: Limits = DEFAULT
) -> tuple[int, list[str]]:
    """Write the base of a stream to .mp4, .mov or .mkv with title and chapters, to .ivf, or as the
    bitstream alone (.obu, .266); return the number of frames and what is left out.

    Raises `UsageError` for a base that is no standard bitstream, `DamagedStreamError`,
    `MediaError`.
    """
    header = reader.header
    standard = base_of(header.base).standard
    if standard is None:
        raise UsageError(
            f"the base layer {header.base} is no standard bitstream, there is nothing to extract"
        )
    refuse_folder(path)
    suffix = Path(path).suffix.lower()
    kind = _FORMATS.get(suffix)
    if kind is None and suffix not in _RAW:
        raise UsageError(f"{path}: extract to .mp4, .mkv, .mov, .ivf, .obu or .266")
    if _RAW.get(suffix, standard.raw) != standard.raw or (
        kind == ("ivf" if standard.raw != "obu" else "mov")
    ):
        raise UsageError(f"{path}: is no file for base {header.base}, .mp4 and .mkv are")
    check(header, False, limits)
    fmt = header.format
    timing = PtsDecoder(header.start_pts, fmt.frame_rate, fmt.time_base, limits)
    payloads: list[bytes] = []
    keys: list[bool] = []
    metadata = Metadata()
    left_out = ["the painter"] if header.painter_id else []
    left_out += ["latent tokens"] if header.gvc1d_id else []
    for packet in reader.packets():
        if packet.kind is Kind.METADATA and not metadata:
            metadata = Metadata.unpack(packet.payload)
        elif packet.is_frame:
            payloads.append(packet.payload)
            keys.append(packet.kind.name == "KEY")
        else:
            _take_timing(timing, packet)
    if not payloads:
        raise DamagedStreamError("the stream holds no frames")
    shown = _display_order(payloads, header)
    times = [timing.receive() for _ in payloads]
    end = timing.receive()
    units = [restore(header.base, payload) for payload in payloads]
    if kind is None:
        with PendingFile(path, overwrite) as pending:
            pending.temporary.write_bytes(b"".join(units))
        left_out += _without_container(metadata)
        return len(units), left_out
    # FFmpeg looks only for what the bitstream is said to be, and it has just been decoded within
    # its size.
    alone = {"codec_whitelist": standard.decoder, "protocol_whitelist": "none"}
    with PendingFile(path, overwrite) as pending:
        try:
            raw = io.BytesIO(b"".join(units))
            with av.open(raw, format=standard.raw, container_options=alone) as source:
                output = av.open(str(pending.temporary), "w", format=kind)
                try:
                    metadata.describe(output)
                    _copy(
                        output,
                        source.streams.video[0],
                        units,
                        keys,
                        shown,
                        [*times, end],
                        header.format.time_base,
                    )
                finally:
                    output.close()
        except (av.FFmpegError, OSError, ValueError) as error:
            raise MediaError(
                f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}"
            ) from error
    hdr = bool(metadata.mastering or metadata.light)
    left_out += _without_container(metadata) if kind == "ivf" else ["HDR metadata"] * hdr
    return len(units), left_out


def _without_container(metadata: Metadata) -> list[str]:
    return ["title, chapters and tags"] if metadata else []


def _take_timing(timing: PtsDecoder, packet: Packet) -> None:
    if packet.kind.name == "TIMING":
        timing.send(packet.payload)


def _display_order(payloads: list[bytes], header: SequenceHeader) -> list[int]:
    """Place in display order of every payload. Raises `DamagedStreamError` unless each has one
    frame."""
    coded = Resampler(header.format.width, header.format.height, header.scale)
    order = numbers_shown(payloads, header.base, (coded.coded_width, coded.coded_height))
    if sorted(order) != list(range(len(payloads))):
        raise DamagedStreamError("the base layer does not have one frame for each packet")
    shown = [0] * len(payloads)
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
    """Mux the units; decoding times are display times earlier by the reordering delay. `times`: of
    the frames, and when the last ends."""
    stream = output.add_stream_from_template(template, opaque=True)
    stream.time_base = tick
    delay = max(number - place for number, place in enumerate(shown))
    step = times[1] - times[0]
    for number, unit in enumerate(units):
        packet = packet_of(unit)
        packet.stream, packet.time_base = stream, tick
        packet.pts = times[shown[number]]
        packet.dts = (
            times[number - delay] if number >= delay else times[0] - (delay - number) * step
        )
        packet.duration = max(1, times[shown[number] + 1] - packet.pts)
        packet.is_keyframe = keys[number]
        output.mux(packet)
