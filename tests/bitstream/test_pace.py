"""How many frames a packet may have, and a stream for each second of its play time."""

import contextlib
import io
from dataclasses import replace
from fractions import Fraction

import pytest

import gvcodec
from gvcodec.base.standard.decoders import check_payload
from gvcodec.base.standard.payloads import nals_of, restore_unit
from gvcodec.bitstream import Kind, Packet, Reader, SequenceHeader
from gvcodec.bitstream.timing import PtsDecoder
from gvcodec.bitstream.varint import encode_svar, encode_var
from gvcodec.bitstream.writer import Writer
from gvcodec.codec.fidelity import FrameHash
from gvcodec.errors import DamagedStreamError, LimitError
from gvcodec.limits import DEFAULT_FPS
from tests.conftest import moving_texture, run

COUNT = DEFAULT_FPS + 60
TICK = Fraction(1, 1 << 30)
COMMANDS = ("decode", "verify", "cut", "cat", "repair", "extract")


def again_and_again(rate: Fraction, every_tick: bool = False) -> bytes:
    """`COUNT` times the same keyframe of 16×16; `every_tick`: a tick apart by `timing` packets."""
    data = gvcodec.encode(moving_texture(16, 16, 1), base="av1", fit=0, q=40)
    reader = Reader(io.BytesIO(data))
    (key,) = (packet for packet in reader.packets() if packet.is_frame)
    fmt = replace(reader.header.format, frame_rate=rate, time_base=TICK)
    output = io.BytesIO()
    writer = Writer(output, replace(reader.header, format=fmt, painter_id=None))
    for number in range(COUNT):
        if every_tick:
            exact = encode_var(number) + encode_svar(number)
            writer.write(Packet(Kind.TIMING, encode_var(0) + encode_svar(0) + exact))
        writer.write(key)
    (planes,) = gvcodec.decode_planes(data, fidelity=True)
    shown = FrameHash(None)
    for _ in range(COUNT):
        shown.update(planes)
    writer.finish(shown.digest())
    return output.getvalue()


@pytest.fixture(scope="module")
def absurd() -> bytes:
    return again_and_again(1 / TICK)


@pytest.fixture(scope="module")
def crowded() -> bytes:
    return again_and_again(Fraction(25), every_tick=True)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", ["absurd", "crowded"])
def test_too_many_frames_for_the_time_are_refused(command, kind, tmp_path, request):
    (tmp_path / "a.bin").write_bytes(request.getfixturevalue(kind))
    suffix = {"decode": "y4m", "extract": "mkv"}.get(command, "bin")
    out = str(tmp_path / f"o.{suffix}")
    output = {"verify": [], "cat": ["-o", out]}.get(command, [out])
    arguments = [command, str(tmp_path / "a.bin"), *output]
    refusal = run(*arguments, code=1).err
    assert "1001 frames within" in refusal and "(--max-fps)" in refusal
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]
    run(*arguments, "--max-fps", 1 << 30)


def test_a_short_video_may_have_any_rate() -> None:
    timing = PtsDecoder(0, Fraction(90000), Fraction(1, 90000))
    for _ in range(DEFAULT_FPS):
        timing.receive()
    with pytest.raises(LimitError):
        for _ in range(20):
            timing.receive()


def keyframe(base: str) -> tuple[SequenceHeader, Packet]:
    reader = Reader(io.BytesIO(gvcodec.encode(moving_texture(64, 48, 1), base=base, fit=0, q=40)))
    (key,) = (packet for packet in reader.packets() if packet.is_frame)
    return reader.header, key


def test_a_packet_of_several_pictures_is_refused_before_decoding(monkeypatch) -> None:
    header, key = keyframe("vvc")
    nals = [nal[1:] for nal in nals_of(key.payload)]
    most = 127 // len(nals)
    bomb = bytes([0x80 | most * len(nals)])
    bomb += b"".join(encode_var(len(nal)) for nal in (nals * most)[:-1]) + b"".join(nals * most)
    check_payload("vvc", key.payload, 64, 48)
    monkeypatch.setattr(
        "gvcodec.base.standard.decoders.decode_unit", lambda *_: pytest.fail("was decoded")
    )
    decoder = gvcodec.Decoder(header, fidelity=True, threads=1)
    with pytest.raises(DamagedStreamError, match=f"shows {most} frames instead of one"):
        decoder.send_packet(Packet(Kind.KEY, bomb))


def test_a_packet_is_one_picture_whatever_follows_it() -> None:
    header, key = keyframe("av1")
    decoder = gvcodec.Decoder(header, fidelity=True, threads=1)
    with contextlib.suppress(DamagedStreamError):
        decoder.send_packet(Packet(Kind.KEY, key.payload * 1000))
    assert decoder.frames <= 1


def test_a_keyframe_that_shows_frames_again_is_refused_before_decoding(monkeypatch) -> None:
    header, key = keyframe("av1")
    monkeypatch.setattr(
        "gvcodec.base.standard.decoders.decode_unit", lambda *_: pytest.fail("was decoded")
    )
    decoder = gvcodec.Decoder(header, fidelity=True, threads=1)
    bomb = restore_unit("av1", key.payload)[2:] + b"\x1a\x01\x80" * 1000
    with pytest.raises(DamagedStreamError, match="shows 1001 frames"):
        decoder.send_packet(Packet(Kind.KEY, bomb))
