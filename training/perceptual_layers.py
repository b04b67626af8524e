"""Layer by layer, in closed form: the second step of `perceptual`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from gvcodec import perceptual
from training.perceptual_pairs import Pairs

Weights = dict[str, Tensor]
#: Channels of the student's stages; VGG16 has 64, 128, 256, 512, 512. The last stage adds 6 % to
#: what VGG gains, so next to nothing is spent on it.
CHANNELS = (32, 64, 128, 144, 8)
STAGES = perceptual._VGG
_DIFFERENCES = 0.7  # weight of differences in the fit of a layer
_POSITIONS = 160  # of a map, drawn for the fit of a layer
_POLISH = 300  # steps by which a layer's fit takes its ReLU into account


def pivots(covariance: Tensor, count: int) -> list[int]:
    """Channels that tell most of all of them: pivoted Cholesky of a covariance `(C, C)`."""
    rest = covariance.clone()
    chosen: list[int] = []
    for _ in range(count):
        variance = rest.diagonal().clone()
        variance[chosen] = -1
        k = int(variance.argmax())
        chosen.append(k)
        rest = rest - torch.outer(rest[:, k], rest[k]) / rest[k, k].clamp(min=1e-12)
    return chosen


def _each(maps: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """fp16 maps of many pictures changed a few at a time, in place where the shape allows it."""
    out: Tensor | None = None
    for first in range(0, len(maps), 16):
        some = maps[first : first + 16].float()
        part = change(some.contiguous(memory_format=torch.channels_last)).half()
        if out is None:
            same = part.shape[1:] == maps.shape[1:]
            out = maps if same else torch.empty(len(maps), *part.shape[1:], dtype=torch.half)
        out[first : first + 16] = part
    assert out is not None
    return out


def _fit_layer(
    inputs: tuple[Tensor, Tensor], responses: tuple[Tensor, Tensor], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Weight `(I, O)` and bias `(O,)` from patches `(R, I)` and responses before the ReLU `(R, O)`,
    each of painted pictures and of sources at the same places: least squares of responses and of
    their differences, then some steps on both after the ReLU."""
    (x, x_source), (y, y_source) = inputs, responses
    mean, middle = (x.mean(0) + x_source.mean(0)) / 2, (y.mean(0) + y_source.mean(0)) / 2
    spread = sum(float((z - middle).square().mean()) for z in (y, y_source)) / 2
    square, product = torch.zeros(x.shape[1], x.shape[1]), torch.zeros(x.shape[1], y.shape[1])
    of_differences = 2 * _DIFFERENCES * spread / max(1e-12, float((y - y_source).square().mean()))
    for part in range(0, len(x), 20_000):
        rows = slice(part, part + 20_000)
        for a, b, weight in (
            (x[rows] - mean, y[rows] - middle, 1 - _DIFFERENCES),
            (x_source[rows] - mean, y_source[rows] - middle, 1 - _DIFFERENCES),
            (x[rows] - x_source[rows], y[rows] - y_source[rows], of_differences),
        ):
            square += weight * a.T @ a
            product += weight * a.T @ b
    square += 1e-4 * square.diagonal().mean() * torch.eye(len(square))
    solved = torch.linalg.solve(square, product)
    weight = solved.clone().requires_grad_(True)
    bias = (middle - mean @ solved).requires_grad_(True)
    size, deviation = float(solved.std()), (F.relu(y) - F.relu(y_source)).square().mean(0) + 1e-9
    power = (F.relu(y).square().mean(0) + F.relu(y_source).square().mean(0)) / 2 + 1e-9
    optimizer = torch.optim.Adam([weight, bias], betas=(0.9, 0.99))
    with torch.enable_grad():
        for step in range(_POLISH):
            rows_now = torch.randint(len(x), (8192,), generator=generator)
            ours, theirs = F.relu(x[rows_now] @ weight + bias), F.relu(y[rows_now])
            ours_source = F.relu(x_source[rows_now] @ weight + bias)
            theirs_source = F.relu(y_source[rows_now])
            error = (1 - _DIFFERENCES) * ((ours - theirs).square() / power).mean()
            change = (ours - ours_source - theirs + theirs_source).square() / deviation
            for group in optimizer.param_groups:
                group["lr"] = 0.01 * size * min(1, (step + 1) / 30) * (1 - step / _POLISH)
            optimizer.zero_grad()
            (error + _DIFFERENCES * change.mean()).backward()
            optimizer.step()
    return weight.detach(), bias.detach()


