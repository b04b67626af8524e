"""Decodes mutations of streams, strictly and as `--ignore-errors` does.

A trial ends as whole, refused, concealed, silent or crash. Strict decoding has to give the
frames of the original or a typed error. Decoding despite damage may give other frames only where
it says so: a frame that differs unreported is silent corruption. That cannot be asked of streams
that are made up with right checksums: there the base hash speaks for strict decoding only.
"""

import io
from collections.abc import Callable

import numpy as np

from gvcodec.bitstream import Reader, SequenceHeader
from gvcodec.bitstream.recovery import Salvage
from gvcodec.codec.decoder import Decoder
from gvcodec.edit.repair import repair_stream
from gvcodec.errors import GvcodecError
from gvcodec.types import Planes

#: Larger pictures, which headers may claim, take too long.
MAX_PIXELS = 1 << 20


def strict(data: bytes, original: list[Planes]) -> str:
    """Outcome after `repair`; `judged`: frames left are the originals, missing ones reported."""
    reader = Reader(io.BytesIO(data))
    if _too_large(reader.header):
        return "refused"
    decoder = Decoder(reader.header, fidelity=True, threads=1)
    found = [frame.planes for frame in decoder.frames_of(reader.packets())]
    decoder.verify(reader.base_hash)
    same = len(found) == len(original) and all(
        _equal(a, b) for a, b in zip(found, original, strict=True)
    )
    return "whole" if same else "silent"


def decode_tolerantly(data: bytes, original: list[Planes], judged: bool) -> str:
    """Outcome of decoding what `repair` leaves of a stream; `judged`: the frames that are left have
    to be the original's, in order, and those that are missing reported."""
    if _too_large(Salvage(io.BytesIO(data)).header):
        return "refused"
    mended = io.BytesIO()
    reported = bool(repair_stream(io.BytesIO(data), "stream", mended, threads=1).losses)
    reader = Reader(io.BytesIO(mended.getvalue()))
    decoder = Decoder(reader.header, fidelity=True, threads=1)
    left, count = iter(original), 0
    for frame in decoder.frames_of(reader.packets()):
        count += 1
        if judged and not any(_equal(frame.planes, planes) for planes in left):
            return "silent"
    if judged and count != len(original) and not reported:
        return "silent"
    return "concealed" if reported else "whole"


def outcomes_of(data: bytes, original: list[Planes], judged: bool) -> tuple[str, str]:
    """Of strict and tolerant decoding; exceptions besides `GvcodecError` are crashes."""

    def outcome(decode: Callable[[], str]) -> str:
        try:
            return decode()
        except GvcodecError:
            return "refused"
        except Exception as error:  # noqa: BLE001 (what escapes here is the finding)
            return f"crash: {type(error).__name__}: {error}"

    return outcome(lambda: strict(data, original)), outcome(
        lambda: decode_tolerantly(data, original, judged)
    )


def _too_large(header: SequenceHeader) -> bool:
    """Pictures of 64 megapixels, which the limits would refuse, are not allocated."""
    return header.format.width * header.format.height > MAX_PIXELS


def _equal(left: Planes, right: Planes) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))
