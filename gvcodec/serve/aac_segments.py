"""Parts of a track of sound, each coded by itself as AAC, whose frames fit each other.

Frames lie on a grid of 1024 samples that begins at time 0. The encoder gets a little of the sound
before each part, so that a player that joins the parts hears no seam.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

#: Samples a second, of a frame, and bits a second of a channel.
RATE, _FRAME, _BITRATE = 48_000, 1024, 96_000
#: Frames before the first one and after the last one that the encoder gets: a frame is heard
#: together with its neighbours.
_BEFORE, _AFTER = 3, 2
#: Seconds of sound that a decoder gets before the audible part; seconds of silence that are a gap.
PREROLL, _HOLE = Fraction(1, 5), Fraction(1, 50)


def add_aac(container: av.container.OutputContainer, channels: int) -> Any:
    """A stream for `code_part`, mono or stereo."""
    layout = "mono" if channels == 1 else "stereo"
    stream: Any = container.add_stream("aac", rate=RATE, layout=layout)
    stream.bit_rate = _BITRATE * stream.layout.nb_channels
    return stream


def code_part(
    stream: Any, decoder: Any, packets: Iterable[av.Packet], begin: Fraction, end: Fraction
) -> list[Any]:
    """AAC frames that begin within [`begin`, `end`), seconds ≥ 0. `packets` for `decoder` hold this
    part and `PREROLL` before it. Packets that cannot be decoded become silence."""
    first, last = (math.ceil(time * RATE / _FRAME) for time in (begin, end))
    start, stop = (first - _BEFORE) * _FRAME, (last + _AFTER) * _FRAME
    samples = _decode(decoder, packets, stream.layout, start, stop - start)  # [C, T]
    coded: list[Any] = []
    for at in range(0, stop - start, _FRAME):
        part = np.ascontiguousarray(samples[:, at : at + _FRAME])
        frame = av.AudioFrame.from_ndarray(part, "fltp", stream.layout.name)
        frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), start + at
        coded += stream.encode(frame)
    coded += stream.encode(None)
    return [packet for packet in coded if first * _FRAME <= packet.pts < last * _FRAME]


def _decode(
    decoder: Any, packets: Iterable[av.Packet], layout: av.AudioLayout, start: int, length: int
) -> NDArray[np.float32]:
    """Samples [C, T] from sample `start` on, silence where there is no sound."""
    samples = np.zeros((layout.nb_channels, length), np.float32)
    resampler = av.AudioResampler("fltp", layout, RATE)
    place: int | None = None
    for packet in packets:
        try:
            frames = decoder.decode(packet)
        except av.FFmpegError:
            continue
        for frame in frames:
            begins = round(frame.pts * frame.time_base * RATE) - start
            if place is None or abs(begins - place) > _HOLE * RATE:
                place = begins
            frame.pts = None
            for part in resampler.resample(frame):
                skipped, end = max(0, -place), max(0, length - place)
                heard = part.to_ndarray()[:, skipped:end]
                samples[:, place + skipped : place + skipped + heard.shape[1]] = heard
                place += part.samples
    return samples
