"""All metrics of a decoded video against its source, per frame.

A `Measurer` returns, for each metric, which frames were looked at and their values, mean, worst
frame and 5th percentile (of quality: for a distance the value that 95 % of frames stay below). On a
CPU the costly ones look at some frames only: LPIPS-Alex at one frame in 4, MS-SSIM and SSIMULACRA2
at one in 8, DISTS, LPIPS-VGG and Wasserstein distortion at one in 16. The frame within each group
is a fixed pseudo-random one, the same for every codec, so that no codec's quality hierarchy meets
the sampling.
ColorVideoVDP gives one value for a video: on a CPU for its middle quarter. Dithered metrics add
noise to both pictures first (`gvcodec.perceptual.dither`), so that noise in one of them counts for
little.
A new metric: a record in `METRICS`, its module, its call in `Measurer`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eval.metrics import filters, judges, pixel
from eval.metrics.flicker import MotionField, flicker
from eval.metrics.optical_flow import flow, flow_difference, missing_opencv
from eval.tools import EvalError, ffmpeg_has, keep_memory
from eval.video import Clip, Planes, RawVideo
from gvcodec.rate import quality

if TYPE_CHECKING:
    import torch

#: Compare features of networks, whose weights are not shipped.
NETWORKS = ("lpips_alex", "lpips_vgg", "dists", "wasserstein")
#: Distances of `NETWORKS` after noise on both pictures, by name.
DITHERED = {
    "lpips_alex_dithered": "lpips_alex",
    "lpips_alex_dithered_2": "lpips_alex",
    "dists_dithered": "dists",
}
#: Noise in levels of those that have less than `gvcodec.perceptual.dither.SIGMA`.
_WEAK_DITHER = {"lpips_alex_dithered_2": 2.0}
#: Of the noise; a dithered metric is the mean over them.
DITHER_SEEDS = (1, 2)
#: Look at a video as a whole, not at single frames.
_WHOLE = ("vmaf", "vmaf_neg", "xpsnr", "cvvdp")
#: Compare changes from the previous frame.
_PAIRS = {"flicker", "tof"}
#: Bytes of network maps of a source that a process keeps.
_MAX_MAP_BYTES = 4 << 30


@dataclass(frozen=True)
class Metric:
    """A column of the tables. `every`: on a CPU, every N-th frame is measured. `trained`: a loss of
    gvcodec's training."""

    name: str
    label: str
    unit: str
    higher_is_better: bool
    digits: int
    every: int = 1
    trained: bool = False

    @property
    def marked_label(self) -> str:
        """Label with the mark of metrics that a model was trained on."""
        return self.label + ("†" if self.trained else "")


METRICS = {
    m.name: m
    for m in (
        Metric("lpips_alex", "LPIPS-Alex", "", False, 4, every=4),
        Metric("dists", "DISTS", "", False, 4, every=16, trained=True),
        Metric("ssimulacra2", "SSIMULACRA2", "", True, 1, every=8),
        Metric("cvvdp", "ColorVideoVDP", "JOD", True, 3, every=4),
        Metric("psnr_y", "PSNR-Y", "dB", True, 2),
        Metric("psnr_yuv", "PSNR-YUV", "dB", True, 2),
        Metric("psnr_rgb", "PSNR-RGB", "dB", True, 2),
        Metric("ms_ssim", "MS-SSIM", "", True, 4, every=8),
        Metric("vmaf", "VMAF", "", True, 2),
        Metric("xpsnr", "XPSNR", "dB", True, 2),
        Metric("flicker", "Flicker", "", False, 3),
        Metric("lpips_vgg", "LPIPS-VGG", "", False, 4, every=16, trained=True),
        Metric("wasserstein", "Wasserstein", "", False, 4, every=16),
        Metric("vmaf_neg", "VMAF-NEG", "", True, 2),
        Metric("tof", "tOF", "", False, 3, every=4),
        Metric("lpips_alex_dithered", "LPIPS-Alex dithered", "", False, 4, every=8),
        Metric("lpips_alex_dithered_2", "LPIPS-Alex dithered by 2", "", False, 4, every=8),
        Metric("dists_dithered", "DISTS dithered", "", False, 4, every=24, trained=True),
    )
}
#: Measured on request only. LPIPS-VGG is a training loss, Wasserstein distortion sees the same
#: features, and both cost as much as DISTS; VMAF-NEG and tOF have a relative among the others;
#: dithered metrics cost twice the plain ones.
ON_REQUEST = ("lpips_vgg", "wasserstein", "vmaf_neg", "tof", *DITHERED)
DEFAULT = tuple(name for name in METRICS if name not in ON_REQUEST)


