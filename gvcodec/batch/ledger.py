"""What a batch remembers, in `OUT/.batch`, so that it goes on where it was interrupted.

    inputs/NAME.json    an input: its version, plan and key, or the error that it ended with
    chunks/KEY/N.gvc    a coded chunk; N.json, written after it, its row of the table
    done/KEY.json       a finished file: its name and rows; its chunks are gone
    names/STEM.json     whose KEY the output STEM.gvc is

NAME is made of URI and settings, KEY of content and settings.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gvcodec.batch import store
from gvcodec.batch.settings import Settings

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
        return store.join(self.out, _FOLDER, "inputs", f"{job.name}.json")

    def chunk_folder(self, key: str) -> str:
        return store.join(self.out, _FOLDER, "chunks", key)

    def output_name(self, job: Job, key: str) -> str:
        """The name of the source, as far as names may be long. With the beginning of the key where
        another input of the batch, or a file that is there already, has that name."""
        stem = _stem(job)
        plain, unique = f"{stem}.gvc", f"{stem}-{key[:12]}.gvc"
        if stem.casefold() in self._shared:
            return unique
        path = store.join(self.out, _FOLDER, "names", f"{stem}.json")
        owner = (store.read_json(path) or {}).get("key")
        if owner is None and store.size_of(store.join(self.out, plain)) is None:
            store.write_json(path, {"key": key})
            owner = key
        return plain if owner == key else unique

    def plan(self, job: Job) -> dict[str, Any] | None:
        """Of an earlier run, if the input has not changed since."""
        record = self.input(job)
        if "plan" not in record or record["stamp"] != store.stamp(job.uri):
            return None
        return record

    def fail(self, job: Job, error: str) -> None:
        """The input ended with an error. Its plan stays."""
        record = {"uri": job.uri} | self.input(job) | {"error": error}
        store.write_json(self.input_path(job), record)

    def find_done(self, key: str) -> dict[str, Any] | None:
        """Name and rows of a finished file that is still there."""
        record = store.read_json(self._done_path(key))
        if not record or store.size_of(store.join(self.out, record["output"])) != record["bytes"]:
            return None
        return dict(record)

    def finish(self, job: Job, key: str, output: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
        record = {"output": output, "bytes": rows[0]["bytes"], "rows": rows}
        store.write_json(self._done_path(key), record)
        store.remove_folder(self.chunk_folder(key))
        return record

    def results(self, key: str) -> dict[str, Any]:
        """Results of tasks on chunks by their names, of those that are whole."""
        folder = self.chunk_folder(key)
        names = [name for name in store.names_in(folder) if name.endswith(".json")]
        found = {
            name.removesuffix(".json"): store.read_json(store.join(folder, name)) for name in names
        }
        return {name: result for name, result in found.items() if result is not None}

    def input(self, job: Job) -> dict[str, Any]:
        """What is known of an input: its plan, key, or error."""
        return store.read_json(self.input_path(job)) or {}

    def _done_path(self, key: str) -> str:
        return store.join(self.out, _FOLDER, "done", f"{key}.json")


def _stem(job: Job) -> str:
    stem = job.uri.rstrip("/").rsplit("/", 1)[-1].rsplit(".", 1)[0] or "video"
    while len(os.fsencode(stem)) > _LONGEST:
        stem = stem[:-1]
    return f"{job.folder}/{stem}" if job.folder else stem
