"""The way of a file: plan, for rate control a round that measures, chunks, join. A generator that
asks for tasks, for nothing else.

    flow = encode_file(job, ledger, memory)
    wanted = next(flow)           # [(Task, name), …], or a key to wait for
    wanted = flow.send(outcomes)  # values in the order of the tasks
    # StopIteration.value: the record of the finished file

Raises `FileFailed` with the line for the table.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from gvcodec.bases import base_of
from gvcodec.batch import store
from gvcodec.batch.ledger import Job, Ledger
from gvcodec.batch.plan import Plan
from gvcodec.batch.task import Task
from gvcodec.errors import GvcodecError
from gvcodec.rate.search import refuse_sound, usual_q

_TASKS = "gvcodec.batch.tasks"
#: Memory of tasks that do not encode: a decoder and a program.
_LIGHT = 256 << 20
_LIGHT_A_PIXEL = 150
#: Distance of the two qualities at which chunks are measured.
_APART = 4.0
#: Bytes that a chunk may take more in the joined file than by itself, and the share of a budget
#: that is kept back.
_JOINT, _KEPT = 24, 0.0005
#: Rounds of sharing out bytes; the second one is for files that came out larger than their parts.
_ROUNDS = 3


class FileFailed(GvcodecError):
    """No output for this input; the message says why."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Nobody else may work on this key from here on."""

    key: str


Row = dict[str, Any]
_Found = TypeVar("_Found")
#: Is sent the outcomes, whose types are those of the tasks.
Flow = Generator[Claim | Sequence[Task], Any, _Found]


def encode_file(job: Job, ledger: Ledger, memory: int) -> Flow[Row]:
    """`memory`: bytes that one task may have. Gives what `Ledger.done` gives."""
    if job.error:
        raise FileFailed(job.error)
    record = ledger.plan(job)
    if record is None:
        settings = job.settings.pack()
        arguments = {"uri": job.uri, "settings": settings, "keep": ledger.input_path(job)}
        (record,) = yield [Task(f"{_TASKS}:plan", arguments, memory=_LIGHT)]
    key = record["key"]
    yield Claim(key)
    done = ledger.find_done(key)
    if done is None:
        work = _Work(job, ledger, record)
        if work.memory > memory:
            size = f"{work.plan.width}×{work.plan.height}"
            raise FileFailed(
                f"{job.uri}: chunks of {size} take about {work.memory >> 20} MiB to encode, "
                f"there are {memory >> 20}"
            )
        done = yield from work.flow()
    return done


