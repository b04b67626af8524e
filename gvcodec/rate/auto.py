"""`--base auto`, the default: AV1 or motion, by what a part of the video looks like in both at
equal bytes.

    choice = choose_base("in.mp4", EncoderConfig(q=60))
    choice.config.base, choice.reason        # settings of the base that is chosen, one line of why

Large pictures, high rates and settings that only AV1 has take AV1 at once. Otherwise a part from
the middle of the video is coded by AV1, and by motion at one to three qualities. Both are painted,
with the painter that ships, and compared with the source through the small perceptual network,
which sees single frames and hardly what moves wrongly: much luma PSNR lost has to be paid for, and
motion is not taken where its worst blocks are torn more, or its errors change more from frame to
frame, than AV1's (`gvcodec.rate.quality`).
Trials need torch; without it AV1 is taken. `q` means AV1's: motion gets the index at which the part
has as many bytes. Memory: the frames of the part, three times.
"""

from __future__ import annotations

import itertools
import math
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from gvcodec import layers
from gvcodec.base import Coded
from gvcodec.bases import AUTO, INDEX_END, Q_END, index_of, q_of
from gvcodec.bitstream import Kind, Packet
from gvcodec.bitstream.bundles import bytes_in_file
from gvcodec.config import EncoderConfig
from gvcodec.errors import MediaError, WrongModelError
from gvcodec.media.inputs import InputOptions, list_pictures
from gvcodec.media.planes import rgb_from_planes
from gvcodec.media.reader import VideoReader
from gvcodec.models import GUIDE, PAINTER
from gvcodec.painter.open import has_torch
from gvcodec.painter.video import VideoPainter
from gvcodec.rate.bracket import Bracket
from gvcodec.rate.quality import error_change, structure_error
from gvcodec.types import Plane, Planes, VideoFormat
from gvcodec.util.psnr import MeanPsnr, psnr
from gvcodec.util.torch_settings import usual_torch
from gvcodec.util.uris import is_uri, local_path

#: Luma samples of the largest pictures, and the highest rate in bits a luma pixel, at which motion
#: have gained (docs/results.md).
MOST_SAMPLES, MOST_BPP = 640 * 480, 0.015
#: AV1's quality from which on trials are worth their time: finer ones are above that rate.
LEAST_Q = 58
#: Decibels of luma PSNR that motion may lose against AV1 for nothing, and by how much nearer it
#: have to be for each, where they lose more.
FREE_LOSS, PRICE = 1.0, 0.1
#: How many times AV1's the structure error of the worst blocks, and the change of the error from
#: frame to frame, may be. On a face they were 0.7 and 1.2 at about AV1's bytes, 2.0 and 1.4 with
#: two fifths fewer.
MOST_TORN, MOST_CHANGE = 1.15, 1.25
#: Frames of the part, and the least for which trials are worth it; on half as many, in which the
#: keyframe weighs more, the choice is wrong more often. One in `_EVERY`, which has no factor in
#: common with AV1's hierarchy, is compared.
PART, _LEAST, _EVERY = 48, 12, 9
#: A fast preset of SVT-AV1, and the most bytes it takes over those of the usual one.
_QUICK, _EXCESS = 8, 1.3
#: Trials of motion, how far from AV1's bytes one may be, in their log, to be the last, and how far
#: at all; the log of the distance falls by this part of the log of the bytes, about (0.2 … 0.7).
_TRIALS, _NEAR, _FARTHEST, _FALL = 3, 0.06, 0.12, 0.4
#: Steps of motion's index that equal bytes are below AV1's `q`, for each that `q` is below the
#: coarsest; the log of the bytes that a step saves, up to index `_BEND` and beyond.
_BELOW, _SLOPE, _BEND, _STEEP = 1.15, 0.08, 60.0, 0.17
_GRAIN = 0.25
#: The network halves a picture four times.
_SMALLEST = 48


