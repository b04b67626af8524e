"""What encoder and decoder know of a stream with latent tokens: integers of packets, and the
context of frames.

Integers need no torch and are the same on every machine: `LatentReader` takes packets as they come,
in the order of frames. `FrameContext` follows frames as they are shown.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gvcodec._core import BlockMotion
from gvcodec.entropy import streams
from gvcodec.errors import LimitError
from gvcodec.gvc1d.entropy_model import EntropyModel, Memory, Values
from gvcodec.gvc1d.files import read_entropy, read_sizes
from gvcodec.gvc1d.payload import Latent, unpack
from gvcodec.types import BLOCK, Planes, VideoFormat

if TYPE_CHECKING:
    from torch import Tensor

    from gvcodec.gvc1d.buffer import Context, State
    from gvcodec.gvc1d.picture import Picture
    from gvcodec.gvc1d.token_network import TokenNetwork

#: Windows of a picture at most, as far as the format's limits go.
_MOST_WINDOWS = 2048


def window_grid(fmt: VideoFormat, window: int) -> tuple[int, int]:
    """Rows and columns of windows that cover a picture."""
    rows, columns = -(-fmt.height // window), -(-fmt.width // window)
    if rows * columns > _MOST_WINDOWS:
        raise LimitError(f"{rows * columns} windows of latent tokens, more than {_MOST_WINDOWS}")
    return rows, columns


def open_entropy_model(fmt: VideoFormat, model: Path, device: str = "cpu") -> EntropyModel:
    """The entropy model of a stream. Raises `MediaError`, `LimitError`."""
    config = read_sizes(model)
    return EntropyModel(
        read_entropy(model),
        *window_grid(fmt, config.window),
        config.tokens,
        streams.backend_of(device),
        config.rates,
        config.phases,
    )


class LatentReader:
    """Reads LATENT payloads, in the order of frames."""

    def __init__(self, model: EntropyModel) -> None:
        self._model = model
        self._memory = self._fresh()

    def start_gop(self) -> None:
        """Contexts begin anew."""
        self._memory = self._fresh()

    def read(self, payload: bytes) -> Latent:
        """The tokens of the next packet. Raises `DamagedStreamError`."""
        latent = unpack(payload, self._model, self._memory)
        self._memory = self._memory.after(latent.values, latent.counts)
        return latent

    def _fresh(self) -> Memory:
        return Memory.empty(self._model.windows, self._model.tokens)


class FrameContext:
    """What the network knows of frames: pictures as it takes them, motion of the frames shown.

    `state` is that of the last restored frame, None where the next one begins anew."""

    def __init__(self, fmt: VideoFormat, network: TokenNetwork, threads: int, device: str) -> None:
        self._fmt, self._device, self.network = fmt, device, network
        window = network.config.window
        rows, columns = window_grid(fmt, window)
        self._size = rows * window, columns * window
        self._motion = BlockMotion(fmt.width, fmt.height, threads)
        self.state: State | None = None

    def forget(self) -> None:
        """The next frame begins anew."""
        self.state = None
        self._motion.forget()

    def picture(self, planes: Planes) -> Picture:
        """Planes (10 bits) as whole windows."""
        from gvcodec.gvc1d.picture import from_planes, pad

        y, u, v = (
            np.asarray(plane.cpu() if hasattr(plane, "cpu") else plane, np.uint16)
            for plane in planes
        )
        return pad(from_planes([(y, u, v)], self._device), self.network.config.window)

    def planes(self, picture: Picture) -> Planes:
        """Planes of 10-bit samples; for an 8-bit source rounded to multiples of four."""
        from gvcodec.gvc1d.picture import to_planes

        fmt = self._fmt
        return to_planes(picture, fmt.height, fmt.width, fmt.bit_depth)[0]

    def find_motion(self, base_frame: Planes) -> Tensor | None:
        """(dy, dx) [1, 2, H/16, W/16] of the next base frame's whole windows against the one
        before, None for the first."""
        import torch

        vectors = self._motion.push(np.ascontiguousarray(base_frame[0]))
        if vectors is None:
            return None
        height, width = (side // BLOCK for side in self._size)
        blocks = np.zeros((1, 2, height, width), np.int16)
        rows, columns = vectors.shape[:2]
        blocks[0, :, :rows, :columns] = vectors.transpose(2, 0, 1)
        return torch.from_numpy(blocks).to(self._device)

    def context(self, shown: Picture, motion: Tensor | None) -> Context:
        """Of the next frame. `shown`: what is restored."""
        return self.network.context(shown, self.state, motion)


def open_frames(fmt: VideoFormat, model: Path, threads: int, device: str) -> FrameContext:
    """The network of a stream, loaded. Raises `MediaError`, `UsageError` for a device that is not
    there."""
    from gvcodec.gvc1d.checkpoint import load_model
    from gvcodec.util.tensors import open_device

    open_device(device)
    return FrameContext(fmt, load_model(model, device), threads, device)


def token_tensor(
    values: Values | None, network: TokenNetwork, context: Context, device: str
) -> Tensor:
    """Tokens as the network takes them, [1, W, K, C]; zero without values."""
    import torch

    config = network.config
    if values is not None:
        return torch.from_numpy(values.astype(np.float32))[None].to(device)
    height, width = context.picture.y.shape[2:]
    windows = (height // config.window) * (width // config.window)
    return torch.zeros(1, windows, config.tokens, config.channels, device=device)
