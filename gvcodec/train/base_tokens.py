"""Training of base tokens: `gvcodec.structure.tokens.model` with the float twin of its entropy network.

    gvcodec train checkpoints/tokens.toml --minutes 600

Runs on idle time for many hours: it stops after so many minutes or at SIGTERM/SIGINT, everything is saved every five
minutes (`state.pt`, atomically), and the next call goes on from there. `tokens-1.safetensors` is the averaged model as streams name
it, with the integer entropy network; `log.jsonl` has a line every few minutes: window-frames seen, processor hours, losses, bits a window, what zeroing the tokens costs.

Windows walk through clips (`token_material.Streams`): the state behind a frame, as the model itself decoded it, is where the next
step begins, so the model meets its own drift although gradients go through a few frames only. Stages, by window-frames seen:
motion from our block search as a target, where it gains, fades out over `flow_until`; perceptual losses of the small network
on sub-crops from `perceptual_from` on. The learning rate falls with the root of what was seen, without an end unless `settle_to` says one.
"""

from __future__ import annotations

import json
import math
import os
import random
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec.errors import UsageError
from gvcodec.painter import perceptual
from gvcodec.painter.perceptual.losses import SMALL, to_rgb
from gvcodec.painter.perceptual.vgg import PerceptualLoss
from gvcodec.structure.tokens import entropy
from gvcodec.structure.tokens.checkpoint import NAME, read_model, read_network, read_sizes, write
from gvcodec.structure.tokens.entropy import STEPS
from gvcodec.structure.tokens.model import (
    LEAF,
    PATCH,
    PRICE,
    WINDOW,
    Decoded,
    Found,
    Picture,
    Sizes,
    State,
    TokenModel,
    leaf_cells,
    moved_blocks,
    price_factor,
    search,
    windows_differ,
    with_copies,
)
from gvcodec.structure.tokens.twin import Twin
from gvcodec.train.token_entropy import network_of, set_twin
from gvcodec.train.token_material import KEY_STEP, Clip, Streams, open_clips
from gvcodec.training.loop import follow
from gvcodec.training.settings import read_settings

#: Two windows side by side, or one above the other: what global layers need at least.
_SHAPES = ((WINDOW, 2 * WINDOW), (2 * WINDOW, WINDOW))
_SAVE_SECONDS, _LOG_SECONDS, _VALIDATE_HOURS = 300.0, 120.0, 0.25


@dataclass(frozen=True)
class Config:
    """Keys of the TOML file, beside `model = "tokens"`. Numbers of frames a step (`lengths`) and of frames a walk (`walks`) apply from
        so many window-frames on, which `from_seen` lists. `start` names a token model to go on from, beside whose JSON says what it
        has seen; the optimizer begins anew. Between `settle_from` and `settle_to` window-frames the learning rate falls to nothing besides,
    for a file to ship; the state before is the one to go on from later."""

    material: str
    out: str
    start: str = ""
    seed: int = 1
    width: int = 192
    local: int = 2
    stages: int = 2
    filters: int = 64
    batch: int = 3
    learning_rate: float = 7e-4
    halved_at: int = 40_000
    settle_from: int = 0
    settle_to: int = 0
    average: float = 0.999
    from_seen: tuple[int, ...] = (0, 10_000, 40_000, 120_000)
    lengths: tuple[int, ...] = (1, 2, 3, 4)
    walks: tuple[int, ...] = (12, 24, 48, 96)
    flow_until: int = 30_000
    perceptual_from: int = 12_000
    perceptual: float = 0.15
    threads: int = 2


@dataclass
class Slots:
    """The windows of one shape: their walks, the state of each, and in integers the last tokens and the memory of the entropy model."""

    streams: Streams
    state: State | None
    last: np.ndarray
    level: np.ndarray
    q: Tensor

    def remember(self, tokens: Tensor, there: Tensor) -> None:
        """After a frame of whole numbers (B, N, K, C): windows that are copies leave what is known of them as it is."""
        kept = there.cpu().numpy()[:, :, None, None]
        for i, one in enumerate(tokens.int().cpu().numpy()):
            level = entropy.remembered(self.level[i], one)
            self.level[i] = np.where(kept[i], level, self.level[i])
            self.last[i] = np.where(kept[i], one, self.last[i])


