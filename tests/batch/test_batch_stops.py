"""A batch that cannot go on ends at once: OUT read-only, full or gone, workers killed or stopped,
signals. It never waits for ever."""

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gvcodec.batch.engines import Engine, Inline, Task
from gvcodec.errors import OutputError
from tests.batch.test_batch import QUICK, encode, streams_of, write_video
from tests.cli.test_signals import session
from tests.conftest import run, wait_for

#: Seconds within which a command ends by itself, where the fault was an endless wait.
PATIENCE = 120
FILMS = 7


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    first = write_video(folder / "0.mp4", frames=20)
    for number in range(1, FILMS):
        shutil.copy(first, folder / f"{number}.mp4")
    return folder


def start(*words: object, code: str = "") -> subprocess.Popen[str]:
    """The command line in a session of its own; `code`: statements before it."""
    program = f"import signal, sys\n{code}\nfrom gvcodec.cli import main\n"
    program += "signal.signal(signal.SIGINT, signal.SIG_DFL)\nsys.exit(main())"
    command = [sys.executable, "-c", program, *map(str, words)]

    how: dict[str, Any] = {"stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    return subprocess.Popen(command, **how)


def end(process: subprocess.Popen[str], seconds: float = PATIENCE) -> tuple[int, str]:
    """Exit code and messages. Fails if the process, or a worker of it, outlives `seconds`."""
    try:
        _, messages = process.communicate(timeout=seconds)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    wait_for(lambda: not list(session(process.pid)), 4)
    return process.returncode, messages


def errors_of(messages: str) -> list[str]:
    """Lines that are neither progress nor outcomes of files."""
    lines = messages.replace("\r", "\n").splitlines()
    return [line for line in lines if "encode: " not in line and " bpp" not in line]


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Any]:
    """Mounts a file system with these options; skips where that is not allowed."""
    with contextlib.ExitStack() as stack:

        def mount(options: str) -> Path:
            folder = tmp_path / "disk"
            folder.mkdir()
            command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
            if (
                shutil.which("mount") is None
                or subprocess.run(command, check=False, capture_output=True).returncode
            ):
                pytest.skip("file systems cannot be mounted here")
            stack.callback(subprocess.run, ["umount", "-l", str(folder)], check=True)
            return folder

        yield mount


@pytest.mark.parametrize("options", ["size=1m,ro", "size=32k"])
def test_out_that_is_read_only_or_full_ends_a_batch(films: Path, small_disk, options: str) -> None:
    disk = small_disk(options)
    code, messages = end(start("batch", films, "-o", disk, *QUICK, "--jobs", 2))
    (line,) = errors_of(messages)
    assert code == 1 and line.startswith(f"gvcodec: {disk}/")
    reason = errno.EROFS if "ro" in options else errno.ENOSPC
    assert line.endswith(f"cannot be written: {os.strerror(reason)}")


def test_a_full_disk_ends_an_encode_in_jobs(films: Path, small_disk) -> None:
    disk = small_disk("size=8k")
    words = ["--jobs", 2, "--keyint", 20, *QUICK]
    code, messages = end(start("encode", films / "0.mp4", disk / "o.gvc", *words))
    assert code == 1 and "No space left on device" in errors_of(messages)[-1]
    assert not list(disk.iterdir())


#: Records of jobs cannot be written from the sixth on.
FULL = """
from gvcodec.batch import ledger
from gvcodec.errors import OutputError
real, calls = ledger.write_json, []
def write_json(path, value, root):
    calls.append(path)
    if len(calls) > 5:
        raise OutputError.of(path, OSError(28, "No space left on device"))
    real(path, value, root)
ledger.write_json = write_json
"""


def test_a_ledger_that_cannot_be_written_ends_a_batch(films: Path, tmp_path) -> None:
    words = ["batch", films, "-o", tmp_path / "out", *QUICK, "--jobs", 2]
    code, messages = end(start(*words, code=FULL))
    assert code == 1 and "No space left on device" in errors_of(messages)[-1]


def test_a_table_or_ledger_that_is_no_file_ends_a_batch_before_it_begins(films: Path, tmp_path):
    words = [*QUICK, "--jobs", 1]
    (tmp_path / "a" / "batch.csv").mkdir(parents=True)
    assert "batch.csv: is a folder" in run("batch", films, "-o", tmp_path / "a", *words, code=1).err
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / ".batch").touch()
    assert "cannot be written" in run("batch", films, "-o", tmp_path / "b", *words, code=1).err
    assert not list(tmp_path.rglob("*.gvc*"))


