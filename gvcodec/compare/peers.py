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
from typing import TypeVar, cast

import av

from gvcodec.media.mux_writer import POOL_PIXELS
from gvcodec.media.planes import frame_from_planes, planes_from_frame
from gvcodec.types import Planes, VideoFormat

Result = TypeVar("Result")

#: More than the wanted bytes a peer may have, and the least where the search ends.
SLACK, _NEAR = 1.02, 0.985
_FINEST, STEPS = 10.0, 7
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

    @cache
    def coded(crf: float) -> tuple[int, Coded]:
        made = encode(name, frames, fmt, crf)
        return sum(made.sizes), made

    unit = PEERS[name].unit
    found, made = nearest(lambda crf: coded(round(crf / unit) * unit), size, PEERS[name].coarsest)
    return made if found <= SLACK * size else None


def nearest(
    coded: Callable[[float], tuple[int, Result]], size: int, coarsest: float
) -> tuple[int, Result]:
    """What has the most bytes that are not more than `size` by `SLACK`; the coarsest where there is
    nothing. `coded`: (bytes, result) at a CRF. The logarithm of the bytes is taken as a line over
    CRF, anew after each try."""
    low, high = _FINEST, coarsest
    best = coded(high)
    last, slope = (high, best[0]), -1 / _HALVES
    for _ in range(STEPS):
        if _NEAR * size <= best[0] <= SLACK * size:
            break
        guess = last[0] + math.log2(size / last[1]) / slope
        crf = guess if low < guess < high else (low + high) / 2
        found = coded(crf)
        if found[0] != last[1] and crf != last[0]:
            slope = min(-0.02, math.log2(found[0] / last[1]) / (crf - last[0]))
        last = (crf, found[0])
        if found[0] <= SLACK * size:
            best, high = max(best, found, key=lambda pair: pair[0]), crf
        else:
            low = crf
    return best


def encode(
    name: str, frames: Sequence[Planes], fmt: VideoFormat, crf: float, threads: int = 0
) -> Coded:
    """Code frames of `fmt` by peer `name` and decode them; `threads` 0 = as many as it likes."""
    peer = PEERS[name]
    # SVT-AV1 prints its settings unless it is asked for errors alone.
    os.environ.setdefault("SVT_LOG", "1")
    encoder = cast("av.VideoCodecContext", av.CodecContext.create(peer.library, "w"))
    encoder.width, encoder.height = fmt.width, fmt.height
    encoder.framerate, encoder.time_base = fmt.frame_rate, 1 / fmt.frame_rate
    encoder.pix_fmt = "yuv420p" if fmt.bit_depth == 8 else "yuv420p10le"
    # x265 crashes on small pictures now and then where it has a pool of threads.
    encoder.thread_count = 1 if fmt.width * fmt.height < POOL_PIXELS else threads
    encoder.options = peer.options | {"crf": f"{crf:.2f}" if peer.unit < 1 else str(round(crf))}
    packets = []
    for number, planes in enumerate(frames):
        frame = frame_from_planes(planes, fmt.bit_depth)
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoder = cast("av.VideoCodecContext", av.CodecContext.create(peer.decoder, "r"))
    shown = [f for packet in packets for f in decoder.decode(av.Packet(bytes(packet)))]
    shown += decoder.decode(None)
    return Coded([packet.size for packet in packets], [planes_from_frame(f) for f in shown])
