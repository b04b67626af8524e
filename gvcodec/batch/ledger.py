"""The state of a batch on disk, in `OUT/.batch`, from which an interrupted one resumes; its tables.

    jobs/JOB.json      an input: its version, plan, output and rows, or the error that it ended with
    chunks/KEY/N.gvc   a coded chunk; N.gvc.json, written after it, has its row and its hash

JOB is a hash of URI and settings, KEY of these and the content of the input. `OUT/batch.csv` has a
row for each file, `OUT/batch-chunks.csv` for each chunk. `status`: done, incomplete (written;
`error` says why), no gain (not written), stale (kept, coded with other options), refused (in OUT,
since it may not replace its source), failed, or open. `original`: where a replaced source is.
`seconds` of wall and `cpu` of processor time are sums over chunks, `bpp` leaves out sound, `saved`
is the share of `source_bytes` that the file saves, `psnr_y` in dB (inf: exact) is a mean over
frames; `q` is the base's index."""

from __future__ import annotations

import csv
import hashlib
import io
import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gvcodec.batch.tasks import Settings
from gvcodec.errors import OutputError
from gvcodec.util import uris
from gvcodec.util.file_io import write_bytes, write_json
from gvcodec.util.messages import count_noun

#: Bytes of a file may change with it: of how chunks are cut, coded and joined.
_VERSION = 4
#: Bytes that the name of an output may have, without its ending.
_LONGEST = 160
#: Characters of an ending that is kept in the name of an output.
_LONGEST_ENDING = 8
TABLE, CHUNK_TABLE = "batch.csv", "batch-chunks.csv"
COLUMNS = """input output original status frames width height bytes source_bytes saved bpp psnr_y
    seconds cpu cores base q fitted base_model painter_model notes error""".split()  # noqa: SIM905
CHUNK_COLUMNS = """input output chunk first frames bytes bpp psnr_y
    seconds cpu cores q fitted notes""".split()  # noqa: SIM905
#: An output that was coded with other options stays under its name and the new one gets another, it
#: is replaced, or it stays and the input is not coded.
STALE = ("both", "replace", "keep")

