"""`Video`: frames of a stream by number and by time."""

from __future__ import annotations

import contextlib
import io
import math
import operator
import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Self, cast

import numpy as np

from gvcodec.bitstream import GopEntry, Kind, Packet, PtsDecoder, Reader
from gvcodec.codec.decoder import DecodedFrame, Decoder
from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.limits import DEFAULT, Limits, check
from gvcodec.opening import Source, unwrap
from gvcodec.painter.video import check_paint_strength, check_tokens_option
from gvcodec.planes import rgb_reader
from gvcodec.types import HDR_TRANSFERS, time_in_part
from gvcodec.util.deprecation import renamed_attributes
from gvcodec.util.file_io import BorrowedFile, as_name, name_of, open_input
from gvcodec.util.kinds import check_kind
from gvcodec.util.uris import absolute_path, is_uri, local_path
from gvcodec.video.frames import Frame, FrameBatch, Metadata

if TYPE_CHECKING:
    import torch

    from gvcodec.video.frames import Array


class TimedStream:
    """A stream that is read GOP by GOP, any number of times: times of its frames in ticks of the
    stream, and in seconds after frame 0. Raises `DamagedStreamError`."""

    def __init__(self, source: Source, limits: Limits) -> None:
        self.name = as_name(source) or name_of(source)
        self._source = bytes(source) if isinstance(source, bytearray | memoryview) else source
        self._limits = limits
        with self._reader() as reader:
            self.header, self._gops = reader.header, reader.gops()
        if (path := as_name(self._source)) is not None and not is_uri(path):
            # Other processes and later calls may have another working folder.
            self._source = absolute_path(local_path(path))
        self._starts = [gop.first_frame for gop in self._gops]
        self._times: dict[int, list[int]] = {}
        if not self._gops:
            raise DamagedStreamError(f"{self.name}: the stream holds no frames", code="no-frames")

    def __len__(self) -> int:
        return self._starts[-1] + self._gops[-1].frames

    def _seconds(self, number: int) -> float:
        """When a frame is shown, after the first one."""
        return float((self.pts_of(number) - self.pts_of(0)) * self.header.format.time_base)

    def pts_of(self, number: int) -> int:
        """Timestamp of a frame in ticks; that of the frame after the last is when the last ends."""
        at = bisect_right(self._starts, min(number, len(self) - 1)) - 1
        if at not in self._times:
            gop, fmt = self._gops[at], self.header.format
            timing = PtsDecoder(self.header.start_pts, fmt.frame_rate, fmt.time_base, self._limits)
            timing.restart(gop.first_frame)
            with self._reader() as reader:
                for packet in reader.packets_of(gop, with_frames=False):
                    if packet.kind is Kind.TIMING:
                        timing.send(packet.payload)
            self._times[at] = [timing.receive() for _ in range(gop.frames + 1)]
        if number == len(self):
            return self._times[at][-1]
        return self._times[at][number - self._starts[at]]

    def tracks_of(self, gop: int) -> list[bytes]:
        """Payloads of the `tracks` packets of a GOP, by its number."""
        with self._reader() as reader:
            packets = reader.packets_of(self._gops[gop], with_frames=False)
            return [packet.payload for packet in packets if packet.kind is Kind.TRACKS]

    def number_at(self, seconds: float, just_before: bool = False) -> int:
        """Number of the frame on screen `seconds` after the first one, or just before that time.
        Raises `IndexError` before the first frame and after the last."""
        try:
            seconds = float(seconds)
        except (TypeError, ValueError):
            raise UsageError(
                f"a time is a number, not {type(seconds).__name__}", code="time"
            ) from None
        if not math.isfinite(seconds):
            raise UsageError(f"{seconds} is not a time", code="time")
        tick, begin = self.header.format.time_base, self.pts_of(0)
        pts = begin + Fraction(seconds) / tick
        # A time that was computed in floating point from a frame's timestamp means that frame.
        if abs(pts - round(pts)) < Fraction(1, 1000):
            pts = Fraction(round(pts))
        end = self.pts_of(len(self))
        if not (begin < pts <= end if just_before else begin <= pts < end):
            span = f"from 0 to {self._seconds(len(self)):g} s"
            raise IndexError(f"{self.name}: nothing plays at {seconds:g} s, only {span}")
        search = bisect_left if just_before else bisect_right
        return search(range(len(self)), pts, key=lambda n: Fraction(self.pts_of(n))) - 1

    def cut_at(self, seconds: Fraction) -> tuple[int, int, bool]:
        """Where a part begins or ends: the first frame shown `seconds` after frame 0 or later, the
        tick of the cut, and whether the previous frame is on screen until then."""
        fmt = self.header.format
        moment = self.pts_of(0) + seconds / fmt.time_base
        number = bisect_left(range(len(self)), moment, key=lambda n: Fraction(self.pts_of(n)))
        begin = self.pts_of(number)
        earlier = self.pts_of(number - 1) if number else begin
        time = time_in_part(earlier, begin, moment, fmt.period)
        return number, begin if time is None else time, time is not None

    def first_at(self, seconds: Fraction) -> int:
        """The first frame shown `seconds` after frame 0 or later. Raises `UsageError` for none."""
        number = self.cut_at(seconds)[0]
        if number == len(self):
            raise UsageError(
                f"{self.name}: no frame is shown {float(seconds):g} s after the first one or later",
                code="no-frames",
            )
        return number

    @contextlib.contextmanager
    def _reader(self) -> Iterator[Reader]:
        """The stream, open for as long as it is needed. Random access needs a file, not a pipe."""
        source = self._source
        with contextlib.ExitStack() as stack:
            stream: BinaryIO
            if isinstance(source, bytes | bytearray | memoryview):
                stream = io.BytesIO(source)
            elif isinstance(source, str | os.PathLike):
                stream = stack.enter_context(open_input(os.fspath(source)))
            else:
                stream = io.BufferedReader(BorrowedFile(source))
                if callable(tell := getattr(source, "tell", None)) and stream.seekable():
                    # Later readers of the object start from its position.
                    stack.callback(source.seek, tell())
            if not stream.seekable():
                raise UsageError(
                    "random access needs a file that can be read from any place",
                    code="not-seekable",
                )
            stream.seek(0)
            whole = unwrap(stream, self.name)
            if whole is not stream:
                # A file that plays everywhere is taken apart once, not for every GOP.
                self._source = whole.read()
                whole = io.BytesIO(self._source)
            yield Reader(whole, self.name)


