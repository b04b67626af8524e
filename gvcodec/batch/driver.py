"""Runs a batch on one engine: plans each file, encodes its chunks, joins them, writes the table.

A file with a budget (size, bitrate, bits a pixel) is one chunk, with its sound.
With a target the middle chunk is coded first, and its quality is in the header."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import Any

from gvcodec.batch import tasks
from gvcodec.batch.engines import AHEAD, Engine, Task
from gvcodec.batch.join import join, replace_source
from gvcodec.batch.ledger import Job, Ledger, Row
from gvcodec.batch.tasks import Plan
from gvcodec.edit.copy_check import ReplaceRules
from gvcodec.edit.replace import target_path
from gvcodec.errors import GvcodecError, OutputError
from gvcodec.rate.target import DECIDES
from gvcodec.util import uris
from gvcodec.util.progress import ProgressBar

#: Seconds between two tables while files are being coded.
_TABLE_SECONDS = 30.0
_CHANGED = "the input changed while it was coded"


class FrameCount:
    """Progress of a batch, for its bar: the frames of one file; of several the share of their
    bytes, since a file's frames are not known before its turn comes."""

    def __init__(self, bar: ProgressBar, jobs: Sequence[Job]) -> None:
        self._bar, self._files, self._coded, self._finished = bar, len(jobs), 0, 0
        self._sizes = _sizes_of(jobs)
        self._total, self._done = float(sum(self._sizes.values())), 0.0
        #: Frames of the files whose turn has come, and those that are coded.
        self._planned: dict[str, int] = {}
        self._coded_of: Counter[str] = Counter()
        #: Each file is led by a thread.
        self._turn = threading.Lock()
        bar.begin("encode", None)

    def plan(self, job: Job, frames: int) -> None:
        """The number of frames of a file."""
        with self._turn:
            self._planned[job.name] = frames

    def add(self, job: Job, frames: int) -> None:
        with self._turn:
            self._coded += frames
            before = self._share_of(job)
            self._coded_of[job.name] += frames
            self._done += (self._share_of(job) - before) * self._sizes[job.name]
            self._show()

    def finish(self, job: Job) -> None:
        """A file is coded or has failed; if it was not planned, it does not count."""
        with self._turn:
            self._finished += 1
            if job.name not in self._planned:
                self._total -= self._sizes[job.name]
            else:
                self._done += (1 - self._share_of(job)) * self._sizes[job.name]
            if self._coded:
                self._show()

    def _share_of(self, job: Job) -> float:
        return min(1.0, self._coded_of[job.name] / max(1, self._planned[job.name]))

    def _show(self) -> None:
        if self._files == 1:
            self._bar.expect(max(sum(self._planned.values()), self._coded))
            self._bar.coded(self._coded, 0)
        else:
            share = self._done / self._total if self._total else 1.0
            files = f"{self._finished} of {self._files} files"
            self._bar.done_share(min(1.0, share), self._coded, files)


def _sizes_of(jobs: Sequence[Job]) -> dict[str, int]:
    """Bytes of sources by their jobs, 1 each if one of them is not a file of this machine."""
    is_local = not any(uris.is_uri(job.uri) for job in jobs)
    return {job.name: (uris.size_of(job.uri) or 1) if is_local else 1 for job in jobs}


