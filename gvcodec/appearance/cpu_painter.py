"""The renderer as a decoder runs it on a processor: `Renderer.step` with the same parameters, in
the C++ core (csrc/painter/painter.hpp).

Nothing is defined here: constant factors are multiplied into the parameters. Pictures are those of
`Renderer.step` but for rounding, and the same for any number of threads.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gvcodec._core import FramePainter
from gvcodec.appearance.renderer import BANDS, NOISE_UNIT, SIGNAL_GAIN, Block, Renderer
from gvcodec.appearance.texture import corner, tile
from gvcodec.types import Planes

_Layer = tuple[NDArray[np.float32], NDArray[np.float32]]
_SIGNALS = 12


def _arrays(weight: Tensor, bias: Tensor) -> _Layer:
    return np.ascontiguousarray(weight.flatten(1).numpy()), np.ascontiguousarray(bias.numpy())


def _layer(layer: nn.Module) -> _Layer:
    assert isinstance(layer, nn.Conv2d) and layer.bias is not None
    return _arrays(layer.weight, layer.bias)


class RowPainter:
    """Paints frames of one size.

    painter = RowPainter(renderer, height, width, threads)
    painter.start(condition)
    planes = painter.step(loop, None)
    planes = painter.step(loop, vectors)      # `motion.search` against the loop frame before
    """

    def __init__(self, renderer: Renderer, height: int, width: int, threads: int) -> None:
        noise, redraw = (part.numpy() for part in tile())
        self._renderer = renderer
        self._core = FramePainter(width, height, noise, redraw, threads)
        self._position = 0

    @torch.inference_mode()
    def start(self, condition: Tensor) -> None:
        """Forget the past and take the renderer's parameters as they are now. `condition` `(1,
        9)`."""
        r = self._renderer
        unit, fine_unit = r.bank.get_buffer("unit"), r.bank.get_buffer("fine_unit")
        gain = torch.ones(r.enter.in_channels)
        gain[:_SIGNALS] = SIGNAL_GAIN
        gain[_SIGNALS : _SIGNALS + 4] = fine_unit
        gain[_SIGNALS + 4 :] = unit[[3, 6]]
        head = torch.ones(r.head.out_channels)
        head[BANDS : 2 * BANDS] = unit * NOISE_UNIT
        shift = torch.zeros(r.head.out_channels)
        shift[-1] = -1
        blocks = []
        for block in r.blocks:
            assert isinstance(block, Block) and block.depthwise.bias is not None
            bias = block.depthwise.bias + block.condition(condition)[0]
            blocks.append(
                (
                    *_arrays(block.depthwise.weight, bias),
                    _layer(block.expand),
                    _layer(block.project),
                )
            )
        assert r.head.bias is not None and r.gate.bias is not None and r.stem.bias is not None
        assert r.enter.bias is not None and r.leave.bias is not None
        self._core.start(
            stem=_arrays(r.stem.weight * SIGNAL_GAIN, r.stem.bias),
            stem2=_layer(r.stem2),
            statistics=_layer(r.statistics),
            blocks=blocks,
            style=_layer(r.style),
            head=_arrays(r.head.weight * head[:, None, None, None], r.head.bias * head + shift),
            gate=_arrays(r.gate.weight, r.gate.bias + 1),
            enter=_arrays(r.enter.weight * gain[:, None, None], r.enter.bias),
            middle=_layer(r.middle),
            leave=_arrays(r.leave.weight / SIGNAL_GAIN, r.leave.bias / SIGNAL_GAIN),
        )
        self._position = 0

    @torch.inference_mode()
    def step(self, loop: Planes, vectors: Tensor | None) -> Planes:
        """Paint the next frame: 10-bit planes of the full size. `vectors` `(2, H/16, W/16)` int16,
        None for the first frame."""
        motion = None if vectors is None else np.ascontiguousarray(vectors.permute(1, 2, 0).numpy())
        y, u, v = (np.ascontiguousarray(plane) for plane in loop)
        self._core.begin(y, u, v, motion, *corner(self._position))
        self._core.run_blocks(0, len(self._renderer.blocks))
        self._position += 1
        painted: Planes = self._core.finish()
        return painted
