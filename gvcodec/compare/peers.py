"""Other encoders, through the program `ffmpeg`: a table of them, and their pictures at a number of
bytes.

Streams are elementary and without SEI texts. At a number of bytes each encoder runs at a quality
number that `gvcodec.rate.bracket` finds, in its random-access form.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import av

from gvcodec.errors import MediaError
from gvcodec.planes import Scaler, planes_from_frame, samples_of
from gvcodec.rate.bracket import Bracket
from gvcodec.sink.output import POOL_PIXELS
from gvcodec.types import Planes, VideoFormat
from gvcodec.util.ffmpeg import Process, find_ffmpeg, raw_input
from gvcodec.util.file_io import work_folder
from gvcodec.util.process import count_cores

Result = TypeVar("Result")

#: Intra period for a single intra frame.
ENDLESS = 9999
#: Largest and least bytes of a peer, relative to the target.
SLACK, _NEAR = 1.02, 0.985
_FINEST, STEPS = 10.0, 7
#: Smaller pictures are not tried at half size: SVT-AV1 may refuse them.
_SMALLEST = 64
#: Steps of the quality number that halve the bytes, as a first guess.
_HALVES = 6.0
#: A period that no clip reaches: a multiple of every GOP size, by which VVenC lays out its
#: hierarchy.
_NEVER = 1 << 20
#: Most frame threads of x265.
_MOST_THREADS = 16


@dataclass(frozen=True, slots=True)
class Peer:
    """An encoder: `library` of FFmpeg, options common to both forms and of each, `presets` by the
    names "compare" (`gvcodec compare`), "conditions" and "fast" (evaluation), `muxer` of its
    elementary stream. Options hold `{q}`, `{keyint}`, `{threads}`, `{single}`, `{period}`.

    `single` replaces `{single}` for a single intra frame, and `{period}` is the encoder's own intra
    period. `quality_range`: finest and coarsest quality number, `unit`: its step."""

    label: str
    library: str
    muxer: str
    quality_range: tuple[int, int]
    presets: dict[str, tuple[str, ...]]
    common: tuple[str, ...]
    low: tuple[str, ...]
    random: tuple[str, ...]
    unit: float = 1.0
    single: str = ""

    @property
    def title(self) -> str:
        """With the preset of `gvcodec compare`: "x265, preset slow"."""
        return f"{self.label}, {' '.join(self.presets['compare']).removeprefix('-')}"

    def options(
        self,
        form: Literal["low", "random"],
        keyint: int = ENDLESS,
        *,
        scene_cuts: bool = False,
    ) -> list[str]:
        """Options of a form, low delay or random access, for an intra period; `{q}`, `{keyint}` and
        `{threads}` remain placeholders. `scene_cuts`: the encoder may place more intra frames."""
        only_first = keyint == ENDLESS
        single = self.single if only_first and not scene_cuts else ""
        period = str(_NEVER if only_first else keyint)
        return [
            word
            for template in (*self.common, *(self.low if form == "low" else self.random))
            for word in template.replace("{single}", single).replace("{period}", period).split()
        ]


_X265 = (
    "log-level=none:info=0:pools={threads}:frame-threads={threads}:open-gop=0"
    ":keyint={keyint}{single}"
)
#: FFmpeg's own CRF ends at 63, SVT-AV1's at 70.
_SVT = "lp={threads}:keyint={keyint}:crf={q}"
#: ffmpeg's `-g` does not reach VVenC, which then takes about a second. One thread: with
#: any, libvvenc gives nothing if the video ends before its first frame is out.
_VVENC = "threads=0:intraperiod={period}"

PEERS = {
    "x264": Peer(
        "x264",
        "libx264",
        "h264",
        (10, 51),
        {
            "compare": ("-preset", "slow"),
            "conditions": ("-preset", "veryslow"),
            "fast": ("-preset", "medium"),
        },
        (
            *("-threads", "{threads}", "-crf", "{q}", "-g", "{keyint}"),
            *("-bsf:v", "filter_units=remove_types=6"),
            "{single}",
        ),
        ("-bf", "0"),
        (),
        unit=0.01,
        single="-sc_threshold 0",
    ),
    "x265": Peer(
        "x265",
        "libx265",
        "hevc",
        (10, 51),
        {
            "compare": ("-preset", "slow"),
            "conditions": ("-preset", "veryslow"),
            "fast": ("-preset", "medium"),
        },
        ("-crf", "{q}", "-x265-params"),
        (f"{_X265}:bframes=0",),
        (_X265,),
        unit=0.01,
        single=":scenecut=0",
    ),
    "svtav1": Peer(
        "SVT-AV1",
        "libsvtav1",
        "obu",
        (1, 70),
        {
            "compare": ("-preset", "4"),
            "conditions": ("-preset", "4"),
            "fast": ("-preset", "8"),
        },
        ("-svtav1-params",),
        (f"pred-struct=1:{_SVT}",),
        (_SVT,),
    ),
    "aom": Peer(
        "libaom",
        "libaom-av1",
        "obu",
        (1, 63),
        {
            "compare": ("-cpu-used", "4"),
            "conditions": ("-cpu-used", "4"),
            "fast": ("-cpu-used", "6"),
        },
        ("-threads", "{threads}", "-crf", "{q}", "-b:v", "0", "-g", "{keyint}", "{single}"),
        ("-lag-in-frames", "0"),
        (),
        single="-keyint_min {keyint}",
    ),
    "vvenc": Peer(
        "VVenC",
        "libvvenc",
        "vvc",
        (12, 63),
        {
            "compare": ("-preset", "medium"),
            "conditions": ("-preset", "slow"),
            "fast": ("-preset", "faster"),
        },
        ("-qp", "{q}", "-vvenc-params"),
        (f"{_VVENC}:gopsize=8:picreordering=0:decodingrefreshtype=none",),
        (f"{_VVENC}:decodingrefreshtype=idr",),
    ),
}


@dataclass(frozen=True, slots=True)
class PeerEncode:
    """`sizes`: bytes of the packets in decode order; `frames`: decoded planes in display order;
    `scale`: coded size relative to theirs."""

    sizes: list[int]
    frames: list[Planes]
    scale: Fraction = Fraction(1)


def encode_at(
    name: str,
    frames: Sequence[Planes],
    fmt: VideoFormat,
    size: int,
    watch: Callable[[int, int], None] = lambda attempt, done: None,
) -> PeerEncode | None:
    """The largest encode of a peer within 2 % of `size`, at half resolution if its coarsest has
    more; None if that has more too. `watch` gets attempt and frames."""
    attempts = 0
    for scale in (Fraction(1), Fraction(1, 2)):
        down = Scaler(fmt, scale)
        if scale < 1 and min(down.format.width, down.format.height) < _SMALLEST:
            break
        small = frames if scale == 1 else [down.apply(planes) for planes in frames]
        up = Scaler(down.format, (fmt.width, fmt.height))

        def encode_at_quality(quality: float) -> tuple[int, PeerEncode]:
            nonlocal attempts
            attempts += 1
            report_progress = partial(watch, attempts)
            attempt = encode(name, small, down.format, quality, watch=report_progress)  # noqa: B023
            return sum(attempt.sizes), attempt

        bytes_made, best = nearest(
            encode_at_quality, size, PEERS[name].quality_range[1], PEERS[name].unit
        )
        if bytes_made <= SLACK * size:
            pictures = best.frames if scale == 1 else [up.apply(planes) for planes in best.frames]
            return PeerEncode(best.sizes, pictures, scale)
    return None


def nearest(
    encode_at_quality: Callable[[float], tuple[int, Result]],
    size: int,
    coarsest: float,
    unit: float = 0.01,
) -> tuple[int, Result]:
    """The largest result within `SLACK` of `size`, else the coarsest. `coded`: (bytes, result) of a
    quality number."""
    bracket = Bracket(_FINEST, coarsest, math.log(2) / _HALVES, coarsest, unit)
    best: tuple[int, Result] | None = None
    for quality in itertools.islice(bracket, STEPS + 1):
        attempt = encode_at_quality(quality)
        bracket.samples[quality] = math.log(attempt[0] / size)
        if best is None or best[0] < attempt[0] <= SLACK * size:
            best = attempt
        if _NEAR * size <= best[0] <= SLACK * size:
            break
    assert best is not None
    return best


def encode(
    name: str,
    frames: Sequence[Planes],
    fmt: VideoFormat,
    quality: float,
    watch: Callable[[int], None] = lambda done: None,
    preset: Sequence[str] = (),
) -> PeerEncode:
    """Code frames by peer `name` and decode them; `watch` gets the number of frames sent, `preset`
    replaces the words of `presets["compare"]`. Raises `UsageError` without an ffmpeg that has the
    encoder, `MediaError` when it fails."""
    peer = PEERS[name]
    # x265 sometimes crashes on small pictures with a pool of threads.
    small = fmt.width * fmt.height < POOL_PIXELS
    values = {
        "q": f"{quality:.2f}" if peer.unit < 1 else str(round(quality)),
        "keyint": ENDLESS,
        "threads": 1 if small else min(count_cores(), _MOST_THREADS),
    }
    options = [word.format_map(values) for word in peer.options("random", scene_cuts=True)]
    program = find_ffmpeg(peer.library)
    with work_folder() as folder:
        stream = str(Path(folder, f"stream.{peer.muxer}"))
        words = [
            *raw_input(fmt.width, fmt.height, fmt.frame_rate, fmt.bit_depth),
            *("-i", "pipe:0", "-fps_mode", "passthrough"),
            *("-c:v", peer.library, *(preset or peer.presets["compare"]), *options),
            *("-f", peer.muxer, stream),
        ]
        process = Process(program, words, peer.library)
        for number, planes in enumerate(frames):
            process.write(samples_of(planes, fmt.bit_depth))
            process.flush()
            watch(number + 1)
        process.finish()
        with av.open(stream, format=peer.muxer) as container:
            sizes = [packet.size for packet in container.demux(video=0) if packet.size]
        with av.open(stream, format=peer.muxer) as container:
            decoded_frames = [planes_from_frame(frame) for frame in container.decode(video=0)]
    if len(decoded_frames) != len(frames):
        raise MediaError(f"{peer.label} coded {len(decoded_frames)} of {len(frames)} frames")
    return PeerEncode(sizes, decoded_frames)
