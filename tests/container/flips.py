"""Flips single bytes of files and counts what `decode`, `verify`, `repair` and `extract` do:
`python -m tests.container.flips [--count 300] [--seed 1] [FILE…]`.

A file is *lost or changed* if a command gives other frames, frame times, sound or subtitle packets
than without the flip. With exit code 0 that never happens.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import av

from gvcodec import cli
from gvcodec.bitstream import Kind, PtsDecoder, Reader
from gvcodec.opening import open_source
from gvcodec.tracks.packets import TrackReader

COMMANDS = ("decode", "verify", "repair", "extract")
#: What the commands write, by their name; `verify` writes nothing.
_OUTPUTS = {"decode": "out.mkv", "repair": "out.gvc", "extract": "out.gvc"}


def run_command(command: str, path: Path, folder: Path) -> tuple[int, str]:
    """Exit code of a command, and a digest of what it wrote, empty without an output."""
    words = [command, str(path)]
    output = folder / _OUTPUTS.get(command, "none")
    output.unlink(missing_ok=True)
    if command in _OUTPUTS:
        words += [str(output), *(() if command == "repair" else ("-y",))]
    if command == "decode":
        words += ["--lossless"]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            code = cli.main(words)
        except SystemExit as end:
            code = int(end.code or 0)
    if code or not output.exists():
        return code, ""
    return code, video_digest(output) if command == "decode" else stream_digest(output)


def stream_digest(path: Path) -> str:
    """Frame packets, weights, times of the frames, and packets of the tracks, of a stream."""
    with open_source(str(path)) as stream:
        reader = Reader(stream)
        fmt = reader.header.format
        timing = PtsDecoder(reader.header.start_pts, fmt.frame_rate, fmt.time_base)
        digest, sound, tracks = hashlib.sha256(), hashlib.sha256(), None
        for packet in reader.packets():
            if packet.is_frame or packet.kind is Kind.FIT:
                digest.update(packet.payload)
            if packet.is_frame:
                digest.update(str(timing.receive()).encode())
            elif packet.kind is Kind.TIMING:
                timing.send(packet.payload)
            elif packet.kind is Kind.TRACKS and tracks is None:
                tracks = TrackReader(packet.payload)
            elif packet.kind is Kind.TRACKS and tracks is not None:
                tracks.send(packet.payload)
        for piece in tracks.waiting if tracks else ():
            sound.update(repr((piece.track, piece.pts, piece.duration)).encode() + piece.data)
    return digest.hexdigest() + sound.hexdigest()


def video_digest(path: Path) -> str:
    """Data and times of all packets of a video file."""
    digests: dict[int, str] = {}
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.size:
                facts = repr((packet.pts, packet.duration)).encode() + bytes(packet)
                before = digests.get(packet.stream.index, "")
                digests[packet.stream.index] = hashlib.sha256(before.encode() + facts).hexdigest()
    return repr(sorted(digests.items()))


def judge(data: bytes, suffix: str, count: int, seed: int) -> dict[str, Counter[str]]:
    """For each command: flips that it noticed (a code other than 0), that changed nothing, and
    that are lost or changed with code 0 (`missed`, with their places on standard error)."""
    numbers, found = random.Random(seed), {command: Counter[str]() for command in COMMANDS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / f"in{suffix}"
        path.write_bytes(data)
        whole = {command: run_command(command, path, folder) for command in COMMANDS}
        for _ in range(count):
            at, flip = numbers.randrange(len(data)), numbers.randrange(1, 256)
            path.write_bytes(data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :])
            results = {command: run_command(command, path, folder) for command in COMMANDS}
            for command, (code, digest) in results.items():
                same = digest == whole[command][1]
                if command == "verify":
                    # It calls the file right: `extract` gives what is in it.
                    same = results["extract"] in (whole["extract"], (3, ""), (9, ""), (4, ""))
                verdict = "noticed" if code else "harmless" if same else "missed"
                found[command][verdict] += 1
                if verdict == "missed":
                    print(f"{suffix}: {command}: byte {at} ^ {flip:#x}", file=sys.stderr)
    return found


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(words)
    missed = 0
    print("file,command,noticed,harmless,missed")
    for path in options.files:
        found = judge(path.read_bytes(), path.suffix, options.count, options.seed)
        for command, verdicts in found.items():
            missed += verdicts["missed"]
            counts = (verdicts[name] for name in ("noticed", "harmless", "missed"))
            print(",".join(map(str, (path.name, command, *counts))), flush=True)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
