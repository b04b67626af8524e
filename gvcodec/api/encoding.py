"""`encode_file`: a video file to a stream, with everything that `gvcodec encode` can do."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, BinaryIO

from gvcodec.api.job import Job, list_options, make_config, parse, split_options
from gvcodec.api.results import Encoded
from gvcodec.bases import q_of
from gvcodec.codec.encoder import Encoder
from gvcodec.codec.forecast import stage_seconds
from gvcodec.config import EncoderConfig
from gvcodec.container.opening import PathName, open_sink
from gvcodec.container.write import check_one_file, container_size, one_file_suffix, tracks_in
from gvcodec.edit.info import kbps
from gvcodec.errors import UsageError
from gvcodec.media.inputs import InputOptions
from gvcodec.media.reader import VideoReader
from gvcodec.media.sound_coding import SoundCoder, parse_sound
from gvcodec.media.tracks import CHUNK
from gvcodec.painter.open import has_torch
from gvcodec.rate import one_pass
from gvcodec.rate.one_pass import Budget
from gvcodec.rate.quality import require_metric
from gvcodec.rate.scenes import share_scenes, shares
from gvcodec.rate.size import Fitted, TooSmallError, encode_to, refuse_sound
from gvcodec.rate.target import Reached, Target, encode_for
from gvcodec.util.file_io import as_name, protect_inputs, reread
from gvcodec.util.progress import ProgressBar

_SOUNDS = "copy, none, opus or opus:RATE with 6k to 510k bits a second"


@list_options(Job, EncoderConfig)
def encode_file(
    source: PathName | BinaryIO,
    output: PathName | BinaryIO,
    *,
    end: float | None = None,
    sound: str | None = None,
    input_options: InputOptions | None = None,
    config: EncoderConfig | None = None,
    **options: Any,
) -> Encoded:
    """Encode a video file, with its sound, subtitles and metadata, as `gvcodec encode` does.

    `source` and `output` are paths ("-" = standard input and output) or open binary files, that of
    `source` can seek; `source` may be a URI, or a folder of numbered pictures. From
    `start` seconds on to `end`, at most `frames`. `sound`: "copy", "none", "opus" or "opus:24k".

    At most one of `size` (bytes of the file, "500k"), `bitrate` (bits a second of the file, "80k"),
    `bpp` (bits per luma pixel, without sound) and `target` ("psnr=38", "lpips=0.15",
    "ssimulacra2=70", "cvvdp=9.3"; `target_of` "mean", "p5", "worst-scene"; with `max_size` at most)
    takes the place of `q`. `jobs`: code in chunks, this many at a time; `resume` keeps finished
    chunks in OUTPUT.part and continues from them. `progress`: a function that gets a `State` about
    ten times a second, in this thread (what it raises ends the encode); or a bar, as the command
    shows it ("auto"), or JSON on standard error; `verbose` adds a line for each stage.
    `input_options`: what the input does not say itself (frame rate, colour), and the size and frame
    rate that are wanted. Either `config`, or fields of `EncoderConfig` by name.

    Raises `UsageError`, `MediaError`, `MissingFileError`; `MissingWeightsError` where a target
    needs weights that are not found.
    """
    others, coding = split_options(options, Job, EncoderConfig)
    wanted = input_options or InputOptions()
    if end is not None:
        wanted = replace(wanted, until=end)
    if sound is not None:
        wanted = replace(wanted, sound=parse(parse_sound, sound, _SOUNDS))
    job = Job(source, output, make_config(config, coding), wanted, **others)
    if job.rate is not None and ("q" in options or "base_q" in options):
        raise UsageError("give either a quality or one of size, bitrate, bpp and target")
    return encode_job(job)


def encode_job(job: Job) -> Encoded:
    """The same. Raises what `encode_file` raises."""
    source, output = as_name(job.source), as_name(job.output)
    zone_start = job.start if job.config.zones else 0.0
    job = replace(job, config=replace(job.config, zone_start=zone_start))
    if output is not None:
        check_one_file(output, job.config.base)
    _check(job)
    with protect_inputs([] if source is None else [source]):
        if job.in_chunks:
            from gvcodec.api.in_chunks import encode_in_chunks

            done = encode_in_chunks(job)
        else:
            done = _encode_once(job) if job.rate is None else encode_rated(job, job.rate)
    if output is None or not one_file_suffix(output):
        return done
    return replace(done, size=os.path.getsize(output), tracks=tracks_in(output))


def _encode_once(job: Job) -> Encoded:
    with contextlib.ExitStack() as stack:
        # The output is looked at first: a long job should not fail at its end.
        output = stack.enter_context(open_sink(job.output, job.overwrite))
        tries = shares(job.config)

        def rate(frames: int, size: int) -> tuple[float, str]:
            """Of the frames that are coded: kb/s, and a note with bits a pixel too."""
            shown = encoder.seconds * frames / max(1, encoder.frames)
            fmt, speed = reader.format, kbps(size, shown)
            bpp = 8 * size / (frames * fmt.width * fmt.height)
            return speed, f"{speed:.1f} kb/s, {bpp:.5f} bpp"

        stages = ["probe"] * tries + job.stages
        bar = stack.enter_context(ProgressBar(stages, rate, job.progress, job.verbose))
        if tries:
            job = replace(job, source=stack.enter_context(reread(job.source)))
            job = replace(job, config=share_scenes(partial(_open, job), job.config, bar))
        reader = stack.enter_context(_open(job))
        bar.forecast(stage_seconds(reader.format, reader.expected, job.config))
        encoder = Encoder(reader.format, job.config, reader.start_pts, progress=bar)
        chunk = 0 if job.config.low_delay else CHUNK
        video = bar(reader, "encode", reader.expected)
        writer = one_pass.write(reader, video, encoder, output, chunk)
    tracks = reader.tracks
    copied = (writer.track_size, tracks.packets, tracks.kinds) if tracks else None
    notes = (*reader.notes, *encoder.notes)
    fmt, psnr = reader.format, encoder.psnr_y
    return Encoded(writer.frames, writer.size, notes, fmt, psnr, copied, seconds=encoder.seconds)


def _open(job: Job) -> VideoReader:
    return VideoReader(job.source, job.start, job.frames, input_options=job.input_options)


def _check(job: Job) -> None:
    """Raises `UsageError` for what does not go together."""
    if job.jobs is not None and job.jobs < 1:
        raise UsageError(f"jobs is 1 or more, not {job.jobs}")
    if job.in_chunks and job.rate is not None and job.rate.whole:
        raise UsageError("--jobs and --resume go with -q and --target, not with a size or bitrate")
    if job.config.device != "cpu" and has_torch():
        from gvcodec.util.tensors import open_device

        # Not at the end of a long encode.
        open_device(job.config.device)
    if job.in_chunks and shares(job.config):
        raise UsageError("alloc tries the whole video first: not with jobs or resume")


#: Bytes that a container adds, about; encodes until a file has its size, and what part of it may be
#: left over.
_ADDED, _TRIES, _SPARE = 1000, 3, 0.02
#: How much longer than it says a file may be.
_LENIENT = 1.05


def encode_rated(job: Job, rate: Budget | Target) -> Encoded:
    """Raises `UsageError` with the smallest possible size, or the best possible quality, where that
    is not enough, and `MissingWeightsError` before anything is read."""
    if isinstance(rate, Target):
        require_metric(rate.metric)
        if shares(job.config):
            raise UsageError("alloc goes with q or a size, not with a target")
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(open_sink(job.output, job.overwrite))
        job = replace(job, source=stack.enter_context(reread(job.source)))
        open_source = partial(_open, job)
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
                original = partial(_open, replace(job, input_options=whole))
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
            fitted = _fit_container(suffix, rate, partial(encode, is_file=not suffix))
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


def _describe(coded: one_pass.Pass, passes: int, q: float, limit: int | None = None) -> Encoded:
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
