"""Training material of summaries: patch tokens of clips, coded, cropped and mirrored, and questions
about them.

    python -m training summary_material CLIPS FOLDER [--photos DIR]

Every clip is cut to 16:9, scaled to 640 × 360, taken as 25 frames a second and coded at `QUALITIES`
(AV1, preset 10, nothing painted). A photo is seen through a moving window, which gives two clips of
the same frames in opposite order. `NAME.qN.gvc`, kept if there, is the stream, `NAME.npz` holds

    source, qN      tokens (frames, 16, features), fp16, of every `STRIDE`-th frame
    crops           (3, …): other parts of the picture, brighter or darker, some mirrored
    asked           (3, 4, 16, features): frames between those, as they are, cropped, and mirrored
                    and coded again; asked_at: their numbers, asked_small: their pictures
    asked_clips     (2, 2, 8, 16, features): clips of `CLIP_FRAMES` frames `CLIP_STEP` apart,
                    cropped, and coded again; clips_at: numbers of their first frames
    small           (frames, 64, 64, 3): all frames as pictures
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from gvcodec.api.decoded_frames import decode_planes
from gvcodec.codec.encode_stream import encode_stream
from gvcodec.codec.encoder import Encoder
from gvcodec.config import EncoderConfig
from gvcodec.models import GUIDE
from gvcodec.planes import Scaler, frame_from_planes, planes_from_frame
from gvcodec.retrieval.embedders import SMALL_SIDE
from gvcodec.retrieval.thumbnails import thumbnail
from gvcodec.source.reader import VideoReader
from gvcodec.types import Colour, Planes, VideoFormat
from gvcodec.util.messages import log_line
from gvcodec.util.options import ExactParser
from training.card import write_arrays
from training.material import crop

QUALITIES = (45, 60)
STRIDE, LONGEST = 4, 128
#: Frames of a clip that is asked for, and how far apart they are.
CLIP_FRAMES, CLIP_STEP = 8, 3
RATE = 25
FORMAT = VideoFormat(640, 360, Fraction(RATE), Fraction(1, RATE))
_ASKED, _ASKED_CLIPS = 4, 2
#: Frames of a moving photo, part of it that is seen.
_PHOTO_FRAMES, _WINDOW = 48, 0.7
#: Clips of a photo by the ends of their names: its frames forwards and backwards.
WAYS = {"there": 1, "back": -1}
#: The upper 8 of 10 bits.
_EIGHT = np.uint16(0x3FC)
#: Part of each side that a crop keeps at least, gain of its brightness at most.
_LEAST, _GAIN = 0.6, 0.25
#: CRF of x264 for questions that were coded again.
_CRF = "38"


def frames_of(path: Path, longest: int = LONGEST) -> list[Planes]:
    with VideoReader(path, frames=longest) as reader:
        wide = [_wide(frame.planes) for frame in reader]
    return [_scaled(planes, reader.format.colour) for planes in wide]


def _scaled(planes: Planes, colour: Colour) -> Planes:
    height, width = planes[0].shape
    fmt = VideoFormat(width, height, FORMAT.frame_rate, FORMAT.time_base, 8, colour)
    y, u, v = Scaler(fmt, (FORMAT.width, FORMAT.height)).apply(planes)
    return y & _EIGHT, u & _EIGHT, v & _EIGHT


def encode(frames: list[Planes], q: float) -> bytes:
    stream, config = io.BytesIO(), EncoderConfig(q=q, preset=10, fit=0, threads=1)
    encode_stream(Encoder(FORMAT, config), stream, ((f, None) for f in frames))
    return stream.getvalue()


def _wide(planes: Planes) -> Planes:
    """The middle of a picture with sides of 16 : 9, even ones."""
    height, width = planes[0].shape
    h, w = min(height, width * 9 // 16) // 4 * 4, min(width, height * 16 // 9) // 4 * 4
    return crop(planes, (height - h) // 4 * 2, (width - w) // 4 * 2, h, w)


def mirrored(planes: Planes) -> Planes:
    y, u, v = (plane[:, ::-1] for plane in planes)
    return y, u, v


def crop_at_random(planes: Planes, rng: np.random.Generator, change: bool) -> Planes:
    """A part of the picture; with `change` it may be mirrored and brighter or darker."""
    height, width = planes[0].shape
    h, w = (int(side * rng.uniform(_LEAST, 0.95)) // 2 * 2 for side in (height, width))
    top, left = (int(rng.integers(0, (room - 1) // 2)) * 2 for room in (height - h, width - w))
    cut = crop(planes, top, left, h, w)
    y, u, v = mirrored(cut) if change and rng.random() < 0.5 else cut
    if change:
        y = np.clip(y * rng.uniform(1 - _GAIN, 1 + _GAIN), 0, 1023).astype(np.uint16)
    return y, u, v


def recode(planes: Planes) -> Planes:
    """The picture after x264 at low quality."""
    context = av.CodecContext.create("libx264", "w")
    (context.height, context.width), context.pix_fmt = planes[0].shape, "yuv420p"
    context.time_base, context.options = Fraction(1, 25), {"crf": _CRF, "preset": "veryfast"}
    packets = [*context.encode(frame_from_planes(planes, 8)), *context.encode(None)]
    decoder = av.CodecContext.create("h264", "r")
    return planes_from_frame(next(f for packet in [*packets, None] for f in decoder.decode(packet)))


def material_of(
    name: str, frames: list[Planes], folder: Path, tokens: Any
) -> dict[str, NDArray[Any]]:
    """The contents of `NAME.npz`; writes the streams."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))

    def pictures(some: list[Planes], side: int = SMALL_SIDE) -> NDArray[np.uint8]:
        return np.stack([thumbnail(planes, FORMAT.colour, side) for planes in some])

    def embedded(some: list[Planes]) -> NDArray[np.float16]:
        return tokens(pictures(some)).astype(np.float16)

    found: dict[str, NDArray[Any]] = {"small": pictures(frames, 64)}
    found["source"] = embedded(frames[::STRIDE])
    decoded: list[Planes] = []
    for q in QUALITIES:
        stream = folder / f"{name}.q{q}.gvc"
        if not stream.is_file():
            stream.write_bytes(encode(frames, q))
        decoded = list(decode_planes(stream.read_bytes(), fidelity=True, threads=1))[::STRIDE]
        found[f"q{q}"] = embedded(decoded)
    forms = frames[::STRIDE], decoded, decoded
    cropped = [embedded([crop_at_random(f, rng, True) for f in some]) for some in forms]
    found["crops"] = np.stack(cropped)
    asked, at, moving, starts = questions_of(frames, rng)
    found["asked"] = np.stack([embedded(some) for some in asked])
    found["asked_small"], found["asked_at"] = np.stack([pictures(some) for some in asked]), at
    found["asked_clips"] = np.stack([[embedded(clip) for clip in same] for same in moving])
    found["clips_at"] = starts
    return found


