"""Recognizes slides, screens and cartoons by their luma, before anything is coded: settings that
keep texture cost bytes there and show nothing.

Works on 8×8 blocks of 10-bit luma, (H, W); raises nothing."""

from __future__ import annotations

import numpy as np

from gvcodec.types import Plane

_BLOCK = 8
#: Range of luma (10 bits) up to which a block is flat, and from which on it has an edge.
_FLAT, _EDGE = 4, 160
#: At most this many blocks with edges are looked at closely.
_MOST_BLOCKS = 4096
#: Without this share of blocks with edges a picture is dark or a fade, not a drawing.
_LEAST_EDGES = 0.02
#: Share of flat blocks: camera video up to 0.61 (glass out of focus), a 3-D cartoon 0.75, a
#: recorded screen 0.70, slides and drawings 0.83 and more.
_MOST_FLAT = 0.65
#: Share of the samples of blocks with edges that have their block's most frequent value, in 8 bits:
#: camera video up to 0.20, a slide with a camera picture 0.47, slides and drawings 0.67.
_MOST_EQUAL = 0.3


def is_drawn(luma: Plane) -> bool:
    """Whether a picture is a slide, a screen or a drawing rather than a camera's."""
    rows, columns = (n // _BLOCK for n in luma.shape)
    whole = luma[: _BLOCK * rows, : _BLOCK * columns]
    blocks = whole.reshape(rows, _BLOCK, columns, _BLOCK).swapaxes(1, 2).reshape(-1, _BLOCK**2)
    if not len(blocks):
        return False
    ranges = blocks.max(1) - blocks.min(1)
    has_edge = ranges >= _EDGE
    if has_edge.mean() < _LEAST_EDGES:
        return False
    if (ranges <= _FLAT).mean() > _MOST_FLAT:
        return True
    edges = blocks[has_edge]
    edges = edges[:: -(-len(edges) // _MOST_BLOCKS)]
    return _mode_share(np.minimum((edges + 2) >> 2, 255)) > _MOST_EQUAL


def _mode_share(blocks: Plane) -> float:
    """Mean share of the samples of blocks (N, samples) with the most frequent value of theirs."""
    ordered = np.sort(blocks, 1)
    starts = np.ones(ordered.shape, np.bool_)
    starts[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    # Runs of equal values, all blocks one after another; each block begins one.
    places = np.flatnonzero(starts)
    lengths = np.diff(np.append(places, starts.size))
    longest = np.maximum.reduceat(lengths, np.flatnonzero(places % blocks.shape[1] == 0))
    return float(longest.mean()) / blocks.shape[1]
