"""Structure layer that is a standard bitstream: AV1 (SVT-AV1, decoded by dav1d), H.265 (x265) or H.266 (VVenC), both decoded by FFmpeg.

Frames are coded with 10 bits, whatever the source has: at equal rate that is never worse and mostly better. At scale
3/4 or 1/2 the coded picture is smaller and loop frames come back at full size through the filters of
`gvcodec.structure.resample`. All decoders are exact by standard, so loop frames are the same everywhere; `StandardEncoder`
gets its loop frames from its own decoder. Sizes that the encoders cannot code are padded by edge replication.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Sequence
from fractions import Fraction
from functools import partial

import av
import numpy as np

from gvcodec.bitstream.header import MAX_PIXELS
from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.media.planes import frame_from_planes, planes_from_frame
from gvcodec.structure import Coded, CodedFrame
from gvcodec.structure.resample import Resampler
from gvcodec.structure.units import RESTORE, STRIP, packet_of
from gvcodec.structure.vvenc import VvcEncoder
from gvcodec.types import Colour, Plane, Planes, VideoFormat

CODECS = ("av1", "hevc", "vvc")
MAX_Q = 63

_ENCODERS = {"av1": "libsvtav1", "hevc": "libx265"}
_DECODERS = {"av1": "libdav1d", "hevc": "hevc", "vvc": "vvc"}
#: As slow as 1080p at a frame a second on two cores allows: preset 4 takes a third of the time and 6 to 12 % more bits.
USUAL_PRESET = 2
#: Presets there are, from the slowest to the fastest, and the one for trials.
PRESETS = {"av1": range(11), "vvc": range(5)}
_QUICK = {"av1": 8, "vvc": 4}
#: QP at q 0, at which VVenC does not fail yet, and steps of QP for one of q.
_VVENC_FINEST, _VVENC_STEP = 12, 4 / 7
_VVENC_PRESETS = ("slower", "slow", "medium", "fast", "faster")
#: For the eye: decisions that keep texture (preset 4: at equal LPIPS-VGG 8 % fewer bytes, at equal DISTS 26 %, at equal PSNR 8 % more).
FOR_THE_EYE = ("tune=0", "ac-bias=4")
#: SVT-AV1 takes factors of lambda in 1/128, one for each kind of frame.
_FRAME_KINDS, _LAMBDA_LIMIT = 7, 1024
_X265_PRESET = "medium"
_X265_QUICK = "superfast"
_INTRA = 1
#: SVT-AV1 takes no higher frame rate, VVenC no lower. Encoders only need it for their rate control; timestamps are kept elsewhere.
_MAX_RATE, _MIN_RATE = Fraction(240), Fraction(1)
#: Primaries, transfers and matrices that every encoder here takes for 4:2:0; of others the stream's own header knows.
_TAKEN = ({1, 2, *range(4, 13)}, {1, 2, *range(4, 19)}, {1, 2, *range(4, 15)})
_UNSPECIFIED = 2
#: Side of the blocks that a screen is told by, in 8-bit steps how far values of one lie apart, and the share of such blocks.
_BLOCK, _FAR, _DRAWN = 16, 64, 0.08
#: Keyframes are placed here, not by the encoders: their own period is out of reach.
_NEVER = 1 << 20


class StandardEncoder:
    """Encoder of the plug. `q` 0…63 is SVT-AV1's CRF (at least 1, in quarters), 63/51 of x265's, or makes VVenC's QP (12 … 48, in one thread).

    `trim` makes a change of rate that is too small for `q`: it adds to the log of lambda (av1, vvc), or takes off the log of the
    rate from frame `trim_from` on, which leaves the frames before as they are (hevc).
    `quick` takes a fast preset, for trials; `preset` is that of SVT-AV1 or VVenC otherwise, 0 (slowest) … 10 or 4, None = 2.
    `params` are options of SVT-AV1 on top, such as `FOR_THE_EYE`.

    `keyint`: frames from one keyframe to the next, 0 = only the first. Random access (hierarchical B frames, delay of up
    to a hundred frames) unless `low_delay`, then every frame comes out at once. `threads` 0 = all cores.
    """

    def __init__(
        self,
        fmt: VideoFormat,
        codec: str,
        q: float,
        keyint: int = 0,
        scale: Fraction = Fraction(1),
        low_delay: bool = False,
        threads: int = 0,
        trim: float = 0.0,
        trim_from: int = 0,
        quick: bool = False,
        params: Sequence[str] = (),
        preset: int | None = None,
    ) -> None:
        if preset is not None and preset not in PRESETS.get(codec, ()):
            raise UsageError("preset is for the av1 structure layer, 0 to 10, and for vvc, 0 to 4")
        if codec == "vvc" and low_delay:
            raise UsageError("the vvc structure layer has no form of low delay")
        if codec not in CODECS or not 0 <= q <= MAX_Q or keyint < 0:
            raise UsageError(f"no {codec} structure layer with q {q} and a keyframe distance of {keyint}")
        self._codec = codec
        self._q = q
        self._keyint = keyint
        self._since_key = 0
        self._count = 0
        self._resampler = Resampler(fmt.width, fmt.height, scale)
        self._decoder = StandardDecoder(fmt, codec, scale, threads)
        speed = USUAL_PRESET if preset is None else preset
        if quick:
            speed = _QUICK.get(codec, speed)
        if codec == "vvc":
            size = self._resampler.coded_width, self._resampler.coded_height
            words = _vvc_options(q, trim, speed, fmt.colour.full_range)
            self._vvc = VvcEncoder(*size, max(_MIN_RATE, min(fmt.frame_rate, _MAX_RATE)), _told(fmt.colour), words)
        else:
            self._encoder = _open_encoder(fmt, self._resampler, codec, low_delay, threads)
        if codec == "av1":
            self._options = partial(_av1_options, q, low_delay, threads, trim, speed, params)
        elif codec == "hevc":
            self._encoder.options = _hevc_options(q, low_delay, threads, trim, trim_from, quick)
        self._opened = False  # FFmpeg opens an encoder when it gets its first frame

    def send(self, planes: Planes, force_key: bool = False) -> Coded:
        """Take the next frame (full size)."""
        small = self._resampler.down(planes)
        key = force_key or self._count == 0 or self._since_key == self._keyint > 0
        self._since_key = 1 if key else self._since_key + 1
        number, self._count = self._count, self._count + 1
        if self._codec == "vvc":
            return self._decoded(self._vvc.encode(small, key))
        if number == 0 and self._codec == "av1":
            self._encoder.options = self._options(looks_drawn(planes[0]))
        frame = frame_from_planes(small, 10)
        frame.pict_type = _INTRA if key else 0
        frame.pts, frame.time_base = number, self._encoder.time_base
        return self._released(frame)

    def flush(self) -> Coded:
        coded = self._decoded(self._vvc.encode(None)) if self._codec == "vvc" else self._released(None)
        coded.loops += self._decoder.flush()
        return coded

    def _released(self, frame: av.VideoFrame | None) -> Coded:
        try:
            packets = self._encoder.encode(frame)
        except (av.FFmpegError, ValueError) as error:
            size = f"{self._encoder.width}×{self._encoder.height}"
            raise UsageError(
                f"{_ENCODERS[self._codec]} does not code {size} pictures: {getattr(error, 'strerror', None) or error}"
            ) from error
        if not self._opened:
            self._opened = True
            _leave_realtime()
        return self._decoded([(bytes(packet), packet.is_keyframe) for packet in packets])

    def _decoded(self, units: list[tuple[bytes, bool]]) -> Coded:
        coded = Coded()
        for unit, key in units:
            payload = STRIP[self._codec](unit)
            coded.packets.append(CodedFrame(payload, key, round(self._q)))
            coded.loops += self._decoder.send(payload, key)
        return coded


class StandardDecoder:
    """Decoder of the plug; loop frames come out at full size. With `low_delay` none is held back for parallel work."""

    def __init__(
        self, fmt: VideoFormat, codec: str, scale: Fraction = Fraction(1), threads: int = 0, low_delay: bool = False
    ) -> None:
        self._resampler = Resampler(fmt.width, fmt.height, scale)
        self._restore = RESTORE[codec]
        self._decoder = av.CodecContext.create(_DECODERS[codec], "r")
        self._decoder.thread_count = threads
        # The stream's own idea of its size must not decide about memory.
        self._decoder.options = {"max_pixels": str(2 * MAX_PIXELS)}
        self._in_display_order = codec == "av1"
        #: FFmpeg's decoder of H.266 keeps frames of a GOP while it works on the next.
        self._holds_back = codec == "vvc"
        if low_delay and codec == "av1":
            self._decoder.options |= {"max_frame_delay": "1"}
        elif low_delay:
            self._decoder.thread_type = "SLICE"
        self._owed = 0

    def send(self, payload: bytes, keyframe: bool) -> list[Planes]:
        """Take the next packet. Raises `DamagedStreamError`."""
        loops: list[Planes] = []
        if keyframe and self._holds_back and self._owed:
            loops = self._decode(None)
            self._decoder.flush_buffers()
        self._owed += 1
        return loops + self._decode(packet_of(self._restore(payload)))

    def flush(self) -> list[Planes]:
        """Release the rest. Raises `DamagedStreamError` when there are not as many frames as packets."""
        loops = self._decode(None)
        if self._owed:
            raise DamagedStreamError(f"{abs(self._owed)} frames of the structure layer could not be decoded")
        return loops

    def abandon(self) -> list[Planes]:
        loops: list[Planes] = []
        # AV1 packets come in display order; H.265 ones do not, and one of those held back may follow a lost one.
        if self._in_display_order and self._owed:
            with contextlib.suppress(DamagedStreamError):
                loops = self._decode(None)
        with contextlib.suppress(av.FFmpegError):
            self._decoder.flush_buffers()
        self._owed = 0
        return loops

    def _decode(self, packet: av.Packet | None) -> list[Planes]:
        try:
            frames = self._decoder.decode(packet)
        except (av.FFmpegError, ValueError) as error:
            raise DamagedStreamError("the structure layer cannot be decoded") from error
        size = (self._resampler.coded_width, self._resampler.coded_height)
        for frame in frames:
            if (frame.width, frame.height) != size or frame.format.name != "yuv420p10le" or frame.is_corrupt:
                raise DamagedStreamError("the structure layer is not the one that the header promises")
        self._owed -= len(frames)
        return [self._resampler.up(planes_from_frame(frame)) for frame in frames]


def _leave_realtime() -> None:
    """SVT-AV1, run by root, moves its caller and its own threads into a real-time class, where they starve the machine."""
    if hasattr(os, "sched_setscheduler"):
        tasks = os.listdir("/proc/self/task") if os.path.isdir("/proc/self/task") else ["0"]
        for task in tasks:
            with contextlib.suppress(OSError):
                os.sched_setscheduler(int(task), os.SCHED_OTHER, os.sched_param(0))


def _open_encoder(
    fmt: VideoFormat, resampler: Resampler, codec: str, low_delay: bool, threads: int
) -> av.VideoCodecContext:
    # SVT-AV1 prints its settings unless told not to, before its own options are read.
    os.environ.setdefault("SVT_LOG", "0")
    encoder = av.CodecContext.create(_ENCODERS[codec], "w")
    encoder.width, encoder.height = resampler.coded_width, resampler.coded_height
    encoder.pix_fmt = "yuv420p10le"
    encoder.framerate = min(fmt.frame_rate, _MAX_RATE)
    encoder.time_base = 1 / encoder.framerate
    encoder.gop_size = _NEVER
    colour = _told(fmt.colour)
    encoder.color_range = 2 if colour.full_range else 1
    encoder.colorspace, encoder.color_primaries, encoder.color_trc = colour.matrix, colour.primaries, colour.transfer
    return encoder


def _told(colour: Colour) -> Colour:
    """Colour as the encoders are told of it."""
    codes = (colour.primaries, colour.transfer, colour.matrix)
    p, t, m = (code if code in taken else _UNSPECIFIED for code, taken in zip(codes, _TAKEN, strict=True))
    return Colour(p, t, m, colour.full_range, colour.chroma_location)


def looks_drawn(luma: Plane) -> bool:
    """Whether a picture (10-bit luma) looks like a computer's screen: many blocks of which half has one value and the rest others far from it.

    SVT-AV1's own test takes smooth natural pictures for screens too, and then searches for repetitions in them, in ten times the time."""
    rows, columns = (n // _BLOCK * _BLOCK for n in luma.shape)
    blocks = (luma[:rows, :columns] >> 2).astype(np.uint8).reshape(rows // _BLOCK, _BLOCK, columns // _BLOCK, _BLOCK)
    values = np.sort(blocks.swapaxes(1, 2).reshape(-1, _BLOCK * _BLOCK), 1)
    half = values.shape[1] // 2
    flat = (values[:, half:] == values[:, :-half]).any(1)
    return bool(rows and columns and (flat & (values[:, -1] - values[:, 0] >= _FAR)).mean() > _DRAWN)


def _av1_options(
    q: float, low_delay: bool, threads: int, trim: float, preset: int, more: Sequence[str], drawn: bool
) -> dict[str, str]:
    params = [f"lp={threads}"] * (threads > 0) + ["pred-struct=1"] * low_delay + [f"scm={int(drawn)}", *more]
    if q != round(q):
        # Only SVT-AV1's own option takes quarters.
        params.append(f"crf={max(1.0, round(4 * q) / 4):.2f}")
    if trim:
        factor = min(_LAMBDA_LIMIT, round(128 * math.exp(trim)))
        params.append("lambda-scale-factors=" + ",".join([str(factor)] * _FRAME_KINDS))
    return {"preset": str(preset), "crf": str(max(1, round(q))), "svtav1-params": ":".join(params)}


def _hevc_options(q: float, low_delay: bool, threads: int, trim: float, trim_from: int, quick: bool) -> dict[str, str]:
    params = ["log-level=none", "info=0", "repeat-headers=1", "open-gop=0", "keyint=-1"]
    params += ["bframes=0", "rc-lookahead=0", "b-adapt=0", "scenecut=0", "frame-threads=1"] if low_delay else []
    params += [f"pools={threads}"] * (threads > 0)
    params += [f"zones={trim_from},{_NEVER},b={math.exp(-trim):.4f}"] * (trim != 0)
    preset = _X265_QUICK if quick else _X265_PRESET
    return {"preset": preset, "crf": f"{q * 51 / 63:.2f}", "forced-idr": "1", "x265-params": ":".join(params)}


def _vvc_options(q: float, trim: float, preset: int, full_range: bool) -> list[str]:
    # With threads of its own libvvenc now and then loses the last frames, or all of them.
    params = ["verbosity=0", "threads=0", "decodingrefreshtype=idr", f"intraperiod={_NEVER}"]
    # The other tags of colour find their way by themselves.
    params.append(f"VideoFullRange={int(full_range)}")
    if trim:
        params.append("LambdaModifier=" + ",".join([f"{math.exp(trim):.4f}"] * _FRAME_KINDS))
    return [
        "-preset",
        _VVENC_PRESETS[preset],
        "-qp",
        str(round(_VVENC_FINEST + q * _VVENC_STEP)),
        "-vvenc-params",
        ":".join(params),
    ]
