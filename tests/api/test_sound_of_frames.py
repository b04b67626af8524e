"""Sound next to frames of a program, and frames that go to a file while they come."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import gvcodec
from gvcodec.errors import MediaError, MissingFileError, UsageError

FAST: dict[str, Any] = {"preset": 10, "fit": 0}
RATE = 48_000


def pictures(count: int = 50) -> Iterator[np.ndarray]:
    return (np.full((48, 64, 3), 4 * number, np.uint8) for number in range(count))


def tone(hertz: float, seconds: float = 2.0, rate: int = RATE) -> np.ndarray:
    times = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def heard(data: bytes, folder: Path) -> tuple[np.ndarray, int]:
    """Samples (C, T) of what `decode` writes, and their rate."""
    (folder / "in.gvc").write_bytes(data)
    gvcodec.decode_file(folder / "in.gvc", folder / "out.mkv", overwrite=True)
    with av.open(str(folder / "out.mkv")) as container:
        assert container.streams.video[0].codec_context.width == 64
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        layout = container.streams.audio[0].codec_context.layout.nb_channels
        samples = np.concatenate([f.reshape(-1, layout).T if len(f) == 1 else f for f in frames], 1)
        return samples, container.streams.audio[0].codec_context.sample_rate


def pitch(samples: np.ndarray, rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate / len(samples))


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.astype(np.float64),
        lambda x: (x * 32767).astype(np.int16),
        lambda x: (x * 2**31 * 0.9).astype(np.int32)[:, None],
    ],
)
def test_samples_come_back_beside_the_frames(tmp_path, change) -> None:
    data = gvcodec.encode(
        pictures(), frame_rate=25, sound=change(tone(440)), sound_rate=RATE, **FAST
    )
    assert len(list(gvcodec.decode(data))) == 50
    samples, rate = heard(data, tmp_path)
    assert len(samples) == 1 and abs(samples.shape[1] / rate - 2) < 0.03
    assert abs(pitch(samples[0], rate) - 440) < 3


@pytest.mark.parametrize("turn", [lambda x: x, lambda x: x.T])
def test_channels_stay_where_they_are(tmp_path, turn) -> None:
    both = np.stack([tone(440, rate=44_100), tone(880, rate=44_100)])
    data = gvcodec.encode(pictures(), frame_rate=25, sound=turn(both), sound_rate=44_100, **FAST)
    samples, rate = heard(data, tmp_path)
    assert [round(pitch(channel, rate), -1) for channel in samples] == [440, 880]


def test_the_sound_of_a_file_is_copied(tmp_path) -> None:
    path = tmp_path / "tone.flac"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            (tone(660) * 32767).astype(np.int16)[None], format="s16", layout="mono"
        )
        frame.sample_rate = RATE
        container.mux([*stream.encode(frame), *stream.encode(None)])
    wanted = np.concatenate([f.to_ndarray() for f in av.open(str(path)).decode(audio=0)], 1)
    for sound in (path, path.open("rb")):
        data = gvcodec.encode(pictures(), frame_rate=25, sound=sound, **FAST)
        samples, rate = heard(data, tmp_path)
        assert rate == RATE and np.array_equal(samples, wanted)


def test_frames_without_sound_are_as_before() -> None:
    plain = gvcodec.encode(list(pictures()), frame_rate=25, **FAST)
    output = io.BytesIO()
    done = gvcodec.encode_file(pictures(), output, frame_rate=25, **FAST)
    assert output.getvalue() == plain and (done.frames, done.size) == (50, len(plain))


@pytest.mark.parametrize("name", ["a.gvc", "a.mp4"])
def test_frames_and_sound_go_to_a_file(tmp_path, name) -> None:
    done = gvcodec.encode_file(
        pictures(), tmp_path / name, frame_rate=25, sound=tone(440), sound_rate=RATE, **FAST
    )
    assert done.frames == 50 and done.tracks is not None and done.tracks[2] == "audio"
    assert done.size == (tmp_path / name).stat().st_size
    assert len(gvcodec.open(tmp_path / name)) == 50


def test_packets_are_written_while_frames_come() -> None:
    output = io.BytesIO()
    sizes = []

    def watched() -> Iterator[np.ndarray]:
        for picture in pictures(10):
            sizes.append(len(output.getvalue()))
            yield picture

    gvcodec.encode_file(watched(), output, frame_rate=25, low_delay=True, preset=10)
    assert sizes[2] > 0 and sizes == sorted(sizes) and sizes[-1] > sizes[2]


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"sound": tone(440)}, "samples need sound_rate"),
        ({"sound": tone(440), "sound_rate": 3}, "samples need sound_rate, a number from 4000"),
        ({"sound_rate": RATE}, "sound_rate goes with sound"),
        ({"sound": np.zeros((9, 100)), "sound_rate": RATE}, "at most 8 channels, not \\(9, 100\\)"),
        ({"sound": np.zeros(10, np.uint8), "sound_rate": RATE}, "int16 or int32, not uint8"),
        ({"sound": 32767 * tone(440), "sound_rate": RATE}, "from -1 to 1, not up to 16383"),
        ({"sound": np.full(9, np.nan), "sound_rate": RATE}, "from -1 to 1, not up to nan"),
        ({"size": "5k"}, "size cannot be used with frames"),
        ({"jobs": 2}, "jobs cannot be used with frames"),
        ({"end": 1.0}, "end cannot be used with frames"),
    ],
)
def test_what_does_not_go_with_frames_is_refused(keywords, words) -> None:
    with pytest.raises(UsageError, match=words):
        gvcodec.encode_file(pictures(2), io.BytesIO(), **FAST | keywords)


def test_sound_that_cannot_be_read_is_named(tmp_path) -> None:
    with pytest.raises(MissingFileError, match=r"none\.wav"):
        gvcodec.encode(pictures(2), sound=tmp_path / "none.wav", **FAST)
    (tmp_path / "text.wav").write_text("not sound")
    with pytest.raises(MediaError, match=r"text\.wav"):
        gvcodec.encode(pictures(2), sound=tmp_path / "text.wav", **FAST)
    with pytest.raises(UsageError, match="a file has its own"):
        gvcodec.encode(pictures(2), sound=tmp_path / "text.wav", sound_rate=RATE, **FAST)


def test_keywords_of_frames_are_not_for_video_files(tmp_path) -> None:
    for name, value in (("frame_rate", 25), ("sound_rate", RATE)):
        with pytest.raises(UsageError, match=f"{name} cannot be used with video files"):
            gvcodec.encode_file("in.mp4", tmp_path / "a.gvc", **{name: value})
