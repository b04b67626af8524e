"""`encode_file`: a video file to a stream, with everything that `gvcodec encode` can do."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO, Unpack, cast

from gvcodec.api.frames import ImageSource, Sound, are_frames
from gvcodec.api.info import kbps
from gvcodec.api.job import Job, is_whole, make_config, q_used
from gvcodec.api.rate_control import encode_rated
from gvcodec.api.results import EncodeReport
from gvcodec.bitstream.writer import Writer
from gvcodec.codec.encode_stream import VideoSource, count_tracks, encode_source
from gvcodec.codec.encoder import Encoder
from gvcodec.config import EncoderConfig
from gvcodec.errors import IncompleteSourceError, NoGainError, UsageError, incomplete_source
from gvcodec.input_options import InputOptions
from gvcodec.one_file.write import container_size, one_file_suffix, tracks_in
from gvcodec.opening import PathName, open_sink, refuse_stream
from gvcodec.rate.one_pass import SourceFactory
from gvcodec.rate.quality import require_metric
from gvcodec.rate.scenes import allocate_scenes
from gvcodec.rate.target import Target, has_targets, resolve_zones
from gvcodec.source.opening import Source
from gvcodec.types import Planes, VideoFormat
from gvcodec.util.file_io import (
    as_name,
    name_of,
    open_rereadable,
    protect_inputs,
    set_time,
)
from gvcodec.util.kinds import check_kind, repr_short
from gvcodec.util.options import list_options, name_keywords, split_options, with_keywords
from gvcodec.util.progress import Mode, ProgressBar
from gvcodec.util.torch_settings import has_torch

if TYPE_CHECKING:
    from gvcodec.api.frames import Image
    from gvcodec.keywords import EncodeFileOptions

#: Keywords of `Job` that hold for frames of a program too.
_FRAME_OPTIONS = ("frames", "overwrite", "progress", "verbose", "allow_damaged")


@list_options(Job, EncoderConfig, InputOptions)
@name_keywords(Job, EncoderConfig, InputOptions)
def encode_file(
    source: PathName | BinaryIO | Image | Iterable[Image | Planes],
    output: PathName | BinaryIO,
    *,
    end: float | None = None,
    sound: Sound | None = None,
    sound_rate: int | None = None,
    frame_rate: Fraction | float | None = None,
    format: VideoFormat | str | None = None,
    input_options: InputOptions | None = None,
    config: EncoderConfig | None = None,
    **options: Unpack[EncodeFileOptions],
) -> EncodeReport:
    """Encode a video file, with its sound, subtitles and metadata, as `gvcodec encode` does.

    `source` and `output` are paths ("-" = standard input and output) or open binary files, that of
    `source` can seek; `source` may be a URI, or a folder of numbered pictures. From
    `start` seconds on to `end`, at most `frames`. `sound`: "copy", "none", "opus" or "opus:24k".

    `source` may be frames too, as `encode` takes them, with its `frame_rate` (30), `format`,
    `sound` and `sound_rate`: they are coded as they come, and packets written when they are made.
    Only options of a single encode apply: not `size`, `target`, `jobs` and the like.

    At most one of `size` (bytes of the file, "500k"), `bitrate` (bits a second of the file, "80k"),
    `video_bitrate` (bits a second of the picture, without sound), `bpp` (bits per luma pixel,
    without sound) and `target` ("psnr=38", "lpips=0.15", "ssimulacra2=70", "cvvdp=9.3"; `target_of`
    "mean", "p5", "worst-scene"; with `max_size` at most) takes the place of `q`.

    `jobs`: code in chunks, this many at a time; `resume` keeps finished chunks in OUTPUT.part and
    continues from them. `progress`: a function that gets a `State` about
    ten times a second, in this thread (its exceptions end the encode); or a bar, as the command
    shows it ("auto"), or JSON on standard error; `verbose` adds a line for each stage.
    `input_options`: properties that the input does not state (frame rate, colour), size and frame
    rate that are wanted. Either `config`, or fields of `EncoderConfig` by name.

    Raises `UsageError`, `MediaError`, `MissingFileError`; `MissingWeightsError` where a target
    needs weights that are not found; `IncompleteSourceError` after the readable part of a damaged
    source is written, unless `allow_damaged`; `NoGainError` instead of a file that does not save
    `min_gain`.
    """
    given: dict[str, Any] = {**options}
    if isinstance(format, str):
        given["format"], format = format, None
    kinds = (Job, EncoderConfig, InputOptions)
    job_options, config_options, input_fields = split_options(given, *kinds)
    if are_frames(source):
        file_options = {"end": end, "input_options": input_options}
        named = (name for name, value in file_options.items() if value is not None)
        for name in (*job_options, *input_fields, *named):
            if name not in _FRAME_OPTIONS:
                raise UsageError(
                    f"{name} cannot be used with frames of a program, only with video files",
                    code="option-conflict",
                )
        images = ImageSource(
            source, frame_rate or 30, format, sound, sound_rate, job_options.pop("frames", None)
        )
        return _encode_images(images, output, make_config(config, config_options), **job_options)
    for name, value in (
        ("sound_rate", sound_rate),
        ("frame_rate", frame_rate),
        ("format", format),
    ):
        if value is not None:
            raise UsageError(
                f"{name} cannot be used with video files, only with frames of a program",
                code="option-conflict",
            )
    input_settings = InputOptions() if input_options is None else input_options
    if not isinstance(input_settings, InputOptions):
        raise UsageError(
            f"input_options is an InputOptions, not {repr_short(input_options)}",
            code="option-value",
        )
    check_kind("end", end, "float | None")
    if end is not None:
        input_fields["until"] = end
    if sound is not None:
        input_fields["sound"] = sound
    input_settings = replace(input_settings, **input_fields)
    video = cast("PathName | BinaryIO", source)
    job = Job(video, output, make_config(config, config_options), input_settings, **job_options)
    if job.rate is not None and ("q" in options or "base_q" in options):
        raise UsageError(
            "give either a quality or one of size, bitrate, video_bitrate, bpp and target",
            code="option-conflict",
        )
    result = encode_job(job)
    result = replace(result, notes=tuple(with_keywords(note, *kinds) for note in result.notes))
    require_complete(job, result)
    return result


def require_complete(job: Job, report: EncodeReport) -> None:
    """Raises `IncompleteSourceError` where the source is damaged and `job` does not allow it."""
    if report.incomplete and not job.allow_damaged:
        raise IncompleteSourceError(
            incomplete_source(name_of(job.source), report.incomplete), report
        )


def encode_job(job: Job) -> EncodeReport:
    """The same, also of an incomplete source. Raises the other errors of `encode_file`."""
    _check(job)
    with contextlib.ExitStack() as stack:
        # Checked before the output exists: the input's name is the error.
        source = stack.enter_context(Source.open(job.source))
        refuse_stream(source.name, source.head)
        if source.path:
            job = replace(job, source=source)
        names = [name for name in [as_name(job.source)] if name is not None]
        stack.enter_context(protect_inputs(names, source.status))
        # The output is looked at first: a long job should not fail at its end.
        output = open_sink(job.output, job.overwrite, job.config.base)
        report = _encode(job, stack.enter_context(output))
    if source.has_changed() and not report.incomplete:
        report = replace(report, incomplete="it changed while it was coded")
    report = _with_container_size(report, job.output)
    if source.status is not None:
        set_time(as_name(job.output) or "-", source.status)
    if report.gain is not None and report.gain < 0:
        report = replace(report, notes=(*report.notes, _describe_gain(report)))
    return report


def _check(job: Job) -> None:
    """Raises `UsageError` for options that exclude each other, and `MissingWeightsError`."""
    rate = job.rate
    if job.in_chunks and rate is not None and rate.is_global:
        raise UsageError(
            "--jobs and --resume need -q or --target, not a size or bitrate",
            code="option-conflict",
        )
    if job.config.device != "cpu" and has_torch():
        from gvcodec.util.tensors import open_device

        # Not at the end of a long encode.
        open_device(job.config.device)
    if isinstance(rate, Target):
        for target in rate.all:
            require_metric(target.metric)
    if job.config.allocates_by_scene and (job.in_chunks or isinstance(rate, Target)):
        raise UsageError(
            "--alloc needs -q or a size, not --target, --jobs or --resume", code="option-conflict"
        )


def _with_container_size(report: EncodeReport, output: PathName | BinaryIO) -> EncodeReport:
    """With the size and the sound of the file where it is one that plays everywhere."""
    name = as_name(output)
    if name is None or not one_file_suffix(name):
        return report
    return replace(report, size=os.path.getsize(name), tracks=tracks_in(name))


def _encode(job: Job, output: BinaryIO) -> EncodeReport:
    """Encode in the way of the settings: by default once, in one piece."""
    least = job.least_gain
    if job.config.zones:
        return _encode_zones(job, output)
    if least is not None:
        return _encode_with_min_gain(job, output, least)
    return _encode_plain(job, output)


def _encode_plain(job: Job, output: BinaryIO) -> EncodeReport:
    """Without zones and least gain. With a trial or passes the source is read more than once."""
    if job.in_chunks:
        from gvcodec.api.in_chunks import encode_in_chunks

        return encode_in_chunks(job, output)
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(ProgressBar(job.progress, job.verbose))
        rate, allocates_scenes = job.rate, job.config.allocates_by_scene
        if allocates_scenes or rate is not None:
            job = replace(job, source=stack.enter_context(open_rereadable(job.source)))
        if rate is not None:
            return encode_rated(job, rate, output, bar)
        if allocates_scenes:
            job = replace(job, config=allocate_scenes(job.open, job.config, bar))
        return _encode_once(job, output, bar)


def _encode_once(job: Job, output: BinaryIO, bar: ProgressBar) -> EncodeReport:
    with job.open() as reader:
        fmt = reader.format
        encoder = Encoder(fmt, job.config, reader.start_pts, progress=bar)

        def rate(frames: int, size: int) -> tuple[float, str]:
            """Rate of the coded frames: kb/s, and a note that also has bits a pixel."""
            speed = kbps(size, encoder.seconds * frames / max(1, encoder.frames))
            return (
                speed,
                f"{speed:.1f} kb/s, {8 * size / (frames * fmt.width * fmt.height):.5f} bpp",
            )

        bar.rate = rate
        video = bar(reader, "encode", reader.expected_frames)
        writer = encode_source(reader, video, encoder, output)
        source_bytes = reader.size if is_whole(job) else None
    return replace(
        _make_report(reader, encoder, writer),
        incomplete=reader.incomplete,
        source_bytes=source_bytes,
    )


def _make_report(source: VideoSource, encoder: Encoder, writer: Writer) -> EncodeReport:
    track_packets, kinds = count_tracks(source)
    return EncodeReport(
        writer.frames,
        writer.size,
        (*source.notes, *encoder.notes),
        source.format,
        encoder.psnr_y,
        (writer.track_size, track_packets, kinds) if kinds else None,
        q=q_used(encoder.config),
        seconds=encoder.seconds,
    )


def _encode_zones(job: Job, output: BinaryIO) -> EncodeReport:
    """With the qualities that the targets of zones take, and a line for each."""
    job = replace(job, config=replace(job.config, zone_start=job.start))
    notes: list[str] = []
    with contextlib.ExitStack() as stack:
        if has_targets(job.config):
            job = replace(job, source=stack.enter_context(open_rereadable(job.source)))
            job, notes = _resolve_zones(job)
        least = job.least_gain
        if least is None:
            report = _encode_plain(job, output)
        else:
            report = _encode_with_min_gain(job, output, least)
    return replace(report, notes=(*notes, *report.notes))


def _resolve_zones(job: Job) -> tuple[Job, list[str]]:
    def open_part(begin: float, end: float, whole: bool) -> SourceFactory:
        limit = job.input_options.until
        until = min(end, math.inf if limit is None else limit)
        options = replace(job.input_options, until=None if math.isinf(until) else until)
        if whole:
            options = replace(options, scale=None)
        start = max(begin, job.start)
        return replace(job, start=start, frames=None, input_options=options).open

    with ProgressBar(job.progress, job.verbose) as bar:
        config, notes = resolve_zones(open_part, job.config, bar, bar)
    return replace(job, config=config), notes


def _encode_with_min_gain(job: Job, output: BinaryIO, least: float) -> EncodeReport:
    """Writes nothing and raises `NoGainError` where the file saves less than this share."""
    with tempfile.TemporaryFile() as spool:
        report = _encode_plain(job, spool)  # type: ignore[arg-type]
        spool.seek(0)
        file_report, suffix = report, one_file_suffix(as_name(job.output))
        if suffix:
            file_report = replace(report, size=container_size(spool.read(), suffix)[0])
            spool.seek(0)
        if file_report.gain is None:
            raise UsageError("min_gain needs a source whose size is known")
        if file_report.gain < least:
            name = name_of(job.source)
            raise NoGainError(
                f"{name}: {_describe_gain(file_report)}, saves less than {100 * least:g} %; "
                "no file written"
            )
        shutil.copyfileobj(spool, output)
    return report


def _describe_gain(report: EncodeReport) -> str:
    assert report.gain is not None
    if report.gain < 0:
        return f"the file has {report.size} bytes, more than its source's {report.source_bytes}"
    return f"the file has {report.size} bytes, {100 * report.gain:.1f} % fewer than its source"


def _encode_images(
    images: ImageSource,
    output: PathName | BinaryIO,
    config: EncoderConfig,
    overwrite: bool = False,
    progress: Mode = "none",
    verbose: bool = False,
    allow_damaged: bool = False,
) -> EncodeReport:
    with (
        images,
        open_sink(output, overwrite, config.base) as stream,
        ProgressBar(progress, verbose) as bar,
    ):
        encoder = Encoder(images.format, config, progress=bar)
        frames = bar(images, "encode", images.expected_frames)
        writer = encode_source(images, frames, encoder, stream)
    return _with_container_size(_make_report(images, encoder, writer), output)
