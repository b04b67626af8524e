"""Does `--size` hold? Every clip at four sizes that span a factor of twenty: `python -m eval
sizes`.

Each file is made as `gvcodec encode --size` makes it, written, and decoded in full, which checks
the loop hash. The largest size is that of a file at `TOP_Q`; a size that is refused is replaced by
one just above the smallest that the refusal names. Its loop frames can be compared with those of
the largest file of one whole q that is not larger.
"""

from __future__ import annotations

import dataclasses
import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

from tqdm import tqdm

from eval.frames import distance, ten_bits
from eval.metrics import METRICS, looked_at
from eval.report.tables import markdown
from eval.tools import write_json, write_text
from eval.video import Clip
from gvcodec import api
from gvcodec.encoder import EncoderConfig
from gvcodec.errors import UsageError
from gvcodec.media.reader import Frame, VideoReader
from gvcodec.rate.budget import Budget
from gvcodec.rate.one_pass import Pass, run
from gvcodec.rate.one_pass import measure as extent_of
from gvcodec.rate.search import Fitted
from gvcodec.rate.size import encode_to
from gvcodec.types import Planes

SPAN, STEPS = 20.0, 4
TOP_Q = {"klt": 26, "av1": 24, "hevc": 26, "vvc": 20}
_SMALLEST = re.compile(r"smallest possible size is (\d+) bytes")
_ROOM = 1.02
#: Of quality: one frame in how many is looked at.
JUDGE, _EVERY = "lpips_vgg", 8


@dataclass
class _Ladder:
    """A clip's files of one whole q, made when asked for."""

    clip: Clip
    config: EncoderConfig
    frames: int
    known: dict[int, Pass] = field(default_factory=dict)

    @cached_property
    def source(self) -> list[Planes]:
        return ten_bits(self.clip)

    def at(self, q: int) -> Pass:
        if q not in self.known:
            config = dataclasses.replace(self.config, base_q=q)
            self.known[q] = run(
                lambda: VideoReader(self.clip.file), config, "", _unwatched, self.frames
            )
        return self.known[q]

    def largest(self, limit: int) -> Pass | None:
        """The largest file of at most `limit` bytes, taking size to fall with q."""
        qs = range(int(self.config.base_q or 0), int(self.config.coarsest) + 1)
        best = bisect_left(qs, -limit, key=lambda q: -len(self.at(q).data))
        return self.at(qs[best]) if best < len(qs) else None


def measure(clips: Sequence[Clip], base: str, threads: int, quality: bool, out: Path) -> str:
    """Encodes and writes `sizes-BASE.json` and `.md` below `out`; returns the Markdown. `quality`
    compares with files of one q."""
    config = EncoderConfig(base_q=TOP_Q[base], base=base, fit=0, keyint=0, threads=threads)
    rows: list[dict[str, Any]] = []
    for clip in tqdm(clips, unit="clip", disable=None):
        frames = extent_of(lambda: VideoReader(clip.file), _unwatched).frames  # noqa: B023 (called here)
        ladder = _Ladder(clip, config, frames)
        largest = len(ladder.at(TOP_Q[base]).data)
        for step in range(STEPS):
            wanted = round(largest * SPAN ** (-step / (STEPS - 1)))
            rows.append(_point(clip, config, wanted, out, ladder if quality else None))
            write_json(out / f"sizes-{base}.json", {"base": base, "rows": rows})
    text = to_markdown(rows, base)
    write_text(out / f"sizes-{base}.md", text + "\n")
    return text


def _point(
    clip: Clip, config: EncoderConfig, wanted: int, out: Path, ladder: _Ladder | None
) -> dict[str, Any]:
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
        **(_against_one_q(ladder, fitted.coded, wanted) if ladder else {}),
    }


def _against_one_q(ladder: _Ladder, fitted: Pass, limit: int) -> dict[str, float]:
    """PSNR-Y won, in dB, and LPIPS-VGG over that of the largest file of one q that fits; empty
    where none does."""
    other = ladder.largest(limit)
    if other is None:
        return {}
    judge = distance(ladder.clip, JUDGE, _EVERY)
    here, there = (
        judge(ladder.source, list(api.decode_planes(p.data, fidelity=True, threads=1)))
        for p in (fitted, other)
    )
    return {
        "other_bytes": len(other.data),
        "psnr_won": fitted.psnr_y - other.psnr_y,
        "lpips_ratio": here / there,
    }


def _fit(clip: Clip, config: EncoderConfig, size: int) -> Fitted:
    return encode_to(lambda: VideoReader(clip.file), config, Budget(size=size), _unwatched)


def _unwatched(frames: Iterable[Frame], what: str, total: int | None) -> Iterable[Frame]:
    return frames


def to_markdown(rows: list[dict[str, Any]], base: str) -> str:
    """One row a clip and size, and a line that sums them up."""
    lines = []
    compared = [row for row in rows if "other_bytes" in row]
    for row in rows:
        note = f" (for {_grouped(row['refused'])}, refused)" if row["refused"] else ""
        used = f"{100 * row['bytes'] / row['wanted']:.2f} %"
        wanted, written = _grouped(row["wanted"]) + note, _grouped(row["bytes"])
        line = [
            row["clip"],
            f"{row['seconds']:.2f}",
            wanted,
            written,
            used,
            str(row["full_passes"]),
        ]
        if "other_bytes" in row:
            line += [f"{row['psnr_won']:+.2f} dB", f"{100 * (row['lpips_ratio'] - 1):+.1f} %"]
        elif compared:
            line += ["–", "–"]
        lines.append(line)
    over = sum(row["bytes"] > row["wanted"] for row in rows)
    enough = sum(row["bytes"] >= 0.99 * row["wanted"] for row in rows)
    quick = sum(row["full_passes"] <= 3 for row in rows)
    least = min(row["bytes"] / row["wanted"] for row in rows)
    most = max(row["full_passes"] for row in rows)
    header = ["clip of devtest (stand-in)", "seconds", "--size", "bytes", "used", "full encodes"]
    note = (
        f"`--base {base} --tune off`, one keyframe: {over} of {len(rows)} files over their size, "
        f"{enough} use 99 % or more, least used "
        f"{100 * least:.2f} %; {quick} took three full encodes or fewer, none more than {most}. "
        f"Every file was decoded."
    )
    if compared:
        header += ["PSNR-Y", METRICS[JUDGE].marked]
        worse = (
            sum(row["psnr_won"] < 0 for row in compared),
            sum(row["lpips_ratio"] > 1 for row in compared),
        )
        note += (
            f" Quality is that of loop frames against the largest file of one whole q of at most "
            f"that size: PSNR-Y "
            f"{fmean(row['psnr_won'] for row in compared):+.2f} dB (worse in {worse[0]} of "
            f"{len(compared)}), {METRICS[JUDGE].marked} "
            f"{100 * (fmean(row['lpips_ratio'] for row in compared) - 1):+.1f} % (worse in "
            f"{worse[1]}). {looked_at({JUDGE: _EVERY})}. "
            "† A loss of training."
        )
    return f"{markdown(header, lines)}\n\n{note}"


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", " ")
