"""The functions of `import gvcodec` do what the commands do; their examples run."""

import dataclasses
import doctest
import functools
import importlib
import inspect
import io
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gvcodec
from gvcodec.planes import rgb_from_planes
from gvcodec.types import Colour
from gvcodec.util.options import keywords_of, with_keywords
from tests.conftest import moving_texture, run
from tests.errors import raises

FAST: dict[str, Any] = {"preset": 10, "fit": 0, "threads": 1}


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return np.stack([rgb_from_planes(p, Colour(matrix=1)) for p in moving_texture(64, 48, 4)])


@pytest.fixture(scope="module")
def data(frames: np.ndarray) -> bytes:
    return gvcodec.encode(frames, frame_rate=2, keyint=2, **FAST)


@pytest.fixture
def stream(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "a.gvc"
    path.write_bytes(data)
    return path


@pytest.fixture
def video(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "a.y4m"
    gvcodec.decode_file(io.BytesIO(data), path, fidelity=True)
    return path


def test_layouts_of_arrays_are_one_stream(frames: np.ndarray, data: bytes) -> None:
    floats = frames.astype(np.float32) / 255
    layouts = [frames.transpose(0, 3, 1, 2), frames.transpose(3, 0, 1, 2), list(frames), floats]
    layouts.append(floats.astype(np.float64).transpose(0, 3, 1, 2))
    layouts.append(frame.transpose(2, 0, 1) for frame in floats)
    for given in layouts:
        assert gvcodec.encode(given, frame_rate=2, keyint=2, **FAST) == data
    first = gvcodec.encode(frames[:1], **FAST)
    assert gvcodec.encode(frames[0], **FAST) == first
    assert gvcodec.encode(floats[0].transpose(2, 0, 1), **FAST) == first


def test_layouts_of_tensors_are_one_stream(frames: np.ndarray, data: bytes) -> None:
    tensor = pytest.importorskip("torch").from_numpy(frames).permute(0, 3, 1, 2)
    halves = [(image.double() / 255).requires_grad_() for image in tensor]
    for given in (tensor, tensor.transpose(0, 1), tensor.float() / 255, iter(halves)):
        assert gvcodec.encode(given, frame_rate=2, keyint=2, **FAST) == data


@pytest.mark.parametrize(
    ("shape", "change", "message"),
    [
        ((2, 8, 8, 4), None, r"not \(8, 8, 4\) uint8"),
        ((8, 8), None, r"a video is .*, not \(8, 8\)"),
        ((1, 2, 8, 8, 3), None, r"a video is \(T, H, W, 3\) or \(T, 3, H, W\)"),
        ((8, 8, 3), lambda x: x / 127.5 - 1, "not from -1 to -1$"),
        ((8, 8, 3), lambda x: x * 1.0 + 2, "floats from 0 to 1, not from 2 to 2$"),
        ((8, 8, 3), lambda x: x + np.nan, "not from nan"),
        ((8, 8, 3), lambda x: x.astype(np.int32), "not int32"),
        ((8, 8, 3), lambda x: "in.mp4", "encode_file takes the name of a video"),
        ((8, 8, 3), lambda x: [object()], "not object"),
    ],
)
def test_other_arrays_are_refused(shape, change, message):
    given = np.zeros(shape, np.uint8)
    with pytest.raises(gvcodec.UsageError, match=message):
        gvcodec.encode(change(given) if change else given, **FAST)


def test_facts_are_those_of_the_commands(stream, data, video):
    found = gvcodec.info(stream)
    assert (found.frames, found.keyframes, found.file_bytes) == (4, [0, 2], len(data))
    assert gvcodec.info(data) == gvcodec.info(io.BytesIO(data)) == found
    assert json.loads(run("info", stream, "--json").out) == dataclasses.asdict(found)
    assert "keyframes          2, at frames 0, 2" in str(found)
    verified = gvcodec.verify(stream, video, fidelity=True)
    assert verified.frames == verified.compared == 4 and verified.base_hash == found.base_hash
    assert verified.painted_psnr is None and verified.base_psnr
    # The stream has 10 bits, the video that was made of it 8.
    assert min(verified.base_psnr) > 56
    assert f"base hash {found.base_hash}" in run("verify", stream).out
    assert len(gvcodec.verify(data).painted_hash or "") == 16


def test_pieces_are_those_of_the_commands(tmp_path, stream):
    kept = gvcodec.cut(stream, tmp_path / "b.gvc", 1.0)
    assert (kept.first, kept.frames, kept.begin, kept.end) == (2, 2, 1.0, 2.0)
    run("cut", stream, tmp_path / "c.gvc", "--from", "1")
    assert (tmp_path / "b.gvc").read_bytes() == (tmp_path / "c.gvc").read_bytes()
    both = io.BytesIO()
    assert gvcodec.cat([stream, tmp_path / "b.gvc"], both).frames == 6
    run("cat", stream, tmp_path / "b.gvc", "-o", tmp_path / "d.gvc")
    assert (tmp_path / "d.gvc").read_bytes() == both.getvalue()
    with pytest.raises(gvcodec.MediaError, match="is the input"):
        gvcodec.cut(stream, stream, overwrite=True)
    with pytest.raises(gvcodec.UsageError, match="later"):
        gvcodec.cut(stream, tmp_path / "e.gvc", 1, 0.5)
    with pytest.raises(gvcodec.UsageError, match="no stream"):
        gvcodec.cat([], tmp_path / "e.gvc")
    assert not (tmp_path / "e.gvc").exists()


def test_moments_are_found_by_a_picture_and_by_a_video(tmp_path, stream) -> None:
    done = gvcodec.summarize(stream, tmp_path / "b.gvc")
    assert done.frames == 4 and done.size == (tmp_path / "b.gvc").stat().st_size
    gvcodec.decode_file(stream, tmp_path / "%d.png")
    for query in (tmp_path / "3.png", tmp_path / "b.gvc"):
        found = gvcodec.search(query, [tmp_path / "b.gvc"], count=1)
        assert found.files == 1 and 0 < found.bytes_read <= found.bytes
        assert len(found.moments) == 1 and found.moments[0].within == 0
    assert gvcodec.search(tmp_path / "3.png", tmp_path / "b.gvc", count=1).moments[0].frame == 3
    gvcodec.summarize(stream)
    assert stream.read_bytes() == (tmp_path / "b.gvc").read_bytes()
    with pytest.raises(gvcodec.UsageError, match="rank"):
        gvcodec.search(query, stream, ranking="none")


def test_an_exact_size_jobs_and_progress(tmp_path: Path, video: Path) -> None:
    states: list[gvcodec.State] = []
    done = gvcodec.encode_file(video, tmp_path / "b.gvc", size="3k", progress=states.append, **FAST)
    assert done.size == (tmp_path / "b.gvc").stat().st_size <= 3000 == done.limit
    assert done.passes >= 1 and done.q is not None
    assert done.kbps == pytest.approx(8 * done.size * 2 / 4 / 1000)
    assert f"% of 3000 bytes, {done.passes} pass" in done.summary and states[-1].share == 1
    stages = {state.stage for state in states}
    assert "pass 1 of at most 4" in stages and all(0 <= state.share <= 1 for state in states)
    words = ["encode", video, tmp_path / "c.gvc", "--size", "3k", "--preset", "10"]
    run(*words, "--fit", "off", "--threads", "1", "--quiet")
    assert (tmp_path / "b.gvc").read_bytes() == (tmp_path / "c.gvc").read_bytes()
    with raises(gvcodec.MediaError, "file-exists"):
        gvcodec.encode_file(video, tmp_path / "b.gvc", **FAST)
    spooled = io.BytesIO()
    gvcodec.encode_file(io.BytesIO(video.read_bytes()), spooled, size=3000, **FAST)
    assert not spooled.closed and spooled.getvalue() == (tmp_path / "b.gvc").read_bytes()
    chunked = gvcodec.encode_file(video, tmp_path / "d.gvc", jobs=1, preset=10, fit=0, keyint=2)
    assert (chunked.frames, chunked.chunks) == (4, 2)
    reached = gvcodec.encode_file(video, tmp_path / "e.gvc", target="psnr=30", **FAST).reached
    assert reached is not None and reached.value >= 30


def test_a_callback_may_end_an_encode(tmp_path: Path, video: Path) -> None:
    def stop(state: gvcodec.State) -> None:
        raise RuntimeError

    before = sorted(tmp_path.iterdir())
    with pytest.raises(RuntimeError):
        gvcodec.encode_file(video, tmp_path / "b.gvc", progress=stop, **FAST)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"size": 1000, "bitrate": "80k"}, "one of size, bitrate, video_bitrate, bpp and target"),
        ({"size": 1000, "q": 40}, "either a quality or one of size"),
        ({"size": "big"}, "'big'"),
        ({"target": "vmaf=90"}, "psnr=DECIBEL"),
        ({"jobs": 0}, "jobs: '0' is not an integer, 1"),
        ({"resume": True, "size": 900}, "^jobs and resume need q or target"),
        ({"nonsense": 1}, "nonsense"),
        ({"max_size": "5k"}, "^max_size needs target$"),
        ({"frames": 2, "min_gain": 0.1}, "^min_gain compares .* not with start, end or frames"),
    ],
)
def test_options_that_do_not_go_together_are_refused(tmp_path, video, options, what):
    with pytest.raises(gvcodec.UsageError, match=what):
        gvcodec.encode_file(video, tmp_path / "b.gvc", **options)
    assert not (tmp_path / "b.gvc").exists()


