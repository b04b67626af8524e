"""Parts of the evaluation that lean on packages seldom installed, tried with stand-ins for those
packages."""

import importlib
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("imageio_ffmpeg")

from safetensors.torch import load_file

from eval.metrics import weights
from eval.tools import EvalError
from gvcodec.painter import perceptual

TORCHVISION = """
import torch
class _Model:
    def __init__(self, name): self.name = name
    def state_dict(self):
        return {"features.0.weight": torch.full((2, 2), 0.1), "classifier.0.weight": torch.ones(9)}
class models:
    alexnet = staticmethod(lambda weights: _Model("alexnet"))
    vgg16 = staticmethod(lambda weights: _Model("vgg16"))
"""


@pytest.fixture
def stand_ins(tmp_path, monkeypatch):
    """A folder on the import path; packages put there are forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    yield tmp_path / "packages"
    for name in set(sys.modules) - before:
        if name.split(".")[0] in ("torchvision", "lpips", "DISTS_pytorch"):
            del sys.modules[name]
    importlib.invalidate_caches()


def test_weight_files_are_made_from_the_packages(stand_ins, tmp_path, monkeypatch):
    for name in ("lpips/weights/v0.1", "DISTS_pytorch", "torchvision"):
        (stand_ins / name).mkdir(parents=True)
    for name in ("lpips", "DISTS_pytorch"):
        (stand_ins / name / "__init__.py").write_text("")
    (stand_ins / "torchvision" / "__init__.py").write_text(TORCHVISION)
    linear = {"lin0.model.1.weight": torch.ones(1, 4, 1, 1)}
    for name in ("alex", "vgg"):
        torch.save(linear, stand_ins / f"lpips/weights/v0.1/{name}.pth")
    factors = {"alpha": torch.ones(3), "beta": torch.ones(3)}
    torch.save(factors, stand_ins / "DISTS_pytorch/weights.pt")
    weights.export(tmp_path / "made")
    alex, vgg = (load_file(tmp_path / "made" / f"lpips_{n}.safetensors") for n in ("alex", "vgg"))
    assert set(alex) == {"lin0.weight", "features.0.weight"}
    assert set(vgg) == set(alex) | {"alpha", "beta"}
    assert alex["features.0.weight"].dtype == torch.float32
    assert vgg["features.0.weight"].dtype == torch.float16
    monkeypatch.setenv(perceptual.WEIGHTS_VARIABLE, str(tmp_path / "made"))
    assert perceptual.find_weights() == tmp_path / "made"


def test_a_torchvision_that_does_not_fit_is_said_in_a_line(stand_ins, tmp_path):
    for name in ("lpips/weights/v0.1", "torchvision"):
        (stand_ins / name).mkdir(parents=True)
    (stand_ins / "lpips/__init__.py").write_text("")
    (stand_ins / "torchvision/__init__.py").write_text(
        "raise RuntimeError('no operator nms\\nmore')"
    )
    torch.save({"lin0.model.1.weight": torch.ones(1)}, stand_ins / "lpips/weights/v0.1/alex.pth")
    with pytest.raises(EvalError, match="torchvision does not fit .*: no operator nms$"):
        weights.export(tmp_path)


def test_missing_packages_are_named(tmp_path):
    if importlib.util.find_spec("lpips") is None:
        with pytest.raises(EvalError, match="lpips"):
            weights.export(tmp_path)


def test_painting_is_compared_within_files():
    from eval.report.data import Results
    from eval.report.tables import painting_table

    def run(lpips, flicker):
        means = {"lpips_alex": lpips, "dists": 0.1, "psnr_y": 30 + lpips, "flicker": flicker}
        return {"bpp": 0.0203, "metrics": {name: {"mean": mean} for name, mean in means.items()}}

    rows = {
        f"gvcodec-{o}": {"label": f"gvcodec, {o}", "output": o} for o in ("fidelity", "rendered")
    }
    rows["x265-ld"] = {"label": "x265", "output": ""}
    runs = {
        "gvcodec-fidelity": {0.02: run(0.2, 0.1)},
        "gvcodec-rendered": {0.02: run(0.15, 0.3), 0.04: run(0.1, 0.3)},
    }
    results = Results({"a": {"frames": 48}}, rows, {"a": runs}, source_change={"a": 2.0})
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
    assert painting_table(results) == (
        ["the same files, painted", "bpp", "PSNR-Y"],
        [["a", "0.0203", "-0.05 dB"]],
    )


def test_what_painting_saves_is_a_rate_within_files():
    from eval.report.data import Results
    from eval.report.tables import own_table

    def curve(factor):
        rates = (0.005, 0.01, 0.02, 0.04, 0.08)
        points = {}
        for t in rates:
            lpips, psnr = 0.002 / (factor * t) ** 0.5, 40 + 10 * np.log10(factor * t)
            metrics = {"lpips_alex": {"mean": lpips}, "psnr_y": {"mean": psnr}}
            points[t] = {"bpp": t, "metrics": metrics}
        return points

    rows = {
        f"gvcodec-{o}": {"label": f"gvcodec, {o}", "output": o} for o in ("fidelity", "rendered")
    }
    rows["x265-ld"] = {"label": "x265", "output": ""}
    saved = {"a": 1.25, "b": 1.0}
    runs = {
        c: {"gvcodec-fidelity": curve(1.0), "gvcodec-rendered": curve(f)} for c, f in saved.items()
    }
    clips = {c: {"frames": 48, "set": "toy", "stand_in": False} for c in saved}
    header, (line,) = own_table(Results(clips, rows, runs))
    assert header[0].endswith("toy") and len(header) == len(line) == 5
    assert line[0] == "gvcodec, rendered" and line[1].startswith("-10.0 %") and line[2] == "+0.0 %"
    assert line[3].startswith("-10.0 %") and line[4] == "+0.0 %"
    assert own_table(Results(clips, {"x265-ld": rows["x265-ld"]}, {}))[1] == []


def test_own_change_of_a_source():
    import numpy as np

    from eval.metrics.flicker import own_change

    still = np.random.default_rng(1).integers(0, 1023, (64, 96)).astype(np.uint16)
    assert own_change([(still, still)], 10) == 0
    assert own_change([], 8) == 0
    brighter = np.minimum(still + 8, 1023)
    assert own_change([(still, brighter)], 10) == pytest.approx(2, rel=0.2)
