"""Other encoders at a number of bytes: x264, x265 and SVT-AV1 as PyAV carries them.

Sizes are those of the packets; no container counts. Each encoder decides by CRF, found by
following the line of log bytes over CRF.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import av

from gvcodec.media.planes import frame_from_planes, planes_from_frame
from gvcodec.types import Planes, VideoFormat

#: More than the wanted bytes a peer may have, and the least where the search ends.
_SLACK, _NEAR = 1.02, 0.985
_FINEST, _STEPS = 10.0, 7
#: Bytes halve about every so many steps of CRF: the first guess.
_HALVES = 6.0


@dataclass(frozen=True, slots=True)
class Peer:
    """`library` and `decoder`: FFmpeg's names of the encoder and of what reads its packets;
    `coarsest`: the end of its CRF, `unit`: what CRF is rounded to."""

    title: str
    library: str
    decoder: str
    options: dict[str, str]
    coarsest: float
    unit: float


#: Slow presets: nobody who compares codes in real time.
PEERS = {
    "x264": Peer(
        "x264, preset slow",
        "libx264",
        "h264",
        {"preset": "slow", "x264-params": "keyint=9999"},
        51.0,
        0.01,
    ),
    "x265": Peer(
        "x265, preset slow",
        "libx265",
        "hevc",
        {"preset": "slow", "x265-params": "log-level=none:keyint=-1"},
        51.0,
        0.01,
    ),
    "svtav1": Peer(
        "SVT-AV1, preset 4",
        "libsvtav1",
        "libdav1d",
        {"preset": "4", "svtav1-params": "keyint=-1"},
        63.0,
        1.0,
    ),
}


@dataclass(frozen=True, slots=True)
class Coded:
    """`sizes`: bytes of the packets in decode order; `frames`: decoded planes in display order."""

    sizes: list[int]
    frames: list[Planes]


def encode_at(name: str, frames: Sequence[Planes], fmt: VideoFormat, size: int) -> Coded | None:
    """The most bytes of peer `name` that are not more than `size` by 2 %; None where even its
    coarsest quality has more."""
    peer = PEERS[name]
    coded = cache(lambda crf: _encode(peer, frames, fmt, crf))
    found = _search(lambda crf: coded(round(crf / peer.unit) * peer.unit), size, peer.coarsest)
    return found if sum(found.sizes) <= _SLACK * size else None


def _search(coded: Callable[[float], Coded], size: int, coarsest: float) -> Coded:
    low, high = _FINEST, coarsest
    best = coded(high)
    last_crf, last_size, slope = high, sum(best.sizes), -1 / _HALVES
    for _ in range(_STEPS):
        if _NEAR * size <= sum(best.sizes) <= _SLACK * size:
            break
        guess = last_crf + math.log2(size / last_size) / slope
        crf = guess if low < guess < high else (low + high) / 2
        tried = coded(crf)
        found = sum(tried.sizes)
        if found != last_size and crf != last_crf:
            slope = min(-0.02, math.log2(found / last_size) / (crf - last_crf))
        last_crf, last_size = crf, found
        if found <= _SLACK * size:
            best, high = max(best, tried, key=lambda one: sum(one.sizes)), crf
        else:
            low = crf
    return best


def _encode(peer: Peer, frames: Sequence[Planes], fmt: VideoFormat, crf: float) -> Coded:
    # SVT-AV1 prints its settings unless it is asked for errors alone.
    os.environ.setdefault("SVT_LOG", "1")
    encoder = av.CodecContext.create(peer.library, "w")
    encoder.width, encoder.height = fmt.width, fmt.height
    encoder.framerate, encoder.time_base = fmt.frame_rate, 1 / fmt.frame_rate
    encoder.pix_fmt = "yuv420p10le"
    encoder.options = peer.options | {"crf": f"{crf:.2f}" if peer.unit < 1 else str(round(crf))}
    packets = []
    for number, planes in enumerate(frames):
        frame = frame_from_planes(planes, 10)
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    sizes, payloads = [packet.size for packet in packets], [bytes(packet) for packet in packets]
    decoder = av.CodecContext.create(peer.decoder, "r")
    shown = [f for data in payloads for f in decoder.decode(av.Packet(data))]
    return Coded(sizes, [planes_from_frame(f) for f in [*shown, *decoder.decode(None)]])
