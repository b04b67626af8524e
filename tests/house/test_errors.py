"""Errors carry codes, which programs and tests rely on; what a person reads stands in one table."""

from __future__ import annotations

import ast
import io
import pickle
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import gvcodec
from gvcodec import EncoderConfig, errors
from gvcodec.bitstream import SequenceHeader
from gvcodec.bitstream.varint import Cursor
from gvcodec.cli import main
from gvcodec.errors import (
    CODES,
    DamagedStreamError,
    GvcodecError,
    NotGvcodecError,
    UsageError,
)
from gvcodec.limits import Limits, check
from gvcodec.models import find_model
from gvcodec.painter.payload import split_extras
from gvcodec.rate.one_pass import Budget
from gvcodec.rate.target import Target
from gvcodec.types import VideoFormat
from gvcodec.util.file_io import refuse_folder

ROOT = Path(__file__).parents[2]
FORMAT = VideoFormat(64, 64, Fraction(25), Fraction(1, 25))
HEADER = SequenceHeader(FORMAT, "av1", Fraction(1), 30)
FRAMES = np.zeros((2, 64, 64, 3), np.uint8)


def _check(**settings: object) -> Callable[[], object]:
    """Settings that cannot be encoded."""
    return lambda: EncoderConfig(**settings).resolve().check()  # type: ignore[arg-type]


def _read(data: bytes) -> Callable[[], object]:
    return lambda: list(gvcodec.Reader(io.BytesIO(data), "a.gvc").packets())


def _flipped_header() -> bytes:
    data = bytearray(HEADER.pack())
    data[-1] ^= 1
    return bytes(data)


#: What fails, the code, and the words.
WORDS: list[tuple[Callable[[], object], str, str]] = [
    (_check(speed="slow"), "option-value", "speed is fast, balanced, best, not slow"),
    (_check(q=99), "option-value", "q: '99' is not a number from 0 (best) to 67 (smallest file)"),
    (_check(look=101), "option-value", "look: '101' is not an integer, 0…100"),
    (_check(base="vvc", eye=True), "base-feature", "--eye needs base av1, not vvc"),
    (_check(base="vvc", maxrate=5000), "base-feature", "--maxrate needs base av1, not vvc"),
    (
        _check(low_delay=True, maxrate=5000),
        "option-conflict",
        "--maxrate has no effect with --low-delay: SVT-AV1 ignores it there",
    ),
    (
        _check(zones="0-1:q=+8", maxrate=5000),
        "option-conflict",
        "--zones cannot be combined with --maxrate, which changes quality itself",
    ),
    (
        lambda: gvcodec.encode(FRAMES, qq=3),
        "option-unknown",
        "there is no option qq; did you mean q?",
    ),
    (
        lambda: gvcodec.encode(FRAMES, q="fine"),
        "option-type",
        "q: 'fine' is not a number from 0 (best) to 67 (smallest file)",
    ),
    (
        lambda: gvcodec.encode(FRAMES, base="av3"),
        "base-unknown",
        "unknown base codec av3; there are av1, vvc, gvc1d",
    ),
    (lambda: gvcodec.encode(FRAMES[:0]), "no-frames", "there is no frame to encode"),
    (
        lambda: Budget(size=0),
        "target",
        "a budget is one of size, bitrate, bpp and video_bitrate, above 0 and at most 1e18",
    ),
    (
        lambda: Target("psnr", 30, of="best"),
        "target",
        "the statistic of a target is mean, p5, worst-scene, not best",
    ),
    (_read(b"RIFF" + bytes(40)), "not-gvcodec", "a.gvc: not a gvcodec file (wrong first bytes)"),
    (_read(HEADER.pack()[:9]), "truncated", "a.gvc: header: file ends early"),
    (
        _read(_flipped_header()),
        "header-checksum",
        "a.gvc: header: checksum mismatch (nothing can be decoded)",
    ),
    (
        _read(HEADER.pack() + b"\1\2\3"),
        "packet-checksum",
        "a.gvc: packet 0: checksum mismatch (file is damaged after 0:00.0)",
    ),
    (
        _read(HEADER.pack()),
        "truncated",
        "a.gvc: packet 0: file ends early "
        + "(file is damaged after 0:00.0; gvcodec repair keeps its whole GOPs)",
    ),
    (lambda: Cursor(b"\x80\0", "index").var(), "number", "index: number in non-minimal form"),
    (
        lambda: split_extras(b"\x14"),
        "fit-payload",
        "fitted weights: the strength is missing or out of range",
    ),
    (
        lambda: check(HEADER, False, Limits(max_pixels=1000)),
        "limit-pixels",
        "pictures of 64×64 have more than 1000 pixels (--max-pixels)",
    ),
    (lambda: refuse_folder("out/"), "file-folder", "out/: names a folder, and there is none"),
    (lambda: gvcodec.info("missing.gvc"), "file-missing", "missing.gvc: No such file or directory"),
]


