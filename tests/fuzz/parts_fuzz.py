"""Coverage-guided fuzzing of the parts of a stream, each by itself, without the checksums around
it:

    python tests/fuzz/parts_fuzz.py PART CORPUS [libFuzzer options]

PART is one of `PARTS`. Needs atheris (`pip install atheris`). What a part is made of, or a
`GvcodecError`, must come of any bytes; whatever is made of them must be in its range, and come back
where it is written again.
"""

import contextlib
import io
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))


@contextlib.contextmanager
def instrumented(module: str) -> Any:
    """Imports of the package inside are seen by atheris where `module` is the program."""
    if module != "__main__":
        yield
        return
    import atheris

    with atheris.instrument_imports(include=["gvcodec"]):
        yield


with instrumented(__name__):
    import numpy as np

    from conformance.decoder.fit import GROUPS
    from conformance.deltas import Delta
    from conformance.deltas import pack as pack_deltas
    from conformance.readers.inputs import small_painter
    from gvcodec._core import read_fit
    from gvcodec.base import base_model_id
    from gvcodec.base.standard.decoders import check_payload
    from gvcodec.base.standard.payloads import restore_unit
    from gvcodec.bitstream import Kind, Packet, PtsDecoder, SequenceHeader
    from gvcodec.bitstream.attachments import Attachment, attachments_of
    from gvcodec.bitstream.attachments import pack as pack_attachments
    from gvcodec.bitstream.header import MAGIC, VERSION
    from gvcodec.bitstream.metadata import Metadata
    from gvcodec.bitstream.metadata_obu import insert_entries, pack, parse, parse_temporal_unit
    from gvcodec.bitstream.varint import Cursor, encode_var
    from gvcodec.codec.decoder import DecodedFrame, Decoder
    from gvcodec.config import EncoderConfig
    from gvcodec.errors import GvcodecError
    from gvcodec.limits import Limits
    from gvcodec.models import PAINTER, model_id
    from gvcodec.one_file.demux import TimedUnit
    from gvcodec.one_file.read import read_units
    from gvcodec.painter import payload as weights
    from gvcodec.retrieval.summary import Summary
    from gvcodec.tracks.packets import TrackReader
    from gvcodec.types import VideoFormat

FORMAT = VideoFormat(40, 24, Fraction(25), Fraction(1, 1000))
STANDARDS = ("av1", "vvc")
_PAINTED = (Kind.INTER, Kind.KEY, Kind.FIT, Kind.TIMING)


def pieces(data: bytes) -> list[bytes]:
    """{ u8 size, as many bytes }, the last as long as it is."""
    found, at = [], 0
    while at < len(data):
        found.append(data[at + 1 : at + 1 + data[at]])
        at += 1 + data[at]
    return found


def header(data: bytes) -> None:
    """The fields of a sequence header, in their frame and with the right checksum."""
    head = MAGIC + bytes(VERSION) + encode_var(len(data)) + data
    sealed = head + zlib.crc32(head).to_bytes(4, "little")
    made, size = SequenceHeader.read(io.BytesIO(sealed))
    again, _ = SequenceHeader.read(io.BytesIO(made.pack()))
    assert size == len(sealed) and again == replace(made, gvc1d_id=None)


def timing(data: bytes) -> None:
    """Payloads of `timing`, a GOP and three frames between two."""
    decoder = PtsDecoder(7, FORMAT.frame_rate, FORMAT.time_base)
    times = []
    for number, payload in enumerate(pieces(data)):
        if number % 3 == 1:
            decoder.mark_lost()
        with contextlib.suppress(GvcodecError):
            decoder.send(payload)
        decoder.start_gop()
        times += [decoder.receive() for _ in range(3)]
    assert all(isinstance(time, int) for time in times)


def metadata(data: bytes) -> None:
    found = Metadata.unpack(data)
    found.parts()
    found.during(Fraction(1), Fraction(2), Fraction(-1))
    assert Metadata.unpack(found.pack()) == found


def attachments(data: bytes) -> None:
    """Pieces are payloads of `attachment`."""
    packets = [Packet(Kind.ATTACHMENT, payload) for payload in pieces(data)]
    found, losses = attachments_of(packets)
    assert sum(len(attachment.data) for attachment in found) <= len(data)
    assert len(losses) <= len(packets) + len(found) + 1
    assert attachments_of(pack_attachments(found)) == (found, [])


def tracks(data: bytes) -> None:
    """Payloads of `tracks`: u16 size of the first, then pieces."""
    size = int.from_bytes(data[:2], "little")
    reader = TrackReader(data[2 : 2 + size], Limits(max_memory=64 << 20))
    for payload in pieces(data[2 + size :]):
        reader.send(payload)
    for packet in reader.waiting:
        assert reader.av_packet(packet).size == len(packet.data)
    reader.drop(before=Fraction(1), since=Fraction(2))


