"""A structure encoder that is given a shifted source (`gvcodec.appearance.shift`), for any base
whose frames are painted.

    structure = ShiftedEncoder(config, header, layers.open_encoder(fmt, config), critic)

Frames are taken in parts. A part is coded for trial at a fast preset, painted by the renderer as it
is shipped, and its source shifted by what the gradients say, once a round; then the encoder proper
gets it. What it makes is a stream as any other. The last frames of the part before lead in every
trial, since an encoder's first frames are not like those behind them. Memory does not grow with the
video.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gvcodec import factory, layers
from gvcodec.bases import base_of
from gvcodec.bitstream import SequenceHeader
from gvcodec.config import EncoderConfig
from gvcodec.structure import Coded, Drains, StructureEncoder
from gvcodec.types import Planes

if TYPE_CHECKING:
    from gvcodec.appearance.shift import Critic, Map

#: Frames of a part at most, and bytes that its frames, their shifts and gradients may take.
_PART, _LEAST, _BYTES = 32, 8, 600_000_000
_BYTES_A_PIXEL = 30
_LEAD = 8
#: Root mean square of each round's shift over that of the coding error; the second round sees what
#: the first one did. The finer a video is coded, the less room there is: what gains at 35 dB costs
#: more than it brings at 40.
_ROUNDS = (0.14, 0.10)
#: One frame in so many gets gradients of its own.
_EVERY = 2
_TRIAL_PRESET = 8


class ShiftedEncoder:
    """`encoder` is that of the stream; `config` (settled) says how strong the shift is, `header`
    what the painter needs to know."""

    def __init__(
        self,
        config: EncoderConfig,
        header: SequenceHeader,
        encoder: StructureEncoder,
        critic: Critic,
    ) -> None:
        self._header, self._encoder, self._critic = header, encoder, critic
        fmt = header.format
        self._strength = config.shift
        presets = base_of(config.base).presets
        self._trial = replace(
            config, preset=min(_TRIAL_PRESET, presets - 1) if presets else None, shift=0.0
        )
        fitting = _BYTES // (_BYTES_A_PIXEL * fmt.width * fmt.height)
        self._part = max(_LEAST, min(_PART, fitting))
        self._threads = factory.threads_of(config.threads)
        self._waiting: list[tuple[Planes, bool]] = []
        self._before: deque[Planes] = deque(maxlen=_LEAD)
        self._number = 0

    def send(self, planes: Planes, force_key: bool = False) -> Coded:
        self._waiting.append((planes, force_key))
        return self._merged(self._sent()) if len(self._waiting) == self._part else Coded()

    def flush(self) -> Coded:
        return self._merged(self.drain())

    def drain(self) -> Iterator[Coded]:
        yield from self._sent()
        if isinstance(self._encoder, Drains):
            yield from self._encoder.drain()
        else:
            yield self._encoder.flush()

    def _merged(self, parts: Iterator[Coded]) -> Coded:
        whole = Coded()
        for part in parts:
            whole.packets += part.packets
            whole.loops += part.loops
        return whole

    def _sent(self) -> Iterator[Coded]:
        """What the encoder makes of the frames that wait."""
        if not self._waiting:
            return
        sources, keys = zip(*self._waiting, strict=True)
        self._waiting = []
        shown = self._shifted(list(sources))
        self._number += len(shown)
        self._before.extend(shown)
        for planes, key in zip(shown, keys, strict=True):
            yield self._encoder.send(planes, key)

    def _shifted(self, sources: list[Planes]) -> list[Planes]:
        from gvcodec.appearance.shift import carried, shaped, shifted

        luma = [planes[0] for planes in sources]
        total: list[Map] | None = None
        shown = sources
        for number, share in enumerate(_ROUNDS):
            gradients, error = self._gradients(shown, sources, number)
            maps = shaped(carried(gradients, luma), self._strength * share * error)
            total = maps if total is None else [a + b for a, b in zip(total, maps, strict=True)]
            shown = [shifted(source, shift) for source, shift in zip(sources, total, strict=True)]
        return shown

    def _gradients(
        self, shown: list[Planes], sources: list[Planes], number: int
    ) -> tuple[list[Map | None], float]:
        """Those of one frame in `_EVERY`, other ones in every round, and how far the base frames
        are off (root mean square, steps of 8 bits). Frames are shared among threads, each of which
        works as if it were alone, so that the result does not depend on their number."""
        wanted = range(number % _EVERY if len(sources) > 1 else 0, len(sources), _EVERY)
        found: list[Map | None] = [None] * len(sources)
        errors: list[float] = []
        with factory.single_torch(), ThreadPoolExecutor(self._threads) as pool:
            jobs: deque[tuple[int, Future[Map]]] = deque()
            for index, (loop, painted) in enumerate(self._painted(shown)):
                errors.append(
                    float(np.square(loop[0] - sources[index][0].astype(np.float32)).mean())
                )
                if index in wanted:
                    seed = (self._number + index) * len(_ROUNDS) + number
                    jobs.append((index, pool.submit(self._critic, painted, sources[index], seed)))
                while len(jobs) > self._threads or jobs and jobs[0][1].done():
                    place, job = jobs.popleft()
                    found[place] = job.result()
            for place, job in jobs:
                found[place] = job.result()
        return found, (sum(errors) / len(errors)) ** 0.5 / 4

    def _painted(self, shown: list[Planes]) -> Iterator[tuple[Planes, Planes]]:
        """A trial's frames, coded and painted, without those that lead in."""
        lead = len(self._before)
        painter = factory.painter(self._header, self._threads)
        painter.start_gop(None)
        encoder = layers.open_encoder(self._header.format, self._trial)
        count = 0
        for coded in self._trials(encoder, [*self._before, *shown]):
            for loop in coded.loops:
                painted = painter.paint(loop)
                if count >= lead:
                    yield loop, painted
                count += 1

    def _trials(self, encoder: StructureEncoder, frames: list[Planes]) -> Iterator[Coded]:
        for planes in frames:
            yield encoder.send(planes)
        yield from encoder.drain() if isinstance(encoder, Drains) else [encoder.flush()]
