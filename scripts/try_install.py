"""Tries an installed gvcodec: encodes, verifies and decodes a synthetic clip, fetches the page of
`play`, and on Linux shows painted frames in PyAV by `gvcodec with`. Prints a row of versions;
raises if a step fails."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import av
import numpy as np

FRAMES = 12
GVCODEC = [sys.executable, "-m", "gvcodec"]
#: Program that writes the samples of all frames of a file.
SHOW = """
import sys, av
for frame in av.open(sys.argv[1]).decode(video=0):
    sys.stdout.buffer.write(frame.to_ndarray().tobytes())
"""


def make_clip(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for n in range(FRAMES):
            picture = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8) // 2 + n
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def count_frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def fetch_page(stream: Path) -> int:
    """Bytes of the page that `play` serves."""
    command = [*GVCODEC, "play", "--no-browser", str(stream)]
    with subprocess.Popen(command, stderr=subprocess.STDOUT, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            for line in server.stdout:
                if address := re.search(rb"http://\S+", line):
                    with urllib.request.urlopen(address[0].decode(), timeout=60) as page:
                        return len(page.read())
        finally:
            server.kill()
    raise RuntimeError("play says no address")


def try_with(clip: Path, film: Path) -> None:
    """Compare frames of PyAV, under `gvcodec with` and without, with those of `decode`."""
    decoded, show = film.with_suffix(".y4m"), [sys.executable, "-c", SHOW, str(film)]
    for command in (
        ["encode", clip, film, "--preset", "8", "--fit", "off"],
        ["decode", film, decoded],
    ):
        subprocess.run([*GVCODEC, *map(str, command)], check=True, capture_output=True)
    painted = b"".join(decoded.read_bytes().split(b"FRAME\n")[1:])
    outputs = [
        subprocess.run([*words, *show], check=True, stdout=subprocess.PIPE).stdout
        for words in ([*GVCODEC, "with"], [])
    ]
    if outputs[0] != painted or outputs[1] == painted:
        raise RuntimeError("gvcodec with python does not show the frames of gvcodec decode")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        clip, stream, decoded = (Path(folder, name) for name in ("in.mp4", "a.gvc", "out.mp4"))
        make_clip(clip)
        for command in (
            ["encode", clip, stream, "--preset", "8", "--fit", "off"],
            ["verify", stream],
            ["decode", stream, decoded],
        ):
            subprocess.run([*GVCODEC, *map(str, command)], check=True, capture_output=True)
        if sys.platform == "linux":
            try_with(clip, Path(folder, "film.mp4"))
        frames, page = count_frames(decoded), fetch_page(stream)
        if frames != FRAMES or page < 1000:
            raise RuntimeError(f"{frames} of {FRAMES} frames, {page} bytes of page")
    python = ".".join(map(str, sys.version_info[:3]))
    print(f"Python {python}, PyAV {av.__version__}: encode, verify, decode, play work")


if __name__ == "__main__":
    main()
