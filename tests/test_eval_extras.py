"""Parts of the evaluation that lean on packages seldom installed, tried with stand-ins for those packages."""

import importlib
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("imageio_ffmpeg")

from eval_helpers import small_clip
from safetensors.torch import load_file

from eval import weights
from eval.codecs import Options, resolve
from eval.codecs import zoo as zoo_codec
from eval.tools import EvalError
from eval.video import decoded_raw
from gvcodec import perceptual

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
#: One "latent" a 64×64 tile: its mean colour. A quality is the number of bits of a channel.
COMPRESSAI = """
import torch
class Model:
    def __init__(self, quality): self.quality = quality
    def eval(self): return self
    def compress(self, x):
        tiles = torch.nn.functional.avg_pool2d(x, 64)
        levels = (1 << self.quality) - 1
        data = bytes((tiles * levels).round().to(torch.uint8).flatten().tolist())
        return {"strings": [[data], [b"!"]], "shape": tiles.shape[2:]}
    def decompress(self, strings, shape):
        assert strings[1] == [b"!"]
        tiles = torch.tensor(list(strings[0][0])).view(1, 3, *shape) / ((1 << self.quality) - 1)
        return {"x_hat": tiles.repeat_interleave(64, 2).repeat_interleave(64, 3)}
models = {"tile": lambda quality, metric, pretrained: Model(quality)}
"""
MODEL_URLS = 'model_urls = {"tile": {"mse": {q: f"https://nowhere.invalid/tile-{q}.pth.tar" for q in range(1, 9)}}}\n'


@pytest.fixture
def stand_ins(tmp_path, monkeypatch):
    """A folder on the import path; packages put there are forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    yield tmp_path / "packages"
    for name in set(sys.modules) - before:
        if name.split(".")[0] in ("torchvision", "lpips", "DISTS_pytorch", "compressai"):
            del sys.modules[name]
    importlib.invalidate_caches()


def test_weight_files_are_made_from_the_packages(stand_ins, tmp_path, monkeypatch):
    for name in ("lpips/weights/v0.1", "DISTS_pytorch", "torchvision"):
        (stand_ins / name).mkdir(parents=True)
    for name in ("lpips", "DISTS_pytorch"):
        (stand_ins / name / "__init__.py").write_text("")
    (stand_ins / "torchvision" / "__init__.py").write_text(TORCHVISION)
    for name in ("alex", "vgg"):
        torch.save({"lin0.model.1.weight": torch.ones(1, 4, 1, 1)}, stand_ins / f"lpips/weights/v0.1/{name}.pth")
    torch.save({"alpha": torch.ones(3), "beta": torch.ones(3)}, stand_ins / "DISTS_pytorch/weights.pt")
    weights.export(tmp_path / "made")
    alex, vgg = (load_file(tmp_path / "made" / f"lpips_{n}.safetensors") for n in ("alex", "vgg"))
    assert set(alex) == {"lin0.weight", "features.0.weight"} and set(vgg) == set(alex) | {"alpha", "beta"}
    assert alex["features.0.weight"].dtype == torch.float32 and vgg["features.0.weight"].dtype == torch.float16
    monkeypatch.setenv(perceptual.WEIGHTS_VARIABLE, str(tmp_path / "made"))
    assert perceptual.find_weights() == tmp_path / "made"


def test_missing_packages_are_named(tmp_path):
    if importlib.util.find_spec("lpips") is None:
        with pytest.raises(EvalError, match="lpips"):
            weights.export(tmp_path)
    if importlib.util.find_spec("compressai") is None:
        with pytest.raises(EvalError, match="compressai is not installed"):
            resolve(["compressai:mbt2018-mean"], Options())


def test_compressai_models_as_intra_peers(stand_ins, tmp_path, monkeypatch):
    (stand_ins / "compressai" / "zoo").mkdir(parents=True)
    (stand_ins / "compressai" / "__init__.py").write_text("")
    (stand_ins / "compressai" / "zoo" / "__init__.py").write_text(COMPRESSAI)
    (stand_ins / "compressai" / "zoo" / "image.py").write_text(MODEL_URLS)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    with pytest.raises(EvalError, match="no weights"):
        resolve(["compressai:tile"], Options())
    cache = tmp_path / "hub" / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    for quality in (2, 7):
        (cache / f"tile-{quality}.pth.tar").write_bytes(b"")
    codec = resolve(["compressai:tile"], Options())[0]
    assert codec.q_range == (2, 7) and codec.keyint == 1
    clip = small_clip(tmp_path, frames=2)
    zoo_codec.encode("tile", 9 - 7, clip.file, tmp_path / "stream")
    zoo_codec.decode("tile", tmp_path / "stream", tmp_path / "out.y4m")
    decoded = decoded_raw(tmp_path / "out.y4m", clip, tmp_path / "out.yuv")
    tile = np.s_[64:128, 64:128]
    want, got = clip.rgb(clip.raw.planes(1)), clip.rgb(decoded.planes(1))
    for channel in range(3):
        assert got[channel][tile].mean() == pytest.approx(want[channel][tile].mean(), abs=0.02)
    assert got[0][tile].std() < 0.02
