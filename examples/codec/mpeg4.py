"""A codec of one's own next to gvcodec, by `--codec-file examples/codec/mpeg4.toml`.

A learned codec such as DCVC replaces `code` (frames in, bytes out) and `show` (bytes in, frames
out). A stream here is width, height and frame rate, then packets, each after its size.
"""

from __future__ import annotations

import argparse
import struct
from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
import numpy as np

_HEAD, _SIZE = struct.Struct("<HHII"), struct.Struct("<I")


def code(frames: Iterable[av.VideoFrame], rate: Fraction, q: int, keyint: int) -> Iterator[bytes]:
    """The stream, a packet for each frame."""
    codec = None
    for number, frame in enumerate(frames):
        if codec is None:
            codec = av.CodecContext.create("mpeg4", "w")
            codec.width, codec.height, codec.pix_fmt = frame.width, frame.height, "yuv420p"
            codec.framerate, codec.time_base = rate, 1 / rate
            codec.gop_size, codec.max_b_frames = min(keyint, 600), 0
            codec.qmin = codec.qmax = q
            codec.flags |= av.codec.context.Flags.qscale
            codec.options = {"global_quality": str(118 * q)}
            yield _HEAD.pack(frame.width, frame.height, rate.numerator, rate.denominator)
        plain = frame.reformat(format="yuv420p")
        plain.pts, plain.time_base = number, 1 / rate
        yield from map(bytes, codec.encode(plain))
    yield from map(bytes, codec.encode(None) if codec else ())


def show(packets: Iterable[bytes], width: int, height: int) -> Iterator[np.ndarray]:
    """Frames as planar 4:2:0 samples, (3/2 H, W) uint8."""
    codec = av.CodecContext.create("mpeg4", "r")
    codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
    for packet in [*map(av.Packet, packets), None]:
        for frame in codec.decode(packet):
            yield frame.to_ndarray(format="yuv420p")


def encode(source: str, stream: str, q: int, keyint: int) -> None:
    with av.open(source) as container, open(stream, "wb") as file:
        rate = Fraction(container.streams.video[0].average_rate or 25)
        coded = code(container.decode(video=0), rate, q, keyint)
        file.write(next(coded))
        file.writelines(_SIZE.pack(len(packet)) + packet for packet in coded)


def decode(stream: str, output: str) -> None:
    with open(stream, "rb") as file, open(output, "wb") as shown:
        width, height, *rate = _HEAD.unpack(file.read(_HEAD.size))
        shown.write(b"YUV4MPEG2 W%d H%d F%d:%d Ip C420\n" % (width, height, *rate))
        sizes = iter(lambda: file.read(_SIZE.size), b"")
        packets = (file.read(_SIZE.unpack(size)[0]) for size in sizes)
        shown.writelines(b"FRAME\n" + frame.tobytes() for frame in show(packets, width, height))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    encoder, decoder = commands.add_parser("encode"), commands.add_parser("decode")
    encoder.add_argument("input")
    encoder.add_argument("stream")
    encoder.add_argument("--q", type=int, required=True)
    encoder.add_argument("--keyint", type=int, required=True)
    decoder.add_argument("stream")
    decoder.add_argument("output")
    options = parser.parse_args()
    if options.command == "encode":
        encode(options.input, options.stream, options.q, options.keyint)
    else:
        decode(options.stream, options.output)


if __name__ == "__main__":
    main()
