"""Return values of the library's functions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gvcodec.types import VideoFormat
from gvcodec.util.deprecation import renamed_attributes
from gvcodec.util.messages import count_noun

if TYPE_CHECKING:
    from gvcodec.rate.target import Target

#: Bits a pixel above which painting gains little: `av1` by itself looks as good.
HIGH_BPP = 0.08


def high_rate_hint(bpp: float, files: str = "") -> str:
    """Advice for high rates, "" below that rate. `files`: how a batch calls those above it."""
    if bpp <= HIGH_BPP:
        return ""
    which = files or f"{bpp:.3f} bpp is"
    return (
        f"{which} above {HIGH_BPP} bpp, where painting gains little: a higher -q (up to 67), "
        "--bpp 0.05, or --scale 1/2 gives a smaller file"
    )


@renamed_attributes(wanted="target")
@dataclass(frozen=True, slots=True)
class EncodeReport:
    """The written file: `size` bytes of `frames` frames, `notes` a line each.

    `psnr_y`: dB of the base frames' luma, inf = exact. `tracks`: sound, subtitles and attachments,
    their (bytes, packets, kinds). `passes` that it took, and `chunks` with jobs. `q`: the quality
    that was used, chosen by rate control if there was one, a mean of chunks. `limit`: bytes of
    a size that was met; `target`, the target, and `reached`, the same with the value that the file
    has. `seconds`: how long the frames are shown. `incomplete`: the unreadable part of the source,
    in words, "" = none. `source_bytes`: size of the whole source, None if a
    part of it was coded or its size is not known.
    """

    frames: int
    size: int
    notes: tuple[str, ...]
    format: VideoFormat
    psnr_y: float
    tracks: tuple[int, int, str] | None = None
    passes: int = 1
    chunks: int | None = None
    q: float | None = None
    limit: int | None = None
    reached: Target | None = None
    target: Target | None = None
    seconds: float = 0.0
    incomplete: str = ""
    source_bytes: int | None = None

    @property
    def gain(self) -> float | None:
        """The part of the source's bytes that is saved, below 0 for a larger file; None if the
        size of the source is not known."""
        return 1 - self.size / self.source_bytes if self.source_bytes else None

    @property
    def kbps(self) -> float:
        """Kilobits a second, without sound, subtitles and attachments."""
        seconds = self.seconds or self.frames / float(self.format.frame_rate)
        return self._video_bits / seconds / 1000

    @property
    def bpp(self) -> float:
        """Bits per luma pixel, without sound, subtitles and attachments."""
        return self._video_bits / (self.frames * self.format.width * self.format.height)

    @property
    def file_kbps(self) -> float:
        """Kilobits a second of the file, with sound, subtitles and attachments."""
        return 8 * self.size / 1000 / (self.seconds or self.frames / float(self.format.frame_rate))

    @property
    def summary(self) -> str:
        """All in a line, as `gvcodec encode` ends."""
        size, added = self.size, ""
        if self.tracks:
            track_bytes, packets, kinds = self.tracks
            size -= track_bytes
            added = (
                f" + {count_noun(track_bytes, 'byte')} of {kinds} ({count_noun(packets, 'packet')})"
            )
        psnr = "lossless" if math.isinf(self.psnr_y) else f"PSNR-Y {self.psnr_y:.2f} dB"
        parts = [
            f"{count_noun(self.frames, 'frame')} {self.format.width}×{self.format.height}",
            f"{size} bytes{added}",
            f"{self.bpp:.5f} bpp",
            f"{self.kbps:.1f} kb/s",
            psnr,
        ]
        if self.tracks:
            parts.append(f"file of {self.size} bytes, {self.file_kbps:.1f} kb/s")
        if self.reached is not None:
            parts.append(f"{self.reached} at q {self.q:.4g}")
        if self.limit is not None:
            parts.append(f"{100 * self.size / self.limit:.2f} % of {self.limit} bytes")
        if self.target is not None and self.target.most_bytes is not None:
            most = f"of {self.target.most_bytes:.0f} bytes at most"
            parts.append(f"too few for {self.target}" if self.limit is not None else most)
        if self.reached is not None or self.limit is not None:
            parts.append(count_noun(self.passes, "pass", "passes"))
        if self.chunks is not None:
            parts.append(count_noun(self.chunks, "chunk"))
        return ", ".join(parts)

    @property
    def _video_bits(self) -> int:
        return 8 * (self.size - (self.tracks[0] if self.tracks else 0))


@dataclass(frozen=True, slots=True)
class DecodeReport:
    """Result of `decode_file`: `outcome` in words, part by part; `losses` a line each (with
    `ignore_errors`)."""

    frames: int
    outcome: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Moment:
    """A frame of `file` that fits a query: `seconds` after the first frame, `gop` = (first frame,
    number of frames) of the GOP to decode for it; a `score` of 1 is best. `within`: seconds by
    which summaries may be off, 0 if frames were compared."""

    file: str
    seconds: float
    frame: int
    gop: tuple[int, int]
    score: float
    within: float


@dataclass(frozen=True, slots=True)
class SearchReport:
    """Result of `search`, best first; `files` searched, `bytes_read` of their `bytes`, `notes` a
    line each: files and summaries that were left out."""

    moments: tuple[Moment, ...]
    files: int
    bytes_read: int
    bytes: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SummarizeReport:
    """Result of `summarize`: `size` bytes, of which `summary_bytes` are for search."""

    frames: int
    summary_bytes: int
    size: int
