"""Conformance files and tables of the specification agree with gvcodec; embedded models."""

import binascii
import csv
import hashlib
import io
import json
import re
import zlib
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

import gvcodec
from conformance import __main__ as judging
from conformance import vectors
from conformance.decoder import decode
from conformance.decoder.wire import Damaged
from conformance.reference import answer
from gvcodec import _core, models
from gvcodec.base.resample import DOWN, UP
from gvcodec.bitstream import Kind, Packet, Reader, embedded_models
from gvcodec.bitstream.bundles import SAMPLE
from gvcodec.bitstream.packets import read_packet
from gvcodec.bitstream.timing import PtsDecoder, PtsEncoder
from gvcodec.errors import DamagedStreamError, GvcodecError, WrongModelError
from gvcodec.opening import open_reader
from tests.conftest import Pipe, moving_texture, packets_in, rewritten, stream_of
from tests.errors import raises

ROOT = Path(__file__).resolve().parents[2] / "conformance"
FILES = judging.files_to_judge()
REFUSED = json.loads((ROOT / "refused.json").read_text())
EMBEDDED = ROOT / "files/embedded.gvc"
MODEL = next(ROOT.glob("models/e7cb*.safetensors")).read_bytes()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_in_a_file_is_what_it_says(path: Path) -> None:
    wanted = json.loads(path.with_suffix(".json").read_text("utf-8"))
    found = json.loads(json.dumps(answer(path.read_bytes())))
    assert found.keys() == wanted.keys() and judging.OTHER not in judging.judge(found, wanted)


@pytest.mark.parametrize("name", REFUSED)
def test_what_must_be_refused_is_for_the_reason_given(name: str) -> None:
    with pytest.raises(GvcodecError) as refused:
        answer((ROOT / f"refused/{name}.gvc").read_bytes())
    assert refused.value.exit_code == REFUSED[name]["code"]


def test_inner_values_of_the_painter() -> None:
    wanted = json.loads((ROOT / "painter.json").read_text())
    assert vectors.painter_layers(ROOT / "files") == wanted


def test_the_judge_sees_what_differs() -> None:
    wanted = json.loads((ROOT / "files/av1.json").read_text("utf-8"))
    marks = dict(zip(judging.COLUMNS, judging.judge(wanted, wanted), strict=True))
    assert {c for c, mark in marks.items() if mark == judging.SAME} == set(wanted)
    other = wanted | {"times": [0]}
    del other["fit"]
    marks = dict(zip(judging.COLUMNS, judging.judge(other, wanted), strict=True))
    assert marks["times"] == judging.OTHER and marks["fit"] == judging.MISSING
    assert marks["base"] == judging.SAME


