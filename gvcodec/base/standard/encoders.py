"""Encoders of the standard bitstreams, SVT-AV1 and VVenC, in a program ffmpeg
(`gvcodec.base.standard.pipe`).

They get 10-bit planes of the size that is coded and give access units in decode order; keyframes
come where the caller wants them. SVT-AV1 codes as many bits a sample as the source has: 10 bits for
8-bit sources cost it 1 to 11 % of the bytes at equal PSNR. VVenC works with 10 bits inside and
always codes them.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from gvcodec.base.standard.pipe import PipeEncoder, ivf_units, vvc_units
from gvcodec.bases import standard_of
from gvcodec.bitstream.metadata import SVT_AV1, VVENC_H266
from gvcodec.config import DEFAULT_SPEED, SPEEDS
from gvcodec.errors import UsageError
from gvcodec.types import UNSPECIFIED_COLOUR, Colour, Planes
from gvcodec.util.ffmpeg import (
    SVT,
    VVENC,
    Version,
    find_ffmpeg,
    first_error,
    run_ffmpeg,
    svt_version,
)

#: SVT-AV1's tools for screens serve all pictures (docs/results.md). Releases before this one take
#: two to seven times as long with them: there only small pictures at slow presets get them.
_QUICK_SCREEN_TOOLS: Version = (4, 2)
_OLD_SCREEN_PRESET, _OLD_SCREEN_SAMPLES = 2, 640 * 360
#: VVenC lets the first access unit go with the 45th frame; its delay does not grow after
#: that.
_VVENC_LAG = 64
#: With more than 8 bits, SVT-AV1 at presets above this one makes wrong pictures of strong change at
#: qualities as fine as this: black and white in turn have 5 dB at q 0, 18 at q 10, 36 at q 22;
#: preset 7 has 50 or more.
_OVERFLOW_PRESET, _OVERFLOW_Q = 7, 25
#: QP at q 0, at which VVenC does not fail yet, and steps of QP for one of q.
_VVENC_FINEST, _VVENC_STEP = 12, 4 / 7
_VVENC_PRESETS = ("slower", "slow", "medium", "fast", "faster")
#: Settings for pictures that are painted: a bias towards AC coefficients keeps texture that the
#: painter would have to invent. More of it, or no CDEF, flickers
#: (docs/results.md#settings-under-the-painter).
_PAINTED = ("enable-restoration=0", "ac-bias=2")
#: `--eye`: more texture for more flicker.
_EYE = ("enable-restoration=0", "ac-bias=4")
#: The first SVT-AV1 that these settings were measured with; older ones may not know them.
_TEXTURE_SINCE: Version = (4,)
#: FFmpeg's CRF option ends at `_MOST_CRF`; SVT-AV1's goes on to 70, reached at q 66 in steps of
#: `_BEYOND`. At equal bytes a face at full size is 25 % nearer to its source (LPIPS-Alex) than at
#: half size; other pictures gain or lose less (docs/results.md).
_MOST_CRF, _BEYOND = 63, 4 / 3
_CRF_END = 70
#: SVT-AV1 takes factors of lambda in 1/128, one for each kind of frame.
_FRAME_KINDS, _LAMBDA_LIMIT = 7, 1024
#: SVT-AV1 takes no higher frame rate. Encoders need it for their rate control only; timestamps are
#: kept elsewhere.
_MAX_RATE = Fraction(240)
#: Primaries, transfers and matrices that every encoder here takes for 4:2:0; of others the stream's
#: own header knows.
_SUPPORTED_CICP = ({1, 2, *range(4, 13)}, {1, 2, *range(4, 19)}, {1, 2, *range(4, 15)})
#: Keyframes are placed here, not by the encoders: their own period is out of reach.
_NEVER = 1 << 20


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of an encoder process.

    `base_q` 0…63 is SVT-AV1's CRF (at least 1, in quarters) or makes VVenC's QP (12 … 48, in one
    thread). Random access (hierarchical B frames, delay of up to a hundred frames) unless
    `low_delay`, then every frame comes out at once. `threads` 0 = all cores. `log_lambda_offset`
    makes a change of rate that is too small for `base_q`: it adds to the log of lambda. `params`:
    options of SVT-AV1 or VVenC on top. `preset` is that of SVT-AV1 or VVenC, 0 (slowest) … 10 or 4,
    None = that of `DEFAULT_SPEED`. `maxrate`: bits a second that it may take on average, 0 = no
    limit. `bit_depth`: of the coded pictures; `StandardEncoder` takes that of the video."""

    base_q: float
    low_delay: bool = False
    threads: int = 0
    log_lambda_offset: float = 0.0
    params: Sequence[str] = ()
    preset: int | None = None
    maxrate: float = 0
    bit_depth: int = 8


