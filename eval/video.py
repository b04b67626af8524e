"""Source clips and decoded videos as raw planar files.

A clip is prepared once: its first frames go into `NAME.yuv` (planar 4:2:0, 8 bit or 10 bit little
endian, the reference of every metric) and, losslessly, into `NAME.mkv` (FFV1 with colour tags, the
input of every encoder).
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.colour import MATRICES, Picture, Planes, stretch_chroma, to_rgb
from eval.tools import EvalError, digest, ffmpeg, read_json, run_command, write_json
from gvcodec.source.opening import video_of

#: BT.470BG and SMPTE 170M share their coefficients.
_SAME_MATRIX = {5: 6}
#: Matrices of H.273 by swscale's numbers, and its ranges.
_SWSCALE = {1: 1, 6: 5}
_LIMITED, _FULL = 1, 2
#: FFmpeg's names of 4:2:0 by bits a sample.
LAYOUTS = {8: "yuv420p", 10: "yuv420p10le"}


def sample_type(depth: int) -> np.dtype[Any]:
    """Data type of samples of `depth` bits in files."""
    return np.dtype("u1" if depth == 8 else "<u2")


@dataclass(frozen=True)
class RawVideo:
    """A planar 4:2:0 file: `frames` frames of Y (H, W), U and V (⌈H/2⌉, ⌈W/2⌉) without gaps, 8 bit
    or 16-bit words."""

    path: Path
    width: int
    height: int
    frames: int
    depth: int = 8

    @property
    def plane_shapes(self) -> tuple[tuple[int, int], ...]:
        chroma = ((self.height + 1) // 2, (self.width + 1) // 2)
        return (self.height, self.width), chroma, chroma

    @property
    def frame_samples(self) -> int:
        return sum(h * w for h, w in self.plane_shapes)

    def planes(self, index: int) -> Planes:
        count, dtype = self.frame_samples, sample_type(self.depth)
        data = np.fromfile(self.path, dtype, count, offset=index * count * dtype.itemsize)
        if data.size != count:
            raise EvalError(f"{self.path.name}: frame {index} is cut off")
        return self.split(data)

    def split(self, samples: NDArray[Any]) -> Planes:
        """The planes of the samples of a frame."""
        parts = np.split(samples, np.cumsum([h * w for h, w in self.plane_shapes])[:-1])
        y, u, v = (p.reshape(shape) for p, shape in zip(parts, self.plane_shapes, strict=True))
        return y, u, v

    def as_input(self, *options: str) -> list[str]:
        """Words by which ffmpeg reads the file, `options` before its name."""
        words = f"-f rawvideo -pix_fmt {LAYOUTS[self.depth]} -s {self.width}x{self.height}".split()
        return [*words, *options, "-i", str(self.path.absolute())]

    def __iter__(self) -> Iterator[Planes]:
        return (self.planes(i) for i in range(self.frames))


@dataclass(frozen=True)
class Clip:
    """A prepared source: its raw samples, the lossless file for encoders and facts about
    it. `rgb_by`: how planes become RGB for metrics, "clip" = by its own matrix and range, "dcvc" =
    always by BT.709 in full range, as DCVC's scripts do. `pictures`: PNGs that are
    the reference of metrics in RGB, instead of the samples that were made of them."""

    name: str
    raw: RawVideo
    file: Path
    fps: Fraction
    matrix: int
    full_range: bool
    sha256: str
    set_name: str = ""
    stand_in: bool = False
    rgb_by: str = "clip"
    pictures: tuple[Path, ...] = ()

    @property
    def identity(self) -> str:
        """A video to measure: samples and their conversion to RGB."""
        return self.sha256 if self.rgb_by == "clip" else f"{self.sha256}-{self.rgb_by}"

    @property
    def pixels(self) -> int:
        """Luma samples of the whole clip, the divisor of bpp."""
        return self.raw.frames * self.raw.width * self.raw.height

    def rgb(self, planes: Planes) -> Picture:
        """(3, H, W) float32 in [0, 1] of planes in this clip's format."""
        if self.rgb_by == "dcvc":
            return to_rgb(planes, 1, True, self.raw.depth, stretch_chroma)
        return to_rgb(planes, self.matrix, self.full_range, self.raw.depth)

    def reference(self, index: int) -> Picture:
        """A frame of the source as (3, H, W) float32 in [0, 1]."""
        if not self.pictures:
            return self.rgb(self.raw.planes(index))
        from PIL import Image

        with Image.open(self.pictures[index]) as picture:
            samples = np.asarray(picture.convert("RGB"), np.float32)
        return np.ascontiguousarray(samples.transpose(2, 0, 1)) / 255

    def describe(self) -> dict[str, Any]:
        """The source's entry in a run's JSON."""
        return {
            "name": self.name,
            "set": self.set_name,
            "stand_in": self.stand_in,
            "width": self.raw.width,
            "height": self.raw.height,
            "frames": self.raw.frames,
            "depth": self.raw.depth,
            "fps": str(self.fps),
            "matrix": MATRICES[self.matrix][0],
            "full_range": self.full_range,
            "sha256": self.sha256,
            "rgb": "its own PNGs" if self.pictures else self.rgb_by,
        }