class _Work:
    """On a file whose plan is there."""

    def __init__(self, job: Job, ledger: Ledger, record: dict[str, Any]) -> None:
        self.job, self.ledger, self.record = job, ledger, record
        self.plan = Plan.unpack(record["plan"])
        self.key, self.cores, self.memory = record["key"], record["cores"], record["memory"]
        self.folder = ledger.chunk_folder(self.key)
        self.numbers = range(len(self.plan.chunks))

    def flow(self) -> Flow[Row]:
        rate = self.job.settings.rate
        if rate and "target" not in rate:
            rows, joined = yield from self._within(self._allow())
        else:
            header_q = None
            if rate and len(self.numbers) > 1:
                header_q = yield from self._usual_q()
            rows, joined = yield from self._code(header_q, [None] * len(self.numbers))
        output = self.ledger.output_name(self.job, self.key)
        return self.ledger.finish(self.job, self.key, output, self._rows(joined, rows, output))

    def _within(self, allowed: int) -> Flow[tuple[list[Row], Row]]:
        """Rows of the chunks and of the file that has so many bytes at most."""
        room = allowed - int(_KEPT * allowed) - _JOINT * len(self.numbers)
        for _ in range(_ROUNDS):
            header_q, limits = yield from self._shares(max(1, room))
            rows, joined = yield from self._code(header_q, limits, allowed)
            if joined["excess"] <= 0:
                return rows, joined
            room -= joined["excess"] + _JOINT
        raise FileFailed(
            f"{self.job.uri}: no file of {allowed} bytes was found in {_ROUNDS} rounds"
        )

    def _code(
        self, header_q: int | None, limits: Sequence[int | None], allowed: int | None = None
    ) -> Flow[tuple[list[Row], Row]]:
        """Rows of the chunks, coded anew where they are missing, and of the joined file."""
        names = [f"{n:05d}" if limits[n] is None else f"{n:05d}-{limits[n]}" for n in self.numbers]
        tasks = [self._encode(n, names[n], header_q, limits[n]) for n in self.numbers]
        rows = yield from self._results(names, tasks)
        (joined,) = yield [self._join(names, allowed)]
        return rows, joined

    def _results(self, names: Sequence[str], tasks: Sequence[Task]) -> Flow[list[Row]]:
        """Of these tasks, those of earlier runs too."""
        there = self.ledger.results(self.key)
        missing = [(n, task) for n, task in zip(names, tasks, strict=True) if n not in there]
        # The longest first: at the end no core waits for one that began late.
        missing.sort(key=lambda item: -self.plan.chunks[item[1].arguments["number"]].frames)
        if missing:
            found = yield [task for _, task in missing]
            there |= {name: result for (name, _), result in zip(missing, found, strict=True)}
        return [there[name] for name in names]

    def _task(self, call: str, memory: int, **arguments: Any) -> Task:
        common = {
            "uri": self.job.uri,
            "settings": self.job.settings.pack(),
            "plan": self.record["plan"],
            "cores": self.cores,
        }
        return Task(f"{_TASKS}:{call}", common | arguments, self.cores, memory)

    def _encode(self, number: int, name: str, header_q: int | None, limit: int | None) -> Task:
        output, keep = (store.join(self.folder, f"{name}.{kind}") for kind in ("gvc", "json"))
        return self._task(
            "encode",
            self.memory,
            number=number,
            output=output,
            keep=keep,
            header_q=header_q,
            limit=limit,
        )

    def _join(self, names: Sequence[str], allowed: int | None) -> Task:
        chunks = [store.join(self.folder, f"{name}.gvc") for name in names]
        memory = _LIGHT + _LIGHT_A_PIXEL * self.plan.width * self.plan.height
        whole = store.join(self.ledger.out, self.ledger.output_name(self.job, self.key))
        return self._task("join", memory, chunks=chunks, output=whole, allowed=allowed)

    def _usual_q(self) -> Flow[int]:
        """The index that meets the target in the middle of the video: what the header says."""
        middle = len(self.numbers) // 2
        name = f"usual-{middle:05d}"
        (row,) = yield from self._results([name], [self._encode(middle, name, None, None)])
        return round(row["q"])

    def _allow(self) -> int:
        """Bytes that the file may have without its sound and subtitles. Raises `UsageError` where
        these leave nothing."""
        plan, rate, side = self.plan, self.job.settings.rate, int(self.record["side"])
        if "bpp" not in rate:
            limit = int(rate.get("size") or rate["bitrate"] * plan.seconds / 8)
            refuse_sound(limit, side)
            return limit - side
        return int(rate["bpp"] * plan.frames * plan.width * plan.height / 8)

    def _shares(self, room: int) -> Flow[tuple[int | None, list[int]]]:
        """An index for the header, and bytes for each chunk: equal quality for all as nearly as two
        measured points tell."""
        if len(self.numbers) == 1:
            return None, [room]
        plan, base = self.plan, base_of(self.job.settings.base)
        bpp = 8 * room / (plan.frames * plan.width * plan.height)
        guess = float(round(min(max(usual_q(bpp), base.finest), 59.0)))
        qs = [guess, guess + _APART]
        names = [f"measured-{number:05d}" for number in self.numbers]
        tasks = [
            self._task(
                "measure",
                self.memory,
                number=number,
                qs=qs,
                keep=store.join(self.folder, f"{name}.json"),
            )
            for number, name in zip(self.numbers, names, strict=True)
        ]
        found = yield from self._results(names, tasks)
        q, sizes = spread([result["sizes"] for result in found], qs, room)
        coarsest = self.job.settings.encoder_config(1).coarsest
        return round(min(max(q, base.finest), coarsest, 63.0)), sizes

    def _rows(
        self, joined: dict[str, Any], chunks: Sequence[dict[str, Any]], output: str
    ) -> list[dict[str, Any]]:
        """Of the file, then of its chunks."""
        settings, plan = self.job.settings, self.plan
        same = {
            "output": output,
            "width": plan.width,
            "height": plan.height,
            "base": settings.base,
            "base_model": settings.base_model,
            "painter_model": settings.painter,
        }
        whole: dict[str, Any] = {"chunk": None, "first": 0, "cores": self.cores}
        for column in ("seconds", "cpu", "fitted"):
            whole[column] = round(sum(row[column] for row in chunks), 3)
        for column in ("q", "psnr_y", "lpips"):
            known = [(row[column], row["frames"]) for row in chunks if row.get(column) is not None]
            if known:
                whole[column] = round(sum(v * n for v, n in known) / sum(n for _, n in known), 5)
        notes = dict.fromkeys(note for row in (joined, *chunks) for note in row["notes"])
        rows = [same | whole | joined | {"notes": list(notes)}]
        return rows + [same | {"chunk": number} | row for number, row in enumerate(chunks)]


def spread(
    sizes: Sequence[Sequence[int]], qs: Sequence[float], room: int
) -> tuple[float, list[int]]:
    """The q at which chunks take `room` bytes together, and what each takes there. `sizes`: of each
    chunk at the two `qs`; between and beyond them log size follows a line."""
    slopes = [math.log(fine / coarse) / (qs[1] - qs[0]) for fine, coarse in sizes]
    low, high = -200.0, 300.0
    for _ in range(60):
        q = (low + high) / 2
        total = sum(
            size[0] * math.exp(-s * (q - qs[0])) for size, s in zip(sizes, slopes, strict=True)
        )
        low, high = (q, high) if total > room else (low, q)
    parts = [size[0] * math.exp(-s * (high - qs[0])) for size, s in zip(sizes, slopes, strict=True)]
    whole = sum(parts)
    return high, [int(room * part / whole) for part in parts]
