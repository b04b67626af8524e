"""`--encoder-params`: options of SVT-AV1 or VVenC by their own names, `tune=0:sharpness=2`.

Options that would break what a stream promises (frames that every machine decodes alike, keyframes
where the container has them), or that another option says, are refused with the reason; names and
values that the encoder does not know are found by coding one picture.
"""

from __future__ import annotations

import functools
import re

from gvcodec.errors import UsageError
from gvcodec.media.ffmpeg import SVT, VVENC, find_ffmpeg, first_error, run_ffmpeg

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
    """The options one by one. Raises `UsageError` for what is refused, misspelt or unknown."""
    params = tuple(text.split(":")) if text else ()
    for param in params:
        if not _PARAM.fullmatch(param):
            raise UsageError(f"encoder params are K=V:K=V…, {param!r} is none of these")
        name = param.partition("=")[0]
        if why := _why_refused(codec, name.lower()):
            raise UsageError(f"encoder param {name} is refused: {why}")
    if params and (message := _try(codec, ":".join(params))):
        raise UsageError(f"encoder params {text}: {message}")
    return params


def _why_refused(codec: str, name: str) -> str:
    for reason, names in _REFUSED[codec].items():
        patterns = (re.escape(one).replace(r"\*", ".*") for one in names.split())
        if any(re.fullmatch(pattern, name) for pattern in patterns):
            return reason
    return ""


@functools.cache
def _try(codec: str, params: str) -> str:
    """What the encoder says of its options, "" where it takes them."""
    if codec == "vvc":
        program, layout = find_ffmpeg(VVENC), "yuv420p10le"
        words = ["-c:v", VVENC, "-preset", "faster", "-qp", "40", "-vvenc-params", params]
    else:
        program, layout = find_ffmpeg(SVT), "yuv420p"
        words = ["-c:v", SVT, "-preset", "10", "-err_detect", "explode", "-svtav1-params", params]
    picture = ["-f", "lavfi", "-i", "color=s=64x64:r=25:d=0.04", "-pix_fmt", layout]
    ended = run_ffmpeg(program, "-v", "error", *picture, *words, "-f", "null", "-", log="1")
    if not ended.returncode:
        return ""
    return first_error(ended.stderr) or "the encoder does not take them"
