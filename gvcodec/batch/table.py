"""The table of a batch: `batch.csv`, a row for each file and each of its chunks.

`chunk` is empty in the row of a file. `status`: done, failed, or open. `seconds` of wall and `cpu`
of processor time sum up over chunks, `bpp` leaves out sound, `psnr_y` in dB (inf: exact)
is a mean over frames; `q` is the base's index."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from gvcodec.batch import store
from gvcodec.batch.ledger import Job, Ledger

TABLE = "batch.csv"
COLUMNS = """input output status chunk first frames width height bytes bpp psnr_y
    seconds cpu cores base q fitted base_model painter_model notes error""".split()  # noqa: SIM905


def rows_of(ledger: Ledger, jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Of all jobs, in their order."""
    found: list[dict[str, Any]] = []
    for job in jobs:
        record = ledger.input(job)
        error = job.error or record.get("error", "")
        done = ledger.find_done(record["key"]) if "key" in record else None
        if done is None:
            status = "failed" if error else "open"
            found.append({"input": job.uri, "status": status, "error": error})
            continue
        for row in done["rows"]:
            exact = {"psnr_y": math.inf} if row.get("psnr_y") is None else {}
            found.append(
                row | exact | {"input": job.uri, "status": "done", "notes": "; ".join(row["notes"])}
            )
    return found


def write(ledger: Ledger, jobs: Sequence[Job]) -> None:
    """The table, anew."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows_of(ledger, jobs))
    store.write_bytes(store.join(ledger.out, TABLE), _as_utf8(text.getvalue()))


def summary_of(rows: Sequence[dict[str, Any]]) -> str:
    """How many files are done, failed and open, and their bytes."""
    files = [row for row in rows if row.get("chunk") in (None, "")]
    counts = Counter(row["status"] for row in files)
    total = sum(row["bytes"] for row in files if row["status"] == "done")
    ends = [f"{counts[status]} {status}" for status in ("done", "failed", "open") if counts[status]]
    return f"{', '.join(ends)}; {total:,} bytes"


def _as_utf8(text: str) -> bytes:
    """Names of files as they are on the disk; where one is no UTF-8, its bytes by their numbers."""
    data = text.encode(errors="surrogateescape")
    try:
        data.decode()
    except UnicodeDecodeError:
        return text.encode(errors="backslashreplace")
    return data
