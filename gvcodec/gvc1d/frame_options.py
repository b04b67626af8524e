"""The encoder's choices for a frame: show it as it is, restore it without tokens, or code a number
of them; each with its loss (`frame_loss`) and bytes. `search` steps of gradient descent move the
integers of a frame, rounded in the forward pass, and are kept where they lower loss and bytes
together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gvcodec.gvc1d.buffer import Context, State
from gvcodec.gvc1d.codec import FrameContext, token_tensor
from gvcodec.gvc1d.entropy_model import LARGEST, Counts, EntropyModel, Memory
from gvcodec.gvc1d.frame_loss import FrameLoss, Source
from gvcodec.gvc1d.payload import Latent, pack
from gvcodec.gvc1d.picture import Picture

#: Per cent by which one per cent more bytes of AV1 lowers the loss (CRF 56 to 63).
SLOPE = 0.75
#: Frames that the gain of the first tokens of a run counts for, since those after it go on from
#: them.
_CARRIED = 8
#: Bytes of a packet besides its payload.
_FRAMING = 5
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


class SourceFrame(NamedTuple):
    """Before it is coded; `shown` without tokens, `motion` None for the first of a GOP."""

    picture: Picture
    shown: Picture
    motion: Tensor | None


class Look(NamedTuple):
    """A frame to decide on: what is known of it, what it is compared with (None: nothing is to
    decide), `plain`: the loss of what is shown without tokens, `price` of a byte, `y`
    `[1, W, K, C]` before rounding."""

    context: Context
    source: Source | None
    plain: float
    price: float
    y: Tensor


class Option(NamedTuple):
    """What may become of a frame. `payload` b"" = no packet; `state` None: it is shown as it is."""

    loss: float
    cost: float
    payload: bytes = b""
    latent: Latent | None = None
    state: State | None = None


class FrameOptions:
    """What may become of a frame of `frames`, and what it costs. `frame_bytes`: of a base frame, on
    average.

    Attributes: `tokens` of a window at most, `rate` that they are rounded at."""

    def __init__(
        self, frames: FrameContext, entropy: EntropyModel, loss: FrameLoss,
        settings: TokenSettings, frame_bytes: float, device: str,
    ) -> None:  # fmt: skip
        self._frames, self._entropy, self.loss = frames, entropy, loss
        self._network, self._device = frames.network, device
        config = frames.network.config
        self.tokens = min(settings.tokens or config.tokens, config.tokens)
        self.rate = min(settings.rate, config.rates - 1)
        self._search, self._frame_bytes = settings.search, frame_bytes

    def look(self, frame: SourceFrame, judged: bool) -> Look:
        """What is known of the next frame; `judged`: it is compared with its source."""
        source = self.loss.source(frame.picture) if judged else None
        context = self._frames.context(frame.shown, frame.motion)
        plain = self._judge(frame.shown, source)
        price = SLOPE * plain / self._frame_bytes
        y = self._network.analyse(frame.picture, context, self.rate)
        return Look(context, source, plain, price, y)

    def choose(self, look: Look, memory: Memory, first: bool, runs_on: bool) -> Option:
        """The option of least cost. `first`: of a run; `runs_on`: the frame may be restored without
        tokens of its own."""
        options = [Option(look.plain, look.plain)]
        if runs_on and not first:
            options.append(self.option(look, None, memory))
        for n in sorted({self.tokens // 4, self.tokens // 2, self.tokens} - {0}):
            counts = np.full(self._entropy.windows, n, np.uint8)
            y = self.descend(look, counts, memory) if n == self.tokens else look.y
            options.append(self.option(look, self.round(y, counts, 0), memory))
        times = _CARRIED if first else 1

        def weighed(option: Option) -> float:
            return times * (option.loss - look.plain) + option.cost - option.loss

        return min(options, key=weighed)

    def option(self, look: Look, latent: Latent | None, memory: Memory) -> Option:
        """The frame with these tokens; None: restored without any."""
        values = None if latent is None else latent.values
        tokens = token_tensor(values, self._network, look.context, self._device)
        picture, state = self._network.synthesise(tokens, look.context, self.rate)
        loss = self._judge(picture, look.source)
        payload = b"" if latent is None else pack(latent, self._entropy, memory)
        size = len(payload) + _FRAMING if payload else 0
        return Option(loss, loss + look.price * size, payload, latent, state)

    def _judge(self, picture: Picture, source: Source | None) -> float:
        return 0.0 if source is None else float(self.loss(picture, source).mean())

    def round(self, y: Tensor, counts: Counts, run: int) -> Latent:
        """Integers of the first `counts` (W,) tokens of each window; `run` as in `payload`."""
        y = y[0].clamp(-LARGEST, LARGEST)
        values = (y.sign() * torch.floor(y.abs() + _ROUNDED_UP)).to(torch.int16).cpu().numpy()
        values = values * (np.arange(values.shape[1]) < counts[:, None])[..., None]
        return Latent(self.rate, run, counts, values.astype(np.int16))

    def descend(self, look: Look, counts: Counts, memory: Memory) -> Tensor:
        """Latents of these tokens that gradient descent has moved, if they cost less for it."""
        if not self._search or look.source is None:
            return look.y
        there = np.arange(look.y.shape[2]) < counts[:, None]
        mask = torch.from_numpy(there)[None, :, :, None].to(self._device)
        x, moved, least = look.y.clone(), look.y, float("inf")
        with torch.enable_grad():
            x.requires_grad_(True)
            optimizer = torch.optim.Adam([x], lr=_STEP)
            for _ in range(self._search):
                rounded = (x + (x.round() - x).detach()).clamp(-LARGEST, LARGEST) * mask
                picture, _ = self._network.synthesise(rounded, look.context, self.rate)
                bits = _BITS * torch.log2(1 + (x * mask).abs()).sum()
                cost = self.loss(picture, look.source).mean() + look.price * bits / 8
                if float(cost.detach()) < least:
                    moved, least = x.detach().clone(), float(cost.detach())
                optimizer.zero_grad(set_to_none=True)
                cost.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        before, after = (
            self.option(look, self.round(t, counts, 0), memory) for t in (look.y, moved)
        )
        return moved if after.cost < before.cost else look.y
