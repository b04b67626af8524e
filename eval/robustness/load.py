"""Heavy load through the command line: an hour of video, eight encoders side by side, encoders that
are killed."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

WIDTH, HEIGHT, RATE = 32, 32, 10
HOUR = 3600 * RATE
_GVCODEC = [sys.executable, "-m", "gvcodec"]
_SETTINGS = ["--preset", "10", "--fit", "off", "--threads", "1", "--base-q", "40"]


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of a process in MiB: when a tenth of the work was done, the median, and the
    highest after that."""

    frames: int
    early: float
    median: float
    highest: float


def y4m(frames: int) -> Iterator[bytes]:
    """A video for a pipe: a ramp that pans."""
    yield f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{RATE}:1 Ip A1:1 C420mpeg2\n".encode()
    ramp = bytes((x * 5 + y * 3) % 200 + 20 for y in range(HEIGHT) for x in range(4 * WIDTH))
    chroma = bytes([120]) * (WIDTH * HEIGHT // 4) + bytes([140]) * (WIDTH * HEIGHT // 4)
    for number in range(frames):
        left = (number // 3) % (3 * WIDTH)
        rows = (ramp[4 * WIDTH * y + left : 4 * WIDTH * y + left + WIDTH] for y in range(HEIGHT))
        yield b"FRAME\n" + b"".join(rows) + chroma


def long_video(folder: Path, frames: int = HOUR) -> tuple[Memory, Memory, int]:
    """Encode so many frames from a pipe and decode them to one: memory of both, size of the
    stream."""
    stream = folder / "long.bin"
    encoder = subprocess.Popen(
        [*_GVCODEC, "encode", "-", str(stream), *_SETTINGS], stdin=subprocess.PIPE
    )
    assert encoder.stdin is not None
    feeder = threading.Thread(target=_feed, args=(encoder.stdin, y4m(frames)))
    feeder.start()
    encoding = _watched(encoder, frames)
    feeder.join()
    with open(stream, "rb") as source:
        decoder = subprocess.Popen(
            [*_GVCODEC, "decode", "-", "-", "--fidelity", "--threads", "1"],
            stdin=source,
            stdout=subprocess.DEVNULL,
        )
        decoding = _watched(decoder, frames)
    return encoding, decoding, stream.stat().st_size


def side_by_side(folder: Path, count: int) -> int:
    """Of so many encoders at once, how many make the same stream as one alone."""
    source = folder / "in.y4m"
    source.write_bytes(b"".join(y4m(100)))

    def started(name: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*_GVCODEC, "encode", str(source), str(folder / name), *_SETTINGS],
            stderr=subprocess.DEVNULL,
        )

    if started("alone.bin").wait() != 0:
        return 0
    together = [started(f"{number}.bin") for number in range(count)]
    ended = [process.wait() for process in together]
    alone = (folder / "alone.bin").read_bytes()
    return sum(
        not code and (folder / f"{n}.bin").read_bytes() == alone for n, code in enumerate(ended)
    )


@dataclass
class Kills:
    """What 100 kills left: outputs that were absent, complete, or broken; resumed encodes that were
    not the same stream."""

    tried: int = 0
    absent: int = 0
    complete: int = 0
    broken: int = 0
    resumed: int = 0
    different: int = 0
    frames_kept: int = 0


def killed(folder: Path, times: int = 100, seed: int = 1) -> Kills:
    """Kill an encoder at random moments, look at the output, go on with `--resume`."""
    source, output = folder / "killed.y4m", folder / "killed.bin"
    source.write_bytes(b"".join(y4m(400)))
    command = [*_GVCODEC, "encode", str(source), str(output), *_SETTINGS]
    command += ["--keyint", "25", "--resume"]
    began = time.monotonic()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    whole_time, whole = time.monotonic() - began, output.read_bytes()
    output.unlink()
    rng = random.Random(seed)
    found = Kills()
    for _ in range(times):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0, whole_time))
        process.send_signal(signal.SIGKILL)
        process.wait()
        found.tried += 1
        if output.exists():
            right = output.read_bytes() == whole
            found.complete += right
            found.broken += not right
            output.unlink()
            continue
        found.absent += 1
        resumed = subprocess.run(command, check=False, capture_output=True, text=True)
        words = resumed.stderr.split(" frames are coded already")[0].split()
        if "frames are coded already" in resumed.stderr:
            found.resumed += 1
            found.frames_kept += int(words[-1])
        found.different += resumed.returncode != 0 or output.read_bytes() != whole
        output.unlink(missing_ok=True)
    return found


def _hour() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        encoding, decoding, size = long_video(Path(name))
    return {
        "frames": HOUR,
        "encoding": asdict(encoding),
        "decoding": asdict(decoding),
        "stream_bytes": size,
    }


def _beside() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        return {"encoders": 8, "same": side_by_side(Path(name), 8)}


def _kills() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        return asdict(killed(Path(name)))


#: Parts of the evaluation by name.
PARTS: dict[str, Callable[[], dict[str, Any]]] = {"hour": _hour, "beside": _beside, "kills": _kills}


def _feed(pipe: IO[bytes], chunks: Iterator[bytes]) -> None:
    with contextlib.suppress(BrokenPipeError), pipe:
        for chunk in chunks:
            pipe.write(chunk)


def _watched(process: subprocess.Popen[bytes], frames: int) -> Memory:
    """Memory of a process until it ends. Raises `subprocess.CalledProcessError`."""
    samples: list[float] = []
    while process.poll() is None:
        with contextlib.suppress(FileNotFoundError, IndexError):
            pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
            samples.append(pages * 4096 / 2**20)
        time.sleep(0.2)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    samples = samples or [0.0]
    tenth = samples[len(samples) // 10 :]
    return Memory(frames, tenth[0], sorted(tenth)[len(tenth) // 2], max(tenth))
