"""Sound that is dropped, coded again as Opus, or damaged as in recordings of broadcasts."""

import contextlib
import io
import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import gvcodec
from gvcodec.errors import UsageError
from gvcodec.input_options import InputOptions, opus_rate
from gvcodec.sink import feed
from gvcodec.tracks import copier
from tests.clips import add_video, packets_of, put_planes, read_film, sound_of
from tests.conftest import moving_texture, run
from tests.media.test_parts import tracks_in
from tests.media.test_real_sound import QUICK, samples, write_source
from tests.player_helpers import with_beep

FAST = {"q": 55, "base": "av1", "preset": 10, "fit": 0}


def decoded_sound(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=48000)
        parts, first = [], None
        for frame in container.decode(audio=0):
            first = frame.pts * frame.time_base if first is None else first
            frame.pts = None
            parts += [made.to_ndarray().ravel() for made in resampler.resample(frame)]
        parts += [made.to_ndarray().ravel() for made in resampler.resample(None)]
    samples = np.concatenate(parts)
    begin = round(first * 48000)
    return samples[-begin:] if begin < 0 else np.concatenate([np.zeros(begin), samples])


def onset(samples: np.ndarray) -> float:
    return float(np.argmax(np.abs(samples) > 0.1)) / 48000


@pytest.mark.parametrize(
    ("codec", "rate", "suffix"),
    [("aac", 44100, ".gvc"), ("pcm_s16le", 22050, ".gvc"), ("ac3", 48000, ".gvc")]
    + [("aac", 44100, ".mp4"), ("flac", 48000, ".webm")],
)
def test_opus_keeps_the_times_of_the_sound(tmp_path, codec, rate, suffix):
    source, stream = with_beep(tmp_path / "a.mkv", codec, rate, 0.4), tmp_path / f"a{suffix}"
    done = gvcodec.encode_file(source, stream, sound="opus:32k", **FAST)
    assert done.tracks is not None and done.tracks[2] == "audio"
    if suffix == ".gvc":
        gvcodec.decode_file(stream, tmp_path / "b.mkv")
        stream = tmp_path / "b.mkv"
    with av.open(str(stream)) as container:
        assert container.streams.audio[0].codec_context.name == "opus"
    before, after = decoded_sound(source), decoded_sound(stream)
    assert onset(after) == pytest.approx(onset(before), abs=0.004)
    assert len(after) == pytest.approx(len(before), abs=0.03 * 48000)


def test_the_rate_is_kept_and_the_same_source_gives_the_same_bytes(tmp_path: Path) -> None:
    source = with_beep(tmp_path / "a.mkv", "aac", 44100, 0.0)
    sizes = []
    for rate in ("12k", "48k"):
        streams = [io.BytesIO(), io.BytesIO()]
        for stream in streams:
            done = gvcodec.encode_file(source, stream, sound=f"opus:{rate}", **FAST)
        assert streams[0].getvalue() == streams[1].getvalue() and done.tracks is not None
        sizes.append(done.tracks[0])
    assert 1100 < sizes[0] < 2600 and 4000 < sizes[1] < 8000


def test_opus_of_a_lower_rate_is_copied(tmp_path: Path) -> None:
    source = tmp_path / "a.mp4"  # says the rate of its sound
    with_beep(source, "libopus", 48000, 0.2)
    copied, plain = (
        read_film(source, input_options=InputOptions(sound=rate)).reader.tracks
        for rate in ("opus:500000", "copy")
    )
    assert copied.pop() == plain.pop()


