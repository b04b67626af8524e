"""Compares frames and times of encodes in chunks, resumed, and from a start time with those of a
whole encode, for every container that FFmpeg writes here, and writes docs/data/chunks.csv.

    python scripts/chunks.py [--seconds 300] [MUXER …]

Containers with a row are skipped unless they are named. Pictures carry their number in bars, so
that a wrong one shows."""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

import gvcodec
from gvcodec.batch import tasks
from gvcodec.bitstream import Reader
from gvcodec.codec.decoder import Decoder

FRAMES, WIDTH, HEIGHT, KEYS = 60, 160, 96, 12
#: Codecs to try in a container, in this order.
CODECS = (
    ("libx264", {"bf": "2"}),
    ("mpeg4", {"bf": "2"}),
    ("mpeg2video", {"bf": "2"}),
    ("libvpx", {}),
    ("libsvtav1", {"preset": "10"}),
    ("mpeg1video", {}),
    ("h263p", {}),
    ("flv", {}),
    ("ffv1", {}),
    ("dvvideo", {}),
    ("rawvideo", {}),
    ("gif", {}),
    ("apng", {}),
    ("wrapped_avframe", {}),
    ("libx265", {"x265-params": "log-level=none"}),
    ("mjpeg", {"strict": "unofficial"}),
    ("rv10", {}),
    ("cinepak", {}),
    ("fits", {}),
    ("roqvideo", {}),
    ("h263", {}),
    ("h261", {}),
    ("dnxhd", {"b": "120M"}),
)
#: Codecs with a fixed size.
SIZES = {"dvvideo": (720, 576), "h263": (176, 144), "h261": (176, 144), "dnxhd": (1920, 1080)}
#: Muxers that write no file, several, or none with video.
LEFT_OUT = {"null", "hash", "framecrc", "framehash", "framemd5", "md5", "crc", "streamhash", "tee"}
LEFT_OUT |= {"image2", "image2pipe", "segment", "stream_segment", "ssegment", "hls", "dash", "rtp"}
LEFT_OUT |= {"smoothstreaming", "hds", "rtsp", "sap", "rtp_mpegts", "fifo", "whip"}
LEFT_OUT |= {"uncodedframecrc", "webm_dash_manifest", "stream_segment,ssegment"}
LEFT_OUT |= {"alsa", "oss", "fbdev", "video4linux2,v4l2"}  # devices
COLUMNS = ["container", "codec", "frames", "chunks", "jobs", "batch", "resume", "start"]
OUTPUT = Path(__file__).resolve().parents[1] / "docs/data/chunks.csv"
QUICK = {"base": "av1", "preset": 10, "fit": 0, "q": 10}
Frames = list[tuple[int, float]]


def picture(number: int) -> av.VideoFrame:
    image = np.full((HEIGHT, WIDTH, 3), 110, np.uint8)
    for bit in range(8):
        image[16:80, 20 * bit : 20 * bit + 20] = 235 if number >> bit & 1 else 20
    return av.VideoFrame.from_ndarray(image, format="rgb24")


