"""Where the processor time of an encode goes: `python -m eval.experiments.stages CLIP --q N`.

The first frames of the clip are coded by one thread, each variant in a process of its own, all of
them in turns, and the least time of each counts. SVT-AV1 is a program that the process starts, so
its time is known by itself; the other stages are differences of variants:

    read        the source file to planes
    SVT-AV1     the program, with its input
    decode      the coded frames to base frames, their hash
    rest        checks of frames, the pipe, PSNR
    painted     all frames decoded again, painted and hashed
    strengths   runs of each GOP painted for the choice of its strength

Python's start is not in it. Rows go to docs/data/encode-stages.csv.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from eval.tools import append_rows, markdown
from gvcodec.source.reader import VideoReader

OUTPUT = Path(__file__).resolve().parents[2] / "docs/data/encode-stages.csv"
FIELDS = ("clip", "width", "height", "frames", "q", "speed", "stage", "seconds", "share")
#: Options of the encodes; None: no encode.
VARIANTS: dict[str, dict[str, Any] | None] = {
    "read": None,
    "decode": None,
    "base": {"painter": "off"},
    "hash": {"fit": 0},
    "all": {},
}

_WORK = """
import json, os, sys
import gvcodec.public as gvcodec
from gvcodec.api.decoded_frames import decode_planes
from gvcodec.source.reader import VideoReader
variant, source, stream, options = sys.argv[1:]
wanted = json.loads(options)
begun = os.times()
if variant == "read":
    with VideoReader(source, frames=wanted["frames"]) as frames:
        count = sum(1 for _ in frames)
elif variant == "decode":
    count = sum(1 for _ in decode_planes(stream, fidelity=True, threads=1))
else:
    gvcodec.encode_file(source, stream, threads=1, overwrite=True, **wanted)
ended = os.times()
print(*(b - a for a, b in zip(begun[:4], ended[:4])))
"""


def spent(
    variant: str, source: Path, stream: Path, settings: dict[str, Any]
) -> tuple[float, float]:
    """Processor seconds of a variant: of Python, and of the program that it starts."""
    options = json.dumps(settings | (VARIANTS[variant] or {}))
    words = [sys.executable, "-c", _WORK, variant, str(source), str(stream), options]
    text = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    user, system, their_user, their_system = map(float, text.split())
    return user + system, their_user + their_system


def stages(least: dict[str, tuple[float, float]]) -> dict[str, float]:
    """Seconds of each stage, from the least times of the variants."""
    own = {variant: seconds for variant, (seconds, _) in least.items()}
    return {
        "read": own["read"],
        "SVT-AV1": min(theirs for name, (_, theirs) in least.items() if VARIANTS[name] is not None),
        "decode": own["decode"],
        "rest": own["base"] - own["decode"] - own["read"],
        "painted": own["hash"] - own["base"],
        "strengths": own["all"] - own["hash"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--q", type=float, required=True)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--speed", nargs="+", default=["balanced"])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=OUTPUT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, VideoReader(options.clip) as video:
        size = video.format.width, video.format.height
        head = [options.clip.stem, *size, options.frames, options.q]
        for speed in options.speed:
            settings = {"q": options.q, "speed": speed, "frames": options.frames}
            stream, times_of = Path(folder, "stages.gvc"), dict[str, list[tuple[float, float]]]()
            spent("base", options.clip, stream, settings)
            for _ in range(options.rounds):
                for variant in VARIANTS:
                    times = spent(variant, options.clip, stream, settings)
                    times_of.setdefault(variant, []).append(times)
            least = {v: (min(o for o, _ in t), min(p for _, p in t)) for v, t in times_of.items()}
            shares = stages(least)
            whole = sum(shares.values())
            lines = [[n, f"{s:.2f}", f"{100 * s / whole:.1f}"] for n, s in shares.items()]
            append_rows(options.out, FIELDS, [[*head, speed, *line] for line in lines])
            print(speed, f"{whole:.2f} s")
            print(markdown(["stage", "seconds", "%"], lines), flush=True)


if __name__ == "__main__":
    main()