@torch.no_grad()
def fit_layers(teacher: Weights, pairs: Pairs, channels: Sequence[int] = CHANNELS) -> Weights:
    """Weights by the names of the teacher's file, in closed form; some 10 MB a pair of 128²."""
    generator = torch.Generator().manual_seed(0)
    dists = perceptual.Dists(teacher)
    theirs = ((torch.cat([pairs.painted, pairs.source]).float() - dists.mean) / dists.std).half()
    ours, student, half = theirs.clone(), {}, len(pairs)
    layers = [(stage, index) for stage, part in enumerate(STAGES) for index, _, _ in part]
    sizes = [3, *widths(teacher)]
    alpha, beta = (list(teacher[n].flatten().split(sizes)) for n in ("alpha", "beta"))
    for number, (stage, index) in enumerate(layers):
        if stage and index == STAGES[stage][0][0]:
            theirs, ours = (_each(maps, dists.features.l2_pool) for maps in (theirs, ours))
        weight, bias = (teacher[f"features.{index}.{kind}"] for kind in ("weight", "bias"))
        theirs = _each(theirs, lambda x, w=weight, b=bias: F.conv2d(x, w, b, padding=1))  # type: ignore[misc]
        places = theirs.shape[2] * theirs.shape[3]
        count = min(_POSITIONS, places)
        picked = [torch.randperm(places, generator=generator)[:count] for _ in range(half)] * 2
        pairs_at = zip(theirs, picked, strict=True)
        teacher_responses = torch.cat([maps.flatten(1)[:, at].T for maps, at in pairs_at])
        # How much depends on a channel: in the layer above, and in the distance of its stage.
        importance = torch.zeros(theirs.shape[1])
        if number + 1 < len(layers):
            above = teacher[f"features.{layers[number + 1][1]}.weight"].square().sum((0, 2, 3))
            importance += above / above.mean()
        last = index == STAGES[stage][-1][0]
        if last:
            linear = teacher[f"lin{stage}.weight"].flatten()
            importance += linear / linear.mean().clamp(min=1e-12)
        responses = F.relu(teacher_responses.float())
        covariance = torch.cov(responses.T)
        changes = responses[: half * count] - responses[half * count :]
        moved = changes.T @ changes / len(changes)
        both = covariance / covariance.diagonal().mean()
        both = both + moved / moved.diagonal().mean().clamp(min=1e-12)
        chosen = pivots(both * torch.outer(importance.sqrt(), importance.sqrt()), channels[stage])
        del responses, changes
        unfolded = (F.unfold(maps[None].float(), 3, padding=1)[0] for maps in ours)
        patches = torch.cat([u[:, at].T for u, at in zip(unfolded, picked, strict=True)])
        target = teacher_responses[:, chosen].float()
        edge = half * count
        inputs, outputs = ((z[:edge], z[edge:]) for z in (patches, target))
        flat, bias = _fit_layer(inputs, outputs, generator)
        weight = flat.T.reshape(len(chosen), -1, 3, 3).contiguous()
        student[f"features.{index}.weight"], student[f"features.{index}.bias"] = weight, bias
        theirs = theirs.clamp_(min=0)
        ours = _each(ours, lambda x, w=weight, b=bias: F.relu(F.conv2d(x, w, b, padding=1)))  # type: ignore[misc]
        if last:
            student[f"lin{stage}.weight"] = linear[chosen].clamp(min=1e-4).view(1, -1, 1, 1)
            for factors in (alpha, beta):  # a stage keeps its weight
                part = factors[stage + 1][chosen].clamp(min=1e-6)
                factors[stage + 1] = part * (factors[stage + 1].sum() / part.sum())
    student |= {n: torch.cat(x).view(1, -1, 1, 1) for n, x in (("alpha", alpha), ("beta", beta))}
    return student


def widths(weights: Weights) -> list[int]:
    return [weights[f"lin{stage}.weight"].numel() for stage in range(len(STAGES))]
