"""`tokens`: the tokens of a stream as arrays, of the painter and of GVC1D's network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from gvcodec.bitstream import Kind, Reader
from gvcodec.errors import DamagedStreamError
from gvcodec.limits import DEFAULT, Limits, check
from gvcodec.models import find_model
from gvcodec.opening import Source, open_reader
from gvcodec.painter import token_coding as painter_tokens
from gvcodec.painter.model import Model
from gvcodec.painter.payload import split_extras
from gvcodec.painter.video import PAINTER_OF_STREAM
from gvcodec.util.kinds import checked_keywords

if TYPE_CHECKING:
    from gvcodec.gvc1d.frame_coder import Frame, FrameCoder

Ints = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class TokenSet:
    """Tokens that are coded together: `values` [T, D], D integers each, in the order of the file.

    `kind`: "painter", side information of a GOP, or "network", a frame of a GVC1D network. `frames`
    [first, last): numbers of the frames that they hold for. `windows` [T, 4]: left, top, width and
    height in luma samples of the area of each token, which may reach beyond the picture. `bits`:
    size of all of them in the file; of a network with the packet's head."""

    kind: Literal["painter", "network"]
    frames: tuple[int, int]
    values: Ints
    windows: Ints
    bits: int


@checked_keywords
def tokens(
    source: Source, *, models: Sequence[str | Path] = (), limits: Limits = DEFAULT
) -> list[TokenSet]:
    """The tokens of a stream, in order; none for a stream without tokens.

    Of painted streams a set for each `fit` packet with tokens, of base gvc1d with its network one
    for each frame, which takes as long as decoding it. `source`: a path, bytes or an open binary
    file. `models`: files or folders of models. Raises `MissingFileError`, `MediaError`,
    `DamagedStreamError`, `LimitError`, and `WrongModelError` where the painter or the network of
    the stream is not found."""
    with open_reader(source) as reader:
        header = reader.header
        check(header, header.is_painted, limits)
        if header.base == "gvc1d":
            return list(_read_network(reader, models))
        if header.painter_id is not None:
            return _read_painter(reader, models)
        return []


def _read_painter(reader: Reader, models: Sequence[str | Path]) -> list[TokenSet]:
    sets: list[TokenSet] = []
    pending: tuple[int, bytes] | None = None
    model: Model | None = None

    def end() -> None:
        """The tokens in force hold until here."""
        nonlocal model
        if pending is None or reader.frames == pending[0]:
            return
        if model is None:
            assert reader.header.painter_id is not None
            model = Model.load(find_model(reader.header.painter_id, PAINTER_OF_STREAM, models))
        sets.append(_painter_set(pending[1], model, reader, (pending[0], reader.frames)))

    for packet in reader.packets():
        if packet.kind is Kind.FIT:
            end()
            data = split_extras(packet.payload)[1].tokens
            pending = None if data is None else (reader.frames, data)
    end()
    return sets


def _painter_set(data: bytes, model: Model, reader: Reader, frames: tuple[int, int]) -> TokenSet:
    header, fmt = reader.header, reader.header.format
    if model.tokens is None:
        raise DamagedStreamError(
            "tokens of the painter: its model takes none", code="painter-tokens"
        )
    coded = painter_tokens.unpack(data, model.tokens, header.base_q, fmt.height, fmt.width)
    layout, values = painter_tokens.values_of(coded)
    side = np.array(painter_tokens.SIDES, np.int32)[layout.kind]
    windows = np.stack([layout.column * side, layout.row * side, side, side], 1)
    return TokenSet("painter", frames, values, windows.astype(np.int32), 8 * len(data))


def _read_network(reader: Reader, models: Sequence[str | Path]) -> Iterator[TokenSet]:
    from gvcodec.gvc1d.base_codec import open_coder

    header = reader.header
    assert header.base_model_id is not None
    path = find_model(header.base_model_id, "the network", models)
    coder = open_coder(header.format, path, threads=1)
    for packet in reader.packets():
        if packet.is_frame:
            if packet.kind is Kind.KEY:
                coder.restart()
            frame, _ = coder.decode(packet.payload)
            yield _network_set(coder, frame, reader.frames - 1, 8 * len(packet.payload))


def _network_set(coder: FrameCoder, frame: Frame, number: int, bits: int) -> TokenSet:
    # [T, 2]: window, and place in it.
    at = np.argwhere(np.arange(frame.tokens.shape[1]) < frame.lengths[:, None])
    side = coder.config.window
    row, column = np.divmod(at[:, 0], coder.grid.columns)
    sides = np.full_like(row, side)
    windows = np.stack([column * side, row * side, sides, sides], 1).astype(np.int32)
    values = frame.tokens[at[:, 0], at[:, 1]].astype(np.int32)
    return TokenSet("network", (number, number + 1), values, windows, bits)
