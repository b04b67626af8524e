"""Finds GOPs and regions in which painted texture is wrong: slides, screens and captions, whose
base frames keep nearly all detail, would get texture that their source does not have.

The check compares the energies of detail in 16×16 patches (`energies`) of painted frames and of
base frames with those of the source."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gvcodec.painter.energies import PATCH, Floats, energies, pad_to_patches
from gvcodec.painter.model import Ints, Model
from gvcodec.painter.sample_clips import SampleClips
from gvcodec.painter.token_coding import REGION
from gvcodec.painter.unpainted_regions import Regions

#: Largest ratio of the mismatch of painted frames to that of base frames: 0.8 to 1.1 for camera
#: video, 1.1 to 1.4 for a drawn film, 1.7 and more for slides and screens.
MISMATCH_LIMIT = 1.5
#: By how much a region's mismatch has to be above that limit as well, in octaves / 8.
REGION_EXCESS = 0.001
#: At most this many clips of a GOP are compared.
_MAX_CLIPS = 6


def has_texture_mismatch(clips: SampleClips, model: Model, stream: Ints) -> bool:
    """Whether painted frames are more than `MISMATCH_LIMIT` times as far from the source's texture
    as base frames are."""
    painted, base = texture_mismatch(clips, model, stream)
    return painted > MISMATCH_LIMIT * base


def find_unpainted_regions(clips: SampleClips, model: Model, stream: Ints) -> Regions:
    """Regions (rows, columns) in which painted frames are so far from the source's texture, by the
    same measure."""
    painted, base = np.zeros(1), np.zeros(1)
    for of_painted, of_base, of_source in _clip_energies(clips, model, stream):
        painted = painted + _region_means(np.abs(of_painted - of_source).mean(0))
        base = base + _region_means(np.abs(of_base - of_source).mean(0))
    excess = (painted - MISMATCH_LIMIT * base) / max(1, len(clips))
    return np.asarray(excess > REGION_EXCESS)


def _region_means(patches: NDArray[np.float32]) -> NDArray[np.float64]:
    """Means of patches (H / 16, W / 16) by region."""
    side = REGION // PATCH
    rows, columns = (-(-n // side) for n in patches.shape)
    means = np.zeros((rows, columns))
    for row, column in np.ndindex(rows, columns):
        part = patches[side * row : side * row + side, side * column : side * column + side]
        means[row, column] = part.mean()
    return means


def _clip_energies(
    clips: SampleClips, model: Model, stream: Ints
) -> Iterator[tuple[Floats, Floats, Floats]]:
    """Energies of the painted, the base and the source frame, (9, H / 16, W / 16), the last of at
    most `_MAX_CLIPS` clips."""
    step = max(1, -(-len(clips) // _MAX_CLIPS))
    for number in range(0, len(clips), step):
        planes = (clips.paint_one(number, model, stream)[-1], *clips.last_pair(number))
        painted, base, source = (energies(pad_to_patches(p[0])) for p in planes)
        yield painted, base, source


def texture_mismatch(clips: SampleClips, model: Model, stream: Ints) -> tuple[float, float]:
    """Mismatch of painted frames and of base frames: the mean |difference| of log energies to the
    source's in the last frame of each clip, summed over at most `_MAX_CLIPS` clips."""
    painted, base = 0.0, 0.0
    for of_painted, of_base, of_source in _clip_energies(clips, model, stream):
        painted += float(np.abs(of_painted - of_source).mean())
        base += float(np.abs(of_base - of_source).mean())
    return painted, base
