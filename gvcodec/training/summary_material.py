"""Training material of summaries: patch tokens of clips, coded, cropped and mirrored, and questions
about them.

    python -m gvcodec.training.summary_material CLIPS FOLDER

Every clip is cut to 16:9, scaled to 640 × 360, taken as 25 frames a second and coded at `QUALITIES`
(AV1, preset 10, nothing painted). `NAME.qN.gvc` is the stream, `NAME.npz` holds tokens (frames, 16,
features), fp16, of every `STRIDE`-th frame: `source`, `qN` (decoded), `crops` (3, …: other parts of
the picture, mirrored, brighter or darker, of the coarsest stream), and `asked` (3, 2, …): two
frames between those, as they are, cropped, and mirrored and coded anew; `asked_at` their numbers,
`asked_small` their pictures, `small` (frames, 64, 64, 3) all frames as pictures. What is there is
kept.
"""

from __future__ import annotations

import argparse
import io
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gvcodec.api.frames import decode_planes
from gvcodec.codec.encode_stream import encode_stream
from gvcodec.codec.encoder import Encoder
from gvcodec.config import EncoderConfig
from gvcodec.media.planes import Scaler, crop, frame_from_planes
from gvcodec.media.reader import VideoReader
from gvcodec.retrieval.embedders import SMALL_SIDE, shipped_network
from gvcodec.retrieval.thumbnails import thumbnail
from gvcodec.types import Planes, VideoFormat
from gvcodec.util.messages import say

QUALITIES = (30, 45, 60)
STRIDE, LONGEST = 4, 96
FORMAT = VideoFormat(640, 360, Fraction(25), Fraction(1, 25))
_CROPS = 3
#: The upper 8 of 10 bits.
_EIGHT = np.uint16(0x3FC)
#: Part of each side that a crop keeps at least, gain of its brightness at most.
_LEAST, _GAIN = 0.6, 0.25
#: CRF of x264 for questions that were coded anew.
_CRF = "38"


def frames_of(path: Path) -> list[Planes]:
    """The first frames of a clip in `FORMAT`."""
    with VideoReader(path, frames=LONGEST) as reader:
        scaler: Scaler | None = None
        frames: list[Planes] = []
        for frame in reader:
            planes = _wide(frame.planes)
            if scaler is None:
                height, width = planes[0].shape
                fmt = VideoFormat(
                    width, height, FORMAT.frame_rate, FORMAT.time_base, 8, reader.format.colour
                )
                scaler = Scaler(fmt, (FORMAT.width, FORMAT.height))
            y, u, v = scaler.apply(planes)
            frames.append((y & _EIGHT, u & _EIGHT, v & _EIGHT))
    return frames


def encode(frames: list[Planes], q: float) -> bytes:
    """A stream of these frames."""
    stream = io.BytesIO()
    encode_stream(
        Encoder(FORMAT, EncoderConfig(q=q, preset=10, fit=0, threads=1)),
        stream,
        ((f, None) for f in frames),
    )
    return stream.getvalue()


def _wide(planes: Planes) -> Planes:
    """The middle of a picture with sides of 16 : 9, even ones."""
    height, width = planes[0].shape
    h, w = min(height, width * 9 // 16) // 4 * 4, min(width, height * 16 // 9) // 4 * 4
    return crop(planes, (height - h) // 4 * 2, (width - w) // 4 * 2, h, w)


def mirrored(planes: Planes) -> Planes:
    y, u, v = (plane[:, ::-1] for plane in planes)
    return y, u, v


def _crop(planes: Planes, rng: np.random.Generator, change: bool) -> Planes:
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
    import av

    from gvcodec.media.planes import planes_from_frame

    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = (
        planes[0].shape[1],
        planes[0].shape[0],
        "yuv420p",
    )
    context.time_base, context.options = Fraction(1, 25), {"crf": _CRF, "preset": "veryfast"}
    frame = frame_from_planes(planes, 8)
    packets = [*context.encode(frame), *context.encode(None)]
    decoder = av.CodecContext.create("h264", "r")
    return planes_from_frame(next(f for packet in [*packets, None] for f in decoder.decode(packet)))


def material_of(path: Path, folder: Path, tokens: Any) -> dict[str, NDArray[Any]]:
    """What `NAME.npz` holds; writes the streams."""
    rng = np.random.default_rng(zlib.crc32(path.stem.encode()))
    frames = frames_of(path)

    def pictures(some: list[Planes], side: int = SMALL_SIDE) -> NDArray[np.uint8]:
        return np.stack([thumbnail(planes, FORMAT.colour, side) for planes in some])

    def embedded(some: list[Planes]) -> NDArray[np.float16]:
        return tokens(pictures(some)).numpy().astype(np.float16)

    found: dict[str, NDArray[Any]] = {
        "small": pictures(frames, 64),
        "source": embedded(frames[::STRIDE]),
    }
    decoded: list[Planes] = []
    for q in QUALITIES:
        stream = folder / f"{path.stem}.q{q}.gvc"
        if not stream.is_file():
            stream.write_bytes(encode(frames, q))
        decoded = list(decode_planes(stream.read_bytes(), fidelity=True, threads=1))[::STRIDE]
        found[f"q{q}"] = embedded(decoded)
    found["crops"] = np.stack(
        [embedded([_crop(f, rng, True) for f in decoded]) for _ in range(_CROPS)]
    )
    between = [n for n in range(len(frames)) if n % STRIDE]
    at = np.sort(rng.choice(between, 2, replace=False))
    plain = [frames[n] for n in at]
    asked = [plain, [_crop(f, rng, False) for f in plain]]
    asked.append([recode(mirrored(f)) for f in plain])
    found["asked"] = np.stack([embedded(some) for some in asked])
    found["asked_small"], found["asked_at"] = np.stack([pictures(some) for some in asked]), at
    return found


def main() -> None:
    """Make what is missing."""
    import torch

    from gvcodec.retrieval.features import PatchTokens

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, help="folder of videos")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    tokens = PatchTokens(shipped_network())
    for path in sorted(options.clips.glob("*.mp4")):
        target = options.folder / f"{path.stem}.npz"
        if target.is_file():
            continue
        found = material_of(path, options.folder, tokens)
        partial = target.with_suffix(".part")
        with open(partial, "wb") as file:
            np.savez(file, **found)  # type: ignore[arg-type]
        partial.replace(target)
        sizes = ", ".join(
            str(len((options.folder / f"{path.stem}.q{q}.gvc").read_bytes())) for q in QUALITIES
        )
        say(f"{path.stem}: {len(found['small'])} frames, {sizes} bytes")


if __name__ == "__main__":
    main()
