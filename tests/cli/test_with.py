"""`gvcodec with`: painted pictures in other programs, and where that cannot work.

Frames that programs give are compared, sample for sample, with those of `gvcodec decode`."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from ctypes.util import find_library
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import av
import numpy as np
import pytest

import gvcodec
from gvcodec import _core
from gvcodec.cli import main
from gvcodec.codec.encode_stream import encode_stream
from gvcodec.codec.encoder import Encoder
from gvcodec.types import VideoFormat
from gvcodec.util.ffmpeg import VVENC, find_ffmpeg
from tests.conftest import moving_texture, needs
from tests.networks import other_biases

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "conformance/files"
WIDTH, HEIGHT, FRAMES, GOP = 160, 96, 12, 6
RAW = ["-fps_mode", "passthrough", "-f", "rawvideo"]
NOBODY = 65534
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


def run_with(
    *words: object, code: int = 0, **environment: str
) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "gvcodec", "with", *map(str, words)]
    paths = {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, env=os.environ | paths | environment, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == code, done.stderr.decode()
    return done


def run_plain(*words: object) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([*map(str, words)], capture_output=True, timeout=120, check=True)


def encode(path: Path, depth: int, **settings: object) -> None:
    """Two GOPs, for each of which the painter has other weights."""
    fmt = VideoFormat(WIDTH, HEIGHT, Fraction(25), Fraction(1, 25), depth)
    config = gvcodec.EncoderConfig(q=50, base="av1", preset=10, fit=0, keyint=GOP, **settings)
    fitted = {first: other_biases(first) for first in (0, GOP)}
    encoder = Encoder(fmt, config, fit_payloads=fitted)
    clip = moving_texture(WIDTH, HEIGHT, FRAMES)
    with open(path, "wb") as file:
        encode_stream(encoder, file, zip(clip, range(FRAMES), strict=True))


def decode(path: Path, *options: str) -> list[bytes]:
    """The planes of each frame as `gvcodec decode` writes them."""
    output = path.with_suffix(".y4m")
    assert main(["decode", str(path), str(output), "-y", "--quiet", *options]) == 0
    return re.split(rb"FRAME\n", output.read_bytes(), flags=0)[1:]


@pytest.fixture(scope="module")
def films() -> Iterator[SimpleNamespace]:
    """Streams in every container, with their frames, in a folder that everybody may read."""
    with TemporaryDirectory(prefix="gvcodec-with-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        frames, base = {}, {}
        for depth in (8, 10):
            stream = folder / f"{depth}.gvc"
            encode(stream, depth)
            for kind in ("mp4", "mkv", "webm"):
                assert main(["extract", str(stream), str(folder / f"{depth}.{kind}")]) == 0
            frames[depth], base[depth] = decode(stream), decode(stream, "--fidelity")
            assert frames[depth] != base[depth]
        yield SimpleNamespace(folder=folder, frames=frames, base=base)


@needs("ffmpeg")
@pytest.mark.parametrize(("kind", "depth"), [("mp4", 8), ("mkv", 10), ("webm", 8)])
def test_ffmpeg_gives_the_frames_of_decode(films, kind: str, depth: int) -> None:
    done = run_with("ffmpeg", "-i", films.folder / f"{depth}.{kind}", *RAW, "-")
    assert done.stdout == b"".join(films.frames[depth])
    assert b"Unknown Metadata OBU" not in done.stderr


@needs("ffmpeg")
def test_frames_after_a_seek(films) -> None:
    film, first = films.folder / "8.mkv", GOP + 2
    done = run_with("ffmpeg", "-v", "error", "-ss", first / 25, "-i", film, *RAW, "-")
    assert done.stdout == b"".join(films.frames[8][first:])


@needs("ffmpeg")
def test_a_program_may_end_while_frames_wait(films) -> None:
    words = ["-threads", 4, "-i", films.folder / "8.mp4", "-frames:v", 3]
    done = run_with("ffmpeg", "-v", "error", *words, *RAW, "-")
    assert done.stdout == b"".join(films.frames[8][:3])


@needs("ffmpeg")
def test_a_loop_begins_anew_also_with_frame_threads(films) -> None:
    words = ["-threads", 4, "-stream_loop", 2, "-i", films.folder / "8.mp4"]
    done = run_with("ffmpeg", "-v", "error", *words, *RAW, "-")
    assert done.stdout == 3 * b"".join(films.frames[8])


@needs("ffmpeg")
def test_two_decoders_at_once(films, tmp_path) -> None:
    inputs = ["-i", films.folder / "8.mp4", "-i", films.folder / "10.webm"]
    outputs = ["-map", "0:v", *RAW, tmp_path / "8", "-map", "1:v", *RAW, tmp_path / "10"]
    run_with("ffmpeg", "-v", "error", *inputs, *outputs)
    for depth in (8, 10):
        assert (tmp_path / str(depth)).read_bytes() == b"".join(films.frames[depth])


@needs("ffmpeg")
def test_a_damaged_gop_has_base_frames(films, tmp_path) -> None:
    data = bytearray((films.folder / "8.mp4").read_bytes())
    obus = [found.start() for found in re.finditer(b"\x16\x89GVC", data)]
    data[obus[2] + 30] ^= 1  # of the second GOP
    (tmp_path / "damaged.mp4").write_bytes(data)
    done = run_with("ffmpeg", "-v", "error", "-i", tmp_path / "damaged.mp4", *RAW, "-")
    assert done.stdout == b"".join([*films.frames[8][:GOP], *films.base[8][GOP:]])


@needs("ffmpeg")
def test_damage_anywhere_ends_in_no_crash(films, tmp_path) -> None:
    data = (films.folder / "8.mkv").read_bytes()
    for place in range(len(data) // 3, len(data), len(data) // 3):
        damaged = bytearray(data)
        damaged[place : place + 40] = bytes(byte ^ 0x55 for byte in damaged[place : place + 40])
        (tmp_path / "damaged.mkv").write_bytes(damaged)
        words = ["ffmpeg", "-v", "quiet", "-i", tmp_path / "damaged.mkv", *RAW, "-"]
        command = [sys.executable, "-m", "gvcodec", "with", *map(str, words)]
        done = subprocess.run(command, capture_output=True, timeout=120, check=False)
        assert 0 <= done.returncode < 128


@needs("ffmpeg")
def test_other_av1_stays_as_it_is(films, tmp_path) -> None:
    plain = tmp_path / "plain.mp4"
    assert main(["extract", str(films.folder / "8.gvc"), str(tmp_path / "plain.obu")]) == 0
    run_plain("ffmpeg", "-v", "error", "-i", tmp_path / "plain.obu", "-c", "copy", plain)
    done = run_with("ffmpeg", "-v", "error", "-i", plain, *RAW, "-")
    assert done.stdout == b"".join(films.base[8])


@needs("ffmpeg")
def test_pictures_of_reduced_and_odd_size(tmp_path) -> None:
    for name in ("av1-half", "av1-ten-bits"):
        film = tmp_path / f"{name}.mp4"
        assert main(["extract", str(FILES / f"{name}.gvc"), str(film)]) == 0
        done = run_with("ffmpeg", "-v", "error", "-i", film, *RAW, "-")
        assert done.stdout == b"".join(decode(film))


@needs("ffmpeg")
def test_without_its_painter_a_film_has_base_frames_and_one_line_says_so(tmp_path) -> None:
    film = tmp_path / "tokens.mp4"
    assert main(["extract", str(FILES / "tokens.gvc"), str(film)]) == 0
    words = ["ffmpeg", "-v", "error", "-i", film, *RAW, "-"]
    done = run_with(*words)
    assert done.stdout == run_plain(*words).stdout
    (line,) = set(done.stderr.decode().splitlines())
    assert line.startswith("gvcodec: base frames are shown: ") and "$GVCODEC_MODELS" in line
    models = str(ROOT / "conformance/models")
    painted = run_with(*words, GVCODEC_MODELS=models)
    assert painted.stderr == b""
    assert painted.stdout == b"".join(decode(film, "--model", models))


@needs("ffmpeg")
def test_sound_and_subtitles_are_those_of_the_file() -> None:
    words = ["ffmpeg", "-v", "quiet", "-i", FILES / "one-file.mkv", "-map", "0", "-f", "framecrc"]
    words += ["-c:a", "copy", "-c:s", "copy", "-"]
    painted, base = (done.stdout.splitlines() for done in (run_with(*words), run_plain(*words)))
    others = [line for line in base if not line.startswith((b"0,", b"#"))]
    assert others and [line for line in painted if not line.startswith((b"0,", b"#"))] == others
    assert painted != base


@needs("mpv")
def test_mpv_gives_the_frames_of_decode(films, tmp_path) -> None:
    output = tmp_path / "out.yuv"
    options = ["--no-config", "--no-audio", "--of=rawvideo", "--ovc=rawvideo", f"--o={output}"]
    run_with("mpv", *options, films.folder / "8.webm")
    assert output.read_bytes() == b"".join(films.frames[8])


@needs("mpv")
def test_a_picture_of_mpv_after_a_seek_is_painted(films, tmp_path) -> None:
    def show(run, name: str) -> bytes:
        options = ["--no-config", "--no-audio", "--vo=image", "--start=0.28", "--frames=1"]
        options += ["--vo-image-format=png", f"--vo-image-outdir={tmp_path / name}"]
        run("mpv", *options, films.folder / "8.mp4")
        (picture,) = (tmp_path / name).glob("*.png")
        return picture.read_bytes()

    assert show(run_with, "painted") != show(run_plain, "base")


def play_in_vlc(run, film: Path) -> list[bytes]:
    """The frames that VLC shows; it refuses to run as root."""
    output = film.with_name(f"{film.name}.{run.__name__}")
    output.mkdir()
    words = ["env", f"HOME={output}", "cvlc", "--ignore-config", "--intf", "dummy", "--no-audio"]
    words += ["--play-and-exit", "--vout", "yuv", "--no-osd", "--no-video-title-show"]
    words += [f"--yuv-file={output}/out", "--yuv-yuv4mpeg2", film]
    if os.geteuid() == 0:
        os.chown(output, NOBODY, NOBODY)
        # The package may lie in a folder that only root can read.
        capability = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
        user = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        words = ["setpriv", *user, *capability, *words]
    run(*words)
    return (output / "out").read_bytes().split(b"FRAME\n")[1:]


def check_frames_of_vlc(film: Path, expected: list[bytes]) -> None:
    """It may drop the last frames when it ends, and end while it writes one."""
    *frames, last = play_in_vlc(run_with, film)
    assert len(frames) >= FRAMES - 4
    assert all(frame in expected for frame in frames)
    assert any(frame.startswith(last) for frame in expected)


@needs("cvlc")
def test_vlc_gives_the_frames_of_decode(films) -> None:
    check_frames_of_vlc(films.folder / "8.mkv", films.frames[8])


@needs("cvlc")
def test_vlc_paints_ten_bits(films) -> None:
    """Its output here has eight bits, rounded in its own way."""
    size = WIDTH * HEIGHT
    shown = [
        np.frombuffer(frame[:size], np.uint8).astype(float)
        for frame in play_in_vlc(run_with, films.folder / "10.mkv")[:-1]
    ]
    assert len(shown) >= FRAMES - 4
    for luma in shown:
        painted, base = (
            min(abs(luma - np.frombuffer(frame, "<u2", size) / 4).mean() for frame in frames[10])
            for frames in (films.frames, films.base)
        )
        assert painted < 0.5 < base


@needs("cvlc")
@needs("ffmpeg")
def test_vlc_gives_base_frames_of_a_film_of_reduced_size(films) -> None:
    # A picture of another size would not fit into VLC's memory.
    encode(films.folder / "half.gvc", 8, scale=Fraction(1, 2))
    film = films.folder / "half.mp4"
    assert main(["extract", str(film.with_suffix(".gvc")), str(film)]) == 0
    base = run_plain("ffmpeg", "-v", "error", "-i", film, *RAW, "-").stdout
    size = len(base) // FRAMES
    check_frames_of_vlc(film, [base[n : n + size] for n in range(0, len(base), size)])


def test_the_libdav1d_of_pyav_paints(films) -> None:
    script = """if True:
        import av, sys
        for frame in av.open(sys.argv[1]).decode(video=0):
            sys.stdout.buffer.write(frame.to_ndarray().tobytes())"""
    done = run_with(sys.executable, "-c", script, films.folder / "8.mp4")
    assert done.stdout == b"".join(films.frames[8])


def test_exit_code_signals_and_arguments_are_those_of_the_program() -> None:
    assert run_with("sh", "-c", "exit 7", code=7)
    assert run_with("sh", "-c", "kill -TERM $$", code=-signal.SIGTERM)
    assert run_with("sh", "-c", "yes | head -n 1").stderr == b""  # SIGPIPE ends `yes`
    words = ["--", "--help", "-5", "--x", "-5", "--", "-h"]
    assert run_with("printf", "%s,", *words).stdout.decode() == ",".join([*words, ""])


def test_mpv_does_not_decode_in_hardware(tmp_path) -> None:
    (tmp_path / "mpv").write_text('#!/bin/sh\nprintf "%s," "$@"\n')
    (tmp_path / "mpv").chmod(0o755)
    assert run_with(tmp_path / "mpv", "a b.mp4").stdout == b"--hwdec=no,a b.mp4,"


def refuse(capsys, *words: object) -> str:
    capsys.readouterr()
    assert main(["with", *map(str, words)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_program_that_cannot_show_painted_pictures_is_refused(tmp_path, capsys) -> None:
    assert "no such program" in refuse(capsys, "no-such-program", "film.mp4")
    assert "statically" in refuse(capsys, find_ffmpeg(VVENC))
    static = tmp_path / "static"
    static.write_bytes(b"\x7fELF\x02\x01\x01".ljust(64, b"\0"))
    static.chmod(0o755)
    assert "statically" in refuse(capsys, static)
    sandboxed = tmp_path / "snap/bin/mpv"
    sandboxed.parent.mkdir(parents=True)
    sandboxed.write_text("#!/bin/sh\n")
    sandboxed.chmod(0o755)
    assert "sandbox" in refuse(capsys, sandboxed)


def test_a_damaged_or_privileged_program_is_refused(tmp_path, capsys) -> None:
    for content in (b"\x7fELF\x02\x01", b"\x7fELF\x02\x01\x01".ljust(40, b"\0") + b"\1"):
        damaged = tmp_path / "damaged"
        damaged.write_bytes(content)
        damaged.chmod(0o755)
        assert "damaged: its ELF header ends early" in refuse(capsys, damaged)
    shutil.copy("/bin/true", tmp_path / "privileged")
    (tmp_path / "privileged").chmod(0o4755)
    assert "another user's rights" in refuse(capsys, tmp_path / "privileged")


def preloaded(film: Path, models: object) -> "subprocess.CompletedProcess[bytes]":
    """FFmpeg with the library that a script preloads by itself."""
    library = Path(_core.__file__).with_name("libgvcodec-dav1d.so")
    environment = os.environ | {"LD_PRELOAD": str(library), "GVCODEC_MODELS": str(models)}
    words = ["ffmpeg", "-v", "error", "-i", str(film), *RAW, "-"]
    return subprocess.run(words, env=environment, capture_output=True, timeout=60, check=True)


@needs("ffmpeg")
def test_models_may_be_folders_and_nothing_else_is_read(films, tmp_path) -> None:
    film, base = films.folder / "8.mp4", b"".join(films.base[8])
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    for models in (tmp_path, "/dev/zero", tmp_path / "pipe.safetensors", tmp_path / "none", ""):
        done = preloaded(film, models)
        assert done.stdout == base
        assert b"$GVCODEC_MODELS" in done.stderr
    for models in (ROOT / "checkpoints", f"/dev/zero:{tmp_path}:{ROOT / 'checkpoints'}"):
        done = preloaded(film, models)
        assert done.stdout == b"".join(films.frames[8]) and done.stderr == b""


@needs("ffmpeg")
def test_memory_follows_the_pictures(tmp_path) -> None:
    """The header in the metadata claims 8192×8192, AV1 has 64×64."""
    film = Path(__file__).with_name("claims-8192.ivf")
    code = """import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"""
    command = [sys.executable, "-m", "gvcodec", "with", "ffmpeg", "-i", str(film)]
    command += ["-f", "null", "-"]
    done = subprocess.run(
        [sys.executable, "-c", code, *command], capture_output=True, timeout=120, check=True
    )
    assert int(done.stdout) < 200_000  # KiB
    lines = done.stderr.decode().splitlines()
    (line,) = {line for line in lines if line.startswith("gvcodec: ")}  # one for each decoder
    assert line.startswith("gvcodec: base frames are shown: ") and "of another size" in line


@pytest.mark.skipif(find_library("dav1d") is None, reason="needs libdav1d")
def test_a_program_that_leaves_memory_to_dav1d_says_so(films, tmp_path) -> None:
    """One line for a film of gvcodec, none for other AV1."""
    with av.open(str(films.folder / "8.mp4")) as container:
        unit = bytes(next(packet for packet in container.demux(video=0) if packet.size))
    code = """import ctypes, sys