@pytest.mark.parametrize(("call", "place"), [("plan", "."), ("encode", ".batch"), ("join", ".")])
def test_out_that_is_removed_ends_a_batch(films: Path, tmp_path, call: str, place: str) -> None:
    """It is not created again."""
    out = tmp_path / "out"

    class Removing(Inline):
        def _run(self, task: Task) -> Any:
            if task.call.__name__ == call:
                while (out / place).exists():  # other threads may write into it meanwhile
                    shutil.rmtree(out / place, ignore_errors=True)
            return super()._run(task)

    with pytest.raises(OutputError, match="was removed"):
        encode(out, films / "0.mp4", films / "1.mp4", engine=Removing())
    # The folder may end the batch while a thread is still removing it.
    wait_for(lambda: not (out / place).exists())


@pytest.mark.usefixtures("inline_batch")
def test_one_file_that_cannot_be_written_does_not_end_a_batch(films: Path, tmp_path) -> None:
    """A folder that belongs to somebody else."""
    (tmp_path / "in" / "sub").mkdir(parents=True)
    shutil.copy(films / "0.mp4", tmp_path / "in" / "a.mp4")
    shutil.copy(films / "0.mp4", tmp_path / "in" / "sub" / "b.mp4")
    out = tmp_path / "out"
    out.mkdir()
    (out / "sub").touch()
    report = run("batch", tmp_path / "in", "-o", out, *QUICK, "--jobs", 1, code=6).err
    assert "1 of 2 files failed" in report and list(streams_of(out)) == ["a.gvc"]


def test_a_closed_engine_has_no_unfinished_future() -> None:
    class Stuck(Engine):
        def _run(self, task: Task) -> Any:
            time.sleep(PATIENCE)

    with Stuck(2) as engine:
        futures = [engine.submit(Task(os.getpid)) for _ in range(5)]
        wait_for(lambda: sum(future.running() for future in futures) == 2)
    assert all(future.done() for future in futures)
    assert engine.submit(Task(os.getpid)).done()


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """Workers alone: an encoder that is killed under its worker is a film that fails."""

    def is_worker(number: int) -> bool:
        with contextlib.suppress(OSError):
            return b"gvcodec.batch.worker" in Path(f"/proc/{number}/cmdline").read_bytes()
        return False

    others = (number for number in session(process.pid) if number != process.pid)
    return [number for number in others if is_worker(number)]


@pytest.mark.parametrize(("number", "stopped"), [(signal.SIGINT, False), (signal.SIGTERM, True)])
def test_a_signal_ends_a_batch(films: Path, tmp_path, number: int, stopped: bool) -> None:
    """During planning, and while workers are stopped."""
    process = start("batch", films, "-o", tmp_path / "out", *QUICK, "--jobs", 2)
    wait_for(lambda: len(workers_of(process)) == 2)
    if stopped:
        for worker in workers_of(process):
            os.kill(worker, signal.SIGSTOP)
    process.send_signal(number)
    code, messages = end(process, 10)
    assert code == 128 + number and messages.endswith("gvcodec: interrupted\n")


def test_a_signal_does_not_wait_for_a_full_pipe_of_messages(films: Path, tmp_path) -> None:
    code = "import os\nos.set_blocking(2, False)\ntry:\n    while True: os.write(2, bytes(4096))\n"
    code += "except BlockingIOError: os.set_blocking(2, True)"
    process = start("batch", films, "-o", tmp_path / "out", *QUICK, "--jobs", 2, code=code)
    wait_for(lambda: workers_of(process))
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 128 + signal.SIGTERM
    assert process.stderr is not None
    process.stderr.close()


def test_killed_workers_are_replaced_and_a_batch_ends(films: Path, tmp_path) -> None:
    process = start(
        "batch", films / "0.mp4", films / "1.mp4", "-o", tmp_path / "out", *QUICK, "--jobs", 2
    )
    wait_for(lambda: workers_of(process))
    for worker in workers_of(process):
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
    code, messages = end(process)
    assert code == 0 and "2 files done" in messages, messages