@dataclass(frozen=True)
class Frames:
    """Frames in memory or being read: samples as they stand, plus format. `matrix` 2 = not
    stated."""

    planes: Iterator[Planes]
    width: int
    height: int
    fps: Fraction
    depth: int = 8
    matrix: int = 2
    full_range: bool = False


def open_video(path: Path, convert: bool = True, most: int = 0) -> Frames:
    """Frames of anything PyAV reads; 4:2:0 with 8 or 10 bits is taken as it is, the rest is
    converted to 4:2:0, or refused where `convert` is False. Pictures of more than `most` luma
    samples are made smaller by area (0 = none). Raises EvalError."""
    import av

    try:
        container = av.open(str(path))
        stream = video_of(container)
    except (av.error.FFmpegError, ValueError, OSError):
        raise EvalError(f"{path}: cannot be read as a video") from None
    context = stream.codec_context
    depth = 10 if context.format.components[0].bits > 8 else 8
    layouts = {8: ("yuv420p", "yuvj420p"), 10: ("yuv420p10le",)}[depth]
    if not convert and context.format.name not in layouts:
        raise EvalError(f"{path}: {context.format.name} instead of 4:2:0")
    width, height = context.width, context.height
    if 0 < most < width * height:
        factor = (most / (width * height)) ** 0.5
        width, height = (max(2, 2 * round(side * factor / 2)) for side in (width, height))

    rgb = context.format.is_rgb or context.format.has_palette
    full = not rgb and (int(context.color_range) == _FULL or context.format.name.startswith("yuvj"))
    assumed = _assumed_matrix(context.width, context.height) if rgb else None

    def planes() -> Iterator[Planes]:
        with container:
            try:
                for frame in container.decode(stream):
                    same = (frame.width, frame.height) == (width, height)
                    if not same or frame.format.name not in layouts:
                        how = {} if same else {"interpolation": "AREA"}
                        how |= _colours(full, assumed)
                        frame = frame.reformat(width, height, layouts[0], **how)
                    yield frame_planes(frame, depth)
            except av.error.FFmpegError as error:
                raise EvalError(f"{path}: damaged: {error}") from None

    return Frames(
        planes(),
        width,
        height,
        Fraction(stream.average_rate or 25),
        depth,
        int(context.colorspace) if assumed is None else assumed,
        full,
    )


def _colours(full: bool, matrix: int | None) -> dict[str, Any]:
    """How a frame is converted to 4:2:0: RGB by this matrix, as players assume it, to limited
    range; other frames keep their matrix and range."""
    if matrix is not None:
        return {"dst_colorspace": _SWSCALE[matrix], "dst_color_range": _LIMITED}
    span, same = _FULL if full else _LIMITED, _SWSCALE[6]
    return {
        "src_colorspace": same,
        "dst_colorspace": same,
        "src_color_range": span,
        "dst_color_range": span,
    }


