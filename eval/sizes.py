"""Does `--size` hold? Every clip at four sizes that span a factor of twenty: `python -m eval sizes`.

Each file is made as `gvcodec encode --size` makes it, written, and decoded in full, which checks the loop hash. The largest size is that of a
file at `TOP_Q`; a size that is refused is replaced by one just above the smallest that the refusal names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from eval.report.tables import markdown
from eval.tools import write_json, write_text
from eval.video import Clip
from gvcodec import api
from gvcodec.allocation.budget import Budget
from gvcodec.allocation.passes import measure as extent_of
from gvcodec.allocation.passes import run
from gvcodec.allocation.search import Fitted
from gvcodec.allocation.size import encode_to
from gvcodec.encoder import EncoderConfig
from gvcodec.errors import UsageError
from gvcodec.media.reader import Frame, VideoReader

SPAN, STEPS = 20.0, 4
TOP_Q = {"klt": 26, "av1": 24, "hevc": 26}
_SMALLEST = re.compile(r"smallest possible size is (\d+) bytes")
_ROOM = 1.02


def measure(clips: Sequence[Clip], base: str, threads: int, out: Path) -> str:
    """Encodes and writes `sizes-BASE.json` and `.md` below `out`; returns the Markdown."""
    config = EncoderConfig(q=TOP_Q[base], base=base, tune=0, keyint=0, threads=threads)
    rows: list[dict[str, Any]] = []
    for clip in tqdm(clips, unit="clip"):
        frames = extent_of(lambda: VideoReader(clip.file), _unwatched).frames  # noqa: B023 (called here)
        largest = len(run(lambda: VideoReader(clip.file), config, "", _unwatched, frames).data)  # noqa: B023
        for step in range(STEPS):
            rows.append(_point(clip, config, round(largest * SPAN ** (-step / (STEPS - 1))), out))
            write_json(out / f"sizes-{base}.json", {"base": base, "rows": rows})
    text = to_markdown(rows, base)
    write_text(out / f"sizes-{base}.md", text + "\n")
    return text


def _point(clip: Clip, config: EncoderConfig, wanted: int, out: Path) -> dict[str, Any]:
    refused = None
    try:
        fitted = _fit(clip, config, wanted)
    except UsageError as error:
        smallest = _SMALLEST.search(str(error))
        if smallest is None:
            raise
        refused, wanted = wanted, round(_ROOM * int(smallest[1]))
        fitted = _fit(clip, config, wanted)
    path = out / "stream.bin"
    path.write_bytes(fitted.coded.data)
    data = path.read_bytes()
    path.unlink()
    decoded = sum(1 for _ in api.decode_planes(data, fidelity=True, threads=1))
    return {
        "clip": clip.name,
        "frames": decoded,
        "seconds": float(decoded / clip.fps),
        "wanted": wanted,
        "refused": refused,
        "bytes": len(data),
        "full_passes": fitted.full_passes,
        "frames_coded": fitted.frames_coded,
    }


def _fit(clip: Clip, config: EncoderConfig, size: int) -> Fitted:
    return encode_to(lambda: VideoReader(clip.file), config, Budget(size=size), _unwatched)


def _unwatched(frames: Iterable[Frame], what: str, total: int | None) -> Iterable[Frame]:
    return frames


def to_markdown(rows: list[dict[str, Any]], base: str) -> str:
    """One row a clip and size, and a line that sums them up."""
    lines = []
    for row in rows:
        note = f" (for {_grouped(row['refused'])}, refused)" if row["refused"] else ""
        used = f"{100 * row['bytes'] / row['wanted']:.2f} %"
        wanted, written = _grouped(row["wanted"]) + note, _grouped(row["bytes"])
        lines.append([row["clip"], f"{row['seconds']:.2f}", wanted, written, used, str(row["full_passes"])])
    over = sum(row["bytes"] > row["wanted"] for row in rows)
    least = min(row["bytes"] / row["wanted"] for row in rows)
    most = max(row["full_passes"] for row in rows)
    table = markdown(["clip of devtest (stand-in)", "seconds", "--size", "bytes", "used", "full encodes"], lines)
    return (
        f"{table}\n\n`--base {base} --tune off`, one keyframe: {over} of {len(rows)} files over their size, least used "
        f"{100 * least:.2f} %, at most {most} full encodes. Every file was decoded."
    )


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", " ")
