"""Painting strength, 0…100, as a `fit` packet stores it.

0 shows base frames, 50 is the painter's trained strength, 100 is bold. Below 50 gains and noise
fall together, in proportion; above it noise grows to twice its amplitude and gains, which cost more
PSNR, to 1.41 times theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gvcodec.painter.model import OCTAVE_EIGHTHS, Strength, is_at_most
from gvcodec.painter.payload import BASE, IDENTITY, join_extras, split_extras
from gvcodec.painter.video import BOLD, DEFAULT, NO_PAINT

#: Eighths of an octave at `BOLD`.
_MOST_GAIN, _MOST_NOISE = 4, 8


def _eighths(paint_strength: int) -> int:
    """The most eighths of an octave, of at most 0, that are no larger a factor than look / 50."""
    candidates = (
        k for k in range(0, OCTAVE_EIGHTHS[0], -1) if is_at_most(k, paint_strength, DEFAULT)
    )
    return next(candidates, OCTAVE_EIGHTHS[0])


def with_look(strength: Strength, paint_strength: int) -> Strength:
    """`strength` with the factors of this place of the dial, 1…100, instead of its own."""
    if paint_strength <= DEFAULT:
        gain = noise = _eighths(paint_strength)
    else:
        above, range_above = paint_strength - DEFAULT, BOLD - DEFAULT
        gain, noise = (
            (most * above + range_above // 2) // range_above for most in (_MOST_GAIN, _MOST_NOISE)
        )
    return replace(strength, gains=(gain,) * 3, amplitudes=(noise,) * 3)


def has_factors(paint_strength: int) -> bool:
    """Whether the place of the dial takes factors, which format 1.0 does not have."""
    return paint_strength != NO_PAINT and with_look(Strength(), paint_strength).has_strength_factors


def set_payload_strength(payload: bytes | None, paint_strength: int) -> bytes:
    """The payload of a `fit` packet (None: there is none) with this place of the dial instead of
    its own; one that paints nothing paints by the weights of the file from 1 on. Raises
    `DamagedStreamError`."""
    if paint_strength == NO_PAINT:
        return IDENTITY
    weights, extras = split_extras(payload or BASE)
    changed_extras = replace(extras, strength=with_look(extras.strength, paint_strength))
    return join_extras(BASE if weights == IDENTITY else weights, changed_extras)


def set_all_strengths(
    payloads_by_frame: Mapping[int, bytes], paint_strength: int
) -> dict[int, bytes]:
    """Payloads by the frame from which on they hold, as `paint_strength` has them: what paints
    nothing goes on to paint nothing."""
    if paint_strength == DEFAULT:
        return dict(payloads_by_frame)
    payloads = {0: set_payload_strength(None, paint_strength)}
    for first, payload in payloads_by_frame.items():
        payloads[first] = (
            payload if payload == IDENTITY else set_payload_strength(payload, paint_strength)
        )
    return payloads
