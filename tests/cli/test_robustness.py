"""Damaged files through the command line: a clear error and exit code 3, in bounded time and
memory, whatever byte is hit."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest

import gvcodec
from gvcodec.bitstream import Kind, Packet
from gvcodec.errors import GvcodecError
from gvcodec.types import Planes
from tests.conftest import FASTEST, clips_equal, moving_texture, rewritten


@pytest.fixture(scope="module", params=["av1", "vvc"])
def stream(request) -> bytes:
    """Eight frames in two GOPs."""
    config = {"base": request.param, "preset": FASTEST[request.param], "keyint": 4, "fit": 0}
    return gvcodec.encode(moving_texture(64, 48, 8), base_q=40, **config)


def decode_all(data: bytes) -> list[Planes]:
    return list(gvcodec.decode_planes(data, fidelity=True, threads=1))


def test_payloads_made_up_under_right_checksums_never_crash(stream: bytes) -> None:
    rng = np.random.default_rng(7)
    right, harmless = decode_all(stream), 0
    for _ in range(60):

        def change(packets: list[Packet]) -> list[Packet]:
            # The painted hash is of no consequence for base frames.
            number = int(rng.integers(sum(p.kind is not Kind.PAINTED for p in packets)))
            data = bytearray(packets[number].payload)
            for _ in range(int(rng.integers(1, 6))):
                data[int(rng.integers(len(data)))] = int(rng.integers(256))
            cut = len(data) if rng.random() < 0.7 else int(rng.integers(len(data)))
            packets[number] = Packet(packets[number].kind, bytes(data[:cut]))
            return packets

        # Other pictures of the right size are possible; then the base hash tells. The quality of a
        # frame without motion is of no consequence.
        try:
            found = decode_all(rewritten(stream, change))
        except GvcodecError:
            continue
        assert clips_equal(found, right)
        harmless += 1
    assert harmless < 6


def test_a_short_run_of_the_evaluation_finds_nothing() -> None:
    """Some of the inputs of `python -m tests.fuzz.robustness`, in this process: no crash, no silent
    corruption."""
    from tests.fuzz.robustness import mutations, trials
    from tests.fuzz.robustness.streams import streams

    for name, data in streams().items():
        original = list(gvcodec.decode_planes(data, fidelity=True))
        seen = set()
        for number, mutation in enumerate(trials.inputs(data, 100, 5)):
            # Every kind at least once, and one in 61 of all.
            if mutation.kind in seen and number % 61:
                continue
            seen.add(mutation.kind)
            for outcome in trials.outcomes_of(mutation, original):
                assert outcome in ("whole", "refused", "concealed"), (
                    name,
                    mutation.kind,
                    mutation.what,
                    outcome,
                )
        assert seen == {*mutations.DAMAGE, *mutations.MADE_UP}


def test_trials_notice_what_they_look_for(monkeypatch) -> None:
    """A decoder that fails in each way is told from a good one."""
    from tests.fuzz.robustness import trials
    from tests.fuzz.robustness.mutations import Mutation
    from tests.fuzz.robustness.streams import rich

    data = rich()
    original = list(gvcodec.decode_planes(data, fidelity=True))
    whole = Mutation("bit flipped", "not at all", data)
    assert trials.outcomes_of(whole, original) == ("whole", "whole")
    other = [tuple(plane + 1 for plane in planes) for planes in original]
    assert trials.outcomes_of(whole, other) == ("silent", "silent")
    monkeypatch.setattr(gvcodec.Decoder, "flush", lambda self: 1 // 0)
    assert (
        trials.outcomes_of(whole, original)[0]
        == "crash: ZeroDivisionError: integer division or modulo by zero"
    )


@pytest.mark.slow
def test_the_watchdog_survives_a_decoder_that_does_not(monkeypatch) -> None:
    from tests.fuzz.robustness import trials
    from tests.fuzz.robustness.streams import rich

    monkeypatch.setattr(trials, "PATIENCE", 30.0)
    monkeypatch.setattr(trials, "_work", dies_at_second_input)
    monkeypatch.setattr(trials, "inputs", three_inputs)
    found = [outcomes for _, _, outcomes, _ in trials.try_flips(rich(), 0, 0)]
    assert found == [
        ("whole", "whole"),
        *[("crash: the process ended with -9",) * 2],
        ("whole", "whole"),
    ]


def three_inputs(data: bytes, flips: int, seed: int):
    from tests.fuzz.robustness.mutations import Mutation

    return iter([Mutation("truncated", str(number), data) for number in range(3)])


def dies_at_second_input(connection, data: bytes, flips: int, seed: int, start: int) -> None:
    import signal

    for number in range(start, 3):
        if number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        connection.send(("truncated", str(number), ("whole", "whole"), 0))


FUZZ = Path(__file__).parents[1] / "fuzz"


PARTS = ["header", "timing", "metadata", "tracks", "fitted", "summary", "standard", "motion"]
PARTS += ["latent", "painting", "varint", "units"]
#: Two programs of C++ and one of whole streams beside them.
TARGETS = [*PARTS, "streams", "painter", "stream"]


@pytest.fixture
def programs(monkeypatch) -> None:
    """The fuzz programs can be imported."""
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
    yaml = pytest.importorskip("yaml")
    root = FUZZ.parents[1]
    workflow = yaml.safe_load((root / ".github" / "workflows" / "fuzz.yml").read_text())
    runs = [step.get("run", "") for step in workflow["jobs"]["fuzz"]["steps"]]
    (base_frame,) = (run for run in runs if "for name" in run)
    named = re.search(r"for name in ([\w ]+); do", base_frame)
    core = re.search(r"([\w|]+)\) program=build/fuzz/", base_frame)
    assert named and core
    assert sorted(named[1].split()) == sorted(TARGETS)
    sources = (root / "csrc" / "fuzz").glob("*_fuzz.cpp")
    assert set(core[1].split("|")) == {path.stem.removesuffix("_fuzz") for path in sources}
