"""Inputs and outputs of the library: path-like objects, file objects, pipes, and mistakes."""

import errno
import io
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gvcodec
from gvcodec.api.in_chunks import part_folder
from gvcodec.errors import MediaError, UsageError
from tests.clips import write_clip
from tests.conftest import moving_texture, run
from tests.edit.test_tools import made
from tests.errors import raises

FAST = {"base": "av1", "preset": 10, "fit": 0, "q": 55}


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    return write_clip(tmp_path_factory.mktemp("video") / "a.mkv", moving_texture(64, 64, 8))


class Place:
    """A path as other libraries have them: its text is not its place."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)


def test_anything_with_a_path_is_one(video: Path, tmp_path) -> None:
    entry = next(entry for entry in os.scandir(video.parent) if entry.name == video.name)
    for number, source in enumerate((entry, Place(video))):
        stream = tmp_path / f"{number}.gvc"
        assert gvcodec.encode_file(source, Place(stream), **FAST).frames == 8
        assert gvcodec.verify(Place(stream), source).compared == 8
        reached = {"base": "av1", "preset": 10, "fit": 0, "target": "psnr=30"}
        assert gvcodec.encode_file(source, io.BytesIO(), **reached).frames == 8


@pytest.mark.parametrize("options", [{}, {"jobs": 1}])
def test_what_is_no_video_is_refused_in_words(video: Path, options) -> None:
    with open(video) as text:
        for source, words in (
            (video.read_bytes(), "not bytes"),
            (None, "not NoneType"),
            (text, "as text"),
            (io.StringIO("text"), "as text"),
        ):
            with pytest.raises(UsageError, match=f"a video is .*{words}"):
                gvcodec.encode_file(source, io.BytesIO(), **FAST, **options)


def test_a_closed_file_is_refused_in_words(video: Path, tmp_path) -> None:
    with open(video, "rb") as source, open(tmp_path / "out.gvc", "wb") as output:
        pass
    with raises(UsageError, "input-kind"):
        gvcodec.encode_file(source, io.BytesIO(), **FAST)
    with raises(UsageError, "input-kind"):
        gvcodec.encode_file(video, output, **FAST)
    for wrong in (None, 7, io.StringIO()):
        with raises(UsageError, "input-kind"):
            gvcodec.encode_file(video, wrong, **FAST)


def test_an_object_that_gives_text_is_refused_in_words(video: Path) -> None:
    class Text(io.BytesIO):
        def read(self, size: int = -1):
            return super().read(size).decode("latin-1")

    with pytest.raises(UsageError, match="has to give bytes, not str"):
        gvcodec.encode_file(Text(video.read_bytes()), io.BytesIO(), **FAST)


def test_everything_arrives_in_a_raw_pipe_that_does_not_block(video: Path) -> None:
    class Lazy(io.RawIOBase):
        """Takes nothing, then a part, as a full pipe does."""

        def __init__(self) -> None:
            self.data, self.asked = b"", 0

        def write(self, data) -> int | None:
            self.asked += 1
            if self.asked % 2:
                return None
            self.data += bytes(data[:100])
            return min(100, len(data))

    lazy, whole = Lazy(), io.BytesIO()
    assert gvcodec.encode_file(video, lazy, **FAST).size == len(lazy.data)
    gvcodec.encode_file(video, whole, **FAST)
    assert lazy.data == whole.getvalue()


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
@pytest.mark.parametrize("form", ["y4m", "matroska"])
def test_standard_output_that_does_not_block_is_waited_for(video, tmp_path, form):
    stream = tmp_path / "a.gvc"
    gvcodec.encode_file(write_clip(tmp_path / "b.mkv", moving_texture(320, 240, 8)), stream, **FAST)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    words = [sys.executable, "-m", "gvcodec", "decode", str(stream), "-", "--fidelity", "-f", form]
    with subprocess.Popen(words, stdout=writing, stderr=subprocess.PIPE) as program:
        os.close(writing)
        received = []
        reader = threading.Thread(target=lambda: received.append(_read_slowly(reading)))
        reader.start()
        _, errors = program.communicate(timeout=100)
        reader.join()
    os.close(reading)
    assert program.returncode == 0, errors
    if form == "y4m":
        head = received[0].index(b"\n") + 1
        assert len(received[0]) == head + 8 * (6 + 320 * 240 * 3 // 2)
    assert len(received[0]) > 1 << 16


def _read_slowly(pipe: int) -> bytes:
    data = b""
    while block := os.read(pipe, 1 << 14):
        data += block
        time.sleep(0.002)
    return data


def test_the_longest_name_can_be_resumed(video: Path, tmp_path) -> None:
    name = tmp_path / ("m" * 251 + ".gvc")
    run("encode", str(video), str(name), "--fit", "off", "--preset", "10", "--resume")
    assert [path.name for path in tmp_path.iterdir()] == [name.name]
    long, other = part_folder("ü" * 127), part_folder("ü" * 126 + "u.gvc")
    assert long != other and max(len(os.fsencode(x.name)) for x in (long, other)) <= 255
    assert part_folder("d/a.gvc") == Path("d/a.gvc.part")


ENCODE = ("--fit", "off", "--preset", "10", "-y")
TWICE = [("--size", "9k"), ("--target", "psnr=30"), ("--jobs", "1"), ()]


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return write_clip(tmp_path_factory.mktemp("pipes") / "in.mkv", moving_texture(48, 48, 8))


def feed(pipe: Path, clip: Path) -> None:
    os.mkfifo(pipe)
    threading.Thread(target=lambda: pipe.write_bytes(clip.read_bytes()), daemon=True).start()


@pytest.mark.parametrize("how", TWICE, ids=lambda how: how[0] if how else "once")
def test_a_named_pipe_is_encoded_as_the_file(clip: Path, tmp_path, how) -> None:
    run("encode", clip, tmp_path / "a.gvc", *ENCODE, *how)
    feed(pipe := tmp_path / "pipe", clip)
    run("encode", pipe, tmp_path / "b.gvc", *ENCODE, *how)
    assert (tmp_path / "a.gvc").read_bytes() == (tmp_path / "b.gvc").read_bytes()


def test_a_file_descriptor_is_encoded(clip: Path, tmp_path) -> None:
    """`<(cat FILE)` is a pipe that only this process has."""
    read, write = os.pipe()
    words = ("encode", f"/dev/fd/{read}", str(tmp_path / "a.gvc"), *ENCODE, "--jobs", "1")
    process = subprocess.Popen([sys.executable, "-m", "gvcodec", *words], pass_fds=[read])
    os.close(read)
    with open(write, "wb") as pipe:
        pipe.write(clip.read_bytes())
    assert process.wait(timeout=120) == 0 and (tmp_path / "a.gvc").stat().st_size > 0


@pytest.mark.usefixtures("inline_batch")
def test_a_batch_refuses_a_pipe_in_one_line(clip: Path, tmp_path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "in.mkv").write_bytes(clip.read_bytes())
    os.mkfifo(folder / "pipe.mkv")
    for given in (folder, folder / "pipe.mkv"):
        said = run("batch", given, "-o", tmp_path / "out", *ENCODE[:-1], "--jobs", "1", code=6)
        assert "pipe.mkv: is a pipe or a device" in said.err
    assert len(list((tmp_path / "out").glob("*.gvc"))) == 1


@pytest.fixture(scope="module")
def stream(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("looks") / "a.gvc"
    path.write_bytes(made(moving_texture(64, 48, 18)))
    return path


class Minimal:
    """Only `read`, that gives less than asked for, and `seek`."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def read(self, size: int) -> bytes:
        part = self._data[self._at : self._at + min(size, 100)]
        self._at += len(part)
        return part

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = (0, self._at, len(self._data))[whence] + offset
        return self._at


