"""Small streams to be damaged: golden ones, and one with sound, fits and odd times."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

import gvcodec
from gvcodec.bitstream import Kind, Packet
from gvcodec.codec.gops import BASE_WEIGHTS
from gvcodec.tracks.copier import TrackCopier
from gvcodec.tracks.packets import TrackPacket
from gvcodec.types import Planes, VideoFormat
from tests.clips import sound_of
from tests.conftest import rewritten

_GOLDEN = Path(__file__).parents[2] / "golden"


def streams() -> dict[str, bytes]:
    """Name and bytes of each, in the newest version of the format."""
    found = {path.stem: path.read_bytes() for path in sorted(_GOLDEN.glob("*.bin"))}
    return {name: rewritten(data, list) for name, data in found.items()} | {"rich": rich()}


def rich() -> bytes:
    """Nine frames of 40×24 in three GOPs of AV1 with sound, two fits and a frame that is late."""
    fmt = VideoFormat(40, 24, Fraction(25), Fraction(1, 1000))
    config = gvcodec.EncoderConfig(base_q=40, preset=10, keyint=3, fit=0, low_delay=True, threads=1)
    encoder = gvcodec.Encoder(fmt, config)
    stream = io.BytesIO()
    writer = gvcodec.Writer(stream, encoder.header)
    tracks = sound()
    writer.write(Packet(Kind.TRACKS, tracks.pop()))
    for number in range(9):
        encoder.send_frame(_frame(number), 40 * number + 15 * (number > 3))
        # With low delay every packet leaves with its frame.
        while (packet := encoder.receive_packet()) is not None:
            if packet.kind is Kind.KEY and number != 6:
                writer.write(Packet(Kind.FIT, BASE_WEIGHTS))
            writer.write(packet)
        tracks.send(TrackPacket(0, 320 * number, 320, bytes([number]) * 40))
        writer.write(Packet(Kind.TRACKS, tracks.pop()))
    encoder.flush()
    writer.finish(encoder.base_hash)
    return stream.getvalue()


def sound() -> TrackCopier:
    data = io.BytesIO()
    with av.open(data, "w", format="wav") as container:
        output = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        container.mux(output.encode(sound_of(np.zeros((1, 80), np.int16), 8000)))
    return TrackCopier(av.open(io.BytesIO(data.getvalue())).streams.audio)


def _frame(number: int) -> Planes:
    y, x = np.mgrid[0:24, 0:40]
    luma = (200 + 8 * ((2 * x + 3 * y + 5 * number) % 64)).astype(np.uint16)
    return luma, luma[::2, ::2] // 2 + 256, 768 - luma[::2, ::2] // 2
