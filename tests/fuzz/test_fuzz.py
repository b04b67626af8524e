"""Damaged and hostile streams: every mutation is refused or reported, the whole command line
survives them, and the corpora of the fuzz programs are replayed."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import gvcodec
from conformance import mutate
from gvcodec.types import Planes
from tests.fuzz.robustness import hostile, trials, worker
from tests.fuzz.robustness.streams import rich

FUZZ = Path(__file__).parent
CONFORMANCE = FUZZ.parents[1] / "conformance" / "files"


def decode_all(data: bytes) -> list[Planes]:
    return list(gvcodec.decode_planes(data, fidelity=True))


def test_mutations_are_refused_or_reported() -> None:
    """No crash, no silent corruption. Of files whose bytes changed, frames that `repair` leaves are
    right and the others reported; where checksums are right again, the base hash refuses."""
    files = {path.stem: path.read_bytes() for path in sorted(CONFORMANCE.glob("*.gvc"))}
    files["rich"] = rich()
    parts = {name: mutate.apart(data) for name, data in files.items()}
    names = [n for n, part in parts.items() if part.is_quick]
    original = cache(lambda name: decode_all(mutate.together(parts[name])))
    rng, seen = random.Random(5), Counter[str]()
    for number in range(300):
        name = rng.choice(names)
        way = rng.choice([mutate.of_bytes, *mutate.WAYS])
        data = way(parts[name], rng)
        outcomes = trials.outcomes_of(data, original(name), way is mutate.of_bytes)
        assert {*outcomes} <= {"whole", "refused", "concealed"}, (number, name, way, outcomes)
        seen.update(outcomes)
    assert min(seen[outcome] for outcome in ("whole", "refused", "concealed")) > 10


def test_trials_notice_what_they_look_for(monkeypatch) -> None:
    """A decoder that fails in each way is distinguished from a good one."""
    data = rich()
    original = decode_all(data)
    assert trials.outcomes_of(data, original, True) == ("whole", "whole")
    other = [tuple(plane + 1 for plane in planes) for planes in original]
    assert trials.outcomes_of(data, other, True) == ("silent", "silent")
    monkeypatch.setattr(gvcodec.Decoder, "flush", lambda self: 1 // 0)
    crash = "crash: ZeroDivisionError: integer division or modulo by zero"
    assert trials.outcomes_of(data, original, True)[0] == crash


#: Bytes that commands may take, and what the bound does not cover: libraries that are loaded, and
#: the file itself, read as a whole.
LIMIT, PROGRAM = 128 << 20, 96 << 20


def through_all_commands(
    folder: Path, files: Mapping[str, bytes], trace: bool = False
) -> list[dict[str, Any]]:
    """Rows of every command on each file, in one process; a good stream comes first."""
    for number, (name, data) in enumerate([("good", rich()), *files.items()]):
        (folder / f"in-{number:03} {name}").write_bytes(data)
    (folder / hostile.FOREIGN).write_bytes(b"RIFF")
    command = [sys.executable, "-m", "tests.fuzz.robustness.worker", str(folder), str(LIMIT)]
    if trace:
        words = ["strace", "-f", "-qq", "-e", "trace=network,open,openat", "-o", "trace"]
        command = [*words, *command]
    path = os.pathsep.join([str(FUZZ.parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "TMPDIR": str(folder / "outputs")}
    how = {"capture_output": True, "timeout": 400, "cwd": folder, "env": environment}
    done = subprocess.run(command, check=False, **how)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == len(worker.COMMANDS) * (1 + len(files))
    return rows[len(worker.COMMANDS) :]


def assert_harmless(rows: list[dict[str, Any]]) -> None:
    """No silent failure, leftover file or memory excess; `verify` refuses what `decode` does."""
    decode, verify = (" ".join(worker.COMMANDS[number]) for number in (0, 3))
    codes = {(row["input"], row["command"]): row["code"] for row in rows}
    for row in rows:
        code, command = row["code"], row["command"]
        assert code in range(6) and "Traceback" not in row["message"], row
        assert row["took"] <= LIMIT + PROGRAM and row["others"] == [], row
        assert code == 0 or row["message"], row
        saves = "--ignore-errors" in command or command.startswith("repair")
        assert code == 0 or saves or not row["output"], row
        assert command != decode or code or "damaged" not in row["input"], row
        assert command != verify or code or codes[row["input"], decode] not in (3, 4, 5), row


def test_hostile_files_through_all_commands_open_nothing(tmp_path: Path) -> None:
    """Under strace where that is installed: no socket, and no file that a stream names."""
    files, trace = hostile.openers(), shutil.which("strace") is not None
    for name in ("av1", "vvc", "tracks"):
        parts = mutate.apart((CONFORMANCE / f"{name}.gvc").read_bytes())
        files[f"{name} damaged"] = mutate.of_bytes(parts, random.Random(1))
    rows = through_all_commands(tmp_path, files, trace)
    assert_harmless(rows)
    assert len(files) < sum(row["code"] == 3 for row in rows)
    opened = (tmp_path / "trace").read_text(errors="replace") if trace else ""
    assert not trace or "in-001" in opened
    assert not re.search(rf"socket\(AF_INET|bind\(|{hostile.FOREIGN}", opened)
    assert not opened_beyond_a_good_stream(opened, tmp_path)


def opened_beyond_a_good_stream(trace: str, folder: Path) -> set[str]:
    """Files outside of `folder` that were not opened for the good stream, which comes first."""
    known, later = (
        {os.path.normpath(name) for name in re.findall(r'open(?:at)?\([^"]*"([^"]*)"', part)}
        for part in trace.partition("in-001")[::2]
    )
    ours = (str(folder), "in-", "outputs", "/proc/", sys.prefix, sys.base_prefix)
    ours += (str(FUZZ.parents[1]),)
    return {name for name in later - known if not name.startswith(ours)}


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="no /proc")
def test_peak_memory_is_within_the_bound_for_any_input(tmp_path: Path) -> None:
    rows = through_all_commands(tmp_path, hostile.bombs(1))
    assert_harmless(rows)
    assert len(rows) > 120 and sum(row["code"] == 0 for row in rows) > 10


PARTS = ["header", "timing", "metadata", "tracks", "fitted", "summary", "standard"]
PARTS += ["painting", "varint", "units", "attachments"]
#: Further targets: programs in C++ with a corpus of their own, and one of whole streams.
TARGETS = [*PARTS, "streams", "painter", "model", "stream"]
TARGETS += ["players", "page", "transformer", "bundles", "allocations"]


@pytest.fixture
def programs(monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(FUZZ))


@pytest.mark.parametrize("path", sorted((FUZZ / "stream").iterdir()), ids=lambda path: path.name)
def test_fuzz_corpus_of_streams(path: Path, programs: None) -> None:
    from stream_fuzz import one_input

    one_input(path.read_bytes())


@pytest.mark.parametrize("part", PARTS)
def test_fuzz_corpus_of_parts(part: str, programs: None) -> None:
    from parts_fuzz import one_input

    inputs = sorted((FUZZ / part).iterdir())
    assert inputs
    rng = np.random.default_rng(3)
    for path in inputs:
        data = path.read_bytes()
        one_input(part, data)
        for _ in range(4):
            changed = bytearray(data or b"0")
            changed[int(rng.integers(len(changed)))] = int(rng.integers(256))
            one_input(part, bytes(changed[: int(rng.integers(len(changed) + 1)) or None]))


def test_fuzz_corpora_are_small_and_all_known(programs: None) -> None:
    import parts_fuzz

    assert {*parts_fuzz.PARTS} == {*PARTS}
    folders = {folder.name for folder in FUZZ.iterdir() if folder.is_dir()}
    folders -= {"__pycache__", "robustness"}
    assert folders == {*TARGETS}
    assert sum(path.stat().st_size for path in FUZZ.rglob("*") if path.is_file()) < 2 << 20


def test_the_nightly_workflow_runs_every_fuzz_target() -> None:
    """Every target that the programs and their corpora make up, each by its own program."""
    root = FUZZ.parents[1]
    workflow = yaml.safe_load((root / ".github" / "workflows" / "fuzz.yml").read_text())
    runs = [step.get("run", "") for step in workflow["jobs"]["fuzz"]["steps"]]
    (base_frame,) = (run for run in runs if "for name" in run)
    named = re.search(r"for name in ([\w ]+); do", base_frame)
    assert named and sorted(named[1].split()) == sorted(TARGETS)
    assert "program=build/fuzz/${name}_fuzz" in base_frame
    programs = {path.stem.removesuffix("_fuzz") for path in (root / "csrc/fuzz").glob("*_fuzz.cpp")}
    assert programs <= {*TARGETS}
