"""Evaluation of window budgets and of `--size`: small runs end to end, and what a table says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from clips import make_clip

from eval import alloc, sizes
from eval.__main__ import main
from gvcodec.allocation.oracle import Oracle, Survey


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "videos").mkdir()
    samples = (plane >> 2 for planes in make_clip(272, 48, 26, seed=1) for plane in planes)
    data = b"".join(plane.astype("u1").tobytes() for plane in samples)
    (tmp_path / "videos" / "one_272x48_25.yuv").write_bytes(data)
    return tmp_path


def test_alloc(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arms = {
        "uniform": lambda: None,
        "oracle": Oracle,
        "one slope": Survey,
        "twice uniform": lambda: None,
    }
    monkeypatch.setattr(alloc, "ARMS", arms)
    command = [
        "alloc",
        "--sequences",
        str(folder / "videos"),
        "--frames",
        "3",
        "--metrics",
        "psnr_y",
    ]
    command += ["--q", "30,38,46,54", "--out", str(folder / "out")]
    assert main(command) == 0
    result = json.loads((folder / "out" / "alloc.json").read_text())
    assert len(result["rows"]) == 16
    same = [
        [r["bytes"] for r in result["rows"] if r["arm"] == arm]
        for arm in ("uniform", "twice uniform")
    ]
    seconds = [
        sum(r["seconds"] for r in result["rows"] if r["arm"] == arm)
        for arm in ("uniform", "one slope")
    ]
    assert seconds[1] > 2 * seconds[0]  # trials, and a second encode
    assert same[0] == same[1] == sorted(same[0], reverse=True)
    text = (folder / "out" / "alloc.md").read_text()
    assert "| twice uniform | +0.0 % |" in text and "one" in text
    # Points that are there are not made again.
    result["rows"][0]["seconds"] = 1e6
    (folder / "out" / "alloc.json").write_text(json.dumps(result))
    assert main(command) == 0
    assert json.loads((folder / "out" / "alloc.json").read_text())["rows"][0]["seconds"] == 1e6
    marked = folder / "marked.md"
    marked.write_text("<!-- alloc:begin --><!-- alloc:end -->")
    assert main([*command, "--readme", str(marked)]) == 0 and "twice uniform" in marked.read_text()
    assert main([*command, "--q", "30,38"]) == 1


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