def sample(frames: int, every: int) -> list[int]:
    """One frame out of each group of `every`, at positions that wander by the golden ratio; at
    least one frame."""
    chosen = [
        g * every + int((g + 1) * 0.6180339887498949 % 1 * every)
        for g in range(-(-frames // every))
    ]
    return [i for i in chosen if i < frames] or [frames - 1]


def middle(frames: int, every: int) -> list[int]:
    """The middle one-in-`every` of a video without gaps, for metrics that see motion; at least one
    frame."""
    length = -(-frames // every)
    start = (frames - length) // 2
    return list(range(start, start + length))


def sampling(names: Iterable[str], every: Mapping[str, int], on_gpu: bool) -> dict[str, int]:
    """One frame in how many, for each metric: `every` (by name, "" = all) over the rule for this
    machine."""
    unknown = set(every) - set(METRICS) - {""}
    if unknown:
        raise EvalError(f"--every: no metric {', '.join(sorted(unknown))}")
    rule = {name: 1 if on_gpu else METRICS[name].every for name in names}
    return {name: every.get(name, every.get("", default)) for name, default in rule.items()}


def missing(names: Iterable[str]) -> dict[str, str]:
    """For metrics that cannot be measured here, the reason and the remedy. Loads no
    weights."""
    reasons = {}
    for name in names:
        plain = DITHERED.get(name, name)
        if plain in NETWORKS and (reason := _without_weights()) and not _is_published(plain):
            reasons[name] = reason
        if name in filters.FILTERS and not ffmpeg_has("filter", filters.FILTERS[name]):
            reasons[name] = (
                f"this ffmpeg has no {filters.FILTERS[name]}: pip install imageio-ffmpeg==0.8.1"
            )
        if name in quality.PACKAGES and (reason := quality.missing_package(name)):
            reasons[name] = reason
        if name == "tof" and (reason := missing_opencv()):
            reasons[name] = reason
    return reasons


def need(names: Iterable[str]) -> None:
    """Raises EvalError that says which of these metrics cannot be measured here, before any work is
    done."""
    if lacking := missing(names):
        raise EvalError("; ".join(reasons(lacking)))


def reasons(lacking: Mapping[str, str]) -> list[str]:
    """Missing metrics, a line for each reason: "LPIPS-Alex, DISTS cannot be measured: no weights
    …"."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in lacking.items():
        by_reason.setdefault(reason, []).append(METRICS[name].label)
    return [
        f"{', '.join(labels)} cannot be measured: {reason}" for reason, labels in by_reason.items()
    ]


def _is_published(name: str) -> bool:
    return name in judges.PACKAGES and judges.published(name)[0] is not None


def _without_weights() -> str:
    try:
        from gvcodec import perceptual
    except ImportError:
        return "torch is not installed (pip install 'gvcodec[eval]')"
    try:
        perceptual.require_weights()
    except perceptual.MissingWeightsError as error:
        return str(error)
    return ""


def looked_at(every: Mapping[str, int]) -> str:
    """Note of tables on metrics that see some frames only: "DISTS on one frame in 16"."""
    part = {"cvvdp": "the middle 1/{} of the frames"}
    return ", ".join(
        f"{METRICS[name].label} on {part.get(name, 'one frame in {}').format(n)}"
        for name, n in every.items()
        if n > 1
    )


def summary(
    name: str, frames: list[int], values: list[float], draws: Sequence[Sequence[float]] = ()
) -> dict[str, Any]:
    """The record of one metric in a run's JSON. `draws`: for each frame its values with each noise
    of a dithered metric; `spread` is the range of their means."""
    better = METRICS[name].higher_is_better
    spread = {"spread": float(np.ptp(np.mean(draws, 0)))} if draws else {}
    return spread | {
        "frames": frames,
        "values": [round(v, 6) for v in values],
        "mean": float(np.mean(values)),
        "worst": float(min(values) if better else max(values)),
        "worst_frame": frames[int(np.argmin(values) if better else np.argmax(values))],
        "p5": float(np.percentile(values, 5 if better else 95)),
    }


@functools.cache
def network(name: str, device: str) -> Any:
    """A distance of `NETWORKS` on a device, made once a process: by its published package where
    that works (`judges`), else our own. Channels last is a sixth faster on a CPU."""
    import torch

    from eval.metrics.wasserstein import Wasserstein
    from gvcodec import perceptual

    keep_memory()
    if name in judges.PACKAGES and (judge := judges.published(name)[0]) is not None:
        return judge.to(device)
    makers = {"dists": perceptual.dists, "wasserstein": Wasserstein}
    try:
        module = makers[name]() if name in makers else perceptual.lpips(name.removeprefix("lpips_"))
    except perceptual.MissingWeightsError as error:
        raise EvalError(str(error)) from None
    return module.to(device, memory_format=torch.channels_last)


def _network_input(
    picture: NDArray[np.float32], device: str, add: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """`add`: adds noise to a picture."""
    import torch

    x = add(torch.from_numpy(picture)[None])
    x = x.to(device, memory_format=torch.channels_last)
    # Pictures below 32 pixels do not survive the pooling steps: repeat their edge.
    short = [max(0, 32 - s) for s in x.shape[2:]]
    return (
        torch.nn.functional.pad(x, (0, short[1], 0, short[0]), mode="replicate")
        if any(short)
        else x
    )


class Measurer:
    """Metrics of one clip for any number of decoded versions; data of the source alone
    (motion vectors, maps of the networks) is made once, the maps up to `_MAX_MAP_BYTES` bytes."""

    def __init__(self, clip: Clip, every: Mapping[str, int], device: str = "cpu") -> None:
        self.clip, self.every, self.device = clip, dict(every), device
        self._motion: dict[int, MotionField] = {}
        self._flows: dict[int, NDArray[np.float32]] = {}
        self._maps: dict[tuple[str, int, int], list[torch.Tensor]] = {}
        self._map_bytes = 0

    def __call__(self, decoded: RawVideo) -> dict[str, dict[str, Any]]:
        frames = {name: sample(self.clip.raw.frames, every) for name, every in self.every.items()}
        if "cvvdp" in frames:
            frames["cvvdp"] = middle(self.clip.raw.frames, self.every["cvvdp"])
        for name in _PAIRS & set(frames):
            frames[name] = [i for i in frames[name] if i > 0] or [self.clip.raw.frames - 1]
        values: dict[str, list[float]] = {name: [] for name in frames}
        draws: dict[str, list[list[float]]] = {name: [] for name in frames}
        for name in filters.VMAF_MODELS.keys() & frames.keys():
            every_frame = filters.vmaf(decoded, self.clip.raw, model=filters.VMAF_MODELS[name])
            values[name] = [every_frame[i] for i in frames[name]]
        if "xpsnr" in frames:
            every_frame = filters.xpsnr(decoded, self.clip.raw, self.clip.fps)
            values["xpsnr"] = [every_frame[i] for i in frames["xpsnr"]]
        if "cvvdp" in frames:
            values["cvvdp"] = [self._whole(decoded, frames["cvvdp"])]
        for index in range(self.clip.raw.frames):
            metrics = [n for n in frames if index in frames[n] and n not in _WHOLE]
            pair = FramePair(self.clip, decoded, index)
            for name in metrics:
                if name in DITHERED:
                    draws[name].append([self._distance(name, pair, s) for s in DITHER_SEEDS])
                    values[name].append(float(np.mean(draws[name][-1])))
                else:
                    values[name].append(self._frame_value(name, pair))
        for name, numbers in values.items():
            if not np.isfinite(numbers).all():
                raise EvalError(f"{METRICS[name].label} gives no number for {self.clip.name}")
        return {name: summary(name, frames[name], values[name], draws[name]) for name in frames}

    def _frame_value(self, name: str, pair: FramePair) -> float:
        if name in ("psnr_y", "psnr_yuv"):
            y, u, v = pixel.psnr_planes(*pair.planes, self.clip.raw.depth)
            return y if name == "psnr_y" else (6 * y + u + v) / 8
        if name == "flicker":
            return self._flicker(pair)
        if name == "tof":
            return self._flow_difference(pair)
        if name == "psnr_rgb":
            return pixel.psnr(*pair.rgb, 1.0)
        if name == "ssimulacra2":
            return quality.ssimulacra2(*pair.rgb)
        return pixel.ms_ssim(*pair.rgb) if name == "ms_ssim" else self._distance(name, pair)

    def _whole(self, decoded: RawVideo, frames: list[int]) -> float:
        @functools.lru_cache(maxsize=1)
        def pair(index: int) -> quality.Pair:
            return FramePair(self.clip, decoded, index).rgb

        return quality.cvvdp(pair, frames, float(self.clip.fps), self.device)

    def _distance(self, name: str, pair: FramePair, seed: int = 0) -> float:
        """A distance of `NETWORKS`, or with one seed of its noise a dithered one."""
        import torch

        from gvcodec.perceptual.dither import SIGMA, dither

        def add_noise(side: int, x: torch.Tensor) -> torch.Tensor:
            if not seed:
                return x
            return dither(x, [seed, side, pair.index], _WEAK_DITHER.get(name, SIGMA))

        net, key = network(DITHERED.get(name, name), self.device), (name, pair.index, seed)
        to_decoded, to_source = (functools.partial(add_noise, side) for side in (0, 1))
        with torch.inference_mode():
            maps = self._maps.get(key) or list(
                net.maps(_network_input(pair.rgb[1], self.device, to_source))
            )
            size = sum(m.numel() * m.element_size() for m in maps)
            if key not in self._maps and self._map_bytes + size <= _MAX_MAP_BYTES:
                self._maps[key] = maps
                self._map_bytes += size
            decoded = _network_input(pair.rgb[0], self.device, to_decoded)
            return max(0.0, float(net(decoded, maps)))

    def _flicker(self, pair: FramePair) -> float:
        index = pair.index
        if index == 0:
            return 0.0  # a clip of one frame
        decoded, source = pair.planes
        decoded_before, source_before = FramePair(self.clip, pair.decoded, index - 1).planes
        if index not in self._motion:
            self._motion[index] = MotionField(source_before[0], source[0])
        pairs = (decoded_before[0], decoded[0]), (source_before[0], source[0])
        return flicker(self._motion[index], *pairs, self.clip.raw.depth)

    def _flow_difference(self, pair: FramePair) -> float:
        index, depth = pair.index, self.clip.raw.depth
        if index == 0:
            return 0.0  # a clip of one frame
        decoded, source = pair.planes
        decoded_before, source_before = FramePair(self.clip, pair.decoded, index - 1).planes
        if index not in self._flows:
            self._flows[index] = flow(source_before[0], source[0], depth)
        return flow_difference(flow(decoded_before[0], decoded[0], depth), self._flows[index])


@dataclass
class FramePair:
    """One frame of a decoded video and of its source, read and converted when asked for."""

    clip: Clip
    decoded: RawVideo
    index: int

    @functools.cached_property
    def planes(self) -> tuple[Planes, Planes]:
        return self.decoded.planes(self.index), self.clip.raw.planes(self.index)

    @functools.cached_property
    def rgb(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        decoded = self.decoded.planes(self.index)
        return self.clip.rgb(decoded), self.clip.reference(self.index)
