"""Opens a source of video: a file, a pipe, a file object, a URI, numbered pictures; errors say why
it cannot be read.

    with Source.open(anything) as source:      # named by the user, opened once
        with InputFile(source) as file:        # FFmpeg's demuxer on it
            file.container

Raises `MediaError`, `MissingFileError`, `UsageError`."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, Self, TypeAlias, cast

import av
from av.stream import Disposition, Stream

from gvcodec.errors import MediaError, MissingFileError, UsageError
from gvcodec.source import file_checks
from gvcodec.source.pictures import list_folder_pictures, list_named_pictures
from gvcodec.source.playlist import KEY, files_of, is_playlist, total_size
from gvcodec.source.timeline import may_jump
from gvcodec.tracks.tags import ANY_TEXT
from gvcodec.util.file_io import as_name, check_source
from gvcodec.util.uris import absolute_path, is_uri, local_path, open_read

AnySource: TypeAlias = str | os.PathLike[str] | BinaryIO
#: Bytes of the beginning that are kept.
_HEAD = 256
#: Bytes before the mark of a DICOM file.
_DICOM_AT = 128
#: FFmpeg's name of its demuxer.
_MATROSKA = "matroska,webm"
#: FFmpeg's demuxers of text art, which take anything by its name (.txt, .nfo).
_TEXTS = ("tty", "bin", "xbin", "adf", "idf")
#: For FFmpeg's demuxers: a transport stream may name more of its tracks later, in another table.
_DEMUXING = {"scan_all_pmts": "1"}
#: Kinds of video that a viewer would not call the video.
_NOT_MEANT = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
#: Codecs of covers and thumbnails, which are films now and then.
_OF_PICTURES = ("mjpeg", "png", "bmp", "webp", "tiff", "gif")


class Pipe:
    """A stream for FFmpeg. An exception ends the input and waits in `error`."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self.error: BaseException | None = None
        self.head = b""
        #: Bytes read so far.
        self.count = 0

    def read(self, size: int) -> bytes:
        if self.error is not None:
            return b""
        try:
            data = self._read(size)
            if not isinstance(data, bytes | bytearray | memoryview):
                raise UsageError(
                    f"a file object has to give bytes, not {type(data).__name__}: open it in "
                    f"binary mode"
                )
            self.head = self.head or data[:_HEAD]
            self.count += len(data)
            return data
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 (each store has other errors)
            self.error = error
            return b""


