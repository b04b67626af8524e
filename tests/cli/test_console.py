"""Messages of the command line: odd values, closed standard streams, other encodings."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gvcodec as api
from tests.clips import format_of
from tests.conftest import in_process, moving_texture, run, without_painted_hash


@pytest.fixture(scope="module")
def stream(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("console") / "a.gvc"
    clip, fast = moving_texture(64, 48, 1), {"base": "av1", "preset": 10, "fit": 0}
    path.write_bytes(api.encode(clip, format=format_of(clip), **fast))
    run("decode", path, path.with_suffix(".y4m"), "--fidelity")
    return path


ENCODE = ("encode", "SOURCE", "OUT", "--preset", "10", "--fit", "off")
DECODE = ("decode", "STREAM", "OUT.y4m", "--fidelity")
VALUES = [
    (0, *DECODE, "--max-memory", "99999999999G"),
    (2, *DECODE, "--threads", "99999999999"),
    (2, "cut", "STREAM", "OUT", "--from", "1e308"),
    (2, "cut", "STREAM", "OUT", "--from", "1e9"),
    (2, *ENCODE, "--start", "1e308"),
    (1, *ENCODE, "--start", "1e9"),
    (2, *ENCODE, "--keyint", "9" * 5000),
    (2, *ENCODE, "--size", "1e308"),
    (2, "encode", "SOURCE", "", "-y"),
]


@pytest.mark.parametrize("case", VALUES, ids=lambda case: " ".join(map(str, case[1:]))[:60])
def test_a_value_out_of_reach_is_one_line(stream, tmp_path, case):
    code, *words = case
    places = {"SOURCE": stream.with_suffix(".y4m"), "STREAM": stream, "OUT": tmp_path / "o"}
    arguments = [str(places.get(str(word).partition(".")[0], word)) for word in words]
    arguments = [f"{a}.y4m" if w == "OUT.y4m" else a for a, w in zip(arguments, words, strict=True)]
    message = run(*arguments, code=code).err
    assert message.startswith("gvcodec: ") and message.count("\n") == 1
    assert code == 0 or not list(tmp_path.iterdir())


def shell(command: str, stream: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A command of a shell, in which `gvcodec` is the command line and `$S` the stream."""
    known = os.environ | {"S": str(stream), "PY": sys.executable, "PYTHONUNBUFFERED": ""}
    known |= environment
    command = command.replace("gvcodec", '"$PY" -m gvcodec')
    quiet = {"stdin": subprocess.DEVNULL, "capture_output": True, "timeout": 60}
    done = subprocess.run(["sh", "-c", command], env=known, check=False, **quiet)
    assert not re.search(b"Traceback|Exception", done.stderr + done.stdout)
    return done


FULL = b"gvcodec: standard output: cannot be written: No space left on device\n"
CLOSED = b"gvcodec: standard output: cannot be written: Bad file descriptor\n"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("gvcodec info $S >&-", CLOSED),
        ("gvcodec decode $S - --fidelity >&-", CLOSED),
        ("gvcodec info - <&-", b"gvcodec: standard input: is closed\n"),
        ("gvcodec info $S >/dev/full", FULL),
        ("gvcodec --help >/dev/full", FULL),
        ("gvcodec info none.gvc 2>&-", b""),
    ],
)
def test_a_closed_or_full_standard_stream_is_no_success(stream, tmp_path, command, message):
    done = shell(f"cd {tmp_path} && {command}", stream, PYTHONPATH=os.getcwd())
    assert (done.returncode, done.stderr) == (1, message) and not list(tmp_path.iterdir())


def test_files_do_not_take_the_place_of_closed_standard_streams(stream: Path, tmp_path) -> None:
    """Messages to standard error must not end up in the output or on standard output."""
    shell(f"gvcodec cut $S {tmp_path}/o.gvc <&- >&- 2>&-", stream)
    assert (tmp_path / "o.gvc").read_bytes() == without_painted_hash(stream.read_bytes())
    done = shell("gvcodec decode $S - --fidelity 2>&-", stream)
    assert (done.returncode, done.stdout) == (0, stream.with_suffix(".y4m").read_bytes())


def test_other_encodings_get_escapes(stream: Path, tmp_path) -> None:
    odd = tmp_path / "\udcffβ.gvc"
    os.link(stream, odd)
    commands = "gvcodec verify $S && gvcodec encode a b --preset 99"
    done = shell(commands, odd, PYTHONIOENCODING="ascii:strict")
    assert done.returncode == 2, done.stderr
    assert rb"\u03b2.gvc: 1 frame, checksums" in done.stdout and rb"0\u202610" in done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_a_disk_that_fills_up_in_the_last_write_is_noticed(stream, tmp_path, unbuffered):
    """The system takes what there is room for, and says so by a number instead of an error."""
    code = """
import resource, sys
from gvcodec.__main__ import run
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
sys.exit(run())
"""
    whole = stream.with_suffix(".y4m").stat().st_size
    for room, expected in ((whole, 0), (whole - 3, 1)):
        words = ("-c", code, room, "decode", stream, "-", "--fidelity")
        environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
        with open(tmp_path / "out", "wb") as out:
            in_process(*words, code=expected, stdout=out, env=environment)
        assert ((tmp_path / "out").stat().st_size == whole) == (expected == 0)


@pytest.mark.parametrize("raised", ["BrokenPipeError", "errors.DamagedStreamError('damaged')"])
def test_whatever_ends_a_command_nothing_waits_in_standard_output(raised):
    """Lines before an error are out or dropped: the interpreter has nothing left to fail with."""
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    program = f"""
import sys
from gvcodec import errors
from gvcodec.cli import info
def run(options):
    sys.stdout.write("half a line")
    raise {raised}
info.run = run
from gvcodec.__main__ import run as main
sys.argv[1:] = ["info", "x"]
sys.exit(main())
"""
    environment = os.environ | {"PYTHONUNBUFFERED": ""}
    with open("/dev/full", "wb") as full:
        done = in_process("-c", program, code=1, stdout=full, env=environment)
    assert b"Exception ignored" not in done.stderr
