"""SSIMULACRA2 and ColorVideoVDP, from the packages `ssimulacra2` and `cvvdp`: metrics that nothing
in gvcodec is trained on.

Both are installed with the extra `metrics`, need no weights and no network, and are imported when
they are used. SSIMULACRA2 looks at a frame rounded to 8 bits a channel: 100 = equal, below 0 = very
poor. ColorVideoVDP looks at a video: JOD, 10 = no visible difference, one less = three of four
people see which is worse.
"""

from __future__ import annotations

import functools
import importlib.util
import io
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gvcodec.errors import UsageError

if TYPE_CHECKING:
    import torch

Picture = NDArray[np.float32]
#: Metric → (package on PyPI, module).
PACKAGES = {"ssimulacra2": ("ssimulacra2", "ssimulacra2"), "cvvdp": ("cvvdp", "pycvvdp")}
#: 24 inches, 1920×1080, 200 cd/m², an office of 250 lux, seen from two heights; sRGB curve.
DISPLAY = "standard_fhd"


def without_package(name: str) -> str:
    """Why this metric cannot be measured here, "" if it can."""
    package, module = PACKAGES[name]
    if importlib.util.find_spec(module) is None:
        return f"{package} is not installed (pip install {package})"
    return ""


def ssimulacra2(decoded: Picture, source: Picture) -> float:
    """Score of a (3, H, W) picture in [0, 1] against its source."""
    from ssimulacra2 import compute_ssimulacra2

    return float(compute_ssimulacra2(_bitmap(source), _bitmap(decoded)))


def _bitmap(picture: Picture) -> io.BytesIO:
    """The package reads files."""
    from PIL import Image

    data = io.BytesIO()
    levels = np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8).transpose(1, 2, 0)
    Image.fromarray(np.ascontiguousarray(levels)).save(data, "BMP")
    data.seek(0)
    return data


Pair = tuple[Picture, Picture]


def cvvdp(pair: Callable[[int], Pair], frames: Sequence[int], fps: float, device: str) -> float:
    """JOD of a video: `pair(i)` gives frame i decoded and of the source, (3, H, W) in [0, 1];
    `frames` without gaps."""
    import torch

    metric, video_source = _colorvideovdp(device)
    size = (*pair(frames[0])[0].shape[1:], len(frames))

    class Source(video_source):  # type: ignore[misc, valid-type]
        def get_video_size(self) -> tuple[int, int, int]:
            return size

        def get_frames_per_second(self) -> float:
            return fps

        def get_test_frame(self, frame: int, device: Any, colorspace: str) -> torch.Tensor:
            return self._to_display(pair(frames[frame])[0], device, colorspace)

        def get_reference_frame(self, frame: int, device: Any, colorspace: str) -> torch.Tensor:
            return self._to_display(pair(frames[frame])[1], device, colorspace)

        def _to_display(self, picture: Picture, device: Any, colorspace: str) -> torch.Tensor:
            on_display = torch.from_numpy(picture)[None, :, None].to(device)
            return self.apply_dm_and_color_transform(on_display, colorspace)

    with torch.inference_mode():
        return float(metric.predict_video_source(Source(display_photometry=DISPLAY))[0])


@functools.cache
def _colorvideovdp(device: str) -> tuple[Any, Any]:
    """(metric, base class of its sources). Raises UsageError where the package cannot be
    imported."""
    import torch

    # The package imports torchvision for a blur (and one class of a variant that is not used here),
    # and torchvision often does not fit the torch beside it: these stand in for it.
    names: dict[str, dict[str, Any]] = {
        "torchvision": {},
        "torchvision.transforms": {"GaussianBlur": GaussianBlur},
        "torchvision.ops": {"MLP": None},
    }
    known, path = {name: sys.modules.get(name) for name in names}, list(sys.path)
    for name, content in names.items():
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(content)
    try:
        from pycvvdp import cvvdp as metric
        from pycvvdp.video_source import video_source_dm
    except ImportError as error:
        raise UsageError(f"cvvdp cannot be imported: {error} (pip install cvvdp)") from None
    finally:
        sys.path[:] = path  # the package adds its own folder
        for name, module in known.items():
            sys.modules.pop(name)
            if module is not None:
                sys.modules[name] = module
    return metric(display_name=DISPLAY, quiet=True, device=torch.device(device)), video_source_dm


class GaussianBlur:
    """Blur of (…, H, W) by `size` odd taps of standard deviation `sigma`, borders mirrored; H, W
    above size // 2."""

    def __init__(self, size: int, sigma: float) -> None:
        taps = np.exp(-0.5 * ((np.arange(size) - size // 2) / sigma) ** 2)
        self.taps = (taps / taps.sum()).astype(np.float32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        import torch.nn.functional as F

        side, taps = len(self.taps) // 2, x.new_tensor(self.taps)
        planes = F.pad(x.reshape(-1, 1, *x.shape[-2:]), (side,) * 4, mode="reflect")
        planes = F.conv2d(F.conv2d(planes, taps[None, None, :, None]), taps[None, None, None])
        return planes.reshape(x.shape)
