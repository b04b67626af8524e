"""Checks a stream as far as it can be checked: checksums, decoding, base hash, and PSNR against the
source."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gvcodec.codec.decoder import Decoder
from gvcodec.container.opening import PathName, Source, open_reader
from gvcodec.edit.originals import Originals
from gvcodec.limits import DEFAULT, Limits, memory_limit
from gvcodec.media.reader import VideoReader
from gvcodec.types import Planes
from gvcodec.util.psnr import MeanPsnr, psnr


@dataclass(frozen=True, slots=True)
class Verified:
    """`psnr`: dB of Y, U, V, mean over the frames, of base frames and painted ones (None: nothing
    was painted), where a source was given, in which `compared` frames have the same time. Hashes in
    hexadecimal digits, which are right; of painted frames None where there is none. `latents`:
    frames whose tokens were read, which are exact; None where the stream has none. `painted_psnr`
    is that of restored frames then."""

    frames: int
    base_hash: str
    painted_hash: str | None = None
    source: str | None = None
    compared: int = 0
    base_psnr: tuple[float, ...] | None = None
    painted_psnr: tuple[float, ...] | None = None
    latents: int | None = None


def verify(
    source: Source,
    original: PathName | BinaryIO | None = None,
    *,
    fidelity: bool = False,
    threads: int = 0,
    models: Sequence[str | Path] = (),
    limits: Limits = DEFAULT,
    hold: bool = False,
) -> Verified:
    """Check a stream as far as it can be checked: checksums, decoding, the base hash, and the hash
    of the painted frames unless `fidelity`. `original`: the video that was encoded gives the PSNR.
    `hold`: the system holds this process to the limit of memory meanwhile. Raises
    `DamagedStreamError`, `VerificationError`, `WrongModelError`, `LimitError`, `MissingFileError`,
    `MediaError`, `UsageError`."""
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(open_reader(source))
        video = None if original is None else stack.enter_context(VideoReader(original))
        painted = reader.header.enhanced and not fidelity
        decoder = Decoder(
            reader.header, not painted, threads, models, limits=limits, only_check=video is None
        )
        stack.enter_context(memory_limit(reader.header, painted, limits, hold))
        originals = None if video is None else Originals(video, reader.header)
        base_frames, paintings = _Psnr(), _Psnr()
        for frame in decoder.frames_of(reader.packets()):
            if decoder.tracks:
                decoder.tracks.waiting.clear()
            found = None if originals is None else originals.at(frame.pts, decoder.metadata)
            if found is not None:
                base_frames.send(frame.base_frame, found)
                if frame.planes is not frame.base_frame:
                    paintings.send(frame.planes, found)
        decoder.verify(reader.base_hash)
    wanted = decoder.painted_wanted if painted else None
    return Verified(
        decoder.frames,
        decoder.base_hash.hex(),
        wanted.hex() if wanted is not None else None,
        None if video is None else video.name,
        base_frames.frames,
        base_frames.mean(),
        paintings.mean(),
        decoder.latents,
    )


class _Psnr:
    def __init__(self) -> None:
        self.frames = 0
        self._planes = [MeanPsnr() for _ in range(3)]

    def send(self, found: Planes, wanted: Planes) -> None:
        self.frames += 1
        for mean, left, right in zip(self._planes, found, wanted, strict=True):
            mean.add(psnr(left, right))

    def mean(self) -> tuple[float, ...] | None:
        return tuple(mean.value for mean in self._planes) if self.frames else None
