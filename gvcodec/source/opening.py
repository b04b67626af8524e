"""Opens a source of video: a file, a pipe, a file object, a URI; errors say why it cannot be read.
Raises `MediaError`."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, takewhile
from typing import BinaryIO, cast

import av
from av.stream import Disposition, Stream

from gvcodec.errors import MediaError, MissingFileError, UsageError
from gvcodec.source.boxes import (
    CHECKSUM,
    CLUSTER,
    EBML,
    HEAD_BYTES,
    SEGMENT,
    TRACKS,
    VOID,
    boxes,
    element_head,
)
from gvcodec.source.container_tags import ANY_TEXT
from gvcodec.source.playlist import KEY, files_of
from gvcodec.source.timeline import may_jump
from gvcodec.util.file_io import as_name, check_source
from gvcodec.util.uris import absolute_path, is_uri, local_path, open_read

Source = str | os.PathLike[str] | BinaryIO
#: Bytes of the beginning that are kept.
_HEAD = 256
#: SeekHead, Info, Tracks, Cues, Chapters, Tags, Attachments.
_TABLES = (
    0x114D9B74,
    0x1549A966,
    TRACKS,
    0x1C53BB6B,
    0x1043A770,
    0x1254C367,
    0x1941A469,
)
#: Anywhere in a file.
_ANYWHERE = (VOID, CHECKSUM)
#: Timestamp, SilentTracks, Position, PrevSize, SimpleBlock, BlockGroup, EncryptedBlock.
_IN_CLUSTER = (0xE7, 0x5854, 0xA7, 0xAB, 0xA3, 0xA0, 0xAF)
_INSIDE_OF = (SEGMENT, CLUSTER)
_KNOWN = {EBML, *_INSIDE_OF, *_TABLES, *_ANYWHERE, *_IN_CLUSTER}
#: What a JPEG picture begins and ends with, and the marker of coded samples.
_JPEG, _JPEG_END, _SCAN = b"\xff\xd8\xff", b"\xff\xd9", 0xDA
#: Bytes before the mark of a DICOM file.
_DICOM_AT = 128
#: FFmpeg's name of its demuxer.
_MATROSKA = "matroska,webm"
#: Boxes that an MP4 file begins with, and those without which frames are missing.
_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"styp", b"sidx", b"pnot")
_NEEDED = (b"moov", b"mdat", b"moof")
#: Bytes of a packet of a transport stream, and where in it its mark "G" is: plain, with a time
#: before each (Blu-ray), with parity after each (DVB, ISDB).
_TS_PACKETS = ((188, 0), (192, 4), (204, 0))
_MOST_BOXES = 100_000
#: FFmpeg's demuxers of text art, which take anything by its name (.txt, .nfo).
_TEXTS = ("tty", "bin", "xbin", "adf", "idf")
#: For FFmpeg's demuxers: a transport stream may name more of its tracks later, in another table.
_DEMUXING = {"scan_all_pmts": "1"}
#: Kinds of video that a viewer would not call the video.
_NOT_MEANT = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
#: Codecs of covers and thumbnails, which are films now and then.
_OF_PICTURES = ("mjpeg", "png", "bmp", "webp", "tiff", "gif")


class Pipe:
    """A stream for FFmpeg. An exception ends the input and waits in `stopped`."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self.stopped: BaseException | None = None
        self.head = b""
        #: Bytes read so far.
        self.count = 0

    def read(self, size: int) -> bytes:
        if self.stopped is not None:
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
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 (a store has errors of its own)
            self.stopped = error
            return b""


