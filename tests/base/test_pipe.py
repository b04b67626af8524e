"""VVenC through a program: found or asked for, its schedule, what happens when it fails or is given
up."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import pytest

from gvcodec.base.standard import programs
from gvcodec.base.standard.codec import StandardEncoder
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
