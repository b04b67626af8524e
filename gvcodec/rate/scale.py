"""The axis of a search for a size: how few bytes a file has, in natural logs.

An index of a base stands where files of that index stand on average (`Base.rates`); between the
steps of the index, and beyond the coarsest one, a trim of lambda leads on. So a step along the
scale takes about as much off the log of the bytes, whatever the base and wherever it is.
"""

from __future__ import annotations

import math

import numpy as np

from gvcodec.bases import base_of
from gvcodec.config import EncoderConfig
from gvcodec.rate.bracket import Bracket

#: Steps of the index of a base that has no trim, and the most that they are on the scale.
_STEP, _LARGEST_STEP = 0.25, 0.035
#: Places nearer to each other than this have the same bytes.
_FINEST_TRIM = 0.002


class Scale:
    """From `low`, the finest index, to `high`, the coarsest one or the largest trim beyond."""

    def __init__(self, config: EncoderConfig) -> None:
        base = base_of(config.base)
        self._standard, self._coarsest = base.standard, config.coarsest
        # Between the coarsest picture of full size and the coarsest of all a trim is better.
        self._full = min(base.coarsest_full, config.coarsest)
        self._index = [index for index, _ in base.rates]
        self._rate = [-math.log(bpp) for _, bpp in base.rates]
        standard = base.standard
        self._usual = standard.trims[1] if standard else 0.0
        self.low = self.at(base.finest, self._usual)
        self.high = self.at(self._coarsest, standard.farthest if standard else 0.0)

    def at(self, index: float, trim: float) -> float:
        """The place of an index with a trim."""
        slope = self._standard.trim_slope if self._standard else 0.0
        there = float(np.interp(index, self._index, self._rate))
        return there + slope * (trim - self._usual)

    def place(self, x: float, near: float | None = None) -> tuple[float, float]:
        """Index and trim of a place. The index is `near` as far as a trim goes from there, since
        the least change of the index shakes all frames."""
        index = float(np.interp(x, self._rate, self._index))
        if self._standard is None:
            return min(round(index / _STEP) * _STEP, self._coarsest), 0.0
        standard = self._standard
        least, _, most = standard.trims
        if near is None or not least <= self._trim(x, near) <= most:
            near = min(round(index / standard.grain) * standard.grain, self._full)
            if self._trim(x, near) > most:
                near = self._coarsest
        return near, min(self._trim(x, near), standard.farthest)

    def _trim(self, x: float, index: float) -> float:
        assert self._standard is not None
        return self._usual + (x - self.at(index, self._usual)) / self._standard.trim_slope

    def bracket(self, guess: float, slope: float = 1.0) -> Bracket:
        """Of excesses in natural logs."""
        grain = _LARGEST_STEP if self._standard is None else _FINEST_TRIM
        return Bracket(self.low, self.high, slope, guess, grain, least=grain)
