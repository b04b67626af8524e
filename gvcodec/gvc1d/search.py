"""Decisions of the encoder: which frames have tokens, how many, and which integers.

    encoder = LatentEncoder(fmt, has_base, model, TokenSettings(0, rate=4), frame_bytes)
    encoder.send(source, shown, base_frame)      # for each frame of a GOP
    payloads = encoder.finish_gop()
    encoder.start_gop()                          # before the next one

`finish_gop` gives a payload, or None, for each frame that was sent. With a number of tokens every
frame has as many a window, or on average with `alloc` (`gvcodec.gvc1d.allocation`; "elbo" goes
by the shipped router, frame by frame, or without one by decodes of segments). Without a number,
"auto", rate and distortion decide, frame by frame: shown as it is, restored without tokens after
the last packet, a prefix of the tokens, or all. Bytes cost what they would be worth in the base
(`SLOPE`), and a GOP that is no better for its tokens by that measure is left without.

The loss is that of `frame_loss`. `search` steps of gradient descent move the integers of a frame,
rounded in the forward pass, and are kept where they lower loss and price of bytes together.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gvcodec.gvc1d.allocation.budget import allocate
from gvcodec.gvc1d.allocation.router import Router, RunningMean, route
from gvcodec.gvc1d.buffer import Context, State
from gvcodec.gvc1d.codec import open_entropy_model, open_frames, token_tensor
from gvcodec.gvc1d.entropy_model import LARGEST, Counts, EntropyModel, Memory, Values
from gvcodec.gvc1d.frame_loss import FrameLoss, Source
from gvcodec.gvc1d.motion import Vectors
from gvcodec.gvc1d.payload import ENDLESS, Latent, pack, with_run
from gvcodec.gvc1d.picture import Picture
from gvcodec.types import Plane, Planes, VideoFormat
from gvcodec.util.models import model_id
from gvcodec.util.psnr import MeanPsnr, psnr
from gvcodec.util.scene_cuts import CutFinder

#: One per cent more bytes of AV1 lowers the loss by so many per cent (CRF 56 to 63).
SLOPE = 0.75
#: Without base frames there is no such price: a loss of 1 is worth so many bytes a window.
_BYTES_A_WINDOW = 200
#: Frames that the gain of the first tokens of a run counts for, since those after it go on from
#: them.
_CARRIED = 8
#: Bytes of a packet besides its payload.
_FRAMING = 5
#: Frames whose tokens are allocated together.
_SEGMENT = 16
#: Prefixes whose error is measured for the allocation "rd"; those between are interpolated.
_PREFIXES = (0, 1, 2, 4, 8, 16, 32, 64)
#: Magnitudes are rounded up from 1 less this on: at equal distance integers nearer to zero take a
#: tenth to a quarter fewer bytes.
_ROUNDED_UP = 0.4
#: Of gradient descent: Adam's step in integers, and bits that an integer x takes, _BITS ·
#: log2(1 + |x|), about.
_STEP, _BITS = 0.05, 2.0


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """`tokens` a window, 0 = by rate and distortion; `rate` 0 (fine) … 7; `search` steps; `alloc`:
    a method of `allocation.budget`."""

    tokens: int
    rate: int
    search: int = 0
    alloc: str = "uniform"


class _Frame(NamedTuple):
    """Before it is coded. `shown` and `motion` None without base frames; without them `moved`: how
    source blocks have moved, None where a scene begins, and `cut`: one begins inside a GOP."""

    luma: Plane
    picture: Picture
    shown: Picture | None
    motion: Tensor | None
    moved: Vectors | None
    cut: bool


class _Look(NamedTuple):
    """A frame to decide on: what is known of it, what it is compared with (None: nothing is to
    decide), `plain`: the loss of what is shown without tokens, `price` of a byte, `y`
    `[1, W, K, C]` before rounding, `motion` that is sent."""

    frame: _Frame
    context: Context
    source: Source | None
    plain: float
    price: float
    y: Tensor
    motion: Vectors | None


class _Option(NamedTuple):
    """What may become of a frame. `payload` b"" = no packet; `state` None: it is shown as it is."""

    loss: float
    cost: float
    payload: bytes = b""
    latent: Latent | None = None
    state: State | None = None
    picture: Picture | None = None


class LatentEncoder:
    """See the module. `frame_bytes`: mean bytes of a base frame; `entropy`: in place of the
    model's. Raises `MediaError`, `LimitError`."""

    def __init__(
        self,
        fmt: VideoFormat,
        has_base: bool,
        model: Path,
        settings: TokenSettings,
        frame_bytes: float,
        threads: int = 0,
        device: str = "cpu",
        entropy: EntropyModel | None = None,
    ) -> None:
        self._has_base, self._settings = has_base, settings
        self._device = device
        self._entropy = entropy or open_entropy_model(fmt, has_base, model, device)
        self._frames = open_frames(fmt, model, threads, device)
        self._network = self._frames.network
        self._cuts = None if has_base else CutFinder(fmt.width, fmt.height)
        self._loss = FrameLoss(fmt, self._network.config.window, device)
        self._frame_bytes = frame_bytes if has_base else _BYTES_A_WINDOW * self._entropy.windows
        most = self._network.config.tokens
        self._auto, self._tokens = settings.tokens == 0, min(settings.tokens or most, most)
        self._rate = min(settings.rate, self._network.config.rates - 1)
        routed = settings.alloc == "elbo" and not self._auto
        self._router = Router.find(model_id(model)) if routed else None
        self._mean_elbo = RunningMean()
        #: Of restored frames, where nothing else is shown.
        self.psnr = MeanPsnr()
        self.start_gop()

    def start_gop(self) -> None:
        """The next frame begins a GOP."""
        self._frames.forget()
        self._memory = Memory.empty(self._entropy.windows, self._entropy.tokens)
        self._payloads: list[bytes] = []
        self._last = self._run = 0
        self._gain = 0.0
        self._waiting: list[_Frame] = []

    @torch.no_grad()
    def send(self, source: Planes, shown: Planes, base_frame: Planes) -> None:
        """The next frame: source, what is shown of it without tokens, base frame."""
        picture, motion, moved, cut = None, None, None, False
        if self._cuts is None:
            picture, motion = self._frames.picture(shown), self._frames.find_motion(base_frame)
        else:
            moved = self._frames.search_motion(source)
            cut = self._cuts.begins(source[0]) and moved is not None
            moved = None if cut else moved
        frame = _Frame(source[0], self._frames.picture(source), picture, motion, moved, cut)
        if self._settings.alloc == "uniform" or self._auto:
            self._code(frame, np.full(self._entropy.windows, self._tokens, np.uint8))
            return
        if self._router is not None:
            self._code(frame, None)
            return
        self._waiting.append(frame)
        if len(self._waiting) == _SEGMENT:
            self._code_segment()

    @torch.no_grad()
    def finish_gop(self) -> list[bytes | None]:
        """Payloads of its frames, None = no packet."""
        if self._waiting:
            self._code_segment()
        if self._auto and self._has_base and self._gain <= 0:
            return [None] * len(self._payloads)
        return [payload or None for payload in self._payloads]

    def _code(self, frame: _Frame, counts: Counts | None) -> None:
        """Code the next frame, with these tokens (None: as many as the router gives it) or what is
        best."""
        judged = self._auto and self._has_base or self._settings.search > 0
        if frame.cut:
            self._frames.cut()
        look, first = self._look(frame, judged), self._frames.state is None
        if counts is None:
            counts = self._route(look.y)
        before: tuple[Values, ...] = ()
        if first and not self._has_base:
            before, look = self._sharpen(look, counts, judged)
        if self._auto and self._has_base:
            best = self._choose(look, first)
        elif counts.any() or first or look.motion is not None:
            y = self._descend(look, counts)
            latent = self._round(y, counts, ENDLESS)._replace(before=before, cut=frame.cut)
            best = self._option(look, latent)
        else:
            best = self._option(look, None)
        self._gain += look.plain - best.cost
        self._take(best)
        if not self._has_base and best.picture is not None:
            self.psnr.add(psnr(self._frames.planes(best.picture)[0], frame.luma))

    def _look(self, frame: _Frame, judged: bool) -> _Look:
        source = self._loss.source(frame.picture) if judged else None
        sent = self._frames.choose_motion(frame.moved, frame.picture)
        motion = frame.motion if self._has_base else self._frames.spread_motion(sent)
        context = self._frames.context(frame.shown, motion)
        plain = 1.0 if frame.shown is None else self._judge(frame.shown, source)
        price = SLOPE * plain / self._frame_bytes
        y = self._network.analyse(frame.picture, context, self._rate)
        return _Look(frame, context, source, plain, price, y, sent)

    def _sharpen(
        self, look: _Look, counts: Counts, judged: bool
    ) -> tuple[tuple[Values, ...], _Look]:
        """The passes over the first frame of a GOP but for the last, one for each of the direct
        path's phases, and the look at the last."""
        before = []
        for _ in range(self._network.config.phases - 1):
            before.append(self._round(look.y, counts, 0).values)
            tokens = token_tensor(before[-1], self._network, look.context, self._device)
            _, self._frames.state = self._network.synthesise(tokens, look.context, self._rate)
            look = self._look(look.frame, judged)
        return tuple(before), look

    def _route(self, y: Tensor) -> Counts:
        """Tokens of windows whose latents are `y` `[1, W, K, C]` [InfoTok]: no decode is needed."""
        assert self._router is not None
        most = y.shape[2]
        elbo = self._router.predict(y[0].round().cpu().numpy(), self._tokens / most)
        return route(elbo, self._mean_elbo.update(elbo), most, self._tokens).astype(np.uint8)

    def _choose(self, look: _Look, first: bool) -> _Option:
        """The option of least cost."""
        options = [_Option(look.plain, look.plain)]
        if not first and self._run < ENDLESS - 1:
            options.append(self._option(look, None))
        for n in sorted({self._tokens // 4, self._tokens // 2, self._tokens} - {0}):
            counts = np.full(self._entropy.windows, n, np.uint8)
            y = self._descend(look, counts) if n == self._tokens else look.y
            options.append(self._option(look, self._round(y, counts, 0)))
        times = _CARRIED if first else 1

        def weighed(option: _Option) -> float:
            return times * (option.loss - look.plain) + option.cost - option.loss

        return min(options, key=weighed)

    def _option(self, look: _Look, latent: Latent | None) -> _Option:
        if latent is not None:
            latent = latent._replace(motion=look.motion)
        values = None if latent is None else latent.values
        tokens = token_tensor(values, self._network, look.context, self._device)
        picture, state = self._network.synthesise(tokens, look.context, self._rate)
        loss = self._judge(picture, look.source)
        payload = b"" if latent is None else pack(latent, self._entropy, self._memory)
        size = len(payload) + _FRAMING if payload else 0
        return _Option(loss, loss + look.price * size, payload, latent, state, picture)

    def _judge(self, picture: Picture, source: Source | None) -> float:
        return 0.0 if source is None else float(self._loss(picture, source).mean())

    def _round(self, y: Tensor, counts: Counts, run: int) -> Latent:
        y = y[0].clamp(-LARGEST, LARGEST)
        values = (y.sign() * torch.floor(y.abs() + _ROUNDED_UP)).to(torch.int16).cpu().numpy()
        values = values * (np.arange(values.shape[1]) < counts[:, None])[..., None]
        return Latent(self._rate, run, counts, values.astype(np.int16))

    def _descend(self, look: _Look, counts: Counts) -> Tensor:
        """Latents of these tokens that gradient descent has moved, if they cost less for it."""
        if not self._settings.search or look.source is None:
            return look.y
        there = np.arange(look.y.shape[2]) < counts[:, None]
        mask = torch.from_numpy(there)[None, :, :, None].to(self._device)
        x, moved, least = look.y.clone(), look.y, float("inf")
        with torch.enable_grad():
            x.requires_grad_(True)
            optimizer = torch.optim.Adam([x], lr=_STEP)
            for _ in range(self._settings.search):
                rounded = (x + (x.round() - x).detach()).clamp(-LARGEST, LARGEST) * mask
                picture, _ = self._network.synthesise(rounded, look.context, self._rate)
                bits = _BITS * torch.log2(1 + (x * mask).abs()).sum()
                cost = self._loss(picture, look.source).mean() + look.price * bits / 8
                if float(cost.detach()) < least:
                    moved, least = x.detach().clone(), float(cost.detach())
                optimizer.zero_grad(set_to_none=True)
                cost.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        before, after = (self._option(look, self._round(t, counts, 0)) for t in (look.y, moved))
        return moved if after.cost < before.cost else look.y

    def _take(self, option: _Option) -> None:
        """Go on from what a frame has become."""
        self._payloads.append(option.payload)
        if option.state is None:
            self._frames.forget()
        elif option.latent is None:
            self._run += 1
            if self._auto:
                self._payloads[self._last] = with_run(self._payloads[self._last], self._run)
        else:
            self._last, self._run = len(self._payloads) - 1, 0
            self._memory = option.latent.remember(self._memory)
        self._frames.state = option.state

    def _code_segment(self) -> None:
        """Code the frames that wait, with budgets that they share."""
        frames, self._waiting = self._waiting, []
        total = self._tokens * self._entropy.windows * len(frames)
        state, kept = self._frames.state, self._frames.kept
        features, errors = zip(*map(self._survey, frames), strict=True)
        given = np.stack(features), np.stack(errors)
        self._frames.state, self._frames.kept = state, kept
        for frame, counts in zip(
            frames, allocate(*given, self._settings.alloc, total), strict=True
        ):
            self._code(frame, counts.astype(np.uint8))

    def _survey(self, frame: _Frame) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Features (W, K, D) of a frame with all tokens, and the errors that `allocate` wants."""
        if frame.cut:
            self._frames.cut()
        look = self._look(frame, True)
        assert self._network.features is not None and look.source is not None
        features = self._network.features.slots[0].cpu().numpy()
        most = look.y.shape[2]
        prefixes = [n for n in _PREFIXES if n <= most] if self._settings.alloc == "rd" else [most]
        found = []
        for n in prefixes:
            counts = np.full(self._entropy.windows, n, np.uint8)
            latent = self._round(look.y, counts, 0)
            tokens = token_tensor(latent.values, self._network, look.context, self._device)
            picture, state = self._network.synthesise(tokens, look.context, self._rate)
            found.append(self._loss(picture, look.source).cpu().numpy())
        self._frames.state = state
        if self._settings.alloc != "rd":
            return features, found[0]
        errors = [np.interp(np.arange(most + 1), prefixes, one) for one in np.stack(found, 1)]
        return features, np.stack(errors)
