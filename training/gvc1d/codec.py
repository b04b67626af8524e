"""Trains GVC1D's codec (`gvcodec.gvc1d.codec_network`), top to bottom.

    python -m training gvc1d.shards CLIPS SHARDS          # once
    python -m training gvc1d.codec SHARDS OUT [--minutes 60] [--device cuda]

A step: `batch` crops of 256×512 from runs of `length` frames, one quality for all, give or take 4.
The first frame has no prediction. The codec's loss is D + λ · bits with λ = c · step² (`PRICE`), so
each quality trades as its step says; what a quality's loss usually is divides it. LPIPS-VGG and
DISTS in turn, pixels and flicker lead the restorer, on frames that it cannot change.

In OUT: `log.jsonl` (curve every `--look` steps; every fifth time figures of the shards of
`--held-out` and what parts are worth there) and `state.pt` (averaged weights). A run in which a
part is worth less than `WORTH` after `--grace` minutes ends itself.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec import perceptual
from gvcodec.gvc1d.codec_network import PRICE, CodecNetwork, Last, Made, squares
from gvcodec.gvc1d.model_file import load_network
from gvcodec.gvc1d.refiner import compensate
from gvcodec.gvc1d.token_order import FIRST_FINER, planes_of
from gvcodec.util.tensors import SMALL, to_rgb
from training.alarms import Alarm
from training.gvc1d import spoilt
from training.loop import follow

#: Crops, luma samples: two windows, so that layers across windows have something to see.
HEIGHT, WIDTH = 256, 512
#: Qualities that are trained.
FINEST, COARSEST = 24.0, 63.0
#: Weight of pixels (8-bit levels over 255) and flicker beside a perceptual distance.
PIXEL, FLICKER = 3.0, 6.0
#: Least per cent that a part has to be worth once `--grace` minutes are over: one of the codec in
#: J, mean of first and later frames; one of the Restorer in DISTS of later frames.
WORTH = {
    "transform: as it began": 2.0,
    "contexts of the entropy model: zeroed": 3.0,
    "loop filter: zeroed": 3.0,
    "Restorer: tokens shuffled": 3.0,
}
#: Share of frames whose restorer has only the memory of frames before.
DROP = 0.3


class Shards:
    """Runs in memory, 8 bits: luma, chroma, vectors."""

    def __init__(self, folder: Path, device: torch.device, length: int) -> None:
        motion = np.load(folder / "motion.npz")
        self.runs: list[tuple[Tensor, Tensor, Tensor]] = []
        self.length, self.device = length, device
        for name in motion.files:
            y, uv = read_run(folder / f"{name}.mp4")
            vectors = motion[name]
            if min(y.shape[1:]) < HEIGHT or max(y.shape[1:]) < WIDTH:
                continue
            if len(y) < length or len(vectors) != len(y) - 1:
                continue
            found = [torch.from_numpy(np.ascontiguousarray(a)).to(device) for a in (y, uv, vectors)]
            self.runs.append((found[0], found[1], found[2]))

    def batch(self, size: int, rng: np.random.Generator) -> list[tuple[Tensor, Tensor, Tensor]]:
        """`length` frames: luma `[B, 1, H, W]`, chroma `[B, 2, H/2, W/2]` in 10-bit levels, vectors
        `[B, H/16, W/16, 2]`."""
        crops = [self._crop(rng) for _ in range(size)]
        y, uv, vectors = (torch.stack([c[k] for c in crops]) for k in range(3))
        return [
            (y[:, t, None].float() * 4, uv[:, t].float() * 4, vectors[:, t])
            for t in range(self.length)
        ]

    def _crop(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        y, uv, vectors = self.runs[int(rng.integers(len(self.runs)))]
        first = int(rng.integers(len(y) - self.length + 1))
        turned = y.shape[1] >= WIDTH and (y.shape[2] < WIDTH or rng.random() < 0.2)
        h, w = (WIDTH, HEIGHT) if turned else (HEIGHT, WIDTH)
        r = int(rng.integers((y.shape[1] - h) // 16 + 1))
        c = int(rng.integers((y.shape[2] - w) // 16 + 1))
        frames = slice(first, first + self.length)
        y = y[frames, 16 * r : 16 * r + h, 16 * c : 16 * c + w]
        uv = uv[frames, :, 8 * r : 8 * r + h // 2, 8 * c : 8 * c + w // 2]
        moved = vectors[first : first + self.length - 1, r : r + h // 16, c : c + w // 16]
        moved = torch.cat([torch.zeros_like(moved[:1]), moved])
        if turned:
            y, uv, moved = y.mT, uv.mT, moved.transpose(1, 2).flip(-1)
        for axis in (0, 1):  # dx, dy
            if rng.random() < 0.5:
                y, uv, moved = y.flip(2 - axis), uv.flip(3 - axis), moved.flip(2 - axis)
                sign = torch.tensor([-1, 1] if axis == 0 else [1, -1], device=moved.device)
                moved = moved * sign.to(moved.dtype)
        return y, uv, moved


def read_run(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Luma `[T, H, W]`, chroma `[T, 2, H/2, W/2]`, uint8, by PyAV or OpenCV."""
    try:
        import av
    except ImportError:
        return _read_by_opencv(path)
    with av.open(str(path)) as container:
        planes = [frame.to_ndarray(format="yuv420p") for frame in container.decode(video=0)]
    return _split(np.stack(planes))