def fitted(data: bytes) -> None:
    """A payload of `fit`: what is read is written the same way again."""
    contents = read_fit(data, small_painter(), FORMAT.width, FORMAT.height, 40)
    rest, strength = weights.split_strength(data)
    if contents is None:
        return
    joined = weights.join_strength(rest, strength)
    assert weights.split_strength(joined) == (rest, strength)
    deltas = [Delta(name, np.array(values), exponent) for name, exponent, values in contents[3]]
    whole = [name for group in GROUPS if {d.name for d in deltas} & set(group) for name in group]
    if deltas and [d.name for d in deltas] == whole and all(d.values.any() for d in deltas):
        again = read_fit(pack_deltas(deltas), small_painter(), FORMAT.width, FORMAT.height, 40)
        assert [entry[:2] for entry in again[3]] == [entry[:2] for entry in contents[3]]


def summary(data: bytes) -> None:
    """u8 frames, then a payload of `summary`."""
    if data:
        found = Summary.unpack(data[1:], data[0] + 1)
        assert np.array_equal(found.vectors, Summary.unpack(found.pack(), data[0] + 1).vectors)


def standard(data: bytes) -> None:
    """u8 base, u8 size / 8, then a frame's payload: what FFmpeg would get of it."""
    if len(data) < 2:
        return
    base, side = STANDARDS[data[0] % 2], 8 * (data[1] + 1)
    check_payload(base, data[2:], side, side)
    unit = restore_unit(base, data[2:])
    # Size fields of OBUs; start codes of the 127 NAL units that a payload may count.
    assert len(unit) <= 4 * len(data) + 127 * 4 + 64


def painting(data: bytes) -> None:
    """u8 base, then { u8 kind, u16 size, payload }: packets of a stream whose frames
    are painted, the same ones on one thread and on two. Where packets are damaged, decoders of
    standard bitstreams give out fewer frames on more threads."""
    if not data:
        return
    packets, at = [], 1
    while at + 3 <= len(data):
        size = int.from_bytes(data[at + 1 : at + 3], "little")
        packets.append(Packet(_PAINTED[data[at] % 4], data[at + 3 : at + 3 + size]))
        at += 3 + size
    base = STANDARDS[data[0] % 2]
    name = model_id(PAINTER.find())
    identity = base_model_id(EncoderConfig(base=base))
    made = SequenceHeader(FORMAT, base, Fraction(1), 35, 0, identity, name)
    one, two = painted(made, packets, 1), painted(made, packets, 2)
    for frame, twin in zip(one, two, strict=False):
        for plane, same, base_frame in zip(
            frame.planes, twin.planes, frame.base_frame, strict=True
        ):
            assert plane.shape == base_frame.shape and plane.max() < 1024
            assert np.array_equal(plane, same)


def painted(made: SequenceHeader, packets: list[Packet], threads: int) -> list[DecodedFrame]:
    """The frames up to the first packet that cannot be decoded."""
    frames: list[DecodedFrame] = []
    with contextlib.suppress(GvcodecError):
        frames.extend(Decoder(made, threads=threads).frames_of(packets))
    return frames


def varint(data: bytes) -> None:
    cursor = Cursor(data, "fuzz")
    while len(cursor):
        kind = cursor.uint(1) % 4
        (cursor.var, cursor.svar, lambda: cursor.take(cursor.var()), lambda: cursor.uint(4))[kind]()


class _Units:
    """Stands for a container: units at 25 a second."""

    def __init__(self, data: list[bytes]) -> None:
        self._data = data

    def units(self) -> Iterator[TimedUnit]:
        for number, unit in enumerate(self._data):
            yield TimedUnit(parse_temporal_unit(unit), Fraction(number, 25))

    def tracks(self) -> None:
        return None

    def attachments(self) -> list[Attachment]:
        return []

    def describe(self) -> Metadata:
        return Metadata("", ())


def units(data: bytes) -> None:
    """Temporal units of a one-file: pieces that are entries of a metadata OBU, sealed here, in
    front of a frame that is no AV1; and the input as a unit by itself."""
    sealed = []
    for piece in pieces(data):
        inside = b"\x89GVC\1" + piece
        body = b"\x16" + inside + zlib.crc32(inside).to_bytes(4, "little") + b"\x80"
        with contextlib.suppress(GvcodecError):
            found = parse(body) or []
            assert parse_temporal_unit(pack(found)).entries == tuple(found)
        sealed.append(b"\x2a" + encode_var(len(body)) + body + b"\x32\x01\x10")
    out = io.BytesIO()
    with contextlib.suppress(GvcodecError):
        read_units(_Units(sealed), out, "fuzz", Limits())
    unit = parse_temporal_unit(data)
    assert parse_temporal_unit(insert_entries(unit.payload, unit.entries)).entries == unit.entries


_ALL = header, timing, metadata, tracks, fitted, summary, standard, painting
PARTS: dict[str, Callable[[bytes], None]] = {
    f.__name__: f for f in (*_ALL, attachments, varint, units)
}


def one_input(part: str, data: bytes) -> None:
    with contextlib.suppress(GvcodecError):
        PARTS[part](data)


if __name__ == "__main__":
    import atheris

    chosen = sys.argv.pop(1)
    atheris.Setup(sys.argv, lambda data: one_input(chosen, data))
    atheris.Fuzz()
