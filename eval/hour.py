"""Search in an hour of video: `python -m eval search MATERIAL --hour --out DIR`. The streams of the
clips (q 60) are joined, summarised once, and joined again with themselves until there is an hour;
then frames of the clips are searched for, each in a process of its own. Seconds are processor
time."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from time import process_time as clock
from typing import Any

import numpy as np

from eval.tools import run, say, write_json
from gvcodec.bitstream import LOOP_HASH_BYTES, Reader, Writer
from gvcodec.search.files import opened
from gvcodec.search.ranking import best, scores

_FRAMES, _ASKED, _Q = 90_000, 5, 60
#: Of the clips every so many are taken.
_EVERY = 5


def made(material: Path, folder: Path) -> Path:
    """The file; what is there is kept."""
    hour = folder / "hour.gvc"
    if hour.is_file():
        return hour
    folder.mkdir(parents=True, exist_ok=True)
    gvcodec = [sys.executable, "-m", "gvcodec"]
    parts = sorted(map(str, material.glob(f"*.q{_Q}.gvc")))[::_EVERY]
    joined, again = folder / "joined.gvc", folder / "part.gvc"
    if not joined.is_file():
        run([*gvcodec, "cat", *parts, "-o", str(again), "-y", "--threads", "1"])
        run([*gvcodec, "summarize", str(again), "-y", "--threads", "1"])
        again.replace(joined)
    with open(joined, "rb") as source:
        reader = Reader(source)
        packets = list(reader.packets())
    with open(again, "wb") as output:
        writer = Writer(output, reader.header)
        while writer.frames < _FRAMES:
            for packet in packets:
                writer.write(packet)
        # Search does not decode: the loop hash, for which all would have to be, is left out.
        writer.finish(bytes(LOOP_HASH_BYTES))
    again.replace(hour)
    return hour


def _of_children() -> float:
    """Processor seconds of ended child processes."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measured(hour: Path, material: Path) -> dict[str, Any]:
    """Bytes and times of questions, each a file's own coded frame from the middle of a clip at q
    30, which the summary has not seen."""
    with opened(str(hour)) as file:
        starts = {gop.first_frame: gop.frames for gop in file.gops}
        facts = {
            "frames": file.frames,
            "gops": len(starts),
            "bytes": file.size,
            "vectors": sum(len(v.frames) for v in file.vectors.values()),
        }
    began = clock()
    with opened(str(hour)) as file:
        opening, reading = clock() - began, file.bytes_read
        own = next(iter(file.vectors.values()))
        began = clock()
        best(scores(own.values[:1], own.values, own.frames), own.frames, 5)
        ranking = clock() - began
    names = sorted(p.name.removesuffix(f".q{_Q}.gvc") for p in material.glob(f"*.q{_Q}.gvc"))[
        ::_EVERY
    ]
    with opened(str(hour)) as file:
        length = file.frames
    lengths = []
    for name in names:
        with opened(str(material / f"{name}.q{_Q}.gvc")) as clip:
            lengths.append(clip.frames)
    copies = sum(lengths)
    begins = dict(zip(names, np.concatenate([[0], np.cumsum(lengths)[:-1]]).tolist(), strict=True))
    rows = []
    for name in names[:: max(1, len(names) // _ASKED)][:_ASKED]:
        at = lengths[names.index(name)] // 2 + 1
        query = f"{material / f'{name}.q30.gvc'}@{at / 25}"
        began = _of_children()
        done = subprocess.run(
            [sys.executable, "-m", "gvcodec", "search", query, str(hour), "--json"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        found = json.loads(done.stdout)
        frames = [moment["frame"] % copies for moment in found["moments"]]
        begin, end = begins[name], begins[name] + lengths[names.index(name)]
        rows.append(
            {
                "clip": name,
                "seconds": round(_of_children() - began, 2),
                "share": found["bytes_read"] / found["bytes"],
                "first_right": begin <= frames[0] < end,
                "right": sum(begin <= frame < end for frame in frames),
            }
        )
        say(json.dumps(rows[-1]))
    return facts | {
        "seconds_long": length / 25,
        "opening_seconds": round(opening, 3),
        "opening_share": reading / facts["bytes"],
        "ranking_seconds": round(ranking, 3),
        "process_seconds": float(np.median([row["seconds"] for row in rows])),
        "share": max(row["share"] for row in rows),
        "first_right": float(np.mean([row["first_right"] for row in rows])),
        "right_of_five": float(np.mean([row["right"] for row in rows])),
        "questions": rows,
    }


def hour(material: Path, out: Path) -> int:
    """Writes hour.json."""
    found = measured(made(material, out), material)
    write_json(out / "hour.json", found)
    print(json.dumps({key: value for key, value in found.items() if key != "questions"}, indent=1))
    return 0
