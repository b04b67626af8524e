"""LPIPS and DISTS of their authors' packages and our forms of them give the same numbers.

The packages need torchvision for the shapes of AlexNet and VGG16 alone, so both networks stand in
here with random weights, which our forms read as a file of weights."""

import importlib
import importlib.util
import sys
from types import ModuleType

import pytest
import torch
from torch import nn

from eval.metrics import judges
from gvcodec import perceptual

_PACKAGES = ("lpips", "DISTS_pytorch", "scipy", "tqdm")
pytestmark = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in _PACKAGES),
    reason="needs lpips and DISTS-pytorch (pip install --no-deps)",
)


def _alexnet():
    """torchvision's layers of AlexNet's `features`, in their order."""
    convolution = lambda *sizes, **rest: [nn.Conv2d(*sizes, **rest), nn.ReLU(inplace=True)]
    return nn.Sequential(
        *convolution(3, 64, 11, stride=4, padding=2),
        nn.MaxPool2d(3, 2),
        *convolution(64, 192, 5, padding=2),
        nn.MaxPool2d(3, 2),
        *convolution(192, 384, 3, padding=1),
        *convolution(384, 256, 3, padding=1),
        *convolution(256, 256, 3, padding=1),
        nn.MaxPool2d(3, 2),
    )


def _vgg16():
    """torchvision's layers of VGG16's `features`, in their order."""
    layers, width = [], 3
    for stage in ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3):
        for channels in stage:
            layers += [nn.Conv2d(width, channels, 3, padding=1), nn.ReLU(inplace=True)]
            width = channels
        layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers)


@pytest.fixture
def packages(monkeypatch, tmp_path):
    """Both packages over networks of random weights, and our weight files with the same."""
    torch.manual_seed(5)
    networks = {"alex": _alexnet(), "vgg": _vgg16()}
    for features in networks.values():
        for layer in features:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)

    def network(name):
        def make(pretrained=False, weights=None):
            model = nn.Module()
            model.features = networks[name]
            return model

        return make

    models = ModuleType("torchvision.models")
    models.alexnet, models.vgg16 = network("alex"), network("vgg")
    torchvision, transforms = ModuleType("torchvision"), ModuleType("torchvision.transforms")
    torchvision.models, torchvision.transforms = models, transforms
    for module in (torchvision, models, transforms):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    for name in [n for n in sys.modules if n.partition(".")[0] in ("lpips", "DISTS_pytorch")]:
        monkeypatch.delitem(sys.modules, name)
    judges.published.cache_clear()
    yield {name: features.state_dict() for name, features in networks.items()}
    for name in [n for n in sys.modules if n.partition(".")[0] in ("lpips", "DISTS_pytorch")]:
        del sys.modules[name]
    judges.published.cache_clear()


def _write(folder, networks):
    """Our weight files with these features and the linear weights that the packages carry."""
    from safetensors.torch import save_file

    for name, state in networks.items():
        tensors = {f"features.{key}": value for key, value in state.items()}
        linear = judges.published(f"lpips_{name}")[0].module
        for stage in range(5):
            tensors[f"lin{stage}.weight"] = getattr(linear, f"lin{stage}").model[1].weight.detach()
        if name == "vgg":
            distance = judges.published("dists")[0].module
            tensors |= {"alpha": distance.alpha.detach(), "beta": distance.beta.detach()}
        copies = {key: value.contiguous().clone() for key, value in tensors.items()}
        save_file(copies, folder / f"lpips_{name}.safetensors")


def test_our_forms_equal_the_published_packages(packages, tmp_path, monkeypatch):
    _write(tmp_path, packages)
    monkeypatch.setenv(perceptual.WEIGHTS_VARIABLE, str(tmp_path))
    ours = {
        "lpips_alex": perceptual.lpips("alex"),
        "lpips_vgg": perceptual.lpips("vgg"),
        "dists": perceptual.dists(),
    }
    generator = torch.Generator().manual_seed(1)
    source = torch.rand(1, 3, 96, 128, generator=generator)
    noise = torch.randn(source.shape, generator=generator)
    for strength in (0.1, 0.5):
        picture = (source + strength * noise).clamp(0, 1)
        for name, distance in ours.items():
            judge, reason = judges.published(name)
            assert judge is not None, reason
            with torch.inference_mode():
                theirs = float(judge(picture, judge.maps(source)))
                own = float(distance(picture, source))
            assert theirs == pytest.approx(own, rel=1e-4, abs=1e-6), name
            assert theirs > 1e-3, name


def test_a_package_that_does_not_work_is_named(monkeypatch):
    broken = ModuleType("torchvision")
    broken.__getattr__ = lambda name: (_ for _ in ()).throw(RuntimeError("operator nms is missing"))
    monkeypatch.setitem(sys.modules, "torchvision", broken)
    for name in [n for n in sys.modules if n.partition(".")[0] == "lpips"]:
        monkeypatch.delitem(sys.modules, name)
    judges.published.cache_clear()
    judge, reason = judges.published("lpips_alex")
    judges.published.cache_clear()
    assert judge is None
    assert "operator nms is missing" in reason
    assert judges.describe("lpips_alex").startswith("gvcodec's own form of lpips (")
    judges.published.cache_clear()