@pytest.fixture
def nothing_shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without `checkpoints/`, which has read no file yet."""
    monkeypatch.setattr(models, "shipped_folders", list)
    models._embedded_folder.cache_clear()


def with_its_model(data: bytes) -> bytes:
    """A file of base gvc1d that brings the model of its base along."""
    reader = Reader(io.BytesIO(data))
    identity = reader.header.base_model_id
    assert identity is not None
    model = (ROOT / f"models/{identity.hex()}.safetensors").read_bytes()
    packets = [Packet(Kind.MODEL, bytes([embedded_models.BASE_MODEL]) + model), *reader.packets()]
    return stream_of(replace(reader.header, embeds_models=True), packets, reader.base_hash)


@pytest.mark.parametrize("name", ["embedded", "gvc1d-network"])
@pytest.mark.parametrize("pipe", [False, True])
def test_a_file_with_its_models_is_decoded_without_checkpoints(nothing_shipped, name, pipe):
    data = (ROOT / f"files/{name}.gvc").read_bytes()
    if name == "gvc1d-network":
        data = with_its_model(data)
    without = rewritten(data, lambda packets: (p for p in packets if p.kind is not Kind.MODEL))
    models._embedded_folder.cache_clear()
    with pytest.raises(WrongModelError):
        gvcodec.Decoder(Reader(io.BytesIO(without)).header, name == "gvc1d-network")
    reader = Reader(io.BufferedReader(Pipe(data)) if pipe else io.BytesIO(data))
    decoder = gvcodec.Decoder(reader.header, name == "gvc1d-network")
    assert len(list(decoder.frames_of(reader.packets()))) == reader.frames > 0
    decoder.verify(reader.base_hash)
    decoder.verify(reader.base_hash)
    assert decoder.expected_painted_hash == decoder.painted_hash


def test_what_encode_embeds_is_painted_without_checkpoints(monkeypatch):
    options: dict[str, Any] = {"frame_rate": 25, "base": "av1", "fit": 0, "threads": 1}
    data = gvcodec.encode(moving_texture(48, 32, 3), embed_model=True, **options)
    monkeypatch.setattr(models, "shipped_folders", list)
    models._embedded_folder.cache_clear()
    reader = Reader(io.BytesIO(data))
    decoder = gvcodec.Decoder(reader.header)
    assert len(list(decoder.frames_of(reader.packets()))) == 3
    decoder.verify(reader.base_hash)
    assert decoder.expected_painted_hash is not None


def test_who_cuts_a_file_with_its_model_keeps_it() -> None:
    out = io.BytesIO()
    gvcodec.cut(EMBEDDED.read_bytes(), out, 0)
    kinds = [packet.kind for packet in packets_in(out.getvalue())]
    assert kinds[0] is Kind.MODEL and kinds.count(Kind.MODEL) == 1


def test_a_model_that_the_header_does_not_name_is_damage() -> None:
    def another(packets: list[Packet]) -> list[Packet]:
        made = bytes([embedded_models.PAINTER]) + b"another"
        return [Packet(Kind.MODEL, made) if p.kind is Kind.MODEL else p for p in packets]

    data = EMBEDDED.read_bytes()
    with raises(DamagedStreamError, "model-packet"):
        Reader(io.BytesIO(rewritten(data, another)), "x.gvc")


@pytest.mark.parametrize(
    "model", [b"another", MODEL[:-1], MODEL.replace(b"view.shift", b"view.shaft")]
)
def test_a_file_that_brings_along_a_broken_model_is_damaged(model: bytes) -> None:
    reader = Reader(io.BytesIO(EMBEDDED.read_bytes()))
    header = replace(reader.header, painter_id=hashlib.sha256(model).digest()[:8])
    brought = bytes([embedded_models.PAINTER]) + model
    packets = [replace(p, payload=brought) if p.kind is Kind.MODEL else p for p in reader.packets()]
    data = stream_of(header, packets, reader.base_hash)
    with pytest.raises(DamagedStreamError, match="model: not a painter"):
        answer(data)
    with pytest.raises(Damaged):
        decode.answer(data)


CHECKOUT = Path(__file__).resolve().parents[2]
TABLES = CHECKOUT / "docs/spec/tables"


def test_sums_are_those_of_the_files() -> None:
    listed = dict(line.split()[::-1] for line in (TABLES / "SHA256SUMS").read_text().splitlines())
    files = {path.name for path in TABLES.iterdir()} - {"SHA256SUMS"}
    assert set(listed) == files
    for name, digest in listed.items():
        assert hashlib.sha256((TABLES / name).read_bytes()).hexdigest() == digest, name


def test_laplace_tables_are_those_of_the_core() -> None:
    scales = json.loads((TABLES / "laplace.json").read_text())
    assert len(scales) == 64
    for scale, table in enumerate(scales):
        assert len(table["frequencies"]) == 8
        for phase, frequencies in enumerate(table["frequencies"]):
            assert len(frequencies) == 2 * table["radius"] + 2
            edges = list(accumulate(frequencies, initial=0))
            assert _core.cdf_table(scale, phase - 4).tolist() == edges, (scale, phase)


def test_resampler_and_sample_are_those_of_the_code() -> None:
    written = json.loads((TABLES / "resampler.json").read_text())
    for way, kernels in (("up", UP), ("down", DOWN)):
        assert set(written[way]) == {str(scale) for scale in kernels}
        for scale, kernel in kernels.items():
            fields = written[way][str(scale)]
            assert fields["step"] == kernel.step and tuple(fields["first"]) == kernel.first
            assert tuple(map(tuple, fields["taps"])) == kernel.taps
    shipped = CHECKOUT / "gvcodec/bitstream" / SAMPLE
    assert (TABLES / "bundles.sample").read_bytes() == shipped.read_bytes()


def test_the_example_of_timing_holds() -> None:
    page = (CHECKOUT / "docs/spec/tracks.md").read_text()
    lines = re.findall(r"^((?:[0-9a-f]{2} +)+)(?:before)", page, re.MULTILINE)
    found = [read_packet(io.BytesIO(bytes.fromhex(line)))[0].payload for line in lines]
    times = [0, 40, 80, 130, 170, 210, 240, 280]
    clock = 0, Fraction(25), Fraction(1, 1000)
    encoder, decoder, later = PtsEncoder(*clock), PtsDecoder(*clock), PtsDecoder(*clock)
    for pts in times[:4]:
        encoder.send(pts)
    assert encoder.pop_payload() == found[0]
    for pts in times[4:]:
        encoder.send(pts)
    assert encoder.pop_payload(4) == found[1]
    for payload in found:
        decoder.send(payload)
    assert [decoder.receive() for _ in range(9)] == [*times, 320]
    later.restart(4)
    later.send(found[1])
    assert [later.receive() for _ in range(4)] == times[4:]


@pytest.mark.parametrize("what", ["crc16", "crc32"])
def test_checksums_of_the_specification(what: str) -> None:
    page = (CHECKOUT / "docs/spec/container.md").read_text()
    found = {"crc16": binascii.crc_hqx(b"123456789", 0xFFFF), "crc32": zlib.crc32(b"123456789")}
    assert f"{what} is {found[what]:X}" in page


def test_painted_files_have_one_hash_on_every_machine() -> None:
    with (ROOT.parent / "docs/data/golden-machines.csv").open() as file:
        rows = {row.pop("file"): row for row in csv.DictReader(file)}
    page = (ROOT.parent / "docs/spec/conformance.md").read_text().split("## One hash")[1]
    assert {"x86 plain", "x86 AVX-512", "ARM plain", "WebAssembly"} <= rows["vvc"].keys()
    for name, row in rows.items():
        (digest,) = set(row.values())
        assert f"| `{name}`" not in page or f"| {digest} |" in page


def test_every_addition_of_1_1_has_a_file_that_says_which_reader_it_needs() -> None:
    page = (ROOT.parent / "docs/spec/changes.md").read_text()
    needing, skipped = (part.split("\n## ")[0] for part in page.split("\n## Additions that ")[1:])
    listed: set[str] = set()
    for text, version in ((needing, (1, 1)), (skipped, (1, 0))):
        cells = [line.split("|")[-2] for line in text.splitlines() if line.startswith("|")][2:]
        assert all("`" in cell for cell in cells)
        for name in re.findall(r"`([^`]+)`", " ".join(cells)):
            path = ROOT / "files" / (name if "." in name else f"{name}.gvc")
            listed.add(path.name)
            with open_reader(path) as reader:
                assert reader.header.needs == version, name
    newer = {p.name for p in FILES if p.suffix == ".gvc" and needs(p) == (1, 1)}
    assert newer - {"needs-1.1.gvc"} == {
        name for name in listed if needs(ROOT / "files" / name) > (1, 0)
    }
    assert any(name.startswith("metadata-names") for name in listed)


def needs(path: Path) -> tuple[int, int]:
    with open_reader(path) as reader:
        return reader.header.needs


def test_names_and_captions_are_in_their_files() -> None:
    """The second decoder gives what gvcodec gives; another text or triplet would differ."""
    for name, key in (("metadata-names.gvc", "names"), ("captions.gvc", "captions")):
        data = (ROOT / "files" / name).read_bytes()
        ours, theirs = answer(data), decode.answer(data)
        assert ours.get(key, (ours["metadata"] or {}).get(key))
        assert ours["metadata"] == theirs["metadata"]
        assert ours.get("captions") == theirs.get("captions")
