"""Tries an installed gvcodec: encodes, verifies and decodes a synthetic clip as a stream and as a
file that plays everywhere, fetches the page of `play`, and on Linux shows painted frames in PyAV by
`gvcodec with`. Prints a row of versions; raises if a step fails.

    python scripts/try_install.py              # the gvcodec of this Python
    python scripts/try_install.py dist/*.whl   # installed into an empty environment

An empty environment gets packages in binary form only, and no compiler works in it.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
from pathlib import Path

FRAMES = 12
GVCODEC = [sys.executable, "-m", "gvcodec"]
#: Program that writes the samples of all frames of a file.
SHOW = """
import sys, av
for frame in av.open(sys.argv[1]).decode(video=0):
    sys.stdout.buffer.write(frame.to_ndarray().tobytes())
"""
#: Programs that installing a wheel must not need.
COMPILERS = ("cc", "c++", "gcc", "g++", "clang", "clang++", "cl", "cmake", "ninja", "make")


def install(wheel: Path, folder: Path) -> Path:
    """A wheel in an empty environment in `folder`; the path of its Python."""
    venv.create(folder / "empty", with_pip=True)
    windows = os.name == "nt"
    python = folder / "empty" / ("Scripts/python.exe" if windows else "bin/python")
    command = [python, "-m", "pip", "install", "-q", "--only-binary", ":all:", str(wheel)]
    subprocess.run([*map(str, command)], check=True, env=without_compilers(folder))
    return python


def without_compilers(folder: Path) -> dict[str, str]:
    """The environment with programs in front that fail instead of compilers."""
    fakes = folder / "fakes"
    fakes.mkdir(exist_ok=True)
    for name in COMPILERS:
        fake = fakes / (f"{name}.bat" if os.name == "nt" else name)
        fake.write_text("@exit /b 9\n" if os.name == "nt" else "#!/bin/sh\nexit 9\n")
        fake.chmod(0o755)
    path = os.pathsep.join([str(fakes), os.environ.get("PATH", "")])
    return os.environ | {"PATH": path, "CC": str(fakes / "cc"), "CXX": str(fakes / "c++")}


def make_clip(path: Path) -> None:
    """Texture that moves and grows brighter: flat pictures would not be painted."""
    import av
    import numpy as np

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.options = {"crf": "10"}
        sheet = np.random.default_rng(1).normal(100, 60, (128, 160))
        for axis in (0, 1):
            sheet = (sheet + np.roll(sheet, 1, axis) + np.roll(sheet, 2, axis)) / 3
        for n in range(FRAMES):
            gray = np.clip(sheet[n : n + 96, 2 * n : 2 * n + 128] + 3 * n, 0, 255)
            picture = gray.astype(np.uint8)[..., None].repeat(3, 2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def levels_of(path: Path) -> list[float]:
    """Mean luma of each frame."""
    import av

    with av.open(str(path)) as container:
        frames = container.decode(video=0)
        return [float(frame.reformat(format="gray").to_ndarray().mean()) for frame in frames]


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


def gvcodec(*words: object) -> str:
    """The output of a command. Raises if it fails."""
    done = subprocess.run([*GVCODEC, *map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"gvcodec {words[0]}: code {done.returncode}: {done.stderr}")
    return done.stdout + done.stderr


def try_players(film: Path) -> None:
    """Compare frames of PyAV, under `gvcodec with` and without, with those of `decode`."""
    decoded, show = film.with_suffix(".y4m"), [sys.executable, "-c", SHOW, str(film)]
    gvcodec("decode", film, decoded)
    painted = b"".join(decoded.read_bytes().split(b"FRAME\n")[1:])
    output, plain = (
        subprocess.run([*words, *show], check=True, stdout=subprocess.PIPE).stdout
        for words in ([*GVCODEC, "with"], [])
    )
    if output != painted or plain == painted:
        raise RuntimeError("gvcodec with python does not show the frames of gvcodec decode")


def try_commands(folder: Path) -> None:
    clip = folder / "in.mp4"
    make_clip(clip)
    source = levels_of(clip)
    for name in ("a.gvc", "a.mp4"):
        stream, decoded = folder / name, folder / f"{name}.out.mp4"
        gvcodec("encode", clip, stream, "--preset", 8)
        gvcodec("verify", stream)
        if "painted" not in gvcodec("decode", stream, decoded):
            raise RuntimeError(f"{name} is not painted: no model was installed")
        levels = levels_of(decoded)
        if len(levels) != FRAMES or len(source) != FRAMES:
            raise RuntimeError(f"{name}: {len(levels)} of {FRAMES} frames")
        if max(abs(a - b) for a, b in zip(levels, source, strict=True)) > 4:
            raise RuntimeError(f"{name}: other pictures came back")
    if len(levels_of(folder / "a.mp4")) != FRAMES:
        raise RuntimeError("other players find other frames in a.mp4")
    if sys.platform == "linux":
        try_players(folder / "a.mp4")
    if (page := fetch_page(folder / "a.gvc")) < 1000:
        raise RuntimeError(f"{page} bytes of page")


def describe() -> str:
    import av

    import gvcodec as package

    python = ".".join(map(str, sys.version_info[:3]))
    torch = "with" if importlib.util.find_spec("torch") else "without"
    versions = f"gvcodec {package.__version__}, Python {python}, PyAV {av.__version__}"
    return f"{versions}, {torch} torch"


def main() -> None:
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if sys.argv[1:]:
            python = install(Path(sys.argv[1]).resolve(), folder)
            script = shutil.copy(__file__, folder)
            environment = without_compilers(folder)
            environment.pop("PYTHONPATH", None)
            subprocess.run([str(python), script], cwd=folder, env=environment, check=True)
            print(f"installed without a compiler and tried in {time.monotonic() - begin:.0f} s")
            return
        try_commands(folder)
    print(f"{describe()}: encode, verify, decode, play work")


if __name__ == "__main__":
    main()
