"""Does `--size` hold? Every clip at four sizes that span a factor of twenty: `python -m eval
sizes`.

`gvcodec encode --size` makes each file, `gvcodec verify` decodes it and checks the hash of its base
frames. The largest size is that of a file at `TOP_Q`; a size that is refused is replaced by one
just above the smallest that the refusal names.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from eval import arguments as shared
from eval.tools import EvalError, group_digits, markdown, run_command, write_json, write_text
from eval.video import Clip

SPAN, STEPS = 20.0, 4
TOP_Q = {"av1": 24, "vvc": 20}
_SMALLEST = re.compile(r"smallest possible size is (?:about )?(\d+) bytes")
_ROOM = 1.02


def arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_clips(parser, 0)
    parser.add_argument("--base", default="av1", choices=TOP_Q, help="base layer (av1)")
    shared.add_threads(parser)
    shared.add_out(parser, "out/sizes")
    shared.add_readme(parser, "sizes-BASE")


def run(options: argparse.Namespace) -> None:
    clips = [clip for clip in shared.clips(options) if clip.raw.frames >= clip.fps]
    if not clips:
        raise EvalError("no clip of a second or more")
    text = measure(clips, options.base, options.threads, options.out)
    shared.publish(options, {f"sizes-{options.base}": text})


def measure(clips: Sequence[Clip], base: str, threads: int, out: Path) -> str:
    """Encodes and writes `sizes-BASE.json` and `.md` below `out`; returns the Markdown. Raises
    EvalError."""
    rows: list[dict[str, Any]] = []
    for clip in tqdm(clips, unit="clip", disable=None):
        largest = _encode(clip, base, threads, out, "--base-q", TOP_Q[base])
        for step in range(STEPS):
            wanted = round(largest * SPAN ** (-step / (STEPS - 1)))
            rows.append(_point(clip, base, threads, wanted, out))
            write_json(out / f"sizes-{base}.json", {"base": base, "rows": rows})
    text = to_markdown(rows, base)
    write_text(out / f"sizes-{base}.md", text + "\n")
    return text


def _point(clip: Clip, base: str, threads: int, wanted: int, out: Path) -> dict[str, Any]:
    size, refused = None, None
    while size is None:
        try:
            size = _encode(clip, base, threads, out, "--size", wanted)
        except EvalError as error:
            smallest = _SMALLEST.search(str(error))
            # The first refusal may go by a trial ("about"); what comes after a pass is exact.
            if smallest is None or int(smallest[1]) <= wanted:
                raise
            refused, wanted = refused or wanted, round(_ROOM * int(smallest[1]))
    return {
        "clip": clip.name,
        "seconds": float(clip.raw.frames / clip.fps),
        "wanted": wanted,
        "refused": refused,
        "bytes": size,
    }


def _encode(clip: Clip, base: str, threads: int, out: Path, *goal: str | int) -> int:
    """Bytes of a file that decodes. Raises EvalError."""
    path, command = out / "stream.gvc", [sys.executable, "-m", "gvcodec"]
    fixed = f"--base {base} --fit off --keyint 0 --threads {threads} -y".split()
    run_command([*command, "encode", str(clip.file), str(path), *fixed, *map(str, goal)])
    run_command([*command, "verify", str(path), "--fidelity", "--threads", str(threads)])
    size = path.stat().st_size
    path.unlink()
    return size


def to_markdown(rows: list[dict[str, Any]], base: str) -> str:
    """One row a clip and size, and a line that sums them up."""
    lines = []
    for row in rows:
        note = f" (for {group_digits(row['refused'])}, refused)" if row["refused"] else ""
        used = f"{100 * row['bytes'] / row['wanted']:.2f} %"
        wanted, written = group_digits(row["wanted"]) + note, group_digits(row["bytes"])
        lines.append([row["clip"], f"{row['seconds']:.2f}", wanted, written, used])
    over = sum(row["bytes"] > row["wanted"] for row in rows)
    enough = sum(row["bytes"] >= 0.99 * row["wanted"] for row in rows)
    least = min(row["bytes"] / row["wanted"] for row in rows)
    note = (
        f"`--base {base} --fit off`, one keyframe: {over} of {len(rows)} files over their size, "
        f"{enough} use 99 % or more, least used {100 * least:.2f} %. Every file was decoded."
    )
    return f"{markdown(['clip', 'seconds', '--size', 'bytes', 'used'], lines)}\n\n{note}"
