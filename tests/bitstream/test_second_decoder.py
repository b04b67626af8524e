"""The decoder that was written from docs/spec/ alone finds what the conformance files say."""

import ast
import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from conformance import __main__ as judging
from conformance import mutate
from conformance.decoder.decode import answer
from conformance.decoder.entropy import Rans
from conformance.decoder.fit import read_fit
from conformance.decoder.header import Header
from conformance.decoder.networks import IntegerNetwork, predicted
from conformance.decoder.wire import Refused
from gvcodec.types import Colour, VideoFormat

ROOT = Path(__file__).resolve().parents[2] / "conformance"
FILES = judging.files_to_judge()
REFUSED = json.loads((ROOT / "refused.json").read_text())
FORMAT = VideoFormat(40, 30, Fraction(25), Fraction(1, 25), 8, Colour(1, 1, 1))
COMMAND = f"{sys.executable} -m conformance.decoder"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_judge_finds_every_part_of_a_file_right(path: Path) -> None:
    wanted = json.loads(path.with_suffix(".json").read_text("utf-8"))
    found = json.loads(json.dumps(answer(path.read_bytes())))
    assert found.keys() >= wanted.keys()
    marks = dict(zip(judging.COLUMNS, judging.judge(found, wanted), strict=True))
    others = {column for column, mark in marks.items() if mark != judging.SAME}
    assert others == {column for column in judging.COLUMNS if column not in wanted}


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


def test_vectors_of_predicted_integers() -> None:
    for vector in json.loads((ROOT / "predicted.json").read_text()):
        layers = [
            (*(np.array(one[part]) for part in ("weight", "bias", "multiplier")), one["bounds"])
            for one in vector["layers"]
        ]
        network = IntegerNetwork(layers, layers[0][0].shape[1])
        around = [np.array(vector[part]) for part in ("activations", "entries")]
        assert predicted(network, bytes.fromhex(vector["bytes"]), *around) == vector["values"]


def test_both_decoders_say_the_same_of_mutated_files() -> None:
    files = {path.stem: mutate.apart(path.read_bytes()) for path in FILES if path.suffix == ".gvc"}
    for number in range(150):
        name, way, data = mutate.mutant(files, 11, number)
        first, second = mutate.verdicts(data)
        if mutate.explained(first, second) is None:
            assert (first[0] == 0) == (second[0] == 0), (number, name, way, first, second)
            assert first[0] >= 0 and second[0] >= 0
            assert first[0] or not mutate.differing(first[1], second[1]), (number, name, way)


def test_fitted_weights_that_change_nothing() -> None:
    assert read_fit(b"\x10", {}, Header()).answer() is None
    assert read_fit(b"\x10\0", {}, Header()).answer() == {"noise": 64, "keep": 0, "deltas": {}}
    assert read_fit(b"\0", {}, Header()).answer() == "identity"


def test_it_does_not_know_gvcodec() -> None:
    for path in ROOT.glob("decoder/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in getattr(node, "names", ())]
            names.append(getattr(node, "module", None) or "")
            assert not any(name.split(".")[0] == "gvcodec" for name in names), path
