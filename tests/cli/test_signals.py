"""SIGINT, SIGTERM and SIGHUP end every command soon, with their codes and no leftovers."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import gvcodec
from tests.clips import format_of, read_film, write_clip
from tests.conftest import in_process, moving_texture, wait_for

#: Seconds until the end; two are promised, and without the promise these jobs go on for a minute
#: and more.
SOON = 10.0
ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("signals") / "in.y4m"
    return write_clip(path, 12 * moving_texture(480, 352, 40))


@pytest.fixture(scope="module")
def stream(source: Path) -> Path:
    path = source.with_name("a.gvc")
    clip = moving_texture(480, 352, 8)
    slow = {"format": format_of(clip), "preset": 10, "keyint": 0, "fit": 0}
    path.write_bytes(gvcodec.encode(clip * 10, **slow))
    return path


def session(leader: int) -> Iterator[int]:
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(words[3]) == leader and words[0] != "Z":
            yield int(name)


def begun(command: list[object], folder: Path) -> subprocess.Popen[bytes]:
    def reset() -> None:
        for number in ALL:
            signal.signal(number, signal.SIG_DFL)

    how = {"env": os.environ | {"TMPDIR": str(folder)}, "start_new_session": True}
    how |= {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "preexec_fn": reset}
    process = subprocess.Popen([*map(str, command)], **how)
    wait_for(lambda: list(folder.iterdir()) or process.poll() is not None)
    return process


def ended(process: subprocess.Popen[bytes], number: int, finished: Path | None = None) -> None:
    """`finished`: what the command writes; a signal that came after it changes nothing."""
    began = time.monotonic()
    process.send_signal(number)
    try:
        code = process.wait(SOON)
    finally:
        process.kill()
    assert process.stderr is not None
    with process.stderr as stderr:
        message = stderr.read()
    if finished is not None and finished.exists():
        assert code in (0, 128 + number)
        if finished.suffix == ".gvc":
            assert gvcodec.verify(finished).frames
        else:
            assert len(read_film(finished).planes) == 80
        pytest.skip("the machine was faster than the signal")
    assert code == 128 + number and message.endswith(b"gvcodec: interrupted\n")
    wait_for(lambda: not list(session(process.pid)), 4)
    print(f"ended after {time.monotonic() - began:.2f} s")


JOBS = {
    "av1": ("--fit", "off", "--preset", "0"),
    "vvc": ("--fit", "off", "--base", "vvc", "--preset", "0"),
    "search": ("--preset", "10", "--frames", "4", "--tokens", "search"),
}


@pytest.mark.parametrize("job", JOBS)
def test_a_signal_ends_an_encode_at_any_moment(source: Path, tmp_path, request, job: str) -> None:
    if job == "vvc":
        request.getfixturevalue("vvenc")
    if job == "search":
        pytest.importorskip("torch")
    number = random.choice(ALL)
    words = ["encode", source, tmp_path / "o.gvc", *JOBS[job]]
    process = begun([sys.executable, "-m", "gvcodec", *words], tmp_path)
    moment = random.uniform(0, 6 if job == "search" else 3)
    print(f"{number!r} after {moment:.2f} s")
    time.sleep(moment)
    ended(process, number, tmp_path / "o.gvc")
    assert not list(tmp_path.iterdir())


def test_a_signal_ends_a_decode_at_any_moment(stream: Path, tmp_path) -> None:
    words = ["decode", stream, tmp_path / "o.mp4"]
    process = begun([sys.executable, "-m", "gvcodec", *words], tmp_path)
    time.sleep(random.uniform(0, 1))
    ended(process, random.choice(ALL), tmp_path / "o.mp4")
    assert not list(tmp_path.iterdir())


STUCK = """
import hashlib, sys
from gvcodec import cli
from gvcodec.cli import info
from gvcodec.util.file_io import open_output

def run(options):
    with open_output(options.input, False) as output:
        {work}

info.run = run
cli.main()
"""
#: Minutes in C, with other threads running.
LIBRARY = 'hashlib.pbkdf2_hmac("sha256", b"", b"", 1 << 30)'


@pytest.mark.parametrize("number", ALL[:2])
def test_a_signal_does_not_wait_for_a_library(tmp_path, number: int) -> None:
    code = STUCK.format(work=LIBRARY)
    ended(begun([sys.executable, "-c", code, "info", tmp_path / "o"], tmp_path), number)
    assert not list(tmp_path.iterdir())


def test_a_signal_that_is_ignored_stays_so() -> None:
    code = """import os, signal; from gvcodec.util import signals
signal.signal(signal.SIGHUP, signal.SIG_IGN)
with signals.guard_signals(): os.kill(os.getpid(), signal.SIGHUP)"""
    in_process("-c", code)


def test_what_is_made_and_what_undoes_it_come_together(tmp_path) -> None:
    """A signal in between waits; one that was cancelled is not undone."""
    code = f"""import os, pathlib, signal, time; from gvcodec.util import signals
folder = pathlib.Path({str(tmp_path)!r})
with signals.guard_signals():
    (folder / "kept").touch()
    signals.OnAbort((folder / "kept").unlink).cancel()
    with signals.defer_signals():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)
        (folder / "made").touch()
        signals.OnAbort((folder / "made").unlink)
    time.sleep(60)"""
    in_process("-c", code, code=143)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_signal_after_the_block_is_ignored() -> None:
    code = """import os; from gvcodec.util import signals
with signals.guard_signals(): pass
for number in (2, 15): os.kill(os.getpid(), number)"""
    in_process("-c", code)
