"""Clips and weights that several tests share. They are made here, small and always the same."""

import io
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pytest
from hypothesis import settings

from gvcodec import _core, cli
from gvcodec.bitstream import Kind, Packet, Reader, SequenceHeader
from gvcodec.bitstream.backup import BACKUP
from gvcodec.bitstream.metadata import Metadata
from gvcodec.bitstream.writer import Writer
from gvcodec.codec.encode_stream import encode_stream
from gvcodec.codec.encoder import Encoder
from gvcodec.config import EncoderConfig
from gvcodec.errors import UsageError
from gvcodec.types import Planes, VideoFormat
from gvcodec.util.ffmpeg import VVENC, find_ffmpeg

T = TypeVar("T")
#: Rooms that need an extra, by a package of it; elsewhere tests without their package are skipped.
_NEEDED = {"torch": ("condense", "gvc1d", "painter", "training"), "bjontegaard": ("eval",)}
collect_ignore = [room for name, rooms in _NEEDED.items() if not find_spec(name) for room in rooms]
# How long a case takes is the machine's business.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

#: The fastest presets of encoders that have some; defaults take six times as long.
FASTEST = {"av1": 10, "vvc": 4}


def moving_texture(width: int, height: int, frames: int, seed: int = 1) -> list[Planes]:
    """10-bit 4:2:0 texture that pans by (3, 1) samples a frame; values are multiples of 4."""
    rng = np.random.default_rng(seed)
    margin = 3 * frames + 8
    field = rng.normal(size=(height + margin, width + margin))
    spectrum = np.fft.rfft2(field)
    rows = np.fft.fftfreq(field.shape[0])[:, None]
    columns = np.fft.rfftfreq(field.shape[1])[None, :]
    field = np.fft.irfft2(spectrum / (0.02 + np.hypot(rows, columns)), s=field.shape)
    field = (field - field.min()) / (field.max() - field.min())
    clip: list[Planes] = []
    for number in range(frames):
        view = field[number : number + height, 3 * number : 3 * number + width]
        y = (64 + 4 * np.round(view * 200)).astype(np.uint16)
        u = (400 + 4 * np.round(view[::2, ::2] * 40)).astype(np.uint16)
        clip.append((y, u, (600 - 4 * np.round(view[::2, ::2] * 40)).astype(np.uint16)))
    return clip


def stream_of(
    header: SequenceHeader,
    packets: Iterable[Packet],
    base_hash: bytes | None = bytes(8),
    has_backup: bool = True,
) -> bytes:
    """A stream of these packets, every checksum right."""
    stream = io.BytesIO()
    writer = Writer(stream, header)
    for packet in packets:
        writer.write(packet)
    assert base_hash is not None
    writer.finish(base_hash, has_backup)
    return stream.getvalue()


def coded(
    fmt: VideoFormat,
    clip: Iterable[Planes],
    paints: bool = True,
    fitted: dict[int, bytes] | None = None,
    **settings: Any,
) -> bytes:
    """What an encoder of these settings makes of frames."""
    encoder, stream = Encoder(fmt, EncoderConfig(**settings), fit_payloads=fitted), io.BytesIO()
    encode_stream(encoder, stream, ((planes, None) for planes in clip), writes_painted_hash=paints)
    return stream.getvalue()


def send_all(encoder: Any, clip: Iterable[Planes]) -> tuple[list[Any], list[Planes]]:
    parts = [*(encoder.send(planes) for planes in clip), encoder.flush()]
    packets = [packet for part in parts for packet in part.packets]
    return packets, [frame for part in parts for frame in part.base_frames]


def packets_in(data: bytes) -> list[Packet]:
    """All but the backup."""
    return [packet for packet in Reader(io.BytesIO(data)).packets() if packet.type != BACKUP]


def rewritten(data: bytes, change: Callable[[list[Packet]], Iterable[Packet]]) -> bytes:
    """The stream with `change` applied to its packets, every checksum right."""
    reader = Reader(io.BytesIO(data))
    return stream_of(reader.header, change(list(reader.packets())), reader.base_hash)


def before_keys(packets: Iterable[Packet], new: Iterable[Sequence[Packet]]) -> list[Packet]:
    """The packets, and before each keyframe the next ones of `new`."""
    each = iter(new)
    return [p for old in packets for p in ([*next(each), old] if old.kind is Kind.KEY else [old])]


def without_painted_hash(data: bytes) -> bytes:
    """The stream as `cut`, `cat` and `repair` write it: they neither paint nor know the source."""
    lost = Kind.PAINTED, Kind.QUALITY
    return rewritten(data, lambda packets: [p for p in packets if p.kind not in lost])


def metadata_of(path: Path) -> Metadata:
    packets = Reader(io.BytesIO(path.read_bytes())).packets()
    return Metadata.unpack(next(p.payload for p in packets if p.kind is Kind.METADATA))


