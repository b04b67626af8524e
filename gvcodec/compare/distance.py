"""Distance of decoded pictures from their source: LPIPS-Alex and DISTS where their weights are
installed, otherwise the small network that ships with gvcodec.

    for metric in distances():
        metric.name, metric.of(picture, source)  # (H, W, 3) uint8 each; 0 = equal

Nothing where torch is missing. gvcodec's painter is trained and fitted with DISTS and the small
network as losses; LPIPS-Alex is kept for judging.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gvcodec.painter.open import has_torch
from gvcodec.util.torch_settings import usual_torch

Picture = NDArray[np.uint8]
#: Frames that are looked at, evenly over the clip.
_LOOKS = 12
#: Networks take no smaller pictures.
_SMALLEST = 48


@dataclass(frozen=True, slots=True)
class Distance:
    """`name` as tables have it; `trained`: a loss of gvcodec's training or fitting."""

    name: str
    trained: bool
    of: Callable[[Picture, Picture], float]


def distances(height: int, width: int) -> list[Distance]:
    """What can be taken here of pictures of this size, the one that counts most first."""
    if not has_torch() or min(height, width) < _SMALLEST:
        return []
    from gvcodec import perceptual
    from gvcodec.perceptual.vgg import PerceptualLoss

    if perceptual.find_weights():
        return [
            Distance("LPIPS-Alex", False, _taken(perceptual.lpips("alex"))),
            Distance("DISTS", True, _taken(perceptual.dists())),
        ]
    if (small := perceptual.guide_network("small")) is None:
        return []
    loss = PerceptualLoss(weights=small[1])

    def both(picture: Any, source: Any) -> Any:
        return sum(loss(picture, loss.reference(source)))

    return [Distance("small-network distance", True, _taken(both))]


def mean_distance(
    metric: Distance, pictures: Sequence[Picture], source: Sequence[Picture]
) -> float:
    """Over frames of a clip that are spread evenly."""
    count = len(source)
    chosen = sorted({round(n) for n in np.linspace(0, count - 1, min(_LOOKS, count))})
    return float(np.mean([metric.of(pictures[n], source[n]) for n in chosen]))


def _taken(measure: Callable[[Any, Any], Any]) -> Callable[[Picture, Picture], float]:
    @usual_torch()
    def take(picture: Picture, source: Picture) -> float:
        import torch

        from gvcodec.util.tensors import rgb_tensor

        with torch.inference_mode():
            return float(measure(rgb_tensor(picture), rgb_tensor(source)))

    return take