def test_a_hole_in_the_sound_stays(tmp_path: Path) -> None:
    """A second of tone, half a second of nothing, a second of tone."""
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        video = add_video(container, 64, 48)
        audio = container.add_stream("pcm_s16le", rate=48000, layout="mono")
        put_planes(container, video, moving_texture(64, 48, 62))
        for first in [*range(0, 48000, 960), *range(72000, 120000, 960)]:
            tone = (8000 * np.sin(0.1 * np.arange(first, first + 960))).astype(np.int16)
            container.mux(audio.encode(sound_of(tone[None], 48000, first)))
    gvcodec.encode_file(path, tmp_path / "a.gvc", sound="opus:48k", **FAST)
    tracks = tracks_in((tmp_path / "a.gvc").read_bytes())
    heard = [(p.audible, p.pts + p.duration) for p in tracks.waiting if p.audible is not None]
    ends = [end for (_, end), (begin, _) in itertools.pairwise(heard) if begin > end]
    assert ends == [48000] and heard[-1][1] == 120000 and 72000 in [begin for begin, _ in heard]


def test_sound_and_subtitles_are_dropped(tmp_path: Path) -> None:
    source, stream = with_beep(tmp_path / "a.mkv", "aac", 44100, 0.4), tmp_path / "a.gvc"
    options = ["--base", "av1", "--preset", "10", "--fit", "off", "-y"]
    assert "audio" not in run("encode", source, stream, "-an", *options).err
    silent = stream.stat().st_size
    run("encode", source, stream, "--sound", "none", "-sn", *options)
    assert stream.stat().st_size == silent
    run("encode", source, stream, *options)
    assert stream.stat().st_size > silent + 5000


@pytest.mark.parametrize("budget, suffix", [({"size": "9k"}, ".gvc"), ({"bitrate": "72k"}, ".mp4")])
def test_sound_that_leaves_no_room_is_refused_before_anything_is_coded(
    tmp_path: Path, budget: dict[str, str], suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, stream = with_beep(tmp_path / "a.mkv", "aac", 44100, 0.4), tmp_path / f"a{suffix}"
    with monkeypatch.context() as patch:
        patch.setattr("gvcodec.api.rate_control.encode_to_budget", None)
        with pytest.raises(
            UsageError, match='subtitles and attachments alone.*sound="opus:24k".*sound="none"'
        ):
            gvcodec.encode_file(source, stream, base="av1", preset=10, fit=0, **budget)
    assert not stream.exists()
    fast = {"base": "av1", "preset": 10, "painter": "off"}
    done = gvcodec.encode_file(source, stream, sound="opus:12k", **fast, **budget)
    assert stream.stat().st_size == done.size <= 9000


def test_rates_are_checked() -> None:
    words = {"copy": None, "none": None, "opus": 0, "opus:24000": 24000}
    assert {text: opus_rate(text) for text in words} == words
    for text in ("mp3", "opus:", "opus:fast", "opus:100", "opus:900000"):
        with pytest.raises(ValueError, match="opus|Opus"):
            opus_rate(text)
    run("encode", "a.mp4", "a.gvc", "--sound", "opus:32k", code=1)  # no such file
    run("encode", "a.mp4", "a.gvc", "--sound", "aac", code=2)


def with_tones(path: Path, layout: str) -> list[float]:
    count = av.AudioLayout(layout).nb_channels
    tones = [60.0 if c.name == "LFE" else 300.0 + 200 * k for k, c in enumerate(channels(layout))]
    time = np.arange(24_000)[:, None] / 48_000
    samples = (8000 * np.sin(2 * np.pi * time * np.array(tones))).astype(np.int16)
    with av.open(str(path), "w") as container:
        video = add_video(container, 64, 64)
        sound = container.add_stream("pcm_s16le", rate=48_000, layout=layout)
        put_planes(container, video, moving_texture(64, 64, 12))
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=layout)
        assert samples.shape[1] == count
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
        container.mux([*sound.encode(frame), *sound.encode(None)])
    return tones


def channels(layout: str) -> tuple[av.audio.layout.AudioChannel, ...]:
    return av.AudioLayout(layout).channels


