"""LPIPS-VGG and DISTS as one loss with its own backward pass: VGG16 in 8-bit integers if the CPU
has the kernels.

The loss is most of the cost of training, so it is written out: one pass through VGG16
with DISTS' pooling serves both distances, the source's maps are computed once, only the gradient
with respect to the picture is computed, each stage's gradient is assembled from a few matrix
products instead of a chain of elementwise operations, and convolutions (forward, and backward as
convolutions of the gradient with turned weights) run in int8 with fp32 results on AVX-512 VNNI,
three to four times as fast as fp32. DISTS is exact up to that rounding; the LPIPS weights act on
maps pooled by L2 instead of maximum, so that distance correlates with LPIPS but is not equal to it.
Samples are processed one by one: their scales differ and their maps stay in cache. A GPU needs none
of this: there the same distances use whole batches and autograd.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec import perceptual

_CLIP = 40.0  # standard deviations at which gradients are clipped before they are rounded
_STAGES = perceptual._VGG


@dataclass
class StageReference:
    """One stage of the source: map `(P, C)`, inverse length of each row `(P, 1)`, Σ w·b²/|b|² of
    each row `(P, 1)`, mean and mean square."""

    map: Tensor
    inverse: Tensor
    weighted_map: Tensor
    mean: Tensor
    square: Tensor


Reference = list[StageReference]


class _Convolution:
    """A frozen 3×3 convolution of fp32 channels-last maps, in int8 if possible."""

    def __init__(self, weight: Tensor, bias: Tensor | None, integer: bool) -> None:
        self.weight = weight.contiguous(memory_format=torch.channels_last)
        self.bias, self.integer = bias, integer
        if integer:
            self.scale = (weight.abs().amax((1, 2, 3)) / 127).clamp(min=1e-12)
            values = torch.round(weight / self.scale.view(-1, 1, 1, 1)).to(torch.int8)
            self.packed_weights = torch.ops.onednn.qconv_prepack(
                values, self.scale, 1.0, 0, [1, 1], [1, 1], [1, 1], 1, None
            )
            self.zeros = torch.zeros(len(weight), dtype=torch.int64)

    def __call__(self, x: Tensor, limit: float, is_signed: bool, relu: bool) -> Tensor:
        """`limit`: the largest magnitude in `x` to represent."""
        if not self.integer:
            out = F.conv2d(x, self.weight, self.bias, padding=1)
            return out.relu_() if relu else out
        if is_signed:
            step, zero = max(limit, 1e-30) / 127, 128
        else:
            step, zero = max(limit, 1e-30) / 255, 0
        values = torch.quantize_per_tensor(x, step, zero, torch.quint8).int_repr()
        return torch.ops.onednn.qconv2d_pointwise(
            qx=values,
            x_scale=step,
            x_zero_point=zero,
            qw=self.packed_weights,
            w_scale=self.scale,
            w_zero_point=self.zeros,
            bias=self.bias,
            stride=[1, 1],
            padding=[1, 1],
            dilation=[1, 1],
            groups=1,
            output_scale=1.0,
            output_zero_point=0,
            output_dtype=torch.float32,
            attr="relu" if relu else "none",
            scalars=[],
            algorithm="",
        )


def _integers_work() -> bool:
    """Whether the int8 kernels exist here and are correct: torch has no public convolution of int8
    with fp32 results (its dynamic one takes ten times as long)."""
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    generator = torch.Generator().manual_seed(0)
    weight, x = (
        torch.randn(16, 64, 3, 3, generator=generator),
        torch.rand(1, 64, 16, 16, generator=generator),
    )
    x = x.contiguous(memory_format=torch.channels_last)
    try:
        # Torch warns once per process that `quantize_per_tensor` will be removed; fp32 replaces it
        # then.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            actual = _Convolution(weight, None, True)(x, 1.0, False, False)
    except (AttributeError, RuntimeError, NotImplementedError):
        return False
    expected = F.conv2d(x, weight, padding=1)
    return float((actual - expected).norm()) < 0.05 * float(expected.norm())


def _rows(x: Tensor) -> Tensor:
    """A channels-last map `(1, C, H, W)` as `(H·W, C)` without copying."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _map(rows: Tensor, like: Tensor) -> Tensor:
    """The inverse of `_rows`."""
    _, c, h, w = like.shape
    return rows.reshape(1, h, w, c).permute(0, 3, 1, 2)