def write(path: Path, muxer: str, codec: str, options: dict[str, str]) -> None:
    with av.open(str(path), "w", format=muxer) as container:
        stream = container.add_stream(codec, rate=25, options={"g": str(KEYS), **options})
        stream.width, stream.height = SIZES.get(codec, (WIDTH, HEIGHT))
        formats = stream.codec_context.codec.video_formats or []
        names = [each.name for each in formats]
        stream.pix_fmt = "yuv420p" if not names or "yuv420p" in names else names[0]
        for number in range(FRAMES):
            frame = picture(number).reformat(stream.width, stream.height, stream.pix_fmt)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def frames_of(stream: Path) -> Frames:
    """Numbers and seconds."""
    with open(stream, "rb") as file:
        reader = Reader(file)
        decoder, numbered = Decoder(reader.header, fidelity=True), []
        for frame in decoder.frames_of(reader.packets()):
            luma = frame.planes[0]
            high, wide = luma.shape
            rows = slice(high // 3, 2 * high // 3)
            bars = [
                luma[rows, (4 * b + 1) * wide // 32 : (4 * b + 3) * wide // 32] for b in range(8)
            ]
            number = sum(int(bar.mean() > 500) << b for b, bar in enumerate(bars))
            tick = reader.header.format.time_base
            numbered.append((number, float((frame.pts - reader.header.start_pts) * tick)))
    return numbered


def compare(frames: Frames, expected: Frames) -> str:
    if len(frames) != len(expected):
        return f"{len(frames)} of {len(expected)} frames"
    wrong = sum(
        a != b or abs(s - t) > 0.0015 for (a, s), (b, t) in zip(frames, expected, strict=True)
    )
    return f"{wrong} frames differ" if wrong else "same"


def write_interrupted(path: Path, out: Path) -> None:
    """Encode with `resume`, stop before the third chunk, and resume."""
    every, count = tasks.encode, 0

    def partial_encode(*arguments: object, **keywords: object) -> object:
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        return every(*arguments, **keywords)  # type: ignore[arg-type]

    tasks.encode = partial_encode  # type: ignore[assignment]
    try:
        gvcodec.encode_file(path, out, resume=True, jobs=1, keyint=KEYS, **QUICK)
        return
    except KeyboardInterrupt:
        pass
    finally:
        tasks.encode = every
    gvcodec.encode_file(path, out, resume=True, jobs=1, keyint=KEYS, **QUICK)


def muxers() -> Iterator[str]:
    for name in sorted(av.formats_available):
        kind = av.format.ContainerFormat(name)
        if kind.is_output and name not in LEFT_OUT:
            yield name


def make(folder: Path, muxer: str) -> tuple[Path, str, Frames] | None:
    """A file of this kind, its codec, and its frames in one go."""
    suffix = (sorted(av.format.ContainerFormat(muxer, "w").extensions) or [muxer])[0]
    path, whole = folder / f"{muxer}.{suffix}", folder / "whole.gvc"
    for codec, options in CODECS:
        try:
            write(path, muxer, codec, options)
            gvcodec.encode_file(path, whole, overwrite=True, **QUICK)
            frames = frames_of(whole)
        except (av.FFmpegError, ValueError, gvcodec.GvcodecError, NotImplementedError):
            continue
        if len(frames) >= FRAMES - 2:
            return path, codec, frames
    path.unlink(missing_ok=True)
    return None


def row_of(path: Path, codec: str, whole: Frames, batch: Path) -> dict[str, object]:
    row: dict[str, object] = {"container": path.stem, "codec": codec, "frames": len(whole)}
    out, start = batch / "out.gvc", whole[31][1] - 0.01
    done = gvcodec.encode_file(path, out, jobs=1, keyint=KEYS, overwrite=True, **QUICK)
    row["chunks"] = done.chunks
    row["jobs"] = compare(frames_of(out), whole)
    row["batch"] = compare(frames_of(batch / f"{path.stem}.gvc"), whole)
    out.unlink()
    write_interrupted(path, out)
    row["resume"] = compare(frames_of(out), whole)
    gvcodec.encode_file(path, out, start=start, overwrite=True, **QUICK)
    late = [(number, time - whole[31][1]) for number, time in whole[31:]]
    row["start"] = compare(frames_of(out), late)
    out.unlink()
    return row


def batch_of(path: Path, folder: Path) -> None:
    words = ["--base", "av1", "--preset", "10", "--fit", "off", "-q", "10", "--chunk", str(KEYS)]
    command = [sys.executable, "-m", "gvcodec", "batch", str(path), "-o", str(folder), *words]
    subprocess.run([*command, "--jobs", "1"], check=False, stdout=subprocess.DEVNULL)


def rows_before() -> dict[str, dict[str, object]]:
    if not OUTPUT.is_file():
        return {}
    with open(OUTPUT, newline="") as file:
        return {str(row["container"]): dict(row) for row in csv.DictReader(file)}


def write_table(rows: dict[str, dict[str, object]]) -> None:
    with open(OUTPUT, "w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows[name] for name in sorted(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("muxers", nargs="*", help="tried anew (default: those without a row)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin none after this")
    arguments = parser.parse_args()
    rows, started = rows_before(), time.monotonic()
    for muxer in arguments.muxers or [name for name in muxers() if name not in rows]:
        if time.monotonic() - started > arguments.seconds:
            sys.exit(f"{muxer} and those after it are left: run it again")
        with tempfile.TemporaryDirectory() as name:
            sample = make(Path(name), muxer)
            if sample:
                path, codec, whole = sample
                batch_of(path, Path(name, "batch"))
                rows[muxer] = row_of(path, codec, whole, Path(name, "batch"))
                write_table(rows)
            print(rows[muxer] if sample else f"{muxer}: no video that is read", flush=True)


if __name__ == "__main__":
    main()
