"""Small clips, made here, each different and always the same; and what one process makes of
them."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from eval.tools import ffmpeg, run_command
from gvcodec.batch.driver import Driver
from gvcodec.batch.ledger import Job, Ledger
from gvcodec.batch.local import Inline
from gvcodec.batch.settings import Settings


def make_clips(folder: Path, count: int, seconds: float = 2.0, size: str = "320x180") -> list[Path]:
    """H.264 with a keyframe every twelve frames and sound."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number in range(count):
        path = folder / f"clip{number}.mp4"
        made.append(path)
        if path.exists():
            continue
        picture = f"testsrc2=s={size}:r=25:d={seconds},hue=h={36 * number},rotate={0.1 * number}*t"
        sound = f"sine=f={220 + 50 * number}:d={seconds}"
        inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound]
        coding = ["-c:v", "libx264", "-g", "12", "-pix_fmt", "yuv420p"]
        coding += ["-c:a", "aac", "-threads", "1"]
        run_command([ffmpeg(), "-v", "error", "-y", *inputs, *coding, "-shortest", str(path)])
    return made


def in_one_process(clips: Sequence[Path], out: Path, settings: Settings) -> dict[str, str]:
    """Hashes of the streams by their names: chunk after chunk, file after file, in this process."""
    # What an earlier version made has other names.
    shutil.rmtree(out, ignore_errors=True)
    with Inline() as engine:
        driver = Driver(engine, Ledger(str(out)))
        driver.run([Job(str(clip.absolute()), settings) for clip in clips])
    if driver.errors:
        raise RuntimeError(next(iter(driver.errors.values())))
    return hashes(out)


def hashes(out: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.glob("*.gvc"))
    }
