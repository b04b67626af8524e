"""What tasks take: cores and memory by base and size of the picture, measured (docs/batch.md) and
rounded up.

They depend on the video and the settings alone, since fitting with another number of threads may
add in another order. One core for each chunk wastes nothing; a large picture gets more, as it takes
the memory of several small ones."""

from __future__ import annotations

from gvcodec.bases import base_of
from gvcodec.batch.plan import Plan
from gvcodec.batch.settings import Settings

#: torch and crops take 550 MiB, samples of the video up to 600 MB in all; and bytes a pixel.
_FITTING = (1400 << 20, 100)
#: Pixels above which a task has another core, and the most it has.
_A_CORE, _MOST = 2560 * 1440, 4


def memory_of(settings: Settings, plan: Plan) -> int:
    """Bytes that encoding a chunk takes at most."""
    pixels = plan.width * plan.height
    costs = [base_of(settings.base).encoding]
    if settings.painter and (settings.encoder_config(1).fits or "lpips" in settings.metrics):
        costs.append(_FITTING)
    return sum(fixed + a_pixel * pixels for fixed, a_pixel in costs)


def cores_of(plan: Plan) -> int:
    return min(_MOST, 1 + plan.width * plan.height // (_A_CORE + 1))
