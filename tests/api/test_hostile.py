"""Hostile streams with right checksums: nothing foreign is opened, memory stays bounded."""

import io
import json
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import gvcodec
from gvcodec import limits
from gvcodec.base.standard.decoders import decode_unit, open_decoder, unit_of
from gvcodec.bitstream import Kind, Packet, Reader, recovery
from gvcodec.bitstream.timing import PtsDecoder
from gvcodec.bitstream.varint import encode_svar, encode_var
from gvcodec.bitstream.writer import Writer
from gvcodec.codec.gops import GopSource
from gvcodec.errors import DamagedStreamError, LimitError, MediaError, UsageError
from gvcodec.limits import Limits
from gvcodec.models import PAINTER
from gvcodec.tracks.codec_parameters import make_head, open_head
from gvcodec.tracks.packets import TrackReader
from tests.conftest import moving_texture, packets_in, run, stream_of
from tests.errors import raises
from tests.fuzz.robustness.hostile import HEADS, audio_stream, tracks_payload, with_packets
from tests.fuzz.robustness.streams import streams


@pytest.fixture(scope="module")
def plain() -> bytes:
    return gvcodec.encode(moving_texture(64, 48, 4), base="av1", preset=10, keyint=2, fit=0, q=40)


@pytest.mark.parametrize("kind", HEADS)
def test_only_heads_of_sound_are_opened(kind: str) -> None:
    with pytest.raises(DamagedStreamError, match="^tracks: "):
        TrackReader(tracks_payload(HEADS[kind]()))


@pytest.mark.parametrize(
    ("kind", "codec"),
    [("matroska", "libopus"), ("matroska", "pcm_s16le"), ("mp4", "libmp3lame"), ("mov", "ac3")],
)
def test_heads_that_the_encoder_makes_are_opened(kind: str, codec: str) -> None:
    head = make_head(kind, [audio_stream(codec)])
    (stream,) = open_head(head).streams
    assert (stream.type, stream.rate) == ("audio", 48000)
    assert stream.codec_context.codec.canonical_name == av.Codec(codec, "w").canonical_name
    for size in range(0, len(head) - 24, 7):
        with pytest.raises(DamagedStreamError):
            open_head(head[:size] + b"\0" * 9)


def frame_payloads(stream: bytes) -> list[Packet]:
    return [packet for packet in packets_in(stream) if packet.is_frame]


@pytest.mark.parametrize("base", ["av1", "vvc"])
def test_pictures_larger_than_the_header_says_are_refused(base: str) -> None:
    clips = (moving_texture(side, side, 1) for side in (64, 512))
    small, large = (gvcodec.encode(clip, base=base, preset=4, fit=0, q=40) for clip in clips)
    data = stream_of(Reader(io.BytesIO(small)).header, frame_payloads(large))
    what = "512×512, the header promises 64×64" if base != "av1" else "cannot"
    with pytest.raises(DamagedStreamError, match=what):
        list(gvcodec.decode_planes(data, fidelity=True))


def test_a_second_bitstream_behind_a_start_code_is_refused() -> None:
    data = gvcodec.encode(moving_texture(64, 64, 1), base="vvc", preset=4, fit=0, q=40)
    (key,) = frame_payloads(data)
    hidden = Packet(Kind.KEY, key.payload + b"\0\0\1" + key.payload)
    hostile = stream_of(Reader(io.BytesIO(data)).header, [hidden])
    with raises(DamagedStreamError, "base-layer"):
        list(gvcodec.decode_planes(hostile, fidelity=True))


def test_a_decoder_without_memory_is_not_a_damaged_stream() -> None:
    data = gvcodec.encode(moving_texture(512, 512, 1), base="vvc", preset=4, fit=0, q=40)
    decoder = open_decoder("vvc", 64, 64, 1)
    with pytest.raises(MemoryError, match="memory"):
        decode_unit(decoder, unit_of("vvc", frame_payloads(data)[0].payload, 512, 512))


def huge(stream: bytes) -> bytes:
    """64 megapixels in about ninety bytes."""
    header = Reader(io.BytesIO(stream)).header
    format = replace(header.format, width=8192, height=8192)
    return stream_of(replace(header, format=format, painter_id=None), [Packet(Kind.KEY, b"\x40")])


