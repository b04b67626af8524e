"""The decoder that was written from docs/spec/ alone finds what the conformance files say."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from conformance import __main__ as judging
from conformance.decoder.decode import answer
from conformance.decoder.entropy import Rans
from conformance.decoder.wire import Refused

ROOT = Path(__file__).resolve().parents[2] / "conformance"
FILES = sorted(ROOT.glob("files/*.gvc"))
REFUSED = json.loads((ROOT / "refused.json").read_text())
COMMAND = f"{sys.executable} -m conformance.decoder"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_judge_finds_every_part_of_a_file_right(path: Path) -> None:
    wanted = json.loads(path.with_suffix(".json").read_text("utf-8"))
    found = json.loads(json.dumps(answer(path.read_bytes())))
    marks = dict(zip(judging.COLUMNS, judging.judge(found, wanted), strict=True))
    assert {column for column, mark in marks.items() if mark != judging.SAME} == {
        column for column in judging.COLUMNS if column not in wanted
    }


@pytest.mark.parametrize("name", REFUSED)
def test_what_must_be_refused_is_with_its_code(name: str) -> None:
    with pytest.raises(Refused) as refused:
        answer((ROOT / f"refused/{name}.gvc").read_bytes())
    assert refused.value.code == REFUSED[name]["code"]


def test_the_judge_takes_the_command() -> None:
    assert judging.main([COMMAND, "one-frame"]) == 0


def test_a_refusal_is_one_line_and_its_code() -> None:
    command = [*COMMAND.split(), str(ROOT / "refused/flag.gvc")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 4 and done.stdout == "" and done.stderr.count("\n") == 1


def test_vectors_of_the_range_coder() -> None:
    for vector in json.loads((ROOT / "rans.json").read_text()):
        rans = Rans(bytes.fromhex(vector["bytes"]))
        table = vector["scale"], vector["mean"], vector["inflation"]
        assert [rans.integer(*table) for _ in vector["values"]] == vector["values"]
        rans.close()


def test_it_does_not_know_gvcodec() -> None:
    for path in ROOT.glob("decoder/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in getattr(node, "names", ())]
            names.append(getattr(node, "module", None) or "")
            assert not any(name.split(".")[0] == "gvcodec" for name in names), path
