"""Converts decoded frames to `Planes` of one format, that of the first frame: orientation is
applied, other sizes are scaled, other pixel formats converted."""

import io
import re
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache

import av
from av.sidedata.sidedata import Type

from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.input_options import InputOptions
from gvcodec.planes import (
    CENTRE,
    LEFT,
    PLACES,
    Rotation,
    Scaler,
    is_full_range,
    is_rgb,
    planes_from_frame,
    rgb_matrix,
    rotation_of,
)
from gvcodec.source.side_data import CAPTIONS, LOSSES, STEREO, number_of, side_data
from gvcodec.types import UNSPECIFIED_COLOUR, Colour, Planes, VideoFormat
from gvcodec.util.boxes import SEGMENT, TRACK, TRACKS, VIDEO, bodies, elements

#: Names the data in errors.
_SOURCE = "tracks of a source"
_COLOUR, _MAPPING = 0x55B0, 0x41E4
#: Of chroma samples: 1 at the first luma sample, 2 between two.
_RIGHT, _DOWN = 0x55B7, 0x55B8
#: Samples to crop at the left, top, right and bottom.
_CROPS = (0x54CC, 0x54BB, 0x54DD, 0x54AA)
_INTERLACED = 0x9A
_ADDED_TYPE, _ADDED_DATA, _DOLBY = 0x41E7, 0x41ED, (b"dvcC", b"dvvC", b"dvwC")


@dataclass(frozen=True, slots=True)
class ContainerParams:
    """`crop`: samples at the left, top, right and bottom that are not shown; `dolby_vision`:
    profile and compatibility of the base layer, 0 = none."""

    chroma_location: int = LEFT
    crop: tuple[int, int, int, int] = (0, 0, 0, 0)
    dolby_vision: tuple[int, int] | None = None
    is_interlaced: bool = False


def read_stored(stream: av.VideoStream) -> ContainerParams:
    """Fields of a stream that PyAV does not show, from the head of a Matroska file (RFC 9559) that
    FFmpeg makes of it; defaults if its codec does not fit into Matroska."""
    memory = io.BytesIO()
    try:
        with av.open(memory, "w", format="matroska", options={"strict": "-2"}) as output:
            output.add_stream_from_template(stream, opaque=True)
            output.start_encoding()
        return _read(memory.getvalue())
    except (av.FFmpegError, ValueError, KeyError, DamagedStreamError):
        return ContainerParams()


def _read(head: bytes) -> ContainerParams:
    fields: dict[int, bytes] = {}
    for part in bodies(head, _SOURCE, SEGMENT, TRACKS, TRACK, VIDEO):
        fields |= dict(elements(part, _SOURCE))
    fields |= dict(elements(fields.get(_COLOUR, b""), _SOURCE))
    numbers = {name: int.from_bytes(body) for name, body in fields.items()}
    place = ((numbers.get(_RIGHT, 0) - 1) / 2, (numbers.get(_DOWN, 0) - 1) / 2)
    location = next((code for code, offset in PLACES.items() if offset == place), LEFT)
    left, top, right, bottom = (numbers.get(name, 0) for name in _CROPS)
    mappings = bodies(head, _SOURCE, SEGMENT, TRACKS, TRACK, _MAPPING)
    added = [dict(elements(part, _SOURCE)) for part in mappings]
    data = [a.get(_ADDED_DATA, b"") for a in added if a.get(_ADDED_TYPE) in _DOLBY]
    dolby = next(((box[2] >> 1, box[4] >> 4) for box in data if len(box) >= 5), None)
    return ContainerParams(
        location, (left, top, right, bottom), dolby, numbers.get(_INTERLACED) == 1
    )


_Y4M_LOCATIONS = {b"jpeg": CENTRE, b"mpeg2": LEFT, b"paldv": 2}
#: Codecs of independent frames: properties of one do not hold for the next.
_PICTURES = ("mjpeg", "png", "webp", "tiff", "bmp")
_MATRIX = number_of(Type.DISPLAYMATRIX)
#: FFmpeg's numbers of limited and full range.
_RANGES = {False: 1, True: 2}
#: Formats whose names say their range, which is another one after conversion.
_FULL_RANGE_NAMES = {
    "yuvj420p": "yuv420p",
    "yuvj422p": "yuv422p",
    "yuvj444p": "yuv444p",
    "yuvj440p": "yuv440p",
}


