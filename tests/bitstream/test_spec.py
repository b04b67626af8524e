"""The specification's tables are those of the code, and its examples hold."""

from __future__ import annotations

import hashlib
import io
import json
import re
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest

from gvcodec import _core
from gvcodec.base.resample import DOWN, UP
from gvcodec.bitstream.bundles import SAMPLE
from gvcodec.bitstream.packets import read_packet
from gvcodec.bitstream.timing import PtsDecoder, PtsEncoder
from gvcodec.gvc1d import exact, token_order
from gvcodec.gvc1d.frame_payload import LEVELS

ROOT = Path(__file__).resolve().parents[2]
TABLES = ROOT / "docs/spec/tables"


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
    shipped = ROOT / "gvcodec/bitstream" / SAMPLE
    assert (TABLES / "bundles.sample").read_bytes() == shipped.read_bytes()


def test_taps_of_motion_are_those_of_the_page() -> None:
    written = json.loads((TABLES / "motion.json").read_text())
    assert [*map(len, written.values())] == [4, 8]
    page = (ROOT / "docs/spec/motion.md").read_text().replace("−", "-")
    for rows in written.values():
        for phase, row in enumerate(rows):
            assert f"| {phase} | {' '.join(map(str, row))} |" in page


def test_constants_of_gvc1d_are_those_of_the_code() -> None:
    written = json.loads((TABLES / "gvc1d.json").read_text())
    assert written["steps"] == list(exact.STEPS)
    assert written["levels"] == list(LEVELS)
    assert written["frequencies"] == [*map(list, token_order.ZIGZAG)]
    assert written["planes"] == [*map(list, token_order.PLANES)]
    assert np.array_equal(written["means"], exact._MEANS)


def test_frequencies_of_latent_tokens_are_those_of_the_network() -> None:
    pytest.importorskip("torch")
    from gvcodec.gvc1d.config import SMALL
    from gvcodec.gvc1d.direct import DirectPath

    written = json.loads((TABLES / "latent.json").read_text())
    path = DirectPath(SMALL)
    assert written["luma"] == [*map(list, path.luma_at)]
    assert written["chroma"] == [*map(list, path.chroma_at)]
    for patterns, name in ((path.patterns, "luma"), (path.chroma_patterns, "chroma")):
        flat = patterns.flatten(0, 1).double()
        side = flat.shape[-1]
        n = np.arange(side)
        assert len(flat) == len(written[f"region {name}"])
        for pattern, (u, v) in zip(flat, written[f"region {name}"], strict=True):
            down, along = (np.cos(np.pi * f * (2 * n + 1) / (2 * side)) for f in (u, v))
            wave = np.outer(down, along)
            likeness = (pattern.numpy() * wave).sum() / np.linalg.norm(wave)
            assert likeness == pytest.approx(1, abs=1e-4), (name, u, v)


def test_the_example_of_timing_holds() -> None:
    page = (ROOT / "docs/spec/tracks.md").read_text()
    found = [
        read_packet(io.BytesIO(bytes.fromhex(line)))[0].payload
        for line in re.findall(r"^((?:[0-9a-f]{2} +)+)(?:before)", page, re.MULTILINE)
    ]
    times = [0, 40, 80, 130, 170, 210, 240, 280]
    clock = 0, Fraction(25), Fraction(1, 1000)
    encoder, decoder, later = PtsEncoder(*clock), PtsDecoder(*clock), PtsDecoder(*clock)
    for pts in times[:4]:
        encoder.send(pts)
    assert encoder.take() == found[0]
    for pts in times[4:]:
        encoder.send(pts)
    assert encoder.take(4) == found[1]
    for payload in found:
        decoder.send(payload)
    assert [decoder.receive() for _ in range(9)] == [*times, 320]
    later.restart(4)
    later.send(found[1])
    assert [later.receive() for _ in range(4)] == times[4:]


@pytest.mark.parametrize("what", ["crc16", "crc32"])
def test_checksums_of_the_specification(what: str) -> None:
    import binascii
    import zlib

    page = (ROOT / "docs/spec/container.md").read_text()
    found = {"crc16": binascii.crc_hqx(b"123456789", 0xFFFF), "crc32": zlib.crc32(b"123456789")}
    assert f"{what} is {found[what]:X}" in page
