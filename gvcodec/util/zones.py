"""Zones: parts of a video with a quality of their own, `0:10-0:20:q=+8;1:00-:q=40`."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from gvcodec.util.messages import parse_time

_ZONE = re.compile(r"\s*([\d:.]+)-([\d:.]*):q=([+-]?)(\d+\.?\d*)\s*")
ZONES = "zones like 0:10-0:20:q=+8;1:00-:q=40"


@dataclass(frozen=True, slots=True)
class Zone:
    """From `begin` to before `end`, in seconds of the source: coded at `q`, or at the rest of the
    video's plus an offset."""

    begin: float
    end: float
    q: float
    relative: bool

    def apply(self, q: float) -> float:
        """The quality of frames that have `q` elsewhere."""
        return q + self.q if self.relative else self.q


def parse_zones(text: str) -> tuple[Zone, ...]:
    """Raises `ValueError`, also for zones that overlap."""
    parts = (_parse(part) for part in text.split(";") if part.strip())
    zones = sorted(parts, key=lambda zone: zone.begin)
    for before, zone in itertools.pairwise(zones):
        if before.end > zone.begin:
            raise ValueError
    return tuple(zones)


def _parse(text: str) -> Zone:
    found = _ZONE.fullmatch(text)
    if found is None:
        raise ValueError
    begin, end = parse_time(found[1]), parse_time(found[2]) if found[2] else math.inf
    if begin is None or end is None or begin >= end:
        raise ValueError
    return Zone(begin, end, float(found[3] + found[4]), bool(found[3]))


def zone_at(zones: Sequence[Zone], seconds: float) -> Zone | None:
    """The zone of a time, None outside of all."""
    return next((zone for zone in zones if zone.begin <= seconds < zone.end), None)
