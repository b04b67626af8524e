"""Measured points that come with the checkout, so that nobody spends hours on making them again.

`eval/measured/CLIP.json.gz` holds the curves and runs of every codec that was kept for that clip:
numbers, no pictures. A curve of another codec is taken from there only when its key is that of the
one to be made: same samples of the source, same commands and version of the encoder, same targets
and same sampling of the metrics. gvcodec's own are always measured anew.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from eval.tools import EvalError, read_json, write_bytes, write_json

FOLDER = Path(__file__).parents[1] / "measured"
_SOURCE = "source"  # what tables say of the clip itself


def take(clip: str, codec: str, key: str, out: Path) -> bool:
    """Writes the curves of `codec` on `clip` and their runs into the output folder, if they are
    there under `key`. Runs that the output folder has already stay, with their pictures."""
    entry = next((e for e in _read(clip) if e["codec"] == codec and e["key"] == key), None)
    if entry is None:
        return False
    _put(entry, out)
    return True


def _put(entry: dict[str, Any], out: Path) -> None:
    for folder in ("runs", "curves"):
        for name, kept in entry[folder].items():
            path = out / folder / name
            if (read_json(path) or {}).get("key") != kept["key"]:
                write_json(path, kept)


def keep(out: Path) -> str:
    """Puts all curves of an output folder into `FOLDER`; returns a line that says so. Raises
    EvalError."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for path in sorted((out / "curves").glob("*.json")):
        curve = read_json(path)
        if curve is None:
            continue
        if "made_by" not in curve:
            entry = {
                "codec": _SOURCE,
                "key": curve["key"],
                "curves": {path.name: curve | {"crops": []}},
                "runs": {},
            }
            found.setdefault(curve["clip"]["name"], {})[_SOURCE] = entry
            continue
        empty = {"codec": curve["made_by"], "key": curve["key"], "curves": {}, "runs": {}}
        entry = found.setdefault(curve["clip"], {}).setdefault(curve["made_by"], empty)
        entry["curves"][path.name] = curve
        for name in (point["run"] for point in curve["targets"].values() if "run" in point):
            run = read_json(out / "runs" / name)
            if run is None:
                raise EvalError(f"{out}: {name} is missing; run rd again")
            entry["runs"][name] = run | {"crops": []}
    if not found:
        raise EvalError(f"{out}: no curves in it")
    for clip, entries in found.items():
        _write(clip, [e for e in _read(clip) if e["codec"] not in entries] + list(entries.values()))
    names = {name for entries in found.values() for name in entries} - {_SOURCE}
    return f"{FOLDER}: {len(names)} codecs on {len(found)} clips kept"


def _read(clip: str) -> list[dict[str, Any]]:
    try:
        data = gzip.decompress((FOLDER / f"{clip}.json.gz").read_bytes())
    except FileNotFoundError:
        return []
    entries: list[dict[str, Any]] = json.loads(data)
    return entries


def _write(clip: str, entries: list[dict[str, Any]]) -> None:
    text = json.dumps(sorted(entries, key=lambda e: e["codec"]), separators=(",", ":"))
    write_bytes(FOLDER / f"{clip}.json.gz", gzip.compress(text.encode(), mtime=0))
