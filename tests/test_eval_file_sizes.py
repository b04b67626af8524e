"""Evaluation of `--size`: a small run end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from clips import make_clip

from eval.__main__ import main
from eval.rd import sizes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "videos").mkdir()
    samples = (plane >> 2 for planes in make_clip(272, 48, 26, seed=1) for plane in planes)
    data = b"".join(plane.astype("u1").tobytes() for plane in samples)
    (tmp_path / "videos" / "one_272x48_25.yuv").write_bytes(data)
    return tmp_path


def test_sizes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "STEPS", 2)
    command = [
        "sizes",
        "--sequences",
        str(folder / "videos"),
        "--out",
        str(folder / "out"),
        "--threads",
        "1",
    ]
    assert main(command) == 0
    rows = json.loads((folder / "out" / "sizes-klt.json").read_text())["rows"]
    # A frame of the smaller file has about fifteen bytes: one of them is three per cent.
    assert len(rows) == 2 and all(0.97 * r["wanted"] <= r["bytes"] <= r["wanted"] for r in rows)
    assert main([*command, "--frames", "4"]) == 1  # less than a second
