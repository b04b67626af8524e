"""VMAF and XPSNR of whole videos through ffmpeg's filters, per frame."""

from __future__ import annotations

import json
import re
import tempfile
from fractions import Fraction
from pathlib import Path

from eval.tools import EvalError, ffmpeg, ffmpeg_has, run_command
from eval.video import RawVideo

#: Metrics that are filters of ffmpeg, and the names of these.
FILTERS = {"vmaf": "libvmaf", "vmaf_neg": "libvmaf", "xpsnr": "xpsnr"}
#: Models inside libvmaf. NEG ("no enhancement gain") gives no credit for sharpening.
VMAF_MODELS = {"vmaf": "vmaf_v0.6.1", "vmaf_neg": "vmaf_v0.6.1neg"}
#: Decibels of equal frames, which XPSNR calls infinite.
_EQUAL = 100.0


def apply_filter(
    decoded: RawVideo, source: RawVideo, text: str, fps: Fraction, folder: Path | None = None
) -> None:
    """Runs one of ffmpeg's filters that compare two videos of this frame rate, in `folder`: in
    names of files a filter takes colons and quotes for its own. Raises EvalError."""
    name = text.split("=")[0]
    if not ffmpeg_has("filter", name):
        raise EvalError(
            f"this ffmpeg has no filter {name}: install imageio-ffmpeg==0.8.1 or leave {name} out"
        )
    inputs = [*decoded.as_input("-r", str(fps)), *source.as_input("-r", str(fps))]
    run_command([ffmpeg(), "-v", "error", *inputs, "-lavfi", text, "-f", "null", "-"], cwd=folder)


def vmaf(
    decoded: RawVideo,
    source: RawVideo,
    fps: Fraction = Fraction(25),
    threads: int = 1,
    model: str = VMAF_MODELS["vmaf"],
) -> list[float]:
    """VMAF (0…100) of every frame by a model inside libvmaf. It does not depend on the frame
    rate."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "vmaf.json"
        settings = f"model=version={model}:n_threads={threads}"
        text = f"libvmaf={settings}:log_fmt=json:log_path={log.name}"
        apply_filter(decoded, source, text, fps, log.parent)
        frames = json.loads(log.read_text())["frames"]
    return [float(frame["metrics"]["vmaf"]) for frame in frames]


def xpsnr(decoded: RawVideo, source: RawVideo, fps: Fraction) -> list[float]:
    """XPSNR of every frame in dB, Y, U and V weighted 6 : 1 : 1, at most 100. It weighs change from
    frame to frame by the frame rate: other weights hold above 32 a second."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "xpsnr.txt"
        apply_filter(decoded, source, f"xpsnr=stats_file={log.name}", fps, log.parent)
        lines = re.findall(r"XPSNR y: *(\S+) +XPSNR u: *(\S+) +XPSNR v: *(\S+)", log.read_text())
    values = [[min(_EQUAL, float(value)) for value in line] for line in lines]
    return [(6 * y + u + v) / 8 for y, u, v in values]
