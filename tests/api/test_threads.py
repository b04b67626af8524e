"""Videos on threads, after `fork`, in data loaders, and where no thread can start."""

import functools
import hashlib
import io
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import gvcodec
from gvcodec import _core
from gvcodec.codec.decoder import Decoder
from gvcodec.codec.encode_stream import encode_stream
from gvcodec.errors import GvcodecError, UsageError
from gvcodec.types import VideoFormat
from tests.conftest import in_process, moving_texture
from tests.edit.test_tools import made

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
BASES = ["av1", "vvc"]
#: Base frames of one base, painted frames of the other.
both_ways = pytest.mark.parametrize(("base", "fidelity"), [("vvc", True), ("av1", False)])
FRAMES = 12
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits are those of Linux")


@functools.cache
def stream(base: str) -> bytes:
    return made(moving_texture(64, 48, FRAMES), base)


def painting(fidelity: bool) -> bool:
    if not fidelity:
        pytest.importorskip("torch")
    return fidelity


@functools.cache
def pictures(base: str, fidelity: bool) -> NDArray[np.uint8]:
    return np.stack(list(gvcodec.decode(stream(base), fidelity=fidelity, threads=1)))


def on_threads(count: int, work: Callable[[int], None]) -> None:
    raised: list[Exception] = []

    def run(number: int) -> None:
        try:
            work(number)
        except Exception as error:  # noqa: BLE001
            raised.append(error)

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    if raised:
        raise raised[0]


@both_ways
def test_each_thread_has_its_own_video(base: str, fidelity: bool) -> None:
    whole = pictures(base, painting(fidelity))

    def read(number: int) -> None:
        video = gvcodec.open(stream(base), fidelity=fidelity, threads=2)
        rng = np.random.default_rng(number)
        for index in rng.integers(0, FRAMES, 6).tolist():
            assert np.array_equal(video[index], whole[index])
        first, last = sorted(rng.integers(0, FRAMES, 2).tolist())
        assert np.array_equal(video[first:last:2], whole[first:last:2])

    on_threads(4, read)


def _in_child(target: Callable[[], None]) -> int | None:
    """Exit code of a child made by fork, None when it did not end."""
    child = multiprocessing.get_context("fork").Process(target=target)
    child.start()
    child.join(120)
    if child.is_alive():
        child.kill()
        child.join()
        return None
    return child.exitcode


@forks
@both_ways
def test_a_video_goes_on_in_a_child(base: str, fidelity: bool) -> None:
    whole = pictures(base, painting(fidelity))
    video = gvcodec.open(stream(base), fidelity=fidelity, threads=2)
    assert np.array_equal(video[7], whole[7])

    def child() -> None:
        for index in (8, 2, 11):
            assert np.array_equal(video[index], whole[index])

    assert _in_child(child) == 0 and np.array_equal(video[8], whole[8])


@forks
def test_a_decoder_does_not_follow_into_a_child() -> None:
    reader = gvcodec.Reader(io.BytesIO(stream("av1")))
    packets = list(reader.packets())
    decoder = Decoder(reader.header, fidelity=True, threads=2)
    frames = decoder.frames_of(packets)
    next(frames)

    def child() -> None:
        for call in (lambda: next(frames), lambda: decoder.send_packet(packets[0]), decoder.flush):
            with pytest.raises(UsageError, match="this decoder belongs to the process before fork"):
                call()

    assert _in_child(child) == 0 and len(list(frames)) == FRAMES - 1


@forks
def test_a_child_ends_although_the_decoders_threads_are_gone(tmp_path) -> None:
    """A child that ends as a program does, with decoders and encoders of its parent in it."""
    script = """
import os, sys, pathlib, gvcodec
from fractions import Fraction
from gvcodec.types import VideoFormat
sys.path.insert(0, sys.argv.pop(1))
from tests.conftest import moving_texture, run
fmt = VideoFormat(64, 48, Fraction(25), Fraction(1, 25))
encoder = gvcodec.Encoder(fmt, gvcodec.EncoderConfig(base="av1", fit=0, threads=2))
for planes in moving_texture(64, 48, 2): encoder.send_frame(planes)
data = [pathlib.Path(name).read_bytes() for name in sys.argv[1:]]
videos = [gvcodec.open(one, fidelity=True, threads=2) for one in data]
for video in videos: video[3]
if os.fork() == 0:
    del videos, video, encoder
    sys.exit(7)
print(os.waitpid(-1, 0)[1] >> 8)
"""
    for base in BASES:
        (tmp_path / base).write_bytes(stream(base))
    words = [Path(__file__).parents[2], *(tmp_path / base for base in BASES)]
    done = in_process("-W", "ignore", "-c", script, *words)
    assert (done.stdout, done.stderr) == (b"7\n", b"")


@forks
def test_a_child_collects_no_garbage_of_its_parent() -> None:
    """A decoder of FFmpeg in a reference cycle: freeing it would wait for threads of the parent."""
    script = """
import gc, os, signal, av, gvcodec.base.standard.decoders
gc.disable()
def leave_garbage():
    decoder = av.CodecContext.create("libdav1d", "r")
    decoder.thread_count = 2
    decoder.open()
    cycle = [decoder]
    cycle.append(cycle)
leave_garbage()
if os.fork() == 0:
    signal.alarm(60)
    gc.collect()
    os._exit(7)
print(os.waitpid(-1, 0)[1])
"""
    done = in_process("-W", "ignore", "-c", script)
    assert (done.stdout, done.stderr) == (b"1792\n", b"")