def test_file_objects_are_read_and_stay_open(stream: Path) -> None:
    data = stream.read_bytes()
    whole = gvcodec.open(data, fidelity=True)[:]
    with open(stream, "rb") as file:
        for source in (file, io.BytesIO(data), Minimal(data)):
            source.seek(11)
            video = gvcodec.open(source, fidelity=True)
            assert np.array_equal(video[[17, 2]], whole[[17, 2]])
            video.close()
            assert np.array_equal(video[9], whole[9])
        assert not file.closed
    read, write = os.pipe()
    with open(read, "rb") as pipe, open(write, "wb"), pytest.raises(UsageError, match="any place"):
        gvcodec.open(pipe)
    for wrong in (io.StringIO("text"), 7, None):
        with pytest.raises(UsageError):
            gvcodec.open(wrong)


def _in_child(video: gvcodec.Video, queue: multiprocessing.SimpleQueue) -> None:
    try:
        queue.put(video[0].shape)
    except UsageError as error:
        queue.put(str(error))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_video_of_a_file_object_stays_in_its_process(stream: Path) -> None:
    # Both processes would move one position of the file.
    with open(stream, "rb") as file:
        video = gvcodec.open(file, fidelity=True)
        context = multiprocessing.get_context("fork")
        queue = context.SimpleQueue()
        child = context.Process(target=_in_child, args=(video, queue))
        child.start()
        child.join(60)
        assert "fork" in queue.get() and video[0].shape == (48, 64, 3)


