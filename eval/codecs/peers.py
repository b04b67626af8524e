"""The encoders of `gvcodec.compare.peers` and variants of SVT-AV1, each in a low-delay and a
random-access form, through the ffmpeg of `imageio-ffmpeg`.

Low delay means: decoding order is display order (no B-frames or the encoder's own low-delay
structure); encoders may still look ahead, which makes them stronger. Every encoder runs with one
thread, so that bytes do not depend on the machine. Streams are elementary and without SEI texts.
Where only the first frame is to be intra, encoders that would place another at a scene cut are told
not to; `eval.rd.encoding` checks the output.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from eval.codecs.codec import Codec, Options
from eval.tools import EvalError, ffmpeg_has, ffmpeg_version
from gvcodec.compare.peers import PEERS as ENCODERS
from gvcodec.compare.peers import Peer


@dataclass(frozen=True)
class Entry:
    """An encoder as it is measured. `q_guess`: where a search for a rate begins. `quicker`: rates
    are searched for with the fast preset, whose size at the same quality number differs by a few
    per cent only. `scale`: pictures are coded at this part of their size, and shown at all of it
    (both Lanczos); such rows are looked for at low rates alone and belong to the curve of the full
    size. `noises`: rows more of the same streams, with noise of so many levels on decoded luma."""

    peer: Peer
    q_guess: int
    quicker: bool = False
    scale: Fraction = Fraction(1)
    noises: tuple[float, ...] = ()


#: Rates (bpp) below which smaller sizes are tried.
_LOW_RATES = 0.016


def _svt(label: str, extra: str = "", preset: str = "4") -> Peer:
    """SVT-AV1 with parameters `extra`."""
    peer = ENCODERS["svtav1"]
    return replace(
        peer,
        label=label,
        presets=peer.presets | {"conditions": ("-preset", preset)},
        low=tuple(word + extra for word in peer.low),
        random=tuple(word + extra for word in peer.random),
    )


PEERS = {
    "x264": Entry(ENCODERS["x264"], 36),
    "x265": Entry(ENCODERS["x265"], 36, quicker=True),
    "svtav1": Entry(ENCODERS["svtav1"], 50),
    "svtav1-0.75": Entry(_svt("SVT-AV1 at 3/4 size"), 50, scale=Fraction(3, 4)),
    "svtav1-0.5": Entry(_svt("SVT-AV1 at 1/2 size"), 50, scale=Fraction(1, 2)),
    "svtav1-slow": Entry(_svt("SVT-AV1 preset 2", preset="2"), 50),
    "svtav1-vq": Entry(_svt("SVT-AV1 tune VQ", ":tune=0"), 50),
    "svtav1-tuned": Entry(
        _svt("SVT-AV1 keeping texture", ":ac-bias=4:enable-cdef=0:enable-restoration=0"), 50
    ),
    "svtav1-tuned-noise": Entry(
        _svt("SVT-AV1 keeping texture", ":ac-bias=4:enable-cdef=0:enable-restoration=0"),
        50,
        noises=(0.5, 1, 2),
    ),
    "svtav1-grain": Entry(_svt("SVT-AV1 + film grain", ":film-grain=8"), 50),
    "svtav1-grain4": Entry(_svt("SVT-AV1 + film grain 4", ":film-grain=4"), 50),
    "svtav1-grain16": Entry(_svt("SVT-AV1 + film grain 16", ":film-grain=16"), 50),
    "aom": Entry(ENCODERS["aom"], 50),
    "vvenc": Entry(ENCODERS["vvenc"], 40, quicker=True),
}
_FORMS: dict[str, tuple[Literal["low", "random"], str]] = {
    "ld": ("low", "low delay"),
    "ra": ("random", "random access"),
}
#: Elementary streams carry no frame rate that matters here: decode all frames, in order, without
#: conversion.
_DECODE = ("{ffmpeg}", "-v", "error", "-y", "-threads", "{threads}", "-i", "{stream}")
_DECODE += ("-fps_mode", "passthrough")
_WITH_NOISE = ("{python}", "-m", "eval.noise", "{stream}", "{output}", "--threads", "{threads}")
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
    entry, (delay, delay_label) = PEERS[name], _FORMS[form]
    peer = entry.peer
    if not ffmpeg_has("encoder", peer.library):
        raise EvalError(
            f"{name}: this ffmpeg has no encoder {peer.library}; install imageio-ffmpeg==0.8.1"
        )
    preset = preset or peer.presets[options.presets]
    words = peer.options(delay, options.keyint)
    down, up = _scaling(entry.scale)
    before = ("{ffmpeg}", "-v", "error", "-y", "-i", "{input}", *down, "-c:v", peer.library)
    after = (*words, "-f", peer.muxer, "{stream}")
    faster = peer.presets["fast"]
    return Codec(
        f"{name}-{form}",
        f"{peer.label} {delay_label}",
        (*before, *preset, *after),
        {"": (*_DECODE, *up, *_TO_Y4M)}
        | {f"noise-{noise:g}": (*_WITH_NOISE, f"{noise:g}") for noise in entry.noises},
        peer.quality_range,
        entry.q_guess,
        peer.muxer,
        delay,
        name,
        ffmpeg_version(),
        quicker=(*before, *faster, *after) if entry.quicker and preset != faster else None,
        elementary=peer.muxer,
        keyint=options.keyint,
        threads=options.threads,
        notes={"preset": " ".join(preset)},
        below=math.inf if entry.scale == 1 else _LOW_RATES,
        part_of="" if entry.scale == 1 else f"{name.split('-')[0]}-{form}",
    )


def _scaling(scale: Fraction) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Words of ffmpeg that make pictures smaller, and those that show them at the clip's size."""
    if scale == 1:
        return (), ()
    half = scale / 2
    sides = [f"'trunc(i{side}*{half})*2'" for side in "wh"]
    down = f"scale={':'.join(sides)}:flags=lanczos"
    return ("-vf", down), ("-vf", "scale={width}:{height}:flags=lanczos")
