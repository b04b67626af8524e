"""Other encoders at a given number of bytes: x264, x265 and SVT-AV1, through PyAV.

Sizes count packets without a container. Each encoder runs at a CRF that `gvcodec.rate.bracket`
finds.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import TypeVar, cast

import av

from gvcodec.media.output import POOL_PIXELS
from gvcodec.media.planes import Scaler, frame_from_planes, planes_from_frame
from gvcodec.rate.bracket import Bracket
from gvcodec.types import Planes, VideoFormat
from gvcodec.util.process import quiet_svt

Result = TypeVar("Result")

#: More than the wanted bytes a peer may have, and the least where the search ends.
SLACK, _NEAR = 1.02, 0.985
_FINEST, STEPS = 10.0, 7
#: SVT-AV1 crashes on smaller pictures.
_SMALLEST = 64
#: Steps of CRF that halve the bytes, as a first guess.
_HALVES = 6.0


@dataclass(frozen=True, slots=True)
class Peer:
    """`library`, `decoder`: FFmpeg's names; `coarsest`: end of its CRF, `unit`: its step;
    `parameters`: the option of FFmpeg that holds CRF, "" = its own."""

    title: str
    library: str
    decoder: str
    options: dict[str, str]
    coarsest: float
    unit: float
    parameters: str = ""


#: Slow presets: a comparison need not run in real time.
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
        {"preset": "slow", "x265-params": "log-level=none:keyint=-1:info=0"},
        51.0,
        0.01,
    ),
    "svtav1": Peer(
        "SVT-AV1, preset 4",
        "libsvtav1",
        "libdav1d",
        {"preset": "4", "svtav1-params": "keyint=-1"},
        70.0,  # FFmpeg's own option ends at 63
        1.0,
        "svtav1-params",
    ),
}


@dataclass(frozen=True, slots=True)
class Coded:
    """`sizes`: bytes of the packets in decode order; `frames`: decoded planes in display order;
    `scale`: part of their size at which they were coded."""

    sizes: list[int]
    frames: list[Planes]
    scale: Fraction = Fraction(1)


def encode_at(
    name: str,
    frames: Sequence[Planes],
    fmt: VideoFormat,
    size: int,
    watch: Callable[[int, int], None] = lambda attempt, done: None,
) -> Coded | None:
    """The most bytes of a peer within 2 % of `size`, at half the size where its coarsest has more;
    None where that has more too. `watch` gets attempt and frames."""
    attempts = 0
    for scale in (Fraction(1), Fraction(1, 2)):
        down = Scaler(fmt, scale)
        if scale < 1 and min(down.format.width, down.format.height) < _SMALLEST:
            break
        small = frames if scale == 1 else [down.apply(planes) for planes in frames]
        up = Scaler(down.format, (fmt.width, fmt.height))

        def coded(crf: float) -> tuple[int, Coded]:
            nonlocal attempts
            attempts += 1
            seen = partial(watch, attempts)
            made = encode(name, small, down.format, crf, watch=seen)  # noqa: B023
            return sum(made.sizes), made

        found, made = nearest(coded, size, PEERS[name].coarsest, PEERS[name].unit)
        if found <= SLACK * size:
            shown = made.frames if scale == 1 else [up.apply(planes) for planes in made.frames]
            return Coded(made.sizes, shown, scale)
    return None


def nearest(
    coded: Callable[[float], tuple[int, Result]], size: int, coarsest: float, unit: float = 0.01
) -> tuple[int, Result]:
    """The most bytes within `SLACK` of `size`, else the coarsest. `coded`: (bytes, result) of a
    CRF."""
    bracket = Bracket(_FINEST, coarsest, math.log(2) / _HALVES, coarsest, unit)
    best: tuple[int, Result] | None = None
    for crf in itertools.islice(bracket, STEPS + 1):
        found = coded(crf)
        bracket.known[crf] = math.log(found[0] / size)
        if best is None or best[0] < found[0] <= SLACK * size:
            best = found
        if _NEAR * size <= best[0] <= SLACK * size:
            break
    assert best is not None
    return best


def encode(
    name: str,
    frames: Sequence[Planes],
    fmt: VideoFormat,
    crf: float,
    threads: int = 0,
    watch: Callable[[int], None] = lambda done: None,
) -> Coded:
    """Code frames by peer `name` and decode them; `watch` gets how many went in."""
    peer = PEERS[name]
    quiet_svt()
    encoder = cast("av.VideoCodecContext", av.CodecContext.create(peer.library, "w"))
    encoder.width, encoder.height = fmt.width, fmt.height
    encoder.framerate, encoder.time_base = fmt.frame_rate, 1 / fmt.frame_rate
    encoder.pix_fmt = "yuv420p" if fmt.bit_depth == 8 else "yuv420p10le"
    # x265 crashes on small pictures now and then where it has a pool of threads.
    encoder.thread_count = 1 if fmt.width * fmt.height < POOL_PIXELS else threads
    shown_crf = f"{crf:.2f}" if peer.unit < 1 else str(round(crf))
    encoder.options = peer.options | (
        {peer.parameters: f"{peer.options[peer.parameters]}:crf={shown_crf}"}
        if peer.parameters
        else {"crf": shown_crf}
    )
    packets = []
    for number, planes in enumerate(frames):
        frame = frame_from_planes(planes, fmt.bit_depth)
        frame.pts = number
        packets += encoder.encode(frame)
        watch(number + 1)
    packets += encoder.encode(None)
    decoder = cast("av.VideoCodecContext", av.CodecContext.create(peer.decoder, "r"))
    shown = [f for packet in packets for f in decoder.decode(av.Packet(bytes(packet)))]
    shown += decoder.decode(None)
    return Coded([packet.size for packet in packets], [planes_from_frame(f) for f in shown])
