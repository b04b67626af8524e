"""The last tasks on a file: join its coded chunks, and replace its source by the result.

Chunks are streams; the output is one stream, or a container of it, with the tracks of the source.
Raises `MediaError`, `OutputError`, `DamagedStreamError`."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import tempfile
from statistics import fmean
from typing import Any, BinaryIO

from gvcodec.batch.ledger import Job
from gvcodec.batch.tasks import Plan, Settings, find_coded, open_video, size_row
from gvcodec.bitstream import Reader
from gvcodec.bitstream.attachments import pack
from gvcodec.bitstream.packets import EXACT, make_quality
from gvcodec.codec.encode_stream import count_tracks
from gvcodec.codec.gops import GopSource, Splicer
from gvcodec.edit.cat import check_compatible
from gvcodec.edit.copy_check import ReplaceRules
from gvcodec.edit.replace import check_source, hash_of, open_waiting, replace_checked
from gvcodec.errors import (
    MediaError,
    NoGainError,
    NotReplacedError,
    UsageError,
)
from gvcodec.limits import NO_LIMITS
from gvcodec.one_file.write import tracks_in, write_one_file
from gvcodec.source import playlist
from gvcodec.source.reader import VideoReader
from gvcodec.util import uris
from gvcodec.util.file_io import copy_time, work_folder, write_atomically


def join(
    uri: str,
    settings: Settings,
    plan: Plan,
    chunks: list[str],
    cores: int,
    output: str,
    root: str = "",
) -> dict[str, Any]:
    """The chunks as one stream. If the file saves too little, nothing is written and the row has
    only "no gain", the reason. `root`: a folder that has to exist."""
    try:
        with write_atomically(output, root) as stream:
            if settings.suffix == ".gvc":
                row = _join_into(stream, uri, settings, plan, chunks, cores)
            else:
                row = _join_into_container(stream, uri, settings, plan, chunks, cores)
            source_bytes = playlist.size_of(uri) if settings.is_whole else None
            _check_gain(settings, row["bytes"], source_bytes)
    except NoGainError as error:
        return {"no gain": str(error)}
    copy_time(uri, output)
    output_hash = "" if uris.is_uri(output) else hash_of(output)
    return row | {"source_bytes": source_bytes, "sha256": output_hash}


def replace_source(
    job: Job, key: str, coded: str, coded_hash: str, target: str, rules: ReplaceRules
) -> dict[str, Any]:
    """Check the coded file, which has this hash and was coded for this `key` of the job, and
    replace its source by it. Returns its path as `output` and a line about the source as
    `original`, or the reason against replacing it as `refused`, and the names of parts that would
    be `lost`."""
    uri, settings = job.uri, job.settings
    options = hashlib.sha256(repr(settings).encode()).hexdigest()
    try:
        check_source(uri, rules.keep)
        if job.key(hash_of(uri)) != key:
            raise NotReplacedError(f"{uri}: not replaced: it changed after it was coded")
        with open_waiting(uri, target, options) as waiting:
            if waiting != target:
                shutil.copyfile(coded, waiting)
                if hash_of(waiting) != coded_hash:
                    raise NotReplacedError(f"{uri}: not replaced: {coded} is another file now")
            checked, original = replace_checked(
                uri, waiting, target, rules, options, settings.input
            )
    except (NotReplacedError, UsageError) as error:
        return {"refused": str(error), "lost": list(getattr(error, "lost", ()))}
    except OSError as error:
        return {"refused": f"{uri}: not replaced: {error.strerror or error}", "lost": []}
    with contextlib.suppress(OSError):
        os.unlink(coded)
    place = f"moved to {original}" if original else "deleted"
    return {"output": target, "original": f"{place}; {checked}"}


def _join_into_container(
    output: BinaryIO, uri: str, settings: Settings, plan: Plan, chunks: list[str], cores: int
) -> dict[str, Any]:
    """The same as AV1 that every player shows, with the packets for painting."""
    with tempfile.TemporaryFile() as spool, work_folder() as folder:
        row = _join_into(spool, uri, settings, plan, chunks, cores)  # type: ignore[arg-type]
        spool.seek(0)
        path = os.path.join(folder, f"whole{settings.suffix}")
        frames, notes = write_one_file(Reader(spool), path, False, NO_LIMITS)  # type: ignore[arg-type]
        with open(path, "rb") as file:
            shutil.copyfileobj(file, output)
        size, tracks = os.path.getsize(path), tracks_in(path)
    sizes = size_row(plan, frames, size, tracks[0] if tracks else 0)
    return row | sizes | {"tracks": tracks, "notes": [*row["notes"], *notes]}


def _join_into(
    stream: BinaryIO, uri: str, settings: Settings, plan: Plan, chunks: list[str], cores: int
) -> dict[str, Any]:
    """With the tracks of the source; everything is decoded on the way. A file with a budget is its
    only chunk."""
    if settings.rate is not None and settings.rate.is_global:
        stream.write(_read_chunk_bytes(chunks[0]))
        row = find_coded(chunks[0])
        if row is None:
            raise MediaError(f"{chunks[0]}: the coded chunk has changed; the same command goes on")
        return row
    with open_video(uri, settings) as video:
        splicer = _splice(chunks, video, stream, cores, not settings.is_whole)
    size, tracks = splicer.writer.size, splicer.writer.track_size
    return {
        **size_row(plan, splicer.writer.frames, size, tracks),
        "tracks": [tracks, *count_tracks(video)] if tracks else None,
        "notes": video.notes,
    }


def _check_gain(settings: Settings, size: int, source: int | None) -> None:
    """Raises `NoGainError` if the file saves a smaller share of its source than it has to."""
    if source is None or settings.least_gain is None:
        return
    if size > (1 - settings.least_gain) * source:
        raise NoGainError(
            f"{size} bytes of the source's {source} would save less than "
            f"{100 * settings.least_gain:g} %: nothing was written"
        )


def _splice(
    chunks: list[str], video: VideoReader, stream: BinaryIO, threads: int, partial: bool
) -> Splicer:
    """`partial`: the video is a part of its file, and has that part of the sound."""
    splicer: Splicer | None = None
    #: PSNR-Y of chunks, once for each frame; an older release does not say it.
    qualities: list[float | None] = []
    for path in chunks:
        reader = _read_chunk(path)
        if splicer is None:
            head = reader.header
            splicer = Splicer(stream, head, threads, NO_LIMITS)
            splicer.tracks, splicer.metadata = video.tracks, video.metadata.pack()
            splicer.attachments = pack(video.attachments)
        check_compatible(head, reader.header, reader.name)
        gops, count = GopSource(reader.header, reader.packets(), NO_LIMITS), 0
        for gop in gops:
            last = (gop.times[-1] + video.shift) * head.format.time_base
            end = last + 1 / head.format.frame_rate
            video.copy_tracks(end)
            splicer.write(gop)
            count += gop.frames
        qualities += [gops.psnr_y] * count
    assert splicer is not None
    video.copy_tracks(end if partial else None)
    if video.tracks:
        video.tracks.finish()
    measured = [quality for quality in qualities if quality is not None]
    if len(measured) == len(qualities):
        inexact = [quality for quality in measured if quality < EXACT]
        splicer.writer.write(make_quality(fmean(inexact) if inexact else EXACT))
    splicer.finish(gops.end)
    return splicer


def _read_chunk(path: str) -> Reader:
    return Reader(io.BytesIO(_read_chunk_bytes(path)), path)


def _read_chunk_bytes(path: str) -> bytes:
    data = uris.read_bytes(path)
    if data is None:
        raise MediaError(f"{path}: the coded chunk was removed; the same command goes on")
    return data