#: Parts of a source that a note says were lost, and the words by which it calls them.
_LOSS = re.compile(r"left out|as progressive frames|cannot hold|text alone is kept")
_PARTS = {
    "subtitles": "subtitle", "sound": "sound|audio", "cover": "cover", "attachment": "attachment",
    "other video": r"\bvideo\b(?! is coded)", "data": r"\bdata\b", "timecode": "timecode",
    "alpha": "alpha|transparen", "interlacing": "interlaced", "captions": "caption",
    "tags": "metadata|tag|language|flags|name of a track|chapters",
}  # fmt: skip

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """An input and its settings, or the reason why it cannot be encoded. `folder`: where the output
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
        stem = self._file_name.rsplit(".", 1)[0] or "video"
        while len(os.fsencode(stem)) > _LONGEST:
            stem = stem[:-1]
        return f"{self.folder}/{stem}" if self.folder else stem

    @property
    def output(self) -> str:
        """The name of the output, unless another one has it: `clip.gvc`."""
        return self.stem + self.settings.suffix

    @property
    def full_output(self) -> str:
        """The name if several inputs have this stem: `clip.mp4.gvc`."""
        _, dot, ending = self._file_name.rpartition(".")
        return f"{self.stem}{dot}{ending[:_LONGEST_ENDING]}{self.settings.suffix}"

    @property
    def quality_output(self) -> str:
        """The name next to an output of another quality: `clip-q40.gvc`, if one was asked for."""
        config = self.settings.config
        if self.settings.rate is not None or config.base_q is not None:
            return self.hashed_output
        return f"{self.stem}-q{config.q:g}{self.settings.suffix}"

    @property
    def hashed_output(self) -> str:
        """A name that no other job has."""
        return f"{self.stem}-{self.name[:12]}{self.settings.suffix}"

    @property
    def _file_name(self) -> str:
        return self.uri.rstrip("/").rsplit("/", 1)[-1]


def _hash_of(*what: object) -> str:
    return hashlib.sha256(repr(what).encode()).hexdigest()[:32]


class Ledger:
    """The ledger of the folder or URI `out`. A job's record has its `uri`; of the version of the
    input that was planned `stamp`, `key`, `plan` and `cores`; of the finished file `output`,
    `rows`, `status` and `coded_key`, the key that it was coded for; `error`. `stale`: one of
    `STALE`."""

    def __init__(self, out: str, stale: str = "both") -> None:
        self.out, self._stale = out, stale
        #: Folders of records and of coded chunks.
        self.jobs = uris.join(out, ".batch", "jobs")
        self.chunks = uris.join(out, ".batch", "chunks")
        #: How many jobs of this batch would have an output, in small letters.
        self._names: Counter[str] = Counter()
        #: Stale records that count as results, by the name of the job.
        self._stale_records: dict[str, Row] = {}

    def open(self, jobs: Sequence[Job]) -> None:
        """Create OUT, its folders and the tables for these jobs, before any work on them. Raises
        `OutputError` if one of them cannot be written."""
        if not uris.is_uri(self.out):
            for folder in (self.jobs, self.chunks):
                try:
                    os.makedirs(folder, exist_ok=True)
                except OSError as error:
                    raise OutputError.of(folder, error) from error
        names = (job.output.casefold() for job in jobs)
        full_names = (job.full_output.casefold() for job in jobs)
        quality_names = (job.quality_output.casefold() for job in jobs)
        self._names = Counter([*names, *full_names, *quality_names])
        if self._stale != "both":
            self._settle_stale(jobs)
        self.write_table(jobs)

    def list_stale(self, jobs: Sequence[Job]) -> dict[str, list[tuple[str, Row]]]:
        """For each job without an output, by its name: files and contents of records of the same
        input and kind of output with other options, or of another release, whose outputs exist."""
        names = {job.name for job in jobs}
        records: dict[str, list[tuple[str, Row]]] = {}
        for path in uris.list_folder(self.jobs):
            name = path.rsplit("/", 1)[-1].removesuffix(".json")
            record = None if name in names else uris.read_json(path)
            if not record or "output" not in record or "original" in record:
                continue
            if uris.size_of(uris.join(self.out, record["output"])) is not None:
                records.setdefault(record["uri"], []).append((path, record))
        stale = {}
        for job in jobs:
            same = [
                (path, record)
                for path, record in records.get(job.uri, ())
                if record["output"].endswith(job.settings.suffix)
            ]
            if same and "output" not in self.record(job):
                # The record with the plain name is replaced first.
                stale[job.name] = sorted(same, key=lambda entry: entry[1]["output"] != job.output)
        return stale

    def _settle_stale(self, jobs: Sequence[Job]) -> None:
        """Count stale records as results of their jobs, or give their outputs to these jobs."""
        reused = set()
        for name, records in self.list_stale(jobs).items():
            path, record = next(((p, r) for p, r in records if p not in reused), ("", {}))
            if not record:
                continue
            reused.add(path)
            if self._stale == "keep":
                rows = record.get("rows", [{}])
                error = "coded with other options or by another release"
                stale_row = {"status": "stale", "error": error, "rows": rows}
                self._stale_records[name] = record | stale_row
                continue
            job = next(job for job in jobs if job.name == name)
            self.update(job, output=record["output"])
            uris.remove_file(path)

    def is_stale(self, job: Job) -> bool:
        """Whether a stale output counts as the result of this job."""
        return job.name in self._stale_records

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

    def forget(self, job: Job) -> None:
        """Remove the record of a job."""
        uris.remove_file(self._path(job))

    def finish(self, job: Job, key: str, status: str, error: str, **result: Any) -> None:
        """The work on the version `key` is done; its chunks go. `result`: `output` and `rows`."""
        self.update(job, status=status, error=error, coded_key=key, **result)
        uris.remove_folder(self.chunk_folder(key))

    def final_record(self, job: Job) -> Row | None:
        """The record, if the planned version is done and its file still there."""
        if job.name in self._stale_records:
            return self._stale_records[job.name]
        record = self.record(job)
        if record.get("coded_key") is None or record["coded_key"] != record.get("key"):
            return None
        if record["status"] == "no gain":
            return record | {"rows": [{}]}
        size = uris.size_of(self.path_of(record))
        return record if size == record["rows"][0]["bytes"] else None

    def output_of(self, job: Job) -> str:
        """The name of the file: a job replaces its own. If several inputs have one stem, their own
        endings stay in front of ours; if that is not enough, or another file has the name, the
        quality follows it, or the beginning of a hash."""
        record = self.record(job)
        if "output" in record:
            return str(record["output"])
        names = (job.output, job.full_output, job.quality_output)
        own = [name for name in names if self._names[name.casefold()] <= 1]
        for name in dict.fromkeys((*own[:1], *own[-1:])):
            if uris.size_of(uris.join(self.out, name)) is None:
                return name
        return job.hashed_output

    def path_of(self, record: Row) -> str:
        """The coded file of a record: in OUT, or where its source was."""
        output = str(record["output"])
        return output if output.startswith("/") else uris.join(self.out, output)

    def chunk_folder(self, key: str) -> str:
        return uris.join(self.chunks, key)

    def chunk_path(self, key: str, name: str) -> str:
        return uris.join(self.chunk_folder(key), f"{name}.gvc")

    def rows(self, jobs: Sequence[Job]) -> list[Row]:
        """Rows of both tables, of all jobs in their order; those of chunks have a `chunk`."""
        rows: list[Row] = []
        for job in jobs:
            record = self.final_record(job)
            if record is None:
                error = job.error or self.record(job).get("error", "")
                status = "failed" if error else "open"
                rows.append({"input": job.uri, "status": status, "error": error})
                continue
            same = {"input": job.uri, "status": record["status"], "error": record["error"]}
            if "original" in record:
                same |= {"output": record["output"], "original": record["original"]}
            for row in record["rows"]:
                exact = {"psnr_y": math.inf} if row.get("psnr_y", 0) is None else {}
                saved = {}
                if row.get("source_bytes"):
                    saved["saved"] = round(1 - row["bytes"] / row["source_bytes"], 4)
                notes = "; ".join(row.get("notes", ()))
                rows.append(row | exact | saved | same | {"notes": notes})
        return rows

    def write_table(self, jobs: Sequence[Job]) -> None:
        """Write the tables of files and chunks. Raises `OutputError`."""
        rows = self.rows(jobs)
        for name, columns in ((TABLE, COLUMNS), (CHUNK_TABLE, CHUNK_COLUMNS)):
            text = io.StringIO(newline="")
            writer = csv.DictWriter(text, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(row for row in rows if is_file(row) == (name == TABLE))
            # Names of files that are no UTF-8 are written as their bytes, and the table is UTF-8.
            data = text.getvalue().encode(errors="backslashreplace")
            write_bytes(uris.join(self.out, name), data, self.out)

    def _path(self, job: Job) -> str:
        return uris.join(self.jobs, f"{job.name}.json")


def is_file(row: Row) -> bool:
    """Whether a row is of a file, not of a chunk."""
    return row.get("chunk") is None


def summary_of(rows: Sequence[Row]) -> str:
    """How many files are in which state, the bytes of written files, and the share of
    their sources that is saved."""
    files = list(filter(is_file, rows))
    counts = Counter(row["status"] for row in files)
    ends = ", ".join(f"{count} {status}" for status, count in counts.items())
    written = [row for row in files if "bytes" in row]
    total = sum(row["bytes"] for row in written)
    sourced = [row for row in written if row.get("source_bytes")]
    if not sourced:
        return f"{ends}; {total:,} bytes"
    source, coded = (sum(row[name] for row in sourced) for name in ("source_bytes", "bytes"))
    share = f"{total:,} bytes of {source:,} in the sources"
    if len(sourced) < len(written):
        share = f"{total:,} bytes, of {len(sourced)} whole files {coded:,} of {source:,}"
    change = 100 * (1 - coded / source)
    return f"{ends}; {share}, {abs(change):.1f} % {'saved' if change >= 0 else 'more'}"


def losses_of(rows: Sequence[Row]) -> str:
    """How many files lost which parts of their sources by their notes, "" = none."""
    counts: Counter[str] = Counter()
    files = 0
    for row in filter(is_file, rows):
        notes = [note for note in str(row.get("notes", "")).split("; ") if _LOSS.search(note)]
        parts = {part for note in notes for part, words in _PARTS.items() if re.search(words, note)}
        counts.update(parts or ({"other"} if notes else ()))
        files += bool(notes)
    parts_lost = ", ".join(f"{part} {count}" for part, count in counts.most_common())
    return f"{count_noun(files, 'file')} lost something: {parts_lost}" if files else ""