class UnitEncoder(Protocol):
    """Planes in, access units out, in decode order, each with whether it is a keyframe."""

    def encode(self, planes: Planes, key: bool = False) -> list[tuple[bytes, bool]]:
        """Take the next frame (display order); `key` begins a GOP."""
        ...

    def drain(self) -> Iterator[tuple[bytes, bool]]:
        """No more frames: the units that are not out yet, each as soon as it is coded."""
        ...


def open_encoder(
    codec: str, width: int, height: int, frame_rate: Fraction, colour: Colour, settings: Settings
) -> UnitEncoder:
    """Raises `UsageError` where no program has the encoder."""
    rate = max(Fraction(standard_of(codec).least_rate), min(frame_rate, _MAX_RATE))
    tags = _colour_tags(colour)
    if codec == "vvc":
        words = [*_vvc_words(settings, colour.full_range), "-f", "vvc"]
        program, size = find_ffmpeg(VVENC), (width, height)
        return PipeEncoder(program, size, rate, tags, 10, words, vvc_units, _VVENC_LAG)
    program = find_ffmpeg(SVT)
    options = av1_options(settings, width * height, svt_version(program))
    return PipeEncoder(
        program,
        (width, height),
        rate,
        tags,
        settings.bit_depth,
        [
            *("-c:v", SVT, "-g", str(_NEVER)),
            *(word for name, value in options.items() for word in (f"-{name}", value)),
            *("-f", "ivf"),
        ],
        ivf_units,
        0 if settings.low_delay else None,
    )


def encoder_version(codec: str) -> tuple[int, ...]:
    """The encoder of a base and its version: `gvcodec.bitstream.metadata.Metadata.encoder`."""
    return (VVENC_H266,) if codec == "vvc" else (SVT_AV1, *svt_version(find_ffmpeg(SVT)))


def _preset(codec: str, settings: Settings) -> int:
    default = SPEEDS[DEFAULT_SPEED].presets[codec][-1]
    preset = default if settings.preset is None else settings.preset
    overflows = codec == "av1" and settings.bit_depth > 8 and settings.base_q <= _OVERFLOW_Q
    return min(preset, _OVERFLOW_PRESET) if overflows else preset


def _colour_tags(colour: Colour) -> Colour:
    codes = (colour.primaries, colour.transfer, colour.matrix)
    p, t, m = (
        code if code in supported else UNSPECIFIED_COLOUR
        for code, supported in zip(codes, _SUPPORTED_CICP, strict=True)
    )
    return Colour(p, t, m, colour.full_range, colour.chroma_location)


def texture_params(eye: bool = False) -> tuple[str, ...]:
    """Parameters of SVT-AV1 for pictures that are painted, `eye`: that keep more texture. The same
    parameter later in the list prevails. Raises `UsageError` where no program has SVT-AV1."""
    if svt_version(find_ffmpeg(SVT)) < _TEXTURE_SINCE:
        return ()
    return _EYE if eye else _PAINTED


def uses_screen_tools(preset: int, samples: int, version: Version) -> bool:
    """Whether pictures of `samples` luma samples are coded with SVT-AV1's screen-content tools. Its
    own detection is not used: it takes camera clips for screens."""
    if version >= _QUICK_SCREEN_TOOLS:
        return True
    return preset <= _OLD_SCREEN_PRESET and samples <= _OLD_SCREEN_SAMPLES


def av1_options(settings: Settings, samples: int, version: Version) -> dict[str, str]:
    """Options of FFmpeg's wrapper of this version of SVT-AV1."""
    crf = settings.base_q + _BEYOND * max(0.0, settings.base_q - _MOST_CRF)
    # With threads the output of a capped CRF differs from run to run.
    threads = 1 if settings.maxrate else settings.threads
    params = [f"lp={threads}"] if threads > 0 else []
    if settings.low_delay:
        params.append("pred-struct=1")
    screen_tools = uses_screen_tools(_preset("av1", settings), samples, version)
    params += [f"scm={int(screen_tools)}", *settings.params]
    if settings.maxrate:
        # In 1000 bits a second. Without the second the mean rate comes out up to 29 % above it.
        params += [f"mbr={int(settings.maxrate / 1000)}", "mbr-overshoot-pct=0"]
    if crf != round(crf) or crf > _MOST_CRF:
        # Only SVT-AV1's own option takes quarters, and more than 63.
        params.append(f"crf={min(max(1.0, round(4 * crf) / 4), _CRF_END):.2f}")
    if settings.log_lambda_offset:
        factor = min(_LAMBDA_LIMIT, round(128 * math.exp(settings.log_lambda_offset)))
        params.append("lambda-scale-factors=" + ",".join([str(factor)] * _FRAME_KINDS))
    return {
        "preset": str(_preset("av1", settings)),
        "crf": str(max(1, min(_MOST_CRF, round(crf)))),
        "svtav1-params": ":".join(params),
    }


