"""Encoders in a program and their own options; graphics that change from frame to frame."""

import gc
import os
import sys
from pathlib import Path

import numpy as np
import pytest

import gvcodec
from gvcodec.base.standard.encoder import StandardEncoder
from gvcodec.base.standard.encoders import Settings, av1_options, parse_params, uses_screen_tools
from gvcodec.errors import UsageError
from gvcodec.types import Planes
from gvcodec.util import ffmpeg
from gvcodec.util.ffmpeg import VVENC, find_ffmpeg
from tests.base.test_standard import decode, form
from tests.clips import make_clip, write_clip
from tests.conftest import FASTEST, clips_equal, moving_texture, run, send_all
from tests.errors import raises


def program_of(path: Path, code: str, monkeypatch) -> None:
    path.write_text(f"#!{sys.executable}\nimport sys\n{code}\n")
    path.chmod(0o755)
    monkeypatch.setenv(ffmpeg.FFMPEG_VARIABLE, str(path))


@pytest.fixture
def program(tmp_path, monkeypatch) -> None:
    """A program that claims to hold VVenC, takes one frame and fails."""
    code = (
        "if '-encoders' in sys.argv: print(' V..... libvvenc libvvenc H.266'); sys.exit()\n"
        "sys.stdin.buffer.read(96 * 80 * 3); print('no room', file=sys.stderr); sys.exit(1)"
    )
    program_of(tmp_path / "ffmpeg", code, monkeypatch)


def test_units_leave_on_a_fixed_schedule_and_restore_the_clip() -> None:
    clip = moving_texture(96, 80, 75)
    encoder = StandardEncoder(form(96, 80), "vvc", Settings(50, preset=4), keyint=70)
    parts = [encoder.send(planes) for planes in clip]
    assert [len(part.packets) for part in parts] == [0] * 64 + [1] * 6 + [64] + [0] * 4
    parts.append(encoder.flush())
    packets = [packet for part in parts for packet in part.packets]
    base_frames = [base_frame for part in parts for base_frame in part.base_frames]
    assert [number for number, packet in enumerate(packets) if packet.keyframe] == [0, 70]
    assert clips_equal(decode(packets, 96, 80, "vvc"), base_frames)


def test_a_program_without_vvenc_is_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv(ffmpeg.FFMPEG_VARIABLE, str(tmp_path / "none"))
    with raises(UsageError, "package-missing"):
        find_ffmpeg(VVENC)
    monkeypatch.delenv(ffmpeg.FFMPEG_VARIABLE)
    monkeypatch.setattr(ffmpeg, "_find_carried", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="pip install imageio-ffmpeg"):
        find_ffmpeg(VVENC)


@pytest.mark.parametrize("base", ["av1", "vvc"])
def test_lines_that_a_script_around_ffmpeg_prints_are_skipped(tmp_path, monkeypatch, base) -> None:
    """As modules of clusters and wrappers of distributions do; the file is the same."""
    film = write_clip(tmp_path / "a.mkv", moving_texture(96, 80, 12))
    words = ("encode", film, tmp_path / "o.gvc", "-y", "--base", base, "--fit", "off")
    words += ("--preset", FASTEST[base])
    run(*words)
    plain = (tmp_path / "o.gvc").read_bytes()
    real = find_ffmpeg(VVENC if base == "vvc" else "libsvtav1")
    code = (
        "import os\nprint('Loading module ffmpeg/9.0\\n' * 3, flush=True)\n"
        f"os.execv({real!r}, [{real!r}, *sys.argv[1:]])"
    )
    program_of(tmp_path / "ffmpeg", code, monkeypatch)
    run(*words)
    assert (tmp_path / "o.gvc").read_bytes() == plain


def test_low_delay_is_refused() -> None:
    with raises(UsageError, "base-feature"):
        StandardEncoder(form(96, 80), "vvc", Settings(50, low_delay=True))


