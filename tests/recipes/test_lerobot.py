"""A LeRobot data set: its layout and encoder options, smaller videos, the frames of torchcodec."""

import importlib.util
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import gvcodec
from gvcodec.cli import main
from gvcodec.planes import rgb_from_planes
from gvcodec.types import Colour
from tests.conftest import moving_texture
from tests.recipes.commands import blocks

FRAMES, FPS = 24, 30
#: `encode_video_frames` of lerobot/datasets/video_utils.py.
OPTIONS = {"g": "2", "crf": "30", "preset": "12"}
VIDEO = "videos/observation.images.front/chunk-000/file-000.mp4"
#: Of `LeRobotDataset`, in seconds.
TOLERANCE = 1e-4


def has_torchcodec() -> bool:
    try:
        from torchcodec.decoders import VideoDecoder  # noqa: F401
    except (ImportError, OSError, RuntimeError):
        return False
    return True


@pytest.fixture
def dataset(tmp_path: Path, inline_batch: None) -> Path:
    """A folder like that of a data set, with one camera."""
    root = tmp_path / "pusht"
    (root / VIDEO).parent.mkdir(parents=True)
    for name in ("data/chunk-000/file-000.parquet", "meta/info.json"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"{}")
    with av.open(str(root / VIDEO), "w") as container:
        stream = container.add_stream("libsvtav1", FPS, options=OPTIONS)
        stream.pix_fmt, stream.width, stream.height = "yuv420p", 160, 96
        for planes in moving_texture(160, 96, FRAMES):
            picture = rgb_from_planes(planes, Colour(matrix=1))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())
    return root


def times_of(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def make_smaller(dataset: Path, monkeypatch) -> Path:
    """The data set of the page's commands."""
    monkeypatch.chdir(dataset.parent)
    batch, copy = blocks("lerobot", "sh")[0].splitlines()
    assert main([*batch.split()[1:], "--preset", "10", "--fit", "off", "--jobs", "1"]) == 0
    subprocess.run(copy.split(), check=True)
    return dataset.parent / "pusht-small"


@pytest.mark.skipif(shutil.which("cp") is None, reason="needs cp")
def test_a_smaller_data_set_has_the_names_and_times_of_the_first(dataset, monkeypatch) -> None:
    smaller = make_smaller(dataset, monkeypatch)
    names = {str(p.relative_to(dataset)) for p in dataset.rglob("*") if p.is_file()}
    assert names <= {str(p.relative_to(smaller)) for p in smaller.rglob("*")}
    assert (smaller / VIDEO).stat().st_size < (dataset / VIDEO).stat().st_size
    times = times_of(smaller / VIDEO)
    assert times == times_of(dataset / VIDEO)
    assert all(abs(time - Fraction(n, FPS)) < TOLERANCE for n, time in enumerate(times))
    video = gvcodec.open(smaller / VIDEO)
    assert video.key_frames == list(range(0, FRAMES, 10))


@pytest.mark.skipif(sys.platform != "linux", reason="`gvcodec with` needs Linux")
@pytest.mark.skipif(not has_torchcodec(), reason="torchcodec cannot be imported here")
def test_torchcodec_gives_painted_frames_under_gvcodec_with(dataset, monkeypatch) -> None:
    film = make_smaller(dataset, monkeypatch) / VIDEO
    script = (
        "import sys, numpy; from torchcodec.decoders import VideoDecoder\n"
        "decoder = VideoDecoder(sys.argv[1], seek_mode='approximate')\n"
        "batch = decoder.get_frames_at(indices=list(range(len(decoder))))\n"
        "numpy.savez(sys.argv[2], data=batch.data.numpy(), pts=batch.pts_seconds.numpy())\n"
    )
    (line,) = blocks("lerobot", "text")
    assert line.split()[:3] == ["gvcodec", "with", "python"]
    shown = []
    for prefix in ([sys.executable, "-P", "-m", "gvcodec", "with"], []):
        output = film.with_suffix(".npz")
        words = [*prefix, sys.executable, "-c", script, str(film), str(output)]
        subprocess.run(words, check=True, timeout=120, capture_output=True)
        with np.load(output) as saved:
            shown.append(saved["data"].astype(np.float64))
            pts = saved["pts"]
    painted, base = (
        gvcodec.open(film, fidelity=f, dimension_order="NCHW")[:].astype(np.float64)
        for f in (False, True)
    )
    texture = painted - base
    assert np.square(texture).mean() > 0.1
    share = ((shown[0] - shown[1]) * texture).sum() / np.square(texture).sum()
    assert 0.6 < share < 1.2  # rounding to 8 bits takes some
    assert np.abs(pts - np.arange(FRAMES) / FPS).max() < TOLERANCE


@pytest.mark.skipif(not importlib.util.find_spec("lerobot"), reason="needs lerobot")
@pytest.mark.skipif(not has_torchcodec(), reason="torchcodec cannot be imported here")
def test_lerobots_own_function_reads_the_smaller_videos(dataset, monkeypatch) -> None:
    utils = pytest.importorskip("lerobot.datasets.video_utils")
    film = make_smaller(dataset, monkeypatch) / VIDEO
    times = [n / FPS for n in range(FRAMES)]
    frames = utils.decode_video_frames_torchcodec(film, times, TOLERANCE)
    assert tuple(frames.shape) == (FRAMES, 3, 96, 160)
