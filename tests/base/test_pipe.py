"""Encoders in a program: found or asked for, which SVT-AV1 codes, VVenC's schedule, what happens
when a program fails or is given up."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import pytest

import gvcodec
from gvcodec.base.standard import programs
from gvcodec.base.standard.codec import StandardEncoder
from gvcodec.base.standard.encoders import Settings, av1_options, uses_screen_tools
from gvcodec.errors import UsageError
from gvcodec.types import Planes
from tests.base.test_standard import decode, form
from tests.conftest import clips_equal, moving_texture, run


@pytest.fixture
def program(tmp_path, monkeypatch) -> Path:
    """A program that claims to hold VVenC, takes one frame and fails."""
    path = tmp_path / "ffmpeg"
    path.write_text(
        f"#!{sys.executable}\nimport sys\n"
        "if '-encoders' in sys.argv: print(' V..... libvvenc libvvenc H.266'); sys.exit()\n"
        "sys.stdin.buffer.read(96 * 80 * 3); print('no room', file=sys.stderr); sys.exit(1)\n"
    )
    path.chmod(0o755)
    monkeypatch.setenv(programs.FFMPEG_VARIABLE, str(path))
    return path


def test_units_leave_on_a_fixed_schedule_and_restore_the_clip() -> None:
    clip = moving_texture(96, 80, 75)
    encoder = StandardEncoder(form(96, 80), "vvc", 50, keyint=70)
    parts = [encoder.send(planes) for planes in clip]
    counts = [len(part.packets) for part in parts]
    assert counts == [0] * 64 + [1] * 6 + [64] + [0] * 4
    parts.append(encoder.flush())
    packets = [packet for part in parts for packet in part.packets]
    base_frames = [base_frame for part in parts for base_frame in part.base_frames]
    assert [number for number, packet in enumerate(packets) if packet.keyframe] == [0, 70]
    assert clips_equal(decode(packets, 96, 80, "vvc"), base_frames)


def test_a_program_without_vvenc_is_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv(programs.FFMPEG_VARIABLE, str(tmp_path / "none"))
    with pytest.raises(UsageError, match="none has no encoder libvvenc"):
        programs.find_ffmpeg()
    monkeypatch.delenv(programs.FFMPEG_VARIABLE)
    monkeypatch.setattr(programs, "_find_carried", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"pip install 'gvcodec\[vvc\]'"):
        programs.find_ffmpeg()


def test_low_delay_is_refused() -> None:
    with pytest.raises(UsageError, match="vvc base layer has no form of low delay"):
        StandardEncoder(form(96, 80), "vvc", 50, low_delay=True)


@pytest.mark.parametrize("count", [3, 20])
def test_the_command_line_leaves_no_file_when_the_program_fails(
    program: Path, tmp_path, capsys, count: int
) -> None:
    """At the end of the source, and while it still writes frames."""
    source, stream = tmp_path / "in.y4m", tmp_path / "out.bin"
    frame = b"FRAME\n" + bytes(96 * 80 * 3 // 2)
    source.write_bytes(b"YUV4MPEG2 W96 H80 F25:1 C420jpeg\n" + count * frame)
    run("encode", source, stream, "--base", "vvc", "--fit", "off", code=1)
    assert capsys.readouterr().err.splitlines()[-1].endswith("ffmpeg with libvvenc failed: no room")
    assert not stream.exists()


def test_an_encoder_that_is_given_up_leaves_no_process(clip: list[Planes]) -> None:
    encoder = StandardEncoder(form(96, 80), "vvc", 50)
    encoder.send(clip[0])
    process = encoder._encoder._gops[0]._process
    os.kill(process.pid, 0)
    del encoder
    gc.collect()
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def encoded_gops(clip: list[Planes], **options: object) -> tuple[list, list[Planes]]:
    encoder = StandardEncoder(form(96, 80), "av1", 50, threads=1, **options)
    parts = [*(encoder.send(planes) for planes in clip), encoder.flush()]
    packets = [packet for part in parts for packet in part.packets]
    return packets, [frame for part in parts for frame in part.base_frames]


def test_svtav1_codes_where_it_is_newest_and_the_file_says_which(clip, monkeypatch) -> None:
    """In the program and inside PyAV: closed GOPs, the same decoder, a file that names it."""
    program, version = programs.newest_svt()
    if program is None:
        pytest.skip("no program has a newer SVT-AV1 than PyAV")
    sizes = {}
    for named, expected in ((None, version), ("none", programs.pyav_svt_version())):
        if named:
            monkeypatch.setenv(programs.FFMPEG_VARIABLE, named)
        assert programs.newest_svt()[1] == expected
        packets, base_frames = encoded_gops(clip, keyint=6, preset=8)
        assert [n for n, p in enumerate(packets) if p.keyframe] == list(range(0, len(clip), 6))
        assert clips_equal(decode(packets, 96, 80, "av1"), base_frames)
        sizes[named] = [len(packet.payload) for packet in packets]
        found = gvcodec.info(gvcodec.encode(clip[:2], base="av1", fit=0, preset=8, q=60))
        assert found.encoder == "SVT-AV1 " + ".".join(map(str, expected[:3])) + "".join(
            f"-{part}" for part in expected[3:] if part
        )
    assert sizes[None] != sizes["none"], "two encoders"


def test_an_older_program_is_not_taken(tmp_path, monkeypatch) -> None:
    path = tmp_path / "ffmpeg"
    path.write_text(
        f"#!{sys.executable}\nimport sys\n"
        "print('Svt[info]: SVT [version]:\\tSVT-AV1 Encoder Lib v1.4.1', file=sys.stderr)\n"
    )
    path.chmod(0o755)
    monkeypatch.setenv(programs.FFMPEG_VARIABLE, str(path))
    assert programs.newest_svt() == (None, programs.pyav_svt_version())
    path.write_text(path.read_text().replace("v1.4.1", "v99.0.0-3-gabc"))
    programs._svt_version.cache_clear()
    assert programs.newest_svt() == (str(path), (99, 0, 0, 3))


def test_screen_tools_are_never_left_to_detection() -> None:
    for version in ((4, 1, 0, 0), (4, 2, 0, 151), ()):
        for samples in (640 * 360, 1920 * 1080):
            for preset in (0, 2, 3, 8):
                options = av1_options(Settings(50, preset=preset), samples, version)
                words = options["svtav1-params"].split(":")
                assert ("scm=1" in words) != ("scm=0" in words) and "scm=2" not in words
    assert not uses_screen_tools(2, 1920 * 1080, (4, 1, 0, 0)), "seven times the time there"
    assert uses_screen_tools(4, 1920 * 1080, (4, 2, 0, 0))
