"""One `encode_file`: what all ways to encode need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from gvcodec.api.sources import PathName
from gvcodec.config import EncoderConfig
from gvcodec.media.inputs import InputOptions
from gvcodec.painter.open import has_torch
from gvcodec.util.progress import ProgressOptions


@dataclass(frozen=True, slots=True)
class Job:
    """`start` in seconds, `frames` at most (None = all)."""

    source: PathName | BinaryIO
    output: PathName | BinaryIO
    config: EncoderConfig
    start: float
    frames: int | None
    overwrite: bool
    input_options: InputOptions | None
    progress: ProgressOptions

    @property
    def stages(self) -> list[str]:
        """Those of one encode, for its bar."""
        return ["code", "fit", "paint"] if self.config.fits and has_torch() else ["code"]
