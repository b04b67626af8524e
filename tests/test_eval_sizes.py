"""`python -m eval sizes`: files keep to their sizes, and are compared with those of one q."""

import pytest

pytest.importorskip("torch")

from eval.__main__ import main
from eval.rd import sizes
from eval.tools import read_json


def test_table(tmp_path, capsys, monkeypatch, made_weights):
    monkeypatch.setattr(sizes, "STEPS", 2)
    monkeypatch.setattr(sizes, "SPAN", 3.0)
    words = [
        "sizes",
        "--set",
        "procedural",
        "--only",
        "pan",
        "--frames",
        "25",
        "--base",
        "av1",
        "--threads",
        "1",
    ]
    assert main([*words, "--quality", "--out", str(tmp_path)]) == 0
    rows = read_json(tmp_path / "sizes-av1.json")["rows"]
    assert len(rows) == 2 and rows[0]["wanted"] == pytest.approx(3 * rows[1]["wanted"], rel=0.01)
    for row in rows:
        assert row["bytes"] <= row["wanted"] and row["other_bytes"] <= row["wanted"]
        assert abs(row["psnr_won"]) < 1 and 0.8 < row["lpips_ratio"] < 1.25
    assert rows[0]["other_bytes"] == rows[0]["wanted"]  # the first size is that of a file of one q
    assert "PSNR-Y | LPIPS-VGG†" in capsys.readouterr().out
