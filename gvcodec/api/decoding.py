"""`decode_file`: a stream to a video file, images or a pipe."""

from __future__ import annotations

from typing import Any, BinaryIO

from gvcodec.api.keywords import list_options, split_options
from gvcodec.api.results import Decoded
from gvcodec.api.sources import PathName
from gvcodec.streams.to_video import Request, to_video
from gvcodec.util.file_io import Readable, as_name, protect_inputs
from gvcodec.util.progress import Mode, ProgressBar


@list_options(Request)
def decode_file(
    source: PathName | Readable,
    output: PathName | BinaryIO,
    *,
    progress: Mode = "none",
    verbose: bool = False,
    **options: Any,
) -> Decoded:
    """Decode a stream to a video, as `gvcodec decode` does: .mp4, .mkv, .mov, .webm, .y4m or
    images like frame%05d.png by the name of `output`; an open binary file gets y4m, standard output
    ("-") what `form` says.

    `source` is a path or an open binary file. From `start` seconds on to `end`, at most `frames`;
    of size `scale` (width, height), or so many times as large. `crf` is the quality of the encoder,
    `lossless` keeps the samples. `follow`: at the end wait so many seconds for the file to grow.
    With `ignore_errors` frames that are lost are shown by those before them. `progress` and
    `verbose` as for `encode_file`. `hold`: the system holds this process to the limit of memory
    meanwhile. Raises `LimitError`, `MediaError`, `MissingFileError`, `DamagedStreamError`,
    `WrongModelError`, `VerificationError`, `UsageError`.
    """
    named, written = as_name(source), as_name(output)
    (settings,) = split_options(options, Request)
    request = Request(
        source if named is None else named,  # type: ignore[arg-type]
        output if written is None else written,  # type: ignore[arg-type]
        **settings,
    )
    with (
        protect_inputs([] if named is None else [named]),
        ProgressBar(["code"], mode=progress, verbose=verbose) as bar,
    ):
        done = to_video(request, bar)
    return Decoded(done.frames, tuple(done.summary), tuple(done.losses))