def _vvc_words(settings: Settings, full_range: bool) -> list[str]:
    # With several threads libvvenc now and then loses the last frames, or all of them.
    params = ["verbosity=0", "threads=0", "decodingrefreshtype=idr", f"intraperiod={_NEVER}"]
    # The other tags of colour find their way by themselves.
    params.append(f"VideoFullRange={int(full_range)}")
    if settings.log_lambda_offset:
        factors = [f"{math.exp(settings.log_lambda_offset):.4f}"] * _FRAME_KINDS
        params.append(f"LambdaModifier={','.join(factors)}")
    preset = _VVENC_PRESETS[_preset("vvc", settings)]
    qp = round(_VVENC_FINEST + settings.base_q * _VVENC_STEP)
    words = ["-c:v", VVENC, "-preset", preset, "-qp", str(qp)]
    return [*words, "-vvenc-params", ":".join([*params, *settings.params])]


#: An option in `--encoder-params`.
_PARAM = re.compile(r"[\w-]+=[^:=\s]+")
_SIZE = "every picture has the size that the header says"
_GRAIN = "film grain is made in each player's decoder, not the same samples on every machine"
_KEYS = "keyframes are placed by --keyint and scenes"
_RATE = "-q, --size, --target and --maxrate say that"
_FORMAT = "the source says that"
_FRAMES = "each frame that is sent has one packet"
#: Refused options by reason; a name that ends with * is a prefix.
_REFUSED = {
    "av1": {
        _GRAIN: "film-grain* fgs-table adaptive-film-grain",
        _SIZE: "superres* resize* frm-resz* width height w h forced-max-frame-*",
        _KEYS: "keyint irefresh-type scd enable-force-key-frames force-key-frames sframe* gop-*",
        _RATE: "crf qp rc tbr mbr* bias-pct *section-pct *shoot-pct buf-* use-q-file qpfile "
        "lambda-scale-factors lossless passes pass stats",
        _FORMAT: "input-* color-* profile fps* matrix-* transfer-* mastering-display content-light "
        "chroma-sample-position avif inj* nb frames skip",
        _FRAMES: "enable-overlays",
        "--threads says that": "lp pin ss target-socket",
        "--preset says that": "preset enc-mode",
        "--low-delay says that": "pred-struct rtc",
    },
    "vvc": {
        _GRAIN: "fg* *filmgrain*",
        _SIZE: "rpr* resolutionchange* sourcewidth sourceheight size maxpic*",
        _KEYS: "intraperiod* decodingrefreshtype refreshsec",
        _RATE: "qp targetbitrate maxbitrate bitrate rc* numpasses passes pass lookahead "
        "lambdamodifier costmode",
        _FORMAT: "*bitdepth* profile tier *chromaformat* framerate* framescale fps frames* "
        "videofullrange* colour* transfer* matrix* *fieldcoding* interlaced leadframes trailframes "
        "tickspersec inputfile bitstreamfile reconfile",
        "VVenC is exact in one thread alone": "threads maxparallelframes ifp*",
        "--preset says that": "preset",
    },
}


def parse_params(codec: str, text: str) -> tuple[str, ...]:
    """Options of SVT-AV1 or VVenC by their own names, `tune=0:sharpness=2`, one by one.

    Options that would break a guarantee of the stream (the same frames on every machine,
    keyframes where the container has them) or contradict another option are refused with the
    reason; one picture is encoded to find names and values that the encoder does not know. Raises
    `UsageError`."""
    params = tuple(text.split(":")) if text else ()
    for param in params:
        if not _PARAM.fullmatch(param):
            raise UsageError(
                f"encoder params are K=V:K=V…, {param!r} is none of these", code="encoder-params"
            )
        name = param.partition("=")[0]
        if reason := _refusal_reason(codec, name.lower()):
            raise UsageError(f"encoder param {name} is refused: {reason}", code="encoder-params")
    if params and (message := _trial_error(codec, ":".join(params))):
        raise UsageError(f"encoder params {text}: {message}", code="encoder-params")
    return params


def _refusal_reason(codec: str, name: str) -> str:
    for reason, names in _REFUSED[codec].items():
        patterns = (re.escape(one).replace(r"\*", ".*") for one in names.split())
        if any(re.fullmatch(pattern, name) for pattern in patterns):
            return reason
    return ""


@functools.cache
def _trial_error(codec: str, params: str) -> str:
    """The encoder's error about its options, "" if it accepts them."""
    if codec == "vvc":
        program, layout = find_ffmpeg(VVENC), "yuv420p10le"
        words = ["-c:v", VVENC, "-preset", "faster", "-qp", "40", "-vvenc-params", params]
    else:
        program, layout = find_ffmpeg(SVT), "yuv420p"
        words = ["-c:v", SVT, "-preset", "10", "-err_detect", "explode", "-svtav1-params", params]
    picture = ["-f", "lavfi", "-i", "color=s=64x64:r=25:d=0.04", "-pix_fmt", layout]
    process = run_ffmpeg(program, "-v", "error", *picture, *words, "-f", "null", "-", log="1")
    if not process.returncode:
        return ""
    return first_error(process.stderr) or "the encoder does not take them"
