"""An hour of search: `python -m eval search MATERIAL --manifest CSV --hour CLIPS --out DIR`.

The shipped embedder searches an hour of the same clips, files and commands as a user has them;
clips are also asked for among the moments of one place, where an action alone tells them apart:
those of the same clip, and of a photo's clip those of its reverse."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eval.search import CLIPS, NEAR, Asked, Joined, Method, answer, mean_of, sum_up, twins_of
from eval.tools import ffmpeg
from gvcodec.bitstream import Reader
from gvcodec.media.reader import VideoReader
from gvcodec.retrieval.embedders import CHECKPOINT, DEFAULT, find_shipped, make
from gvcodec.retrieval.files import open_summarised
from gvcodec.retrieval.making import summarize
from gvcodec.util.file_io import PendingFile
from training.summary_material import QUALITIES, RATE


def hour(material: Path, clips: Path, seconds: int, count: int, out: Path) -> dict[str, Any]:
    """`gvcodec search` in a joined stream of so many seconds: the streams of the lowest quality,
    one after another and from the beginning again. `count` moments of clips that the shipped
    embedder has not learned from are asked for twice each: by a time of the source video, and by a
    second of it, coded anew by x264."""
    from gvcodec.api.moments import search
    from gvcodec.streams.cat import cat

    out.mkdir(parents=True, exist_ok=True)
    parts = _summarised(material, out)
    every = [path for path, _ in parts]
    starts = np.cumsum([0, *(frames for _, frames in parts)])
    joined = out / "hour.gvc"
    if not joined.is_file():
        cat(every * math.ceil(seconds * RATE / int(starts[-1])), joined)
    card = json.loads(find_shipped(CHECKPOINT).with_suffix(".json").read_text())
    names = [path.stem for path in every]
    asked = [name for name in card["held_out_clips"] if (clips / f"{name}.mp4").is_file()]
    rng = np.random.default_rng(0)
    rows = []
    for number in range(count):
        name = asked[number % len(asked)]
        place = names.index(name)
        frames = int(starts[place + 1] - starts[place])
        at = int(rng.integers(0, frames - RATE // 2))
        source = clips / f"{name}.mp4"
        with VideoReader(source) as reader:
            rate = float(reader.format.frame_rate)
        piece = out / "asked.mp4"
        _recode(source, at / rate, piece)
        for kind, query in (("frame", f"{source}@{at / rate:.4f}"), ("clip", str(piece))):
            began = time.perf_counter()
            found = search(query, joined, count=5, exact=1, threads=2)
            rows.append({"kind": kind, "wall": time.perf_counter() - began})
            rows[-1]["read"] = found.bytes_read / found.bytes
            places = [moment.frame % int(starts[-1]) for moment in found.moments]
            owners = [int(np.searchsorted(starts, n, "right")) - 1 for n in places]
            rows[-1]["recall@1"] = owners[0] == place
            off = abs(places[0] - int(starts[place]) - at) / RATE
            rows[-1]["seconds"] = off if owners[0] == place else math.inf
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "gvcodec", "search", query, joined], check=True)
    facts = _sum_up_hour(rows, joined, int(starts[-1])) | {"command": time.perf_counter() - began}
    embedder = make(DEFAULT)
    with open_summarised(str(joined)) as file:
        own = file.vectors[embedder.id]
    once = own.frames < starts[-1]  # then all comes again
    part = Joined(own.values[once], own.frames[once], starts[:-1], int(starts[-1]), 0, 1)
    held = [name for name in card["held_out_clips"] if name in names]
    place = ask_in_place(part, Method(embedder.compress), material, names, held)
    return facts | {"same place": place}


def ask_in_place(
    joined: Joined, method: Method, material: Path, names: list[str], held: Sequence[str]
) -> dict[str, Any]:
    """Figures of the clips that the material asks for of those `held` out, among the moments of one
    place. `names`: of all clips of the joined file."""
    owners, twins = joined.owners(), twins_of(names)
    rows, chance = [], []
    for name in held:
        place = names.index(name)
        frames = joined.frames[owners == place] - int(joined.starts[place])
        with np.load(material / f"{name}.npz") as kept:
            for kind, tokens in zip(CLIPS, kept["asked_clips"], strict=True):
                for one, at in zip(tokens, kept["clips_at"].tolist(), strict=True):
                    asked = Asked(kind, method.vectors(one), place, at)
                    rows.append(answer(asked, method.rank(asked.vectors, joined), joined, twins))
                    chance.append((np.abs(frames - at) <= NEAR * RATE).mean())
    found = sum_up(rows)
    return {
        "questions": len(rows),
        "recall@1": found["clip recall@1"],
        "within 0.2 s": found["clip near"],
        "within 0.2 s by chance": mean_of(chance),
        "before its reverse": found["order"],
        "of these": sum(row["order"] is not None for row in rows),
    }


def _summarised(material: Path, out: Path) -> list[tuple[Path, int]]:
    """Streams with summaries by the shipped embedder, and their frames."""
    embedder = make(DEFAULT)
    found = []
    for path in sorted(material.glob(f"*.q{max(QUALITIES)}.gvc")):
        target = out / f"{path.name.split('.q')[0]}.gvc"
        data = io.BytesIO(path.read_bytes())
        if not target.is_file():
            with PendingFile(target, False) as pending, open(pending.temporary, "wb") as file:
                summarize(Reader(data, path.name), file, embedder)
            data.seek(0)
        found.append((target, sum(gop.frames for gop in Reader(data, path.name).gops())))
    return found


def _recode(source: Path, at: float, target: Path) -> None:
    """A second of a video by x264 at low quality."""
    command = [ffmpeg(), "-y", "-v", "error", "-ss", f"{at:.4f}", "-i", str(source), "-t", "1"]
    subprocess.run([*command, "-an", "-crf", "38", str(target)], check=True)


def _sum_up_hour(rows: list[dict[str, Any]], joined: Path, distinct: int) -> dict[str, Any]:
    facts: dict[str, Any] = {"bytes": joined.stat().st_size, "distinct seconds": distinct / RATE}
    for kind in ("frame", "clip"):
        own = [row for row in rows if row["kind"] == kind]
        facts[kind] = {
            "questions": len(own),
            "recall@1": float(np.mean([row["recall@1"] for row in own])),
            "median seconds off": float(np.median([row["seconds"] for row in own])),
            "within 0.2 s": float(np.mean([row["seconds"] <= NEAR for row in own])),
            "median wall": float(np.median([row["wall"] for row in own])),
            "bytes read": float(np.mean([row["read"] for row in own])),
        }
    return facts
