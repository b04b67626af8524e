"""Closed captions on their way from source frames to the packets that carry them."""

from __future__ import annotations

from gvcodec.base.standard.captions import MOST_OF_FRAME, insert_captions

KEPT_CAPTIONS = "closed captions kept (--no-subtitles leaves them out)"
LOST_CAPTIONS = "closed captions left out: only base av1 has a place for them"
CUT_CAPTIONS = (
    f"a frame has closed captions of more than {MOST_OF_FRAME} bytes: the rest is left out"
)


class FrameCaptions:
    """Captions by frame, until the base gives the frame's packet. `are_kept`: whether the base has
    a place for them."""

    def __init__(self, are_kept: bool) -> None:
        self._are_kept, self._has_any, self._has_cut = are_kept, False, False
        self._waiting: dict[int, bytes] = {}

    def send(self, frame: int, captions: bytes) -> None:
        """Captions of a frame, three bytes for each pair; empty if it has none."""
        if not captions:
            return
        self._has_any = True
        if self._are_kept:
            self._waiting[frame] = captions[:MOST_OF_FRAME]
            self._has_cut |= len(captions) > MOST_OF_FRAME

    def insert(self, frame: int, payload: bytes) -> bytes:
        """The payload of the frame's packet, with its captions if it has some."""
        captions = self._waiting.pop(frame, None)
        return payload if captions is None else insert_captions(payload, captions)

    def notes(self) -> list[str]:
        """Lines for captions that were kept, lost or shortened."""
        notes = []
        if self._has_any:
            notes.append(KEPT_CAPTIONS if self._are_kept else LOST_CAPTIONS)
        if self._has_cut:
            notes.append(CUT_CAPTIONS)
        return notes