@pytest.mark.parametrize("count", [3, 20])
def test_the_command_line_leaves_no_file_when_the_program_fails(program, tmp_path, count):
    """At the end of the source, and while it still writes frames."""
    source, stream = tmp_path / "in.y4m", tmp_path / "out.bin"
    frame = b"FRAME\n" + bytes(96 * 80 * 3 // 2)
    source.write_bytes(b"YUV4MPEG2 W96 H80 F25:1 C420jpeg\n" + count * frame)
    said = run("encode", source, stream, "--base", "vvc", "--fit", "off", code=1)
    assert said.err.splitlines()[-1].endswith("ffmpeg with libvvenc failed: no room")
    assert not stream.exists()


def test_an_encoder_that_is_given_up_leaves_no_process(clip: list[Planes]) -> None:
    encoder = StandardEncoder(form(96, 80), "vvc", Settings(50))
    encoder.send(clip[0])
    number = encoder._encoder._gops[0]._process.pid
    os.kill(number, 0)
    del encoder
    gc.collect()
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_the_file_names_the_svtav1_that_coded_it(clip) -> None:
    version = ffmpeg.svt_version(find_ffmpeg(ffmpeg.SVT))
    assert version >= (4,)
    encoder = StandardEncoder(form(96, 80), "av1", Settings(50, threads=1, preset=8), keyint=6)
    packets, base_frames = send_all(encoder, clip)
    assert [n for n, p in enumerate(packets) if p.keyframe] == list(range(0, len(clip), 6))
    assert clips_equal(decode(packets, 96, 80, "av1"), base_frames)
    found = gvcodec.info(gvcodec.encode(clip[:2], base="av1", fit=0, preset=8, q=60))
    words = ".".join(map(str, version[:3])), *(str(part) for part in version[3:] if part)
    assert found.encoder == f"SVT-AV1 {'-'.join(words)}"


def test_a_program_without_svtav1_is_named(tmp_path, monkeypatch) -> None:
    program_of(tmp_path / "ffmpeg", "print(' V..... libx264 H.264')", monkeypatch)
    with raises(UsageError, "package-missing"):
        StandardEncoder(form(96, 80), "av1", Settings(50))


def test_the_version_is_what_the_program_says(tmp_path, monkeypatch) -> None:
    path = tmp_path / "ffmpeg"
    says = (
        "print('Svt[info]: SVT [version]:\\tSVT-AV1 Encoder Lib v99.0.0-3-gabc', file=sys.stderr)"
    )
    program_of(path, says, monkeypatch)
    assert ffmpeg.svt_version(str(path)) == (99, 0, 0, 3)


def test_screen_tools_are_never_left_to_detection() -> None:
    for version in ((4, 1, 0, 0), (4, 2, 0, 151), ()):
        for samples in (640 * 360, 1920 * 1080):
            for preset in (0, 2, 3, 8):
                options = av1_options(Settings(50, preset=preset), samples, version)
                words = options["svtav1-params"].split(":")
                assert ("scm=1" in words) != ("scm=0" in words) and "scm=2" not in words
    assert not uses_screen_tools(2, 1920 * 1080, (4, 1, 0, 0)), "seven times the time there"
    assert uses_screen_tools(4, 1920 * 1080, (4, 2, 0, 0))


CLIP = make_clip(96, 80, 8, seed=3)


def coded(**settings: object) -> bytes:
    return gvcodec.encode(CLIP, fit=0, threads=1, base="av1", preset=10, **settings)


def test_options_reach_svt_av1_and_the_file_is_exact() -> None:
    plain, tuned = coded(), coded(encoder_params="enable-cdef=0:tune=0")
    assert tuned != plain == coded(encoder_params="")
    assert len(list(gvcodec.decode_planes(tuned))) == len(CLIP)


def test_options_reach_vvenc() -> None:
    plain, tuned = (
        gvcodec.encode(CLIP, fit=0, threads=1, base="vvc", preset=4, encoder_params=params)
        for params in ("", "GOPSize=16:SAO=0")
    )
    assert tuned != plain and len(list(gvcodec.decode_planes(tuned))) == len(CLIP)


@pytest.mark.parametrize(
    ("codec", "params", "words"),
    [
        ("av1", "film-grain=8", "film-grain is refused: film grain is made in each player's"),
        ("av1", "tune=0:crf=20", "crf is refused: -q, --size, --target and --maxrate say that"),
        ("av1", "resize-mode=1", "every picture has the size"),
        ("av1", "superres-mode=3", "every picture has the size"),
        ("av1", "keyint=30", "keyframes are placed by --keyint"),
        ("av1", "enable-overlays=1", "each frame that is sent has one packet"),
        ("av1", "lp=4", "--threads says that"),
        ("av1", "input-depth=10", "the source says that"),
        ("av1", "tune", "are K=V:K=V…, 'tune' is none of these"),
        ("av1", "tune=0:", "'' is none of these"),
        ("av1", "nosuch=1", "Error parsing option nosuch: 1"),
        ("av1", "tune=99", "Invalid tune flag"),
        ("vvc", "QP=20", "QP is refused: -q, --size"),
        ("vvc", "InternalBitDepth=8", "the source says that"),
        ("vvc", "Threads=4", "VVenC is exact in one thread alone"),
        ("vvc", "nosuch=1", "Unknown vvenc option: nosuch"),
    ],
)
def test_what_breaks_a_promise_or_is_unknown_is_refused(codec, params, words):
    with pytest.raises(UsageError) as refused:
        parse_params(codec, params)
    assert words in str(refused.value) and "\n" not in str(refused.value)


def test_other_bases_have_none() -> None:
    with raises(UsageError, "base-feature"):
        gvcodec.encode(CLIP, fit=0, base="gvc1d", encoder_params="tune=0")


def test_the_command_takes_and_refuses_them(tmp_path, inline_batch) -> None:
    source, stream = tmp_path / "in.mkv", tmp_path / "out.gvc"
    write_clip(source, CLIP)
    common = ("--fit", "off", "--preset", 10, "-y")
    run("encode", source, stream, "--encoder-params", "sharpness=2", *common)
    refused = run("encode", source, stream, "--encoder-params=film-grain=8", *common, code=2)
    assert refused.err.startswith("gvcodec: encoder param film-grain is refused: film")
    table, out = tmp_path / "list.csv", tmp_path / "out"
    table.write_text("uri,encoder_params\nin.mkv,sharpness=2\n")
    run("batch", table, "-o", out, *common[:-1], "--base", "av1", "--jobs", 1)
    assert (out / "in.gvc").is_file()


FRAMES, WIDTH, HEIGHT, BARS = 60, 160, 96, 10


def numbered(number: int) -> Planes:
    luma = np.tile(np.linspace(400, 640, WIDTH), (HEIGHT, 1)).astype(np.uint16)
    for bit in range(BARS):
        luma[16:80, 16 * bit : 16 * bit + 16] = 880 if number >> bit & 1 else 130
    flat = np.full((HEIGHT // 2, WIDTH // 2), 512, np.uint16)
    return luma, flat, flat


@pytest.mark.parametrize(("preset", "q"), [(8, 5), (10, 30)])
def test_no_frame_is_far_below_the_others(tmp_path, preset: int, q: int) -> None:
    write_clip(tmp_path / "a.mkv", [numbered(number) for number in range(FRAMES)])
    fast = {"base": "av1", "preset": preset, "fit": 0}
    gvcodec.encode_file(tmp_path / "a.mkv", tmp_path / "a.gvc", q=q, **fast)
    found = gvcodec.verify(tmp_path / "a.gvc", tmp_path / "a.mkv", fidelity=True)
    assert found.worst is not None
    # A frame without one of its bars has 20 dB at most.
    assert found.worst[1] > 30
