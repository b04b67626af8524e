"""Coverage-guided fuzzing of the container and of everything above it: `python
tests/fuzz/stream_fuzz.py CORPUS [libFuzzer options]`.

Needs atheris (`pip install atheris`). Checksums would stop every mutation at once, so an input is a
list of packets that is sealed with right ones: u8 base (av1, vvc), then { u8 kind, u16
size, payload }; base 255: a raw stream. Decoding, decoding despite damage, taking apart and
searching must end with frames or a `GvcodecError`.
"""

import contextlib
import io
import sys
from fractions import Fraction
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]

from parts_fuzz import instrumented

with instrumented(__name__):
    from gvcodec.api import info
    from gvcodec.base import base_model_id
    from gvcodec.bitstream import Kind, Packet, Reader, SequenceHeader
    from gvcodec.bitstream.recovery import Salvage
    from gvcodec.codec.decoder import Decoder
    from gvcodec.codec.gops import GopSource
    from gvcodec.config import EncoderConfig
    from gvcodec.edit.repair import repair_stream
    from gvcodec.errors import GvcodecError
    from gvcodec.retrieval.files import SummarisedFile
    from gvcodec.retrieval.ranking import best, scores
    from gvcodec.types import VideoFormat
    from tests.fuzz.robustness.sealed import sealed_packets

BASES = ("av1", "vvc")
FORMAT = VideoFormat(40, 24, Fraction(25), Fraction(1, 1000))
RAW = 255
_KINDS = (Kind.INTER, Kind.KEY, Kind.FIT, Kind.TIMING, Kind.TRACKS, Kind.LATENT, Kind.SUMMARY)
_MAX_PIXELS = 1 << 14


def stream_of(data: bytes) -> bytes:
    if not data or data[0] == RAW:
        return data[1:]
    base = BASES[data[0] % len(BASES)]
    identity = base_model_id(EncoderConfig(base=base))
    header = SequenceHeader(FORMAT, base, Fraction(1), 35, 0, identity)
    packets, at = [], 1
    while at + 3 <= len(data):
        size = int.from_bytes(data[at + 1 : at + 3], "little")
        packets.append(Packet(_KINDS[data[at] % len(_KINDS)], data[at + 3 : at + 3 + size]))
        at += 3 + size
    return sealed_packets(header.pack(), packets, bytes(8))


def one_input(data: bytes) -> None:
    stream = stream_of(data)
    with contextlib.suppress(GvcodecError):
        fmt = Reader(io.BytesIO(stream)).header.format
        if fmt.width * fmt.height > _MAX_PIXELS:
            return
    for use in (_report, _decode, _decode_despite, _take_apart, _search):
        with contextlib.suppress(GvcodecError):
            use(stream)


def _report(stream: bytes) -> None:
    reader = Reader(io.BytesIO(stream))
    reader.gops()
    info.format_info(info.read_info(reader))


def _decode(stream: bytes) -> None:
    reader = Reader(io.BytesIO(stream))
    for frame in Decoder(reader.header, fidelity=True, threads=1).frames_of(reader.packets()):
        assert frame.planes[0].max() < 1024


def _decode_despite(stream: bytes) -> None:
    # Behind a hole the stream is read on: the hole is in the middle.
    hole = len(stream) // 2
    damaged = io.BytesIO(stream[:hole] + bytes(3) + stream[hole + 3 :])
    repair_stream(damaged, "a", io.BytesIO(), threads=1)


def _take_apart(stream: bytes) -> None:
    salvage = Salvage(io.BytesIO(stream))
    for gop in GopSource(salvage.header, salvage.events()):
        assert len(gop.times) == gop.frames


def _search(stream: bytes) -> None:
    file = SummarisedFile(io.BytesIO(stream), "stream")
    for own in file.vectors.values():
        for at in best(scores(own.values[:1], [0.0], own.values, own.frames), own.frames, 3):
            file.seconds(int(own.frames[at]))


if __name__ == "__main__":
    import atheris

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
