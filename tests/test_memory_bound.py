"""No input of a megabyte takes more memory than `--max-memory` allows, whatever is done with it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eval.robustness.mutations import _EXTREMES, _header, _header_fields, sealed_packets
from eval.robustness.streams import streams
from gvcodec import cli
from gvcodec.bitstream import Kind, Packet, Reader, Writer
from gvcodec.bitstream.varint import encode_svar, encode_var

MEGABYTE = 1 << 20
LIMIT = 128 << 20
#: What the bound does not cover: libraries that are loaded, and the file itself, read as a whole.
PROGRAM = 96 << 20

#: One process tries many inputs: peak memory is that of the worst. It tells the memory in use once
#: everything is loaded, and the peak of each command.
WORKER = """
import contextlib, io, json, sys
from pathlib import Path
from gvcodec import cli

def status(key):
    with open("/proc/self/status") as file:
        return int(next(line for line in file if line.startswith(key)).split()[1]) << 10

def forget():
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")

folder, limit = Path(sys.argv[1]), sys.argv[2]
found = {}
commands = (
    ("decode", "IN", "out.y4m", "--fidelity"),
    ("decode", "IN", "out.mkv", "--fidelity"),
    ("decode", "IN", "out.y4m", "--fidelity", "--ignore-errors"),
    ("verify", "IN", "--fidelity"),
    ("cut", "IN", "out.gvc"),
    ("cat", "IN", "IN", "-o", "out.gvc"),
    ("repair", "IN", "out.gvc"),
    ("index", "IN", "out.gvc"),
    ("extract", "IN", "out.mkv"),
    ("inspect", "IN"),
)
for number, path in enumerate([folder / "first", *sorted(folder.glob("in-*"))]):
    for words in commands:
        given = [str(path) if w == "IN" else str(folder / w) if w.startswith("out") else w for w in words]
        given += ["-y"] * any(w.startswith("out") for w in words) + ["--max-memory", limit]
        given += ["--threads", "1"] * (words[0] != "extract")
        forget()
        before = status("VmRSS")
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
            try:
                code = cli.main(given)
            except SystemExit as error:
                code = error.code
        took = status("VmHWM") - before
        print(path.name, *words, took >> 20, code, file=sys.__stderr__)
        if number:
            found[f"{path.name} {' '.join(words)}"] = (code, took, said.getvalue()[-200:])
print(json.dumps(found))
"""


def hostile(seed: int) -> dict[str, bytes]:
    """Streams of up to a megabyte that try to be expensive, right by all checksums."""
    rng = np.random.default_rng(seed)
    found: dict[str, bytes] = {}
    for name in ("av1", "rich"):
        data = streams()[name]
        reader = Reader(io.BytesIO(data))
        packets = list(reader.packets())
        header = reader.header.pack()
        fields = _header_fields(header)
        for field in (1, 4):
            changed = list(fields)
            changed[field] = encode_var(int(rng.choice(_EXTREMES)))
            found[f"{name}-header-{field}"] = sealed_packets(
                _header(b"".join(changed)), packets, bytes(8)
            )
        many = MEGABYTE // 16 // (sum(len(p.payload) + 5 for p in packets) + 1)
        found[f"{name}-repeated"] = sealed_packets(header, packets * many, bytes(8))
        noise = Packet(Kind.KEY, rng.bytes(MEGABYTE - 4096))
        found[f"{name}-noise"] = sealed_packets(header, [noise, *packets], bytes(8))
        found[f"{name}-empty"] = sealed_packets(header, [Packet(Kind.INTER, b"")] * 9000, bytes(8))
    rich = list(Reader(io.BytesIO(streams()["rich"])).packets())
    head = Reader(io.BytesIO(streams()["rich"])).header.pack()
    nothing = b"\0\0\0\0"  # track 0, at the same time, for no time, of no bytes
    times = b"".join(encode_var(0) + encode_var(2) for _ in range(MEGABYTE // 4))
    for what, kind, payload in (
        ("tracks-nothing", Kind.TRACKS, nothing * (MEGABYTE // 4 - 2000)),
        ("tracks-in-pieces", Kind.TRACKS, nothing * 1000),
        ("timing", Kind.TIMING, times[:MEGABYTE - 8000]),
        ("metadata", Kind.METADATA, b"\2\2\0\0" * (MEGABYTE // 4 - 2000)),
        ("tune", Kind.TUNE, b"\1\xff" + b"\x28" * (MEGABYTE - 8000)),
        ("summary", Kind.SUMMARY, b"\1" + bytes(8) + encode_var(4096) + b"\1" + bytes(MEGABYTE - 8000)),
    ):  # fmt: skip
        count = 200 if what.endswith("pieces") else 1
        first = next(i for i, p in enumerate(rich) if p.is_frame)
        changed = [*rich[:first], *[Packet(kind, payload)] * count, *rich[first:]]
        found[what] = sealed_packets(head, changed, bytes(8))
    assert max(map(len, found.values())) <= MEGABYTE + (1 << 18)
    return found


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="no /proc")
def test_peak_memory_is_within_the_bound_for_any_input(tmp_path: Path) -> None:
    inputs = hostile(1)
    (tmp_path / "first").write_bytes(streams()["av1"])
    for name, data in inputs.items():
        (tmp_path / f"in-{name}").write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", WORKER, str(tmp_path), str(LIMIT)],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert len(found) > 120
    for what, (code, took, said) in found.items():
        assert took <= LIMIT + PROGRAM, (what, took >> 20, said)
        assert code in (0, 1, 2, 3, 4, 5), (what, code, said)
    assert sum(code == 0 for code, *_ in found.values()) > 10


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_sound_ahead_of_the_encoder_waits_where_it_is_bounded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    """Empty packets with every frame: the encoder holds frames back, the muxer would keep all."""
    data = streams()["rich"]
    reader, output, frames = Reader(io.BytesIO(data)), io.BytesIO(), 0
    writer = Writer(output, reader.header)
    for packet in reader.packets():
        if packet.kind is not Kind.TRACKS or not frames:
            writer.write(packet)
        if packet.is_frame:
            # As many as fit; of track 0, at the time of the frame, no duration, no bytes.
            at = b"\1\0" + encode_svar(320 * frames) + b"\0\0"
            writer.write(Packet(Kind.TRACKS, at + b"\0\0\0\0" * 11_000))
            frames += 1
    writer.finish(reader.loop_hash)
    (tmp_path / "a.gvc").write_bytes(output.getvalue())
    words = ["decode", str(tmp_path / "a.gvc"), str(tmp_path / f"o.{suffix}"), "--fidelity"]
    assert cli.main([*words, "--max-memory", "80M"]) == 1
    assert "sound and subtitles take more than 20 MiB" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.gvc"]