class Driver:
    """Runs one batch. `on_end`: called for every file with its error, "" = none. `errors`: by the
    names of the jobs that failed. `fail_fast`: the first of these ends the batch. `rules`: finished
    files take the places of their sources by these, None = they stay in OUT."""

    def __init__(
        self,
        engine: Engine,
        ledger: Ledger,
        count: FrameCount | None = None,
        on_end: Callable[[Job, str], None] | None = None,
        fail_fast: bool = False,
        rules: ReplaceRules | None = None,
    ) -> None:
        self.engine, self.ledger, self._count, self._on_end = engine, ledger, count, on_end
        self._fail_fast, self._rules = fail_fast, rules
        self.errors: dict[str, str] = {}
        self._stopped = threading.Event()

    def run(self, jobs: Sequence[Job]) -> None:
        """Encode all that is not done yet; files that failed are in `errors` and in the table.
        Raises `OutputError` if OUT cannot be written, after which no task runs any more."""
        self.ledger.open(jobs)
        self._targets = targets_of(jobs)
        waiting, outcomes = SimpleQueue[Job](), SimpleQueue[tuple[Job, str | BaseException]]()
        for job in jobs:
            waiting.put(job)
        try:
            for _ in range(min(len(jobs), AHEAD * self.engine.cores)):
                threading.Thread(
                    target=self._encode_all, args=(waiting, outcomes), name="files", daemon=True
                ).start()
            self._collect(jobs, outcomes)
        finally:
            self._stopped.set()
        self.ledger.write_table(jobs)

    def _encode_all(self, waiting: SimpleQueue[Job], outcomes: SimpleQueue[Any]) -> None:
        """Encode files one after another until none waits. An exception of any kind reaches the
        main thread, which otherwise would wait for ever."""
        while not self._stopped.is_set():
            try:
                job = waiting.get_nowait()
            except Empty:
                return
            try:
                outcomes.put((job, self._encode(job)))
            except BaseException as error:  # noqa: BLE001 (raised again by the main thread)
                outcomes.put((job, error))
                return

    def _collect(self, jobs: Sequence[Job], outcomes: SimpleQueue[Any]) -> None:
        """Wait for the outcome of every file; write the table now and then."""
        due, finished = time.monotonic() + _TABLE_SECONDS, 0
        while finished < len(jobs):
            with contextlib.suppress(Empty):
                job, outcome = outcomes.get(timeout=_TABLE_SECONDS)
                if isinstance(outcome, BaseException):
                    raise outcome
                self._finish(job, outcome)
                finished += 1
                if outcome and self._fail_fast:
                    return
            if time.monotonic() > due:
                # A table that another program holds open is written later.
                with contextlib.suppress(OutputError):
                    self.ledger.write_table(jobs)
                due = time.monotonic() + _TABLE_SECONDS

    def _encode(self, job: Job) -> str:
        """Encode a file unless it is done; the error message, "" = none. Raises `OutputError`."""
        if job.error:
            return job.error
        if self.ledger.is_stale(job):
            return ""
        if "original" in self.ledger.record(job):
            # It was replaced, and there is a new file of its name.
            self.ledger.forget(job)
        record: Row = {}
        try:
            record = self._plan(job)
            if self.ledger.final_record(job) is None:
                self._encode_planned(job, record)
            if self._rules is not None:
                self._replace(job, self._rules)
        except GvcodecError as error:
            if isinstance(error, OutputError):
                self.ledger.raise_final(error)
            changed = "stamp" in record and _has_changed(job, record)
            return _CHANGED if changed else str(error)
        return ""

    def _finish(self, job: Job, error: str) -> None:
        if error:
            if job.uri not in error:
                error = f"{job.uri}: {error}"
            self.errors[job.name] = error
            self.ledger.update(job, error=error)
        if self._count is not None:
            self._count.finish(job)
        if self._on_end is not None:
            self._on_end(job, error)

    def _plan(self, job: Job) -> Row:
        """The record with the plan of the input as it is now."""
        record = self.ledger.record(job)
        if "plan" in record and not _has_changed(job, record):
            return record
        task = Task(tasks.plan, {"uri": job.uri, "settings": job.settings})
        (planned,) = self._perform([task])
        key = job.key(planned.pop("content"))
        if record.get("key", key) != key:
            uris.remove_folder(self.ledger.chunk_folder(record["key"]))
        return self.ledger.update(job, key=key, **planned)

    def _encode_planned(self, job: Job, record: Row) -> None:
        plan, rate = Plan.unpack(record["plan"]), job.settings.rate
        if self._count is not None:
            self._count.plan(job, plan.frames)
        numbers, header_q = range(len(plan.chunks)), None
        if rate is not None and not rate.is_global and len(numbers) > 1:
            # The index that meets the target in the middle of the video.
            middle = len(numbers) // 2
            (row,) = self._code(job, record, {middle: f"usual-{middle:05d}"})
            header_q = round(row["q"])
        names = {number: f"{number:05d}" for number in numbers}
        rows = self._code(job, record, names, header_q)
        output = self.ledger.output_of(job)
        arguments = self._common(job, record) | {
            "root": self.ledger.out,
            "chunks": [self.ledger.chunk_path(record["key"], name) for name in names.values()],
            "output": uris.join(self.ledger.out, output),
        }
        (file_row,) = self._perform([Task(join, arguments, record["cores"])])
        if "no gain" in file_row:
            self.ledger.finish(job, record["key"], "no gain", file_row["no gain"])
            return
        file_row["notes"] = [*record.get("notes", ()), *file_row["notes"]]
        table = _table_of(job, plan, file_row, rows, output)
        missing = _CHANGED if _has_changed(job, record) else table[0]["incomplete"]
        status = "incomplete" if missing else "done"
        self.ledger.finish(job, record["key"], status, missing, output=output, rows=table)

    def _replace(self, job: Job, rules: ReplaceRules) -> None:
        """Replace a source by its finished file, unless that is done; a reason against it goes into
        the record."""
        record = self.ledger.record(job)
        if record["status"] not in ("done", "refused"):
            return
        if rules.keep:
            rules = replace(rules, keep=uris.join(rules.keep, job.folder).rstrip("/"))
        arguments = {
            "job": job,
            "key": record["coded_key"],
            "coded": self.ledger.path_of(record),
            "coded_hash": record["rows"][0].get("sha256"),
            "target": self._targets[job.name],
            "rules": rules,
        }
        (outcome,) = self._perform([Task(replace_source, arguments, record["cores"])])
        if "refused" in outcome:
            status, error = "refused", outcome["refused"]
            self.ledger.update(job, status=status, error=error, lost=outcome["lost"])
        else:
            self.ledger.update(job, status="done", error="", lost=[], **outcome)

    def _code(
        self, job: Job, record: Row, names: dict[int, str], header_q: int | None = None
    ) -> list[Row]:
        """Rows of chunks by their numbers and names; chunks of an earlier run stay."""
        places = {n: self.ledger.chunk_path(record["key"], name) for n, name in names.items()}
        rows = {number: tasks.find_coded(place) for number, place in places.items()}
        missing = [number for number, row in rows.items() if row is None]
        common = self._common(job, record) | {"header_q": header_q, "root": self.ledger.chunks}
        arguments = [common | {"number": number, "output": places[number]} for number in missing]
        to_encode = [Task(tasks.encode, each, record["cores"]) for each in arguments]
        coded = self._perform(to_encode, job)
        rows |= zip(missing, coded, strict=True)
        return [row for row in rows.values() if row is not None]

    def _common(self, job: Job, record: Row) -> Row:
        """Arguments that all tasks on a planned file have."""
        settings = job.settings
        if "zones" in record:
            settings = replace(settings, config=replace(settings.config, zones=record["zones"]))
        plan, cores = Plan.unpack(record["plan"]), record["cores"]
        return {"uri": job.uri, "settings": settings, "plan": plan, "cores": cores}

    def _perform(self, tasks_to_run: Iterable[Task], job: Job | None = None) -> list[Any]:
        """Values of tasks, in their order; `job`: the one whose frames they code. Raises
        `TaskError` or `OutputError` once one fails, `CancelledError` once the engine closes."""
        futures = [self.engine.submit(task) for task in tasks_to_run]
        # Unlike `as_completed`, a callback also reports cancelled futures.
        results = SimpleQueue[Future[Any]]()
        for future in futures:
            future.add_done_callback(results.put)
        try:
            for _ in futures:
                future = results.get()
                value = future.result()
                if self._count is not None and job is not None:
                    self._count.add(job, value["frames"])
        finally:
            for future in futures:
                future.cancel()
        return [future.result() for future in futures]


