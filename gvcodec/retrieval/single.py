"""One GOP of a stream as a stream of its own: what `gvcodec search --clip` writes. Only that GOP is
read."""

from __future__ import annotations

from dataclasses import replace
from typing import BinaryIO

from gvcodec.bitstream import GopEntry, Kind, PtsDecoder, Reader
from gvcodec.codec.gops import Gop, Splicer
from gvcodec.limits import DEFAULT, Limits


def write_gop(
    reader: Reader, entry: GopEntry, output: BinaryIO, threads: int = 0, limits: Limits = DEFAULT
) -> None:
    """Copy frames, weights in force and summary; timestamps begin at 0, sound is left out. Raises
    `DamagedStreamError`."""
    header, entries = reader.header, reader.gops()
    fit = reader.fit_before(entries, entries.index(entry))
    gop = Gop(entry.first_frame, fit.payload if fit else None)
    fmt = header.format
    timing = PtsDecoder(header.start_pts, fmt.frame_rate, fmt.time_base, limits)
    timing.restart(entry.first_frame)
    for packet in reader.packets_of(entry):
        if packet.kind is Kind.FIT:
            gop.fit = packet.payload
        elif packet.kind is Kind.TIMING:
            timing.send(packet.payload)
        elif packet.kind is Kind.SUMMARY:
            gop.summary = packet.payload
        elif packet.is_frame:
            gop.packets.append(packet)
    gop.times = [timing.receive() for _ in gop.packets]
    splicer = Splicer(output, replace(header, start_pts=0), threads, limits)
    splicer.write(gop, -gop.times[0])
    splicer.finish(timing.receive() - gop.times[0])
