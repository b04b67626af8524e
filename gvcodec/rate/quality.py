"""Quality of an encoded video by the metric of a target: `decode`'s output against the source,
pooled over all of it, its worst twentieth, or its worst scene.

Pictures coded at a smaller size are compared at the source's size.

SSIMULACRA2 and ColorVideoVDP come from the packages `ssimulacra2` and `cvvdp` (extra `metrics`);
nothing in gvcodec is trained on them. SSIMULACRA2 scores a frame rounded to 8 bits a channel: 100 =
equal, below 0 = very poor. ColorVideoVDP scores a video: JOD, 10 = no visible difference, one less
= three of four people see which is worse.
"""

from __future__ import annotations

import functools
import importlib.util
import io
import itertools
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gvcodec.base.scene_cuts import GopStarts
from gvcodec.bitstream import Reader
from gvcodec.codec.decoder import Decoder
from gvcodec.codec.fidelity import MeanPsnr, psnr
from gvcodec.errors import UsageError
from gvcodec.limits import NO_LIMITS
from gvcodec.planes import Scaler, rgb_from_planes
from gvcodec.rate.one_pass import EncodePass, SourceFactory, VideoStats
from gvcodec.types import Planes, VideoFormat
from gvcodec.util.torch_settings import default_torch_settings

if TYPE_CHECKING:
    import torch

    from gvcodec.perceptual import Lpips


Picture = NDArray[np.float32]
#: Metric → (package on PyPI, module).
PACKAGES = {"ssimulacra2": ("ssimulacra2", "ssimulacra2"), "cvvdp": ("cvvdp", "pycvvdp")}
#: 24 inches, 1920×1080, 200 cd/m², an office of 250 lux, seen from two heights; sRGB curve.
DISPLAY = "standard_fhd"


def missing_package(name: str) -> str:
    """Why this metric cannot be measured here, "" if it can."""
    package, module = PACKAGES[name]
    if importlib.util.find_spec(module) is None:
        return f"{package} is not installed (pip install {package})"
    return ""


