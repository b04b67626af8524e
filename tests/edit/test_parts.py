"""`--replace` loses no part of a file without being told, in files of random parts; a check that
does not look at one kind of part is found out."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gvcodec.bitstream.metadata import Metadata
from gvcodec.edit import copy_check
from gvcodec.edit.contents import Loss, Part
from gvcodec.tracks.packets import TrackPacket, TrackWriter
from tests.edit.parts import Case, Material, run_case, run_cases

CASES = 60


def test_no_part_is_lost_without_being_told(tmp_path: Path) -> None:
    storable, replaced, _ = run_cases(range(CASES), tmp_path)
    assert storable > CASES // 3 and replaced >= 0.95 * storable


@pytest.fixture(scope="module")
def material(tmp_path_factory) -> Material:
    return Material(tmp_path_factory.mktemp("material"))


def lose_metadata(monkeypatch, name: str) -> None:
    """Encoders forget the tags or the chapters."""
    pack = Metadata.pack
    monkeypatch.setattr(Metadata, "pack", lambda self: pack(replace(self, **{name: ()})))


def change_packets(monkeypatch, track: int) -> None:
    """Encoders change the first byte of each packet of a track."""
    send = TrackWriter.send

    def send_other(self: TrackWriter, packet: TrackPacket) -> None:
        is_one = packet.track == track
        data = bytes([packet.data[0] ^ 1]) + packet.data[1:]
        send(self, replace(packet, data=data) if is_one else packet)

    monkeypatch.setattr(TrackWriter, "send", send_other)


SOUND = [("flac", "eng", "")]
#: A kind of part, a file with one that is lost, and the defect of an encoder that loses it.
LOSSES: list[tuple[str, Case, Any]] = [
    ("video", Case("mkv", cameras=2, sounds=SOUND), None),
    ("timecode", Case("mov", timecode=True), None),
    ("data", Case("ts", telemetry=True), None),
    ("interlacing", Case("mkv", picture="interlaced"), None),
    ("alpha", Case("mkv", picture="alpha"), None),
    ("stereo", Case("mkv", stereo=True), None),
    ("chapters", Case("mkv", chapters=3), lambda patch: lose_metadata(patch, "chapters")),
    ("tags", Case("mkv", tags={"artist": "Zoë"}), lambda patch: lose_metadata(patch, "tags")),
    ("sound", Case("mkv", sounds=[*SOUND, ("pcm_s16le", "", "")]), lambda p: change_packets(p, 1)),
    ("subtitle", Case("mkv", subtitles=[("srt", "")]), lambda p: change_packets(p, 0)),
]


@pytest.mark.parametrize(("name", "case", "break_encoder"), LOSSES, ids=[row[0] for row in LOSSES])
def test_a_check_that_leaves_out_one_kind_is_found_out(
    name: str, case: Case, break_encoder: Any, material: Material, tmp_path: Path, monkeypatch
) -> None:
    if break_encoder is not None:
        break_encoder(monkeypatch)
    reason = run_case(case, material, tmp_path)
    assert "would lose" in reason and f"(--allow-loss {name} permits it)" in reason
    real = copy_check.losses

    def losses(original: list[Part], *others: Any) -> list[Loss]:
        return real([part for part in original if part.name != name], *others)

    monkeypatch.setattr(copy_check, "losses", losses)
    for path in tmp_path.iterdir():
        path.unlink()
    with pytest.raises(AssertionError, match=f"lost: .*'{name}'"):
        run_case(case, material, tmp_path)
