"""`gvcodec play`: its server, and the page's reading of files in Node."""

import hashlib
import io
import json
import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import gvcodec
from gvcodec import _core
from gvcodec.bitstream import Kind, Packet, SequenceHeader, bundles
from gvcodec.bitstream.packets import Unbundler
from gvcodec.bitstream.varint import encode_var
from gvcodec.cli import main
from gvcodec.player.server import FrameServer
from gvcodec.types import VideoFormat
from tests.conftest import moving_texture
from tests.edit.test_tools import TIMES, made
from tests.player_helpers import (
    GOLDEN,
    STREAMS,
    answer,
    as_mp4,
    flat,
    needs_node,
    opened,
    painted_stream,
    run_node,
    running,
)

FORMAT = VideoFormat(64, 48, Fraction(25), Fraction(1, 25))


def test_server_gives_ranges_of_the_stream() -> None:
    whole = (GOLDEN / "av1.bin").read_bytes()
    with running(GOLDEN / "av1.bin") as server:
        for asked, part in (
            ("5-9", slice(5, 10)),
            ("100-", slice(100, None)),
            ("-7", slice(-7, None)),
        ):
            response, data = answer(server, "/stream", Range=f"bytes={asked}")
            assert (response.status, data) == (206, whole[part])
        assert answer(server, "/stream", Range="bytes=nonsense")[1] == whole
        for asked in (f"bytes={len(whole)}-", "bytes=-0"):
            response, _ = answer(server, "/stream", Range=asked)
            assert response.status == 416
            assert response.headers["Content-Range"] == f"bytes */{len(whole)}"
        for asked in ("bytes=nonsense", "bytes=9-3", "bytes=0-1,3-4", "lines=0-1", "bytes=-"):
            response, data = answer(server, "/stream", Range=asked)
            assert (response.status, data) == (200, whole)
            assert response.headers["Content-Range"] is None
        assert answer(server, "/stream", "HEAD")[0].getheader("Content-Length") == str(len(whole))


def test_server_gives_the_painter_that_the_stream_names(tmp_path: Path) -> None:
    path = tmp_path / "a.gvc"
    path.write_bytes(made(moving_texture(64, 48, 2)))
    painter = gvcodec.open(path).header.painter_id
    assert painter is not None
    named = f"/models/{painter.hex()}.safetensors"
    with running(path) as server:
        response, data = answer(server, named)
        assert (response.status, hashlib.sha256(data).digest()[:8]) == (200, painter)
    with running(path, "--fidelity") as server:
        assert answer(server, named)[0].status == 404


PRIVATE = ["/../pyproject.toml", "/core/painter.cpp", "/build.sh", "//etc/passwd", "/models/"]


@pytest.mark.parametrize("path", [*PRIVATE, "/%2e%2e/README.md"])
def test_server_gives_nothing_but_its_files(path: str) -> None:
    with running(GOLDEN / "av1.bin") as server:
        assert answer(server, path)[0].status == 404


def test_server_is_for_this_machine_and_this_name() -> None:
    with running(GOLDEN / "av1.bin") as server:
        assert server.server_address[0] == "127.0.0.1"
        for host in ("example.org", f"example.org:{server.server_port}", "127.0.0.1"):
            assert answer(server, "/stream", Host=host)[0].status == 403
        response, _ = answer(server, "/")
        assert response.getheader("Cross-Origin-Resource-Policy") == "same-origin"
        assert answer(server, "/stream", "POST")[0].status == 501


def test_frames_are_sent_as_they_are_decoded() -> None:
    with running(STREAMS["vvc"], "--fidelity") as server, opened("vvc") as video:
        response, data = answer(server, "/native?from=2")
        frames = [flat(frame.base_frame) for frame in video.decode_range(2, len(video))]
        size = 8 + len(frames[0])
        numbered = (n.to_bytes(4, "little") + b"\1\0\0\0" + f for n, f in enumerate(frames, 2))
        assert data == b"".join(numbered)
        assert len(data) == size * len(frames) and response.status == 200
        for wrong in ("x", "-1", "9" * 30):
            assert answer(server, f"/native?from={wrong}")[0].status == 400


