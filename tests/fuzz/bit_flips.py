"""Single bits turned in files as `encode` writes them: each must be noticed, or change nothing.

    python -m tests.fuzz.bit_flips --flips 2000 --seed 1

prints, for each container, how many of the flips `verify` notices (it refuses the file), how many
are harmless (the same frames, number of frames, times, hashes, and sound), and how many it calls
right wrongly, of which there must be none.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg

import gvcodec
from gvcodec.bitstream import ChangedStream, Kind, PtsDecoder, Reader
from gvcodec.container.opening import open_source
from gvcodec.errors import GvcodecError
from gvcodec.media.tracks import TrackReader
from gvcodec.util.messages import silence

KINDS = ("gvc", "mp4", "fragmented mp4", "mkv", "webm")
#: One second of pictures in three GOPs, two frames dropped so that times are uneven, and a tone.
_SOURCE = (
    "-f lavfi -i testsrc2=s=96x64:r=25:d=1 -f lavfi -i sine=440:r=8000:d=1 "
    "-vf select=not(eq(n\\,7)+eq(n\\,13)) -fps_mode passthrough -c:v ffv1 -metadata title=Tone"
)


@dataclass(frozen=True)
class Facts:
    """What a file says: `shown`: hash of the frames that `decode` gives, `seconds`: when they are
    shown, `sound`: description and data of each track."""

    frames: int
    base_hash: str
    painted_hash: str | None
    shown: str
    seconds: tuple[float, ...]
    sound: tuple[str, ...]


def make_files(folder: Path) -> dict[str, bytes]:
    """A file of each kind in `KINDS`, of the same pictures."""
    source = folder / "source.mkv"
    _ffmpeg(*_SOURCE.split(), "-c:a", "aac", source)
    made = {}
    for suffix in ("gvc", "mp4", "mkv", "webm"):
        path = folder / f"a.{suffix}"
        sound = "opus" if suffix == "webm" else "copy"
        gvcodec.encode_file(source, path, fit=0, preset=10, q=45, keyint=8, sound=sound)
        made[suffix] = path.read_bytes()
    fragmented = folder / "f.mp4"
    copied = ("-map", "0", "-c", "copy", "-movflags", "frag_keyframe+empty_moov+default_base_moof")
    _ffmpeg("-i", folder / "a.mp4", *copied, fragmented)
    made["fragmented mp4"] = fragmented.read_bytes()
    return {kind: made[kind] for kind in KINDS}


def _ffmpeg(*words: str | Path) -> None:
    subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, words)], check=True
    )


def facts(data: bytes) -> Facts:
    """What `verify` finds, and what else there is. Raises `GvcodecError` where it refuses."""
    verified = gvcodec.verify(data)
    shown = hashlib.sha256()
    for image in gvcodec.decode(data):
        shown.update(image.tobytes())
    seconds, tracks, tones = [], None, {}
    with open_source(data) as stream:
        reader = Reader(stream)
        fmt = reader.header.format
        timing = PtsDecoder(reader.header.start_pts, fmt.frame_rate, fmt.time_base)
        for packet in reader.packets():
            if packet.kind is Kind.TIMING:
                timing.send(packet.payload)
            elif packet.is_frame:
                seconds.append(float(timing.receive() * fmt.time_base))
            elif packet.kind is Kind.TRACKS:
                if tracks is None:
                    tracks = TrackReader(packet.payload)
                else:
                    tracks.send(packet.payload)
    for number, track in enumerate(tracks.tracks if tracks is not None else ()):
        tones[number] = hashlib.sha256(repr(track).encode())
    for piece in tracks.waiting if tracks is not None else ():
        tones[piece.track].update(piece.data)
    return Facts(
        verified.frames,
        verified.base_hash,
        verified.painted_hash,
        shown.hexdigest(),
        tuple(seconds),
        tuple(tones[track].hexdigest() for track in sorted(tones)),
    )


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit >> 3] ^= 1 << (bit & 7)
    return bytes(changed)


def judge(data: bytes, bit: int, whole: Facts, stream: bytes) -> str:
    """The verdict on a file with one bit turned: noticed, harmless or called right. `stream`: the
    bytes of the stream in the file as it was written, which are right wherever they come back."""
    changed = flipped(data, bit)
    try:
        with open_source(changed) as found:
            if isinstance(found, ChangedStream):
                return "noticed"
            if found.read() == stream:
                return "harmless"
        return "harmless" if facts(changed) == whole else "called right"
    except GvcodecError:
        return "noticed"


def turn(data: bytes, flips: int, seed: int) -> tuple[Counter[str], list[int]]:
    """How many flips of each verdict, and the bits of those that are called right wrongly."""
    whole = facts(data)
    with open_source(data) as source:
        stream = source.read()
    found, wrong = Counter[str](), []
    numbers = random.Random(seed)
    for _ in range(flips):
        bit = numbers.randrange(8 * len(data))
        verdict = judge(data, bit, whole, stream)
        found[verdict] += 1
        if verdict == "called right":
            wrong.append(bit)
    return found, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flips", type=int, default=2000, help="for each kind of file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", choices=KINDS, action="append")
    options = parser.parse_args()
    bad = 0
    with tempfile.TemporaryDirectory() as folder, silence():
        files = make_files(Path(folder))
        for kind in options.kind or KINDS:
            found, wrong = turn(files[kind], options.flips, options.seed)
            bad += len(wrong)
            print(
                f"{kind}: {len(files[kind])} bytes, {options.flips} flips: "
                f"{found['noticed']} noticed, {found['harmless']} harmless, "
                f"{found['called right']} called right wrongly {wrong[:10] or ''}",
                flush=True,
            )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
