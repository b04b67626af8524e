"""Runs a batch on one engine: plans each file, encodes its chunks, joins them, writes the table.

A file with a budget (size, bitrate, bits a pixel) is one chunk, with its sound.
With a target the middle chunk is coded first, and its quality is what the header says."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, as_completed, wait
from typing import Any

from gvcodec.batch import tasks
from gvcodec.batch.engines import AHEAD, Engine, Outcome, Task
from gvcodec.batch.ledger import Job, Ledger
from gvcodec.batch.tasks import Plan
from gvcodec.errors import GvcodecError
from gvcodec.util import uris
from gvcodec.util.progress import ProgressBar

#: Seconds between two tables while work goes on.
_TABLE_EVERY = 30.0
#: Memory of tasks that do not encode: a decoder and a program.
_LIGHT, _LIGHT_A_PIXEL = 256 << 20, 150

#: The only chunk of a file with a budget.
_WHOLE = "whole"

#: Called for every task that is done.
Heard = Callable[[Task, Outcome], None]
#: Called for every file that ended, with its error, "" = none.
Ended = Callable[[Job, str], None]
Row = dict[str, Any]


class FrameCount:
    """Progress of a batch of `files` files in frames, for its bar; a file not counted yet is
    taken to have as many frames as the others on average."""

    def __init__(self, bar: ProgressBar, files: int) -> None:
        self._bar, self._files, self._coded = bar, files, 0
        self._planned: dict[str, int] = {}
        bar.begin("encode", None)

    def heard(self, task: Task, outcome: Outcome) -> None:
        uri, value = task.arguments["uri"], outcome.value or {}
        if outcome.error:
            self._planned[uri] = 0
        elif uri not in self._planned:
            plan = task.arguments.get("plan") or Plan.unpack(value["plan"])
            self._planned[uri] = plan.frames
        self._coded += value.get("frames", 0) if task.call is tasks.encode else 0
        known = sum(self._planned.values()) * self._files // len(self._planned)
        self._bar.expect(max(known, self._coded))
        self._bar.coded(self._coded, 0)


class FileFailed(GvcodecError):
    """No output for this input; the message says why."""


class Driver:
    """Of one batch. `errors`: by the names of the jobs that failed."""

    def __init__(
        self, engine: Engine, ledger: Ledger, heard: Heard | None = None, ended: Ended | None = None
    ) -> None:
        self.engine, self.ledger, self._heard, self._ended = engine, ledger, heard, ended
        self.errors: dict[str, str] = {}
        #: Held during callbacks, so one runs at a time.
        self._turn = threading.Lock()
        #: Of each content and settings: two inputs may be the same.
        self._claims: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def run(self, jobs: Sequence[Job]) -> None:
        """Encode all that is not done yet; files that failed are in `errors` and in the table."""
        self.ledger.expect(jobs)
        written = time.monotonic()
        files = ThreadPoolExecutor(AHEAD * self.engine.cores, "files")
        try:
            waiting = {files.submit(self._encode, job): job for job in jobs}
            while waiting:
                done, _ = wait(waiting, _TABLE_EVERY, FIRST_COMPLETED)
                for future in done:
                    self._end(waiting.pop(future), future.result())
                if time.monotonic() - written > _TABLE_EVERY:
                    self.ledger.write_table(jobs)
                    written = time.monotonic()
        finally:
            files.shutdown(wait=False, cancel_futures=True)
        self.ledger.write_table(jobs)

    def perform(self, wanted: Sequence[Task]) -> list[Any]:
        """Values of tasks. Raises `FileFailed` once one has failed."""
        futures: dict[Future[Outcome], int] = {
            self.engine.submit(task): number for number, task in enumerate(wanted)
        }
        values: dict[int, Any] = {}
        for future in as_completed(futures):
            number, outcome = futures[future], future.result()
            with self._turn:
                if self._heard is not None:
                    self._heard(wanted[number], outcome)
            if outcome.error:
                for other in futures:
                    other.cancel()
                raise FileFailed(outcome.error)
            values[number] = outcome.value
        return [values[number] for number in range(len(wanted))]

    def _encode(self, job: Job) -> str:
        """Lead a file to its end; gives what went wrong."""
        try:
            if job.error:
                raise FileFailed(job.error)
            record = self.ledger.plan(job)
            if record is None:
                arguments = {"uri": job.uri, "settings": job.settings}
                arguments |= {"keep": self.ledger.input_path(job)}
                (record,) = self.perform([Task(tasks.plan, arguments, memory=_LIGHT)])
            with self._claims[record["key"]]:
                if self.ledger.find_done(record["key"]) is None:
                    _File(self, job, record).encode()
        except GvcodecError as error:
            return str(error)
        return ""

    def _end(self, job: Job, error: str) -> None:
        if error:
            if job.uri not in error:
                error = f"{job.uri}: {error}"
            self.errors[job.name] = error
            self.ledger.fail(job, error)
        with self._turn:
            if self._ended is not None:
                self._ended(job, error)


class _File:
    def __init__(self, driver: Driver, job: Job, record: Row) -> None:
        self._driver, self._job = driver, job
        self._ledger = driver.ledger
        self._plan = Plan.unpack(record["plan"])
        self._key, self._cores, self._memory = record["key"], record["cores"], record["memory"]
        self._folder = self._ledger.chunk_folder(self._key)

    def encode(self) -> None:
        if self._memory > self._driver.engine.memory:
            size = f"{self._plan.width}×{self._plan.height}"
            raise FileFailed(
                f"{self._job.uri}: chunks of {size} take about {self._memory >> 20} MiB to encode, "
                f"there are {self._driver.engine.memory >> 20}"
            )
        rate, header_q = self._job.settings.rate, None
        name = self._ledger.output_name(self._job, self._key)
        output = uris.join(self._ledger.out, name)
        if rate is not None and rate.whole:
            (joined,) = rows = self._driver.perform([self._task(0, _WHOLE, output=output)])
        else:
            if rate is not None and len(self._plan.chunks) > 1:
                # The index that meets the target in the middle of the video.
                middle = len(self._plan.chunks) // 2
                usual = f"usual-{middle:05d}"
                (row,) = self._results([usual], [self._task(middle, usual)])
                header_q = round(row["q"])
            rows, joined = self._code(header_q, output)
        self._ledger.finish(self._key, name, self._rows(joined, rows, name))

    def _code(self, header_q: int | None, output: str) -> tuple[list[Row], Row]:
        """Rows of the chunks, coded anew where they are missing, and of the joined file."""
        names = [f"{n:05d}" for n in range(len(self._plan.chunks))]
        wanted = [self._task(n, name, header_q) for n, name in enumerate(names)]
        rows = self._results(names, wanted)
        chunks = [uris.join(self._folder, f"{name}.gvc") for name in names]
        arguments = self._common() | {"chunks": chunks, "output": output}
        memory = _LIGHT + _LIGHT_A_PIXEL * self._plan.width * self._plan.height
        (joined,) = self._driver.perform([Task(tasks.join, arguments, self._cores, memory)])
        return rows, joined

    def _results(self, names: Sequence[str], wanted: Sequence[Task]) -> list[Row]:
        """The results of these tasks, read from the ledger where an earlier run has them."""
        there = self._ledger.results(self._key)
        missing = [(n, task) for n, task in zip(names, wanted, strict=True) if n not in there]
        # The longest first: at the end no core waits for one that began late.
        chunks = self._plan.chunks
        missing.sort(key=lambda item: -chunks[item[1].arguments["number"]].frames)
        found = self._driver.perform([task for _, task in missing])
        there |= {name: result for (name, _), result in zip(missing, found, strict=True)}
        return [there[name] for name in names]

    def _common(self) -> Row:
        job = self._job
        return {"uri": job.uri, "settings": job.settings, "plan": self._plan, "cores": self._cores}

    def _task(self, number: int, name: str, header_q: int | None = None, output: str = "") -> Task:
        """Encode a chunk, to `output` or among the chunks."""
        place, keep = (uris.join(self._folder, f"{name}.{kind}") for kind in ("gvc", "json"))
        wanted = {"number": number, "output": output or place, "keep": keep, "header_q": header_q}
        return Task(tasks.encode, self._common() | wanted, self._cores, self._memory)

    def _rows(self, joined: Row, chunks: Sequence[Row], output: str) -> list[Row]:
        settings, plan = self._job.settings, self._plan
        same = {
            "output": output,
            "width": plan.width,
            "height": plan.height,
            "base": settings.config.base,
            "base_model": settings.base_model,
            "painter_model": settings.painter,
        }
        whole: Row = {"chunk": None, "first": 0, "cores": self._cores}
        for column in ("seconds", "cpu", "fitted"):
            whole[column] = round(sum(row[column] for row in chunks), 3)
        for column in ("q", "psnr_y"):
            known = [(row[column], row["frames"]) for row in chunks if row[column] is not None]
            if known:
                whole[column] = round(sum(v * n for v, n in known) / sum(n for _, n in known), 5)
        notes = dict.fromkeys(note for row in (joined, *chunks) for note in row["notes"])
        incomplete = next((row["incomplete"] for row in chunks if row.get("incomplete")), "")
        rows = [same | whole | joined | {"notes": list(notes), "incomplete": incomplete}]
        return rows + [same | {"chunk": number} | row for number, row in enumerate(chunks)]