def test_texts_name_keywords_where_they_are_some() -> None:
    told = "12 bytes (--sound opus:24k is smaller, --no-sound drops it); --with and pre-q stay, -q"
    named = 'sound="opus:24k" is smaller, sound="none" drops it); --with and pre-q stay, q'
    assert with_keywords(told, gvcodec.EncoderConfig) == f"12 bytes ({named}"


def test_a_missing_file_is_a_file_not_found_error(tmp_path: Path, stream: Path) -> None:
    gone, out = tmp_path / "gone.gvc", tmp_path / "out.gvc"
    calls = [(call, gone) for call in (gvcodec.info, gvcodec.verify, gvcodec.open, gvcodec.decode)]
    calls += [(call, gone, out) for call in (gvcodec.cut, gvcodec.repair, gvcodec.encode_file)]
    calls += [(gvcodec.verify, stream, gone), (gvcodec.cat, [stream, gone], out)]
    calls += [(gvcodec.decode_file, gone, tmp_path / "out.mkv")]
    calls += [(functools.partial(gvcodec.encode_file, size=1000), gone, out)]
    for call, *arguments in calls:
        with pytest.raises(FileNotFoundError, match=r"gone\.gvc: No such file") as caught:
            call(*arguments)
        assert isinstance(caught.value, gvcodec.MediaError) and Path(caught.value.filename) == gone
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert not out.exists()


