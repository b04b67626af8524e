"""`encode_file`: a video file to a stream, with everything that `gvcodec encode` can do."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, BinaryIO

from gvcodec.api.job import Job, parse
from gvcodec.api.keywords import list_options, make_config, split_options
from gvcodec.api.rate_control import encode_rated, reread, resolve_auto_base, settle_base
from gvcodec.api.results import Encoded
from gvcodec.codec.encode_stream import encode_stream
from gvcodec.codec.encoder import Encoder
from gvcodec.codec.forecast import stage_seconds
from gvcodec.config import EncoderConfig
from gvcodec.container.opening import PathName, open_sink
from gvcodec.container.write import check_one_file, one_file_suffix, tracks_in
from gvcodec.edit.info import kbps
from gvcodec.errors import UsageError
from gvcodec.media.inputs import InputOptions
from gvcodec.media.reader import VideoReader
from gvcodec.media.sound_coding import parse_sound
from gvcodec.media.tracks import CHUNK
from gvcodec.painter.open import has_torch
from gvcodec.rate.scenes import share_scenes, shares
from gvcodec.types import Planes
from gvcodec.util.file_io import as_name, protect_inputs
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
    takes the place of `q`. `jobs`: code in chunks, so many at a time; `resume` keeps
    those that are done in OUTPUT.part and goes on from there.
    `progress`: a function that gets a `State` about ten times a second, in this thread (what it
    raises ends the encode); or a bar, as the command shows it ("auto"), or JSON on standard error;
    `verbose` adds a line for each stage. `input_options`: what the input does not say itself (frame
    rate, colour), and the size and frame rate that are wanted. Either `config`, or fields of
    `EncoderConfig` by name.

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
    config = replace(job.config, zone_start=job.start if job.config.zones else 0.0)
    job = replace(job, config=resolve_auto_base(config, output))
    if output is not None:
        check_one_file(output, job.config.base)
    _check(job)
    with protect_inputs([] if source is None else [source]):
        if job.in_chunks:
            from gvcodec.api.in_chunks import encode_in_chunks

            done = encode_in_chunks(settle_base(job))
        else:
            done = _encode_once(job) if job.rate is None else encode_rated(job, job.rate)
    if output is None or not one_file_suffix(output):
        return done
    return replace(done, size=os.path.getsize(output), tracks=tracks_in(output))


def _encode_once(job: Job) -> Encoded:
    with contextlib.ExitStack() as stack:
        # The output is looked at first: a long job should not fail at its end.
        output = stack.enter_context(open_sink(job.output, job.overwrite))
        job = settle_base(job)
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
        video = bar(reader, "encode", reader.expected)

        def given() -> Iterator[tuple[Planes, int, bool]]:
            for frame in video:
                yield frame.planes, frame.pts, frame.new_size
            encoder.send_end(reader.end)

        chunk = 0 if job.config.low_delay else CHUNK
        metadata = reader.metadata.pack()
        writer = encode_stream(encoder, output, given(), metadata, reader.tracks, chunk)
    tracks = reader.tracks
    copied = (writer.track_size, tracks.packets, tracks.kinds) if tracks else None
    notes = (*reader.notes, *encoder.notes)
    fmt, psnr = reader.format, encoder.psnr_y
    return Encoded(writer.frames, writer.size, notes, fmt, psnr, copied, seconds=encoder.seconds)


def _open(job: Job) -> VideoReader:
    return VideoReader(job.source, job.start, job.frames, said=job.input_options)


def _check(job: Job) -> None:
    """Raises `UsageError` for what does not go together."""
    if job.jobs is not None and job.jobs < 1:
        raise UsageError(f"jobs is 1 or more, not {job.jobs}")
    if job.in_chunks and job.rate is not None and job.rate.whole:
        raise UsageError("--jobs and --resume go with -q and --target, not with a size or bitrate")
    if job.config.device != "cpu" and has_torch():
        from gvcodec.painter.tensors import open_device

        # Not at the end of a long encode.
        open_device(job.config.device)
    if job.in_chunks and shares(job.config):
        raise UsageError("alloc tries the whole video first: not with jobs or resume")
