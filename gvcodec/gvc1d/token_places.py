"""Neighbours of a value within its window: what the entropy model sees of it before any other is
known, and which earlier values have a similar meaning (`gvcodec.gvc1d.direct`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gvcodec.entropy import streams
from gvcodec.gvc1d.patterns import lowest, region_grid

CHANNELS = 16
#: Kinds of tokens: levels of 1, 2, 4 … tokens, regions of the window, and the last one before them.
KINDS = 7
#: Spans of values before that lie inside a window.
OWN = 12
#: Values of the long span.
_LONG = 64
#: First channel and number of channels of luma and of each chroma plane in a token of patterns.
_PLANES = (0, 10), (10, 3), (13, 3)


def describe_places(tokens: int) -> NDArray[np.uint8]:
    """Constant inputs [T, C, ·]: kind of token, its index among tokens of this kind, channel."""
    token, half = np.arange(tokens), tokens // 2
    level = np.frexp(token + 1)[1] - 1  # 0 for the first, 1 for two, 2 for four …
    inside = (token + 1 - (1 << level)) * 128 >> level
    kind = np.where(token < half, level, int(np.frexp(half)[1]) - 1)
    inside = np.where(token < half, inside, (token - half) * 128 // half)
    kind[half - 1], inside[half - 1] = KINDS - 1, 0
    fixed = np.zeros((tokens, CHANNELS, KINDS + 1 + CHANNELS), np.uint8)
    fixed[token, :, kind] = 127
    fixed[:, :, KINDS] = inside[:, None]
    channel = np.arange(CHANNELS)
    fixed[:, channel, KINDS + 1 + channel] = 127
    return fixed


def spans_of(tokens: int) -> NDArray[np.int64]:
    """Spans of a window before each of its values [T, C, OWN]: three neighbours
    (`_neighbours_of`); the two channels before; its token so far; of the same channel the token
    before and the coarser one (`_parents_of`), then all of these tokens; the last _LONG values; the
    window."""
    token, channel = np.arange(tokens)[:, None], np.arange(CHANNELS)
    at = CHANNELS * token + channel  # [T, C]
    near = _neighbours_of(tokens)
    parent = _parents_of(tokens)[:, None]
    own = [streams.span(np.where(near[..., i] >= 0, at - near[..., i], 0), 1) for i in range(3)]
    own += [streams.span(np.where(channel >= i, i, 0) + 0 * token, 1) for i in (1, 2)]
    own.append(streams.span(channel + 0 * token, channel))
    for other in (token - 1, parent):
        same = np.where(other >= 0, CHANNELS * (token - other), 0) + 0 * channel
        own += [streams.span(same, 1), streams.span(np.where(same, same + channel, 0), CHANNELS)]
    return np.stack(
        [*own, streams.span(np.minimum(at, _LONG), np.minimum(at, _LONG)), streams.span(at, at)], -1
    )


def _parents_of(tokens: int) -> NDArray[np.int64]:
    """For each token a coarser one before it, -1 without any. The first half goes from coarse to
    fine: the one above in a binary tree. Those of the second half belong to regions of the window
    (`gvcodec.gvc1d.direct`): the region above."""
    token, half = np.arange(tokens), tokens // 2
    columns = region_grid(tokens)[1]
    above = np.where(token - half >= columns, token - columns, -1)
    return np.where(token < half, (token - 1) // 2, above)


def _neighbours_of(tokens: int) -> NDArray[np.int64]:
    """Of each value up to three before it in its window that the direct path gives a like meaning
    [T, C, 3], as places token · CHANNELS + channel, -1 without any. Patterns of the window: the
    next lower frequencies down and along, and luma's or the first chroma plane's of that frequency.
    Regions: those above and to the left, and the channel before."""
    half, columns = tokens // 2, region_grid(tokens)[1]
    near = np.full((tokens, CHANNELS, 3), -1)
    places: dict[tuple[int, int, int], int] = {}
    for plane, (first, width) in enumerate(_PLANES):
        for number, (down, along) in enumerate(lowest(width * half)):
            token, channel = number // width, first + number % width
            places[plane, down, along] = CHANNELS * token + channel
            like = (plane, down - 1, along), (plane, down, along - 1), (plane - 1, down, along)
            near[token, channel] = [places.get(key, -1) for key in like]
    of = np.arange(half, tokens)[:, None]
    at = CHANNELS * of + np.arange(CHANNELS)
    inside = (of - half) % columns > 0
    near[half:, :, 0] = np.where(of - half >= columns, at - CHANNELS * columns, -1)
    near[half:, :, 1] = np.where(inside, at - CHANNELS, -1)
    near[half:, 1:, 2] = at[:, :-1]
    near[near >= np.arange(tokens * CHANNELS).reshape(tokens, CHANNELS, 1)] = -1
    return near


def rims_of(tokens: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each token the one whose region touches its own in the window above, and to the left; -1
    for what is no region at that rim."""
    token, half, columns = np.arange(tokens), tokens // 2, region_grid(tokens)[1]
    region = token - half
    top = np.where((region >= 0) & (region < columns), token + half - columns, -1)
    return top, np.where((region >= 0) & (region % columns == 0), token + columns - 1, -1)


def beside(values: NDArray[np.int32], grid: tuple[int, ...], axis: int) -> NDArray[np.int32]:
    """Of each window the values of the one before it along an axis of the grid, or zeros."""
    moved = np.zeros(grid, np.int32)
    whole = values.reshape(grid)
    if axis:
        moved[:, 1:] = whole[:, :-1]
    else:
        moved[1:] = whole[:-1]
    return moved.reshape(values.shape)
