"""Hostile files through all commands, as `tests.fuzz.robustness` tries them."""

from __future__ import annotations

import shutil

from tests.fuzz.robustness import commands, hostile

#: A command line that does what no command may, by the name of its input.
BAD = """
import os, socket, time
from pathlib import Path
from gvcodec.cli import repair

def run(options):
    name = Path(options.input).name
    if "traceback" in name:
        raise ValueError("made up")
    if "crash" in name:
        os.abort()
    if "hang" in name:
        time.sleep(600)
    if "socket" in name:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
    if "foreign" in name:
        open("foreign.wav", "rb").close()
    if "leftover" in name:
        Path(os.environ["TMPDIR"], "left").write_bytes(b"x")
    if "quiet" in name:
        raise SystemExit(3)

repair.run = run
"""


def test_a_few_files_through_all_commands() -> None:
    files = hostile.openers() | dict(list(commands.inputs(1).items())[-3:])
    found = commands.summary(commands.try_command(files))
    assert found["findings"] == []
    assert found["tried"] == 8 * len(files)
    assert 3 < len(files) < found["codes"]["3"]
    assert found["peak_bytes"] <= found["limit"]
    line = commands.to_words(found)
    assert "0 crashes, 0 hangs, 0 tracebacks, 0 silent changes, 0 leftovers" in line


def test_files_through_all_commands_notice_what_they_look_for(tmp_path, monkeypatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(BAD)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    data = hostile.with_packets(hostile.streams()["av1"])
    kinds = ("traceback", "crash", "socket", "foreign", "leftover", "quiet", "hang")
    found = commands.try_command({f"a {kind}": data for kind in kinds}, patience=8)
    # What passes although it was damaged, and what only one of the two refuses.
    row = {name: 0 for name in ("code", "took", "seconds")} | {
        "said": "", "others": [], "output": None
    }  # fmt: skip
    decode, verify = "decode IN out.y4m --fidelity", "verify IN --fidelity"
    found["rows"] += [
        row | {"input": "b damage 1", "command": decode},
        row | {"input": "c", "command": decode, "code": 3, "said": "x", "output": "half"},
        row | {"input": "c", "command": verify},
    ]
    counts = commands.summary(found)
    wanted = {"crashes": 1, "hangs": 1, "tracebacks": 1, "silent": 3, "leftovers": 2}
    if shutil.which("strace"):
        wanted |= {"sockets": 1, "foreign": 1}
    assert {name: counts[name] for name in wanted} == wanted, counts["findings"]
    assert len(counts["findings"]) == sum(wanted.values())