def frame_planes(frame: Any, depth: int) -> Planes:
    """The planes of a PyAV frame as samples of `depth` bits."""
    dtype = sample_type(depth)
    result = []
    for plane in frame.planes:
        rows = np.frombuffer(plane, dtype).reshape(plane.height, plane.line_size // dtype.itemsize)
        result.append(rows[:, : plane.width].copy())
    return result[0], result[1], result[2]


def open_raw(path: Path, width: int, height: int, fps: Fraction, depth: int) -> Frames:
    """Frames of a headerless planar 4:2:0 file. Raises EvalError when its size is not a number of
    whole frames."""
    frame_bytes = RawVideo(path, width, height, 0, depth).frame_samples * (1 if depth == 8 else 2)
    count, rest = divmod(path.stat().st_size, frame_bytes)
    if rest or not count:
        raise EvalError(
            f"{path}: {path.stat().st_size} bytes are no whole {width}x{height} {depth}-bit 4:2:0 "
            f"frames"
        )
    return Frames(iter(RawVideo(path, width, height, count, depth)), width, height, fps, depth)


def open_pngs(paths: Sequence[Path], fps: Fraction) -> Frames:
    """Frames of pictures of 8 bits and one size, each as `open_video` reads it. Raises
    EvalError."""
    first = open_video(paths[0])

    def planes() -> Iterator[Planes]:
        for path in paths:
            picture = open_video(path)
            if picture.depth > 8:
                raise EvalError(f"{path}: more than 8 bits a sample")
            if (picture.width, picture.height) != (first.width, first.height):
                size = f"{picture.width}x{picture.height}"
                raise EvalError(f"{path}: {size} instead of {first.width}x{first.height}")
            yield from picture.planes

    return replace(first, planes=planes(), fps=fps)


@dataclass(frozen=True)
class Part:
    """Frames of a source that a clip has: one in `step` from the first, `count` of them (0 = all),
    shown at `rate` a second (None = the source's)."""

    count: int = 0
    step: int = 1
    rate: Fraction | None = None

    @property
    def identity(self) -> Any:
        if self.step == 1 and self.rate is None:
            return self.count
        return [self.count, self.step, str(self.rate)]

    def of(self, frames: Frames) -> Frames:
        stop = self.step * self.count or None
        planes = itertools.islice(frames.planes, 0, stop, self.step)
        return replace(frames, planes=planes, fps=self.rate or frames.fps)


def prepare(
    name: str, identity: Any, open_frames: Any, part: Part | int, folder: Path, **marks: Any
) -> Clip:
    """Writes a part of `open_frames()` (a number: the first frames, 0 = all) into `folder` once;
    `identity` identifies the source (path, size, date). `marks` are Clip's
    set_name, stand_in and pictures."""
    part = Part(part) if isinstance(part, int) else part
    stem = f"{name}-{digest([identity, part.identity])}"
    meta_path = folder / f"{stem}.json"
    meta = read_json(meta_path)
    if meta is None:
        meta = _write_clip(part.of(open_frames()), folder / stem, name)
        write_json(meta_path, meta)
    raw = RawVideo(
        folder / f"{stem}.yuv", *(meta[k] for k in ("width", "height", "frames", "depth"))
    )
    keys = {"matrix": meta["matrix"], "full_range": meta["full_range"], "sha256": meta["sha256"]}
    return Clip(name, raw, folder / f"{stem}.mkv", Fraction(meta["fps"]), **keys, **marks)


def _write_clip(frames: Frames, stem: Path, name: str) -> dict[str, Any]:
    stem.parent.mkdir(parents=True, exist_ok=True)
    raw_path, written, sha = stem.with_name(stem.name + ".yuv"), 0, hashlib.sha256()
    dtype = sample_type(frames.depth)
    with open(raw_path, "wb") as out:
        for planes in frames.planes:
            for plane in planes:
                data = plane.astype(dtype, copy=False).tobytes()
                sha.update(data)
                out.write(data)
            written += 1
    if not written:
        raise EvalError(f"{name}: holds no frame")
    meta = asdict(RawVideo(Path(), frames.width, frames.height, written, frames.depth)) | {
        "fps": str(frames.fps),
        "matrix": known_matrix(frames),
        "full_range": frames.full_range,
    }
    del meta["path"]
    sha.update(repr(sorted(meta.items())).encode())
    meta["sha256"] = sha.hexdigest()
    _write_lossless(raw_path, meta, stem.with_name(stem.name + ".mkv"))
    return meta


def known_matrix(frames: Frames) -> int:
    """The stated matrix, or the matrix that players assume."""
    matrix = _SAME_MATRIX.get(frames.matrix, frames.matrix)
    return matrix if matrix in MATRICES else _assumed_matrix(frames.width, frames.height)


def _assumed_matrix(width: int, height: int) -> int:
    return 1 if height >= 720 or width >= 1280 else 6


def _write_lossless(raw: Path, meta: dict[str, Any], out: Path) -> None:
    spread = "pc" if meta["full_range"] else "tv"
    tags = f"-color_range {spread} -colorspace {MATRICES[meta['matrix']][0]}".split()
    video = RawVideo(raw, meta["width"], meta["height"], meta["frames"], meta["depth"])
    source = [*video.as_input("-r", meta["fps"], *tags), "-c:v", "ffv1", "-level", "3", "-g", "1"]
    run_command([ffmpeg(), "-v", "error", "-y", *source, *tags, str(out)])


def decode_raw(decoded: Path, clip: Clip, out: Path) -> RawVideo:
    """A decoder's .y4m as a raw file of the clip's bit depth. Raises EvalError when it is not 4:2:0
    or when size or number of frames is not the clip's."""
    frames = open_video(decoded, convert=False)
    if (frames.width, frames.height) != (clip.raw.width, clip.raw.height):
        got = f"{frames.width}x{frames.height}"
        raise EvalError(f"decoder gave {got} instead of {clip.raw.width}x{clip.raw.height}")
    return raw_of(frames.planes, frames.depth, clip, out)


def raw_of(frames: Iterable[Planes], depth: int, clip: Clip, out: Path) -> RawVideo:
    """Writes frames of `depth` bits at the clip's bit depth: rounded to nearest, no dither. Raises
    EvalError when there are not as many as in the clip."""
    count = 0
    with open(out, "wb") as file:
        for planes in frames:
            count += 1
            for plane in planes:
                if depth > clip.raw.depth:
                    plane = np.minimum((plane.astype(np.uint16) + 2) >> 2, 255).astype(np.uint8)
                elif depth < clip.raw.depth:
                    plane = plane.astype("<u2") << 2
                file.write(plane.tobytes())
    if count != clip.raw.frames:
        raise EvalError(f"decoder gave {count} frames instead of {clip.raw.frames}")
    return replace(clip.raw, path=out)
