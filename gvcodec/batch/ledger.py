"""The state of a batch on disk, in `OUT/.batch`, from which an interrupted batch resumes.

    inputs/NAME.json    an input: its version, plan and key, or the error that it ended with
    chunks/KEY/N.gvc    a coded chunk; N.json, written after it, its row of the table
    done/KEY.json       a finished file: its name and rows; its chunks are gone
    names/STEM.json     whose KEY the output STEM.gvc is

NAME is made of URI and settings, KEY of content and settings. `OUT/batch.csv` has a row for each
file and each of its chunks; `chunk` is empty in the row of a file. `status`: done, failed, or open.
`seconds` of wall and `cpu` of processor time sum up over chunks, `bpp` leaves out sound, `psnr_y`
in dB (inf: exact) is a mean over frames; `q` is the base's index.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import gvcodec
from gvcodec import layers
from gvcodec.config import EncoderConfig
from gvcodec.errors import UsageError
from gvcodec.media.inputs import InputOptions
from gvcodec.painter.open import has_torch, painter_id
from gvcodec.rate.one_pass import Budget
from gvcodec.rate.quality import require_metric
from gvcodec.rate.target import Target
from gvcodec.util import uris
from gvcodec.util.file_io import write_bytes, write_json

#: Bytes of a file may change with it: of how chunks are cut, coded and joined.
_VERSION = 3
#: Frames of a chunk where keyframes are as far apart as they like.
_USUAL_CHUNK = 240


@dataclass(frozen=True, slots=True)
class Settings:
    """What a video is to be encoded with; it goes to workers and, as a hash, into names. `rate`:
    None = the q of `config`. `chunk`: frames. Ids of models in hexadecimal digits, "" without
    one."""

    config: EncoderConfig
    rate: Budget | Target | None = None
    start: float = 0.0
    frames: int | None = None
    chunk: int = _USUAL_CHUNK
    input: InputOptions = field(default_factory=InputOptions)
    base_model: str = ""
    painter: str = ""
    gvc1d: str = ""
    version: str = gvcodec.__version__

    def key(self, content: str) -> str:
        what = repr((_VERSION, content, self))
        return hashlib.sha256(what.encode()).hexdigest()[:32]


def make_settings(
    config: EncoderConfig, rate: Budget | Target | None = None, start: float = 0.0,
    frames: int | None = None, chunk: int = 0, input_options: InputOptions | None = None,
) -> Settings:  # fmt: skip
    """What is found on this machine holds for all workers: models, and what leads fitting. `chunk`
    0: as far as keyframes may be apart. Raises `UsageError` for what cannot be encoded in chunks,
    `MissingWeightsError`."""
    if config.low_delay:
        raise UsageError("low delay is for streams that are made as they are sent, not for chunks")
    if config.maxrate:
        raise UsageError("maxrate holds from the first frame to the last, chunks cannot share it")
    if input_options is not None and input_options.fps is not None:
        raise UsageError("--fps looks at frames one after another, chunks do not know the last one")
    if isinstance(rate, Target):
        require_metric(rate.metric)
    config = replace(config, zone_start=start if config.zones else 0.0)
    config.resolve()
    painter, _ = painter_id(config)
    led_by = ""
    if config.fits and painter and has_torch():
        from gvcodec.perceptual import guide_network

        leader = guide_network(config.fit_by)
        led_by = leader[0] if leader else config.fit_by
    known, length = replace(config, threads=0, fit_by=led_by), config.keyint or _USUAL_CHUNK
    ids = layers.base_model_id(config), painter
    base, drawn = (model.hex() if model else "" for model in ids)
    wanted, tokens = input_options or InputOptions(), _tokens_model(config)
    return Settings(known, rate, start, frames, chunk or length, wanted, base, drawn, tokens)


def _tokens_model(config: EncoderConfig) -> str:
    """The id of the model of latent tokens, "" without any. Raises `MediaError`."""
    if not config.has_tokens:
        return ""
    from gvcodec.gvc1d.files import choose_pair, pair_id

    return pair_id(choose_pair(config.model)).hex()


TABLE = "batch.csv"
COLUMNS = """input output status chunk first frames width height bytes bpp psnr_y
    seconds cpu cores base q fitted base_model painter_model notes error""".split()  # noqa: SIM905
_FOLDER = ".batch"
_LONGEST = 160


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
        what = repr((self.uri, self.settings))
        return hashlib.sha256(what.encode()).hexdigest()[:32]


class Ledger:
    """Of the folder or URI `out`."""

    def __init__(self, out: str) -> None:
        self.out = out
        #: Stems that several inputs of this batch have, in small letters.
        self._shared: set[str] = set()

    def expect(self, jobs: Sequence[Job]) -> None:
        """These will be encoded: outputs of those with one name get a suffix."""
        stems = Counter(_stem(job).casefold() for job in jobs)
        self._shared = {stem for stem, count in stems.items() if count > 1}

    def input_path(self, job: Job) -> str:
        return uris.join(self.out, _FOLDER, "inputs", f"{job.name}.json")

    def chunk_folder(self, key: str) -> str:
        return uris.join(self.out, _FOLDER, "chunks", key)

    def output_name(self, job: Job, key: str) -> str:
        """The name of the source, as far as names may be long. With the beginning of the key where
        another input of the batch, or a file that is there already, has that name."""
        stem = _stem(job)
        plain, unique = f"{stem}.gvc", f"{stem}-{key[:12]}.gvc"
        if stem.casefold() in self._shared:
            return unique
        path = uris.join(self.out, _FOLDER, "names", f"{stem}.json")
        owner = (uris.read_json(path) or {}).get("key")
        if owner is None and uris.size_of(uris.join(self.out, plain)) is None:
            write_json(path, {"key": key})
            owner = key
        return plain if owner == key else unique

    def plan(self, job: Job) -> dict[str, Any] | None:
        """Of an earlier run, if the input has not changed since."""
        record = self.input(job)
        if "plan" not in record or record["stamp"] != uris.stamp(job.uri):
            return None
        return record

    def fail(self, job: Job, error: str) -> None:
        """The input ended with an error. Its plan stays."""
        record = {"uri": job.uri} | self.input(job) | {"error": error}
        write_json(self.input_path(job), record)

    def find_done(self, key: str) -> dict[str, Any] | None:
        """Name and rows of a finished file that is still there."""
        record = uris.read_json(self._done_path(key))
        if not record or uris.size_of(uris.join(self.out, record["output"])) != record["bytes"]:
            return None
        return dict(record)

    def finish(self, key: str, output: str, rows: list[dict[str, Any]]) -> None:
        record = {"output": output, "bytes": rows[0]["bytes"], "rows": rows}
        write_json(self._done_path(key), record)
        uris.remove_folder(self.chunk_folder(key))

    def results(self, key: str) -> dict[str, Any]:
        """Results of tasks on chunks by their names, of those that are whole."""
        folder = self.chunk_folder(key)
        names = [name for name in uris.names_in(folder) if name.endswith(".json")]
        found = {name[:-5]: uris.read_json(uris.join(folder, name)) for name in names}
        return {name: result for name, result in found.items() if result is not None}

    def input(self, job: Job) -> dict[str, Any]:
        """What is known of an input: its plan, key, or error."""
        return uris.read_json(self.input_path(job)) or {}

    def rows(self, jobs: Sequence[Job]) -> list[dict[str, Any]]:
        """Rows of the table, of all jobs in their order."""
        found: list[dict[str, Any]] = []
        for job in jobs:
            record = self.input(job)
            error = job.error or record.get("error", "")
            done = self.find_done(record["key"]) if "key" in record else None
            if done is None:
                status = "failed" if error else "open"
                found.append({"input": job.uri, "status": status, "error": error})
                continue
            for row in done["rows"]:
                exact = {"psnr_y": math.inf} if row.get("psnr_y") is None else {}
                notes = "; ".join(row["notes"])
                found.append(row | exact | {"input": job.uri, "status": "done", "notes": notes})
        return found

    def write_table(self, jobs: Sequence[Job]) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(self.rows(jobs))
        write_bytes(uris.join(self.out, TABLE), _as_utf8(text.getvalue()))

    def _done_path(self, key: str) -> str:
        return uris.join(self.out, _FOLDER, "done", f"{key}.json")


def _stem(job: Job) -> str:
    stem = job.uri.rstrip("/").rsplit("/", 1)[-1].rsplit(".", 1)[0] or "video"
    while len(os.fsencode(stem)) > _LONGEST:
        stem = stem[:-1]
    return f"{job.folder}/{stem}" if job.folder else stem


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