class SeekablePipe(Pipe):
    """A pipe with places to go to."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream.read)
        self.seek, self.tell = stream.seek, stream.tell


def video_of(container: av.container.InputContainer) -> av.VideoStream:
    """The video that is meant, as players choose it: not a cover, the default one, the one with
    more pictures. Raises `ValueError` where there is none."""
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


class InputFile:
    """`head`: first bytes; `pipe`: None for a file that FFmpeg reads itself; `cut_off`: whether the
    end is missing, by the sizes that the file claims."""

    def __init__(self, source: Source, name: str) -> None:
        self._name, self._source = name, source
        self.pipe: Pipe | None = None
        self.head = b""
        self.cut_off = False
        self._remote: BinaryIO | None = None
        try:
            self.container = self._open(source)
        except (av.FFmpegError, OSError, ValueError) as error:
            self.close()
            if isinstance(error, FileNotFoundError) and isinstance(source, str | os.PathLike):
                raise MissingFileError(source) from error
            raise MediaError(f"{name}: {self.why(error)}") from error
        finally:
            if self.pipe is not None and self.pipe.stopped is not None:
                raise self.pipe.stopped
        if missing := self._missing():
            self.close()
            raise MediaError(f"{name}: {missing}")

    def close(self) -> None:
        container = getattr(self, "container", None)
        if container is not None:
            container.close()
        if self._remote is not None:
            self._remote.close()

    def _missing(self) -> str:
        """Why nothing here can be decoded; "" where something can."""
        if not self.container.streams.video:
            kinds = ", ".join(sorted({stream.type for stream in self.container.streams}))
            return f"holds no video ({kinds or 'nothing'} only)"
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
        """Raise what ended a pipe: an exception cannot pass through FFmpeg."""
        if self.pipe is not None and self.pipe.stopped is not None:
            raise self.pipe.stopped

    def reopen(self) -> InputFile:
        """The same from its beginning; this one is closed."""
        self.close()
        if not isinstance(self._source, str | os.PathLike):
            self._source.seek(0)
        return InputFile(self._source, self._name)

    @property
    def seekable(self) -> bool:
        return self.pipe is None or isinstance(self.pipe, SeekablePipe)

    @property
    def files(self) -> list[str]:
        """The files that a playlist names; of other sources none."""
        path = as_name(self._source)
        is_list = self.container.format.name == "hls" and self.pipe is None
        return list(files_of(path)) if is_list and path is not None else []

    @property
    def size(self) -> int | None:
        """Bytes, None where they are not known: of a pipe those read so far."""
        if self.pipe is not None and not isinstance(self.pipe, SeekablePipe):
            return self.pipe.count
        if files := self.files:
            return sum(os.path.getsize(file) for file in files if os.path.isfile(file))
        size = self.container.size
        return size if size and size > 0 else None

    def has_gap(self) -> bool:
        """Whether a part of the file cannot be read, over which FFmpeg goes without a word."""
        path = as_name(self._source)
        if self.pipe is not None or path is None or self.container.format.name != _MATROSKA:
            return False
        path = local_path(path)
        if not os.path.isfile(path):  # a named pipe was read to its end
            return False
        with open(path, "rb") as file:
            return has_gap(file, os.path.getsize(path))

    def ends_early(self, last: av.Packet, packets: int | None) -> bool:
        """Whether the file ends early; `packets`: how many came, None where some were left out."""
        name, size = self.container.format.name, self.size
        if self.cut_off or (last.is_corrupt and not may_jump(self.container)):
            return True
        if self.pipe is not None and name == _MATROSKA and size is not None:
            return claims_more(io.BytesIO(self.head), self.head, size)
        if name.startswith("mov") and packets is not None:
            return len(last.stream.index_entries) > packets
        if name == "mpegts" and size is not None:
            packet = _transport_packet(self.head)
            return packet > 0 and size % packet > 0
        if name == "yuv4mpegpipe" and size is not None and last.pos is not None:
            begin = self.head.find(b"\n") + 1
            return begin > 0 and last.pos + last.size + begin < size
        return False

    def _open(self, source: Source) -> av.container.InputContainer:
        check_source(source, "a video")
        path = as_name(source)
        if path == "-":
            self.pipe = Pipe(cast(io.BufferedReader, sys.stdin.buffer).read1)
        elif path is None:
            self.pipe = SeekablePipe(source)  # type: ignore[arg-type]
        elif is_uri(path):
            self._remote = open_read(path)
            self.pipe = SeekablePipe(self._remote)
        if self.pipe is not None:
            container = av.open(self.pipe, "r", options=_DEMUXING, **ANY_TEXT)
            self.head = self.pipe.head
            return container
        assert path is not None
        path = local_path(path)
        if os.path.isfile(path):
            if os.path.getsize(path) == 0:
                raise ValueError("the file is empty")
            with open(path, "rb") as file:
                self.head = file.read(_HEAD)
                self.cut_off = claims_more(file, self.head, os.path.getsize(path))
        # As an absolute path a name with a colon is no protocol to FFmpeg, and a picture's name is
        # no pattern.
        options = {"pattern_type": "none", **_DEMUXING}
        for key in (name for name, kind in files_of(path).items() if kind == KEY):
            if not os.path.isfile(key):
                raise ValueError(f"is encrypted, and its key {key} is missing")
            options["allowed_extensions"] = "ALL"
        return av.open(absolute_path(path), "r", options=options, **ANY_TEXT)

    def why(self, error: Exception) -> str:
        """What went wrong before there was a frame, in a few words."""
        if self._name.lower().endswith(".yuv"):
            return (
                "raw samples do not say what they are: ffmpeg -f rawvideo -video_size 640x360 "
                "-framerate 25 -pixel_format yuv420p -i IN.yuv -f yuv4mpegpipe - | gvcodec encode -"
            )
        head = self.head or (self.pipe.head if self.pipe is not None else b"")
        if head[_DICOM_AT : _DICOM_AT + 4] == b"DICM":
            return (
                "is DICOM, which is not read: export its frames as numbered pictures first, or its "
                "video as a file (DCMTK, pydicom, 3D Slicer)"
            )
        if isinstance(error, av.FFmpegError) and head[4:8] in _BOXES:
            if not self.seekable:
                return (
                    "its index (moov) comes after the pictures, and a pipe cannot go back: "
                    "name the file, or put the index first (ffmpeg -movflags +faststart)"
                )
            if self.cut_off or not isinstance(error, av.OSError):
                return "its index (moov) is missing: the file is cut off"
        return reason(error)


def read_pictures(
    paths: Sequence[str], first: int = 0, cut_off: list[str] | None = None
) -> Iterator[tuple[av.VideoFrame, int]]:
    """Pictures from number `first` on. `cut_off` gets the names of incomplete ones."""
    for number, path in enumerate(paths[first:], first):
        opened = InputFile(path, path)
        try:
            frame = next(opened.container.decode(video=0), None)
        except (av.FFmpegError, OSError) as error:
            raise MediaError(f"{path}: {reason(error)}") from error
        finally:
            opened.close()
        if frame is None:
            raise MediaError(f"{path}: not a picture that can be read")
        if opened.cut_off and cut_off is not None:
            cut_off.append(os.path.basename(path))
        yield frame, number


def reason(error: Exception) -> str:
    """The message of FFmpeg or of the system, in a few words."""
    if isinstance(error, av.InvalidDataError | av.EOFError):
        return "not a video that can be read"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def claims_more(file: BinaryIO, head: bytes, size: int) -> bool:
    """Whether a file (MP4, Matroska, RIFF, JPEG) claims to have more than `size` bytes."""
    if head[:3] == _JPEG:
        return not _jpeg_ends(file)
    if head[:4] == b"RIFF":
        return int.from_bytes(head[4:8], "little") + 8 > size + 1
    if head[:4] == EBML.to_bytes(4):
        at = head.find(SEGMENT.to_bytes(4))
        segment = element_head(head[at:]) if at >= 0 else None
        if segment is None:
            return False
        _, begin, length = segment
        return length is not None and at + begin + length > size
    if head[4:8] not in _BOXES:
        return False
    outer = takewhile(lambda box: box[0].isalnum(), boxes(file, 0, size))
    return any(after > size and name in _NEEDED for name, _, after in islice(outer, _MOST_BOXES))


def _transport_packet(head: bytes) -> int:
    """Bytes of a packet of a transport stream, 0 where the first ones do not show it."""
    for size, at in _TS_PACKETS:
        if head[at : at + 1] == head[at + size : at + size + 1] == b"G":
            return size
    return 0


def _jpeg_ends(file: BinaryIO) -> bool:
    """Whether there is a mark of the end after the first scan: a thumbnail has one before it."""
    file.seek(len(_JPEG) - 1)
    while len(head := file.read(4)) == 4 and head[0] == 0xFF and head[1] != _SCAN:
        file.seek(int.from_bytes(head[2:]) - 2, os.SEEK_CUR)
    return _JPEG_END in file.read()


def has_gap(file: BinaryIO, size: int) -> bool:
    """Whether something else stands where an element of a Matroska file (`size` bytes) should
    begin, or the last one ends after it: FFmpeg goes on after a part that it cannot read, and says
    nothing. `file` can seek. Follows the sizes of elements through the segment and its clusters,
    without reading what is in them."""
    at, end = 0, size
    while at < min(end, size):
        file.seek(at)
        element = element_head(file.read(HEAD_BYTES))
        if element is None:
            return True
        kind, head, length = element
        if kind not in _KNOWN:
            return True
        at += head
        if kind not in _INSIDE_OF:
            if length is None:
                return True
            at += length
        elif kind == SEGMENT and length is not None:
            # What comes after it is of no use to anybody.
            end = at + length
    return max(at, end) > size