def in_process(*words: object, code: int = 0, **options: Any) -> subprocess.CompletedProcess[Any]:
    """Python with these words in a process of its own, and its exit code."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 600}
    done = subprocess.run([sys.executable, *map(str, words)], check=False, **pipes | options)
    assert done.returncode == code, done.stderr
    return done


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"needs {program}")


class Pipe(io.BytesIO):
    """Bytes that come once."""

    def seekable(self) -> bool:
        return False


def wait_for(found: Callable[[], T], seconds: float = 240) -> T:
    """What `found` gives once it is true."""
    end = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.02)
    return result


def piped(*words: object, data: bytes | None = None) -> bytes:
    """What a command writes on standard output, in a process of its own."""
    return in_process("-m", "gvcodec", *words, input=data).stdout


class Said(NamedTuple):
    """What a command writes on standard output and standard error."""

    out: str
    err: str


def run(*words: object, code: int = 0) -> Said:
    """The command line, in this process; it ends with this exit code."""
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        try:
            found: object = cli.main([str(word) for word in words])
        except SystemExit as end:
            found = end.code
    assert found == code, err.getvalue()
    return Said(out.getvalue(), err.getvalue())


def run_without_torch(*commands: Sequence[object], code: int = 0) -> str:
    """What these command lines say, in one process that cannot import torch."""
    lines = ["import sys", "sys.modules['torch'] = None", "from gvcodec.cli import main"]
    words = [[*map(str, command)] for command in commands]
    program = "; ".join([*lines, f"sys.exit(max(main(each) for each in {words!r}))"])
    done = in_process("-c", program, code=code, text=True)
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def clip() -> list[Planes]:
    return moving_texture(96, 80, 20)


@pytest.fixture(scope="session")
def weights_folder(tmp_path_factory) -> Path:
    """Stand-ins for the weights of LPIPS and DISTS: the shipped network, a random AlexNet."""
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    from gvcodec.models import GUIDE
    from gvcodec.perceptual import _ALEX

    folder = tmp_path_factory.mktemp("weights")
    shutil.copy(GUIDE.find(), folder / "lpips_vgg.safetensors")
    generator, before, tensors = torch.Generator().manual_seed(0), 3, {}
    for number, ((index, _, padding),) in enumerate(_ALEX):
        side, width = 2 * padding + 1 + 6 * (number == 0), 16  # 11, 5, 3, 3, 3
        weight = torch.randn(width, before, side, side, generator=generator)
        tensors[f"features.{index}.weight"] = weight * (2 / weight[0].numel()) ** 0.5
        tensors[f"features.{index}.bias"] = torch.zeros(width)
        tensors[f"lin{number}.weight"] = torch.full((1, width, 1, 1), 1 / width)
        before = width
    save_file(tensors, folder / "lpips_alex.safetensors")
    return folder


@pytest.fixture
def made_weights(weights_folder: Path, monkeypatch) -> Iterator[Path]:
    """Metrics use the weights of `weights_folder`, in child processes too."""
    from eval.metrics import network
    from gvcodec.perceptual import WEIGHTS_VARIABLE

    monkeypatch.setenv(WEIGHTS_VARIABLE, str(weights_folder))
    network.cache_clear()
    yield weights_folder
    network.cache_clear()


@pytest.fixture
def inline_batch(monkeypatch) -> None:
    """`gvcodec batch --jobs 1` codes in this process, as `encode --jobs 1` does: a worker takes
    longer to start than a tiny clip to code. Tests of engines show that both write the same."""
    from gvcodec.batch import engines

    real = engines.open_engine

    def open_engine(jobs: int = 0, cluster: str | None = None) -> engines.Engine:
        return engines.Inline() if jobs == 1 and cluster is None else real(jobs, cluster)

    monkeypatch.setattr("gvcodec.cli.batch.open_engine", open_engine)


@pytest.fixture
def vvenc() -> None:
    try:
        find_ffmpeg(VVENC)
    except UsageError as error:
        pytest.skip(str(error))


@pytest.fixture(params=["made", "real"])
def some_weights(request) -> None:
    """Made-up weights everywhere, and the real ones where they are found."""
    from gvcodec.perceptual import find_weights

    if request.param == "made":
        request.getfixturevalue("made_weights")
    elif find_weights() is None:
        pytest.skip("no weights of the perceptual metrics here")


def planes_equal(left: Planes, right: Planes) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


def rough_clip(count: int, height: int = 128, width: int = 192) -> list[Planes]:
    """A field of fine texture that moves."""
    rng = np.random.default_rng(1)
    fine = rng.normal(0, 1, (height + 64, width + 64))
    smooth = fine
    for axis in (0, 1):
        smooth = sum(
            weight * np.roll(smooth, place - 2, axis)
            for place, weight in enumerate(np.array([1, 4, 6, 4, 1]) / 16)
        )
    slope = np.add.outer(np.linspace(420, 580, height), np.linspace(-60, 60, width))
    chroma = np.full((height // 2, width // 2), 512, np.uint16)
    texture = 160 * smooth + 30 * fine
    found = []
    for n in range(count):
        part = texture[8 + n : 8 + n + height, 8 + 2 * n : 8 + 2 * n + width]
        found.append((np.clip(slope + part, 0, 1023).astype(np.uint16), chroma, chroma))
    return found


def clips_equal(left: Iterable[Planes], right: Iterable[Planes]) -> bool:
    return all(planes_equal(a, b) for a, b in zip(left, right, strict=True))


def psnr(left: Planes, right: Planes) -> float:
    mse = float(np.mean((left[0].astype(float) - right[0].astype(float)) ** 2))
    return 99.0 if mse == 0 else float(10 * np.log10(1023**2 / mse))


@pytest.fixture(params=_core.cpu_forms(), scope="class")  # Hypothesis refuses fixtures of functions
def form(request) -> Iterator[str]:
    """Each form of the core's loops that this machine can run, in use during the test."""
    before = _core.cpu()
    _core.use_cpu(request.param)
    yield request.param
    _core.use_cpu(before)
