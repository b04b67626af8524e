"""`gvcodec decode --start --frames --scale`: parts of a stream, and pictures of another size."""

import io
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import gvcodec
from gvcodec.bitstream import Packet
from gvcodec.codec.decoder import Decoder
from gvcodec.errors import UsageError
from gvcodec.planes import PLACES, Scaler, to_eight_bits
from gvcodec.types import Colour, Planes
from tests.cli.test_decode import HEIGHT, WIDTH, stream_of
from tests.clips import format_of, packets_of, read_film
from tests.conftest import Pipe, clips_equal, moving_texture, run
from tests.edit.test_tools import TIMES, contents, made, sound

TICK = Fraction(1, 1000)


@pytest.fixture(scope="module")
def piecewise() -> bytes:
    return made(moving_texture(64, 48, 18), "av1", TIMES, tracks=sound())


def sounds(path: Path) -> list[tuple[Fraction, bytes]]:
    return [(packet.pts * packet.time_base, bytes(packet)) for packet in packets_of(path)]


def eight_bits(planes: Planes) -> list[np.ndarray]:
    """As a file of an 8-bit video holds them."""
    return [to_eight_bits(plane) for plane in planes]


@pytest.mark.parametrize("first, count", [(0, 4), (3, None), (7, 6), (17, None)])
def test_a_piece_is_that_of_the_whole(tmp_path, piecewise, first, count):
    whole = list(gvcodec.decode_planes(piecewise))
    wanted, times = (every[first:][:count] for every in (whole, contents(piecewise)[1]))
    begin = times[0] * TICK if first else 0
    (tmp_path / "a.bin").write_bytes(piecewise)
    start = float((TIMES[first] - TIMES[0]) * TICK)
    words = ["--lossless", "--start", f"{start:.6f}"]
    words += ["--frames", count] if count else []
    run("decode", tmp_path / "a.bin", tmp_path / "a.mkv", *words)
    part = {"start": start, "frames": count, "lossless": True}
    gvcodec.decode_file(Pipe(piecewise), tmp_path / "b.mkv", **part)
    for name in ("a.mkv", "b.mkv"):
        found, at, _ = read_film(tmp_path / name)
        assert len(found) == len(wanted)
        assert clips_equal(map(eight_bits, found), map(eight_bits, wanted))
        off = (abs(a - (b * TICK - begin)) for a, b in zip(at, times, strict=True))
        assert max(off) <= Fraction(1, 1000)  # Matroska counts milliseconds


def test_only_the_gops_of_a_piece_are_decoded(tmp_path, piecewise: bytes, monkeypatch) -> None:
    (tmp_path / "a.bin").write_bytes(piecewise)
    sent: list[Packet] = []
    send = Decoder.send_packet

    def counting(self: Decoder, packet: Packet) -> None:
        sent.append(packet)
        send(self, packet)

    monkeypatch.setattr(Decoder, "send_packet", counting)
    piece = ["--start", float((TIMES[11] - TIMES[0]) * TICK), "--frames", 2]
    run("decode", tmp_path / "a.bin", tmp_path / "a.y4m", "--fidelity", *piece)
    assert sum(packet.is_frame for packet in sent) <= 5


@pytest.mark.parametrize("pipe", [False, True])
def test_a_piece_has_its_sound(tmp_path, piecewise: bytes, pipe: bool) -> None:
    begin, end = TIMES[7] * TICK, TIMES[12] * TICK
    part = {"start": float(begin - TIMES[0] * TICK), "frames": 5, "fidelity": True}
    source = Pipe(piecewise) if pipe else io.BytesIO(piecewise)
    gvcodec.decode_file(source, tmp_path / "a.mkv", **part)
    heard = contents(piecewise)[2]
    wanted = [packet for packet in heard if begin <= packet.pts * Fraction(1, 8000) < end]
    found = sounds(tmp_path / "a.mkv")
    assert len(wanted) > 3 and [data for _, data in found] == [packet.data for packet in wanted]
    for (at, _), packet in zip(found, wanted, strict=True):
        assert abs(at - (packet.pts * Fraction(1, 8000) - begin)) <= Fraction(1, 500)


def test_a_piece_that_is_not_there_is_refused(tmp_path, piecewise: bytes) -> None:
    (tmp_path / "a.bin").write_bytes(piecewise)
    words = [tmp_path / "a.mkv", "--fidelity", "--start", 99]
    said = run("decode", tmp_path / "a.bin", *words, code=2)
    assert "no frame is shown 99 s" in said.err and said.err.count("\n") == 1
    with pytest.raises(UsageError, match="no frame is shown 99 s"):
        gvcodec.decode_file(Pipe(piecewise), tmp_path / "a.mkv", start=99, fidelity=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


@pytest.mark.parametrize(
    ("scale", "size"), [("1/2", (80, 64)), ("100x50", (100, 50)), ("3/2", (240, 192))]
)
def test_pictures_are_written_in_another_size(tmp_path, scale: str, size: tuple[int, int]) -> None:
    (tmp_path / "a.bin").write_bytes(stream_of(moving_texture(WIDTH, HEIGHT, 3)))
    run("decode", tmp_path / "a.bin", tmp_path / "a.mp4", "--fidelity", "--scale", scale)
    shown, _, reader = read_film(tmp_path / "a.mp4")
    assert (reader.format.width, reader.format.height) == size and len(shown) == 3
    # The picture on the screen keeps its shape.
    assert reader.format.sar * size[0] / size[1] == Fraction(WIDTH, HEIGHT)


def ramp(width: int, height: int, location: int) -> Planes:
    """A picture of `WIDTH`×`HEIGHT` at this size: a ramp that luma and chroma share."""
    step = Fraction(2 * WIDTH, width)

    def at(places: np.ndarray) -> np.ndarray:
        return np.round(200 + float(step) * (places[0] + places[1] + 1)).astype(np.uint16)

    luma = np.mgrid[:width, :height].transpose(0, 2, 1).astype(float)
    right, down = PLACES[location]
    chroma = 2 * luma[:, : height // 2, : width // 2] + np.array([right, down])[:, None, None]
    return at(luma), at(chroma), at(chroma)


@pytest.mark.parametrize("location", [0, 1, 2])
@pytest.mark.parametrize("factor", [Fraction(1, 2), Fraction(2)])
def test_scaling_keeps_chroma_in_place(location: int, factor: Fraction) -> None:
    picture = ramp(WIDTH, HEIGHT, location)
    fmt = replace(format_of([picture], 10), colour=Colour(1, 1, 1, False, location))
    scaler = Scaler(fmt, factor)
    found = scaler.apply(picture)
    wanted = ramp(scaler.format.width, scaler.format.height, location)
    for a, b in zip(found, wanted, strict=True):
        assert a.shape == b.shape and np.abs(a.astype(int) - b)[8:-8, 8:-8].max() <= 1


@pytest.mark.parametrize("scale", ["0", "-1/2", "1/0", "x", "0x0", "big", "99999x99999"])
def test_impossible_sizes_are_refused(tmp_path, scale: str) -> None:
    (tmp_path / "a.bin").write_bytes(stream_of(moving_texture(WIDTH, HEIGHT, 1)))
    words = ["decode", tmp_path / "a.bin", tmp_path / "a.mp4", "--fidelity", f"--scale={scale}"]
    assert run(*words, code=2).err.count("\n") == 1 and not (tmp_path / "a.mp4").exists()