class SeekablePipe(Pipe):
    """A pipe with places to go to."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream.read)
        self.seek, self.tell = stream.seek, stream.tell


def video_of(container: av.container.InputContainer) -> av.VideoStream:
    """The video that players choose: not a cover, the default stream, the stream with more
    pictures. Raises `ValueError` where there is none."""
    best = container.streams.best("video")

    def rank(stream: av.VideoStream) -> tuple[int, ...]:
        return (
            not stream.disposition & _NOT_MEANT,
            # A thumbnail may be the default.
            stream.frames != 1,
            bool(stream.disposition & Disposition.default),
            stream.codec_context is not None and stream.codec_context.name not in _OF_PICTURES,
            # Of several qualities the best one; no codec is known of one that nothing decodes.
            0 if stream.codec_context is None else stream.width * stream.height,
            int(stream.metadata.get("variant_bitrate", 0)),
            stream is best,
        )

    return max(container.streams.video, key=rank)


def of_the_same_programme(stream: Stream, video: av.VideoStream) -> bool:
    """Whether this stream belongs to the video, in a transport stream of several programmes."""
    container = video.container
    if len(container.streams.video) < 2 or container.format.name != "mpegts":
        return True
    return container.streams.best("video", related=stream) is video


class Source(os.PathLike[str]):
    """A video or sound file that the user named. `name`: how messages call it; `path`: of this
    machine, "" for pipes, URIs and file objects; `pictures`: paths of numbered ones, else None;
    `file`: a regular file, open, with its `status` then; `head`: its first bytes."""

    def __init__(self, anything: AnySource, is_sound: bool = False) -> None:
        check_source(anything, "sound" if is_sound else "a video")
        self.is_sound = is_sound
        #: The name or file object itself.
        self.origin = anything
        text = as_name(anything)
        name = str(getattr(anything, "name", "input")) if text is None else text
        self.name = "standard input" if name == "-" else name
        self.path, self.head = "", b""
        self.pictures: list[str] | None = None
        self.file: BinaryIO | None = None
        self.status: os.stat_result | None = None
        if text is not None and text != "-" and not is_uri(text):
            self._look_at(local_path(text))

    @classmethod
    def open(cls, anything: AnySource | Source) -> Source:
        """The source itself, or one opened now: afterwards only FFmpeg opens its path again."""
        return anything if isinstance(anything, Source) else cls(anything)

    def __fspath__(self) -> str:
        """The name that the user gave."""
        return os.fsdecode(cast("os.PathLike[str]", self.origin))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, value: object, trace: object) -> None:
        self.close()

    def close(self) -> None:
        if self.file is not None:
            self.file.close()

    @property
    def size(self) -> int | None:
        """Bytes of a regular file now, since recordings grow; None for other sources."""
        return None if self.file is None else os.fstat(self.file.fileno()).st_size

    def has_changed(self) -> bool:
        """Whether another version of the file has its name now."""
        if self.status is None:
            return False
        try:
            status = os.stat(self.path)
        except OSError:
            return True
        before = self.status.st_size, self.status.st_mtime_ns
        return before != (status.st_size, status.st_mtime_ns)

    def claims_more(self) -> bool:
        """Whether a file says that it has more bytes than there are."""
        size = self.size
        return size is not None and file_checks.claims_more(self._file, self.head, size)

    def has_gap(self) -> bool:
        """Whether a part of a Matroska file cannot be read."""
        size = self.size
        return size is not None and file_checks.has_gap(self._file, size)

    def holds_more(self) -> bool:
        """Whether a picture file has pictures after its first."""
        return self.file is not None and file_checks.holds_more(self.file)

    def video_behind(self) -> bool:
        """Whether a picture has a video behind it (a motion photo)."""
        size = self.size
        return size is not None and file_checks.video_behind(self._file, self.head, size)

    @property
    def _file(self) -> BinaryIO:
        assert self.file is not None
        return self.file

    def _look_at(self, path: str) -> None:
        self.path = path
        try:
            status = os.stat(path)
        except FileNotFoundError as error:
            self.pictures = None if self.is_sound else list_named_pictures(path)
            if self.pictures is None:
                raise MissingFileError(self.name) from error
            return
        except (OSError, ValueError):
            return  # FFmpeg says why it cannot be opened
        if stat.S_ISDIR(status.st_mode) and not self.is_sound:
            self.pictures = list_folder_pictures(path)
        elif stat.S_ISREG(status.st_mode):  # a named pipe can be read only once
            try:
                self.file = open(path, "rb")  # noqa: SIM115 (closed with the source)
                self.status = os.fstat(self.file.fileno())
                self.head = self.file.read(_HEAD)
            except OSError as error:
                self.close()
                raise MediaError(f"{self.name}: {reason(error)}") from error


class InputFile:
    """FFmpeg's demuxer on a source that is not a folder. `head`: first bytes; `pipe`: None for a
    file that FFmpeg reads itself; `cut_off`: whether the end is missing, by the sizes that it
    claims."""

    def __init__(self, source: Source) -> None:
        self.source, self._name = source, source.name
        self.pipe: Pipe | None = None
        self.head, self.cut_off = source.head, False
        self._remote: BinaryIO | None = None
        #: The files that a playlist names, and their kind.
        self.files: dict[str, str] = {}
        try:
            self.container = self._open()
        except (av.FFmpegError, OSError, ValueError) as error:
            self.close()
            if isinstance(error, FileNotFoundError) and as_name(source.origin) is not None:
                raise MissingFileError(source.name) from error
            raise MediaError(f"{self._name}: {self.why(error)}") from error
        finally:
            if self.pipe is not None and self.pipe.error is not None:
                raise self.pipe.error
        if missing := self._missing():
            self.close()
            raise MediaError(f"{self._name}: {missing}")

    def close(self) -> None:
        container = getattr(self, "container", None)
        if container is not None:
            container.close()
        if self._remote is not None:
            self._remote.close()

    def _missing(self) -> str:
        """Why nothing here can be decoded; "" if something can."""
        if self.source.is_sound:
            return ""
        if not self.container.streams.video:
            kinds = ", ".join(sorted({stream.type for stream in self.container.streams}))
            return f"holds no video ({kinds} only)" if kinds else "holds no video, nor sound"
        if self.container.format.name in _TEXTS:
            return "is a text, which FFmpeg would draw letter by letter: not a video"
        if any(s.disposition & Disposition.dependent for s in self.container.streams.video):
            return (
                "is a picture in tiles, which is not read: make another of it first "
                "(ffmpeg -i IN.heic OUT.png)"
            )
        if video_of(self.container).codec_context is None:
            return "holds video of a codec that nothing here decodes, or that is protected (DRM)"
        if self.head[:4] == b"RIFF" and self.head[8:16] == b"WEBPVP8X" and self.head[20] & 2:
            return (
                "is an animated WebP, which is not read: make a GIF or APNG of it first "
                "(gif2apng, ImageMagick: magick IN.webp OUT.apng)"
            )
        return ""

    def raise_stopped(self) -> None:
        """Raise the error that ended a pipe: an exception cannot pass through FFmpeg."""
        if self.pipe is not None and self.pipe.error is not None:
            raise self.pipe.error

    def reopen(self) -> InputFile:
        """The same from its beginning; this one is closed."""
        self.close()
        if not isinstance(self.source.origin, str | os.PathLike):
            self.source.origin.seek(0)
        return InputFile(self.source)

    @property
    def seekable(self) -> bool:
        return self.pipe is None or isinstance(self.pipe, SeekablePipe)

    @property
    def size(self) -> int | None:
        """Bytes, None if they are not known: of a pipe those read so far."""
        if self.pipe is not None and not isinstance(self.pipe, SeekablePipe):
            return self.pipe.count
        if self.files:
            return total_size(self.files)
        size = self.container.size
        return size if size and size > 0 else None

    def has_gap(self) -> bool:
        """Whether a part of the file, which FFmpeg skips silently, cannot be read."""
        return self.container.format.name == _MATROSKA and self.source.has_gap()

    def ends_early(self, last: av.Packet, packets: int | None) -> bool:
        """Whether the file ends early; `packets`: how many came, None if some were left out."""
        name, size = self.container.format.name, self.size
        if self.cut_off or (last.is_corrupt and not may_jump(self.container)):
            return True
        if self.pipe is not None and name == _MATROSKA and size is not None:
            return file_checks.claims_more(io.BytesIO(self.head), self.head, size)
        if name.startswith("mov") and packets is not None:
            return len(last.stream.index_entries) > packets
        if name == "mpegts" and size is not None:
            packet = file_checks.transport_packet(self.head)
            return packet > 0 and size % packet > 0
        if name == "yuv4mpegpipe" and size is not None and last.pos is not None:
            begin = self.head.find(b"\n") + 1
            return begin > 0 and last.pos + last.size + begin < size
        return False

    def _open(self) -> av.container.InputContainer:
        origin, path = self.source.origin, self.source.path
        if not isinstance(origin, str | os.PathLike):
            self.pipe = SeekablePipe(origin)
        elif as_name(origin) == "-":
            self.pipe = Pipe(cast(io.BufferedReader, sys.stdin.buffer).read1)
        elif not path:
            self._remote = open_read(self.source.name)
            self.pipe = SeekablePipe(self._remote)
        if self.pipe is not None:
            container = av.open(self.pipe, "r", options=_DEMUXING, **ANY_TEXT)
            self.head = self.pipe.head
            return container
        if self.source.size == 0:
            raise ValueError("the file is empty")
        self.cut_off = self.source.claims_more()
        # As an absolute path a name with a colon is no protocol to FFmpeg, and a picture's name is
        # no pattern.
        options = {"pattern_type": "none", **_DEMUXING}
        self.files = files_of(path) if is_playlist(self.head) else {}
        for key in (name for name, kind in self.files.items() if kind == KEY):
            if not os.path.isfile(key):
                raise ValueError(f"is encrypted, and its key {key} is missing")
            options["allowed_extensions"] = "ALL"
        return av.open(absolute_path(path), "r", options=options, **ANY_TEXT)

    def why(self, error: Exception) -> str:
        """The error before the first frame, in a few words."""
        if self._name.lower().endswith(".yuv"):
            return (
                "raw samples have no format: ffmpeg -f rawvideo -video_size 640x360 "
                "-framerate 25 -pixel_format yuv420p -i IN.yuv -f yuv4mpegpipe - | gvcodec encode -"
            )
        head = self.head or (self.pipe.head if self.pipe is not None else b"")
        if head[_DICOM_AT : _DICOM_AT + 4] == b"DICM":
            return (
                "is DICOM, which is not read: export its frames as numbered pictures first, or its "
                "video as a file (DCMTK, pydicom, 3D Slicer)"
            )
        if isinstance(error, av.FFmpegError) and head[4:8] in file_checks.MP4_BOXES:
            if not self.seekable:
                return (
                    "its index (moov) comes after the pictures, and a pipe cannot go back: "
                    "name the file, or put the index first (ffmpeg -movflags +faststart)"
                )
            if self.cut_off or not isinstance(error, av.OSError):
                return "its index (moov) is missing: the file is cut off"
        return reason(error)


class PictureFiles:
    """Numbered pictures, each opened once. `cut_off`, `with_more`, `with_video`: pictures that
    are incomplete, hold more pictures, or have a video behind them."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = paths
        self.cut_off: dict[str, None] = {}
        self.with_more: dict[str, None] = {}
        self.with_video: dict[str, None] = {}

    def read(self, first: int = 0) -> Iterator[tuple[av.VideoFrame, int]]:
        """Pictures from number `first` on, with their numbers. Raises `MediaError`."""
        for number, path in enumerate(self.paths[first:], first):
            with Source.open(path) as source:
                yield self._read(source), number

    def _read(self, source: Source) -> av.VideoFrame:
        opened = InputFile(source)
        try:
            frame = next(opened.container.decode(video=0), None)
        except (av.FFmpegError, OSError) as error:
            raise MediaError(f"{source.name}: {reason(error)}") from error
        finally:
            opened.close()
        if frame is None:
            raise MediaError(f"{source.name}: not a picture that can be read")
        if opened.cut_off:
            self.cut_off[os.path.basename(source.path)] = None
        if source.holds_more():
            self.with_more[source.path] = None
        if source.video_behind():
            self.with_video[source.path] = None
        return frame


def reason(error: Exception) -> str:
    """The message of FFmpeg or of the system, in a few words."""
    if isinstance(error, av.InvalidDataError | av.EOFError):
        return "not a video that can be read"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