def heard_tones(path: Path) -> tuple[list[str], list[float]]:
    """Labels and loudest tones of the channels, 0 for silence."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
        layout = frames[0].layout
        # Packed: PyAV shows eight planes of a frame at most.
        packer = av.AudioResampler("flt", layout, 48_000)
        parts = [made.to_ndarray() for frame in frames for made in packer.resample(frame)]
    names = [channel.name for channel in layout.channels]
    samples = np.concatenate(parts, axis=1).reshape(-1, len(names))[4_800:19_200].T
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.shape[1]), axis=1))
    tops = spectrum.argmax(axis=1) * 48_000 / samples.shape[1]
    loud = spectrum.max(axis=1) > 100
    return names, [float(top) * bool(is_loud) for top, is_loud in zip(tops, loud, strict=True)]


#: Layouts of sources, and labels of what is coded: none where each channel is coded by itself.
LAYOUTS = {"3.0": "FL FR FC", "quad(side)": "FL FR BL BR", "6.1": "FL FR FC LFE BC SL SR"}
LAYOUTS |= dict.fromkeys(["5.0", "5.0(side)"], "FL FR FC BL BR")
LAYOUTS |= dict.fromkeys(["5.1", "5.1(side)"], "FL FR FC LFE BL BR")
LAYOUTS |= dict.fromkeys(["2.1", "3.1", "4.0", "7.1(wide)", "12 channels", "4 channels"], "")
LAYOUTS |= {"7.1": "FL FR FC LFE BL BR SL SR", "6.1(back)": "", "3 channels": ""}
LAYOUTS["2 channels (FL+LFE)"] = ""


@pytest.mark.parametrize(("layout", "labels"), LAYOUTS.items())
def test_every_channel_stays_where_it_was(tmp_path: Path, layout: str, labels: str) -> None:
    tones = with_tones(tmp_path / "a.mov", layout)
    gvcodec.encode_file(tmp_path / "a.mov", tmp_path / "a.gvc", sound="opus:320k", **FAST)
    gvcodec.decode_file(tmp_path / "a.gvc", tmp_path / "b.mkv", fidelity=True)
    names, heard = heard_tones(tmp_path / "b.mkv")
    assert heard == pytest.approx(tones, abs=4)
    assert names == (labels.split() or ["NONE"] * len(tones))


LENGTH = 1.9


def lose(path: Path, share: float, count: int = 3) -> None:
    data = path.read_bytes()
    first = round(share * len(data) / 188)
    path.write_bytes(data[: 188 * first] + data[188 * (first + count) :])


def heard(path: Path) -> float:
    found = packets_of(path)
    return float((found[-1].pts - found[0].pts + (found[-1].duration or 0)) * found[0].time_base)


def decoded(path: Path) -> int:
    count = 0
    with av.open(str(path)) as container:
        for packet in container.demux(audio=0):
            with contextlib.suppress(av.FFmpegError):
                count += sum(frame.samples for frame in packet.decode())
    return count


@pytest.fixture(scope="module", params=["aac", "mp2", "ac3", "eac3"])
def recording(request, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("recording") / f"{request.param}.ts"
    assert write_source(path, request.param, "mpegts", LENGTH)
    lose(path, 0.6)
    return path


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_sound_goes_on_after_packets_that_are_lost(recording: Path, tmp_path, suffix: str) -> None:
    """Encoded to one file at once, and by a stream that is decoded and extracted."""
    run("encode", recording, tmp_path / f"one.{suffix}", "--allow-damaged", *QUICK)
    assert heard(tmp_path / f"one.{suffix}") > LENGTH - 0.3
    run("encode", recording, tmp_path / "a.gvc", "--allow-damaged", *QUICK)
    for command in ("decode", "extract"):
        out = tmp_path / f"{command}.{suffix}"
        run(command, tmp_path / "a.gvc", out, "-y")
        assert heard(out) > LENGTH - 0.3 and decoded(out) > (LENGTH - 0.5) * 44100


def test_damaged_frames_are_counted_in_a_line(tmp_path) -> None:
    path = tmp_path / "aac.ts"
    assert write_source(path, "aac", "mpegts", LENGTH) and not read_film(path).reader.notes
    data = bytearray(path.read_bytes())
    at = data.index(b"\xff\xf1", len(data) // 2)
    data[at : at + 2] = b"\0\0"
    path.write_bytes(data)
    (note,) = read_film(path).reader.notes
    assert note.endswith("of sound in the source left out")


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_streams_that_hold_damaged_frames_are_decoded(tmp_path, monkeypatch, suffix: str) -> None:
    """As encoders before this check wrote them."""
    path = tmp_path / "aac.ts"
    assert write_source(path, "aac", "mpegts", LENGTH)
    lose(path, 0.6)
    monkeypatch.setattr(copier, "is_frame", lambda stream, data: True)
    run("encode", path, tmp_path / "old.gvc", *QUICK)
    out = tmp_path / f"a.{suffix}"
    run("decode", tmp_path / "old.gvc", out, "-y")
    assert heard(out) > LENGTH - 0.3
    if suffix != "mov":
        run("extract", tmp_path / "old.gvc", tmp_path / f"one.{suffix}")
        assert heard(tmp_path / f"one.{suffix}") > LENGTH - 0.3
        run("decode", tmp_path / f"one.{suffix}", tmp_path / "again.mkv")
        assert heard(tmp_path / "again.mkv") > LENGTH - 0.3


def test_one_packet_that_a_muxer_refuses_does_not_end_the_track(tmp_path, monkeypatch) -> None:
    path, found = tmp_path / "pcm.mkv", []
    assert write_source(path, "pcm_s16le", "matroska", LENGTH)
    run("encode", path, tmp_path / "a.gvc", *QUICK)
    make = feed.Feed._packet

    def one_refused(self, packet) -> av.Packet:
        found.append(make(self, packet))
        if len(found) == 10:
            found[-1].pts = found[-1].dts = -(1 << 62)
        return found[-1]

    monkeypatch.setattr(feed.Feed, "_packet", one_refused)
    run("decode", tmp_path / "a.gvc", tmp_path / "a.mkv")
    assert len(found) >= 10 and heard(tmp_path / "a.mkv") > LENGTH - 0.1
    assert np.abs(samples(tmp_path / "a.mkv")[:, -2000:]).max() > 1000


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_alaw", "pcm_u8", "pcm_s24le"])
@pytest.mark.parametrize("suffix", ["mov", "mp4", "mkv"])
def test_a_hole_in_pcm_does_not_make_sound_early(tmp_path, codec: str, suffix: str) -> None:
    """A camera that stops recording sound from 0.5 to 1 s; a beep at 1.5 s."""
    time = np.arange(48000 * LENGTH) / 48000
    beep = np.where((time > 1.5) & (time < 1.6), np.sin(2 * np.pi * 880 * time), 0)
    path = tmp_path / ("hole.nut" if "law" in codec else "hole.mkv")
    with av.open(str(path), "w") as container:
        video = add_video(container, 48, 48, "mpeg4")
        sound = container.add_stream(codec, rate=48000, layout="mono")
        put_planes(container, video, moving_texture(48, 48, 12))
        kind = sound.codec_context.codec.audio_formats[0]
        for begin in range(0, len(beep) - 480, 480):
            if 0.5 <= begin / 48000 < 1:
                continue
            piece = (20000 * beep[begin : begin + 480]).astype(np.int16)[None]
            heard = sound_of(piece, 48000, begin)
            for frame in av.AudioResampler(kind, "mono", 48000).resample(heard):
                frame.pts = begin
                container.mux(sound.encode(frame))
    run("encode", path, tmp_path / "a.gvc", *QUICK)
    run("decode", tmp_path / "a.gvc", tmp_path / f"a.{suffix}", "-y")
    with av.open(str(tmp_path / f"a.{suffix}")) as container:
        if not container.streams.audio:
            assert suffix != "mov"  # MP4 and Matroska take few kinds of PCM
            return
        sampler = av.AudioResampler("flt", "mono", 48000)
        parts = ((f, p) for f in container.decode(audio=0) for p in sampler.resample(f))
        loud = ((f, np.flatnonzero(np.abs(p.to_ndarray()) > 0.3)) for f, p in parts)
        frame, at = next((f, found[0]) for f, found in loud if len(found))
    assert float(frame.pts * frame.time_base) + at / 48000 == pytest.approx(1.5, abs=0.02)