@pytest.mark.parametrize(("fail", "code", "words"), WORDS, ids=[words[:40] for *_, words in WORDS])
def test_each_error_has_its_code_and_its_words(
    fail: Callable[[], object],
    code: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GvcodecError) as caught:
        fail()
    assert (caught.value.code, str(caught.value)) == (code, words)


def test_a_missing_model_names_where_it_was_looked_for() -> None:
    with pytest.raises(GvcodecError) as caught:
        find_model(bytes(8), "the painter of this stream")
    assert caught.value.code == "model-missing"
    assert "the painter of this stream 0000000000000000 is missing; searched " in str(caught.value)
    assert "(--model PATH or $GVCODEC_MODELS names another place)" in str(caught.value)


def _codes_in_source() -> Iterator[tuple[str, str]]:
    """Codes that the package gives errors, each with its place."""
    for path in sorted((ROOT / "gvcodec").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            values: list[ast.expr] = []
            if isinstance(node, ast.Call) and re.search(r"Error\b", ast.unparse(node.func)):
                values = [k.value for k in node.keywords if k.arg == "code"]
                # Of a rule, in whose place the constant is.
                values = [value for value in values if ast.unparse(value) != "rule.code"]
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "Rule":
                values = node.args[:1]
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "default_code":
                values = [node.value]
            for value in values:
                assert isinstance(value, ast.Constant), f"{path}:{value.lineno}"
                yield str(value.value), f"{path.relative_to(ROOT)}:{value.lineno}"


def _codes_in_core() -> Iterator[tuple[str, str]]:
    """Codes that the core gives errors. One that no file uses is left out."""
    table = ROOT / "csrc/format/error_codes.hpp"
    files = [path for path in (ROOT / "csrc").rglob("*.[ch]pp") if path != table]
    sources = "".join(path.read_text(encoding="utf-8") for path in files)
    lines = re.findall(r'char (\w+)\[\] = "(.*)";', table.read_text(encoding="utf-8"))
    for name, value in lines:
        if re.search(rf"\bcode::{name}\b", sources):
            yield value, table.name
    assert lines


def test_every_code_is_in_the_registry_and_every_entry_of_it_is_used() -> None:
    used = dict([*_codes_in_source(), *_codes_in_core()])
    assert not {code: place for code, place in used.items() if code not in CODES}
    assert set(CODES) == set(used)


def test_codes_are_words_with_hyphens_and_meanings_are_phrases() -> None:
    for code, meaning in CODES.items():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code), code
        assert meaning and not meaning.endswith(".") and len(meaning) < 90, code


def test_an_error_that_adds_a_place_keeps_the_code() -> None:
    with pytest.raises(DamagedStreamError) as caught:
        try:
            raise DamagedStreamError("checksum mismatch", code="packet-checksum")
        except DamagedStreamError as error:
            raise DamagedStreamError(f"a.gvc: {error}") from error
    assert caught.value.code == "packet-checksum"
    with pytest.raises(UsageError) as other:
        raise UsageError("wrong") from caught.value
    assert other.value.code == "packet-checksum"
    assert UsageError("wrong").code == "usage"
    assert pickle.loads(pickle.dumps(UsageError("wrong", code="device"))).code == "device"
    with pytest.raises(ValueError, match="no-such is not a code"):
        UsageError("wrong", code="no-such")


def test_exit_codes_stay() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    codes = {kind.__name__: kind.exit_code for kind in kinds if issubclass(kind, GvcodecError)}
    assert codes == {
        "GvcodecError": 1,
        "MediaError": 1,
        "MissingFileError": 1,
        "OutputError": 1,
        "LimitError": 1,
        "UsageError": 2,
        "DamagedStreamError": 3,
        "NotGvcodecError": 9,
        "WrongModelError": 4,
        "FormatVersionError": 4,
        "NewerModelError": 4,
        "VerificationError": 5,
        "BatchError": 6,
        "NoGainError": 7,
        "IncompleteSourceError": 8,
        "NotReplacedError": 10,
        "SourceDiffersError": 10,
    }


def test_the_command_prints_the_words_and_not_the_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.gvc"
    path.write_bytes(b"RIFF" + bytes(40))
    assert main(["info", str(path)]) == NotGvcodecError.exit_code
    assert capsys.readouterr().err == f"gvcodec: {path}: not a gvcodec file (wrong first bytes)\n"