class PerceptualLoss(nn.Module):
    """`forward(rgb, references)` → (LPIPS-like, DISTS), each `(N,)`; `rgb` `(N, 3, H, W)` in 0…1,
    one `Reference` a sample from `reference(rgb)`.

    `is_batched`: whole batches at a time, by default on a GPU; then `reference` returns the maps of
    the batch instead. `weights`: of another network of VGG16's form, by the names of its file
    (`perceptual.load_weights`)."""

    mean: Tensor
    deviation: Tensor
    hann: Tensor

    def __init__(
        self,
        integer: bool | None = None,
        is_batched: bool | None = None,
        weights: dict[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        self._batched = is_batched
        weights = weights or perceptual.load_weights("vgg")
        self.dists = dists = perceptual.Dists(weights).eval()
        self.integer = _integers_work() if integer is None else integer
        self.register_buffer("mean", dists.mean)
        self.register_buffer("deviation", dists.std)
        self.register_buffer("hann", dists.features.hann)
        self.lin = [
            torch.zeros(3),
            *(weights[f"lin{i}.weight"].flatten() for i in range(len(_STAGES))),
        ]
        sizes = [len(w) for w in self.lin]
        self.alpha, self.beta = dists.alpha.split(sizes), dists.beta.split(sizes)
        self.ahead: dict[int, _Convolution] = {}
        self.back: dict[int, _Convolution] = {}
        for stage in _STAGES:
            for index, _, _ in stage:
                weight, bias = (
                    getattr(dists.features, f"w{index}"),
                    getattr(dists.features, f"b{index}"),
                )
                integer_here = (
                    self.integer and index > 0
                )  # the first layer has signed input and costs next to nothing
                self.ahead[index] = _Convolution(weight, bias, integer_here)
                self.back[index] = _Convolution(
                    weight.transpose(0, 1).flip(2, 3), None, integer_here
                )

    def _apply(self, fn: Any, recurse: bool = True) -> PerceptualLoss:
        """Move weights along with `.to(device)`; integer kernels stay on the CPU."""
        super()._apply(fn, recurse)
        self.alpha, self.beta = tuple(fn(a) for a in self.alpha), tuple(fn(b) for b in self.beta)
        self.lin = [fn(w) for w in self.lin]
        for convolution in (*self.ahead.values(), *self.back.values()):
            convolution.weight = fn(convolution.weight)
            convolution.bias = None if convolution.bias is None else fn(convolution.bias)
            convolution.integer = convolution.integer and self.mean.device.type == "cpu"
        self.integer = self.integer and self.mean.device.type == "cpu"
        return self

    def _pool(self, x: Tensor) -> Tensor:
        kernel = self.hann.expand(x.shape[1], 1, 3, 3)
        return F.conv2d(x * x, kernel, stride=2, padding=1, groups=x.shape[1]).add_(1e-12).sqrt_()

    def _forward_maps(self, rgb: Tensor) -> tuple[list[Tensor], dict[int, Tensor], list[Tensor]]:
        """Forward maps of one sample: the picture and the five stages; the output of every
        convolution; the pooled maps."""
        x = ((rgb - self.mean) / self.deviation).contiguous(memory_format=torch.channels_last)
        stages, outputs, pooled = [rgb.contiguous(memory_format=torch.channels_last)], {}, []
        for number, stage in enumerate(_STAGES):
            if number:
                x = self._pool(x)
                pooled.append(x)
            for index, _, _ in stage:
                # Its largest value is read only if it is used: a device would wait.
                limit = float(x.amax()) if self.ahead[index].integer else 0.0
                x = self.ahead[index](x, limit, False, True)
                outputs[index] = x
            stages.append(x)
        return stages, outputs, pooled

    def _of_batch(self, rgb: Tensor, references: list[Tensor]) -> tuple[Tensor, Tensor]:
        maps, distance = list(self.dists.maps(rgb)), rgb.new_zeros(len(rgb))
        for x, y, weight in zip(maps[1:], references[1:], self.lin[1:], strict=True):
            one, other = (F.normalize(z.float(), dim=1, eps=1e-5) for z in (x, y))
            distance = distance + ((one - other).square() * weight[:, None, None]).sum(1).mean(
                (1, 2)
            )
        return distance, self.dists(maps, references)

    @property
    def is_batched(self) -> bool:
        return self.mean.is_cuda if self._batched is None else self._batched

    @torch.no_grad()
    def reference(self, rgb: Tensor) -> Any:
        """Maps of each source picture in `(N, 3, H, W)`; about 8 MB for 128²."""
        if self.is_batched:
            return list(self.dists.maps(rgb))
        references = []
        for sample in rgb.split(1):
            stages = []
            for x, weight in zip(self._forward_maps(sample)[0], self.lin, strict=True):
                b = _rows(x)
                square = b * b
                inverse = torch.rsqrt(square.sum(1, keepdim=True) + 1e-10)
                stages.append(
                    StageReference(
                        b,
                        inverse,
                        (square @ weight)[:, None] * inverse * inverse,
                        b.mean(0),
                        square.mean(0),
                    )
                )
            references.append(stages)
        return references

    def forward(self, rgb: Tensor, references: Any) -> tuple[Tensor, Tensor]:
        if self.is_batched:
            return self._of_batch(rgb, references)
        scores = [
            _Distance.apply(sample, self, reference)
            for sample, reference in zip(rgb.split(1), references, strict=True)
        ]
        distance, texture = torch.stack(scores).unbind(1)
        return distance, texture


class _Distance(torch.autograd.Function):
    """One sample's (LPIPS-like, DISTS) `(2,)`."""

    @staticmethod
    def forward(ctx: Any, rgb: Tensor, loss: PerceptualLoss, reference: Reference) -> Tensor:
        stages, outputs, pooled = loss._forward_maps(rgb)
        distance, similarity = rgb.new_zeros(()), rgb.new_zeros(())
        saved = []
        for number, (x, ref) in enumerate(zip(stages, reference, strict=True)):
            a, weight = _rows(x), loss.lin[number]
            square, product = a * a, a * ref.map
            inverse = torch.rsqrt(square.sum(1, keepdim=True) + 1e-10)
            squares = (square @ weight)[:, None] * inverse * inverse
            cross = (product @ weight)[:, None] * inverse * ref.inverse
            if number:
                distance = distance + (squares + ref.weighted_map - 2 * cross).mean()
            mean = a.mean(0)
            variance, other = square.mean(0) - mean * mean, ref.square - ref.mean * ref.mean
            covariance = product.mean(0) - mean * ref.mean
            top, bottom = 2 * mean * ref.mean + 1e-6, mean * mean + ref.mean * ref.mean + 1e-6
            above, below = 2 * covariance + 1e-6, variance + other + 1e-6
            similarity = (
                similarity
                + (loss.alpha[number] * top / bottom + loss.beta[number] * above / below).sum()
            )
            # Derivatives of the similarity by mean(a), mean(a²) and mean(a·b).
            by_covariance, by_variance = (
                loss.beta[number] * 2 / below,
                -loss.beta[number] * above / (below * below),
            )
            by_mean = loss.alpha[number] * 2 * (ref.mean * bottom - mean * top) / (bottom * bottom)
            by_mean = by_mean - by_covariance * ref.mean - 2 * by_variance * mean
            saved.append(
                (
                    inverse,
                    squares - cross,
                    torch.stack([by_mean, 2 * by_variance, by_covariance]) / len(a),
                )
            )
        ctx.state = loss, reference, stages, outputs, pooled, saved
        return torch.stack([distance, 1 - similarity])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        loss, reference, stages, outputs, pooled, saved = ctx.state
        ctx.state = None
        by_distance, by_texture = gradient.unbind()

        def stage_gradient(number: int) -> Tensor:
            """Gradient of both distances by the stage's map: a·(per-row × per-channel) + b·(…) +
            per-channel."""
            inverse, projection, channel = saved[number]
            a, ref, weight = _rows(stages[number]), reference[number], loss.lin[number]
            channel = channel * -by_texture
            scale = by_distance * (2 / len(a)) * inverse
            unit = torch.ones_like(weight)
            own_factor = torch.cat(
                [scale * inverse, -scale * inverse * projection, torch.ones_like(scale)], 1
            ) @ torch.stack([weight, unit, channel[1]])
            other = torch.cat([-scale * ref.inverse, torch.ones_like(scale)], 1) @ torch.stack(
                [weight, channel[2]]
            )
            total = own_factor.mul_(a).addcmul_(ref.map.to(a.dtype), other).add_(channel[0])
            return _map(total, stages[number])

        upstream = stage_gradient(5)
        for number in range(4, -1, -1):
            for index, _, _ in reversed(_STAGES[number]):
                upstream = torch.ops.aten.threshold_backward(upstream, outputs[index], 0.0)
                limit = (
                    min(
                        float(upstream.abs().amax()), _CLIP * float(upstream.square().mean().sqrt())
                    )
                    if loss.integer
                    else 0.0
                )
                upstream = loss.back[index](upstream, limit, True, False)
            if number:
                below = pooled[number - 1]
                kernel = loss.hann.expand(below.shape[1], 1, 3, 3)
                size = outputs[_STAGES[number - 1][-1][0]].shape[2:]
                odd = (size[0] % 2 == 0, size[1] % 2 == 0)
                spread = F.conv_transpose2d(
                    upstream / below,
                    kernel,
                    stride=2,
                    padding=1,
                    output_padding=(int(odd[0]), int(odd[1])),
                    groups=below.shape[1],
                )
                upstream = spread.mul_(stages[number]).add_(stage_gradient(number))
            else:
                upstream = upstream / loss.deviation + stage_gradient(0)
        return upstream, None, None
