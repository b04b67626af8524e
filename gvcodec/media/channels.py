"""Channels of sound that is coded as Opus, which has eight arrangements of loudspeakers (mapping
family 1, in the order of Vorbis). Any other is coded channel by channel (family 255): in the order
of its source, without labels."""

from __future__ import annotations

from dataclasses import dataclass

import av
import numpy as np

#: Layouts of mapping family 1, by their number of channels.
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
_SPEAKERS, _SEPARATE = "1", "255"
#: What FFmpeg calls a channel without a label.
_UNLABELLED = "NONE"
#: Loudspeakers that stand for each other where a layout has only one of both.
_SAME = {"SL": "BL", "SR": "BR", "BL": "SL", "BR": "SR", "DL": "FL", "DR": "FR"}


@dataclass(frozen=True, slots=True)
class Channels:
    """What an encoder of Opus gets: its layout and mapping family, and which channel of the source
    each of its channels is."""

    source: str
    layout: str
    family: str
    order: tuple[int, ...]

    @classmethod
    def of(cls, layout: av.AudioLayout) -> Channels:
        names = _names(layout)
        standard = _LAYOUTS.get(len(names))
        if standard is not None:
            wanted = _names(av.AudioLayout(standard))
            if len(names) == 1 or set(names) == {_UNLABELLED}:
                return cls(layout.name, standard, _SPEAKERS, tuple(range(len(names))))
            placed = [name if name in wanted else _SAME.get(name, name) for name in names]
            if sorted(placed) == sorted(wanted):
                order = tuple(placed.index(name) for name in wanted)
                return cls(layout.name, standard, _SPEAKERS, order)
        return cls(layout.name, layout.name, _SEPARATE, tuple(range(len(names))))

    def arrange(self, frame: av.AudioFrame) -> av.AudioFrame:
        """Packed samples with the labels of the encoder. Mixing would leave out what has no place
        among them."""
        if self.source == self.layout:
            return frame
        samples = frame.to_ndarray().reshape(-1, len(self.order))[:, self.order]
        packed = np.ascontiguousarray(samples, np.float32).reshape(1, -1)
        arranged = av.AudioFrame.from_ndarray(packed, format="flt", layout=self.layout)
        arranged.sample_rate = frame.sample_rate
        return arranged


def _names(layout: av.AudioLayout) -> list[str]:
    return [channel.name for channel in layout.channels]
