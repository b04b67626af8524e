"""What tasks take: cores and memory by base and size of the picture, measured (docs/batch.md) and
rounded up.

They depend on the video and the settings alone, since tuning with another number of threads may add
in another order. One core for each chunk wastes nothing; a large picture gets more, as it takes the
memory of several small ones."""

from __future__ import annotations

from dataclasses import dataclass

from gvcodec.batch.plan import Plan
from gvcodec.batch.settings import Settings

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Cost:
    """Of encoding a chunk: `fixed` bytes, bytes `a_pixel`, and, where it tunes, more of both."""

    fixed: int
    a_pixel: int


_ENCODING = {
    "klt": Cost(160 * _MIB, 150),
    "av1": Cost(300 * _MIB, 1500),
    "hevc": Cost(250 * _MIB, 400),
    "vvc": Cost(300 * _MIB, 700),
    "tokens": Cost(1500 * _MIB, 900),
}
_TUNING = Cost(1500 * _MIB, 300)
#: Pixels above which a task has another core, and the most it has.
_A_CORE, _MOST = 2560 * 1440, 4


def memory_of(settings: Settings, plan: Plan) -> int:
    """Bytes that encoding a chunk takes at most."""
    pixels = plan.width * plan.height
    costs = [_ENCODING.get(settings.base, _ENCODING["av1"])]
    if settings.appearance and (settings.encoder_config(1).tunes or "lpips" in settings.metrics):
        costs.append(_TUNING)
    return sum(cost.fixed + cost.a_pixel * pixels for cost in costs)


def cores_of(plan: Plan) -> int:
    return min(_MOST, 1 + plan.width * plan.height // (_A_CORE + 1))
