"""Random access to the frames of a stream, in the habit of torchcodec and decord.

    video = gvcodec.open("out.bin")
    len(video), video[7], video[-1], video[10:40:3]   # (H, W, 3), (N, H, W, 3) uint8 RGB
    video.get_frames_at([3, 90, 4])            # with their times
    video.get_frames_played_at([1.5])
    video.metadata.duration_seconds

Only GOPs that hold wanted frames are decoded, going on in order is as fast as reading from the
start, and frames are those of sequential decoding. Between calls nothing stays open but one
decoder: hundreds of videos can be open at once.
"""

from __future__ import annotations

import io
import math
import operator
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self, TypeAlias, cast

import numpy as np

from gvcodec.bitstream import GopEntry, Kind, Packet, PtsDecoder, Reader
from gvcodec.codec.decoder import DecodedFrame, Decoder
from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.limits import DEFAULT, Limits, check
from gvcodec.media.planes import rgb_from_planes
from gvcodec.one_file.files import open_stream, unwrap
from gvcodec.types import Planes
from gvcodec.util.file_io import Borrowed, Readable
from gvcodec.util.sharing import Shared, in_turn, steps_in_turn

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.uint8] | torch.Tensor
    Source = str | Path | bytes | bytearray | memoryview | Readable


@dataclass(frozen=True, slots=True)
class Metadata:
    """Facts about a video; times in seconds, on the clock of `Frame.pts_seconds`, which begins with
    the first frame."""

    num_frames: int
    width: int
    height: int
    average_fps: float
    duration_seconds: float
    begin_stream_seconds: float
    end_stream_seconds: float
    codec: str
    bit_depth: int
    sample_aspect_ratio: Fraction


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: `data` (H, W, 3) or (3, H, W) uint8 RGB; when it is shown after the first one."""

    data: Array
    pts_seconds: float
    duration_seconds: float

    def __repr__(self) -> str:
        times = f"pts_seconds={self.pts_seconds:g}, duration_seconds={self.duration_seconds:g}"
        return f"Frame(data={_format(self.data)}, {times})"


@dataclass(frozen=True, slots=True)
class FrameBatch:
    """N frames: `data` (N, H, W, 3) or (N, 3, H, W) uint8 RGB, times as float64 (N,)."""

    data: Array
    pts_seconds: NDArray[np.float64]
    duration_seconds: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.pts_seconds)

    def __repr__(self) -> str:
        shown = [_format(part) for part in (self.data, self.pts_seconds, self.duration_seconds)]
        return "FrameBatch(data={}, pts_seconds={}, duration_seconds={})".format(*shown)


def _format(array: Array | NDArray[np.float64]) -> str:
    """Type and shape."""
    return f"{str(array.dtype).removeprefix('torch.')} {tuple(array.shape)}"


class Video(Shared):
    """A stream, painted unless `fidelity` (or the stream has no painter).

    `output` "numpy", or "torch" on `device`; `dimension_order` "NHWC" or "NCHW". `threads` 0 = all
    cores: one is enough where many videos are read side by side. `limits`: what the stream may ask
    for. `decoder`: one for this stream that is there already, its options hold. A `device` other
    than "cpu" paints too, and of what it gives as
    tensors nothing goes to the processor.

    `source`: a path, bytes, or an object with `read(size)` and `seek(offset, whence)` that gives
    bytes, as `open(…, "rb")` or fsspec make it. The object stays the caller's: it is not closed,
    nothing else should move it meanwhile, and a video of it does not follow into a child process.
    Raises `LimitError`, `MediaError`, `DamagedStreamError`, `WrongModelError`, `UsageError`;
    `IndexError` for frames that are not there.

    Threads may share it: one of them decodes at a time, and a slice or a list is read as a whole.
    One `Video` for each thread is faster. It can be pickled, and goes on in a child process made
    by `fork`.
    """

    follows = True

    def __init__(
        self,
        source: Source,
        *,
        fidelity: bool = False,
        output: str = "numpy",
        device: str | torch.device = "cpu",
        dimension_order: str = "NHWC",
        threads: int = 1,
        models: Sequence[str | Path] = (),
        limits: Limits = DEFAULT,
        decoder: Decoder | None = None,
    ) -> None:
        super().__init__()
        if output not in ("numpy", "torch") or dimension_order not in ("NHWC", "NCHW"):
            raise UsageError('output is "numpy" or "torch", dimension_order "NHWC" or "NCHW"')
        self._source = bytes(source) if isinstance(source, bytearray | memoryview) else source
        if not isinstance(self._source, str | Path):
            # Those on disk are taken apart once, these would be for every GOP.
            self._source = _unwrap(self._source, self.name)
        self.follows = isinstance(self._source, str | Path | bytes)
        self._torch = output == "torch"
        self._device = str(device)
        self._channels_first = dimension_order == "NCHW"
        with self._reader() as reader:
            self.header = reader.header
            self._gops = reader.gops()
        self._starts = [gop.first_frame for gop in self._gops]
        self._options = (fidelity or self.header.painter_id is None, threads, tuple(models))
        self._limits = limits
        check(self.header, not self._options[0], limits)
        self._times: dict[int, list[int]] = {}
        self._decoder = decoder
        self._pending: Iterator[DecodedFrame] = iter(())
        #: GOP in decoding, and the number of the next frame of it.
        self._at = (-1, 0)
        if not self._gops:
            raise DamagedStreamError(f"{self.name}: the stream holds no frames")

    def __len__(self) -> int:
        return self._starts[-1] + self._gops[-1].frames

    def __repr__(self) -> str:
        fmt = self.header.format
        what = f"{len(self)} frames ({fmt.height}, {fmt.width}, 3), {float(fmt.frame_rate):g}/s"
        return f"Video({self.name}: {what}, base {self.header.base}, painted={self.painted})"

    def __iter__(self) -> Iterator[Array]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, key: int | slice | Sequence[int] | Array) -> Array:
        """One frame, or those of a slice, or of a list or mask (`len(self)` truth values), which
        may be an array or a tensor, as one array."""
        if isinstance(key, slice):
            return self._stack(list(range(*key.indices(len(self)))))
        if isinstance(key, Sequence) or getattr(key, "ndim", False):
            return self._stack(self._numbers(cast("Sequence[int] | Array", key)))
        return self._stack([self._index(key)])[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        """For other processes: everything but the decoder."""
        state = self.__dict__ | {"_decoder": None, "_pending": iter(()), "_at": (-1, 0)}
        del state["_turn"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__init__()
        self.__dict__.update(state)

    def after_fork(self) -> None:
        """A child process opens the stream anew."""
        super().after_fork()
        if self.follows:
            self.close()

    @in_turn
    def close(self) -> None:
        """Let go of the decoder; the next access makes a new one."""
        self._decoder, self._pending, self._at = None, iter(()), (-1, 0)

    @property
    def metadata(self) -> Metadata:
        fmt = self.header.format
        begin, end = 0.0, self._seconds(len(self))
        codec = f"gvcodec/{self.header.base}"
        rate = len(self) / (end - begin) if end > begin else float(fmt.frame_rate)
        return Metadata(
            len(self),
            fmt.width,
            fmt.height,
            rate,
            end - begin,
            begin,
            end,
            codec,
            fmt.bit_depth,
            fmt.sar,
        )

    def get_frame_at(self, index: int) -> Frame:
        batch = self.get_frames_at([index])
        return Frame(batch.data[0], float(batch.pts_seconds[0]), float(batch.duration_seconds[0]))

    def get_frames_at(self, indices: Sequence[int]) -> FrameBatch:
        """Frames by number, in the order asked for; each is decoded once. One number is taken as a
        list of one."""
        numbers = self._numbers(indices)
        begin = np.array([self._seconds(number) for number in numbers], np.float64)
        end = np.array([self._seconds(number + 1) for number in numbers], np.float64)
        return FrameBatch(self._stack(numbers), begin, end - begin)

    def get_frames_in_range(self, start: int, stop: int, step: int = 1) -> FrameBatch:
        return self.get_frames_at(range(start, stop, step))

    def get_frame_played_at(self, seconds: float) -> Frame:
        return self.get_frame_at(self.played_at(seconds))

    def get_frames_played_at(self, seconds: Sequence[float]) -> FrameBatch:
        """The frames on screen at these times. One time is taken as a list of one."""
        times = np.atleast_1d(_plain(seconds))
        if times.ndim != 1 or times.dtype.kind not in "iuf":
            raise UsageError("times are numbers, or a list of them")
        return self.get_frames_at([self.played_at(float(time)) for time in times])

    def get_frames_played_in_range(self, start_seconds: float, stop_seconds: float) -> FrameBatch:
        """The frames on screen at any time of [start, stop)."""
        if not float(start_seconds) < float(stop_seconds):
            raise UsageError("a range of time ends after it starts")
        first = self.played_at(start_seconds)
        return self.get_frames_at(range(first, self.played_at(stop_seconds, just_before=True) + 1))

    @property
    def painted(self) -> bool:
        return not self._options[0]

    @property
    def key_frames(self) -> list[int]:
        """Numbers of the frames that GOPs begin with."""
        return list(self._starts)

    def decoded(self, first: int, stop: int) -> Iterator[DecodedFrame]:
        """Frames `first` to `stop` − 1 as the decoder gives them."""
        return (frame for _, frame in self._decode(range(first, stop)))

    def first_at(self, seconds: Fraction) -> int:
        """Number of the first frame that is shown so many seconds after frame 0 or later. Raises
        `UsageError` for none."""
        wanted = self.pts_of(0) + seconds / self.header.format.time_base
        number = bisect_left(range(len(self)), wanted, key=lambda n: Fraction(self.pts_of(n)))
        if number == len(self):
            raise UsageError(
                f"{self.name}: no frame is shown {float(seconds):g} s after the first one or later"
            )
        return number

    @property
    def name(self) -> str:
        """How messages call it."""
        if isinstance(self._source, str | Path):
            return str(self._source)
        name = getattr(self._source, "name", None)
        return name if isinstance(name, str) else "stream"

    @contextmanager
    def _reader(self) -> Iterator[Reader]:
        """The stream, open for as long as it is needed."""
        if isinstance(self._source, bytes):
            yield Reader(io.BytesIO(self._source), self.name)
            return
        if isinstance(self._source, str | Path):
            with open_stream(str(self._source)) as stream:
                yield Reader(_check(stream), self.name)
            return
        with io.BufferedReader(Borrowed(self._source)) as stream:
            _check(stream).seek(0)
            yield Reader(stream, self.name)

    def _numbers(self, indices: Sequence[int] | Array) -> list[int]:
        """Numbers of these frames; of a mask, where it is true."""
        given = np.asarray(_plain(indices))
        if not given.ndim:
            return [self._index(given.item())]
        if given.dtype == np.bool_ and given.ndim:
            if given.shape != (len(self),):
                raise IndexError(f"{self.name}: a mask has {len(self)} values, not {given.size}")
            return [int(number) for number in np.flatnonzero(given)]
        if given.ndim != 1:
            raise UsageError("frames are asked for by a number or a list of numbers")
        return [self._index(index) for index in given.tolist()]

    def _index(self, index: int | Array) -> int:
        try:
            if isinstance(index, bool | np.bool_):
                raise TypeError
            index = operator.index(index)
        except TypeError:
            raise UsageError(
                f"frames are numbered by integers, not {type(index).__name__}"
            ) from None
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError(f"{self.name}: has no frame {index}, it has {len(self)}")
        return number

    def _gop_of(self, number: int) -> int:
        return bisect_right(self._starts, number) - 1

    @steps_in_turn
    def _decode(self, numbers: Sequence[int]) -> Iterator[tuple[int, DecodedFrame]]:
        """Frames by number, which have to increase."""
        for number in numbers:
            gop = self._gop_of(number)
            if self._at[0] != gop or self._at[1] > number:
                self._start(gop)
            frame: DecodedFrame | None = None
            while self._at[1] <= number:
                frame = next(self._pending, None)
                self._at = (gop, self._at[1] + 1)
            if frame is None:
                raise DamagedStreamError(f"{self.name}: frame {number} cannot be decoded")
            yield number, frame

    def _start(self, at: int) -> None:
        """Go to the first frame of a GOP."""
        gop = self._gops[at]
        with self._reader() as reader:
            fit = reader.fit_before(self._gops, at)
            packets = [
                packet for packet in reader.packets_of(gop) if packet.kind is not Kind.TRACKS
            ]
        if self._decoder is None:
            fidelity, threads, models = self._options
            self._decoder = Decoder(
                self.header,
                fidelity,
                threads,
                models,
                device=self._device,
                limits=self._limits,
                tensors=self._torch,
            )
        self._decoder.restart(gop.first_frame)
        if fit is not None:
            packets.insert(0, fit)
        self._pending, self._at = self._locate(self._decoder, packets, gop), (at, gop.first_frame)

    def _locate(
        self, decoder: Decoder, packets: list[Packet], gop: GopEntry
    ) -> Iterator[DecodedFrame]:
        """Frames of a GOP; errors say of which."""
        try:
            yield from decoder.frames_of(packets)
        except DamagedStreamError as error:
            raise DamagedStreamError(
                f"{self.name}: GOP at frame {gop.first_frame}: {error}"
            ) from error

    def _seconds(self, number: int) -> float:
        """When a frame is shown, after the first one."""
        return float((self.pts_of(number) - self.pts_of(0)) * self.header.format.time_base)

    @in_turn
    def pts_of(self, number: int) -> int:
        """Timestamp of a frame in ticks; that of the frame after the last is when the last ends."""
        at = self._gop_of(min(number, len(self) - 1))
        if at not in self._times:
            gop, fmt = self._gops[at], self.header.format
            timing = PtsDecoder(self.header.start_pts, fmt.frame_rate, fmt.time_base, self._limits)
            timing.restart(gop.first_frame)
            with self._reader() as reader:
                for packet in reader.packets_of(gop):
                    if packet.kind is Kind.TIMING:
                        timing.send(packet.payload)
            self._times[at] = [timing.receive() for _ in range(gop.frames + 1)]
        if number == len(self):
            return self._times[at][-1]
        return self._times[at][number - self._starts[at]]

    def played_at(self, seconds: float, just_before: bool = False) -> int:
        """Number of the frame on screen so many seconds after the first one, or just before that.
        Raises `IndexError` where nothing plays."""
        try:
            seconds = float(seconds)
        except (TypeError, ValueError):
            raise UsageError(f"a time is a number, not {type(seconds).__name__}") from None
        if not math.isfinite(seconds):
            raise UsageError(f"{seconds} is not a time")
        tick, begin = self.header.format.time_base, self.pts_of(0)
        pts = begin + Fraction(seconds) / tick
        # A time that was computed in floating point from a frame's timestamp means that frame.
        if abs(pts - round(pts)) < Fraction(1, 1000):
            pts = Fraction(round(pts))
        end = self.pts_of(len(self))
        if not (begin < pts <= end if just_before else begin <= pts < end):
            span = f"from 0 to {self._seconds(len(self)):g} s"
            raise IndexError(f"{self.name}: nothing plays at {seconds:g} s, only {span}")
        low, high = 0, len(self)
        while high - low > 1:
            middle = (low + high) // 2
            at = self.pts_of(middle)
            low, high = (
                (middle, high) if at < pts or (at == pts and not just_before) else (low, middle)
            )
        return low

    @in_turn
    def _stack(self, numbers: Sequence[int]) -> Array:
        """Pictures of these frames as one array."""
        fmt = self.header.format
        shape = (len(numbers), fmt.height, fmt.width, 3)
        images = self._room(shape)
        places: dict[int, list[int]] = {}
        for place, number in enumerate(numbers):
            places.setdefault(number, []).append(place)
        for number, frame in self._decode(sorted(places)):
            images[places[number]] = self._picture(frame.planes)
        if not self._channels_first:
            return images
        if self._torch:
            return images.permute(0, 3, 1, 2).contiguous()
        return np.moveaxis(images, -1, -3)

    def _room(self, shape: tuple[int, ...]) -> Any:
        if not self._torch:
            return np.empty(shape, np.uint8)
        import torch

        return torch.empty(shape, dtype=torch.uint8, device=self._device)

    def _picture(self, planes: Planes) -> Any:
        """(H, W, 3) uint8, on the device where tensors are given."""
        if not self._torch:
            return rgb_from_planes(planes, self.header.format.colour)
        from gvcodec.painter.pictures import picture

        return picture(planes, self.header.format.colour, self._device)


def _plain(values: Any) -> Any:
    """Tensors, on whatever device, as arrays."""
    return values.detach().cpu().numpy() if hasattr(values, "detach") else values


def _unwrap(source: bytes | Readable, name: str) -> bytes | Readable:
    """The bytes of a stream in a container that plays everywhere; any other source as it is."""
    given = io.BytesIO(source) if isinstance(source, bytes) else io.BufferedReader(Borrowed(source))
    if not given.seekable():
        return source
    given.seek(0)
    found = unwrap(given, name)
    if isinstance(given, io.BufferedReader):
        given.seek(0)
    return source if found is given else found.read()


def _check(stream: BinaryIO) -> BinaryIO:
    """Random access needs a file, not a pipe."""
    if not stream.seekable():
        raise UsageError("random access needs a file that can be read from any place")
    return stream


def open_video(source: Source, **options: Any) -> Video:
    """Open a stream (path, bytes or file object) for random access; options as in `Video`. Exported
    as `gvcodec.open`."""
    return Video(source, **options)
