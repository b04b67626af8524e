"""Bundles of frames: payloads come back, in fewer bytes, and damage is reported."""

import hashlib
import io
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import gvcodec
from gvcodec._core import BundleModel
from gvcodec.api.info import read_info
from gvcodec.base.standard.encoder import StandardEncoder
from gvcodec.base.standard.encoders import Settings
from gvcodec.bitstream import Kind, Packet, Reader, SequenceHeader, bundles
from gvcodec.bitstream.packets import Unbundler, read_packet
from gvcodec.bitstream.recovery import Salvage
from gvcodec.config import EncoderConfig
from gvcodec.errors import DamagedStreamError, LimitError
from gvcodec.types import VideoFormat
from tests.conftest import moving_texture, packets_in, send_all, stream_of
from tests.errors import raises

FORMAT = VideoFormat(64, 48, Fraction(25), Fraction(1, 25))
PLAIN = SequenceHeader(FORMAT, "av1", Fraction(1), 60)
BUNDLED = SequenceHeader(FORMAT, "av1", Fraction(1), 60, is_bundled=True)


def golden() -> list[Packet]:
    """Two GOPs of SVT-AV1's frames and odd ones, as the format's first writer wrote them."""
    source = io.BytesIO((Path(__file__).parent / "bundles.dat").read_bytes())
    return [packet for packet, _ in (read_packet(source) for _ in range(5)) if packet is not None]


@pytest.fixture(scope="module")
def packets() -> list[Packet]:
    """Frames of SVT-AV1, two GOPs, the second of them after 40 frames."""
    encoder = StandardEncoder(FORMAT, "av1", Settings(60, threads=1), keyint=40)
    coded, _ = send_all(encoder, moving_texture(64, 48, 46))
    return [Packet(Kind.KEY if p.keyframe else Kind.INTER, p.payload) for p in coded]


def test_frames_come_back_in_fewer_bytes(packets) -> None:
    plain, bundled = stream_of(PLAIN, packets), stream_of(BUNDLED, packets)
    assert packets_in(bundled) == packets and list(Salvage(io.BytesIO(bundled)).events()) == packets
    reader = Reader(io.BytesIO(bundled))
    last = reader.gops()[-1]
    assert last.first_frame == 40 and list(reader.packets_of(last)) == packets[40:]
    # 46 frames take 17 to 18 bytes of header and 3 of framing each.
    assert len(bundled) < len(plain) - 10 * len(packets)


def test_bundles_are_those_of_the_format() -> None:
    unbundler, bundler = Unbundler(), bundles.Bundler()
    frames = [frame for bundle in golden() for frame in unbundler.send(bundle)]
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(bytes([frame.kind]) + len(frame.payload).to_bytes(2) + frame.payload)
    assert digest.hexdigest()[:32] == "30526423e1191811ead296802a28fbca"
    found: list[Packet] = []
    for frame in frames:
        if frame.kind is Kind.KEY:
            found += bundler.flush()
        found += bundler.send(frame)
    assert [*found, *bundler.flush()] == golden()


def test_payloads_that_are_no_obus_come_back() -> None:
    rng = np.random.default_rng(5)
    sizes = (1, 2, 19, 20, 21, 254, 255, 256, 70_000)
    odd = [rng.integers(0, 256, size, np.uint8).tobytes() for size in sizes]
    # OBUs with an extension, with a size that reaches beyond the end, with 17 in a frame.
    odd += [b"\x36\x00\x02ab", b"\x32\x09abc", b"\x2a\x01a" * 16 + b"\x28a", b"\x32\x81\x00a", b"0"]
    packets = [Packet(Kind.INTER if n else Kind.KEY, payload) for n, payload in enumerate(odd)]
    packets += [Packet(Kind.INTER, b"\x2a\x01a" * 15 + b"\x28a")] * 9
    assert packets_in(stream_of(BUNDLED, packets)) == packets


def test_what_the_model_has_learned_saves_bytes(packets, monkeypatch) -> None:
    learned = len(stream_of(BUNDLED, packets))
    monkeypatch.setattr(bundles, "_initial_model", lambda: BundleModel(b""))
    assert len(stream_of(BUNDLED, packets)) > learned + len(packets)


def test_a_damaged_bundle_costs_the_rest_of_its_gop(packets) -> None:
    data = bytearray(stream_of(BUNDLED, packets))
    data[len(BUNDLED.pack()) + 40] ^= 1
    events = list(Salvage(io.BytesIO(bytes(data))).events())
    assert [event for event in events if isinstance(event, Packet)] == packets[40:]
    with pytest.raises(DamagedStreamError, match="packet 0: checksum mismatch"):
        packets_in(bytes(data))


def test_made_up_bundles_are_refused(packets) -> None:
    bundler = bundles.Bundler()
    (whole,) = [*(b for p in packets[:9] for b in bundler.send(p)), *bundler.flush()]
    for payload, what in ((b"", "number"), (b"\x20", "number"), (b"\0\x05a", "ends early")):
        with pytest.raises(DamagedStreamError, match=what):
            Unbundler().send(Packet(Kind.KEY, payload))
    with raises(DamagedStreamError, "bundle"):
        Unbundler().send(Packet(Kind.INTER, whole.payload))


def test_info_shares_the_bytes_of_a_bundle(packets) -> None:
    data = stream_of(BUNDLED, packets)
    found = read_info(Reader(io.BytesIO(data)))
    assert found.frames == len(packets) and found.keyframes == [0, 40]
    assert sum(found.packet_bytes.values()) + found.framing_bytes == len(data)
    assert found.packet_bytes["key"] > len(packets[0].payload)


def test_who_wants_each_frame_at_once_has_no_bundles() -> None:
    frames = moving_texture(64, 48, 3)
    for low_delay in (False, True):
        data = gvcodec.encode(frames, base="av1", fit=0, low_delay=low_delay)
        assert Reader(io.BytesIO(data)).header.is_bundled is not low_delay


def test_pictures_whose_frames_may_fit_no_bundle_have_none() -> None:
    largest = b"\xff" * ((1 << 24) - 1)
    (whole,) = bundles.Bundler().send(Packet(Kind.KEY, largest))
    assert Unbundler().send(whole) == [Packet(Kind.KEY, largest)]
    with pytest.raises(LimitError, match="16777216 bytes"):
        list(bundles.Bundler().send(Packet(Kind.KEY, largest + b"\0")))
    config = EncoderConfig(base="av1").resolve()
    # 4:2:0 samples of 10 bits, not coded at all.
    assert config.uses_bundles(3840 * 2160) and 3840 * 2160 * 3 // 2 * 10 // 8 < len(largest)
    assert not config.uses_bundles(4096 * 4096)


def test_the_player_has_the_same_sample() -> None:
    folder = Path(__file__).parents[2]
    sample = (folder / "gvcodec" / "bitstream" / bundles.SAMPLE).read_bytes()
    assert sample in (folder / "web" / "built" / "reader.wasm").read_bytes()
