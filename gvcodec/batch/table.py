"""The table of a batch, a row for each file and each of its chunks: `batch.csv`, and
`batch.parquet` where pyarrow is there.

`chunk` is empty in the row of a file. `status`: done, failed, or open. `seconds` of wall and `cpu`
of processor time sum up over chunks, `bpp` leaves out sound, `psnr_y` in dB, `lpips` (VGG)
are means over frames; `q` is the base's index."""

from __future__ import annotations

import csv
import importlib.util
import io
from dataclasses import dataclass
from typing import Any

from gvcodec.batch import store
from gvcodec.batch.ledger import Ledger
from gvcodec.util.messages import counted

COLUMNS: dict[str, type] = {
    "input": str,
    "output": str,
    "status": str,
    "chunk": int,
    "first": int,
    "frames": int,
    "width": int,
    "height": int,
    "bytes": int,
    "bpp": float,
    "psnr_y": float,
    "lpips": float,
    "seconds": float,
    "cpu": float,
    "cores": int,
    "base": str,
    "q": float,
    "fitted": int,
    "base_model": str,
    "painter_model": str,
    "notes": str,
    "error": str,
}


def rows_of(ledger: Ledger) -> list[dict[str, Any]]:
    """Of all inputs of the last run, in their order."""
    found: list[dict[str, Any]] = []
    for job in ledger.read_jobs() or []:
        record = ledger.input(job["name"])
        error = job["error"] or record.get("error", "")
        done = ledger.done(record["key"]) if "key" in record else None
        if done is None:
            status = "failed" if error else "open"
            found.append({"input": job["uri"], "status": status, "error": error})
            continue
        for row in done["rows"]:
            found.append(
                row | {"input": job["uri"], "status": "done", "notes": "; ".join(row["notes"])}
            )
    return found


def write(ledger: Ledger) -> None:
    """Both, anew."""
    rows = rows_of(ledger)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    store.write_bytes(store.joined(ledger.out, "batch.csv"), text.getvalue().encode())
    if importlib.util.find_spec("pyarrow") is not None:
        store.write_bytes(store.joined(ledger.out, "batch.parquet"), _parquet(rows))


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    kinds = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64()}
    schema = pyarrow.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])
    columns = {
        name: [None if row.get(name) is None else kind(row[name]) for row in rows]
        for name, kind in COLUMNS.items()
    }
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns, schema), sink)
    return sink.getvalue()


@dataclass(frozen=True, slots=True)
class Status:
    """Files by what they are, frames of those that are planned, chunks that are coded."""

    done: int
    failed: int
    open: int
    frames_done: int
    frames_open: int
    cpu: float

    def line(self) -> str:
        parts = [f"{counted(self.done, 'file')} done"]
        parts += [f"{self.failed} failed"] * (self.failed > 0) + [f"{self.open} open"] * (
            self.open > 0
        )
        frames = f"{counted(self.frames_done, 'frame')} coded"
        if self.frames_open:
            left = self.cpu / max(1, self.frames_done) * self.frames_open
            frames += f", {self.frames_open} to go (about {left:.0f} core-seconds)"
        return f"{', '.join(parts)}; {frames}"


def status_of(ledger: Ledger) -> Status:
    """How far a batch is, from what its workers have written."""
    count = {"done": 0, "failed": 0, "open": 0}
    coded = planned = 0
    cpu = 0.0
    for job in ledger.read_jobs() or []:
        record = ledger.input(job["name"])
        done = ledger.done(record["key"]) if "key" in record else None
        if done is not None:
            count["done"] += 1
            planned += done["rows"][0]["frames"]
            coded += done["rows"][0]["frames"]
            cpu += done["rows"][0]["cpu"]
            continue
        count["failed" if job["error"] or record.get("error") else "open"] += 1
        if "plan" in record and not record.get("error"):
            rows = [row for row in ledger.results(record["key"]).values() if "cpu" in row]
            planned += sum(chunk["frames"] for chunk in record["plan"]["chunks"])
            coded += sum(row["frames"] for row in rows)
            cpu += sum(row["cpu"] for row in rows)
    return Status(**count, frames_done=coded, frames_open=max(0, planned - coded), cpu=cpu)
