"""No input of a megabyte takes more memory than `--max-memory` allows, whatever is done with it."""

from __future__ import annotations

import io
import os

import pytest

from gvcodec.bitstream import Kind, Packet, Reader, Writer
from gvcodec.bitstream.varint import encode_svar
from tests.conftest import run
from tests.fuzz.robustness import commands, hostile
from tests.fuzz.robustness.streams import streams

LIMIT = 128 << 20
#: What the bound does not cover: libraries that are loaded, and the file itself, read as a whole.
PROGRAM = 96 << 20


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="no /proc")
def test_peak_memory_is_within_the_bound_for_any_input() -> None:
    found = commands.try_command(hostile.bombs(1), LIMIT, trace=False)
    assert not found["crashes"] + found["hangs"]
    rows = [row for row in found["rows"] if "good" not in row["input"]]
    assert len(rows) > 120
    for row in rows:
        assert row["took"] <= LIMIT + PROGRAM, row
        assert row["code"] in (0, 1, 2, 3, 4, 5), row
    assert sum(row["code"] == 0 for row in rows) > 10


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_sound_ahead_of_the_encoder_waits_where_it_is_bounded(
    tmp_path, capsys, suffix: str
) -> None:
    """Empty packets with every frame: the encoder holds frames back, the muxer would keep all."""
    data = streams()["rich"]
    reader, output, frames = Reader(io.BytesIO(data)), io.BytesIO(), 0
    writer = Writer(output, reader.header)
    for packet in reader.packets():
        if packet.kind is not Kind.TRACKS or not frames:
            writer.write(packet)
        if packet.is_frame:
            # As many as fit; of track 0, at the time of the frame, no duration, no bytes.
            at = b"\1\0" + encode_svar(320 * frames) + b"\0\0"
            writer.write(Packet(Kind.TRACKS, at + b"\0\0\0\0" * 11_000))
            frames += 1
    writer.finish(reader.base_hash)
    (tmp_path / "a.gvc").write_bytes(output.getvalue())
    words = ["decode", str(tmp_path / "a.gvc"), str(tmp_path / f"o.{suffix}"), "--fidelity"]
    run(*words, "--max-memory", "80M", code=1)
    assert "sound and subtitles take more than 20 MiB" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.gvc"]
