"""Tokens of the paper's form by the specification alone: the second decoder reads what we write."""

import numpy as np
import pytest

from conformance.decoder.tokens import TokenStream
from conformance.decoder.wire import Refused
from gvcodec.gvc1d.paper.payload import Frame, TokenCoder
from gvcodec.gvc1d.paper.token_counts import Tables

WINDOWS = 3


def _made() -> tuple[Tables, list[Frame]]:
    rng = np.random.default_rng(2)
    distance = rng.integers(0, 9, (64, 64, 16)).astype(np.int32) ** 3
    usual = rng.integers(-9, 10, (64, 64, 16)).astype(np.int32)
    frames, last = [], usual[0]
    for q, context in ((0, False), (0, True), (33, False), (63, True), (63, True)):
        begin = last if context else np.broadcast_to(usual[q], (WINDOWS, 64, 16))
        far = rng.laplace(0, 1, (WINDOWS, 64, 16)) * (0.1 + distance[q] / 64)
        last = (begin + np.rint(far).astype(np.int32)).clip(-1023, 1023)
        frames.append(Frame(q, context, last))
    return Tables(usual, distance), frames


def test_the_second_decoder_reads_the_same_tokens() -> None:
    tables, frames = _made()
    ours = TokenCoder(tables, WINDOWS)
    theirs = TokenStream(tables.usual.tolist(), tables.distance.tolist(), WINDOWS)
    for number, frame in enumerate(frames):
        payload = ours.encode(frame)
        assert np.array_equal(theirs.decode(payload, key=not number), frame.tokens)


def test_both_refuse_the_same_damage() -> None:
    tables, frames = _made()
    payload = TokenCoder(tables, WINDOWS).encode(frames[0])
    lists = tables.usual.tolist(), tables.distance.tolist()
    for changed in (payload[:-1], payload + b"\0", b"\1" + payload[1:], b"\0\x40" + payload[2:]):
        with pytest.raises(Refused):
            TokenStream(*lists, WINDOWS).decode(changed, key=True)