def test_a_keyframe_is_sent_alone_and_ends_nothing() -> None:
    with running(STREAMS["vvc"], "--fidelity") as server, opened("vvc") as video:
        assert server.frames is not None
        playing = server.frames.frames(0, False)
        next(playing)
        last = video.key_frames[-1]
        (frame,) = video.decode_range(last, last + 1)
        _, data = answer(server, f"/keyframe?from={last}")
        assert data == last.to_bytes(4, "little") + b"\1\0\0\0" + flat(frame.base_frame)
        assert answer(server, f"/keyframe?from={len(video)}")[1] == b""
        assert len(list(playing)) == 2 * len(video) - 1
        assert answer(server, "/keyframe?from=x")[0].status == 400


def test_damage_is_told_to_the_page(tmp_path: Path) -> None:
    data = bytearray(STREAMS["vvc"].read_bytes())
    data[len(data) * 7 // 10] ^= 1  # in the last GOP
    path = tmp_path / "a.bin"
    path.write_bytes(data)
    with running(path, "--fidelity") as server:
        for place in ("/native?from=0", f"/keyframe?from={gvcodec.open(path).key_frames[-1]}"):
            _, found = answer(server, place)
            assert found.endswith(b"checksum mismatch")


def test_what_cannot_be_played_is_one_line(tmp_path, capsys):
    (tmp_path / "no.gvc").write_bytes(b"nothing of the kind")
    with running(GOLDEN / "av1.bin") as server:
        for arguments, code in (
            ([str(tmp_path / "no.gvc")], 9),
            (["-"], 2),
            ([str(tmp_path / "missing.gvc")], 1),
            ([str(GOLDEN / "av1.bin"), "--source", str(tmp_path / "missing.mp4")], 1),
            ([str(GOLDEN / "av1.bin"), "--port", str(server.server_port)], 1),
        ):
            assert main(["play", "--no-browser", *arguments]) == code
            assert capsys.readouterr().err.count("\n") == 1


SCRIPT = """
import fs from "node:fs";
const folder = process.argv[2] + "/";
const { loadReader } = await import(folder + "stream.js");
const { streamIn } = await import(folder + "streams.js");
const { Damaged, hex } = await import(folder + "bytes.js");
const { Hash, loadCore, samplesOf } = await import(folder + "core.js");
const core = await loadCore({ wasmBinary: fs.readFileSync(folder + "built/core.wasm") });
await loadReader({ wasmBinary: fs.readFileSync(folder + "built/reader.wasm") });
const found = [];
for (const [path, decoded] of JSON.parse(process.argv[3])) {
  const data = new Uint8Array(fs.readFileSync(path));
  const facts = { gops: 0, sizes: [], problem: "", hash: "", times: [] };
  found.push(facts);
  try {
    const stream = await streamIn({ size: data.length, read: async (at, size) => data.slice(at, at + size) });
    const { width, height } = stream.header;
    Object.assign(facts, { gops: stream.gops.length, problem: stream.problem, whole: stream.baseHash });
    for (const number of stream.gops.keys()) {
      const gop = await stream.read(number);
      facts.problem ||= gop.problem;
      facts.times.push(...gop.times.slice(0, gop.units.length));
      facts.sizes.push(...gop.units.map(({ bytes }) => bytes));
    }
    if (!decoded) continue;
    const hash = new Hash(core), all = new Uint16Array(new Uint8Array(fs.readFileSync(decoded)).buffer);
    for (let at = 0; at < all.length; at += samplesOf(width, height)) hash.take(all.subarray(at, at + samplesOf(width, height)));
    facts.hash = hex(hash.digest().subarray(0, 8));
  } catch (error) {
    if (!(error instanceof Damaged)) throw new Error(path, { cause: error });
    facts.problem ||= error.message;
  }
}
console.log(JSON.stringify(found));
"""
UNITS = """
import fs from "node:fs";
const folder = process.argv[2];
const { Stream, loadReader } = await import(folder + "/stream.js");
await loadReader({ wasmBinary: fs.readFileSync(folder + "/built/reader.wasm") });
const found = [];
for (const path of process.argv.slice(3)) {
  const data = new Uint8Array(fs.readFileSync(path));
  const stream = await Stream.open({ size: data.length, read: async (at, size) => data.slice(at, at + size) });
  const { units, problem } = await stream.read(0);
  if (problem) throw new Error(problem);
  found.push(...units.map(({ data }) => Buffer.from(data).toString("hex")));
}
console.log(JSON.stringify(found));
"""

#: Of each file: the code and the words of its error, and the memory of the reader after it.
ERRORS = """
import fs from "node:fs";
const folder = process.argv[2];
const { Stream, loadReader } = await import(folder + "/stream.js");
const core = await loadReader({ wasmBinary: fs.readFileSync(folder + "/built/reader.wasm") });
const found = [];
for (const path of process.argv.slice(3)) {
  const data = new Uint8Array(fs.readFileSync(path)), source = { size: data.length, read: async (at, size) => data.slice(at, at + size) };
  const read = async () => (await Stream.open(source)).read(0);
  const { code, message } = await read().then(() => ({}), (error) => error);
  found.push([code, message, core.wasmMemory.buffer.byteLength]);
}
console.log(JSON.stringify(found));
"""


def read_by_page(tmp_path: Path, given: list[tuple[Path, Path | None]]) -> list[dict[str, object]]:
    """What the page's modules make of files; frames that are given are hashed."""
    files = json.dumps([(str(path), decoded and str(decoded)) for path, decoded in given])
    return json.loads(run_node(SCRIPT, tmp_path, files).splitlines()[-1])


@needs_node
def test_page_reads_base_gvc1d(tmp_path: Path) -> None:
    path = tmp_path / "network.gvc"
    frames = moving_texture(64, 48, 3)
    path.write_bytes(gvcodec.encode(frames, threads=1, base="gvc1d", format=FORMAT))
    (facts,) = read_by_page(tmp_path, [(path, None)])
    assert (facts["problem"], len(facts["sizes"])) == ("", 3)
    with running(path) as server:
        _, data = answer(server, "/native?from=0&painted=1")
    with gvcodec.open(path) as video:
        shown = b"".join(flat(frame.planes) for frame in video.decode_range(0, 1))
    assert data[4:8] == b"\2\0\0\0" and shown in data


@needs_node
def test_page_reads_format_1_1(tmp_path: Path) -> None:
    path = tmp_path / "bold.gvc"
    options = {"look": 80, "threads": 1, "preset": 10}
    path.write_bytes(gvcodec.encode(moving_texture(64, 48, 3), format=FORMAT, **options))
    assert gvcodec.Reader(io.BytesIO(path.read_bytes())).header.needs == (1, 1)
    (facts,) = read_by_page(tmp_path, [(path, None)])
    assert (facts["problem"], len(facts["sizes"])) == ("", 3)


@needs_node
def test_page_reads_golden_streams_and_hashes_frames_as_the_encoder(tmp_path: Path) -> None:
    given: list[tuple[Path, Path | None]] = []
    for name, path in STREAMS.items():
        decoded = tmp_path / name
        with opened(name) as video:
            frames = (flat(frame.base_frame) for frame in video.decode_range(0, len(video)))
            decoded.write_bytes(b"".join(frames))
        given.append((path, decoded))
    for (path, _), facts in zip(given, read_by_page(tmp_path, given), strict=True):
        reader = gvcodec.Reader(io.BytesIO(path.read_bytes()))
        sizes = [len(packet.payload) for packet in reader.packets() if packet.is_frame]
        assert (facts["sizes"], facts["problem"]) == (sizes, "")
        assert facts["gops"] == len(reader.gops()) and reader.base_hash is not None
        assert facts["hash"] == facts["whole"] == reader.base_hash.hex()


@needs_node
def test_page_takes_bundles_apart_as_python_does(tmp_path: Path) -> None:
    rng, bundler = np.random.default_rng(4), bundles.Bundler()
    bodies = [bytes(rng.integers(0, 4, size, np.uint8)) for size in rng.integers(0, 300, 40)]
    # OBUs of frames that are shown.
    frames = [Packet(Kind.INTER if n else Kind.KEY, b"\x30\x10" + b) for n, b in enumerate(bodies)]
    gops = [[*(bundle for frame in frames for bundle in bundler.send(frame)), *bundler.flush()]]
    # Two frames, of 1 and 95 OBUs, more than our encoder puts into one.
    symbols = b"\x16\1\x11" + b"".join(b"\5\1" + bytes([n]) for n in range(94)) + b"\x16\1\x12"
    coded = bundles._initial_model().copy().encode(symbols)
    gops.append([Packet(Kind.KEY, bytes([1]) + bundles.encode_var(len(coded)) + coded)])
    unbundler, paths = Unbundler(), [tmp_path / f"{n}.gvc" for n in range(len(gops))]
    wanted = [frame.payload for gop in gops for bundle in gop for frame in unbundler.send(bundle)]
    header = SequenceHeader(FORMAT, "av1", Fraction(1), 60, is_bundled=True)
    for path, gop in zip(paths, gops, strict=True):
        path.write_bytes(header.pack() + b"".join(bundle.pack() for bundle in gop))
    units = [_core.restore_av1(payload).hex() for payload in wanted]
    assert json.loads(run_node(UNITS, tmp_path, *paths)) == units
    assert wanted[:40] == [frame.payload for frame in frames]


@needs_node
def test_errors_of_a_file_have_codes_and_a_lying_index_takes_no_memory(tmp_path: Path) -> None:
    """An index that names more frames than a page can hold times of, in a small file."""
    refused = Path(__file__).resolve().parents[2] / "conformance/refused"
    header = SequenceHeader(FORMAT, "av1", Fraction(1), 60, is_bundled=True).pack()
    zeros, frames = bytes(1 << 20), encode_var(32 << 20)
    index = Packet(Kind.INDEX, frames + b"\1" + frames + encode_var(len(zeros)) + b"\0").pack()
    end = Packet(Kind.END, bytes(8) + len(index).to_bytes(4, "little")).pack()
    path = tmp_path / "index.gvc"
    path.write_bytes(header + zeros + index + end)
    files = refused / "q.gvc", refused / "needs-2.0.gvc", path
    damaged, newer, lying = json.loads(run_node(ERRORS, tmp_path, *files))
    assert [damaged[0], newer[0], lying[0]] == [-3, -4, -6]
    assert "the file needs format 2.0; this player reads format 1.1" in newer[1]
    assert "too large for a page" in lying[1] and lying[2] < 32 << 20


@needs_node
def test_page_has_the_timestamps_of_decoding(tmp_path: Path) -> None:
    path = tmp_path / "late.gvc"
    path.write_bytes(made(moving_texture(64, 48, 18), times=TIMES, start=500))
    (facts,) = read_by_page(tmp_path, [(path, None)])
    assert facts["times"] == pytest.approx([time / 1000 for time in TIMES], abs=1e-9)


@needs_node
def test_page_reads_the_same_stream_out_of_mp4(tmp_path: Path) -> None:
    path = painted_stream(tmp_path / "a.gvc", 96, 80)
    stream, file = read_by_page(tmp_path, [(path, None), (as_mp4(path), None)])
    assert file.pop("times") == pytest.approx(stream.pop("times"), abs=1e-6)
    assert file == stream and stream["problem"] == ""


@needs_node
@pytest.mark.parametrize("kind", ["gvc", "mp4"])
def test_page_takes_any_bytes_and_keeps_what_is_whole(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "whole.gvc"
    path.write_bytes((GOLDEN / "av1.bin").read_bytes())
    with gvcodec.open(path) as video:
        frames = len(video)
    whole = (path if kind == "gvc" else as_mp4(path)).read_bytes()
    given: list[tuple[Path, Path | None]] = []
    for number in range(0, len(whole), max(1, len(whole) // 120)):
        for name, data in (
            ("cut", whole[:number]),
            ("turned", whole[:number] + bytes([whole[number] ^ 0x5A]) + whole[number + 1 :]),
            ("longer", whole[:number] + b"\xff" * 40 + whole[number:]),
        ):
            path = tmp_path / f"{name}{number}.{kind}"
            path.write_bytes(data)
            given.append((path, None))
    for (path, _), facts in zip(given, read_by_page(tmp_path, given), strict=True):
        # A container has bytes that nothing depends on.
        assert facts["problem"] or kind == "mp4", path.name
        assert kind == "mp4" or len(facts["sizes"]) <= frames


def test_requests_for_frames_take_turns(tmp_path: Path) -> None:
    """Each comes in a thread of its own, and a new one ends the previous one."""
    path = tmp_path / "a.gvc"
    path.write_bytes(made(moving_texture(64, 48, 12)))
    with gvcodec.open(path) as video:
        frames = FrameServer(video, lambda: gvcodec.open(path))
        whole = list(frames.frames(0, False))
        assert len(whole) == 2 * len(video)
        keyframe = list(frames.keyframe(0))
        given: list[tuple[int, list[bytes], list[bytes]]] = []
        begin = threading.Barrier(8)

        def ask(first: int) -> None:
            begin.wait()
            for _ in range(5):
                given.append((first, list(frames.frames(first, False)), list(frames.keyframe(0))))

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(given) == 8 * 5
        for first, pieces, alone in given:
            # As far as it came before another one began.
            assert pieces == whole[2 * first :][: len(pieces)]
            assert alone == keyframe
        assert list(frames.frames(0, False)) == whole
