"""Random access gives the frames and times of sequential decoding, in NumPy and torch."""

import copy
import mmap
import os
import pickle
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import gvcodec
from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.models import PAINTER_TOKENS
from gvcodec.painter.model import Model
from gvcodec.painter.payload import IDENTITY
from gvcodec.painter.token_coding import no_tokens, pack
from gvcodec.source.reader import VideoReader
from gvcodec.types import Planes, VideoFormat
from tests.conftest import clips_equal, moving_texture, planes_equal, run
from tests.edit.test_tools import TIMES, made
from tests.errors import raises


@pytest.fixture(scope="module")
def clip() -> list[Planes]:
    return moving_texture(64, 48, 18)


@pytest.mark.parametrize("base", ["av1", "vvc"])
def test_every_frame_in_any_order_is_that_of_sequential_decoding(tmp_path, clip, base):
    data = made(clip, base)
    (tmp_path / "a.bin").write_bytes(data)
    whole = np.stack(list(gvcodec.decode(data, fidelity=True)))
    for source in (tmp_path / "a.bin", data):
        video = gvcodec.open(source, fidelity=True)
        assert len(video) == 18
        for index in np.random.default_rng(1).permutation(18):
            assert np.array_equal(video[index], whole[index])
        assert np.array_equal(np.stack(list(video)), whole) and np.array_equal(video[-1], whole[-1])
    for key in (slice(None), slice(3, 14, 4), slice(None, None, -5), slice(20, 30), [7, 2, 7, -1]):
        assert np.array_equal(video[key], whole[key])
    with pytest.raises(IndexError, match="no frame 18"):
        video[18]


def test_painted_frames_do_not_depend_on_the_way(clip: list[Planes]) -> None:
    pytest.importorskip("torch")
    data = made(clip[:13], tunes={5: IDENTITY})
    whole = np.stack(list(gvcodec.decode(data)))
    base_frames = np.stack(list(gvcodec.decode(data, fidelity=True)))
    assert np.array_equal(whole[5:], base_frames[5:])
    assert not np.array_equal(whole[:5], base_frames[:5])
    video = gvcodec.open(data, threads=0)
    for index in (12, 3, 7, 4, 0, 9):
        assert np.array_equal(video[index], whole[index])


def test_a_video_is_painted_without_its_tokens(monkeypatch, tmp_path: Path) -> None:
    """With the frames of `decode --tokens off`, from any place of the file."""
    pytest.importorskip("torch")
    model, tokens = Model.load(PAINTER_TOKENS.find()).tokens, no_tokens(96, 160, 8)
    assert model is not None
    tokens.kinds[:], tokens.window[:] = 1, 3
    search = "gvcodec.painter.tokens.search.TokenSearch.find"
    monkeypatch.setattr(search, lambda self, gop, size: pack(tokens, model, self.q))
    path, written = tmp_path / "a.gvc", tmp_path / "a.mkv"
    fmt = VideoFormat(160, 96, Fraction(25), Fraction(1, 25), bit_depth=10)
    frames = moving_texture(160, 96, 9)
    path.write_bytes(gvcodec.encode(frames, format=fmt, q=50, keyint=5, tokens="search"))
    run("decode", path, written, "--tokens", "off", "--lossless", "--quiet")
    with VideoReader(written) as reader:
        decoded = [frame.planes for frame in reader]
    with gvcodec.open(path, tokens="off") as plain, gvcodec.open(path, tokens="on") as steered:
        every = [[f.planes for f in video.decode_range(0, 9)] for video in (plain, steered)]
        assert clips_equal(every[0], decoded) and not clips_equal(every[1], decoded)
        (frame,) = plain.decode_range(7, 8)
        assert planes_equal(frame.planes, decoded[7])
        assert np.array_equal(gvcodec.open(path)[7], steered[7])
    with raises(UsageError, "option-value"):
        gvcodec.open(path, tokens="most")
    with raises(UsageError, "option-value"):
        gvcodec.decode_file(path, tmp_path / "b.mkv", tokens="most")
    with raises(UsageError, "option-value"):
        gvcodec.open(path, tokens=False)


def test_frames_come_with_their_times(clip: list[Planes]) -> None:
    data = made(clip, times=TIMES, start=500)
    whole = np.stack(list(gvcodec.decode(data, fidelity=True)))
    video = gvcodec.open(data, fidelity=True)
    batch = video.get_frames_at([11, 0, 12])
    assert np.array_equal(batch.data, whole[[11, 0, 12]])
    begins = [TIMES[n] / 1000 for n in (11, 0, 12)]
    lengths = [(TIMES[n + 1] - TIMES[n]) / 1000 for n in (11, 0, 12)]
    assert batch.pts_seconds == pytest.approx(begins, abs=1e-9)
    assert batch.duration_seconds == pytest.approx(lengths, abs=1e-9)
    for number, time in enumerate(TIMES):
        seconds = time / 1000
        assert np.array_equal(video.get_frame_played_at(seconds).data, whole[number])
        assert np.array_equal(video.get_frame_played_at(seconds + 0.03).data, whole[number])
    assert len(video.get_frames_played_in_range(0.0, 0.08)) == 2
    assert len(video.get_frames_in_range(2, 9, 3)) == 3
    facts = video.metadata
    assert (facts.num_frames, facts.width, facts.height, facts.codec) == (18, 64, 48, "gvcodec/av1")
    assert facts.begin_stream_seconds == 0
    assert facts.end_stream_seconds == pytest.approx(0.04 + TIMES[-1] / 1000)
    for seconds in (-0.01, facts.end_stream_seconds):
        with pytest.raises(IndexError, match="nothing plays"):
            video.get_frame_played_at(seconds)


