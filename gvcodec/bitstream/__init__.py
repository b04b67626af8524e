"""The gvcodec file format (docs/spec): header, packets, timestamps, bundles, metadata OBUs. In: a
binary file. Out: packets; `gvcodec.bitstream.writer` is the reverse.

    reader = Reader(stream)          # checks everything, front to back or by the index at the end
    for packet in reader.packets(): ...
    recovery.Salvage(stream).events()  # reads on after damage

    header, packets, reader, writer, recovery   the stream
    metadata, attachments, embedded_models      packets for a whole file
    timing, backup                              packets for times, for repair
    bundles                                     frames of base av1 in one packet
    metadata_obu                                packets inside ordinary AV1 files
    varint                                      integers of the container

A file with one byte changed, or truncated, is refused: `DamagedStreamError` names the packet. One
that needs a later version raises `FormatVersionError`.
"""

from gvcodec.bitstream.header import MAX_PIXELS, MAX_SIDE, SequenceHeader
from gvcodec.bitstream.packets import HASH_BYTES, Kind, Packet
from gvcodec.bitstream.reader import NOT_WRITTEN, ChangedStream, GopEntry, Reader
from gvcodec.bitstream.timing import PtsDecoder, PtsEncoder

__all__ = [
    "HASH_BYTES", "MAX_PIXELS", "MAX_SIDE", "NOT_WRITTEN", "ChangedStream", "GopEntry", "Kind", "Packet",
    "PtsDecoder", "PtsEncoder", "Reader", "SequenceHeader",
]  # fmt: skip
