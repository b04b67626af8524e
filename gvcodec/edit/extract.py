"""Extracts the standard bitstream of a gvcodec file: packets are copied, nothing is re-encoded.
FFmpeg puts it into any container (`ffmpeg -i a.obu -c copy a.ivf`).

The picture is the coded one: at reduced scale it is smaller, and padding to even sizes of at least
64 is not cropped.
"""

import os
from pathlib import Path

from gvcodec.base.standard.payloads import restore_unit
from gvcodec.bases import base_of
from gvcodec.bitstream import Kind, Reader
from gvcodec.bitstream.metadata import Metadata
from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.limits import DEFAULT, Limits, check
from gvcodec.util.file_io import PendingFile, name_errors

#: FFmpeg's names of the bitstreams, by file suffix.
_RAW = {".obu": "obu", ".266": "vvc"}


def extract(
    reader: Reader, path: str | os.PathLike[str], overwrite: bool, limits: Limits = DEFAULT
) -> tuple[int, list[str]]:
    """Write the base of a stream as .obu or .266; return the number of frames and notes on omitted
    parts.

    Raises `UsageError` for a base that is no standard bitstream, `DamagedStreamError`,
    `MediaError`."""
    header = reader.header
    standard = base_of(header.base).standard
    if standard is None:
        raise UsageError(
            f"base {header.base} is not a standard bitstream: there is nothing to extract",
            code="base-feature",
        )
    if _RAW.get(Path(path).suffix.lower()) != standard.raw:
        kinds = ".mp4, .mkv, .webm or .obu" if header.base == "av1" else ".266"
        raise UsageError(f"{path}: base {header.base} is extracted to {kinds}", code="output-name")
    check(header, False, limits)
    left_out = []
    if header.painter_id is not None:
        left_out.append("the painter")
    frames = 0
    with (
        PendingFile(path, overwrite) as pending,
        name_errors(path),
        open(pending.temporary, "wb") as output,
    ):
        for packet in reader.packets():
            if packet.kind is Kind.METADATA and Metadata.unpack(packet.payload):
                left_out.append("title, chapters and tags")
            if packet.kind is Kind.ATTACHMENT and "attachments" not in left_out:
                left_out.append("attachments")
            if packet.is_frame:
                output.write(restore_unit(header.base, packet.payload))
                frames += 1
        if not frames:
            raise DamagedStreamError("the stream holds no frames", code="no-frames")
    return frames, left_out
