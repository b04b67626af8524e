"""G.711 sound (A-law and µ-law of telephones and cameras) as 16-bit PCM, for containers that PyAV
cannot write it to. Lossless: each of its 256 values is one sample of 16 bits."""

from __future__ import annotations

import io
from typing import Literal, cast

import av
import numpy as np
from av.stream import Stream

_CODECS = ("pcm_alaw", "pcm_mulaw")
_PLAIN: Literal["pcm_s16le"] = "pcm_s16le"


class PlainSound:
    """Of one stream. `stream` is a template for an output stream."""

    def __init__(self, context: av.AudioCodecContext) -> None:
        decoder = cast(av.AudioCodecContext, av.CodecContext.create(context.name, "r"))
        decoder.sample_rate, decoder.layout = context.sample_rate, "mono"  # type: ignore[assignment]
        decoded = decoder.decode(av.Packet(bytes(range(256))))
        self._samples = np.concatenate([frame.to_ndarray().ravel() for frame in decoded])
        data = io.BytesIO()
        with av.open(data, "w", format="matroska") as output:
            stream = output.add_stream(_PLAIN, rate=context.sample_rate, layout=context.layout.name)
            silence = av.AudioFrame(format="s16", layout=context.layout.name, samples=1)
            silence.sample_rate, silence.pts = context.sample_rate, 0
            output.mux([*stream.encode(silence), *stream.encode(None)])
        self._container = av.open(io.BytesIO(data.getvalue()), "r")
        self.stream: Stream = self._container.streams[0]

    def expand(self, data: bytes) -> bytes:
        return self._samples[np.frombuffer(data, np.uint8)].astype("<i2").tobytes()


def plain_sound(stream: Stream) -> PlainSound | None:
    """None for sound that is not G.711."""
    context = stream.codec_context
    if isinstance(context, av.AudioCodecContext) and context.name in _CODECS:
        return PlainSound(context)
    return None
