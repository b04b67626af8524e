"""Decoding of damaged, live and growing streams; resuming an encoder that was killed."""

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gvcodec
from gvcodec.bitstream import Kind, Packet, Reader
from gvcodec.codec.decoder import Decoder
from gvcodec.edit.repair import repair_stream
from gvcodec.errors import WrongModelError
from gvcodec.types import Planes
from tests.clips import read_film, write_pictures
from tests.conftest import (
    clips_equal,
    in_process,
    moving_texture,
    planes_equal,
    rewritten,
    run,
    stream_of,
    wait_for,
)
from tests.edit import test_tools
from tests.edit.test_tools import TIMES, contents, sound
from tests.fuzz.robustness.sealed import plain_header, sealed_packets
from tests.fuzz.robustness.streams import streams

ROOT = Path(__file__).parents[2]
#: Options of decoding despite damage.
DESPITE: dict[str, Any] = {"fidelity": True, "ignore_errors": True}


@pytest.fixture(scope="module")
def clip() -> list[Planes]:
    return moving_texture(64, 48, 18)


def made(*arguments: Any, **named: Any) -> bytes:
    """A stream with a packet for each frame; tests/bitstream/test_bundles.py loses bundles."""
    reader = Reader(io.BytesIO(test_tools.made(*arguments, **named)))
    packets = list(reader.packets())
    return stream_of(replace(reader.header, is_bundled=False), packets, reader.base_hash)


def despite(data: bytes) -> tuple[dict[int, Planes], list[str]]:
    output = io.BytesIO()
    report = repair_stream(io.BytesIO(data), "a.gvc", output, threads=1)
    reader = Reader(io.BytesIO(output.getvalue()))
    frames = Decoder(reader.header, fidelity=True, threads=1).frames_of(reader.packets())
    return {frame.pts: frame.planes for frame in frames}, [*report.notes, *report.losses]


def place_of(data: bytes, frame: int) -> tuple[int, int]:
    reader = Reader(io.BytesIO(data))
    for packet in reader.packets():
        if packet.is_frame and reader.frames == frame + 1:
            return reader.size - reader.packet_size, reader.packet_size
    raise AssertionError