def test_an_output_is_no_uri(video: Path) -> None:
    with raises(UsageError, "output-name"):
        gvcodec.encode_file(video, "memory://x.gvc", **FAST)


@pytest.mark.parametrize(
    ("given", "rate"),
    [
        (29.97002997002997, Fraction(30000, 1001)),
        (np.float32(29.97), Fraction(2997, 100)),
        (np.float32(23.976), Fraction(2997, 125)),
        (np.float64(59.94), Fraction(2997, 50)),
        (np.int64(24), Fraction(24)),
    ],
)
def test_frame_rates_as_programs_give_them(tmp_path, given, rate: Fraction) -> None:
    """K13."""
    picture = np.full((48, 64, 3), 100, np.uint8)
    assert gvcodec.info(gvcodec.encode([picture], frame_rate=given, **FAST)).frame_rate == str(rate)


def test_a_quotient_with_all_its_digits_is_a_frame_rate(tmp_path) -> None:
    for number in range(2):
        Image.new("RGB", (64, 48), (90 * number, 9, 9)).save(tmp_path / f"f{number}.png")
    words = ("--preset", 10, "--fit", "off", "-y")
    for text, rate in (("29.97002997002997", "30000/1001"), ("30.0049627791563", "12092/403")):
        run("encode", tmp_path, tmp_path / "a.gvc", "--rate", text, *words)
        assert gvcodec.info(tmp_path / "a.gvc").frame_rate == rate


def test_settings_may_be_tensors_of_one_number(video: Path) -> None:
    torch = pytest.importorskip("torch")
    for q in (torch.tensor(55), np.array(55.0)):
        assert gvcodec.encode_file(video, io.BytesIO(), **FAST | {"q": q}).frames == 8


def test_a_quoted_star_without_pictures_is_named(tmp_path) -> None:
    line = run("encode", tmp_path / "*.png", tmp_path / "a.gvc", code=1).err
    assert "no pictures of this name" in line and line.count("\n") == 1


class FullDisk(io.BytesIO):
    """A file object of a caller, on a disk with a little room."""

    name = "/mnt/card/a.gvc"

    def write(self, data) -> int:  # type: ignore[override]
        if len(self.getvalue()) + len(data) > 300:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


def test_a_full_disk_under_a_callers_file_is_one_line(video: Path) -> None:
    line = "/mnt/card/a.gvc: cannot be written: No space left on device"
    with pytest.raises(MediaError) as caught:
        gvcodec.encode_file(video, FullDisk(), **FAST)
    assert str(caught.value) == line and isinstance(caught.value.__cause__, OSError)


def test_other_errors_of_a_callers_file_are_its_own(video: Path) -> None:
    class Lost(io.BytesIO):
        def write(self, data) -> int:  # type: ignore[override]
            raise ConnectionResetError("the server is gone")

    with pytest.raises(ConnectionResetError, match="the server is gone"):
        gvcodec.encode_file(video, Lost(), **FAST)