def test_many_videos_are_open_at_once(tmp_path, clip: list[Planes]) -> None:
    (tmp_path / "a.bin").write_bytes(made(clip[:6]))
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    videos = [gvcodec.open(tmp_path / "a.bin", fidelity=True) for _ in range(300)]
    first = videos[0][4]
    assert all(np.array_equal(video[4], first) for video in videos)
    if before:
        assert len(os.listdir("/proc/self/fd")) <= before + 2
    with videos[0] as video:
        pass
    assert np.array_equal(video[4], first)
    assert np.array_equal(pickle.loads(pickle.dumps(video))[4], first)


def test_damaged_streams_are_refused(clip: list[Planes]) -> None:
    data = made(clip[:6])
    with pytest.raises(DamagedStreamError, match="index|end"):
        gvcodec.open(data[:-3])
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 1
    with pytest.raises(DamagedStreamError, match="GOP at frame"):
        list(gvcodec.open(bytes(damaged), fidelity=True))


def test_times_and_numbers_may_be_tensors_and_scalars() -> None:
    torch = pytest.importorskip("torch")
    images = [np.full((48, 64, 3), 20 * n, np.uint8) for n in range(5)]
    data = gvcodec.encode(images, frame_rate=25, base="av1", preset=10, fit=0)
    video = gvcodec.open(data, fidelity=True)
    wanted = video[[0, 2]]
    assert np.array_equal(video[torch.tensor([0, 2])], wanted)
    assert np.array_equal(video[torch.tensor([1, 0, 1, 0, 0], dtype=torch.bool)], wanted)
    assert np.array_equal(video.get_frames_at(torch.tensor([0, 2])).data, wanted)
    assert np.array_equal(video.get_frames_at(2).data, video[[2]])
    assert np.array_equal(video.get_frames_played_at(0.08).data, video[[2]])
    assert np.array_equal(video.get_frames_played_at(torch.tensor([0.0, 0.08])).data, wanted)
    assert np.array_equal(video.get_frame_played_at(torch.tensor(0.08)).data, video[2])
    for wrong in ("a", [[0.1]], [None]):
        with raises(UsageError, "time"):
            video.get_frames_played_at(wrong)
    with raises(UsageError, "time"):
        video.get_frame_played_at([0.1, 0.2])


def test_a_file_stays_the_one_that_was_opened(tmp_path, clip, monkeypatch) -> None:
    """K8: workers and notebooks change the working folder, where another file has the name."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir(), there.mkdir()
    (here / "b.gvc").write_bytes(made(clip, "av1"))
    (there / "b.gvc").write_bytes(made(clip[::-1], "av1"))
    monkeypatch.chdir(here)
    for name in ("b.gvc", "../here/b.gvc"):
        video = gvcodec.open(name, fidelity=True)
        wanted, packed = video[16], pickle.dumps(video)
        assert video.name == name
        monkeypatch.chdir(there)
        assert np.array_equal(video[16], wanted)
        for other in (pickle.loads(packed), copy.deepcopy(video)):
            assert np.array_equal(other[16], wanted)
        monkeypatch.chdir(here)
    with pytest.raises(gvcodec.MissingFileError, match="^nowhere.gvc: "):
        gvcodec.open("nowhere.gvc")


def test_a_memory_mapped_file_is_a_file(tmp_path, clip) -> None:
    """H24: its `seek` gives None before Python 3.13."""
    path = tmp_path / "a.gvc"
    path.write_bytes(made(clip, "av1"))
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert np.array_equal(
            gvcodec.open(mapped, fidelity=True)[7], gvcodec.open(path, fidelity=True)[7]
        )
        assert len(list(gvcodec.decode(mapped, fidelity=True))) == 18
        for read in (gvcodec.info, lambda one: gvcodec.verify(one, fidelity=True)):
            mapped.seek(0)
            assert read(mapped).frames == 18


def test_what_a_video_is_not_asked_for_is_said(clip) -> None:
    video = gvcodec.open(made(clip, "av1"), fidelity=True)
    with raises(UsageError, "time"):
        video.get_frames_played_in_range(0, None)
    with raises(UsageError, "time"):
        video[0] in video  # noqa: B015
