"""The dial of painting, 0…100: as strength that a `fit` packet holds.

0 shows base frames, 50 is the painter as it was trained, 100 is bold. Below 50 gains and noise fall
together, in proportion to the dial; above it noise grows to twice its amplitude and gains, which
cost more PSNR, to 1.41 times theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gvcodec.errors import UsageError
from gvcodec.painter.model import OCTAVE_EIGHTHS, Strength, is_at_most
from gvcodec.painter.payload import BASE, IDENTITY, join, split

NO_PAINT, DEFAULT, BOLD = 0, 50, 100
#: Eighths of an octave at `BOLD`.
_MOST_GAIN, _MOST_NOISE = 4, 8


def _eighths(look: int) -> int:
    """The most eighths of an octave, of at most 0, that are no larger a factor than look / 50."""
    fits = (k for k in range(0, OCTAVE_EIGHTHS[0], -1) if is_at_most(k, look, DEFAULT))
    return next(fits, OCTAVE_EIGHTHS[0])


def turned(strength: Strength, look: int) -> Strength:
    """`strength` with the factors of this place of the dial, 1…100, instead of its own."""
    if look <= DEFAULT:
        gain = noise = _eighths(look)
    else:
        rise, whole = look - DEFAULT, BOLD - DEFAULT
        gain, noise = ((most * rise + whole // 2) // whole for most in (_MOST_GAIN, _MOST_NOISE))
    return replace(strength, gains=(gain,) * 3, amplitudes=(noise,) * 3)


def check_look(look: int, paints: bool) -> None:
    """Raises `UsageError` where the dial of a stream cannot be turned so."""
    if not NO_PAINT <= look <= BOLD:
        raise UsageError(f"look is {NO_PAINT}…{BOLD}, not {look}")
    if not paints:
        raise UsageError("look is for painted frames, and none are shown here")


def has_factors(look: int) -> bool:
    """Whether the place of the dial takes factors, which format 1.0 does not have."""
    return look != NO_PAINT and turned(Strength(), look).is_turned


def turn_payload(payload: bytes | None, look: int) -> bytes:
    """The payload of a `fit` packet (None: there is none) with this place of the dial in place of
    its own; one that paints nothing paints by the weights of the file from 1 on. Raises
    `DamagedStreamError`."""
    if look == NO_PAINT:
        return IDENTITY
    weights, beside = split(payload or BASE)
    turn = replace(beside, strength=turned(beside.strength, look))
    return join(BASE if weights == IDENTITY else weights, turn)


def turn_all(fitted: Mapping[int, bytes], look: int) -> dict[int, bytes]:
    """Payloads by the frame from which on they hold, as `look` has them: what paints nothing goes
    on to paint nothing."""
    if look == DEFAULT:
        return dict(fitted)
    payloads = {0: turn_payload(None, look)}
    for first, payload in fitted.items():
        payloads[first] = payload if payload == IDENTITY else turn_payload(payload, look)
    return payloads
