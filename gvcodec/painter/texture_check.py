"""Finds GOPs where painted texture is wrong: slides and screens, whose base frames keep nearly all
detail, would get texture that their source does not have.

The check compares the energies of detail in 16×16 patches (`energies`) of painted frames and of
base frames with those of the source."""

from __future__ import annotations

import numpy as np

from gvcodec.painter.energies import energies, pad_to_patches
from gvcodec.painter.model import Ints, Model
from gvcodec.painter.sample_clips import SampleClips

#: Largest ratio of the mismatch of painted frames to that of base frames: 0.8 to 1.1 for camera
#: video, 1.1 to 1.4 for a drawn film, 1.7 and more for slides and screens.
MISMATCH_LIMIT = 1.5
#: At most this many clips of a GOP are compared.
_MAX_CLIPS = 6


def has_texture_mismatch(clips: SampleClips, model: Model, stream: Ints) -> bool:
    """Whether painted frames are more than `MISMATCH_LIMIT` times as far from the source's texture
    as base frames are."""
    painted, base = texture_mismatch(clips, model, stream)
    return painted > MISMATCH_LIMIT * base


def texture_mismatch(clips: SampleClips, model: Model, stream: Ints) -> tuple[float, float]:
    """Mismatch of painted frames and of base frames: the mean |difference| of log energies to the
    source's in the last frame of each clip, summed over at most `_MAX_CLIPS` clips."""
    painted, base = 0.0, 0.0
    step = max(1, -(-len(clips) // _MAX_CLIPS))
    for number in range(0, len(clips), step):
        planes = (*clips.last_pair(number), clips.paint_one(number, model, stream)[-1])
        of_base, of_source, of_painted = (energies(pad_to_patches(p[0])) for p in planes)
        painted += float(np.abs(of_painted - of_source).mean())
        base += float(np.abs(of_base - of_source).mean())
    return painted, base
