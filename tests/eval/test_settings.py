"""`python -m eval settings`: the layer's own preset costs nothing, a quick one costs bits and saves
time."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("imageio_ffmpeg")

from eval.__main__ import main
from eval.tools import read_json
from gvcodec.base.standard.encoders import USUAL_PRESETS
from tests.eval_helpers import PAN


def test_table(tmp_path, capsys, made_weights):
    settings = [f"preset={USUAL_PRESETS['av1']}", "preset=10:tune=0", "base=vvc:preset=4"]
    words = ["settings", *PAN, "--frames", "17", "--q", "44,52,60"]
    assert main([*words, "--settings", ",".join(settings), "--out", str(tmp_path)]) == 0
    same, quick, other = (read_json(tmp_path / "settings.json")["rows"][s][0] for s in settings)
    assert same["psnr_y"] == pytest.approx(0, abs=1e-6) and same["dists"] == pytest.approx(
        0, abs=1e-6
    )
    assert quick["psnr_y"] > 1 and quick["time"] < 1
    assert other["psnr_y"] != quick["psnr_y"] and other["time"] > 0.01, (
        "VVenC is a process of its own"
    )
    assert f"| `{settings[0]}` | +0.0 % | +0.0 % | +0.0 % |" in capsys.readouterr().out
    for wrong, message in (
        ("preset=fast", "a preset is a number"),
        ("preset=11", "0 to 10"),
        ("base=klt", "klt is unknown"),
        ("base=vvc:tune=0", "tune=0 is for SVT-AV1"),
    ):
        assert main([*words, "--settings", wrong, "--out", str(tmp_path)]) == 1
        assert message in capsys.readouterr().err
    assert main([*words, "--q", "44,52", "--out", str(tmp_path)]) == 1
    assert "three or more" in capsys.readouterr().err


def test_painted_frames_beside_base_frames(tmp_path, monkeypatch, made_weights):
    from eval.rd import settings

    monkeypatch.setattr(settings, "EVERY_PAINTED", {"dists": 8, "psnr_y": 1})
    words = ["settings", *PAN, "--frames", "6", "--q", "44,52,60", "--painted"]
    words += ["--anchor", "preset=10:unpainted", "--settings", "preset=10:unpainted,preset=10"]
    assert main([*words, "--out", str(tmp_path)]) == 0
    rows = read_json(tmp_path / "settings.json")["rows"]
    same, painted = (rows[f"preset=10{more}"][0] for more in (":unpainted", ""))
    assert same["dists"] == pytest.approx(0, abs=1e-6) and same["psnr_y"] == pytest.approx(
        0, abs=1e-6
    )
    assert painted["dists"]
    points = read_json(tmp_path / "points.json")
    assert len(points) == 6 and main([*words, "--out", str(tmp_path)]) == 0, "what is there is kept"
    assert read_json(tmp_path / "points.json") == points
