"""The state of a batch on disk, in `OUT/.batch`, from which an interrupted one resumes; its table.

    jobs/JOB.json      an input: its version, plan, output and rows, or the error that it ended with
    chunks/KEY/N.gvc   a coded chunk; N.gvc.json, written after it, has its row and its hash

JOB is made of URI and settings, KEY of these and the content of the input. `OUT/batch.csv` has a
row for each file and each of its chunks; `chunk` is empty in the row of a file. `status`: done,
incomplete (written; `error` says why), no gain (not written), failed, or open. `seconds` of wall
and `cpu` of processor time sum up over chunks, `bpp` leaves out sound, `psnr_y` in dB (inf: exact)
is a mean over frames; `q` is the base's index."""

from __future__ import annotations

import csv
import hashlib
import io
import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gvcodec.batch.tasks import Settings
from gvcodec.errors import OutputError
from gvcodec.util import uris
from gvcodec.util.file_io import write_bytes, write_json

#: Bytes of a file may change with it: of how chunks are cut, coded and joined.
_VERSION = 4
#: Bytes that the name of an output may have, without its ending.
_LONGEST = 160
TABLE = "batch.csv"
COLUMNS = """input output status chunk first frames width height bytes bpp psnr_y
    seconds cpu cores base q fitted base_model painter_model notes error""".split()  # noqa: SIM905

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """An input and what it is to be encoded with, or why it cannot be. `folder`: where the output
    goes within that of the batch."""

    uri: str
    settings: Settings
    error: str = ""
    folder: str = ""

    @property
    def name(self) -> str:
        return _hash_of(self.uri, self.settings)

    def key(self, content: str) -> str:
        return _hash_of(_VERSION, self.uri, content, self.settings)

    @property
    def stem(self) -> str:
        """The output without its ending: the name of the source, as far as names may be long."""
        stem = self.uri.rstrip("/").rsplit("/", 1)[-1].rsplit(".", 1)[0] or "video"
        while len(os.fsencode(stem)) > _LONGEST:
            stem = stem[:-1]
        return f"{self.folder}/{stem}" if self.folder else stem


def _hash_of(*what: object) -> str:
    return hashlib.sha256(repr(what).encode()).hexdigest()[:32]


class Ledger:
    """Of the folder or URI `out`. A job's record has its `uri`; of the version of the input that
    was planned `stamp`, `key`, `plan` and `cores`; of the file that is finished `output`, `rows`,
    `status` and `made`, the key that it was made for; `error`."""

    def __init__(self, out: str) -> None:
        self.out = out
        #: Folders of records and of coded chunks.
        self.jobs = uris.join(out, ".batch", "jobs")
        self.chunks = uris.join(out, ".batch", "chunks")
        #: Stems that several inputs of this batch have, in small letters.
        self._shared: set[str] = set()

    def open(self, jobs: Sequence[Job]) -> None:
        """Create OUT, its folders and the table for these jobs, before any work on them. Raises
        `OutputError` if one of them cannot be written."""
        if not uris.is_uri(self.out):
            for folder in (self.jobs, self.chunks):
                try:
                    os.makedirs(folder, exist_ok=True)
                except OSError as error:
                    raise OutputError.of(folder, error) from error
        self._name_outputs(jobs)
        self.write_table(jobs)

    def raise_final(self, error: OutputError) -> None:
        """Raises `OutputError` if no other file can be written either."""
        if not uris.is_uri(self.out) and not os.path.isdir(self.jobs):
            raise OutputError(f"{self.out}: was removed, or .batch in it, while files were coded")
        if error.is_final:
            raise error

    def _name_outputs(self, jobs: Sequence[Job]) -> None:
        """Outputs of jobs with the same name get a suffix."""
        stems = Counter(job.stem.casefold() for job in jobs)
        self._shared = {stem for stem, count in stems.items() if count > 1}

    def record(self, job: Job) -> Row:
        return uris.read_json(self._path(job)) or {}

    def update(self, job: Job, **values: Any) -> Row:
        """Add these values to the record of a job. Raises `OutputError`."""
        record = {"uri": job.uri} | self.record(job) | values
        try:
            write_json(self._path(job), record, self.jobs)
        except OutputError as error:
            self.raise_final(error)
            raise
        return record

    def finish(self, job: Job, key: str, status: str, error: str, **result: Any) -> None:
        """The work on the version `key` is done; its chunks go. `result`: `output` and `rows`."""
        self.update(job, status=status, error=error, made=key, **result)
        uris.remove_folder(self.chunk_folder(key))

    def finished(self, job: Job) -> Row | None:
        """The record, where the planned version is done and its file still there."""
        record = self.record(job)
        if record.get("made") is None or record["made"] != record.get("key"):
            return None
        if record["status"] == "no gain":
            return record | {"rows": [{}]}
        size = uris.size_of(uris.join(self.out, record["output"]))
        return record if size == record["rows"][0]["bytes"] else None

    def output_of(self, job: Job) -> str:
        """The name of the file: a job replaces its own. The beginning of a hash follows where
        another input of the batch, or a file that is there already, has that name."""
        record = self.record(job)
        if "output" in record:
            return str(record["output"])
        plain = f"{job.stem}.gvc"
        is_free = uris.size_of(uris.join(self.out, plain)) is None
        if is_free and job.stem.casefold() not in self._shared:
            return plain
        return f"{job.stem}-{job.name[:12]}.gvc"

    def chunk_folder(self, key: str) -> str:
        return uris.join(self.chunks, key)

    def chunk_path(self, key: str, name: str) -> str:
        return uris.join(self.chunk_folder(key), f"{name}.gvc")

    def rows(self, jobs: Sequence[Job]) -> list[Row]:
        """Rows of the table, of all jobs in their order."""
        rows: list[Row] = []
        for job in jobs:
            record = self.finished(job)
            if record is None:
                error = job.error or self.record(job).get("error", "")
                status = "failed" if error else "open"
                rows.append({"input": job.uri, "status": status, "error": error})
                continue
            same = {"input": job.uri, "status": record["status"], "error": record["error"]}
            for row in record["rows"]:
                exact = {"psnr_y": math.inf} if row.get("psnr_y", 0) is None else {}
                rows.append(row | exact | same | {"notes": "; ".join(row.get("notes", ()))})
        return rows

    def write_table(self, jobs: Sequence[Job]) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(self.rows(jobs))
        # Names of files that are no UTF-8 are written as their bytes where the table stays UTF-8.
        data = text.getvalue().encode(errors="backslashreplace")
        write_bytes(uris.join(self.out, TABLE), data, self.out)

    def _path(self, job: Job) -> str:
        return uris.join(self.jobs, f"{job.name}.json")


def summary_of(rows: Sequence[Row]) -> str:
    """How many files are in which state, and the bytes of those that are done."""
    files = [row for row in rows if row.get("chunk") in (None, "")]
    counts = Counter(row["status"] for row in files)
    total = sum(row["bytes"] for row in files if "bytes" in row)
    ends = [f"{count} {status}" for status, count in counts.items()]
    return f"{', '.join(ends)}; {total:,} bytes"
