"""Zones: parts of a video with separate qualities, `0:10-0:20:q=+8;1:00-:q=40`, or with a
target, `0:10-0:20:lpips=.1`."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from gvcodec.util.messages import parse_time

_QUALITY = r"q=([+-]?)(\d+\.?\d*)"
#: Metrics of targets (`gvcodec.rate.quality.METRICS`).
TARGET_METRICS = ("psnr", "lpips", "ssimulacra2", "cvvdp")
_TARGET = rf"((?:{'|'.join(TARGET_METRICS)})=[^;:]+)"
_ZONE = re.compile(rf"\s*([\d:.]+)-([\d:.]*):(?:{_QUALITY}|{_TARGET})\s*")
ZONES = "zones like 0:10-0:20:q=+8;1:00-:q=40;2:00-2:05:lpips=0.1"


@dataclass(frozen=True, slots=True)
class Zone:
    """From `begin` to before `end`, in seconds of the source: coded at `q`, or at the rest of the
    video's plus an offset; with a `target` it is not known yet at which."""

    begin: float
    end: float
    q: float
    relative: bool
    target: str = ""

    def __str__(self) -> str:
        end = "" if math.isinf(self.end) else f"{self.end:.6f}"
        quality = self.target or f"q={'+' if self.relative and self.q >= 0 else ''}{self.q:g}"
        return f"{self.begin:.6f}-{end}:{quality}"

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
    match = _ZONE.fullmatch(text)
    if match is None:
        raise ValueError
    begin, end = parse_time(match[1]), parse_time(match[2]) if match[2] else math.inf
    if begin is None or end is None or begin >= end:
        raise ValueError
    if match[5]:
        return Zone(begin, end, math.nan, False, match[5].strip())
    return Zone(begin, end, float(match[3] + match[4]), bool(match[3]))


def zone_at(zones: Sequence[Zone], seconds: float) -> Zone | None:
    """The zone of a time, None outside of all."""
    return next((zone for zone in zones if zone.begin <= seconds < zone.end), None)
