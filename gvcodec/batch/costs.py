"""What tasks take: cores and memory by base and size of the picture, measured (docs/batch.md) and
rounded up.

They depend on the video and the settings alone, since fitting with another number of threads may
add in another order. One core for each chunk wastes nothing; a large picture gets more, as it takes
the memory of several small ones."""

from __future__ import annotations

from dataclasses import dataclass

from gvcodec.batch.plan import Plan
from gvcodec.batch.settings import Settings

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Cost:
    """Of encoding a chunk: `fixed` bytes, bytes `a_pixel`, and, where it fits, more of both."""

    fixed: int
    a_pixel: int


#: Resident memory at 320×180 and 640×360 (72 frames, one thread) is 70 MiB and 780 bytes a pixel
#: (av1 at preset 2) or 715 (vvc). Half as much again is asked for.
_ENCODING = {
    "av1": Cost(160 * _MIB, 1200),
    "vvc": Cost(200 * _MIB, 1100),
    "motion": Cost(160 * _MIB, 1200),
}
#: torch and crops take 550 MiB, samples of the video up to 600 MB in all.
_FITTING = Cost(1400 * _MIB, 100)
#: Pixels above which a task has another core, and the most it has.
_A_CORE, _MOST = 2560 * 1440, 4


def memory_of(settings: Settings, plan: Plan) -> int:
    """Bytes that encoding a chunk takes at most."""
    pixels = plan.width * plan.height
    costs = [_ENCODING.get(settings.base, _ENCODING["av1"])]
    if settings.painter and (settings.encoder_config(1).fits or "lpips" in settings.metrics):
        costs.append(_FITTING)
    return sum(cost.fixed + cost.a_pixel * pixels for cost in costs)


def cores_of(plan: Plan) -> int:
    return min(_MOST, 1 + plan.width * plan.height // (_A_CORE + 1))
