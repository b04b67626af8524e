"""The parts of `encode_file` that read the input more than once: `--base auto`, and files of a
given size, bitrate, bits per pixel or target quality."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import BinaryIO

from gvcodec.api.job import Job
from gvcodec.api.results import Encoded
from gvcodec.bases import AUTO, q_of
from gvcodec.codec.forecast import stage_seconds
from gvcodec.config import EncoderConfig
from gvcodec.container.opening import PathName, open_sink
from gvcodec.container.write import container_size, one_file_suffix
from gvcodec.errors import UsageError
from gvcodec.media.reader import VideoReader
from gvcodec.media.sound_coding import SoundCoder
from gvcodec.rate import auto
from gvcodec.rate.budget import Budget
from gvcodec.rate.one_pass import Pass
from gvcodec.rate.quality import require_metric
from gvcodec.rate.scenes import shares
from gvcodec.rate.search import Fitted, TooSmallError, refuse_sound
from gvcodec.rate.size import encode_to
from gvcodec.rate.target import Reached, Target, encode_for
from gvcodec.util.file_io import as_name, check_source, name_errors, open_input, work_folder
from gvcodec.util.messages import say
from gvcodec.util.progress import ProgressBar
from gvcodec.util.uris import local_path

#: Bytes that a container adds, about; encodes until a file has its size, and what part of it may be
#: left over.
_ADDED, _TRIES, _SPARE = 1000, 3, 0.02
#: How much longer than it says a file may be.
_LENIENT = 1.05


def resolve_auto_base(config: EncoderConfig, output: str | None) -> EncoderConfig:
    """`auto` is av1 where the output takes nothing else."""
    only_av1 = config.base == AUTO and one_file_suffix(output)
    return replace(config, base="av1") if only_av1 else config


def settle_base(job: Job) -> Job:
    """The job with a base, chosen where it is `auto`."""
    if job.config.base != AUTO:
        return job
    if as_name(job.source) is None:
        return replace(job, config=replace(job.config, base="av1"))
    return replace(job, config=choose_base(job, job.config))


def choose_base(job: Job, config: EncoderConfig, path: str = "") -> EncoderConfig:
    """The settings with the chosen base; `path`: a copy of the input to read again."""
    source = path or os.fspath(job.source)  # type: ignore[arg-type]
    choice = auto.choose_base(source, config, job.start, job.frames, job.input_options)
    shown = choice.config.base == "motion" and job.progress != "none"
    if job.verbose or shown:
        say(choice.reason)
    return choice.config


def encode_rated(job: Job, rate: Budget | Target) -> Encoded:
    """Raises `UsageError` with the smallest possible size, or the best possible quality, where that
    is not enough, and `MissingWeightsError` before anything is read."""
    if isinstance(rate, Target):
        require_metric(rate.metric)
        if shares(job.config):
            raise UsageError("alloc goes with q or a size, not with a target")
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(open_sink(job.output, job.overwrite))
        path = stack.enter_context(reread(job.source))

        def open_source() -> VideoReader:
            return VideoReader(path, job.start, job.frames, said=job.input_options)

        with open_source() as source:
            costs = stage_seconds(source.format, source.expected, job.config)
            # A .webm leaves out what it does not take, and has room for pictures then.
            suffix = one_file_suffix(as_name(job.output))
            if suffix != ".webm":
                _refuse_early(source, rate)
        bar = stack.enter_context(ProgressBar(_plan(job, rate), None, job.progress, job.verbose))
        bar.forecast(costs)
        if isinstance(rate, Target):
            original = None
            if job.input_options.scale is not None:
                whole = replace(job.input_options, scale=None)
                original = partial(VideoReader, path, job.start, job.frames, said=whole)
            reach = partial(
                encode_for, open_source, job.config, watch=bar, progress=bar, open_original=original
            )
            reached = _reach_in_container(suffix, rate, reach)
            q = q_of(reached.coded.base, reached.base_q)
            done = _describe(reached.coded, reached.passes, q, limit=reached.limit)
            done = replace(done, reached=replace(rate, value=reached.value), wanted=rate)
            output.write(reached.coded.data)
        else:
            encode = partial(encode_to, open_source, job.config, watch=bar, progress=bar)
            choose = partial(choose_base, job, path=path)
            encode = partial(encode, choose=choose, is_file=not suffix)
            fitted = _fit_container(suffix, rate, encode)
            q = q_of(fitted.coded.base, fitted.coded.base_q)
            done = _describe(fitted.coded, fitted.full_passes, q, limit=fitted.limit)
            output.write(fitted.coded.data)
    return done


def _refuse_early(source: VideoReader, rate: Budget | Target) -> None:
    """Raises `UsageError` where copied sound alone takes more than the budget: reads the file, but
    decodes nothing. Sound that is coded anew is known after the first pass."""
    if isinstance(rate, Target) or rate.bpp is not None or isinstance(source.tracks, SoundCoder):
        return
    limit = rate.size
    if limit is None and source.expected is not None:
        # An estimate: the passes know better.
        limit = _LENIENT * rate.file_bytes(source.format, source.expected, 0)
    if limit is not None:
        refuse_sound(limit, source.measure_tracks())


def _fit_container(suffix: str, rate: Budget, encode: Callable[[Budget], Fitted]) -> Fitted:
    """Encode so that the file, with what its container adds and leaves out, meets its limit."""
    if rate.bpp is not None or not suffix:
        return encode(rate)
    added, passes = _ADDED, 0
    limit = None if rate.size is None else int(rate.size)
    best: Fitted | None = None
    for _ in range(_TRIES):
        refused: TooSmallError | None = None
        try:
            fitted = encode(rate if limit is None else Budget(size=max(1.0, limit - added)))
        except TooSmallError as error:
            refused, fitted = error, error.smallest
        limit = fitted.limit if limit is None else limit
        passes += fitted.full_passes
        size, copied = container_size(fitted.coded.data, suffix)
        added = size - len(fitted.coded.data)
        if size <= limit and (best is None or len(fitted.coded.data) > len(best.coded.data)):
            best = fitted
        if refused and size > limit:
            raise TooSmallError(limit, fitted, size, copied) from refused
        if (1 - _SPARE) * limit <= size <= limit:
            break
    if best is None or limit is None:
        raise UsageError(f"the file would be {size} bytes, more than {limit}")
    return replace(best, full_passes=passes, limit=limit)


def _reach_in_container(suffix: str, rate: Target, reach: Callable[[Target], Reached]) -> Reached:
    """Reach a target so that the file, with what its container adds, meets the largest size."""
    if not suffix or rate.most_bytes is None:
        return reach(rate)
    added, passes = _ADDED, 0
    for _ in range(_TRIES):
        reached = reach(replace(rate, most_bytes=max(1.0, rate.most_bytes - added)))
        passes += reached.passes
        size, _ = container_size(reached.coded.data, suffix)
        if size <= rate.most_bytes:
            return replace(reached, passes=passes)
        added = size - len(reached.coded.data)
    raise UsageError(f"the file would be {size} bytes, more than {rate.most_bytes:.0f}")


def _describe(coded: Pass, passes: int, q: float, limit: int | None = None) -> Encoded:
    sound = (coded.track_bytes, coded.track_packets, coded.track_kinds)
    return Encoded(
        len(coded.frame_bytes),
        len(coded.data),
        tuple(coded.notes),
        coded.format,
        coded.psnr_y,
        sound if coded.track_packets else None,
        passes,
        q=q,
        limit=limit,
        seconds=coded.seconds,
    )


def _plan(job: Job, rate: Budget | Target) -> list[str]:
    once = job.stages
    if isinstance(rate, Target):
        return ["count", *4 * once]
    return ["count", *3 * ["trial"], *[s for s in once if s != "paint"], "code", "paint"]


@contextlib.contextmanager
def reread(source: PathName | BinaryIO) -> Iterator[str]:
    """A file that can be read again: pipes and file objects go to a temporary one first."""
    check_source(source, "a video")
    name = as_name(source)
    if name is not None and name != "-" and not _is_pipe(name):
        yield name
        return
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(work_folder())
        if name is None:
            stream = source
        else:
            stream = stack.enter_context(open_input(name))  # type: ignore[assignment]
        path = os.path.join(folder, os.path.basename(name or "").strip("-") or "input")
        with name_errors(path), open(path, "wb") as spool:
            shutil.copyfileobj(stream, spool)  # type: ignore[arg-type]
        yield path


def _is_pipe(name: str) -> bool:
    """Whether what has this name can be read but once."""
    try:
        kind = os.stat(local_path(name)).st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(kind) or stat.S_ISDIR(kind))
