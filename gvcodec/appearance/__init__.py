"""Appearance track: a float renderer paints decoded loop frames; it never feeds the integer loop.

`Painter` renders a stream frame by frame, `tune` fits a small part of the renderer to one video and
returns it as bytes, `find_checkpoint` and `checkpoint_id` tell of the renderers at hand. torch is
imported when one of them is first used.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

# torch's worker threads spin while they wait. On a machine with anything else to do that costs up
# to fifteen times the time of the work itself (measured on two cores), and sleeping instead costs
# nothing. Read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from gvcodec.appearance.checkpoint import checkpoint_id, find_checkpoint
    from gvcodec.appearance.painter import Painter
    from gvcodec.appearance.tuning import tune

__all__ = ["Painter", "checkpoint_id", "find_checkpoint", "tune"]
_HOMES = {
    "Painter": "painter",
    "checkpoint_id": "checkpoint",
    "find_checkpoint": "checkpoint",
    "tune": "tuning",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
