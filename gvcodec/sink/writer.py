"""Writes decoded frames: .mp4 and ffmpeg's other formats (`FILES`), .y4m, numbered .png, or "-"
(standard output: y4m, or Matroska with sound).

    with open_writer("out.mp4", fmt) as writer:
        writer.write(planes, pts)

Without `crf` (`decode --lossless`) samples are exact, in H.264 and H.265 profiles that few players
know. With one the file plays everywhere (H.264 High as `avc1`, 10 bits as H.265 Main 10, `hvc1`);
at `visually_lossless`, the default of `decode`, it looks the same. 8-bit sources come back with 8
bits. Files appear under their name only when complete. Raises `MediaError`.
"""

import os
import re
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from numpy.typing import NDArray

from gvcodec.bitstream.attachments import Attachment
from gvcodec.bitstream.metadata import Metadata
from gvcodec.errors import MediaError, UsageError
from gvcodec.planes import converts_matrix, rgb_from_planes, to_eight_bits
from gvcodec.sink.output import FILES, PIPE, FileWriter, PipeWriter, VideoWriter, name_errors
from gvcodec.tracks.packets import TrackReader
from gvcodec.types import CODE_POINTS, UNSPECIFIED_COLOUR, Colour, Planes, VideoFormat
from gvcodec.util.file_io import PendingFile, refuse_folder, refuse_input
from gvcodec.util.messages import count_noun

#: Qualities of x264 (8 bits), x265 (10 bits) and VP9 at which the decoded file looks like the
#: frames that were written.
_CRF = {8: 12.0, 10: 13.0}
_CRF_VP9 = 10.0
#: Most repeated frames: `_REPEATS`, or `_SHARE` times the others. A forged time must not fill a
#: disk.
_REPEATS, _SHARE = 1000, 10
#: Transfer functions and primaries of H.273 that need a tag to look right: PQ, SMPTE 428, HLG;
#: BT.2020, SMPTE 428, DCI-P3, Display P3.
_TRANSFERS, _GAMUTS = (16, 17, 18), (9, 10, 11, 12)
_Y4M_CHROMA = {0: "420mpeg2", 1: "420jpeg", 2: "420paldv"}


def takes_tracks(path: str | os.PathLike[str], form: str | None = None) -> bool:
    """Whether the output can hold sound and subtitles. `form`: of standard output."""
    return form == PIPE if str(path) == "-" else Path(path).suffix.lower() in FILES


def is_single_picture(path: str | os.PathLike[str]) -> bool:
    """Whether the output holds one frame: a .png without a number like %05d in its name."""
    name = os.path.basename(path)
    is_numbered = re.search(r"%0?\d*d", name.replace("%%", ""))
    return Path(path).suffix.lower() == ".png" and not is_numbered


def visually_lossless(path: str | os.PathLike[str], fmt: VideoFormat) -> float | None:
    """The `crf` for about 45 dB PSNR-Y and more; None for files that are lossless anyway."""
    if str(path) == "-" or not takes_tracks(path):
        return None
    even = fmt.width % 2 == 0 and fmt.height % 2 == 0
    return _CRF[fmt.bit_depth] if even and Path(path).suffix.lower() != ".webm" else _CRF_VP9


def open_writer(
    path: str | os.PathLike[str],
    fmt: VideoFormat,
    *,
    crf: float | None = None,
    overwrite: bool = False,
    tracks: TrackReader | None = None,
    metadata: Metadata | None = None,
    attachments: Sequence[Attachment] = (),
    threads: int = 0,
    form: str | None = None,
) -> VideoWriter:
    """A writer for a file, or for standard output as "y4m" or "matroska". Raises `UsageError`."""
    refuse_folder(path)
    suffix = Path(path).suffix.lower()
    if str(path) != "-" and suffix not in (*FILES, ".y4m", ".png"):
        raise UsageError(
            f"{path}: write to {', '.join(FILES)}, .y4m, .png (like frame%05d.png) or - (y4m)"
        )
    if form is not None and (str(path) != "-" or form not in ("y4m", PIPE)):
        raise UsageError(f"-f {form}: y4m and {PIPE} are for standard output (-)")
    if crf is not None and (str(path) == "-" or not takes_tracks(path)):
        raise UsageError(f"crf is for .mp4, .mkv, .mov and .webm, not for {path}")
    if str(path) == "-":
        refuse_input("-")
        output = sys.stdout.buffer
        if form == PIPE:
            return PipeWriter(output, fmt, tracks, metadata or Metadata(), attachments, threads)
        return Y4mWriter(output, fmt, None)
    if suffix == ".png":
        return PngWriter(Path(path), fmt, overwrite)
    pending = PendingFile(path, overwrite)
    try:
        if suffix == ".y4m":
            return Y4mWriter(open(pending.temporary, "wb"), fmt, pending)
        described = metadata or Metadata()
        return FileWriter(pending, fmt, crf, tracks, described, attachments, threads)
    except BaseException:
        pending.discard()
        raise


