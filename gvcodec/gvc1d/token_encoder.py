"""The encoder's decisions about latent tokens: which frames have any, how many, and which integers.

    encoder = LatentEncoder(fmt, model, TokenSettings(0, rate=4), frame_bytes)
    encoder.send(source, shown, base_frame)      # for each frame of a GOP
    payloads = encoder.finish_gop()
    encoder.start_gop()                          # before the next one

`finish_gop` gives a payload, or None, for each frame that was sent. With a number of tokens every
frame has as many a window, or on average with `alloc` (`gvcodec.allocation`; "elbo" goes by the
shipped router, frame by frame, or without one by decodes of segments; "uniqueness" sends merged
tokens and zeros for those that were dropped). Without a number, "auto", rate and distortion decide,
frame by frame: shown as it is, restored without tokens after the last packet, a prefix of the
tokens, or all. Bytes cost what they would be worth in the base (`SLOPE`), and a GOP that is no
better for its tokens by that measure is left without.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gvcodec.allocation.budget import allocate, select
from gvcodec.allocation.router import Router, RunningMean, route
from gvcodec.allocation.uniqueness import Kept
from gvcodec.gvc1d.codec import open_entropy_model, open_frames, token_tensor
from gvcodec.gvc1d.entropy_model import Counts, EntropyModel, Memory
from gvcodec.gvc1d.frame_loss import FrameLoss
from gvcodec.gvc1d.frame_options import FrameOptions, Option, SourceFrame, TokenSettings
from gvcodec.gvc1d.payload import ENDLESS, with_run
from gvcodec.models import model_id
from gvcodec.types import Planes, VideoFormat

Merge = Callable[[Tensor], Tensor]

#: Frames whose tokens are allocated together.
_SEGMENT = 16
#: Prefixes whose error is measured for the allocation "rd"; those between are interpolated.
_PREFIXES = (0, 1, 2, 4, 8, 16, 32, 64)


class LatentEncoder:
    """See the module. `frame_bytes`: mean bytes of a base frame; `entropy`: in place of the
    model's. Raises `MediaError`, `LimitError`."""

    def __init__(
        self,
        fmt: VideoFormat,
        model: Path,
        settings: TokenSettings,
        frame_bytes: float,
        threads: int = 0,
        device: str = "cpu",
        entropy: EntropyModel | None = None,
    ) -> None:
        self._settings = settings
        self._entropy = entropy or open_entropy_model(fmt, model, device)
        self._frames = open_frames(fmt, model, threads, device)
        self._network, self._device = self._frames.network, device
        loss = FrameLoss(fmt, self._network.config.window, device)
        self._options = FrameOptions(
            self._frames, self._entropy, loss, settings, frame_bytes, device
        )
        self._auto, self._tokens = settings.tokens == 0, self._options.tokens
        routed = settings.alloc == "elbo" and not self._auto
        self._router = Router.find(model_id(model)) if routed else None
        self._mean_elbo = RunningMean()
        self.start_gop()

    def start_gop(self) -> None:
        """The next frame begins a GOP."""
        self._frames.forget()
        self._memory = Memory.empty(self._entropy.windows, self._entropy.tokens)
        self._payloads: list[bytes] = []
        self._last = self._run = 0
        self._gain = 0.0
        self._waiting: list[SourceFrame] = []

    @torch.no_grad()
    def send(self, source: Planes, shown: Planes, base_frame: Planes) -> None:
        """The next frame: source, what is shown of it without tokens, base frame."""
        picture, motion = self._frames.picture(shown), self._frames.find_motion(base_frame)
        frame = SourceFrame(self._frames.picture(source), picture, motion)
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
        if self._auto and self._gain <= 0:
            return [None] * len(self._payloads)
        return [payload or None for payload in self._payloads]

    def _code(self, frame: SourceFrame, counts: Counts | None, merged: Merge | None = None) -> None:
        """Code the next frame, with these tokens (None: as many as the router gives it) or what is
        best; `merged` changes its latents."""
        look = self._options.look(frame, self._auto or self._settings.search > 0)
        first = self._frames.state is None
        if merged is not None:
            look = look._replace(y=merged(look.y))
        if counts is None:
            counts = self._route(look.y)
        if self._auto:
            best = self._options.choose(look, self._memory, first, self._run < ENDLESS - 1)
        elif counts.any() or first:
            y = self._options.descend(look, counts, self._memory)
            latent = self._options.round(y, counts, ENDLESS)
            best = self._options.option(look, latent, self._memory)
        else:
            best = self._options.option(look, None, self._memory)
        self._gain += look.plain - best.cost
        self._take(best)

    def _route(self, y: Tensor) -> Counts:
        """Tokens of windows whose latents are `y` `[1, W, K, C]` [InfoTok]: no decode is needed."""
        assert self._router is not None
        most = y.shape[2]
        elbo = self._router.predict(y[0].round().cpu().numpy(), self._tokens / most)
        return route(elbo, self._mean_elbo.update(elbo), most, self._tokens).astype(np.uint8)

    def _take(self, option: Option) -> None:
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
            self._memory = self._memory.after(option.latent.values, option.latent.counts)
        self._frames.state = option.state

    def _code_segment(self) -> None:
        """Code the frames that wait, with budgets that they share."""
        frames, self._waiting = self._waiting, []
        total = self._tokens * self._entropy.windows * len(frames)
        state = self._frames.state
        features, errors = zip(*map(self._survey, frames), strict=True)
        given = np.stack(features), np.stack(errors)
        self._frames.state = state
        if self._settings.alloc == "uniqueness":
            self._code_merged(frames, select(given[0], total))
            return
        for frame, counts in zip(
            frames, allocate(*given, self._settings.alloc, total), strict=True
        ):
            self._code(frame, counts.astype(np.uint8))

    def _code_merged(self, frames: list[SourceFrame], found: Kept) -> None:
        """Code frames by their kept tokens, merged: those before the last kept one of a window that
        were dropped are 0, those after it are not sent."""
        for t, frame in enumerate(frames):
            mask = found.mask[t].reshape(self._entropy.windows, -1)  # W, K
            counts = np.where(mask, np.arange(1, mask.shape[1] + 1), 0).max(1)

            def merged(y: Tensor, t: int = t) -> Tensor:
                values = found.merge(t, y[0].flatten(0, 1).cpu().numpy())  # W · K, C
                return torch.from_numpy(values).to(y).view_as(y)

            self._code(frame, counts.astype(np.uint8), merged)

    def _survey(self, frame: SourceFrame) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Features (W, K, D) of a frame with all tokens, and the errors that `allocate` wants."""
        look = self._options.look(frame, True)
        assert self._network.features is not None and look.source is not None
        features = self._network.features.slots[0].cpu().numpy()
        most = look.y.shape[2]
        prefixes = [n for n in _PREFIXES if n <= most] if self._settings.alloc == "rd" else [most]
        found = []
        for n in prefixes:
            counts = np.full(self._entropy.windows, n, np.uint8)
            latent = self._options.round(look.y, counts, 0)
            tokens = token_tensor(latent.values, self._network, look.context, self._device)
            picture, state = self._network.synthesise(tokens, look.context, self._options.rate)
            found.append(self._options.loss(picture, look.source).cpu().numpy())
        self._frames.state = state
        if self._settings.alloc != "rd":
            return features, found[0]
        errors = [np.interp(np.arange(most + 1), prefixes, one) for one in np.stack(found, 1)]
        return features, np.stack(errors)