def targets_of(jobs: Sequence[Job]) -> dict[str, str]:
    """For each job, by its name, the file that takes the place of its source: with the ending of
    the source in front of ours if several sources in a folder have one stem."""
    plain = {job.name: target_path(job.uri, job.settings.suffix) for job in jobs}
    counts = Counter(target.casefold() for target in plain.values())
    return {
        job.name: plain[job.name]
        if counts[plain[job.name].casefold()] == 1
        else job.uri + job.settings.suffix
        for job in jobs
    }


def _has_changed(job: Job, record: Row) -> bool:
    """Whether the input is no longer the version that was planned."""
    return bool(uris.version_stamp(job.uri) != record["stamp"])


def _table_of(job: Job, plan: Plan, file_row: Row, chunks: Sequence[Row], output: str) -> list[Row]:
    """Rows of the table: the file's, then those of its chunks."""
    settings = job.settings
    same = {
        "output": output,
        "width": plan.width,
        "height": plan.height,
        "base": settings.config.base,
        "base_model": settings.base_model,
        "painter_model": settings.painter,
    }
    whole: Row = {"chunk": None, "first": 0, "cores": chunks[0]["cores"]}
    for column in ("seconds", "cpu", "fitted"):
        whole[column] = round(sum(row[column] for row in chunks), 3)
    for column in ("q", "psnr_y"):
        values = [(row[column], row["frames"]) for row in chunks if row[column] is not None]
        if values:
            whole[column] = round(sum(v * n for v, n in values) / sum(n for _, n in values), 5)
    incomplete = next((row["incomplete"] for row in chunks if row["incomplete"]), "")
    rows = [
        same | whole | file_row | {"notes": _notes_of(file_row, chunks), "incomplete": incomplete}
    ]
    return rows + [same | {"chunk": number} | row for number, row in enumerate(chunks)]


def _notes_of(file_row: Row, chunks: Sequence[Row]) -> list[str]:
    """Each line once; with the number of chunks where another target decided in others."""
    times = Counter(note for row in chunks for note in row["notes"])

    def with_count(note: str) -> str:
        if DECIDES not in note or times[note] == len(chunks):
            return note
        return f"{note}, in {times[note]} of {len(chunks)} chunks"

    notes = dict.fromkeys(note for row in (file_row, *chunks) for note in row["notes"])
    return list(map(with_count, notes))