@pytest.mark.parametrize(
    ("base", "what"),
    [("av1", "payload"), ("av1", "size"), ("av1", "removed"), ("vvc", "payload")],
)
def test_a_lost_frame_costs_the_rest_of_its_gop(clip: list[Planes], base: str, what: str) -> None:
    data = made(clip, base, TIMES)
    whole = list(gvcodec.decode_planes(data, fidelity=True))
    begin, size = place_of(data, 7)
    damaged = bytearray(data)
    if what == "removed":
        del damaged[begin : begin + size]
    else:
        damaged[begin if what == "size" else begin + size // 2] ^= 0x40 if what == "size" else 4
    frames, losses = despite(bytes(damaged))
    assert losses
    lost = set(TIMES) - frames.keys()
    assert lost <= set(TIMES[5:10]) and set(TIMES[7:10]) <= lost
    assert base == "vvc" or what == "removed" or lost == set(TIMES[7:10])
    for pts, planes in zip(TIMES, whole, strict=True):
        assert pts in lost or planes_equal(frames[pts], planes)


def test_damage_beside_the_frames_costs_no_frame(clip: list[Planes]) -> None:
    data = made(clip, times=TIMES, tracks=sound())
    whole = list(gvcodec.decode_planes(data, fidelity=True))
    reader = Reader(io.BytesIO(data))
    places = [reader.size - 20 for packet in reader.packets() if packet.kind is Kind.TRACKS]
    damaged = bytearray(data)
    damaged[places[6]] ^= 1
    output = io.BytesIO()
    assert repair_stream(io.BytesIO(damaged), "a.gvc", output, threads=1).losses
    left = list(gvcodec.decode_planes(output.getvalue(), fidelity=True))
    assert all(planes_equal(a, b) for a, b in zip(left, whole, strict=True))
    wanted = [packet for packet in contents(data)[2] if not 20 <= packet.pts // 80 < 24]
    assert contents(output.getvalue())[2] == wanted


def test_command_line_says_what_is_lost(tmp_path, clip: list[Planes]) -> None:
    data = bytearray(made(clip, times=TIMES, tracks=sound()))
    data[sum(place_of(data, 8)) - 3] ^= 1
    (tmp_path / "a.bin").write_bytes(data)
    run("decode", tmp_path / "a.bin", tmp_path / "a.mkv", "--fidelity", code=3)
    arguments = ["decode", tmp_path / "a.bin", tmp_path / "a.mkv", "--fidelity", "--ignore-errors"]
    report = run(*arguments, code=3).err
    assert "checksum mismatch" in report
    assert "16 base frames" in report and "checksums verified" in report
    assert "damaged; " in report.splitlines()[-1]
    assert len(read_film(tmp_path / "a.mkv").planes) == 16
    # Without the packet that describes the sound there is none, which is reported too.
    reader = Reader(io.BytesIO(data))
    next(packet for packet in reader.packets() if packet.kind is Kind.TRACKS)
    data[reader.size - 9] ^= 1
    (tmp_path / "a.bin").write_bytes(data)
    assert "tracks" in run(*arguments, "-y", code=3).err


@pytest.mark.parametrize(("kind", "frame"), [("y4m", 0), ("pipe", 7), ("y4m", 16)])
def test_y4m_repeats_the_frame_before_lost_ones(tmp_path, clip, kind, frame):
    """In the middle and at the end: each picture in its place, so that sound lasts as long. At the
    start it begins with the first one that is left."""
    data = bytearray(made(clip, tracks=sound()))
    whole = list(gvcodec.decode_planes(bytes(data), fidelity=True))
    data[sum(place_of(bytes(data), frame)) - 3] ^= 1
    left = sorted(number // 40 for number in despite(bytes(data))[0])
    output: Any = io.BytesIO() if kind == "pipe" else tmp_path / "a.y4m"
    done = gvcodec.decode_file(io.BytesIO(data), output, **DESPITE)
    if kind == "pipe":
        (tmp_path / "a.y4m").write_bytes(output.getvalue())
    shown = read_film(tmp_path / "a.y4m").planes
    places = [max(k for k in left if k <= n) for n in range(left[0], len(clip))]
    assert clips_equal(shown, [whole[n] for n in places])
    assert done.frames == len(left) < len(clip)
    repeated = len(places) - len(left)
    assert any(f"{repeated} frames repeated" in line for line in done.outcome) == bool(repeated)


def test_a_made_up_time_repeats_a_bounded_number_of_frames(tmp_path, clip, monkeypatch) -> None:
    monkeypatch.setattr("gvcodec.sink.writer._REPEATS", 100)
    times = [40 * n + 10**9 * (n > 9) for n in range(18)]
    done = gvcodec.decode_file(io.BytesIO(made(clip, times=times)), tmp_path / "a.y4m")
    assert len(read_film(tmp_path / "a.y4m").planes) == 18 + 180
    assert "180 frames repeated" in str(done.outcome) and "irregular times" in str(done.outcome)


def test_a_live_stream_is_decoded_frame_by_frame() -> None:
    """encode - - | decode - -: a frame comes out before the next one goes in."""
    program = [sys.executable, "-m", "gvcodec"]
    encode = [*program, "encode", "-", "-", "--low-delay", "--fit", "off"]
    decode = [*program, "decode", "-", "-", "--fidelity", "--low-delay"]
    size = 64 * 48 * 3 // 2
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with (
        subprocess.Popen(encode, stdin=subprocess.PIPE, **pipes) as encoder,
        subprocess.Popen(decode, stdin=encoder.stdout, **pipes) as decoder,
    ):
        encoder.stdin.write(b"YUV4MPEG2 W64 H48 F25:1 Ip A1:1 C420mpeg2\n")
        got = 0

        def receive() -> None:
            nonlocal got
            decoder.stdout.readline()
            while decoder.stdout.read(6 + size):
                got += 1

        reader = threading.Thread(target=receive)
        reader.start()
        for number in range(24):
            encoder.stdin.write(b"FRAME\n" + bytes([100 + number]) * size)
            encoder.stdin.flush()
            wait_for(lambda wanted=number + 1: got == wanted)
        encoder.stdin.close()
        reader.join(60)
        assert got == 24 and encoder.wait(60) == decoder.wait(60) == 0


def test_models_are_looked_for_by_hash(tmp_path, clip: list[Planes], monkeypatch) -> None:
    conformance = ROOT / "conformance"
    header = Reader(io.BytesIO((conformance / "files/gvc1d-network.gvc").read_bytes())).header
    assert header.base_model_id
    shipped = conformance / f"models/{header.base_model_id.hex()}.safetensors"
    monkeypatch.setattr("gvcodec.models.shipped_folders", lambda: [tmp_path / "nothing"])
    missing = f"{header.base_model_id.hex()} is missing; searched .*nothing"
    with pytest.raises(WrongModelError, match=missing):
        Decoder(header, fidelity=True)
    (tmp_path / "models").mkdir()
    shutil.copy(shipped, tmp_path / "models" / "any name.safetensors")
    for place in (tmp_path / "models", tmp_path / "models" / "any name.safetensors"):
        Decoder(header, fidelity=True, models=[place])
    monkeypatch.setenv("GVCODEC_MODELS", f"{tmp_path / 'other'}{os.pathsep}{tmp_path / 'models'}")
    Decoder(header, fidelity=True)
    # A file of the right name with other contents does not count.
    (tmp_path / "models" / "any name.safetensors").write_bytes(shipped.read_bytes()[:-1] + b"\1")
    with pytest.raises(WrongModelError):
        Decoder(header, fidelity=True)
    header = Reader(io.BytesIO(made(clip[:2]))).header
    unknown = replace(header, painter_id=b"8 others")
    monkeypatch.undo()
    with pytest.raises(WrongModelError, match=b"8 others".hex()):
        Decoder(unknown)
    Decoder(unknown, fidelity=True)


def test_nothing_of_a_file_is_unpickled() -> None:
    """Processes of a batch send each other pickles, through pipes of their own."""
    ours = "batch/engines.py"
    for path in (ROOT / "gvcodec").rglob("*.py"):
        if path.as_posix().endswith(ours):
            continue
        for line in path.read_text().splitlines():
            assert not re.match(r"\s*(import|from) (pickle|marshal|shelve|dill|joblib)", line), path
            assert "allow_pickle=True" not in line, path
            assert "torch.load(" not in line or "weights_only=True" in line, path


def test_a_header_that_claims_much_is_held_to_the_limit(tmp_path) -> None:
    """16 megapixels in few bytes: the limit holds even when the estimate does not."""
    flat = (np.full((4096, 4096), 512, np.uint16), *2 * [np.full((2048, 2048), 512, np.uint16)])
    data = gvcodec.encode([flat], preset=10, fit=0, threads=2)
    assert len(data) < 20_000
    (tmp_path / "a.bin").write_bytes(data)
    limited = """import sys; from gvcodec import cli; from gvcodec.codec import decoder
decoder.check = lambda *_: None; sys.exit(cli.main(sys.argv[1:]))"""
    words = ["decode", tmp_path / "a.bin", tmp_path / "a.y4m", "--max-memory", "100M"]
    done = in_process("-c", limited, *words, "--threads", 1, code=1)
    assert done.stderr == b"gvcodec: out of memory\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_a_killed_encoder_goes_on_from_its_last_chunk(tmp_path) -> None:
    source, output, part = (tmp_path / name for name in ("in.mkv", "o.gvc", "o.gvc.part"))
    write_pictures(source, moving_texture(64, 48, 30), g="5")
    words = ["encode", source, output, "--keyint", "5", "--fit", "off", "--preset", "8"]
    words += ["--jobs", "1"]
    run(*words)
    whole = output.read_bytes()
    output.unlink()
    command = [sys.executable, "-m", "gvcodec", *map(str, words), "--resume"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: len(list(part.glob(".batch/chunks/*/*.json"))) > 1)
        process.send_signal(signal.SIGKILL)
    assert not output.exists() and part.is_dir()
    done = subprocess.run(command, check=True, capture_output=True)
    assert b"frames are coded already" in done.stderr
    assert not part.exists() and output.read_bytes() == whole


def test_a_damaged_gop_packet_costs_no_frame(clip: list[Planes]) -> None:
    """Whatever part of it is hit, also a bit that makes it look like a frame."""
    data = made(clip, times=TIMES, tracks=sound(), tunes={5: b"\0"})
    whole = list(gvcodec.decode_planes(data, fidelity=True))
    gop = Reader(io.BytesIO(data)).gops()[1]
    size = 1 + 5 + 2
    for bit in range(0, 8 * size, 5):
        damaged = bytearray(data)
        damaged[gop.offset + gop.size - size + bit // 8] ^= 1 << bit % 8
        frames, losses = despite(bytes(damaged))
        assert losses
        # Where its size or length is wrong, the next GOP is part of the damage.
        assert len(frames) >= len(clip) - 5 * (bit == 0 or 2 <= bit < 8), bit
        for pts, planes in zip(TIMES, whole, strict=True):
            assert pts not in frames or planes_equal(frames[pts], planes) or bit < 8


@pytest.mark.parametrize(
    ("garbage", "place"),
    [(bytes(range(200, 240)), 0), (b"\0\xfe\xff\xff\xff\xff\xff\xff\xff\x7f", 1), (b"\x80", 4)],
    ids=["noise", "far", "cut"],
)
def test_repair_goes_on_behind_timestamps_that_mean_nothing(garbage: bytes, place: int) -> None:
    """With a right checksum: frames keep the times that they have without it."""
    data = streams()["av1"]
    reader = Reader(io.BytesIO(data))
    packets = list(reader.packets())
    packets.insert(place, Packet(Kind.TIMING, garbage))
    assert reader.base_hash is not None
    damaged = sealed_packets(plain_header(reader.header), packets, reader.base_hash)
    output = io.BytesIO()
    found = repair_stream(io.BytesIO(damaged), "a.gvc", output, threads=1)
    assert found.lost == 0 and any("timing" in line for line in found.losses)
    whole, mended = (gvcodec.open(d, fidelity=True) for d in (data, output.getvalue()))
    assert len(mended) == len(whole) == found.kept
    before, after = ([v.pts_of(n) for n in range(len(whole) + 1)] for v in (whole, mended))
    assert after == before
    list(gvcodec.decode(output.getvalue(), fidelity=True))


@pytest.mark.parametrize(("base", "frame"), [("av1", 0), ("av1", 4), ("av1", 9), ("vvc", 4)])
def test_repair_leaves_out_frames_that_checksums_call_right(clip, base, frame):
    """An empty frame in the first or second GOP: frames before it and other GOPs stay."""

    def spoil(packets: list[Packet]) -> list[Packet]:
        at = [n for n, packet in enumerate(packets) if packet.is_frame][frame]
        return [*packets[:at], Packet(packets[at].kind, b"\x12\0"), *packets[at + 1 :]]

    data, output = made(clip, base, TIMES), io.BytesIO()
    found = repair_stream(io.BytesIO(rewritten(data, spoil)), "a.gvc", output, threads=1)
    assert found.losses and found.kept + found.lost == len(clip)
    shown = list(gvcodec.decode_planes(output.getvalue(), fidelity=True))
    whole = list(gvcodec.decode_planes(data, fidelity=True))
    start = frame - frame % 5  # a keyframe every five frames
    kept = len(shown) - len(whole) + 5
    assert 0 <= kept <= frame - start and (base == "vvc" or kept == frame - start)
    expected = whole[: start + kept] + whole[start + 5 :]
    assert clips_equal(shown, expected)
