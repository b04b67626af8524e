"""Sound for the frames of a program: that of a file, copied, or samples, coded as Opus.

    with SoundSource("music.flac") as sound:
        sound.tracks                        # a `TrackCopier`, for `encode_stream`
        sound.copy(Fraction(1, 25))         # packets that begin before this many seconds
        sound.copy(None)                    # the rest

Samples are (T,), (C, T) or (T, C) with at most 8 channels: floats from -1 to 1, int16 or int32.
Raises `MediaError`, `MissingFileError`, `UsageError`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Self

import av
import numpy as np
from numpy.typing import NDArray

from gvcodec.errors import MediaError, UsageError
from gvcodec.source.opening import InputFile, Source, reason
from gvcodec.tracks.copier import TrackCopier
from gvcodec.tracks.opus import LAYOUTS, SoundCoder
from gvcodec.util.file_io import name_of

_LEAST_RATE, _MOST_RATE = 4_000, 768_000
#: Largest float that is a sample: resampling goes a little beyond 1, integers as floats far.
_LOUDEST = 2.0


class SoundSource:
    """`sound`: a path, a URI, an open binary file, or samples with their `rate` (samples a
    second)."""

    def __init__(self, sound: Any, rate: int | None = None) -> None:
        self._file: InputFile | None = None
        self._container: av.container.InputContainer | None = None
        try:
            if is_samples(sound):
                self._container = _open_samples(sound, rate)
                self.tracks: TrackCopier = SoundCoder(list(self._container.streams.audio), 0)
            elif rate is not None:
                raise UsageError("sound_rate is for samples, a file has its own")
            else:
                with Source(sound, is_sound=True) as source:
                    self._file = InputFile(source)
                self._container = self._file.container
                self.tracks = TrackCopier(list(self._container.streams.audio))
            if not self.tracks.streams:
                raise MediaError(f"{name_of(sound)}: holds no sound that can be copied")
        except BaseException:
            self.close()
            raise
        start = Fraction(self._container.start_time or 0, av.time_base)
        #: Recordings that begin before 0 have sound that is hidden.
        self._shift = max(Fraction(0), start)
        self._packets: Iterator[av.Packet] = self._container.demux(self.tracks.streams)
        self._next: av.Packet | None = None
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, value: object, trace: object) -> None:
        self.close()

    def close(self) -> None:
        for opened in (self._container, self._file):
            if opened is not None:
                opened.close()

    def copy(self, end: Fraction | None) -> None:
        """Copy packets that begin before `end` (seconds); None = all."""
        while (packet := self._waiting()) is not None:
            seconds = (packet.pts or 0) * packet.time_base - self._shift
            if end is not None and seconds >= end:
                return
            self.tracks.copy(packet, self._shift)
            self._next = None
        if not self._ended:
            self._ended = True
            self.tracks.finish()

    def _waiting(self) -> av.Packet | None:
        """The next packet, None after the last one."""
        while self._next is None and not self._ended:
            try:
                packet = next(self._packets, None)
            except (av.FFmpegError, OSError) as error:
                raise MediaError(f"sound: reading stopped: {reason(error)}") from error
            finally:
                if self._file is not None:
                    self._file.raise_stopped()
            if packet is None:
                return None
            if packet.size and packet.pts is not None:
                self._next = packet
        return self._next


def is_samples(sound: Any) -> bool:
    """Whether it is an array or a tensor."""
    return hasattr(sound, "shape") and hasattr(sound, "dtype")


def _open_samples(source: Any, rate: int | None) -> av.container.InputContainer:
    """FFmpeg's demuxer on samples."""
    if rate is None or rate != int(rate) or not _LEAST_RATE <= rate <= _MOST_RATE:
        raise UsageError(
            f"samples need sound_rate, a number from {_LEAST_RATE} to {_MOST_RATE}, not {rate}"
        )
    samples = _as_floats(source)
    options = {"sample_rate": str(int(rate)), "ch_layout": LAYOUTS[samples.shape[1]]}
    data = io.BytesIO(np.ascontiguousarray(samples, "<f4").tobytes())
    return av.open(data, "r", format="f32le", options=options)


def _as_floats(source: Any) -> NDArray[np.float32]:
    """(T, C) float32. Raises `UsageError`."""
    tensor = source.detach().cpu() if hasattr(source, "detach") else source
    array = np.asarray(tensor)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or min(array.shape) > len(LAYOUTS) or not array.size:
        raise UsageError(
            f"samples are (T,), (C, T) or (T, C) with at most {len(LAYOUTS)} channels, not "
            f"{tuple(array.shape)}"
        )
    if array.shape[0] < array.shape[1]:
        array = array.T
    if array.dtype in (np.int16, np.int32):
        return (array / np.float64(-int(np.iinfo(array.dtype).min))).astype(np.float32)
    if not np.issubdtype(array.dtype, np.floating):
        raise UsageError(f"samples are floats from -1 to 1, int16 or int32, not {array.dtype}")
    loudest = float(np.abs(array).max())
    if not loudest <= _LOUDEST:
        raise UsageError(f"samples are floats from -1 to 1, not up to {loudest:g}")
    return array.astype(np.float32)
