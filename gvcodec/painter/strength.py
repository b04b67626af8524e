"""Chooses how strongly each GOP is painted: as strongly as possible without visible flicker, and
not at all if painted texture differs too much from the source's (`texture_check`).

Flicker is the excess of `sample_clips`. The first strength of `STRENGTH_STEPS` whose painted clips
have at most `LIMIT` times the excess of base frames is chosen, else the last one. A new strength
costs a `fit` packet, so it is chosen again only if that packet is small compared with the GOP.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gvcodec.painter.model import NEUTRAL, Ints, Model, Strength, rate
from gvcodec.painter.paint_strength import with_look
from gvcodec.painter.payload import BASE, IDENTITY, join_strength
from gvcodec.painter.sample_clips import SampleClips
from gvcodec.painter.samples import Part
from gvcodec.painter.texture_check import has_texture_mismatch
from gvcodec.painter.video import DEFAULT

Area = tuple[int, int]

LIMIT = 1.05
#: From the weakest on. `keep` 24 costs 0 to 1 point of LPIPS-Alex against the base frames. More
#: costs more than it gains: 80 and noise · 60 / 64, 3 points for a fifth of the flicker of waves.
STRENGTH_STEPS = (NEUTRAL, Strength(keep=12), Strength(keep=24))
#: Invisible excess, in 10-bit sample values.
FLOOR = 0.02
#: Most of a GOP's bytes for a `fit` packet that only its strength asks for.
_SHARE = 0.01


def choose_strength(
    model: Model, stream: Ints, clips: SampleClips, paint_strength: int = DEFAULT
) -> Strength:
    """The strength for clips of a GOP at `paint_strength`, the viewer's setting."""
    limit = LIMIT * clips.excess_of_base() + FLOOR
    *weaker, last = (with_look(strength, paint_strength) for strength in STRENGTH_STEPS)
    for strength in weaker:
        if clips.excess_of(model.with_strength(strength), stream, limit) <= limit:
            return strength
    return last


def choose_strengths(
    model: Model,
    stream: Ints,
    parts: Sequence[Part],
    area: Area,
    paint_strength: int = DEFAULT,
) -> dict[int, bytes]:
    """Payloads of `fit` packets by the frame from which on they hold: the strength of each GOP of
    the parts, or base frames. `area`: width and height of the video; `paint_strength`: 1…100, the
    viewer's setting."""
    payloads: dict[int, bytes] = {}
    strength, is_mismatch = with_look(NEUTRAL, paint_strength), False
    for part in parts:
        ends = [*(gop.first for gop in part.gops[1:]), math.inf]
        for gop, end in zip(part.gops, ends, strict=False):
            numbers = [
                number for number, first in enumerate(part.firsts) if gop.first <= first < end
            ]
            is_cheap = len(BASE) <= _SHARE * gop.size
            if numbers and (is_cheap or gop is part.gops[0]):
                frame_condition = [[rate(size, *area) for size in part.sizes[n]] for n in numbers]
                clips = SampleClips([part.samples[n] for n in numbers], frame_condition)
                strength = choose_strength(model, stream, clips, paint_strength)
                is_mismatch = has_texture_mismatch(clips, model.with_strength(strength), stream)
            payload = IDENTITY if is_mismatch else join_strength(BASE, strength)
            if payloads or payload != BASE:
                payloads[gop.first] = payload
    return payloads