@pytest.mark.parametrize("command", ["decode", "verify", "cut", "cat", "repair", "extract", "play"])
def test_a_small_file_does_not_take_much_memory_by_default(plain, tmp_path, command):
    if command == "extract":
        plain = gvcodec.encode(moving_texture(64, 48, 1), base="av1", fit=0)
    data = huge(plain)
    assert len(data) < 120
    (tmp_path / "a.bin").write_bytes(data)
    name = tmp_path / {"extract": "o.mp4", "decode": "o.y4m"}.get(command, "o.bin")
    output = {"verify": [], "play": ["--no-browser"], "cat": ["-o", name]}.get(command, [name])
    for limit, refusal in (
        ([], "8192×8192 take about"),
        (["--max-pixels", "1000"], "more than 1000 pixels"),
        (["--max-memory", "100M"], "more than 100 (--max-memory"),
    ):
        assert refusal in run(command, tmp_path / "a.bin", *output, *limit, code=1).err
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_the_library_has_the_same_limits(plain: bytes) -> None:
    data = huge(plain)
    header = Reader(io.BytesIO(data)).header
    few = Limits(max_pixels=1000)
    for refused in (
        lambda: next(gvcodec.decode(data)),
        lambda: gvcodec.open(data),
        lambda: gvcodec.Decoder(header),
        lambda: Reader(io.BytesIO(data), limits=gvcodec.Limits()),
        lambda: next(gvcodec.decode(plain, limits=few)),
        lambda: gvcodec.open(plain, limits=few),
        lambda: gvcodec.Decoder(Reader(io.BytesIO(plain)).header, limits=few),
        lambda: Reader(io.BytesIO(plain), limits=few),
    ):
        with pytest.raises(LimitError):
            refused()
    assert len(list(gvcodec.decode(plain, limits=Limits(max_pixels=64 * 48)))) == 4


def test_the_hold_on_memory_ends_with_its_block(plain: bytes) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    with (
        limits.memory_limit(Reader(io.BytesIO(plain)).header, False, Limits(max_memory=64 << 20)),
        pytest.raises(MemoryError),
    ):
        np.ones(1 << 27)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_what_a_stream_piles_up_is_bounded(plain: bytes) -> None:
    header = Reader(io.BytesIO(plain)).header
    timing = PtsDecoder(0, Fraction(25), Fraction(1, 25))
    with pytest.raises(DamagedStreamError, match="names more than"):
        for _ in range(3):
            timing.send((encode_var(0) + encode_svar(1)) * (1 << 18))
    head = tracks_payload(make_head("matroska", [audio_stream()]))
    few = Limits(max_memory=1 << 20)
    nothing = (encode_var(0) + encode_svar(0) + encode_var(0)) * 1500
    tracks = TrackReader(head + nothing[:1500], few)
    with pytest.raises(LimitError, match="sound"):
        tracks.send(nothing)
    tracks.waiting.clear()
    tracks.send(nothing[:1500])
    decoder = gvcodec.Decoder(header, fidelity=True, limits=Limits(max_memory=80 << 20))
    decoder.send_packet(Packet(Kind.TRACKS, head))
    with pytest.raises(LimitError, match="sound"):
        size = 1 << 20
        for _ in range(30):
            payload = encode_var(0) + b"\0" + encode_var(size) + bytes(size)
            decoder.send_packet(Packet(Kind.TRACKS, payload))
    frames = [Packet(Kind.KEY, b"\x40"), *[Packet(Kind.INTER, b"\0")] * 2000]
    with pytest.raises(LimitError, match="a GOP"):
        list(GopSource(header, frames, few))


@pytest.mark.parametrize("late", [-(1 << 62), (1 << 62) - 1])
def test_times_that_no_difference_can_code_are_not_believed(plain: bytes, tmp_path, late) -> None:
    timing = Packet(Kind.TIMING, encode_var(0) + encode_svar(late))
    (tmp_path / "a.bin").write_bytes(with_packets(plain, timing))
    run("verify", tmp_path / "a.bin", "--fidelity", code=3)
    run("repair", tmp_path / "a.bin", tmp_path / "b.gvc", code=3)  # times are lost
    run("verify", tmp_path / "b.gvc", "--fidelity")


