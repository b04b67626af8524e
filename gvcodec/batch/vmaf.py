"""VMAF of a coded chunk as `decode` shows it, by an ffmpeg with libvmaf: the one of
`imageio-ffmpeg`, or `ffmpeg`."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from gvcodec.base.standard.vvenc import find_ffmpeg
from gvcodec.bitstream import Reader
from gvcodec.codec.decoder import Decoder
from gvcodec.errors import MediaError
from gvcodec.limits import UNLIMITED
from gvcodec.rate.one_pass import Open, Pass
from gvcodec.types import Planes


def vmaf_of(coded: Pass, open_source: Open, threads: int) -> float:
    """Mean of v0.6.1 over all frames, 0…100. Raises `MediaError` where the program fails."""
    program = find_ffmpeg("filter", "libvmaf")
    reader = Reader(io.BytesIO(coded.data))
    decoder = Decoder(reader.header, threads=threads, limits=UNLIMITED)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_source() as source,
        ThreadPoolExecutor(2) as writers,
    ):
        pipes = [Path(folder, name) for name in ("decoded", "source")]
        for pipe in pipes:
            os.mkfifo(pipe)
        size = f"{coded.format.width}x{coded.format.height}"
        raw = ["-f", "rawvideo", "-pix_fmt", "yuv420p10le", "-s", size, "-i"]
        log = Path(folder, "log")
        filters = f"libvmaf=log_fmt=json:log_path={log}:n_threads={threads}"
        command = [program, "-v", "error", *raw, str(pipes[0]), *raw, str(pipes[1])]
        command += ["-lavfi", filters, "-f", "null", "-"]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        # Each pipe waits for its reader, and the program reads them in an order of its own.
        videos = (f.planes for f in decoder.frames_of(reader.packets())), (f.planes for f in source)
        written = [writers.submit(_write, *pair) for pair in zip(pipes, videos, strict=True)]
        said = process.communicate()[1].decode(errors="replace").strip().splitlines()
        if process.returncode:
            for pipe in pipes:
                # Whoever waits for a reader goes on, and finds none.
                os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))
            raise MediaError(f"VMAF failed: {said[-1] if said else process.returncode}")
        for future in written:
            future.result()
        frames = json.loads(log.read_text())["frames"]
    return float(np.mean([frame["metrics"]["vmaf"] for frame in frames]))


def _write(pipe: Path, video: Iterator[Planes]) -> None:
    with open(pipe, "wb") as stream:
        for planes in video:
            stream.writelines(plane.tobytes() for plane in planes)
