"""Clips that nobody tuned on, the check against what was measured before, and smaller sizes of a
peer as part of its curve."""

from __future__ import annotations

import csv

import pytest

from eval.report.data import load
from eval.sequences import KEPT_OUT, kept_out_sources
from eval.tools import EvalError, write_json

CURVE = [(0.006, 0.4), (0.02, 0.2), (0.06, 0.1)]


def put(folder, row, curve, family="gvcodec", **codec):
    """A row's curve of one clip: LPIPS-Alex, DISTS and PSNR-Y that mean the same."""
    targets = {}
    for number, (bpp, value) in enumerate(curve):
        metrics = {"lpips_alex": value, "dists": value, "psnr_y": 40 - 10 * value}
        means = {name: {"mean": mean} for name, mean in metrics.items()}
        clip = {"name": "a", "frames": 48, "set": "kept-out", "stand_in": False}
        name = f"a__{row}__{number}.json"
        write_json(folder / "runs" / name, {"bpp": bpp, "metrics": means, "clip": clip})
        targets[str(bpp)] = {"q": number, "run": name}
    about = {"name": row, "label": row, "family": family, "output": "", **codec}
    write_json(
        folder / "curves" / f"a__{row}.json", {"clip": "a", "codec": about, "targets": targets}
    )


def test_every_kept_out_clip_has_its_reason(tmp_path):
    with open(KEPT_OUT, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len({row["clip"] for row in rows}) == len(rows) == 12
    assert all(row["kept"] in ("source", "clip") and len(row["why"]) > 40 for row in rows)
    with pytest.raises(EvalError, match=f"{rows[0]['clip']}.mp4, .* missing"):
        kept_out_sources(tmp_path)


def test_smaller_sizes_belong_to_the_curve_of_their_codec(tmp_path):
    put(tmp_path, "svtav1-ra", CURVE, "svtav1")
    put(tmp_path, "svtav1-0.5-ra", [(0.004, 0.45)], "svtav1", part_of="svtav1-ra")
    results = load(tmp_path)
    assert list(results.rows) == ["svtav1-ra"]
    assert results.curve("a", "svtav1-ra", "dists") == [(0.004, 0.45), *CURVE]