Questions = tuple[
    list[list[Planes]], NDArray[np.int64], list[list[list[Planes]]], NDArray[np.int64]
]


def questions_of(frames: list[Planes], rng: np.random.Generator) -> Questions:
    """Frames as they are, cropped, and mirrored and coded again, 3 lists of 4, with their numbers;
    clips of `CLIP_FRAMES` frames cropped, and coded again, 2 lists of 2, with those of their first
    frames."""
    at = np.sort(rng.choice([n for n in range(len(frames)) if n % STRIDE], _ASKED, replace=False))
    plain = [frames[n] for n in at]
    asked = [plain, [crop_at_random(f, rng, False) for f in plain]]
    asked.append([recode(mirrored(f)) for f in plain])
    starts = rng.integers(0, len(frames) - (CLIP_FRAMES - 1) * CLIP_STEP, _ASKED_CLIPS)
    clips = [[frames[n + CLIP_STEP * i] for i in range(CLIP_FRAMES)] for n in starts]
    cropped = [_crop_alike(clip, rng) for clip in clips]
    return asked, at, [cropped, [[recode(f) for f in clip] for clip in clips]], starts


def _crop_alike(clip: list[Planes], rng: np.random.Generator) -> list[Planes]:
    """The same part of all pictures."""
    state = rng.bit_generator.state
    cut = []
    for planes in clip:
        rng.bit_generator.state = state
        cut.append(crop_at_random(planes, rng, False))
    return cut


def move_photo(path: Path) -> list[Planes]:
    """A window of a photo that moves straight on and may come nearer, in `FORMAT`."""
    rng = np.random.default_rng(zlib.crc32(path.stem.encode()))
    with VideoReader(path, frames=1) as reader:
        planes, colour = _wide(next(iter(reader)).planes), reader.format.colour
    height, width = planes[0].shape
    part = np.linspace(1, rng.choice([0.7, 0.85, 1.0]), _PHOTO_FRAMES) * _WINDOW
    turn = rng.uniform(0, 2 * np.pi)
    frames: list[Planes] = []
    for n, share in enumerate(part):
        h, w = int(height * share) // 4 * 4, int(width * share) // 4 * 4
        along = 0.9 * (2 * n / (_PHOTO_FRAMES - 1) - 1)
        sides = (height - h, np.sin(turn)), (width - w, np.cos(turn))
        top, left = (round((room / 2) * (1 + along * d)) // 2 * 2 for room, d in sides)
        frames.append(_scaled(crop(planes, top, left, h, w), colour))
    return frames


def main(words: Sequence[str] | None = None) -> None:
    from gvcodec.retrieval.embedders import PatchTokens

    parser = ExactParser(prog="summary_material", description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, help="folder of videos")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=Path, metavar="DIR", help="photos to be moved")
    parser.add_argument("--every", type=int, default=4, help="use every N-th photo (4)")
    parser.add_argument("--part", default="0/1", help="K/N: the K-th of N parts of the work (0/1)")
    options = parser.parse_args(words)
    options.folder.mkdir(parents=True, exist_ok=True)
    tokens = PatchTokens(GUIDE.find())
    clips = [(path.stem, path, 1) for path in sorted(options.clips.glob("*.mp4"))]
    if options.photos:
        photos = sorted(options.photos.glob("*.jpg"))[:: options.every]
        clips += [(f"{p.stem}-{name}", p, way) for p in photos for name, way in WAYS.items()]
    number, parts = map(int, options.part.split("/"))
    for name, path, way in clips[number::parts]:
        target = options.folder / f"{name}.npz"
        if target.is_file():
            continue
        frames = frames_of(path) if path.suffix == ".mp4" else move_photo(path)[::way]
        found = material_of(name, frames, options.folder, tokens)
        write_arrays(target, **found)
        streams = (options.folder / f"{name}.q{q}.gvc" for q in QUALITIES)
        sizes = ", ".join(str(stream.stat().st_size) for stream in streams)
        log_line(f"{name}: {len(found['small'])} frames, {sizes} bytes")
