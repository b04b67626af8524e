"""Types of the keywords that functions take as `**options`, for editors and type checkers.
Written by `python scripts/option_tables.py`."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Literal, TypedDict

from gvcodec.limits import Limits
from gvcodec.rate.target import Target
from gvcodec.util.progress import Mode


class EncodeOptions(TypedDict, total=False):
    q: str | float
    base_q: str | float | None
    maxrate: str | float
    base: Literal["av1", "vvc", "gvc1d", "none"]
    base_scale: str | float | Fraction | None
    speed: Literal["fast", "balanced", "best"]
    fit: str | int | None
    painter: Literal["on", "off"]
    look: str | int
    fit_by: Literal["vgg", "small"]
    model: str
    device: str
    keyint: str | int
    low_delay: bool
    preset: str | int | None
    eye: bool
    encoder_params: str
    zones: str
    alloc: Literal["uniform", "uniqueness", "elbo", "both", "rd"]
    token_share: str | float
    embed_model: bool
    tokens: Literal["off", "on", "search"]
    threads: str | int
    gop_q: tuple[float, ...]


class EncodeFileOptions(EncodeOptions, total=False):
    size: float | str | None
    bitrate: float | str | None
    bpp: float | str | None
    video_bitrate: float | str | None
    target: str | Target | None
    target_of: Literal["mean", "p5", "worst-scene"]
    max_size: float | str | None
    start: str | float
    frames: str | int | None
    resume: bool
    jobs: str | int | None
    min_gain: float | str | None
    allow_damaged: bool
    overwrite: bool
    progress: Mode
    verbose: bool
    rate: str | float | Fraction | None
    fps: str | float | Fraction | None
    color_primaries: str | int | None
    color_trc: str | int | None
    color_matrix: str | int | None
    color_range: Literal["limited", "tv", "full", "pc"] | bool | None
    chroma_location: str | int | None
    scale: str | float | tuple[int, int] | Fraction | None
    deinterlace: bool
    no_subtitles: bool | None
    no_attachments: bool | None


class DecodeFileOptions(TypedDict, total=False):
    fidelity: bool
    look: str | int | None
    tokens: Literal["on", "off"]
    format: Literal["y4m", "matroska"] | None
    crf: str | float | None
    lossless: bool
    start: str | float
    end: str | float | None
    frames: str | int | None
    scale: str | float | tuple[int, int] | Fraction | None
    sound: Literal["copy", "none"]
    no_subtitles: bool
    low_delay: bool
    ignore_errors: bool
    overwrite: bool
    threads: str | int
    models: Sequence[str | Path]
    device: str
    limits: Limits
    enforce_rlimit: bool
