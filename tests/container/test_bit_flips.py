"""Single bits turned in files as `encode` writes them: each is noticed, or changes nothing."""

import hashlib
import random
from collections import Counter
from typing import Any

import pytest

import gvcodec
from gvcodec.bitstream import ChangedStream, Kind, PtsDecoder, Reader
from gvcodec.errors import GvcodecError
from gvcodec.opening import open_source
from gvcodec.tracks.packets import TrackReader
from gvcodec.util.messages import silence
from tests.clips import ffmpeg

#: Bits that are turned in each file.
FLIPS = 100
KINDS = ("gvc", "mp4", "fragmented mp4", "mkv", "webm")
#: One second of pictures in three GOPs, two frames dropped so that times are uneven, and a tone.
_SOURCE = (
    "-f lavfi -i testsrc2=s=96x64:r=25:d=1 -f lavfi -i sine=440:r=8000:d=1 "
    "-vf select=not(eq(n\\,7)+eq(n\\,13)) -fps_mode passthrough -c:v ffv1 -metadata title=Tone"
)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, bytes]:
    """A file of each kind in `KINDS`, of the same pictures."""
    folder, made = tmp_path_factory.mktemp("flips"), {}
    source = folder / "source.mkv"
    ffmpeg(*_SOURCE.split(), "-c:a", "aac", source)
    for suffix in ("gvc", "mp4", "mkv", "webm"):
        path = folder / f"a.{suffix}"
        sound = "opus" if suffix == "webm" else "copy"
        gvcodec.encode_file(source, path, fit=0, preset=10, q=45, keyint=8, sound=sound)
        made[suffix] = path.read_bytes()
    fragmented = folder / "f.mp4"
    copied = ("-map", "0", "-c", "copy", "-movflags", "frag_keyframe+empty_moov+default_base_moof")
    ffmpeg("-i", folder / "a.mp4", *copied, fragmented)
    made["fragmented mp4"] = fragmented.read_bytes()
    return made


def facts(data: bytes) -> tuple[Any, ...]:
    """What `verify` finds, a hash of the frames that `decode` gives, the seconds when they are
    shown, and a hash of each track. Raises `GvcodecError` where the file is refused."""
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
    return verified, shown.digest(), seconds, [tones[track].digest() for track in sorted(tones)]


def judge(data: bytes, bit: int, whole: tuple[Any, ...], stream: bytes) -> str:
    """The verdict on a file with one bit turned: noticed, harmless or called right. `stream`: the
    bytes of the stream in the file as it was written, which are right wherever they come back."""
    flipped = bytearray(data)
    flipped[bit >> 3] ^= 1 << (bit & 7)
    changed = bytes(flipped)
    try:
        with open_source(changed) as found:
            if isinstance(found, ChangedStream):
                return "noticed"
            if found.read() == stream:
                return "harmless"
        return "harmless" if facts(changed) == whole else "called right"
    except GvcodecError:
        return "noticed"


@pytest.mark.parametrize("kind", KINDS)
def test_every_turned_bit_is_noticed_or_harmless(files: dict[str, bytes], kind: str) -> None:
    data, found, numbers = files[kind], Counter[str](), random.Random(7)
    with silence():
        whole = facts(data)
        with open_source(data) as source:
            stream = source.read()
        for bit in (numbers.randrange(8 * len(data)) for _ in range(FLIPS)):
            verdict = judge(data, bit, whole, stream)
            assert verdict != "called right", bit
            found[verdict] += 1
    assert found["noticed"] >= FLIPS * (1 if kind == "gvc" else 0.7)