@dataclass(frozen=True, slots=True)
class Trial:
    """The part in one base: the base's index, bytes of its frames in a file, mean luma PSNR of the
    base frames in dB, frames as RGB (H, W, 3) uint8, painted, and of painted frames the structure
    error of the worst blocks and the change of the error from frame to frame."""

    base_q: float
    size: int
    psnr: float = 0.0
    torn: float = 0.0
    change: float = 0.0
    shown: Sequence[NDArray[np.uint8]] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Choice:
    """Settings with the base that is chosen, and one line of why."""

    config: EncoderConfig
    reason: str


#: Settings of AV1 at some quality, to those of the base that is chosen.
Choose = Callable[[EncoderConfig], EncoderConfig]
Attempt = Callable[[EncoderConfig, bool], Trial]
Judge = Callable[[Sequence[Trial]], Sequence[float]]


def too_dear(size: float, samples: int) -> bool:
    """Whether so many bytes for so many luma samples are a rate at which motion gains nothing."""
    return 8 * size > MOST_BPP * samples


def choose_base(
    path: str,
    config: EncoderConfig,
    start: float = 0.0,
    frames: int | None = None,
    said: InputOptions | None = None,
) -> Choice:
    """For the video that `VideoReader` opens with these arguments. The quality of `config` is
    AV1's; with base "auto", whose index nobody knows, a `base_q` means av1. Raises `MediaError`,
    `UsageError`."""
    given = config.base == AUTO and config.base_q is not None
    config = replace(config, base="av1")
    q = config.q if config.base_q is None else q_of("av1", config.base_q)
    why = f"q {q:g} is finer than {LEAST_Q}" if q < LEAST_Q else "its index is given" * given
    why = why or _why_settings(config)
    if not why and not _rereadable(path):
        why = "the input can be read only once"
    if not why and not has_torch():
        why = "trials need torch"
    if why:
        return Choice(config, f"base av1: {why}")
    with VideoReader(path, start, 1, said=said) as reader:
        fmt = reader.format
        known = reader.expected if frames is None else min(frames, reader.expected or frames)
    if why := _why_large(fmt):
        return Choice(config, f"base av1: {why}")
    early = max(0, ((known or 0) - PART) // 2)
    part = _read(path, start + float(early / fmt.frame_rate), frames, said)
    if len(part) < PART and early:
        part = _read(path, start, frames, said)
    if len(part) < _LEAST:
        return Choice(config, f"base av1: fewer than {_LEAST} frames")
    trials = Trials(fmt, part)
    return compare(config, trials.samples, trials.attempt, trials.judge)


def compare(config: EncoderConfig, samples: int, attempt: Attempt, judge: Judge) -> Choice:
    """By trials of a part with so many luma samples. `attempt` codes it, and paints where that is
    wanted; `judge` gives the distance of each trial from the source."""

    config = replace(config, base="av1")
    size = attempt(replace(config, preset=_QUICK), False).size / _EXCESS
    if not too_dear(size, samples):
        av1 = attempt(config, True)
        size = av1.size
    rate = f"{8 * size / samples:.4f} bits a pixel"
    if too_dear(size, samples):
        return Choice(config, f"base av1: {rate}, motion gains below {MOST_BPP}")
    motion = _motion_near(av1, config, attempt)
    if not motion:
        return Choice(config, f"base av1: motion does not come near {rate}")
    fidelity, *farther = (trial.psnr for trial in motion)
    if farther:
        fidelity += _part(av1.size, motion) * (farther[0] - fidelity)
    loss = av1.psnr - fidelity
    ours, *theirs = judge([av1, *motion])
    index, distance = _at_size(av1.size, motion, theirs)
    gain = 1 - distance / max(ours, 1e-9)
    what = f"painted {abs(gain):.1%} {'nearer to' if gain > 0 else 'farther from'} the source"
    if gain <= 0:
        return Choice(config, f"base av1: motion is {what} at {rate}")
    if loss > FREE_LOSS and gain < PRICE * loss:
        lost = f"lose {loss:.1f} dB of PSNR-Y"
        return Choice(config, f"base av1: motion is {what} but {lost} at {rate}")
    if flaw := _flaw(av1, motion[0]):
        return Choice(config, f"base av1: motion is {what} but {flaw} at {rate}")
    config = replace(config, base="motion")
    index = min(max(round(index / _GRAIN) * _GRAIN, 0.0), config.coarsest)
    return Choice(replace(config, base_q=index), f"base motion: {what} than av1 at {rate}")


def _flaw(av1: Trial, motion: Trial) -> str:
    """What a network that sees single frames forgives and people do not, "" = nothing."""
    if motion.torn > MOST_TORN * av1.torn > 0:
        return f"torn ({motion.torn:.2f}, av1 {av1.torn:.2f})"
    if motion.change > MOST_CHANGE * av1.change > 0:
        return f"unsteady ({motion.change:.1f}, av1 {av1.change:.1f})"
    return ""


def excludes_motion(config: EncoderConfig, fmt: VideoFormat) -> str:
    """Why motion does not code such a video with these settings, "" = it does."""
    return _why_settings(config) or _why_large(fmt)


def _why_settings(config: EncoderConfig) -> str:
    settings: dict[str, object] = {
        "low delay": config.low_delay,
        "maxrate": config.maxrate,
        "eye": config.eye,
    }
    settings |= {
        "zones": config.zones,
        "preset": config.preset is not None,
        "encoder params": config.encoder_params,
    }
    for name, given in settings.items():
        if given:
            return f"{name} is given"
    try:
        PAINTER.find()
        layers.base_model_id("motion")
    except WrongModelError as error:
        return str(error)
    return ""


def _why_large(fmt: VideoFormat) -> str:
    """What excludes motion in the video's format, "" = nothing."""
    if fmt.width * fmt.height > MOST_SAMPLES:
        return f"pictures of more than {MOST_SAMPLES:,} samples"
    if min(fmt.width, fmt.height) < _SMALLEST:
        return f"pictures smaller than {_SMALLEST} samples"
    return "" if fmt.bit_depth == 8 else f"{fmt.bit_depth} bits"


def _rereadable(path: str) -> bool:
    if path == "-" or is_uri(path):
        return False
    with suppress(OSError):
        return stat.S_ISREG(os.stat(path).st_mode) or list_pictures(local_path(path)) is not None
    return list_pictures(local_path(path)) is not None


def _read(path: str, start: float, frames: int | None, said: InputOptions | None) -> list[Planes]:
    """The part from `start` seconds on, none where the video ends before."""
    try:
        with VideoReader(path, start, min(PART, frames or PART), said=said) as reader:
            return [frame.planes for frame in reader]
    except MediaError:
        if not start:
            raise
        return []


def _motion_near(av1: Trial, config: EncoderConfig, attempt: Attempt) -> Sequence[Trial]:
    """The trial of motion that comes nearest to AV1's bytes; where none comes near, the nearest
    ones with more and with fewer bytes; none where there are not both."""
    q = q_of("av1", av1.base_q)
    index = index_of("motion", q) - _BELOW * (Q_END - q)
    coarsest = replace(config, base="motion").coarsest
    slope = _SLOPE if index < _BEND else _STEEP
    bracket, tried = Bracket(0.0, coarsest, slope, index), list[Trial]()
    for base_q in itertools.islice(bracket, _TRIALS):
        tried.append(attempt(replace(config, base="motion", base_q=base_q), True))
        bracket.known[base_q] = _excess(tried[-1], av1.size)
        nearest = min(tried, key=lambda trial: abs(_excess(trial, av1.size)))
        if abs(_excess(nearest, av1.size)) < _NEAR:
            return [nearest]
    if abs(_excess(nearest, av1.size)) <= _FARTHEST:
        return [nearest]
    more = [trial for trial in tried if trial.size > av1.size]
    fewer = [trial for trial in tried if trial.size < av1.size]
    if not more or not fewer:
        return []
    return min(more, key=lambda t: t.size), max(fewer, key=lambda t: t.size)


def _excess(trial: Trial, size: int) -> float:
    """The log of its bytes over `size`."""
    return math.log(trial.size / size)


def _at_size(
    size: int, trials: Sequence[Trial], distances: Sequence[float] = (1.0, 1.0)
) -> tuple[float, float]:
    """Index and distance of motion with `size` bytes: from one trial by the usual slopes, from two
    around it by the line through them."""
    nearest, *others = trials
    excess = _excess(nearest, size)
    if not others:
        slope = _SLOPE if nearest.base_q < _BEND else _STEEP
        return nearest.base_q + excess / slope, distances[0] * math.exp(_FALL * excess)
    part = _part(size, trials)
    near, far = (max(distance, 1e-9) for distance in distances)
    index = nearest.base_q + part * (others[0].base_q - nearest.base_q)
    return index, near * (far / near) ** part


def _part(size: int, trials: Sequence[Trial]) -> float:
    """Where `size` lies on the way from the first trial to the second one, in their logs."""
    near, far = (_excess(trial, size) for trial in trials)
    return near / (near - far)


class Trials:
    """Trials of `part`, frames of a video of this format; `samples`: luma samples in it."""

    def __init__(self, fmt: VideoFormat, part: Sequence[Planes]) -> None:
        self._fmt, self._part = fmt, part
        self._looks = range(_EVERY // 2, len(part), _EVERY)
        self.samples = len(part) * fmt.width * fmt.height

    def attempt(self, config: EncoderConfig, paint: bool) -> Trial:
        """The part in `config.base`."""
        index = config.base_q
        index = index_of(config.base, config.q) if index is None else index
        settled = config.resolve()
        encoder = layers.open_encoder(self._fmt, settled)
        coded = Coded()
        for planes in self._part:
            coded.add(encoder.send(planes))
        coded.add(encoder.flush())
        bundled = config.bundles(self._fmt.width * self._fmt.height)
        kinds = (Kind.KEY if packet.keyframe else Kind.INTER for packet in coded.packets)
        payloads = (packet.payload for packet in coded.packets)
        size = bytes_in_file(map(Packet, kinds, payloads), bundled)
        if not paint:
            return Trial(index, size)
        fidelity = MeanPsnr()
        for source, base_frame in zip(self._part, coded.base_frames, strict=True):
            fidelity.add(psnr(base_frame[0], source[0]))
        q = min(INDEX_END, round(settled.base_q))
        threads = settled.threads or os.cpu_count() or 1
        painter = VideoPainter(self._fmt, settled.base, settled.scale, q, PAINTER.find(), threads)
        shown, torn, changes = [], [], []
        before: Plane | None = None
        for number, (packet, base_frame) in enumerate(
            zip(coded.packets, coded.base_frames, strict=True)
        ):
            if packet.keyframe:
                painter.start_gop(None)
            painted = painter.paint(base_frame, len(packet.payload))
            luma, wanted = painted[0], self._part[number][0]
            if before is not None:
                changes.append(error_change(luma, before, wanted, self._part[number - 1][0]))
            before = luma
            if number in self._looks:
                shown.append(rgb_from_planes(painted, self._fmt.colour))
                torn.append(structure_error(luma, wanted))
        tears, change = (fmean(values) if values else 0.0 for values in (torn, changes))
        return Trial(index, size, fidelity.value, tears, change, shown)

    @usual_torch()
    def judge(self, trials: Sequence[Trial]) -> list[float]:
        """Distance of each trial from the source: LPIPS and DISTS of the small network, added."""
        import torch

        from gvcodec import perceptual
        from gvcodec.perceptual.vgg import PerceptualLoss
        from gvcodec.util.tensors import rgb_tensor

        leading = perceptual.guide_network("small")
        if leading is None:
            raise MediaError(f"{GUIDE.name}: no perceptual network here")
        loss, totals = PerceptualLoss(weights=leading[1]), [0.0] * len(trials)
        threads = torch.get_num_threads()
        # Sums in another order would make the choice depend on the number of threads.
        torch.set_num_threads(1)
        try:
            with torch.inference_mode():
                for place, number in enumerate(self._looks):
                    source = rgb_from_planes(self._part[number], self._fmt.colour)
                    reference = loss.reference(rgb_tensor(source))
                    for i, trial in enumerate(trials):
                        parts = loss(rgb_tensor(trial.shown[place]), reference)
                        totals[i] += sum(float(part) for part in parts)
        finally:
            torch.set_num_threads(threads)
        return [total / len(self._looks) for total in totals]
