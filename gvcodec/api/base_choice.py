"""`--base auto` of an encode: the base of its video."""

from __future__ import annotations

import os
from dataclasses import replace

from gvcodec.api.job import Job
from gvcodec.api.sources import as_name
from gvcodec.av1_mux.write import one_file_suffix
from gvcodec.bases import AUTO
from gvcodec.config import EncoderConfig
from gvcodec.rate import auto
from gvcodec.util.messages import say


def resolve_auto_base(config: EncoderConfig, output: str | None, in_parts: bool) -> EncoderConfig:
    """`auto` is av1 where the output takes nothing else, and where chunks share a budget."""
    only_av1 = in_parts or bool(one_file_suffix(output))
    return replace(config, base="av1") if config.base == AUTO and only_av1 else config


def settle_base(job: Job) -> Job:
    """The job with a base, chosen where it is `auto`."""
    if job.config.base != AUTO:
        return job
    if as_name(job.source) is None:
        return replace(job, config=replace(job.config, base="av1"))
    return replace(job, config=choose_base(job, job.config))


def choose_base(job: Job, config: EncoderConfig, path: str = "") -> EncoderConfig:
    """The settings with the base that is chosen for the input, of which `path` is a copy that can
    be read again."""
    source = path or os.fspath(job.source)  # type: ignore[arg-type]
    choice = auto.choose_base(str(source), config, job.start, job.frames, job.input_options)
    shown = choice.config.base == "motion" and job.progress != "none"
    if job.verbose or shown:
        say(choice.reason)
    return choice.config