def test_signatures_name_every_option() -> None:
    fields = {n: f.default for n, f in keywords_of(gvcodec.EncoderConfig).items()}
    # It is the format of pictures, too.
    del fields["format"]
    for function in (gvcodec.encode, gvcodec.encode_file):
        shown = inspect.signature(function).parameters
        assert {name: shown[name].default for name in fields} == fields


def test_examples_in_docstrings_run() -> None:
    pytest.importorskip("torch")
    tried = 0
    for name in ("gvcodec.api", "gvcodec.video", "gvcodec"):
        result = doctest.testmod(importlib.import_module(name))
        assert not result.failed
        tried += result.attempted
    assert tried >= 5


def test_tensors_out_are_on_the_device(data: bytes) -> None:
    torch = pytest.importorskip("torch")
    order = {"output": "torch", "device": "cpu:0", "dimension_order": "NCHW"}
    images = list(gvcodec.decode(data, fidelity=True, **order))
    kinds = [(type(image), tuple(image.shape)) for image in images]
    assert kinds == [(torch.Tensor, (3, 48, 64))] * 4
    plain = list(gvcodec.decode(data, output="torch"))
    assert all(image.dtype == torch.uint8 for image in plain)
    assert np.array_equal(torch.stack(plain).numpy(), list(gvcodec.decode(data)))
    with raises(gvcodec.UsageError, "device"):
        list(gvcodec.decode(data, output="torch", device="meta"))
    with pytest.raises(gvcodec.UsageError, match="output"):
        gvcodec.decode(data, output="jax")
