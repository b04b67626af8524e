"""Perceptual distances as compact torch modules: LPIPS v0.1 (AlexNet, VGG16) and DISTS, without
torchvision. In: pictures of two videos. Out: distances, and their gradients.

`vgg`: LPIPS-VGG and DISTS as one loss with a fast backward pass; `losses`: without a network;
`dither`: noise on both pictures of a comparison, for evaluation and training.

Both compare features of a convolution network trained on ImageNet. Modules take two float tensors
(N, 3, H, W), RGB in [0, 1], H and W at least 32, and return (N,) float32: 0 for equal pictures,
larger is worse. They are differentiable in both arguments (weights are frozen) and never resize
their input.

    distance = lpips("vgg")(decoded, source).mean()

Weights are read from `lpips_alex.safetensors` and `lpips_vgg.safetensors` (the latter serves
LPIPS-VGG and DISTS; features are stored as fp16), see `find_weights`. A missing file raises
`MissingWeightsError`.

LPIPS: Zhang et al., CVPR 2018 (arXiv 1801.03924). DISTS: Ding et al., TPAMI 2020 (arXiv
2004.07728). Importing this module imports torch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec import models
from gvcodec.errors import GvcodecError, WrongModelError
from gvcodec.models import GUIDE

#: Environment variable naming the folder of the weight files.
WEIGHTS_VARIABLE = "GVCODEC_METRIC_WEIGHTS"
_FILES = {"alex": "lpips_alex.safetensors", "vgg": "lpips_vgg.safetensors"}

# Stages of the two feature networks: (index of the convolution in the weight file, stride,
# padding). `pool` marks stages that begin with a pooling step; a stage's output is taken after its
# last ReLU.
_ALEX = (((0, 4, 2),), ((3, 1, 2),), ((6, 1, 1),), ((8, 1, 1),), ((10, 1, 1),))
_ALEX_POOL = (False, True, True, False, False)
_VGG = tuple(
    tuple((i, 1, 1) for i in stage)
    for stage in ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
)
_VGG_POOL = (False, True, True, True, True)


class MissingWeightsError(GvcodecError):
    """The weight files of the perceptual metrics are missing or invalid."""

    default_code = "weights-missing"
    exit_code = 4


def usual_folder() -> Path | None:
    """Default folder of weights, `~/.cache/gvcodec/metrics`; None for a user without a home, as in
    many containers."""
    try:
        return Path.home() / ".cache/gvcodec/metrics"
    except RuntimeError:
        return None


def find_weights() -> Path | None:
    """Folder of both weight files: $GVCODEC_METRIC_WEIGHTS, or `usual_folder` if it is not set;
    None without them."""
    override = os.environ.get(WEIGHTS_VARIABLE)
    folder = Path(override) if override else usual_folder()
    if folder is None or not all((folder / name).is_file() for name in _FILES.values()):
        return None
    return folder


def require_weights() -> Path:
    """The folder of `find_weights`. Raises MissingWeightsError with the command that downloads
    them."""
    folder = find_weights()
    if folder is None:
        raise MissingWeightsError(
            "no weights for LPIPS and DISTS: in a checkout, python -m eval weights downloads them; "
            f"or name the folder of {' and '.join(_FILES.values())} in ${WEIGHTS_VARIABLE}"
        )
    return folder


def load_weights(network: str) -> dict[str, Tensor]:
    """Tensors of the weight file of "alex" or "vgg", fp32. Raises MissingWeightsError."""
    return read_weights(require_weights() / _FILES[network])


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a weight file, fp32. Raises MissingWeightsError for another file."""
    try:
        return {name: tensor.float() for name, tensor in models.read_weights(path).items()}
    except (OSError, ValueError) as error:
        raise MissingWeightsError(f"{path}: not a file of weights ({error})") from None


def loss_network(name: str = "") -> tuple[str, dict[str, Tensor]] | None:
    """The network of perceptual losses and its weights: "vgg", or else "small", shipped with the
    painters; only `name` if given. None if they are missing."""
    if name != "small" and find_weights():
        return "vgg", load_weights("vgg")
    if name == "vgg":
        return None
    try:
        return "small", read_weights(GUIDE.find())
    except WrongModelError:
        return None


class Features(nn.Module):
    """Convolution stages of AlexNet or VGG16. (N, 3, H, W) normalised input → five maps, one a
    stage, each computed on demand: without gradients a pair of 1080p pictures then needs two maps
    at a time, not ten."""

    hann: Tensor

    def __init__(self, network: str, weights: dict[str, Tensor], blur_pool: bool = False) -> None:
        super().__init__()
        self.stages = _ALEX if network == "alex" else _VGG
        self.pools = _ALEX_POOL if network == "alex" else _VGG_POOL
        self.pool_size = 3 if network == "alex" else 2
        self.blur_pool = blur_pool
        for stage in self.stages:
            for index, _, _ in stage:
                self.register_buffer(
                    f"w{index}", weights[f"features.{index}.weight"], persistent=False
                )
                self.register_buffer(
                    f"b{index}", weights[f"features.{index}.bias"], persistent=False
                )
        hann = torch.tensor([0.25, 0.5, 0.25])
        self.register_buffer("hann", torch.outer(hann, hann)[None, None], persistent=False)

    def forward(self, x: Tensor) -> Iterator[Tensor]:
        for stage, pool in zip(self.stages, self.pools, strict=True):
            if pool:
                x = self.l2_pool(x) if self.blur_pool else F.max_pool2d(x, self.pool_size, 2)
            for index, stride, padding in stage:
                x = F.relu(
                    F.conv2d(
                        x, getattr(self, f"w{index}"), getattr(self, f"b{index}"), stride, padding
                    )
                )
            yield x

    def l2_pool(self, x: Tensor) -> Tensor:
        """DISTS' pooling: root of the Hann-weighted mean of squares, stride 2."""
        kernel = self.hann.to(x.dtype).expand(x.shape[1], 1, 3, 3)
        return torch.sqrt(F.conv2d(x * x, kernel, stride=2, padding=1, groups=x.shape[1]) + 1e-12)


