"""Forecasts the seconds of each stage of an encode; `gvcodec.util.progress` corrects the forecast
while stages run.

Fitting takes as long for ten frames as for a thousand, coding goes by samples and preset: the one
says nothing of the other. Measured on one core of a 2026 server (720p, 480p, 360p; 24 to 80 frames;
SVT-AV1 4.1); many cores are taken to share the work as `_SHARED` says.
"""

from __future__ import annotations

import os

from gvcodec.config import EncoderConfig
from gvcodec.painter.fit_samples import expected_work
from gvcodec.types import VideoFormat

#: Seconds of a million luma samples by SVT-AV1's preset with tools for screens (4.2; 0 and 2 to 6
#: measured).
_PRESETS = (7.5, 3.2, 1.5, 0.5, 0.27, 0.2, 0.13, 0.09, 0.06, 0.05, 0.04)
#: Seconds of a unit of fitting's work, 0.235 to 0.39 by what else the machine does.
_UNIT = 0.31
#: Seconds of a million samples: painting, reading, and a trial, with a fast preset.
_PAINT, _COUNT, _TRIAL = 0.04, 0.01, 0.07
#: Side of a window of latent tokens.
_SIDE = 256
#: Seconds of such a window with a given number of tokens, and with trials (`--tokens auto`).
_WINDOW, _WINDOW_TRIED = 0.075, 0.36
#: Exponent of the number of cores that work is divided by.
_SHARED = 0.7
#: Frames of a video that does not say how many it has.
_USUAL_FRAMES = 250


def stage_seconds(
    fmt: VideoFormat, frames: int | None, config: EncoderConfig
) -> dict[str, float] | None:
    """Seconds by kind of stage, None where the speed of the base encoder is not known."""
    samples = fmt.width * fmt.height
    if config.base != "av1":
        return None
    coding = _PRESETS[config.preset_of(samples) or 0]
    frames = frames or _USUAL_FRAMES
    millions = samples * frames / 1e6
    cores = (config.threads or os.cpu_count() or 1) ** _SHARED
    return {
        "count": _COUNT * millions,
        "probe": _TRIAL * millions / cores,
        "trial": _TRIAL * millions / cores,
        "code": coding * millions / cores,
        "fit": _UNIT * expected_work(config.steps) / cores,
        "paint": (_PAINT * millions + _token_seconds(fmt, frames, config)) / cores,
    }


def _token_seconds(fmt: VideoFormat, frames: int, config: EncoderConfig) -> float:
    if not config.has_tokens:
        return 0.0
    windows = -(-fmt.height // _SIDE) * -(-fmt.width // _SIDE)
    return (_WINDOW_TRIED if config.tokens == "auto" else _WINDOW) * windows * frames
