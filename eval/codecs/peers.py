"""Real encoders through the ffmpeg of `imageio-ffmpeg`, each in a low-delay and a random-access
form.

Low delay means: decoding order is display order (no B-frames or the encoder's own low-delay
structure); encoders may still look ahead, which makes them stronger. Every encoder runs with one
thread, so that bytes do not depend on the machine. Streams are elementary and without SEI texts.
Where only the first frame is to be intra, encoders that would place another at a scene cut are told
not to; `eval.rd.encoding` checks what came out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from eval.codecs.codec import ENDLESS, Codec, Options
from eval.tools import EvalError, ffmpeg_has, ffmpeg_version


@dataclass(frozen=True)
class Peer:
    """One encoder library: words common to both forms, words of each form, presets by table name.
    `single` goes in for `{single}` where only the first frame is to be intra, and `{period}` is the
    encoder's own intra period. `quicker`: rates are searched for with the fast preset, whose size
    at the same quality number differs by a few per cent only. `scale`: pictures are coded at this
    part of their size, and shown at all of it (both Lanczos); such rows are looked for at low rates
    alone and belong to the curve of the full size."""

    label: str
    library: str
    presets: dict[str, tuple[str, ...]]
    common: tuple[str, ...]
    low: tuple[str, ...]
    random: tuple[str, ...]
    q_range: tuple[int, int]
    q_guess: int
    muxer: str
    single: str = ""
    quicker: bool = False
    scale: Fraction = Fraction(1)


_H264 = ("-threads", "{threads}", "-crf", "{q}", "-g", "{keyint}")
_H264 += ("-bsf:v", "filter_units=remove_types=6")
_X265 = (
    "log-level=none:info=0:pools={threads}:frame-threads={threads}:open-gop=0"
    ":keyint={keyint}{single}"
)
#: ffmpeg's `-g` does not reach VVenC, which then takes about a second. No threads of its own: with
#: any, libvvenc gives nothing at all where the video ends before its first frame is out.
_VVENC = "threads=0:intraperiod={period}"
#: A period that no clip reaches: a multiple of every GOP size, by which VVenC lays out its
#: hierarchy.
_NEVER = 1 << 20


#: Rates (bpp) below which smaller sizes are tried.
_LOW_RATES = 0.016


def _svt(label: str, extra: str, preset: str = "4", scale: Fraction = Fraction(1)) -> Peer:
    # FFmpeg's own option ends at 63, SVT-AV1's at 70.
    params = "lp={threads}:keyint={keyint}:crf={q}" + extra
    return Peer(
        label,
        "libsvtav1",
        {"conditions": ("-preset", preset), "fast": ("-preset", "8")},
        ("-svtav1-params",),
        (f"pred-struct=1:{params}",),
        (params,),
        (1, 70),
        50,
        "obu",
        scale=scale,
    )


PEERS = {
    "x264": Peer(
        "x264",
        "libx264",
        {"conditions": ("-preset", "veryslow"), "fast": ("-preset", "medium")},
        (*_H264, "{single}"),
        ("-bf", "0"),
        (),
        (10, 51),
        36,
        "h264",
        single="-sc_threshold 0",
    ),
    "x265": Peer(
        "x265",
        "libx265",
        {"conditions": ("-preset", "veryslow"), "fast": ("-preset", "medium")},
        ("-crf", "{q}", "-x265-params"),
        (f"{_X265}:bframes=0",),
        (_X265,),
        (10, 51),
        36,
        "hevc",
        single=":scenecut=0",
        quicker=True,
    ),
    "svtav1": _svt("SVT-AV1", ""),
    "svtav1-0.75": _svt("SVT-AV1 at 3/4 size", "", scale=Fraction(3, 4)),
    "svtav1-0.5": _svt("SVT-AV1 at 1/2 size", "", scale=Fraction(1, 2)),
    "svtav1-slow": _svt("SVT-AV1 preset 2", "", "2"),
    "svtav1-vq": _svt("SVT-AV1 tune VQ", ":tune=0"),
    "svtav1-grain": _svt("SVT-AV1 + film grain", ":film-grain=8"),
    "aom": Peer(
        "libaom",
        "libaom-av1",
        {"conditions": ("-cpu-used", "4"), "fast": ("-cpu-used", "6")},
        ("-threads", "{threads}", "-crf", "{q}", "-b:v", "0", "-g", "{keyint}", "{single}"),
        ("-lag-in-frames", "0"),
        (),
        (1, 63),
        50,
        "obu",
        single="-keyint_min {keyint}",
    ),
    "vvenc": Peer(
        "VVenC",
        "libvvenc",
        {"conditions": ("-preset", "slow"), "fast": ("-preset", "faster")},
        ("-qp", "{q}", "-vvenc-params"),
        (f"{_VVENC}:gopsize=8:picreordering=0:decodingrefreshtype=none",),
        (f"{_VVENC}:decodingrefreshtype=idr",),
        (12, 63),
        40,
        "vvc",
        quicker=True,
    ),
}
_FORMS = {"ld": ("low", "low delay"), "ra": ("random", "random access")}
#: Elementary streams carry no frame rate that matters here: decode what is there, in order, without
#: conversion.
_DECODE = ("{ffmpeg}", "-v", "error", "-y", "-threads", "{threads}", "-i", "{stream}")
_DECODE += ("-fps_mode", "passthrough")
_TO_Y4M = ("-f", "yuv4mpegpipe", "-strict", "-1", "{output}")


def names() -> list[str]:
    return [name + form for name in PEERS for form in ("", "-ld", "-ra")]


def find(word: str, options: Options) -> list[Codec]:
    """`x265` → both forms, `x265-ld` → one, anything else → []."""
    if word in PEERS:
        return [make(word, form, options) for form in _FORMS]
    name, _, form = word.rpartition("-")
    return [make(name, form, options)] if name in PEERS and form in _FORMS else []


def make(name: str, form: str, options: Options, preset: tuple[str, ...] | None = None) -> Codec:
    """One peer in one form; `preset` overrides that of the table. Raises EvalError when ffmpeg
    lacks the encoder."""
    peer, (delay, delay_label) = PEERS[name], _FORMS[form]
    if not ffmpeg_has("encoders", peer.library):
        raise EvalError(
            f"{name}: this ffmpeg has no encoder {peer.library}; install imageio-ffmpeg==0.8.1"
        )
    preset = preset or peer.presets[options.presets]
    single, period = (peer.single, _NEVER) if options.keyint == ENDLESS else ("", options.keyint)
    words = [
        word
        for template in (*peer.common, *(peer.low if delay == "low" else peer.random))
        for word in template.replace("{single}", single).replace("{period}", str(period)).split()
    ]
    down, up = _scaling(peer.scale)
    before = ("{ffmpeg}", "-v", "error", "-y", "-i", "{input}", *down, "-c:v", peer.library)
    after = (*words, "-f", peer.muxer, "{stream}")
    faster = peer.presets["fast"]
    return Codec(
        f"{name}-{form}",
        f"{peer.label} {delay_label}",
        (*before, *preset, *after),
        {"": (*_DECODE, *up, *_TO_Y4M)},
        peer.q_range,
        peer.q_guess,
        peer.muxer,
        delay,
        name,
        ffmpeg_version(),
        quicker=(*before, *faster, *after) if peer.quicker and preset != faster else None,
        elementary=peer.muxer,
        keyint=options.keyint,
        threads=options.threads,
        notes={"preset": " ".join(preset)},
        below=math.inf if peer.scale == 1 else _LOW_RATES,
        part_of="" if peer.scale == 1 else f"{name.split('-')[0]}-{form}",
    )


def _scaling(scale: Fraction) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Words of ffmpeg that make pictures smaller, and those that show them at the clip's size."""
    if scale == 1:
        return (), ()
    half = scale / 2
    sides = [f"'trunc(i{side}*{half})*2'" for side in "wh"]
    down = f"scale={':'.join(sides)}:flags=lanczos"
    return ("-vf", down), ("-vf", "scale={width}:{height}:flags=lanczos")