class Frame(NamedTuple):
    """A frame of all slots: bits of each window (B, N), what was searched, rounded tokens, estimated -ELBO (B, N)."""

    decoded: Decoded
    bits: Tensor
    found: Found
    tokens: Tensor
    effort: Tensor


def chosen(mask: Tensor, one: State, other: State) -> State:
    """State by state: `one` where the mask (B,) is set."""

    def pick(a: Tensor, b: Tensor) -> Tensor:
        return torch.where(mask.view(-1, *[1] * (a.dim() - 1)), a, b)

    def both(a: Picture, b: Picture) -> Picture:
        return pick(a[0], b[0]), pick(a[1], b[1])

    return State(
        both(one.before, other.before),
        pick(one.features, other.features),
        pick(one.memory, other.memory),
        both(one.key, other.key),
        pick(one.places, other.places),
        both(one.added, other.added),
    )


def pays(before: State, after: State, now: Picture, cost: Tensor) -> Tensor:
    """Which windows (B, N) have tokens that pay their `cost` (B, N): the others go on as copies, as in streams."""
    with torch.no_grad():
        return windows_differ(after.before, now) + cost < windows_differ(before.before, now)


def detached(state: State) -> State:
    before = state.before[0].detach().clamp(-0.6, 0.6), state.before[1].detach().clamp(-0.6, 0.6)
    added = state.added[0].detach(), state.added[1].detach()
    return State(
        before,
        state.features.detach(),
        state.memory.detach(),
        state.key,
        state.places.detach(),
        added,
    )


def pixel(a: Picture, b: Picture) -> Tensor:
    """Charbonnier of luma and half of chroma, (B,)."""
    luma = ((a[0] - b[0]).square() + 1e-6).sqrt().mean((1, 2, 3))
    return luma + 0.5 * ((a[1] - b[1]).square() + 1e-6).sqrt().mean((1, 2, 3))


def flow_error(motion: Tensor, vectors: Tensor, before: Picture, now: Picture) -> Tensor:
    """How far `motion` (B, 2, H/4, W/4) is from the `vectors` of blocks, counted by what they gain, (B,)."""
    moved = moved_blocks(before, vectors)[0]
    still, moving = (F.avg_pool2d((now[0] - x).abs(), PATCH) for x in (before[0], moved))
    weight = ((still - moving).detach() / 0.02).clamp(0, 1)
    return ((F.avg_pool2d(motion, 4) - vectors).abs().clamp(max=16) * weight).mean((1, 2, 3)) / 16


def psnr(a: Picture, b: Picture) -> Tensor:
    """Of luma, (B,)."""
    return -10 * torch.log10((a[0] - b[0]).square().mean((1, 2, 3)) + 1e-7)


