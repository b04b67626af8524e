"""Checks a coded file before it replaces its source: it is decoded in full, its hashes are
verified, and everything in the source has to be in it.

    checked = check_copy(stream_path, source, ReplaceRules(allow_loss=("data",)), options)

Raises `NotReplacedError`."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from gvcodec.codec.decoder import Decoder
from gvcodec.edit.contents import NAMES, Loss, losses, read_copy, read_source
from gvcodec.edit.verify import Originals, verify
from gvcodec.errors import GvcodecError, NotReplacedError, UsageError
from gvcodec.input_options import InputOptions
from gvcodec.opening import open_reader
from gvcodec.planes import rgb_from_planes
from gvcodec.rate.quality import require_metric, ssimulacra2
from gvcodec.source.reader import VideoReader
from gvcodec.types import Colour, Planes
from gvcodec.util.messages import count_noun

#: PSNR-Y in dB below which a copy is another film: usual qualities have more.
FLOOR = "psnr=24"
_FLOORS = re.compile(r"(psnr|ssimulacra2)=(-?\d+(?:\.\d+)?)")
#: Distance in frames from one SSIMULACRA2 score to the next.
_SCORED = 8


@dataclass(frozen=True, slots=True)
class ReplaceRules:
    """`keep`: folder for originals, "" = delete them. `floor`: least mean quality of the output,
    `psnr=…` (dB of luma) or `ssimulacra2=…`. `least_gain`: least share of the original's bytes that
    the copy saves. `allow_loss`: which parts of the source (`contents.NAMES`) the copy may lack."""

    keep: str = ""
    floor: str = FLOOR
    least_gain: float = 0.0
    allow_loss: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        match = _FLOORS.fullmatch(self.floor)
        if match is None:
            raise UsageError(f"{self.floor!r} is no floor like psnr=30 or ssimulacra2=60")
        require_metric(match[1])
        for name in self.allow_loss:
            if name not in NAMES:
                raise UsageError(
                    f"{name!r} is no loss to allow: {', '.join(NAMES)}", code="option-value"
                )

    @property
    def metric(self) -> str:
        return self.floor.partition("=")[0]

    @property
    def least_quality(self) -> float:
        return float(self.floor.partition("=")[2])


@dataclass(frozen=True, slots=True)
class CheckedCopy:
    """Measures of a copy that passed: `seconds` of its `frames`, how many `tracks` of sound and
    subtitles it has, `quality` by the floor's metric, `gain` as a share; `lost`: allowed losses."""

    frames: int
    seconds: float
    tracks: int
    metric: str
    quality: float
    gain: float
    lost: tuple[Loss, ...] = ()

    def __str__(self) -> str:
        unit = " dB" if self.metric == "psnr" else ""
        parts = [
            "hashes right",
            count_noun(self.frames, "frame"),
            f"{self.seconds:.2f} s",
            count_noun(self.tracks, "track") + " of sound and subtitles",
            f"{self.metric} {self.quality:.2f}{unit}",
            f"{100 * self.gain:.1f} % smaller",
        ]
        if self.lost:
            parts.append(f"without {_list(self.lost)}")
        return ", ".join(parts)


def check_copy(
    stream_path: str, source: str, rules: ReplaceRules, options: InputOptions | None = None
) -> CheckedCopy:
    """Decode a coded file in full, check its hashes, and compare it with its source: all parts,
    frames and their times, length, quality, and size. `options`: of its encode. Raises
    `NotReplacedError` with the reason, and with the names of parts that would be lost."""
    try:
        return _check(stream_path, source, rules, options or InputOptions())
    except NotReplacedError:
        raise
    except GvcodecError as error:
        raise NotReplacedError(f"{source}: not replaced: {error}") from error


def _check(
    stream_path: str, source: str, rules: ReplaceRules, options: InputOptions
) -> CheckedCopy:
    def refuse(reason: str) -> NotReplacedError:
        return NotReplacedError(f"{source}: not replaced: {reason}")

    gain = 1 - os.path.getsize(stream_path) / os.path.getsize(source)
    if gain <= 0 or gain < rules.least_gain:
        least = f"at least {100 * rules.least_gain:g} %" if rules.least_gain else "more than 0 %"
        raise refuse(f"the coded file saves {100 * gain:.1f} %, and has to save {least}")
    original, frames, seconds = read_source(source, options)
    copy, copied_frames, copied_seconds = read_copy(stream_path)
    if copied_frames != frames:
        raise refuse(f"the coded file has {copied_frames} frames, the original {frames}")
    if abs(copied_seconds - seconds) > max(seconds / frames, 0.01):
        raise refuse(f"the coded file is {copied_seconds:.3f} s long, the original {seconds:.3f} s")
    lost = losses(original, copy, options)
    names = [name for name in NAMES if name in {loss.name for loss in lost}]
    if refused := tuple(name for name in names if name not in rules.allow_loss):
        error = refuse(f"would lose {_list(lost)} (--allow-loss {','.join(names)} permits it)")
        error.lost = refused
        raise error
    report = verify(stream_path, source)
    if not report.frames == report.compared == frames:
        raise refuse(f"{report.compared} of {frames} frames have the same times")
    shown_psnr = report.painted_psnr or report.base_psnr
    assert shown_psnr is not None
    quality = shown_psnr[0] if rules.metric == "psnr" else _score(stream_path, source)
    if not quality >= rules.least_quality:
        raise refuse(f"its {rules.metric} is {quality:.2f}, below {rules.least_quality:g}")
    tracks = sum(part.name in ("sound", "subtitle") for part in copy)
    return CheckedCopy(frames, seconds, tracks, rules.metric, quality, gain, tuple(lost))


def _list(lost: Sequence[Loss]) -> str:
    return ", ".join(dict.fromkeys(loss.what for loss in lost))


def _score(stream_path: str, source: str) -> float:
    """Mean SSIMULACRA2 of every eighth output frame."""
    scores = []
    with open_reader(stream_path) as reader, VideoReader(source) as video:
        decoder = Decoder(reader.header, reader.header.is_painted)
        originals = Originals(video, reader.header)
        colour = video.format.colour
        for number, frame in enumerate(decoder.frames_of(reader.packets())):
            if decoder.tracks:
                decoder.tracks.waiting.clear()
            theirs = originals.at(frame.pts, decoder.metadata)
            if number % _SCORED == 0 and theirs is not None:
                ours = originals.as_large(frame.planes)
                scores.append(ssimulacra2(_picture(ours, colour), _picture(theirs, colour)))
    return fmean(scores)


def _picture(planes: Planes, colour: Colour) -> NDArray[np.float32]:
    """(3, H, W) in [0, 1]."""
    rgb = rgb_from_planes(planes, colour).transpose(2, 0, 1)
    return rgb.astype(np.float32) / np.float32(255)