class Lpips(nn.Module):
    """LPIPS v0.1: weighted squared difference of unit-length feature vectors, averaged over
    positions, summed over stages."""

    shift: Tensor
    scale: Tensor

    def __init__(self, network: Literal["alex", "vgg"]) -> None:
        super().__init__()
        weights = load_weights(network)
        self.features = Features(network, weights)
        self.register_buffer(
            "shift", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1), persistent=False
        )
        self.register_buffer(
            "scale", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1), persistent=False
        )
        for i in range(5):
            self.register_buffer(f"lin{i}", weights[f"lin{i}.weight"], persistent=False)

    def maps(self, x: Tensor) -> Iterator[Tensor]:
        """Features of (N, 3, H, W) RGB in [0, 1]: five maps. A list of them saves half of the time
        for comparisons of one picture with many."""
        return self.features((2 * x - 1 - self.shift) / self.scale)

    def forward(self, x: Tensor, y: Tensor | list[Tensor]) -> Tensor:
        """(N, 3, H, W) RGB in [0, 1], twice → (N,). The second may be a list of its `maps`."""
        maps_x, maps_y = self.maps(x), self.maps(y) if isinstance(y, Tensor) else y
        total = x.new_zeros(x.shape[0])
        for i, (a, b) in enumerate(zip(maps_x, maps_y, strict=True)):
            difference = (_unit_length(a) - _unit_length(b)).square()
            total = total + F.conv2d(
                difference, getattr(self, f"lin{i}").to(difference.dtype)
            ).mean((1, 2, 3))
        return total


def _unit_length(x: Tensor) -> Tensor:
    # The 1e-20 under the root only keeps the gradient of an all-zero vector finite.
    return x / (torch.sqrt(x.square().sum(1, keepdim=True) + 1e-20) + 1e-10)


class Dists(nn.Module):
    """DISTS: one minus the weighted similarity of feature means (texture) and of feature
    covariances (structure)."""

    mean: Tensor
    std: Tensor
    alpha: Tensor
    beta: Tensor

    def __init__(self, weights: dict[str, Tensor] | None = None) -> None:
        """`weights`: a network of VGG16's layers, by tensor name; None: VGG16's own."""
        super().__init__()
        weights = weights or load_weights("vgg")
        self.features = Features("vgg", weights, blur_pool=True)
        self.register_buffer(
            "mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), persistent=False
        )
        self.register_buffer(
            "std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1), persistent=False
        )
        alpha, beta = weights["alpha"].flatten(), weights["beta"].flatten()
        total = alpha.sum() + beta.sum()
        self.register_buffer("alpha", alpha / total, persistent=False)
        self.register_buffer("beta", beta / total, persistent=False)

    def maps(self, x: Tensor) -> Iterator[Tensor]:
        """Features of (N, 3, H, W) RGB in [0, 1]: the picture and five maps."""
        return chain([x], self.features((x - self.mean) / self.std))

    def forward(self, x: Tensor | list[Tensor], y: Tensor | list[Tensor]) -> Tensor:
        """(N, 3, H, W) RGB in [0, 1], twice → (N,). Either may be a list of its `maps`."""
        maps_x, maps_y = (self.maps(z) if isinstance(z, Tensor) else z for z in (x, y))
        texture, structure = [], []
        for a, b in zip(maps_x, maps_y, strict=True):
            a, b = a.float().flatten(2), b.float().flatten(2)
            mean_a, mean_b = a.mean(2), b.mean(2)
            a, b = a - mean_a[..., None], b - mean_b[..., None]
            variance_a, variance_b = a.square().mean(2), b.square().mean(2)
            covariance = (a * b).mean(2)
            texture.append(
                (2 * mean_a * mean_b + 1e-6) / (mean_a.square() + mean_b.square() + 1e-6)
            )
            structure.append((2 * covariance + 1e-6) / (variance_a + variance_b + 1e-6))
        return 1 - (torch.cat(texture, 1) @ self.alpha + torch.cat(structure, 1) @ self.beta)


def lpips(network: Literal["alex", "vgg"]) -> Lpips:
    """LPIPS v0.1 on AlexNet or VGG16 features, in evaluation mode. Raises MissingWeightsError."""
    return Lpips(network).eval()


def dists() -> Dists:
    """DISTS in evaluation mode. Raises MissingWeightsError."""
    return Dists().eval()
