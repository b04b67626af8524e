"""`Job`: the arguments of one `encode_file` call, which all ways to encode share."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from gvcodec.bases import index_of, q_of
from gvcodec.config import EncoderConfig, ResolvedConfig
from gvcodec.errors import UsageError
from gvcodec.input_options import InputOptions
from gvcodec.opening import PathName
from gvcodec.rate.one_pass import Budget
from gvcodec.rate.quality import POOLS
from gvcodec.rate.target import TARGETS, Target, parse_target
from gvcodec.source.reader import VideoReader
from gvcodec.util.kinds import repr_short
from gvcodec.util.options import (
    RejectRepeat,
    add_option_docs,
    amount,
    integer,
    option,
    seconds,
    share,
)
from gvcodec.util.progress import Mode


def make_config(config: EncoderConfig | None, values: Mapping[str, Any]) -> EncoderConfig:
    """Either `config` or its fields. Raises `UsageError`."""
    if config is not None and values:
        raise UsageError("give either config or its fields", code="option-conflict")
    if config is not None and not isinstance(config, EncoderConfig):
        raise UsageError(
            f"config is an EncoderConfig, not {repr_short(config)}", code="option-value"
        )
    return config or EncoderConfig(**values)


def _target(text: str) -> Target:
    try:
        return parse_target(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


@add_option_docs
@dataclass(frozen=True, slots=True)
class Job:
    """Keywords of one call. `start` in seconds; `frames` None = all."""

    source: PathName | BinaryIO
    output: PathName | BinaryIO
    config: EncoderConfig
    input_options: InputOptions
    size: float | str | None = option(
        None, amount, "BYTES", group="rate", help="largest size of the file: 250k, 1.5M, 64Ki"
    )
    bitrate: float | str | None = option(
        None, amount, "BITS", group="rate", help="largest bitrate of the file, as in 300k"
    )
    bpp: float | str | None = option(
        None,
        amount,
        "BITS",
        group="rate",
        help="largest rate in bits per luma pixel, without sound",
    )
    video_bitrate: float | str | None = option(
        None,
        amount,
        "BITS",
        group="rate",
        help="largest bitrate of the picture alone, without sound (-b:v of ffmpeg)",
    )
    target: str | Target | None = option(
        None,
        _target,
        "METRIC=VALUE,…",
        group="rate",
        action=RejectRepeat,
        help=f"smallest file whose decoded frames reach {TARGETS}, or all of several, separated by "
        "commas; lpips (LPIPS-VGG) needs weights (checkout: python -m eval weights), ssimulacra2 "
        "and cvvdp the extra `metrics`",
    )
    target_of: str = option(
        "mean",
        choices=tuple(POOLS),
        group="target",
        help="statistic for --target: mean of all frames, value that 95 % of them reach, or mean "
        "of the worst scene (mean)",
    )
    max_size: float | str | None = option(
        None,
        amount,
        "BYTES",
        group="target",
        help="with --target: size limit; if the target needs more, the best quality that fits",
    )
    start: float = option(0.0, seconds, group="time")
    frames: int | None = option(
        None, integer(1), "N", group="part", help="number of frames to encode"
    )
    resume: bool = option(
        False,
        group="whole",
        help="encode in chunks, stored in OUT.part, and resume from there",
    )
    jobs: int | None = option(
        None,
        integer(1, 1024),
        "N",
        group="whole",
        help="encode N chunks in parallel; the output does not depend on N (no chunks)",
    )
    min_gain: float | str | None = option(
        None,
        share,
        "SHARE",
        group="outcome",
        help="fail (exit code 7) unless the output is this much smaller than its source: 10% (no "
        "limit)",
    )
    allow_damaged: bool = option(
        False,
        group="outcome",
        help="treat a damaged or truncated source as success; encode what is readable",
    )
    overwrite: bool = False
    progress: Mode = "none"
    verbose: bool = False

    def open(self) -> VideoReader:
        """The source, from its first wanted frame on. Raises `MediaError`, `UsageError`."""
        return VideoReader(self.source, self.start, self.frames, input_options=self.input_options)

    @property
    def in_chunks(self) -> bool:
        """Whether chunks are coded by themselves."""
        return bool(self.jobs or self.resume)

    @property
    def least_gain(self) -> float | None:
        """The share of the source that the file has to save. Raises `UsageError`."""
        if self.min_gain is None:
            return None
        if not is_whole(self):
            raise UsageError(
                "--min-gain compares whole files: not with --start, --to or --frames",
                code="option-conflict",
            )
        return float(self.min_gain)

    @property
    def rate(self) -> Budget | Target | None:
        """The budget or target of rate control. Raises `UsageError`."""
        given = (self.size, self.bitrate, self.bpp, self.video_bitrate, self.max_size)
        *amounts, max_size = (None if amount is None else float(amount) for amount in given)
        rate_count = sum(value is not None for value in (*amounts, self.target))
        if rate_count > 1:
            raise UsageError(
                "give one of size, bitrate, video_bitrate, bpp and target", code="option-conflict"
            )
        if self.target is None and (max_size is not None or self.target_of != "mean"):
            name = "target_of" if max_size is None else "max_size"
            raise UsageError(f"--{name.replace('_', '-')} needs --target", code="option-conflict")
        if self.target is None:
            return Budget(*amounts) if rate_count else None
        try:
            target = parse_target(self.target) if isinstance(self.target, str) else self.target
        except ValueError as error:
            raise UsageError(str(error)) from None
        if not isinstance(target, Target):
            raise UsageError(
                f"a target is {TARGETS}, or several with commas between them", code="option-value"
            )
        if self.target_of != "mean":
            target = target.with_pool(self.target_of)
        return replace(target, most_bytes=target.most_bytes if max_size is None else max_size)


def is_whole(job: Job) -> bool:
    """Whether all of the source is coded, not a part of it."""
    return job.start <= 0 and job.frames is None and job.input_options.until is None


def q_used(config: ResolvedConfig) -> float:
    """The quality of a video: `q`, or the quality of the base's index."""
    defaults = EncoderConfig(base=config.base, q=config.q)
    if (
        defaults.resolve().base_q == config.base_q
        or index_of(config.base, config.q) == config.base_q
    ):
        return config.q
    return q_of(config.base, config.base_q)