class Frames:
    def __init__(self, data: bytes, threads: int, fidelity: bool) -> None:
        self.video = gvcodec.open(data, threads=threads, output="torch", fidelity=fidelity)

    def __len__(self) -> int:
        return len(self.video)

    def __getitem__(self, index: int) -> object:
        return self.video[index]


@pytest.mark.parametrize(
    ("method", "base"), [pytest.param("fork", "av1", marks=forks), ("spawn", "vvc")]
)
def test_workers_of_a_data_loader(method: str, base: str) -> None:
    """Base frames of vvc, painted frames of av1, in a process without other threads."""
    pytest.importorskip("torch")
    call = f"from tests.api.test_threads import load; load({method!r}, {base!r})"
    in_process("-c", call, cwd=Path(__file__).parents[2], timeout=300)


def load(method: str, base: str) -> None:
    import torch

    fidelity = base == "vvc"
    frames = Frames(stream(base), 2, fidelity)
    whole = pictures(base, fidelity)
    assert np.array_equal(frames[5], whole[5])
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    torch.randn(400, 400) @ torch.randn(400, 400)  # OpenMP has its threads, which stay behind
    try:
        workers = {"num_workers": 1 if method == "spawn" else 2, "multiprocessing_context": method}
        loader = torch.utils.data.DataLoader(frames, batch_size=3, timeout=120, **workers)
        assert np.array_equal(np.concatenate(list(loader)), whole)
        assert np.array_equal(frames[6], whole[6])
    finally:
        torch.set_num_threads(before)


#: New threads want stacks that no machine has, so none can be started.
NO_THREADS = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_STACK, (1 << 46, resource.RLIM_INFINITY))
resource.setrlimit(resource.RLIMIT_AS, (1 << 42, 1 << 42))
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1], *sys.argv[2:]])
"""
DECODE = """
import hashlib, sys, threading, gvcodec
try:
    threading.Thread(target=print).start()
except RuntimeError:
    pass
else:
    sys.exit("threads start here")
for name in sys.argv[1:]:
    data = open(name, "rb").read()
    frames = gvcodec.decode(data, threads=8)
    print(hashlib.sha256(b"".join(frame.tobytes() for frame in frames)).hexdigest())
"""


@linux
def test_decoding_where_no_thread_can_be_started(tmp_path) -> None:
    import resource

    if resource.getrlimit(resource.RLIMIT_STACK)[1] != resource.RLIM_INFINITY:
        pytest.skip("the limit of stacks cannot be raised here")
    for base in BASES:
        (tmp_path / base).write_bytes(stream(base))
    files = [tmp_path / base for base in BASES]
    words, environment = ("-c", NO_THREADS, DECODE), os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    done = in_process(*words, *files, timeout=240, env=environment, text=True)
    wanted = [hashlib.sha256(pictures(base, False).tobytes()).hexdigest() for base in BASES]
    assert done.stdout.split() == wanted


@linux
def test_stacks_of_many_threads_fit_a_limit_of_memory(tmp_path) -> None:
    """Thirty threads with 8 MiB of stack each, as usual, would not."""
    fmt = VideoFormat(960, 544, Fraction(25), Fraction(1, 25))
    config = gvcodec.EncoderConfig(base="av1", preset=10, q=50, fit=0, low_delay=True)
    encoder = gvcodec.Encoder(fmt, config)
    with open(tmp_path / "a.bin", "wb") as file:
        encode_stream(
            encoder,
            file,
            ((p, None) for p in moving_texture(960, 544, 2)),
            writes_painted_hash=False,
        )
    words = ("decode", "--fidelity", "--threads", 64, "--max-memory", "180M")
    in_process("-m", "gvcodec", *words, tmp_path / "a.bin", tmp_path / "a.y4m")


def test_an_unknown_form_of_the_loops_is_one_line(tmp_path) -> None:
    word = "avx2,avx512"
    (tmp_path / "a.bin").write_bytes(stream("av1"))
    words = ("-m", "gvcodec", "decode", "--fidelity", tmp_path / "a.bin", tmp_path / "a.y4m")
    environment = os.environ | {"GVCODEC_CPU": word}
    done = in_process(*words, code=UsageError.exit_code, env=environment, text=True)
    forms = "plain, avx2, avxvnni or avx512"
    assert done.stderr == f"gvcodec: GVCODEC_CPU is {forms}, not {word}\n"
    assert not (tmp_path / "a.y4m").exists()


def test_a_form_that_the_machine_lacks() -> None:
    forms = _core.cpu_forms()
    assert forms[0] == "plain" and _core.cpu() in forms
    for form in {"plain", "avx2", "avxvnni", "avx512"} - set(forms):
        with pytest.raises(GvcodecError, match=f"has no {form}"):
            _core.use_cpu(form)