class Conversion:
    """`format`: of the video; `notes`: changes and losses, a line each, complete at the end."""

    def __init__(
        self,
        first: av.VideoFrame,
        stream: av.VideoStream,
        location: int,
        params: ContainerParams,
        rate: Fraction,
        tick: Fraction,
        input_options: InputOptions,
    ) -> None:
        self.notes: list[str] = []
        self._stream = stream
        self._single = stream.codec_context.name in _PICTURES
        self._first = first
        self._shape = stream.codec_context.sample_aspect_ratio
        #: Full range and matrix since the last keyframe, and those of the first frame.
        self._colours: tuple[bool, int] | None = None
        self._first_colours = (False, UNSPECIFIED_COLOUR)
        self._recoloured = False
        self._turn = (0, False)
        self._rotation_of, self._scaler = cache(self._make_rotation), cache(self._make_scaler)
        self._location = location
        left, top, right, bottom = self._crop = params.crop
        if left + right >= first.width or top + bottom >= first.height:
            self._crop = (0, 0, 0, 0)
        if any(self._crop):
            width, height = self._size_of(first)
            self.notes.append(f"cropped to {width}×{height} as the file asks")
        if params.dolby_vision is not None and not params.dolby_vision[1]:
            self.notes.append(
                f"Dolby Vision profile {params.dolby_vision[0]} has no base layer of ordinary "
                "colours: without its metadata they come out wrong"
            )
        self._size: tuple[int, int] | None = None
        self._resized: tuple[int, int, int] | None = None
        self._count = 0
        self._orient(side_data(first).get(_MATRIX))
        turn, mirrored = self._turn
        if turn or mirrored:
            how = f"rotated by {turn}°" if turn else "mirrored"
            if turn and mirrored:
                how += " and mirrored"
            self.notes.append(f"{how} as the file asks")
        if first.interlaced_frame and not input_options.deinterlace:
            self.notes.append(
                "interlaced video is coded as progressive frames (--deinterlace removes the combs)"
            )
        self.format = self._format_of(first, stream, rate, tick)
        self.format = replace(self.format, colour=self._choose_colour(first, input_options))
        self._first_size = self.format.width, self.format.height
        if input_options.scale is not None:
            self.format = Scaler(self.format, input_options.scale).format
            self.notes.append("scaled from {}×{}".format(*self._first_size))
        tags = {name.lower(): text for name, text in stream.metadata.items()}
        if tags.get("alpha_mode") == "1":
            self._lose("alpha")
        if tags.get("stereo_mode", "mono") != "mono":
            self._lose(LOSSES[STEREO])

    def apply(self, frame: av.VideoFrame) -> tuple[Planes, bool, bytes]:
        """The next frame, whether it has another size than the previous one, and its captions."""
        side = side_data(frame)
        if any(component.is_alpha for component in frame.format.components):
            self._lose("alpha")
        for kind in side:
            if kind in LOSSES:
                self._lose(LOSSES[kind])
        if _MATRIX in side or self._single:
            self._orient(side.get(_MATRIX))
        if is_rgb(frame) != is_rgb(self._first):
            # A folder of pictures may have both, and they have another range.
            frame = frame.reformat(format="rgb24" if is_rgb(self._first) else "gray", threads=1)
        frame = self._in_first_colours(frame)
        self._watch_shape()
        planes = self._rotation(frame).apply(self._cropped(frame, planes_from_frame(frame)))
        height, width = planes[0].shape
        changed = self._size is not None and self._size != (width, height)
        self._size = width, height
        if (width, height) != (self.format.width, self.format.height):
            planes = self._scaler(width, height).apply(planes)
            if self._resized is None and self._size != self._first_size:
                self._resized = self._count, width, height
                self.notes.append(
                    f"frames have another size from frame {self._count} on ({width}×{height}), "
                    f"they are scaled to {self.format.width}×{self.format.height}"
                )
        self._count += 1
        return planes, changed, side.get(CAPTIONS, b"")

    def _in_first_colours(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame with the range and the matrix of the first one."""
        if self._single or is_rgb(frame):
            return frame
        if self._colours is None:
            self._colours = self._first_colours = is_full_range(frame), int(frame.colorspace)
        elif frame.key_frame:
            # Frames that the decoder held back may get the tags of later frames.
            self._colours = is_full_range(frame), int(frame.colorspace)
        (full, matrix), (first_full, first_matrix) = self._colours, self._first_colours
        if UNSPECIFIED_COLOUR in (matrix, first_matrix):
            matrix = first_matrix
        if (full, matrix) == (first_full, first_matrix):
            return frame
        if not self._recoloured:
            self._recoloured = True
            self.notes.append(
                f"range or matrix of the colours changes from frame {self._count} on: they are "
                "converted to those of the first frame"
            )
        return frame.reformat(
            format=_FULL_RANGE_NAMES.get(frame.format.name, frame.format.name),
            src_colorspace=matrix,
            dst_colorspace=first_matrix,
            src_color_range=_RANGES[full],
            dst_color_range=_RANGES[first_full],
            threads=1,
        )

    def _watch_shape(self) -> None:
        """Say where the samples have another aspect ratio, of which a stream has one."""
        shape = self._stream.codec_context.sample_aspect_ratio
        if shape != self._shape and not self._single:
            self._note(
                f"the sample aspect ratio changes about frame {self._count} ({self._shape or 1} to "
                f"{shape or 1}), that of the first frame stays"
            )
            self._shape = shape

    def _size_of(self, frame: av.VideoFrame) -> tuple[int, int]:
        """Width and height after cropping, for frames of the first one's size."""
        left, top, right, bottom = self._crop
        if (frame.width, frame.height) != (self._first.width, self._first.height):
            return frame.width, frame.height
        return frame.width - left - right, frame.height - top - bottom

    def _cropped(self, frame: av.VideoFrame, planes: Planes) -> Planes:
        width, height = self._size_of(frame)
        if (width, height) == (frame.width, frame.height):
            return planes
        (y, *chroma), (left, top) = planes, self._crop[:2]
        y = y[top : top + height, left : left + width]
        high, wide, across, down = (height + 1) // 2, (width + 1) // 2, left // 2, top // 2
        u, v = (plane[down : down + high, across : across + wide] for plane in chroma)
        return y, u, v

    def _orient(self, matrix: bytes | None) -> None:
        turn = (0, False) if matrix is None else rotation_of(matrix)
        if turn is not None:
            self._turn = turn
            return
        self._note("the display matrix is none of the eight orientations and is not applied")

    def _lose(self, what: str) -> None:
        self._note(f"{what} left out")

    def _note(self, line: str) -> None:
        """Say each line once."""
        if line not in self.notes:
            self.notes.append(line)

    def _rotation(self, frame: av.VideoFrame) -> Rotation:
        return self._rotation_of(self._size_of(frame), *self._turn)

    def _make_rotation(self, size: tuple[int, int], turn: int, is_mirrored: bool) -> Rotation:
        return Rotation(turn, *size, self._location, is_mirrored)

    def _make_scaler(self, width: int, height: int) -> Scaler:
        fmt = replace(self.format, width=width, height=height)
        return Scaler(fmt, (self.format.width, self.format.height))

    def _format_of(
        self, frame: av.VideoFrame, stream: av.VideoStream, rate: Fraction, tick: Fraction
    ) -> VideoFormat:
        width, height = self._size_of(frame)
        sar = Fraction(stream.sample_aspect_ratio or 1)
        rotation = self._rotation(frame)
        if rotation.swaps:
            width, height = height, width
            sar = 1 / sar
        depth = max(component.bits for component in frame.format.components)
        full = is_full_range(frame)
        matrix = int(frame.colorspace)
        if is_rgb(frame):
            full, matrix = False, rgb_matrix(frame.height)
            self.notes.append(
                f"RGB is converted to BT.{709 if matrix == 1 else 601} 4:2:0, limited range"
            )
        elif "420" not in frame.format.name and frame.format.name not in ("nv12", "p010le"):
            self.notes.append(f"{frame.format.name} is converted to 4:2:0")
        if depth > 10:
            self.notes.append(f"{depth} bits a sample are reduced to 10")
        colour = Colour(
            int(frame.color_primaries), int(frame.color_trc), matrix, full, rotation.location
        )
        return VideoFormat(width, height, rate, tick, 8 if depth <= 8 else 10, colour, sar)

    def _choose_colour(self, frame: av.VideoFrame, input_options: InputOptions) -> Colour:
        options = (input_options.matrix, input_options.full_range)
        if is_rgb(frame) and options != (None, None):
            raise UsageError(
                "--color-matrix and --color-range are for YCbCr, the input is RGB and is converted"
            )
        stated = self.format.colour
        colour = input_options.complete_colour(stated)
        for name in ("primaries", "transfer", "matrix"):
            before, after = getattr(stated, name), getattr(colour, name)
            if before not in (2, after):
                self.notes.append(f"the file says {name} {before} (H.273), {after} was asked for")
        return colour


def location_of(
    stream: av.VideoStream, frame: av.VideoFrame, stored_location: int, y4m: bytes | None
) -> int:
    """Chroma siting of `Planes`: the centre for JPEG and for full chroma after swscale, else as
    the container (`stored_location`) or the head of a `y4m` file says."""
    if stream.codec_context.name == "mjpeg" or is_rgb(frame) or frame.format.chroma_width(2) == 2:
        return CENTRE
    if y4m is None:
        return stored_location
    kind = re.search(rb" C420(\w+)", y4m)
    return _Y4M_LOCATIONS.get(kind[1], LEFT) if kind else CENTRE
