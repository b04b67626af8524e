"""What is shown of base gvc1d without a painter: the decoder's transformers restore each frame of
the integer loop. Floats: machines may differ by rounding. Without torch base frames are shown."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gvcodec.base.gvc1d.decoder import Decoded, Gvc1dDecoder
from gvcodec.base.gvc1d.pictures import crop
from gvcodec.gvc1d.exact import STEPS
from gvcodec.gvc1d.model_file import load_network
from gvcodec.gvc1d.refiner import Restored, compensate
from gvcodec.gvc1d.token_order import COARSE, REGIONS
from gvcodec.gvc1d.transform import GREY
from gvcodec.types import Planes
from gvcodec.util.torch_settings import half_precision, torch_threads, usual_torch

_Pair = tuple[Tensor, Tensor]


class Gvc1dRestorer:
    """`restore` gives the picture to show of the frame that `decoder` released last. The memory
    lives on where a scene begins inside a GOP."""

    def __init__(self, decoder: Gvc1dDecoder, threads: int = 0, device: str = "cpu") -> None:
        self._decoder, self._threads = decoder, threads
        self._device = torch.device(device)
        self._network = load_network(decoder.model, device)
        self._last: Restored | None = None

    @torch.no_grad()
    def restore(self) -> Planes:
        """Raises nothing that decoding would not."""
        latest = self._decoder.latest
        assert latest is not None
        with usual_torch(), torch_threads(self._threads), half_precision(self._device):
            self._last = self._step(latest)
        depth = 4 if self._decoder.fmt.bit_depth == 8 else 1
        planes = [self._last.y[0, 0], *self._last.uv[0]]
        whole = [
            torch.floor(p / depth + 0.5).mul(depth).clamp(0, 1023 // depth * depth) for p in planes
        ]
        y, u, v = (p.cpu().numpy().astype(np.uint16) for p in whole)
        return crop((y, u, v), self._decoder.fmt)

    def _step(self, latest: Decoded) -> Restored:
        network, transform = self._network, self._network.transform
        frame = self._tensors(latest.frame)
        step = torch.tensor([STEPS[latest.q] / 16], device=self._device)
        values = torch.from_numpy(latest.values).to(self._device).float()[None]
        planes = (values.shape[2] - COARSE) // REGIONS
        scaled = values * (step * transform.steps(planes))
        told = transform.from_windows(scaled, latest.frame[0].shape[1] // 256)
        own = transform.analyse(frame[0] - GREY, frame[1] - GREY)
        guess = moved = None
        if latest.reference and latest.known.vectors is not None:
            guess = self._tensors(latest.known.guess)
            if latest.reference == 1 and self._last is not None:
                vectors = torch.from_numpy(latest.known.vectors).to(self._device)[None]
                moved = compensate(self._last.y, self._last.uv, vectors)
        memory = None if latest.key or self._last is None else self._last.memory
        found: Restored = network.restorer(frame, (own, told), guess, moved, memory, step)
        return found

    def _tensors(self, planes: Planes) -> _Pair:
        y, u, v = (torch.from_numpy(p.astype(np.float32)).to(self._device) for p in planes)
        return y[None, None], torch.stack([u, v])[None]
