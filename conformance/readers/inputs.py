"""The files and the parser that each is for."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from conformance.inputs import token_tensors

REPOSITORY = Path(__file__).parents[2]
MODELS = REPOSITORY / "conformance" / "models"
#: A stream of the fuzz corpus with larger pictures is left out: it takes memory, not care.
MOST_PIXELS = 1 << 14
#: Parsers of the fuzz corpora `tests/fuzz/NAME`. `painter` and `streams` are inputs of the core's
#: kernels, not of a reader.
PARTS = ("header", "timing", "metadata", "tracks", "fitted", "summary", "standard", "varint")
PARTS += ("units",)


class Input(NamedTuple):
    """`name`: path in the repository; `parser`: "stream" or one of `PARTS`."""

    name: str
    parser: str
    data: bytes


def inputs() -> Iterator[Input]:
    """All of them, in the order of their names within a folder."""
    for folder in ("conformance/files", "conformance/refused", "tests/faulty"):
        for path in sorted((REPOSITORY / folder).iterdir()):
            if path.suffix != ".json":
                yield Input(_name(path), "stream", path.read_bytes())
    for corpus, seal in (("stream", _sealed), ("painting", _sealed_painting)):
        for path in sorted((REPOSITORY / "tests/fuzz" / corpus).iterdir()):
            data = seal(path.read_bytes())
            if data is not None:
                yield Input(_name(path), "stream", data)
    for part in PARTS:
        for path in sorted((REPOSITORY / "tests/fuzz" / part).iterdir()):
            yield Input(_name(path), part, path.read_bytes())


def pieces(data: bytes) -> list[bytes]:
    """{ u8 size, as many bytes }, the last as long as it is."""
    parts, at = [], 0
    while at < len(data):
        parts.append(data[at + 1 : at + 1 + data[at]])
        at += 1 + data[at]
    return parts


@cache
def small_painter() -> bytes:
    """A painter's file for `fitted`: 20 channels, one block, tokens of four integers; weights of
    zero."""
    from safetensors.numpy import save

    layers = {"stem": (4, 12, 3, 3), "stem2": (4, 4, 3, 3), "statistics": (16, 16, 1, 1)}
    layers |= {"blocks.0.depthwise": (20, 1, 5, 5), "blocks.0.expand": (8, 20, 1, 1)}
    layers |= {"blocks.0.project": (20, 8, 1, 1), "style": (4, 20, 1, 1), "head": (15, 4, 1, 1)}
    tensors: dict[str, Any] = token_tensors(4, 4)
    tensors["blocks.0.condition"] = np.zeros((20, 10), np.int32)
    for name, shape in layers.items():
        tensors[f"{name}.weight"] = np.zeros(shape, np.int8)
        tensors[f"{name}.bias"] = np.zeros(shape[0], np.int32)
        tensors[f"{name}.step"] = np.full(shape[0], 10, np.int16)
    for name, outputs in [*((name, shape[0]) for name, shape in layers.items()), ("view", 20)]:
        tensors[f"{name}.multiplier"] = np.full(outputs, 500, np.int16)
        tensors[f"{name}.shift"] = np.full(outputs, 10, np.int16)
    return save(tensors, {"painter": '{"form": 2}'})


def _name(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def _sealed(data: bytes) -> bytes | None:
    from conformance.decoder.header import MAGIC, read_header
    from conformance.decoder.wire import Refused
    from tests.fuzz.stream_fuzz import stream_of

    stream = stream_of(data)
    try:
        header = read_header(stream)
    except Refused:
        return stream
    assert stream.startswith(MAGIC)
    return stream if header.width * header.height <= MOST_PIXELS else None


def _sealed_painting(data: bytes) -> bytes:
    """The packets of the input as a stream that is painted."""
    from gvcodec.bitstream import Packet, SequenceHeader
    from gvcodec.models import PAINTER, model_id
    from tests.fuzz.parts_fuzz import _PAINTED, FORMAT, STANDARDS
    from tests.fuzz.robustness.sealed import sealed_packets

    packets, at = [], 1
    while at + 3 <= len(data):
        size = int.from_bytes(data[at + 1 : at + 3], "little")
        packets.append(Packet(_PAINTED[data[at] % 4], data[at + 3 : at + 3 + size]))
        at += 3 + size
    base, painter = STANDARDS[data[0] % 2], model_id(PAINTER.find())
    header = SequenceHeader(FORMAT, base, FORMAT.frame_rate / 25, 35, 0, None, painter)
    return sealed_packets(header.pack(), packets, bytes(8))