@renamed_attributes(painted="is_painted")
class Video(TimedStream):
    """A stream, painted unless `fidelity` (or the stream has no painter).

    `output` "numpy", or "torch" on `device`; `dimension_order` "NHWC" or "NCHW". `bit_depth`: 8 for
    uint8, 10 for uint16 (0…1023); `metadata` has the video's properties. `threads` 0 = all
    cores: one is enough where many videos are read side by side. `limits`: bounds on the
    stream's demands. `decoder`: an existing one for this stream; its options apply. `look`:
    painting strength, 0…100, instead of the file's. `tokens` "off": painted without the file's
    tokens, for comparison.

    `source`: a path, bytes, or an object with `read(size)` and `seek(offset, whence)` that gives
    bytes, as `open(…, "rb")` or fsspec make it. The object stays the caller's: it is not closed,
    nothing else should move it meanwhile, and a video of it is for one process.
    Raises `LimitError`, `MediaError`, `DamagedStreamError`, `WrongModelError`, `UsageError`;
    `IndexError` for frames that are not there.

    One thread uses a video at a time: each thread opens its own. In a child process a video of a
    path or of bytes opens its source again, pickled or after `fork`, as workers of data loaders do.
    """

    def __init__(
        self,
        source: Source,
        *,
        fidelity: bool = False,
        output: Literal["numpy", "torch"] = "numpy",
        device: str | torch.device = "cpu",
        dimension_order: Literal["NHWC", "NCHW"] = "NHWC",
        bit_depth: Literal[8, 10] = 8,
        threads: int = 1,
        models: Sequence[str | Path] = (),
        limits: Limits = DEFAULT,
        decoder: Decoder | None = None,
        look: int | None = None,
        tokens: Literal["on", "off"] = "on",
    ) -> None:
        if output not in ("numpy", "torch") or dimension_order not in ("NHWC", "NCHW"):
            raise UsageError(
                'output is "numpy" or "torch", dimension_order "NHWC" or "NCHW"',
                code="option-value",
            )
        self._picture = rgb_reader(bit_depth)
        self._dtype = np.uint8 if bit_depth == 8 else np.uint16
        super().__init__(source, limits)
        self._torch = output == "torch"
        self._device = str(device)
        self._channels_first = dimension_order == "NCHW"
        self._options = (fidelity or not self.header.is_painted, threads, tuple(models))
        check_kind("look", look, "int | None")
        self._look = look
        if look is not None:
            check_paint_strength(look, self.header.painter_id is not None and not fidelity)
        self._uses_tokens = check_tokens_option(tokens)
        check(self.header, not self._options[0], limits)
        self._decoder = decoder
        self._process = os.getpid()
        self._pending: Iterator[DecodedFrame] = iter(())
        #: GOP in decoding, and the number of the next frame of it.
        self._at = (-1, 0)

    def __repr__(self) -> str:
        fmt = self.header.format
        what = f"{len(self)} frames ({fmt.height}, {fmt.width}, 3), {float(fmt.frame_rate):g}/s"
        return f"Video({self.name}: {what}, base {self.header.base}, painted={self.is_painted})"

    def __iter__(self) -> Iterator[Array]:
        return (self[index] for index in range(len(self)))

    def __contains__(self, picture: object) -> bool:
        """Raises `UsageError`: decoded pictures differ from any other, if by little."""
        raise UsageError(
            "a video is asked for frames by number or time, not whether one is in it", code="time"
        )

    def __getitem__(self, key: int | slice | Sequence[int] | Array) -> Array:
        """One frame, or the frames of a slice, a list or a mask (`len(self)` truth values; array
        or tensor) stacked in one array."""
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
        return self.__dict__ | {"_decoder": None, "_pending": iter(()), "_at": (-1, 0)}

    def close(self) -> None:
        """Let go of the decoder; the next access makes a new one."""
        self._decoder, self._pending, self._at = None, iter(()), (-1, 0)

    @property
    def metadata(self) -> Metadata:
        fmt, end = self.header.format, self._seconds(len(self))
        rate = len(self) / end if end > 0 else float(fmt.frame_rate)
        times, hdr = (rate, end, 0.0, end), fmt.colour.transfer in HDR_TRANSFERS
        what = f"gvcodec/{self.header.base}", fmt.bit_depth, fmt.sar, hdr
        return Metadata(len(self), fmt.width, fmt.height, *times, *what)

    def get_frame_at(self, index: int) -> Frame:
        batch = self.get_frames_at([index])
        return Frame(batch.data[0], float(batch.pts_seconds[0]), float(batch.duration_seconds[0]))

    def get_frames_at(self, indices: Sequence[int]) -> FrameBatch:
        """Frames by number, or a list of them, in the order asked for."""
        numbers = self._numbers(indices)
        begin = np.array([self._seconds(number) for number in numbers], np.float64)
        end = np.array([self._seconds(number + 1) for number in numbers], np.float64)
        return FrameBatch(self._stack(numbers), begin, end - begin)

    def get_frames_in_range(self, start: int, stop: int, step: int = 1) -> FrameBatch:
        return self.get_frames_at(range(start, stop, step))

    def get_frame_played_at(self, seconds: float) -> Frame:
        return self.get_frame_at(self.number_at(seconds))

    def get_frames_played_at(self, seconds: Sequence[float]) -> FrameBatch:
        """The frames on screen at these times. One time is taken as a list of one."""
        times = np.atleast_1d(_plain(seconds))
        if times.ndim != 1 or times.dtype.kind not in "iuf":
            raise UsageError("times are numbers, or a list of them", code="time")
        return self.get_frames_at([self.number_at(float(time)) for time in times])

    def get_frames_played_in_range(self, start_seconds: float, stop_seconds: float) -> FrameBatch:
        """The frames on screen at any time of [start, stop)."""
        try:
            rises = float(start_seconds) < float(stop_seconds)
        except (TypeError, ValueError):
            raise UsageError("a range of time has two numbers, in seconds", code="time") from None
        if not rises:
            raise UsageError("a range of time ends after it starts", code="time")
        first = self.number_at(start_seconds)
        return self.get_frames_at(range(first, self.number_at(stop_seconds, just_before=True) + 1))

    @property
    def is_painted(self) -> bool:
        return not self._options[0]

    @property
    def key_frames(self) -> list[int]:
        """Numbers of the frames that GOPs begin with."""
        return list(self._starts)

    def decode_range(self, first: int, stop: int) -> Iterator[DecodedFrame]:
        """Frames `first` to `stop` − 1 as the decoder gives them."""
        return (frame for _, frame in self._decode(range(first, stop)))

    def decoding_start(self, number: int) -> int:
        """The frame that decoding of frame `number` begins at: the next one of the decoder, or the
        keyframe of the GOP."""
        gop = bisect_right(self._starts, number) - 1
        goes_on = self._at[0] == gop and self._at[1] <= number
        return self._at[1] if goes_on else self._starts[gop]

    def stop_painting(self) -> None:
        """Give base frames up to the end of the GOP that is being decoded."""
        if self._decoder is not None:
            self._decoder.stop_painting()

    def _numbers(self, indices: Sequence[int] | Array) -> list[int]:
        """Numbers of these frames; of a mask, where it is true."""
        values = np.asarray(_plain(indices))
        if not values.ndim:
            return [self._index(values.item())]
        if values.dtype == np.bool_ and values.ndim:
            if values.shape != (len(self),):
                raise IndexError(f"{self.name}: a mask has {len(self)} values, not {values.size}")
            return [int(number) for number in np.flatnonzero(values)]
        if values.ndim != 1:
            raise UsageError(
                "frames are asked for by a number or a list of numbers", code="frame-number"
            )
        return [self._index(index) for index in values.tolist()]

    def _index(self, index: int | Array) -> int:
        try:
            if isinstance(index, bool | np.bool_):
                raise TypeError
            index = operator.index(index)
        except TypeError:
            raise UsageError(
                f"frames are numbered by integers, not {type(index).__name__}", code="frame-number"
            ) from None
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError(f"{self.name}: has no frame {index}, it has {len(self)}")
        return number

    def _decode(self, numbers: Sequence[int]) -> Iterator[tuple[int, DecodedFrame]]:
        """Frames by number, which have to increase."""
        if self._process != os.getpid():
            self._begin_in_child()
        for number in numbers:
            gop = bisect_right(self._starts, number) - 1
            if self._at[0] != gop or self._at[1] > number:
                self._start(gop)
            frame: DecodedFrame | None = None
            while self._at[1] <= number:
                frame = next(self._pending, None)
                self._at = (gop, self._at[1] + 1)
            if frame is None:
                raise DamagedStreamError(
                    f"{self.name}: frame {number} cannot be decoded", code="frame-missing"
                )
            yield number, frame

    def _begin_in_child(self) -> None:
        """After `fork`: the decoder stays in its process. Raises `UsageError` for a file object,
        whose position both would move."""
        if not isinstance(self._source, str | os.PathLike | bytes):
            raise UsageError(
                f"{self.name}: a video of a file object stays in its process (fork)", code="fork"
            )
        self._process = os.getpid()
        self.close()

    def _start(self, at: int) -> None:
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
                look=self._look,
                uses_tokens=self._uses_tokens,
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

    def _stack(self, numbers: Sequence[int]) -> Array:
        fmt = self.header.format
        images = np.empty((len(numbers), fmt.height, fmt.width, 3), self._dtype)
        places: dict[int, list[int]] = {}
        for place, number in enumerate(numbers):
            places.setdefault(number, []).append(place)
        for number, frame in self._decode(sorted(places)):
            images[places[number]] = self._picture(frame.planes, fmt.colour)
        if self._channels_first:
            images = np.moveaxis(images, -1, -3)
        if not self._torch:
            return images
        from gvcodec.util.tensors import as_tensor, open_device

        return as_tensor(images, open_device(self._device))


def _plain(values: Any) -> Any:
    """Tensors on any device as arrays."""
    return values.detach().cpu().numpy() if hasattr(values, "detach") else values