def ssimulacra2(picture: Picture, source: Picture) -> float:
    """Score of a (3, H, W) picture in [0, 1] against its source."""
    from ssimulacra2 import compute_ssimulacra2

    return float(compute_ssimulacra2(_bitmap(source), _bitmap(picture)))


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
    """JOD of a video: `pair(i)` returns frame i decoded and of the source, (3, H, W) in [0, 1];
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
    """(metric, base class of its sources). Raises UsageError if the package cannot be imported."""
    import torch

    # The package imports torchvision for a blur (and one class of a variant that is not used here),
    # and torchvision often does not match the installed torch: these classes replace it.
    names: dict[str, dict[str, Any]] = {
        "torchvision": {},
        "torchvision.transforms": {"GaussianBlur": GaussianBlur},
        "torchvision.ops": {"MLP": None},
    }
    saved_modules, path = {name: sys.modules.get(name) for name in names}, list(sys.path)
    for name, content in names.items():
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(content)
    try:
        from pycvvdp import cvvdp as metric
        from pycvvdp.video_source import video_source_dm
    except ImportError as error:
        raise UsageError(
            f"cvvdp cannot be imported: {error} (pip install cvvdp)", code="package-missing"
        ) from None
    finally:
        sys.path[:] = path  # the package adds its own folder
        for name, module in saved_modules.items():
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


@dataclass(frozen=True, slots=True)
class Metric:
    """`sign`: +1 = more is better. `unit`: of a value, for messages. `tolerance`: allowed distance
    to a target. `typical`: value at q 40, `slope`: its change by a step of q, `best`: the best
    value. `sample_share`: share of the usual number of frames that is measured."""

    sign: int
    unit: str
    tolerance: float
    typical: float
    slope: float
    best: float = math.inf
    sample_share: float = 1.0


METRICS = {
    "psnr": Metric(1, "DECIBEL", 0.05, 36.0, 0.3),
    "lpips": Metric(-1, "DISTANCE", 0.002, 0.2, 0.007),
    "ssimulacra2": Metric(1, "SCORE", 0.3, 70.0, 0.9, best=100, sample_share=0.5),
    "cvvdp": Metric(1, "JOD", 0.02, 9.5, 0.03, best=10),
}
#: Pools by name, in words.
POOLS = {"mean": "", "p5": "worst 5 %", "worst-scene": "worst scene"}
#: Frames that are measured, evenly over the video: for a mean, for its worst twentieth, of each
#: scene; and consecutive frames for ColorVideoVDP, of a video and of a scene.
_MEAN_FRAMES, _P5_FRAMES, _SCENE_FRAMES, _CLIP_FRAMES, _SCENE_CLIP_FRAMES = 12, 60, 6, 96, 32
#: Longest scene of the pools, in frames.
_MAX_SCENE = 1 << 20


def require_metric(metric: str) -> None:
    """Raise `MissingWeightsError` or `UsageError` if a metric cannot be measured here."""
    if metric == "lpips":
        from gvcodec.perceptual import require_weights

        require_weights()
    if metric in PACKAGES and (reason := missing_package(metric)):
        raise UsageError(reason, code="package-missing")


class QualityMetric:
    """Compares passes with a video, opened by `open_source`, which may be larger than them."""

    def __init__(
        self, metric: str, pool: str, open_source: SourceFactory, stats: VideoStats
    ) -> None:
        self._metric, self._pool = metric, pool
        self._open, self._frames = open_source, stats.frames
        with open_source() as source:
            self.format = source.format
        sizes = [f"{fmt.width}×{fmt.height}" for fmt in (stats.format, self.format)]
        self.notes: list[str] = []
        if sizes[0] != sizes[1]:
            self.notes.append(
                f"{metric} compares with the source's {sizes[1]}: {sizes[0]} is enlarged to it"
            )
        self._scenes = self._find_scenes() if pool == "worst-scene" else [(0, stats.frames)]
        self._samples = [self._choose_frames(*scene) for scene in self._scenes]

    @default_torch_settings()
    def __call__(self, encoded_pass: EncodePass, fidelity: bool = False) -> float:
        """The pooled value of decoded frames, painted or base."""
        measure = self._measure_clips if self._metric == "cvvdp" else self._measure_frames
        return measure(encoded_pass, fidelity)

    def _measure_frames(self, encoded_pass: EncodePass, fidelity: bool) -> float:
        measure = _metric_function(self._metric, self.format)
        frame_numbers = {number for looks in self._samples for number in looks}
        scores = {
            n: measure(*pair)
            for n, pair in self._pairs(encoded_pass, fidelity)
            if n in frame_numbers
        }
        values = [[scores[n] for n in looks if n in scores] for looks in self._samples]
        return self._pool_values([frames for frames in values if frames])

    def _measure_clips(self, encoded_pass: EncodePass, fidelity: bool) -> float:
        """ColorVideoVDP of each clip of frames."""
        last = {looks[-1]: looks for looks in self._samples}
        frame_numbers = {number for looks in self._samples for number in looks}
        clip: list[Pair] = []
        values = []
        for number, pair in self._pairs(encoded_pass, fidelity):
            if number in frame_numbers:
                clip.append((_picture(pair[0], self.format), _picture(pair[1], self.format)))
            if number in last:
                rate = float(self.format.frame_rate)
                values.append([cvvdp(clip.__getitem__, range(len(clip)), rate, "cpu")])
                clip = []
        return self._pool_values(values)

    def _pool_values(self, values: Sequence[Sequence[float]]) -> float:
        """Pool values by scene."""
        sign = METRICS[self._metric].sign
        if self._pool == "p5":
            return float(np.percentile(values[0], 5 if sign > 0 else 95, method="nearest"))
        means = [_mean(frame_values, self._metric) for frame_values in values]
        return min(means) if sign > 0 else max(means)

    def _pairs(
        self, encoded_pass: EncodePass, fidelity: bool
    ) -> Iterator[tuple[int, tuple[Planes, Planes]]]:
        """Decoded frames at the source's size, and the source's."""
        reader = Reader(io.BytesIO(encoded_pass.data))
        fmt, source_size = reader.header.format, (self.format.width, self.format.height)
        scaler = Scaler(fmt, source_size) if (fmt.width, fmt.height) != source_size else None
        decoder = Decoder(reader.header, fidelity, limits=NO_LIMITS)
        with self._open() as source:
            pairs = zip(decoder.frames_of(reader.packets()), source, strict=False)
            for number, (ours, theirs) in enumerate(pairs):
                picture = scaler.apply(ours.planes) if scaler else ours.planes
                yield number, (picture, theirs.planes)

    def _choose_frames(self, first: int, end: int) -> list[int]:
        """Numbers of frames, of all of them for PSNR."""
        whole = self._pool != "worst-scene"
        if self._metric == "cvvdp":
            most = _CLIP_FRAMES if whole else _SCENE_CLIP_FRAMES
            begin = first + max(0, (end - first - most) // 2)
            return list(range(begin, min(end, begin + most)))
        looks = (_P5_FRAMES if self._pool == "p5" else _MEAN_FRAMES) if whole else _SCENE_FRAMES
        looks = max(1, round(METRICS[self._metric].sample_share * looks))
        step = 1 if self._metric == "psnr" else max(1, math.ceil((end - first) / looks))
        return list(range(first, end, step))

    def _find_scenes(self) -> list[tuple[int, int]]:
        starts = GopStarts(self.format.width, self.format.height, _MAX_SCENE)
        with self._open() as source:
            frames = itertools.islice(source, self._frames)
            begins = [n for n, frame in enumerate(frames) if starts.is_gop_start(frame.planes[0])]
        return list(zip(begins, [*begins[1:], self._frames], strict=True))


def _mean(values: Sequence[float], metric: str) -> float:
    if metric != "psnr":
        return fmean(values)
    mean = MeanPsnr()
    for value in values:
        mean.add(value)
    return mean.value


def _picture(planes: Planes, fmt: VideoFormat) -> Picture:
    """(3, H, W) in [0, 1]."""
    picture = rgb_from_planes(planes, fmt.colour).transpose(2, 0, 1).astype(np.float32)
    return picture / np.float32(255)


def _metric_function(metric: str, fmt: VideoFormat) -> Callable[[Planes, Planes], float]:
    """A value for a decoded frame and its source."""
    if metric == "psnr":
        return lambda ours, theirs: psnr(ours[0], theirs[0])
    if metric == "ssimulacra2":
        return lambda ours, theirs: ssimulacra2(_picture(ours, fmt), _picture(theirs, fmt))
    return functools.partial(_lpips_distance, fmt)


def _lpips_distance(fmt: VideoFormat, ours: Planes, theirs: Planes) -> float:
    import torch

    from gvcodec.util.tensors import rgb_tensor

    with torch.inference_mode():
        pair: list[Any] = [rgb_tensor(rgb_from_planes(p, fmt.colour)) for p in (ours, theirs)]
        return float(_lpips()(*pair))


@functools.cache
def _lpips() -> Lpips:
    from gvcodec.perceptual import lpips

    return lpips("vgg")
