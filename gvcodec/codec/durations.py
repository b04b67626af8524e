"""What an encode takes in processor seconds, for progress bars alone: nothing else depends on it.

Measured on 33 frames of 960×540 at q 50 (two threads of an x86-64 server, 2026-11). Only the ratios
matter much: `Estimate` replaces them by what the frames of this video take.
"""

from __future__ import annotations

import os
from pathlib import Path

from gvcodec.config import EncoderConfig
from gvcodec.painter.open import has_torch
from gvcodec.types import VideoFormat
from gvcodec.util.estimate import Work

#: Seconds a megapixel, by base and preset; presets between two take what is between.
_CODING = {
    "av1": {0: 2.5, 2: 0.65, 3: 0.34, 4: 0.20, 6: 0.12, 8: 0.09, 10: 0.07},
    "vvc": {0: 5.0, 2: 1.3, 4: 0.35},
    "motion": {2: 0.25},
    "none": {2: 0.01},
}
_PAINTING = 0.05
#: Of a step of fitting, and of a look at the held-out crops; looks without which nothing is fitted.
#: Measured with the small network; VGG16 took .8 s more for a step of four crops.
_STEP, _LOOKS = {"small": 0.38, "vgg": 1.2}, 9


def work_of(fmt: VideoFormat, config: EncoderConfig) -> Work:
    """Of an encode of this video."""
    megapixels = fmt.width * fmt.height / 1e6
    config = config.resolve()
    scale = float(config.scale or 1) ** 2
    frame = megapixels * scale * _coding(config.base, 2 if config.preset is None else config.preset)
    paint = megapixels * _PAINTING
    if not (config.fits and has_torch()):
        # Frames are painted as they are coded.
        return Work(frame + paint, paint)
    steps = (config.steps + _LOOKS) * _STEP["vgg" if _vgg_leads(config) else "small"]
    return Work(frame, paint, steps, config.fit)


def plan_of(config: EncoderConfig) -> list[str]:
    """Stages of one encode."""
    return ["code", "fit", "paint"] if config.fits and has_torch() else ["code"]


def _coding(base: str, preset: int) -> float:
    measured = _CODING[base]
    if len(measured) == 1:
        return next(iter(measured.values()))
    low = max(known for known in measured if known <= preset)
    high = min(known for known in measured if known >= preset)
    return (measured[low] * measured[high]) ** 0.5


def _vgg_leads(config: EncoderConfig) -> bool:
    """Whether VGG16 is likely to lead: asking the painter would load torch."""
    named = os.environ.get("GVCODEC_METRIC_WEIGHTS")
    folder = Path(named) if named else Path.home() / ".cache/gvcodec/metrics"
    return config.fit_by == "vgg" or (not config.fit_by and folder.is_dir())