class Y4mWriter(VideoWriter):
    """YUV4MPEG2 with 4:2:0 samples of 8 or 10 bits. It has no timestamps: frames follow each other
    at the nominal rate. One that is shown for longer is repeated, as by ffmpeg; none is dropped. Of
    colour it says the range and where chroma samples are."""

    def __init__(self, stream: BinaryIO, fmt: VideoFormat, pending: PendingFile | None) -> None:
        super().__init__()
        self._stream = stream
        self._pending = pending
        self._name = pending.path if pending else "standard output"
        self._eight_bits = fmt.bit_depth == 8
        self._format = fmt
        self._first, self._irregular = 0, False
        #: The newest frame, how many are written, and how many of them again.
        self._frame: list[NDArray[Any]] = []
        self._count = self._repeated = 0
        colour = fmt.colour
        if {colour.primaries, colour.transfer, colour.matrix} != {UNSPECIFIED_COLOUR}:
            self.notes.append("colour tags left out, y4m has none but the range")
        chroma = (
            _Y4M_CHROMA.get(fmt.colour.chroma_location, "420mpeg2")
            if self._eight_bits
            else "420p10 XYSCSS=420P10"
        )
        span = "FULL" if fmt.colour.full_range else "LIMITED"
        rate, sar = fmt.frame_rate, fmt.sar
        head = (
            f"YUV4MPEG2 W{fmt.width} H{fmt.height} F{rate.numerator}:{rate.denominator} Ip "
            f"A{sar.numerator}:{sar.denominator} C{chroma} XCOLORRANGE={span}\n"
        )
        with name_errors(self._name):
            self._stream.write(head.encode())

    def __exit__(self, kind: object, value: BaseException | None, trace: object) -> None:
        if self._repeated:
            repeated, rate = count_noun(self._repeated, "frame"), self._format.frame_rate
            self.notes.append(f"{repeated} repeated, y4m has {rate} frames a second and no times")
        if self._irregular:
            rate = self._format.frame_rate
            self.notes.append(f"irregular times left out, y4m has {rate} frames a second")
        if self._pending is None:
            if kind is None:
                with name_errors(self._name):
                    self._stream.flush()
            return
        with self._pending, name_errors(self._name):
            self._stream.close()
            if value is not None:
                raise value

    def write(self, planes: Planes, pts: int) -> None:
        if not self._count:
            self._first = pts
        self._hold(pts)
        if self._eight_bits:
            self._frame = [to_eight_bits(plane) for plane in planes]
        else:
            self._frame = [np.ascontiguousarray(plane, "<u2") for plane in planes]
        self._put()

    def end(self, pts: int) -> None:
        self._hold(pts)

    def _hold(self, pts: int) -> None:
        """Repeat the newest frame until this time."""
        rate, tick = self._format.frame_rate, self._format.time_base
        missing = round((pts - self._first) * tick * rate - self._count)
        most = max(_REPEATS, _SHARE * (self._count - self._repeated)) - self._repeated
        repeats = max(0, min(missing, most))
        for _ in range(repeats):
            self._put()
        self._repeated += repeats
        self._irregular = self._irregular or missing != repeats

    def _put(self) -> None:
        with name_errors(self._name):
            self._stream.write(b"FRAME\n")
            for plane in self._frame:
                self._stream.write(np.ascontiguousarray(plane).data.cast("B"))
            if self._pending is None:
                # Whoever reads a pipe wants the frame now.
                self._stream.flush()
        self._count += 1


class PngWriter(VideoWriter):
    """One 8-bit RGB file a frame, numbered from 0 by a number like %05d in the name."""

    def __init__(self, path: Path, fmt: VideoFormat, overwrite: bool) -> None:
        super().__init__()
        self._path, (self._folder, self._name) = str(path), os.path.split(path)
        self._colour = fmt.colour
        self._overwrite = overwrite
        self._count = 0
        self._is_single = is_single_picture(path)
        if not converts_matrix(fmt.colour):
            matrix = CODE_POINTS["matrix"].get(fmt.colour.matrix, str(fmt.colour.matrix))
            self.notes.append(f"colours are wrong: {matrix} is converted to RGB as if BT.601")
        if not re.fullmatch(r"([^%]|%%)*(%0?\d*d)?([^%]|%%)*", self._name):
            raise UsageError(f"{path}: the name of numbered images holds one number like %05d")

    def write(self, planes: Planes, pts: int) -> None:
        if self._count and self._is_single:
            raise MediaError(
                f"{self._path}: holds one frame only; put a number like %05d into the name"
            )
        file = self._name.replace("%%", "%") if self._is_single else self._name % self._count
        name = os.path.join(self._folder, file)
        with PendingFile(name, self._overwrite) as pending, name_errors(name):
            pending.temporary.write_bytes(png(rgb_from_planes(planes, self._colour), self._colour))
        self._count += 1


def png(rgb: NDArray[np.uint8], colour: Colour | None = None) -> bytes:
    """(H, W, 3) as a PNG file, with a `cICP` chunk where `colour` needs one."""
    encoder = av.CodecContext.create("png", "w")
    encoder.height, encoder.width = rgb.shape[:2]
    encoder.pix_fmt, encoder.time_base = "rgb24", Fraction(1)
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
    if colour and (colour.transfer in _TRANSFERS or colour.primaries in _GAMUTS):
        frame.color_primaries, frame.color_trc = colour.primaries, colour.transfer
    return b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))
