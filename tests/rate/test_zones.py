"""Zones: parts of a video, by time, with a quality of their own."""

from __future__ import annotations

import io
from statistics import fmean

import pytest

import gvcodec
from gvcodec import api
from gvcodec.bitstream import Kind, Reader
from gvcodec.errors import UsageError
from gvcodec.util.zones import Zone, parse_zones, zone_at
from tests.cli.test_cli import FORMAT
from tests.cli.test_cli import gvcodec as command
from tests.clips import make_clip, write_clip
from tests.conftest import psnr

CLIP = make_clip(96, 80, 75, seed=3)  # 3 s
FAST = {"fit": 0, "threads": 1, "base": "av1", "preset": 10}


def qualities(data: bytes, source=CLIP) -> list[float]:
    """PSNR of each half second."""
    shown = api.decode_planes(data, fidelity=True)
    values = [psnr(a, b) for a, b in zip(source, shown, strict=True)]
    return [fmean(values[n : n + 12]) for n in range(0, len(values) - 11, 12)]


def keyframes(data: bytes) -> list[int]:
    packets = [p for p in Reader(io.BytesIO(data)).packets() if p.is_frame]
    return [n for n, packet in enumerate(packets) if packet.kind is Kind.KEY]


def test_zones_are_read_as_they_are_written() -> None:
    found = parse_zones("1:00-:q=40; 0:10-0:20.5:q=+8")
    assert found == (Zone(10, 20.5, 8, True), Zone(60, float("inf"), 40, False))
    assert zone_at(found, 20.5) is None and zone_at(found, 1e6) == found[1]
    assert [zone.apply(30) for zone in found] == [38, 40]


@pytest.mark.parametrize(
    "text",
    ["0-1", "0-1:q=", "1-0:q=3", "0-1:q=+8;0.5-2:q=3", "a-b:q=3", "0-1:crf=3", "0-1:q=3,2-3:q=4"],
)
def test_what_is_no_zone_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not zones like 0:10-0:20:q"):
        gvcodec.encode(CLIP[:2], zones=text, **FAST)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"maxrate": 10**5}, "zones do not go with maxrate"),
        ({"alloc": "rd"}, "zones do not go with alloc rd"),
        ({"base": "motion", "preset": None}, "zones are for av1 and vvc"),
    ],
)
def test_what_does_not_go_with_zones_is_refused(settings: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        gvcodec.encode(CLIP[:2], zones="0-1:q=+3", **(FAST | settings))


@pytest.mark.parametrize("low_delay", [False, True])
def test_a_zone_has_its_quality_and_nothing_else_changes(low_delay: bool) -> None:
    options = FAST | {"q": 40, "frame_rate": 25, "low_delay": low_delay}
    plain = gvcodec.encode(CLIP, **options)
    zoned = gvcodec.encode(CLIP, zones="1-2:q=+20", **options)
    assert keyframes(zoned) == [0, 25, 50] != keyframes(plain)
    a, b = qualities(plain), qualities(zoned)
    assert b[0] == pytest.approx(a[0], abs=0.5) and b[5] == pytest.approx(a[5], abs=1)
    assert b[2] < a[2] - 3 and b[3] < a[3] - 3
    fixed = gvcodec.encode(CLIP, zones="1-2:q=60", **options)
    assert fixed == zoned


def test_zones_are_of_the_source_with_start_chunks_and_budgets(tmp_path) -> None:
    source = tmp_path / "in.mkv"
    write_clip(source, FORMAT, CLIP, 512)
    fast = FAST | {"q": 40, "overwrite": True, "zones": "2-:q=60"}
    out = tmp_path / "out.gvc"
    gvcodec.encode_file(source, out, start=1.0, **fast)
    assert keyframes(out.read_bytes()) == [0, 25]
    first, second = out.read_bytes(), tmp_path / "second.gvc"
    del fast["threads"]
    gvcodec.encode_file(source, second, start=1.0, jobs=1, **fast)
    assert keyframes(second.read_bytes()) == [0, 25]
    assert qualities(second.read_bytes(), CLIP[25:])[3] == qualities(first, CLIP[25:])[3]
    del fast["q"]
    done = gvcodec.encode_file(source, out, size=6000, **fast)
    assert 5500 <= done.size <= 6000 and keyframes(out.read_bytes()) == [0, 50]
    found = qualities(out.read_bytes())
    assert found[5] < found[0] - 1.5


def test_a_table_has_zones(tmp_path) -> None:
    write_clip(tmp_path / "in.mkv", FORMAT, CLIP, 512)
    table, out = tmp_path / "list.csv", tmp_path / "out"
    table.write_text("uri,zones,q\nin.mkv,1-2:q=+20,40\n")
    command("batch", table, "-o", out, "--fit", "off", "--preset", 10, "--base", "av1")
    assert keyframes((out / "in.gvc").read_bytes()) == [0, 25, 50]
    wrong = command("encode", tmp_path / "in.mkv", out / "x.gvc", "--zones", "1-2", fails=2)
    assert "'1-2' is not zones like" in wrong.stderr.decode()
