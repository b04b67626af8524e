"""The gvcodec file format, version 1.0, as docs/spec specifies it: header, packets, timestamps,
bundles, metadata OBUs.

    reader = Reader(stream)          # checks everything, front to back or by the index at the end
    for packet in reader.packets(): ...
    recovery.Salvage(stream).events()  # reads on after damage
    Writer(stream, header)           # never seeks

A file with any one byte changed, or cut anywhere, is refused: `DamagedStreamError` names the
packet. One that needs a later version is refused as that (`FormatVersionError`), never as damaged.
"""

from gvcodec.bitstream.header import MAX_PIXELS, MAX_SIDE, SequenceHeader
from gvcodec.bitstream.packets import Kind, Packet
from gvcodec.bitstream.reader import NOT_WRITTEN, ChangedStream, GopEntry, Reader
from gvcodec.bitstream.timing import PtsDecoder, PtsEncoder
from gvcodec.bitstream.writer import HASH_BYTES, Writer

__all__ = [
    "HASH_BYTES", "MAX_PIXELS", "MAX_SIDE", "NOT_WRITTEN", "ChangedStream", "GopEntry", "Kind", "Packet",
    "PtsDecoder", "PtsEncoder", "Reader", "SequenceHeader", "Writer",
]  # fmt: skip