unit = open(sys.argv[1], "rb").read()
dav1d = ctypes.CDLL(None)
settings, data, decoder = (ctypes.create_string_buffer(1024) for _ in range(3))
dav1d.dav1d_default_settings(settings)
assert dav1d.dav1d_open(decoder, settings) == 0
dav1d.dav1d_data_create.restype = ctypes.c_void_p
for _ in range(2):
    ctypes.memmove(dav1d.dav1d_data_create(data, len(unit)), unit, len(unit))
    assert dav1d.dav1d_send_data(ctypes.c_void_p.from_buffer(decoder), data) == 0"""
    library = Path(_core.__file__).with_name("libgvcodec-dav1d.so")
    environment = os.environ | {"LD_PRELOAD": f"{library}:{find_library('dav1d')}"}
    for content, lines in ((unit, 1), (_core.unit_parts(unit)[0], 0)):
        (tmp_path / "unit").write_bytes(content)
        words = [sys.executable, "-c", code, str(tmp_path / "unit")]
        done = subprocess.run(words, env=environment, capture_output=True, timeout=60, check=True)
        ours = [line for line in done.stderr.decode().splitlines() if line.startswith("gvcodec")]
        reason = "the program leaves the memory of pictures to dav1d"
        assert ours == [f"gvcodec: base frames are shown: {reason}"] * lines


def test_other_systems_and_builds_are_told(monkeypatch, capsys) -> None:
    module = sys.modules["gvcodec.cli.with"]
    monkeypatch.setattr(module, "_LIBRARY", "absent.so")
    assert "absent.so" in refuse(capsys, "sh")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "Linux" in refuse(capsys, "sh")


def test_a_gvc_file_comes_with_the_command_that_converts_it(tmp_path, capsys) -> None:
    (tmp_path / "mpv").write_text("#!/bin/sh\n")
    (tmp_path / "mpv").chmod(0o755)
    film = tmp_path / "a film.gvc"
    shutil.copy(FILES / "av1.gvc", film)
    advice = refuse(capsys, tmp_path / "mpv", film).partition(": gvcodec ")[2]
    assert main(shlex.split(advice)) == 0 and film.with_suffix(".mp4").exists()
    shutil.copy(FILES / "vvc.gvc", film)
    assert f"gvcodec serve {shlex.quote(str(film))}" in refuse(capsys, tmp_path / "mpv", film)