@torch.no_grad()
def components(
    model: TokenModel, clips: Sequence[Clip], seed: int, walks: int = 60, frames: int = 4
) -> Tensor:
    """Principal components of what steps of motion leave of leaves, each leaf at unit energy, (channels - STEPS, LEAF): of short
    walks behind keyframes through random clips."""
    rng, device = random.Random(seed), model.place.device
    h, w = _SHAPES[0]
    total = torch.zeros(LEAF, LEAF, device=device)
    q = torch.full((1,), 32.0, device=device)
    for clip in rng.choices([c for c in clips if c.height >= h and c.width >= w] or clips, k=walks):
        h, w = min(h, clip.height // WINDOW * WINDOW), min(w, clip.width // WINDOW * WINDOW)
        number = rng.randrange((clip.frames - 2) // KEY_STEP + 1)
        top, left = (
            rng.randrange((clip.height - h) // 2 + 1) * 2,
            rng.randrange((clip.width - w) // 2 + 1) * 2,
        )
        before = tuple(x.to(device) for x in clip.key(number, top, left, h, w))
        for frame in range(number * KEY_STEP + 1, min(number * KEY_STEP + 1 + frames, clip.frames)):
            now = tuple(x.to(device) for x in clip.frame(frame, top, left, h, w))
            found = search(now[0], before[0], q, model.sizes.tokens)
            before = model.steps_alone(before, found)  # type: ignore[arg-type]
            rest = leaf_cells((now[0] - before[0], now[1] - before[1]), model.sizes.tokens).reshape(
                -1, LEAF
            )
            rest = rest / (rest.square().mean(1, keepdim=True) + 1e-5).sqrt()
            total += rest.t() @ rest
    vectors = torch.linalg.eigh(total).eigenvectors
    return vectors[:, -model.to_rest.shape[0] :].flip(1).t().contiguous()


class Step(NamedTuple):
    """A frame of a walk through a clip: the state before it, what was coded, the state after it with its copies."""

    before: State
    now: Picture
    found: Found
    tokens: Tensor  # (1, N, K, C), rounded
    bits: Tensor  # (N,), by the twin
    decoded: Decoded
    there: Tensor  # (1, N): windows that are no copies
    after: State


@torch.no_grad()
def walk(
    model: TokenModel,
    twin: Twin,
    clip: Clip,
    key: Picture,
    at: tuple[int, int],
    frames: int,
    q: Tensor,
) -> Iterator[Step]:
    """Code so many frames of a clip behind its keyframe 1, `key`, from the windows at (top, left) `at`, with all tokens."""
    sizes, device = model.sizes, key[0].device
    h, w = key[0].shape[2:]
    windows = h * w // WINDOW**2
    counts = np.full(windows, sizes.tokens)
    full = torch.full((1, windows), sizes.tokens, device=device)
    last = np.zeros((windows, sizes.tokens, sizes.channels), np.int32)
    level = last.copy()
    state = model.begin(key)
    for number in range(1, frames + 1):
        luma, chroma = clip.frame(KEY_STEP + number, *at, h, w)
        now = luma.to(device), chroma.to(device)
        found = search(now[0], state.before[0], q, sizes.tokens)
        tokens = model.encode(now, state, found, q).tokens.round()
        side = torch.from_numpy(entropy.side(last, level, int(q), counts)).to(device)
        bits = twin.bits(side, tokens[0].flatten(1)).sum(1)
        decoded = model.decode(tokens, full, state, q)
        there = pays(state, decoded.state, now, PRICE * price_factor(q) * bits[None])
        after = with_copies(decoded.state, state, there)
        yield Step(state, now, found, tokens, bits, decoded, there, after)
        kept, whole = there[0].cpu().numpy()[:, None, None], tokens[0].int().cpu().numpy()
        level = np.where(kept, entropy.remembered(level, whole), level)
        last = np.where(kept, whole, last)
        state = after


class Trainer:
    """State of a run. `step()` is one update, `save()` writes everything."""

    def __init__(self, config: Config) -> None:
        self.config, self.out = config, Path(config.out)
        self.out.mkdir(parents=True, exist_ok=True)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        self.rng = random.Random(config.seed)
        heads = max(1, config.width // 32)
        self.sizes = Sizes(config.width, heads, config.local, config.stages, filters=config.filters)
        self.model, self.mean = (TokenModel(self.sizes).to(self.device) for _ in range(2))
        self.twin, self.mean_twin = (Twin(self.sizes).to(self.device) for _ in range(2))
        self.optimizer = torch.optim.AdamW(
            [*self.model.parameters(), *self.twin.parameters()],
            lr=config.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=0.01,
        )
        self.steps, self.seen, self.hours = 0, 0, 0.0
        self.gain, self.elbo = 0.0, 4096.0
        resumed = (self.out / "state.pt").is_file()
        if resumed:
            self._resume()
        elif config.start:
            self._start(Path(config.start))
        material = Path(config.material)
        self.slots = []
        for number, shape in enumerate(_SHAPES):
            if not (clips := open_clips(material, False, shape)):
                continue
            shape_of = (config.batch, 2, self.sizes.tokens, self.sizes.channels)
            empty = np.zeros(shape_of, np.int32)
            walks = Streams(clips, config.batch, shape, config.seed + self.steps * 2 + number)
            self.slots.append(Slots(walks, None, empty, empty.copy(), torch.zeros(config.batch)))
        self.held = open_clips(material, True, _SHAPES[0])
        if not self.slots or not self.held:
            raise UsageError(
                f"{material}: no clips of 512×256 to train with, or none that are held out"
            )
        if not resumed and not config.start:
            basis = components(
                self.model,
                [clip for slot in self.slots for clip in slot.streams.clips],
                config.seed,
            )
            self.model.to_rest.data, self.model.from_rest.data = basis.clone(), basis.clone()
            self.mean.load_state_dict(self.model.state_dict())
            self.mean_twin.load_state_dict(self.twin.state_dict())
        self.loss = self._perceptual()

    def _perceptual(self) -> PerceptualLoss | None:
        found = perceptual.leading_weights("small") if self.config.perceptual else None
        return PerceptualLoss(weights=found[1]).to(self.device) if found else None

    def _resume(self) -> None:
        saved = torch.load(self.out / "state.pt", map_location=self.device, weights_only=True)
        for name in ("model", "mean", "twin", "mean_twin", "optimizer"):
            getattr(self, name).load_state_dict(saved[name])
        self.steps, self.seen, self.hours, self.gain, self.elbo = saved["counters"]

    def _start(self, path: Path) -> None:
        """From a model file and what its JSON says of its training."""
        sizes, _, self.elbo = read_sizes(path)
        if sizes != self.sizes.as_dict():
            raise UsageError(f"{path}: of other sizes than the settings")
        weights, network = read_model(path).state_dict(), read_network(path)
        for model, twin in ((self.model, self.twin), (self.mean, self.mean_twin)):
            model.load_state_dict(weights)
            set_twin(twin, network)
        card = path.with_suffix(".json")
        if card.is_file():
            told = json.loads(card.read_text())
            names = ("steps", "seen_window_frames", "processor_hours")
            self.steps, self.seen, self.hours = (told[name] for name in names)
        self.gain = 1.0  # a model whose tokens mean something

    def save(self) -> None:
        """`state.pt`, to go on from, and the averaged model as streams name it."""
        names = ("model", "mean", "twin", "mean_twin", "optimizer")
        state = {name: getattr(self, name).state_dict() for name in names}
        state["sizes"] = self.sizes.as_dict()
        state["counters"] = [self.steps, self.seen, self.hours, self.gain, self.elbo]
        partial = self.out / "state.part"
        torch.save(state, partial)
        os.replace(partial, self.out / "state.pt")
        write(self.out / NAME, self.mean, network_of(self.mean_twin), PRICE, self.elbo)

    def log(self, entry: dict[str, object]) -> None:
        line = {
            "seen": self.seen,
            "steps": self.steps,
            "processor_hours": round(self.hours, 3),
        } | entry
        with open(self.out / "log.jsonl", "a") as file:
            file.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)

    def _at(self, values: Sequence[int]) -> int:
        return [
            v for v, seen in zip(values, self.config.from_seen, strict=True) if self.seen >= seen
        ][-1]

    def _frames(self, slots: Slots, longest: int) -> tuple[Picture, Tensor]:
        """The next frame of every walk; where one begins, its state does, with a new `q`. Gives the mask of those too."""
        pairs = [slots.streams.next(i, longest) for i in range(self.config.batch)]
        now = self._stack([picture for _, picture in pairs])
        fresh = torch.tensor([key is not None for key, _ in pairs], device=self.device)
        if bool(fresh.any()):
            keys = self._stack([key if key is not None else picture for key, picture in pairs])
            begun = self.model.begin(keys)
            slots.state = begun if slots.state is None else chosen(fresh, begun, slots.state)
            for i in fresh.nonzero().flatten().tolist():
                slots.last[i], slots.level[i] = 0, 0
                # Three in four where base tokens are used, the others anywhere.
                slots.q[i] = self.rng.randrange(40 if self.rng.random() < 0.75 else 0, 64)
        return now, fresh

    def _stack(self, pictures: list[Picture]) -> Picture:
        luma, chroma = (torch.cat(parts).to(self.device) for parts in zip(*pictures, strict=True))
        return luma, chroma

    def _counts(self) -> Tensor:
        """Half of the windows keep all tokens, the others a random number, fewer as likely as more; all while tokens mean little."""
        k, n = self.sizes.tokens, 2 * self.config.batch
        if self.gain < 0.5:
            return torch.full((self.config.batch, 2), k, device=self.device)
        drawn = [
            k if self.rng.random() < 0.5 else round(2 ** (self.rng.random() * math.log2(k)))
            for _ in range(n)
        ]
        return torch.tensor(drawn, device=self.device).view(-1, 2)

    def frame(self, slots: Slots, now: Picture, counts: Tensor) -> Frame:
        """One frame of all slots."""
        assert slots.state is not None
        state, q = slots.state, slots.q.to(self.device)
        found = search(now[0], state.before[0], q, self.sizes.tokens)
        with torch.autocast(self.device.type, torch.bfloat16):
            loose, features = self.model.encode(now, state, found, q)
            rounded = loose + (loose.round() - loose).detach()
            # Steps of motion are rounded always: noise on all levels of the tree would blur what does not move.
            noisy = torch.cat(
                [
                    rounded[..., :STEPS],
                    loose[..., STEPS:] + torch.rand_like(loose[..., STEPS:]) - 0.5,
                ],
                -1,
            )
            tokens = rounded if self.steps // len(self.slots) % 2 else noisy
            decoded = self.model.decode(tokens, counts, state, q)
        side = np.stack(
            [
                entropy.side(last, level, int(one), number)
                for last, level, one, number in zip(
                    slots.last, slots.level, q.tolist(), counts.cpu().numpy(), strict=True
                )
            ]
        )
        bits = self.twin.bits(torch.from_numpy(side).to(self.device), tokens.flatten(2)).unflatten(
            -1, tokens.shape[2:]
        )
        known = torch.arange(self.sizes.tokens, device=self.device) < counts[..., None]
        effort = self.model.effort(features.detach())
        return Frame(
            decoded,
            (bits.sum(-1) * known).sum(-1),
            found,
            rounded.detach() * known[..., None],
            effort,
        )

    def _learning_rate(self) -> float:
        config = self.config
        taken = max(
            (float(moments["step"]) for moments in self.optimizer.state.values()), default=0.0
        )
        rate = (
            config.learning_rate
            * min(1, (taken + 1) / 100)
            / math.sqrt(1 + 3 * self.seen / config.halved_at)
        )
        begin, end = config.settle_from, config.settle_to
        return (
            rate * min(1.0, max(0.01, (end - self.seen) / (end - begin))) if end > begin else rate
        )

    def step(self) -> dict[str, float]:
        config, slots = self.config, self.slots[self.steps % len(self.slots)]
        length, longest = self._at(config.lengths), self._at(config.walks)
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        supervised = max(0.0, 1 - self.seen / config.flow_until)
        total, sums = torch.zeros((), device=self.device), {"pixel": 0.0, "bits": 0.0, "flow": 0.0}
        sums |= {"effort": 0.0, "copies": 0.0}
        for _ in range(length):
            now, _ = self._frames(slots, longest)
            assert slots.state is not None
            repeat = pixel(slots.state.before, now).detach()
            counts = self._counts()
            began = slots.state
            decoded, bits, found, rounded, effort = self.frame(slots, now, counts)
            off = pixel(decoded.picture, now)
            loss = (off + 0.3 * pixel(decoded.moved, now)) + 0.02 * off / (off.detach() + 0.01)
            if supervised:
                flow = flow_error(decoded.motion, found.vectors, began.before, now)
                loss = loss + 0.2 * supervised * flow
                sums["flow"] += float(flow.detach().mean()) / length
            price = PRICE * price_factor(slots.q.to(self.device))
            loss = loss + price * bits.mean(1)
            missed = self._effort_error(effort, bits, decoded, now, counts, price)
            total = total + (loss.mean() + 0.01 * missed) / length
            sums["effort"] += float(missed.detach()) / length
            sums["pixel"] += float((off.detach() / (repeat + 1e-3)).mean()) / length
            sums["bits"] += float(bits.detach().mean()) / length
            there = pays(began, decoded.state, now, price[:, None] * bits.detach())
            slots.state = with_copies(decoded.state, began, there)
            slots.remember(rounded, there)
            sums["copies"] += float((~there).float().mean()) / length
        if self.loss is not None and self.seen >= config.perceptual_from and self.steps % 4 < 2:
            total = total + config.perceptual * self._looks(decoded.picture, now)
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        norm = nn.utils.clip_grad_norm_([*self.model.parameters(), *self.twin.parameters()], 1.0)
        sums["left_out"] = float(not torch.isfinite(norm))
        if not sums["left_out"]:
            self.optimizer.step()
            self._follow()
        if self.steps % 20 < 2:
            self._look_at_tokens(began, now, rounded, slots.q.to(self.device))
        slots.state = detached(slots.state)  # type: ignore[arg-type]
        if not all(
            bool(torch.isfinite(part).all()) for part in (*slots.state.before, slots.state.memory)
        ):
            slots.state, slots.streams = (
                None,
                Streams(slots.streams.clips, config.batch, slots.streams.size, self.steps),
            )
        self.steps += 1
        self.seen += length * config.batch * 2
        return sums | {"loss": float(total.detach()), "zeroing": self.gain}

    def _effort_error(
        self,
        effort: Tensor,
        bits: Tensor,
        decoded: Decoded,
        now: Picture,
        counts: Tensor,
        price: Tensor,
    ) -> Tensor:
        """Mean error of the estimate, log2 of bits, over the windows that keep all tokens."""
        with torch.no_grad():
            off = windows_differ(decoded.picture, now)
            due = torch.log2(bits.float() + off / price[:, None] + 1)
            whole = (counts == self.sizes.tokens).float()
            self.elbo += 0.002 * (float((2**due).mean()) - self.elbo)
        return ((effort - due).abs() * whole).sum() / whole.sum().clamp(min=1)

    def _looks(self, shown: Picture, now: Picture) -> Tensor:
        """LPIPS-like and DISTS of the small network on a 128² crop of each picture, mean."""
        assert self.loss is not None
        side = 128
        h, w = now[0].shape[2:]
        top, left = (
            self.rng.randrange((h - side) // 2 + 1) * 2,
            self.rng.randrange((w - side) // 2 + 1) * 2,
        )

        def crop(picture: Picture) -> Tensor:
            luma = picture[0][..., top : top + side, left : left + side]
            chroma = picture[1][..., top // 2 : (top + side) // 2, left // 2 : (left + side) // 2]
            return to_rgb(luma + 0.5, chroma + 0.5, SMALL).clamp(0, 1)

        distance, texture = self.loss(crop(shown), self.loss.reference(crop(now)))
        return (distance + texture).mean()

    def _follow(self) -> None:
        keep = min(self.config.average, (1 + self.steps) / (10 + self.steps))
        for mean, now in ((self.mean, self.model), (self.mean_twin, self.twin)):
            follow(mean, now, keep)

    @torch.no_grad()
    def _look_at_tokens(self, state: State, now: Picture, tokens: Tensor, q: Tensor) -> None:
        """What zeroing the tokens costs, dB, as a running mean."""
        full = torch.full(tokens.shape[:2], self.sizes.tokens, device=self.device)
        state = detached(state)
        with torch.autocast(self.device.type, torch.bfloat16):
            given, zeroed = (
                self.model.decode(t, full, state, q).picture for t in (tokens, tokens * 0)
            )
        gain = float((psnr(given, now) - psnr(zeroed, now)).mean())
        self.gain += 0.1 * (gain - self.gain)

    @torch.no_grad()
    def validate(self, frames: int = 6, most: int = 8, q: int = 32) -> None:
        """Held-out clips, the averaged model: PSNR-Y of repetition, of the model, without tokens, of the frame before moved
        by the tokens and by vectors of blocks, of the model without what its encoder adds to the search; bits a window."""
        h, w = _SHAPES[0]
        rows = []
        quality = torch.full((1,), float(q), device=self.device)
        for clip in self.held[:most]:
            top, left = (clip.height - h) // 4 * 2, (clip.width - w) // 4 * 2
            key = self._stack([clip.key(1, top, left, h, w)])
            rows.append(self._walk(clip, key, (top, left), frames, quality))
        found = np.array(rows)
        names = ("repeat", "model", "zeroed", "moved", "blocks", "searched", "bits")
        self.log(
            {"held_out": {n: round(float(v), 2) for n, v in zip(names, found.mean(0), strict=True)}}
        )
        self.log({"clips": [[round(float(v), 1) for v in row] for row in rows]})

    def _walk(
        self, clip: Clip, key: Picture, at: tuple[int, int], frames: int, q: Tensor
    ) -> tuple[float, ...]:
        sums = np.zeros(7)
        for step in walk(self.mean, self.mean_twin, clip, key, at, frames, q):
            state, now, found = step.before, step.now, step.found
            full = torch.full(step.tokens.shape[:2], self.sizes.tokens, device=self.device)
            zeroed = self.mean.decode(step.tokens * 0, full, state, q)
            blocks = moved_blocks(state.before, found.vectors)
            plain = self.mean.decode(
                self.mean.searched(now, state, found, q).round(), full, state, q
            )
            shown = (
                state.before,
                step.after.before,
                zeroed.picture,
                step.decoded.moved,
                blocks,
                plain.picture,
            )
            sums += [
                *(float(psnr(p, now)) for p in shown),
                float((step.bits * step.there[0]).mean()),
            ]
        return tuple(sums / frames)


def main(
    config_path: Path, minutes: float, out: str | None = None, material: str | None = None
) -> Path:
    """Train for `minutes` of the clock; `out` and `material` override the configuration. Returns the checkpoint's path."""
    config = read_settings(config_path, Config)
    given = {"out": out, "material": material}
    trainer = Trainer(Config(**asdict(config) | {k: v for k, v in given.items() if v}))
    stopped: list[int] = []
    names = (signal.SIGTERM, signal.SIGINT)
    before = {s: signal.signal(s, lambda number, frame: stopped.append(number)) for s in names}
    trainer.log({"config": asdict(trainer.config), "device": str(trainer.device)})
    began = saved = shown = time.monotonic()
    spent = time.process_time()
    validated, sums = trainer.hours, list[dict[str, float]]()
    try:
        while not stopped and time.monotonic() - began < 60 * minutes:
            sums.append(trainer.step())
            now = time.process_time()
            trainer.hours += (now - spent) / 3600
            spent = now
            if time.monotonic() - shown > _LOG_SECONDS:
                means = {k: float(f"{np.mean([s[k] for s in sums]):.4g}") for k in sums[0]}
                pace = round(len(sums) / (time.monotonic() - shown), 3)
                trainer.log({"mean": means, "steps_a_second": pace})
                sums, shown = [], time.monotonic()
            if time.monotonic() - saved > _SAVE_SECONDS:
                trainer.save()
                saved = time.monotonic()
            if trainer.hours - validated > _VALIDATE_HOURS:
                trainer.validate()
                validated = trainer.hours
    finally:
        trainer.save()
        for number, handler in before.items():
            signal.signal(number, handler)
    if not stopped:
        trainer.validate()
    return trainer.out / NAME