@pytest.mark.parametrize("attack", ["claims", "gops", "keys"])
def test_reading_behind_damage_takes_time_that_grows_with_the_file(monkeypatch, plain, attack):
    """Made-up sizes make each packet look at all that follows."""
    gop, claim = Packet(Kind.GOP, bytes(4)).pack(), encode_var(1 << 26 << 2)
    key = Packet(Kind.KEY, b"\x40").pack()
    unit = {"claims": claim + gop, "gops": gop + claim, "keys": key + claim + gop}[attack]
    monkeypatch.setattr(recovery, "_FREE_EXAMINED", 1 << 27)
    monkeypatch.setattr(recovery, "_CHUNK", 1 << 8)
    looked = []
    for size in (1 << 14, 1 << 16):
        count = 0

        class Counting(io.BytesIO):
            def read(self, most: int | None = -1) -> bytes:
                nonlocal count
                found = super().read(most)
                count += len(found)
                return found

        header = Reader(io.BytesIO(plain)).header
        list(recovery.Salvage(Counting(header.pack() + unit * (size // len(unit)))).events())
        looked.append(count)
    assert looked[1] < 6 * looked[0] + (1 << 20)


def test_a_count_of_lost_frames_is_not_believed_again_and_again(plain: bytes) -> None:
    """Twelve bytes for a GOP that claims a thousand more."""
    header, stream, frames = Reader(io.BytesIO(plain)).header, b"", 0
    for _ in range(100):
        frames += 1000
        stream += Packet(Kind.KEY, b"\x40").pack()
        stream += Packet(Kind.GOP, bytes(4) + encode_var(frames)).pack()
    salvage = recovery.Salvage(io.BytesIO(header.pack() + stream))
    lost = sum(event.frames for event in salvage.events() if isinstance(event, recovery.Loss))
    assert lost <= 1000 + len(stream) // 3


def test_frames_are_asked_for_by_integers_or_a_mask(plain: bytes) -> None:
    video = gvcodec.open(bytearray(plain), fidelity=True)
    assert np.array_equal(video[np.array([False, True, False, True])], video[[1, 3]])
    assert np.array_equal(video[[True, False, False, True]], video[[0, 3]])
    assert np.array_equal(video[np.array(2)], video[np.int64(2)])
    assert video[[]].shape == (0, 48, 64, 3)
    for wrong in ([True, False], np.ones(5, bool)):
        with pytest.raises(IndexError, match="a mask has 4 values"):
            video[wrong]
    for wrong in (1.0, [0.5], np.array([1.0]), True, "1", [[1, 2]], None):
        with pytest.raises(UsageError):
            video[wrong]
    for time in (np.nan, np.inf):
        with pytest.raises(UsageError, match="not a time"):
            video.get_frame_played_at(time)


def test_samples_and_timestamps_that_no_stream_holds_are_refused() -> None:
    frame, fast = moving_texture(64, 48, 1)[0], {"base": "av1", "preset": 10, "fit": 0}
    integers = tuple(plane.astype(np.int64) for plane in frame)
    data = gvcodec.encode([frame], **fast)
    assert gvcodec.encode([integers], **fast) == data
    for wrong in (
        tuple(plane.astype(np.float32) for plane in frame),
        tuple(plane.astype(np.int64) - 2000 for plane in frame),
        (frame[0] + np.uint16(1000), *frame[1:]),
        tuple(plane > 3 for plane in frame),
    ):
        with pytest.raises(UsageError, match="samples are integers 0…1023"):
            gvcodec.encode([wrong], **fast)
    encoder = gvcodec.Encoder(Reader(io.BytesIO(data)).header.format)
    for pts in (1 << 62, -(1 << 70), 0.5, "1"):
        with raises(UsageError, "frame-shape"):
            encoder.send_frame(frame, pts)


@pytest.mark.parametrize(
    "sizes", ['{"depth": 1000000}', '{"channels": 1e9}', '{"style": -1}', '{"stem": "8"}']
)
def test_a_painter_of_absurd_size_is_not_made(tmp_path, sizes: str) -> None:
    pytest.importorskip("torch")
    from gvcodec.painter.torch_twin.network import PainterNetwork

    with safe_open(PAINTER.find(), "np") as file:
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        known = json.loads(file.metadata()["painter"])
    path = tmp_path / "a.safetensors"
    save_file(found, path, {"painter": json.dumps(known | json.loads(sizes))})
    with raises(MediaError, "not-a-model"):
        PainterNetwork.load(path)


def test_sound_ahead_of_the_encoder_waits_where_it_is_bounded(tmp_path):
    """Empty packets with every frame: the encoder holds frames back, the muxer would keep all."""
    reader, output, frames = Reader(io.BytesIO(streams()["rich"])), io.BytesIO(), 0
    writer = Writer(output, reader.header)
    for packet in reader.packets():
        if packet.kind is not Kind.TRACKS or not frames:
            writer.write(packet)
        if packet.is_frame:
            # As many as fit; of track 0, at the time of the frame, no duration, no bytes.
            at = b"\1\0" + encode_svar(320 * frames) + b"\0\0"
            writer.write(Packet(Kind.TRACKS, at + b"\0\0\0\0" * 11_000))
            frames += 1
    writer.finish(reader.base_hash)
    (tmp_path / "a.gvc").write_bytes(output.getvalue())
    words = ["decode", str(tmp_path / "a.gvc"), str(tmp_path / "o.mkv"), "--fidelity"]
    said = run(*words, "--max-memory", "80M", code=1)
    assert "sound and subtitles take more than 20 MiB" in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["a.gvc"]
