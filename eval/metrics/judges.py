"""LPIPS and DISTS by the packages that their authors published (extra `judges`), where these work.

`lpips` and `DISTS-pytorch` need a torchvision that goes with the torch that is here, and download
torchvision's weights when they are first used. Where one of them cannot be made,
`gvcodec.perceptual` takes its place: the same distances without torchvision, equal within 1e-4
(`tests/eval/test_published.py`). `describe` says which of the two measures; a report prints it.
"""

from __future__ import annotations

import functools
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

#: The package of each distance.
PACKAGES = {"lpips_alex": "lpips", "lpips_vgg": "lpips", "dists": "DISTS-pytorch"}


class Published:
    """A published distance with the interface of `gvcodec.perceptual`: `maps` of a source, then
    `(picture, maps)` → (N,). The packages keep no maps: here they are the source itself."""

    def __init__(self, module: Any, **options: Any) -> None:
        self.module = module.eval()
        self.options = options

    def to(self, device: str) -> Published:
        self.module = self.module.to(device)
        return self

    def maps(self, source: Tensor) -> list[Tensor]:
        """(N, 3, H, W) RGB in 0…1 → the input of `__call__`."""
        return [source]

    def __call__(self, picture: Tensor, maps: list[Tensor]) -> Tensor:
        """(N, 3, H, W) RGB in 0…1, `maps` of as many sources → (N,)."""
        distances: Tensor = self.module(picture, maps[0], **self.options)
        return distances.reshape(-1)


@functools.cache
def published(name: str) -> tuple[Published | None, str]:
    """The distance `name` of `PACKAGES` by its package; else None and the reason, of which
    torchvision for another torch knows several kinds; a download that fails is another."""
    package = PACKAGES[name]
    try:
        if package == "lpips":
            import lpips

            network = name.removeprefix("lpips_")
            return Published(lpips.LPIPS(net=network, verbose=False), normalize=True), ""
        from DISTS_pytorch import DISTS

        return Published(DISTS()), ""
    except ModuleNotFoundError as error:
        return None, f"{error.name} is not installed"
    except (ImportError, AttributeError, OSError, RuntimeError, ValueError) as error:
        text = str(error).strip().splitlines()
        return None, f"{package} does not work here: {text[0] if text else type(error).__name__}"


def describe(name: str) -> str:
    """The implementation of a distance of `PACKAGES`: "lpips 0.1.4", or ours and why."""
    judge, reason = published(name)
    package = PACKAGES[name]
    if judge is not None:
        return f"{package} {version(package)}"
    return f"gvcodec's own form of {package} ({reason})"
