"""A `klt` file of a given size, in two full encodes and parts of others.

The beginning of the video is coded at two or three qualities, to learn which one the size means; a
full pass there tells what every frame costs, and where it is off, as many frames as may be are
coded nearer by. In the last pass `SizePace` chooses the quality of each frame. Fitted weights are
made in the first full pass and count as the rest of the file does.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping

from gvcodec.allocation.frame_quality import LAST_TRIALS, SLOPE, Constant, SizePace, framed
from gvcodec.allocation.klt import klt_encoder
from gvcodec.rate.one_pass import Pass, run
from gvcodec.rate.search import Fitted, Search
from gvcodec.structure import StructureEncoder
from gvcodec.structure.klt.codec import Q_COARSEST, Q_FINEST, Pace
from gvcodec.structure.klt.lookahead import DEPTH

#: The index and varints may take so much more in the last pass than in the one before it.
_SLACK_OF_A_GOP, _SLACK = 2, 4
#: How near (natural log) the projection of a probe has to come to be followed by a full pass.
_NEAR = 0.15
_PROBES = 3
#: How far off the quality of a full pass may be for it to be the last one's forecast: frames answer
#: to a change in ways of their own.
_FAR = 0.3
#: Last passes, should one exceed the limit: a frame that was forecast small may turn out large at
#: the very end, and a small file gets keyframes at other places, each with a GOP's bytes.
_LAST_PASSES = 5


def encode_klt(search: Search) -> Fitted:
    """Raises `UsageError` with the smallest possible size where the limit cannot be met."""
    quality, slope = _probe(search)
    first = _pass(search, Constant(quality), quality, fit=True)
    room = _room(search, first)
    # Where every frame is near its smallest, forecasts mean little: what is possible has to be
    # known first.
    if quality >= Q_COARSEST - 1 or room < sum(first.frame_bytes) / 4:
        smallest = _smallest(search, first)
        if len(smallest.data) > search.limit:
            raise search.too_small(smallest)
    quality, slope, profile = _nearer(search, quality, slope, first.frame_bytes, room)
    for _ in range(_LAST_PASSES):
        last = _pass(search, SizePace(profile, quality, room, slope), quality, first.fitted)
        if len(last.data) <= search.limit:
            return search.fitted(last)
        room = min(room - (len(last.data) - search.limit), _room(search, last))
    smallest = _smallest(search, first)
    if len(smallest.data) > search.limit:
        raise search.too_small(smallest)
    return search.fitted(smallest)


def _nearer(
    search: Search, quality: float, slope: float, profile: list[int], room: int
) -> tuple[float, float, list[int]]:
    """What frames cost at the quality that a full pass points to, by coding as much of the video as
    three encodes in all allow; the rest is taken to change as that did. Returns quality, slope
    there and profile, as they are where a full pass was near enough."""
    better = SizePace(profile, quality, room, slope).quality(True)
    frames = len(profile)
    allowed = 2 * frames - search.frames_coded - LAST_TRIALS
    count = frames if allowed >= frames else min(allowed, frames - DEPTH)
    if abs(better - quality) < _FAR or count < 2:
        return quality, slope, profile
    sizes = _beginning(search, better, count)
    slope = _plausible(math.log(sum(profile[:count]) / sum(sizes)) / (better - quality))
    ratio = sum(sizes[1:]) / sum(profile[1:count])
    return better, slope, sizes + [round(ratio * size) for size in profile[count:]]


def _room(search: Search, first: Pass) -> int:
    """Bytes that frame packets may take together."""
    frames = len(first.frame_bytes)
    gops = 1 + frames // max(1, search.config.keyint or frames)
    return search.limit - first.other_bytes - _SLACK - _SLACK_OF_A_GOP * gops


def _probe(search: Search) -> tuple[float, float]:
    """The quality that the limit means, going by the beginning of the video, and the slope of the
    rate there."""
    frames = search.extent.frames
    count = min(frames, max(2, min(12, frames // 10)))
    quality = _bounded(search.first_guess())
    room = max(1, search.limit - search.extent.track_bytes)
    tried: list[tuple[float, float]] = []
    for _ in range(_PROBES):
        sizes = _beginning(search, quality, count)
        inter = sizes[1:] or sizes
        whole = sum(sizes) + (frames - count) * sum(inter) / len(inter)
        tried.append((quality, math.log(whole)))
        distance = math.log(whole / room)
        quality = _bounded(quality + distance / _slope(tried))
        if abs(distance) < _NEAR or quality == tried[-1][0]:
            break
    return quality, _slope(tried)


def _beginning(search: Search, quality: float, count: int) -> list[int]:
    """Bytes of the first `count` frames at a quality; the look-ahead sees what follows them."""
    structure = _structure(search, quality, Constant(quality))
    coded = []
    with search.open_source() as source:
        for frame in search.watch(itertools.islice(source, count + DEPTH), "probe", count + DEPTH):
            coded += structure.send(frame.planes).packets
    if len(coded) < count:
        coded += structure.flush().packets
    search.frames_coded += len(coded)
    return [framed(len(packet.payload)) for packet in coded[:count]]


def _smallest(search: Search, first: Pass) -> Pass:
    return _pass(search, Constant(Q_COARSEST), Q_COARSEST, first.fitted)


def _pass(
    search: Search,
    pace: Pace,
    quality: float,
    fitted: Mapping[int, bytes] | None = None,
    fit: bool = False,
) -> Pass:
    """Encode with `pace`; the header says `quality`."""
    counting = _Counting(pace)
    structure = _structure(search, quality, counting)
    config = dataclasses.replace(
        search.config, base_q=_as_q(quality), fit=search.config.fit if fit else 0.0
    )
    search.full += 1
    what, count = f"pass {search.full}", search.extent.frames
    coded = run(
        search.open_source, config, what, search.watch, count, structure, fitted, search.progress
    )
    search.frames_coded += counting.coded
    search.notes += coded.notes if fit else []
    return coded


def _structure(search: Search, quality: float, pace: Pace) -> StructureEncoder:
    config = dataclasses.replace(search.config, base_q=_as_q(quality))
    return klt_encoder(search.extent.format, config, pace)


def _as_q(quality: float) -> float:
    return min(63.0, max(0.0, quality))


def _bounded(quality: float) -> float:
    return min(max(quality, Q_FINEST), Q_COARSEST)


class _Counting:
    """A pace that counts how often a frame was coded."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self.coded = 0

    def quality(self, key: bool) -> float:
        return self._pace.quality(key)

    def again(self, size: int, key: bool) -> float | None:
        self.coded += 1
        return self._pace.again(size, key)


def _slope(tried: list[tuple[float, float]]) -> float:
    """Of log rate over quality, from the last two trials where they are far enough apart to
    tell."""
    if len(tried) < 2 or abs(tried[-1][0] - tried[-2][0]) < 1.5:
        return SLOPE
    (q0, r0), (q1, r1) = tried[-2:]
    return _plausible((r0 - r1) / (q1 - q0))


def _plausible(slope: float) -> float:
    return min(max(slope, 0.05), 0.18)
