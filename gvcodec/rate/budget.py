"""The largest size of a file: from a size, a bitrate or bits per pixel."""

from __future__ import annotations

from dataclasses import dataclass

from gvcodec.errors import UsageError
from gvcodec.types import VideoFormat
from gvcodec.util.messages import MOST_AMOUNT


@dataclass(frozen=True, slots=True)
class Budget:
    """One of three: `size` bytes or `bitrate` bits a second for the whole file with its sound,
    `bpp` bits a luma pixel for the file without it."""

    size: float | None = None
    bitrate: float | None = None
    bpp: float | None = None

    @property
    def whole(self) -> bool:
        """Whether it holds for the whole file, not for each part of it."""
        return True

    def __post_init__(self) -> None:
        given = [v for v in (self.size, self.bitrate, self.bpp) if v is not None]
        if len(given) != 1 or not 0 < given[0] <= MOST_AMOUNT:
            raise UsageError("a budget is one of size, bitrate and bpp, above 0 and at most 1e18")

    def file_bytes(
        self, fmt: VideoFormat, frames: int, track_bytes: int, seconds: float | None = None
    ) -> int:
        """Size that a file of so many frames may have at most; `track_bytes` of it are sound.
        `seconds`: how long it lasts, by the frame rate where that is not known."""
        seconds = frames / float(fmt.frame_rate) if seconds is None else seconds
        allowed = self.allowed(frames * fmt.width * fmt.height, seconds)
        return allowed + track_bytes * (self.bpp is not None)

    def allowed(self, samples: int, seconds: float) -> int:
        """Bytes for so many luma samples; of `bpp` those without sound."""
        if self.size is not None:
            return int(self.size)
        if self.bitrate is not None:
            return int(self.bitrate * seconds / 8)
        assert self.bpp is not None
        return int(self.bpp * samples / 8)