def _read_by_opencv(path: Path) -> tuple[np.ndarray, np.ndarray]:
    import cv2  # type: ignore[import-not-found]

    reader, planes = cv2.VideoCapture(str(path)), []
    while True:
        good, image = reader.read()
        if not good:
            break
        planes.append(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420))
    return _split(np.stack(planes))


def _split(planes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    t, rows, width = planes.shape
    height = rows * 2 // 3
    chroma = planes[:, height:].reshape(t, 2, height // 2, width // 2)
    return planes[:, :height], chroma


def rgb_of(y: Tensor, uv: Tensor) -> Tensor:
    """RGB `[B, 3, H, W]` of 10-bit levels, as 8-bit video is seen."""

    def seen(x: Tensor) -> Tensor:
        whole = (x / 4).round().clamp(0, 255) * 4
        return x + (whole - x).detach()

    rgb: Tensor = to_rgb(seen(y) / 1023, seen(uv) / 1023, SMALL).clamp(0, 1)
    return rgb


class Objective:
    """What a frame's restored picture is judged by."""

    def __init__(self, device: torch.device) -> None:
        self.lpips = perceptual.lpips("vgg").to(device)
        self.dists = perceptual.dists().to(device)
        self.device = device

    def distance(self, made: Made, source: tuple[Tensor, Tensor], which: str) -> Tensor:
        """`[B]`."""
        assert made.restored is not None
        ours = rgb_of(made.restored.y, made.restored.uv)
        theirs = rgb_of(*source)
        net = self.lpips if which == "lpips" else self.dists
        with torch.autocast(self.device.type, torch.bfloat16):
            return net(ours, theirs).float()


def pixel_loss(made: Made, source: tuple[Tensor, Tensor]) -> Tensor:
    """Mean absolute difference, luma and half of chroma, of 8-bit levels over 255."""
    assert made.restored is not None
    luma = (made.restored.y - source[0]).abs().mean((1, 2, 3))
    chroma = (made.restored.uv - source[1]).abs().mean((1, 2, 3))
    return (luma + 0.5 * chroma) / 1020


def flicker(made: Made, last: Last, vectors: Tensor, source: Any, before: Any) -> Tensor:
    """Change from frame to frame beyond the source's own."""
    assert made.restored is not None and last.restored is not None
    moved, _ = compensate(last.restored.y, last.restored.uv, vectors)
    theirs, _ = compensate(before[0], before[1], vectors)
    excess = (made.restored.y - moved).abs() - (source[0] - theirs).abs()
    return F.relu(F.avg_pool2d(excess, 8)).mean((1, 2, 3)) / 1020


def costs(made: list[Made], frames: list[Any], q: Tensor) -> list[Tensor]:
    """J = D / λ + bits of each frame, `[B]`, λ by the step that it is coded with: the first, from
    which all later ones are predicted and not only those of a run, is finer and stays so."""
    found = []
    for t, (one, (y, uv, _)) in enumerate(zip(made, frames, strict=True)):
        step = 16.0 * 2 ** ((q - (0 if t else FIRST_FINER)) / 10)
        found.append(squares((one.y, one.uv), (y, uv)) / (PRICE * step.square()) + one.bits)
    return found


def load(net: CodecNetwork, path: Path, device: torch.device) -> CodecNetwork:
    """The weights of a `state.pt` or of a safetensors file into `net`."""
    if path.suffix == ".safetensors":
        net.load_state_dict(load_network(path, str(device)).state_dict())
    else:
        net.load_state_dict(torch.load(path, map_location=device))
    return net


class Run:
    """A training run's state."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.asked = asked
        self.device = torch.device(asked.device)
        torch.manual_seed(asked.seed)
        self.rng = np.random.default_rng(asked.seed)
        torch.backends.cudnn.allow_tf32 = False  # the transform's; all else is in halves
        self.network = CodecNetwork().to(self.device)
        if asked.initial:
            load(self.network, asked.initial, self.device)
        if asked.filter_only:
            self.network.requires_grad_(False)
            self.network.loop_filter.requires_grad_(True)
        if asked.restorer_only:
            self.network.requires_grad_(False)
            if asked.restorer_only == "anew":
                self.network.restorer = CodecNetwork().restorer.to(self.device)
            self.network.restorer.requires_grad_(True)
        self.network.uses_analyst = asked.encoder == "analyst"
        self.network.searches = asked.encoder == "rd"
        self.network.restorer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).requires_grad_(False).eval()
        self.shards = Shards(asked.shards, self.device, asked.length)
        self.kept = self.shards
        if asked.held_out:
            self.kept = Shards(asked.held_out, self.device, asked.length)
        self.objective = Objective(self.device) if not asked.codec_only else None
        net, scale = self.network, asked.rate
        self.groups = [
            {
                "params": [p for n, p in net.transform.named_parameters() if n != "log_step"],
                "peak": 1e-4 * scale,
            },
            {"params": [net.transform.log_step], "peak": 3e-3 * scale},
            {"params": list(net.twin.parameters()), "peak": 3e-3 * scale},
            {"params": list(net.loop_filter.parameters()), "peak": 2e-3 * scale},
            {"params": list(net.analyst.parameters()), "peak": 4e-4 * scale},
            {"params": list(net.restorer.parameters()), "peak": 6e-4 * scale},
        ]
        self.optimizer = torch.optim.AdamW(
            self.groups, lr=1e-4, betas=(0.9, 0.98), weight_decay=0.0
        )
        for net in (self.network, self.average):
            spoilt.WITHOUT.get(asked.without, lambda net: None)(net)
        #: What the restorer is not given of the frame before: "", "memory", "last".
        self.cuts = asked.without if asked.without in spoilt.CUTS else ""
        self.usual: dict[int, float] = {}
        self.steps = 0

    def sequence(
        self, net: CodecNetwork, frames: list[Any], q: Tensor, restore: bool
    ) -> list[Made]:
        last, made = None, []
        for y, uv, vectors in frames:
            drop = net.training and self.rng.random() < DROP
            finer = FIRST_FINER if last is None else 0
            many = planes_of(float(q.mean()) - finer)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.asked.half):
                one = net((y, uv), last, vectors, q - finer, many, restore, self.asked.share, drop)
            made.append(one)
            last = self._cut(net, one.last)
        return made

    def _cut(self, net: CodecNetwork, last: Last) -> Last:
        """Without what an ablation takes away."""
        if not self.cuts or last.restored is None:
            return last
        b, w, _, _ = last.restored.memory.shape
        if self.cuts == "memory":
            return last._replace(restored=last.restored._replace(memory=net.restorer.fresh(b, w)))
        return last._replace(restored=last.restored._replace(y=last.y, uv=last.uv))

    def step(self, part: float) -> dict[str, float]:
        for group in self.optimizer.param_groups:
            warm = min(1.0, (self.steps + 1) / max(1, self.asked.warm_up))
            group["lr"] = (
                group["peak"] * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * part)))
            )
        centre = float(self.rng.uniform(FINEST + 4, COARSEST - 4))
        jitter = torch.from_numpy(self.rng.uniform(-4, 4, self.asked.batch)).float()
        q = (centre + jitter).to(self.device)
        frames = self.shards.batch(self.asked.batch, self.rng)
        restore = self.objective is not None
        made = self.sequence(self.network, frames, q, restore)
        codec = torch.stack(costs(made, frames, q)).sum(0)
        key = int(centre / 4)
        size = float(codec.detach().mean())
        self.usual[key] = 0.95 * self.usual.get(key, size) + 0.05 * size
        loss = codec.mean() / self.usual[key]
        row = {
            "q": centre,
            "J": size / self.usual[key],
            "bits": float(made[0].bits.detach().mean()),
            "bits_p": float(made[-1].bits.detach().mean()),
            "Jabs": size,
        }
        if self.objective is not None:
            loss = loss + self.looks(made, frames, row)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for group in self.groups:
            nn.utils.clip_grad_norm_(group["params"], 1.0)
        self.optimizer.step()
        self.steps += 1
        keep = min(0.998, self.steps / (self.steps + 20))
        with torch.no_grad():
            follow(self.average, self.network, keep)
        return row

    def looks(self, made: list[Made], frames: list[Any], row: dict[str, float]) -> Tensor:
        """The restorer's loss."""
        which = "lpips" if self.steps % 2 else "dists"
        total = torch.zeros((), device=self.device)
        assert self.objective is not None
        for t in (0, len(made) - 1):
            source = frames[t][:2]
            distance = self.objective.distance(made[t], source, which)
            total = total + distance.mean()
            row[f"{which}{t}"] = float(distance.detach().mean())
            total = total + PIXEL * pixel_loss(made[t], source).mean()
        for t in range(1, len(made)):
            last, before = made[t - 1].last, frames[t - 1][:2]
            total = (
                total + FLICKER * flicker(made[t], last, frames[t][2], frames[t][:2], before).mean()
            )
        return total

    @torch.no_grad()
    def measure(
        self, net: CodecNetwork, qs: Sequence[float] = (36.0, 46.0, 56.0)
    ) -> dict[str, Any]:
        """On fixed crops: log J of first and later frames, distances of loop and shown frames."""
        rng = np.random.default_rng(1)
        found: dict[str, Any] = {}
        sums: dict[str, list[float]] = {}
        with torch.random.fork_rng(devices=[]):  # which values are paid is drawn alike each time
            torch.manual_seed(1)
            for q0 in qs:
                self._measure_at(net, q0, rng, sums)
        for name, values in sums.items():
            found[name] = round(sum(values) / len(values), 4)
        return found

    def _measure_at(
        self, net: CodecNetwork, q0: float, rng: np.random.Generator, sums: dict[str, list[float]]
    ) -> None:
        for _ in range(self.asked.looks):
            frames = self.kept.batch(self.asked.batch, rng)
            q = torch.full((self.asked.batch,), q0, device=self.device)
            made = self.sequence(net, frames, q, self.objective is not None)
            found = costs(made, frames, q)
            for t, name in ((0, "I"), (len(made) - 1, "P")):
                source = frames[t][:2]
                sums.setdefault("logJ" + name, []).append(float(found[t].mean().log()))
                sums.setdefault(f"bits{name}{q0:g}", []).append(float(made[t].bits.mean()))
                mse = (made[t].y - source[0]).square().mean() / 16
                sums.setdefault(f"psnr{name}{q0:g}", []).append(
                    float(10 * torch.log10(255**2 / mse))
                )
                if self.objective is None:
                    continue
                for which in ("lpips", "dists"):
                    value = float(self.objective.distance(made[t], source, which).mean())
                    sums.setdefault(which + name, []).append(value)
                    shown = made[t].restored
                    assert shown is not None
                    plain = made[t]._replace(restored=shown._replace(y=made[t].y, uv=made[t].uv))
                    value = float(self.objective.distance(plain, source, which).mean())
                    sums.setdefault(f"{which}{name}-loop", []).append(value)

    def check(self, whole: dict[str, float], minutes: float) -> dict[str, float]:
        """Per cent that parts (`WORTH`) are worth to the network whose figures (`measure`) are
        `whole`. Raises `Alarm` for a dead one."""
        found = {}
        for name, least in WORTH.items():
            of_codec = name in spoilt.CODEC
            if not of_codec and self.objective is None:
                continue
            how = (spoilt.CODEC | spoilt.RESTORER)[name]
            cost = spoilt.change(whole, self.measure(spoilt.spoil(self.average, how)))
            worth = (cost["J of I"] + cost["J of P"]) / 2 if of_codec else cost["distsP"]
            found[name] = round(worth, 2)
            if minutes >= self.asked.grace and worth < least:
                raise Alarm(f"{name} costs {worth:.2f} %, {least:g} is the least: a dead part")
        return found

    def save(self, out: Path) -> None:
        partial = out / "state.part"
        weights: dict[str, Tensor] = self.average.state_dict()
        for part in ("twin", "restorer"):  # of a network that sees less
            weights = {k.replace(f"{part}.{part}.", f"{part}."): v for k, v in weights.items()}
        torch.save(weights, partial)
        partial.rename(out / "state.pt")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="training gvc1d.codec")
    parser.add_argument("shards", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--held-out", type=Path, help="shards for validation (else the training shards)"
    )
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--steps", type=int, default=0, help="steps, in place of --minutes")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--initial", type=Path)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--length", type=int, default=3)
    parser.add_argument(
        "--share", type=float, default=0.5, help="share of values whose bits are estimated"
    )
    parser.add_argument("--looks", type=int, default=1, help="batches of each measurement")
    parser.add_argument("--look", type=int, default=200, help="steps between lines of the log")
    parser.add_argument("--grace", type=float, default=60.0, help="minutes before alarms end it")
    parser.add_argument("--rate", type=float, default=1.0)
    parser.add_argument("--warm-up", type=int, default=200, help="steps of rising rates")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--half", action="store_true", help="bf16 in the transformers")
    parser.add_argument(
        "--encoder",
        choices=("rd", "analyst", "dead-zone"),
        default="rd",
        help="how integers are chosen: by rate and distortion as in files, by the Analyst, "
        "or by a dead zone alone",
    )
    parser.add_argument("--without", choices=("", *spoilt.WITHOUT, *spoilt.CUTS), default="")
    parser.add_argument("--codec-only", action="store_true", help="no restorer")
    parser.add_argument(
        "--restorer-only",
        choices=("", "on", "anew"),
        default="",
        help="the codec stays as it is; the restorer goes on, or begins anew",
    )
    parser.add_argument("--filter-only", action="store_true", help="all but the loop filter stays")
    asked = parser.parse_args(arguments)
    asked.out.mkdir(parents=True, exist_ok=True)
    run = Run(asked)
    print(f"{len(run.shards.runs)} runs", flush=True)
    begun, saved = time.monotonic(), time.monotonic()
    log = open(asked.out / "log.jsonl", "a")  # noqa: SIM115

    def share() -> float:
        if asked.steps:
            return run.steps / asked.steps
        return (time.monotonic() - begun) / (60 * asked.minutes)

    try:
        while (part := share()) < 1:
            row = run.step(part)
            if run.steps % asked.look == 1:
                row |= {"step": run.steps, "minutes": round((time.monotonic() - begun) / 60, 2)}
                line = {k: round(v, 4) for k, v in row.items()}
                if run.steps % (5 * asked.look) == 1:
                    whole = run.measure(run.average)
                    line |= whole | run.check(whole, line["minutes"])
                print(json.dumps(line), file=log, flush=True)
                print(json.dumps(line), flush=True)
            if time.monotonic() - saved > 120:
                run.save(asked.out)
                saved = time.monotonic()
    finally:
        run.save(asked.out)
    return 0
