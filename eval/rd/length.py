"""Whether a long video takes the memory of a short one and costs as much a minute: a small clip in
a loop, `python -m eval speed --minutes 1,10`.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

from eval.codecs import Codec
from eval.rd.watch import watch
from eval.tools import ffmpeg, markdown, run_command
from eval.video import Clip


def measure(clip: Clip, codecs: Sequence[Codec], q: int, minutes: Sequence[float]) -> str:
    """A table of each codec's encodes of so many minutes. Raises EvalError."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for length in minutes:
            looped = folder / "looped.mkv"
            times = math.ceil(60 * length * clip.fps / clip.raw.frames)
            loop = [ffmpeg(), "-y", "-v", "error", "-stream_loop", str(times - 1)]
            run_command([*loop, "-i", str(clip.file), "-c", "copy", str(looped)])
            taken = times * clip.raw.frames / clip.fps / 60
            for codec in codecs:
                stream = folder / f"out.{codec.extension}"
                words = codec.command(codec.encode, clip, q=q, stream=stream)
                words = [str(looped) if word == str(clip.file) else word for word in words]
                run = watch(words)
                rows.append(
                    [
                        codec.name,
                        f"{float(taken):.2f}",
                        f"{run.processor / float(taken):.1f}",
                        f"{run.memory / 1e6:.0f} MB",
                        f"{stream.stat().st_size:,}",
                    ]
                )
    return markdown(["codec", "minutes", "processor s a minute", "memory", "bytes"], rows)
