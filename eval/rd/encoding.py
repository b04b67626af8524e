"""Encodes, kept by the hash of source and command, and decodes in a process of their own."""

from __future__ import annotations

import io
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
from av.video.frame import PictureType

from eval.codecs import ENDLESS, Codec, ours
from eval.tools import EvalError, digest, read_json, run_command, write_json
from eval.video import Clip, RawVideo, decode_raw


@dataclass(frozen=True)
class Encoded:
    """A written stream: its size is the rate. `frame_bytes` are in coding order, empty where not
    known."""

    stream: Path
    size: int
    seconds: float
    command: str
    frame_bytes: list[int]

    def bpp(self, clip: Clip) -> float:
        return 8 * self.size / clip.pixels


def encode(codec: Codec, clip: Clip, q: int, folder: Path, searching: bool = False) -> Encoded:
    """The stream of `clip` at `q`, from `folder` when it is there already. Raises EvalError, also
    for a stream of a standard with more intra frames than the conditions allow."""
    template = codec.quicker if searching and codec.quicker else codec.encode
    stem = f"{clip.name}-{codec.name}-{q}-{digest([clip.sha256, codec.identity(template)])}"
    stream, record = folder / f"{stem}.{codec.extension}", folder / f"{stem}.json"
    result = read_json(record)
    if result is None or not stream.is_file() or stream.stat().st_size != result["size"]:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = stream.with_name(f"tmp{os.getpid()}-{stream.name}")
        try:
            seconds, _ = run_command(codec.command(template, clip, q=q, stream=temporary))
            if not temporary.is_file() or not temporary.stat().st_size:
                raise EvalError(f"{codec.name}: wrote no stream")
            _check_intra(codec, temporary)
            temporary.replace(stream)
        finally:
            temporary.unlink(missing_ok=True)
        result = {
            "size": stream.stat().st_size,
            "seconds": round(seconds, 3),
            "frame_bytes": _frames(codec, stream),
        }
        write_json(record, result)
    words = codec.command(template, clip, q=q, stream=stream)
    command_line = shlex.join(Path(w).name if w.startswith("/") else w for w in words)
    return Encoded(stream, result["size"], result["seconds"], command_line, result["frame_bytes"])


def decode(
    codec: Codec, output: str, encoded: Encoded, clip: Clip, folder: Path
) -> tuple[RawVideo, float]:
    """Decodes into `folder` by a separate process; (samples at the clip's bit depth, wall seconds).
    Raises EvalError when it fails or gives another size or number of frames."""
    y4m, raw = folder / "decoded.y4m", folder / "decoded.yuv"
    y4m.unlink(missing_ok=True)
    command = codec.command(codec.outputs[output], clip, stream=encoded.stream, output=y4m)
    seconds, _ = run_command(command)
    if not y4m.is_file():
        raise EvalError(f"{codec.name}: decoder wrote nothing")
    video = decode_raw(y4m, clip, raw)
    y4m.unlink()
    return video, seconds


def intra_frames(data: bytes, form: str) -> list[int]:
    """Numbers of the intra pictures of a stream in `form` ("h264", "hevc", "vvc" or "obu"), as they
    are shown; of H.266, whose decoder names the types of other pictures, in coding order and as its
    packets are marked. Raises EvalError for a stream without any picture."""
    try:
        with av.open(io.BytesIO(data), format=form) as container:
            if form == "vvc":
                packets = (packet for packet in container.demux(video=0) if packet.size)
                kinds = [packet.is_keyframe for packet in packets]
            else:
                kinds = [f.pict_type == PictureType.I for f in container.decode(video=0)]
    except (av.error.FFmpegError, IndexError):
        kinds = []
    if not kinds:
        raise EvalError(f"no picture in a stream of {form}")
    return [number for number, intra in enumerate(kinds) if intra]


def _check_intra(codec: Codec, stream: Path) -> None:
    """Where only the first frame is to be intra, a second one costs its codec bytes that the others
    do not pay."""
    if codec.elementary is None or codec.keyint != ENDLESS:
        return
    intra = intra_frames(stream.read_bytes(), codec.elementary)
    if intra != [0]:
        listed = ", ".join(map(str, intra[:8])) + " …" * (len(intra) > 8)
        raise EvalError(
            f"{codec.name}: intra frames {listed or 'none'} (coding order) instead of only the "
            f"first"
        )


def _frames(codec: Codec, stream: Path) -> list[int]:
    if codec.family == "gvcodec":
        return ours.frame_bytes(stream)
    if codec.elementary is None:
        return []
    with av.open(str(stream), format=codec.elementary) as container:
        return [packet.size for packet in container.demux(video=0) if packet.size]


def describe(codec: Codec, output: str) -> dict[str, Any]:
    """The codec's entry in a run's JSON."""
    return {
        "name": codec.row(output),
        "label": codec.row_label(output),
        "family": codec.family,
        "output": output,
        "delay": codec.delay,
        "keyint": codec.keyint,
        "version": codec.version,
        **({"notes": dict(codec.notes)} if codec.notes else {}),
        **({"part_of": codec.part_of} if codec.part_of else {}),
    }
