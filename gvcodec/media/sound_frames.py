"""Tests whether a packet of sound is a frame of its codec, by the header that broadcast codecs
repeat in each: what a demuxer makes of a damaged recording is not always one, and muxers refuse it,
some of them with the packets after it.

ADTS is in ISO/IEC 13818-7, LOAS in 14496-3, MPEG audio in 11172-3, AC-3 in ETSI TS 102 366."""

from __future__ import annotations

import re

import av
from av.stream import Stream

#: Layers of MPEG audio; MP4 calls all of them MP3.
_LAYERS = ("mp3", "mp2", "mp1")
#: PCM with its bits, of which the logarithmic kinds have eight.
_PCM = re.compile(r"pcm_(?:[suf](\d+)(?:le|be)?|alaw|mulaw)")
#: Samples of silence that are not 0.
_SILENCE = {
    "pcm_alaw": b"\xd5",
    "pcm_mulaw": b"\xff",
    "pcm_u8": b"\x80",
    "pcm_u16le": b"\0\x80",
    "pcm_u16be": b"\x80\0",
}


def sample_bytes(stream: Stream) -> int:
    """Bytes of a sample of all channels, of PCM; 0 for other codecs."""
    context = stream.codec_context
    if not isinstance(context, av.AudioCodecContext):
        return 0
    found = _PCM.fullmatch(context.name)
    bits = int(found[1] or 8) if found else 0
    return bits // 8 * context.layout.nb_channels


def silence(stream: Stream) -> bytes:
    """A sample of silence of all channels, of PCM; nothing for other codecs."""
    one = _SILENCE.get(stream.codec_context.name, b"\0") if stream.codec_context else b"\0"
    return one * (sample_bytes(stream) // len(one))


def is_frame(stream: Stream, data: bytes) -> bool:
    """Whether `data` can be a frame of this stream. True where its codec has no such header."""
    context = stream.codec_context
    name = context.codec.canonical_name if context is not None else ""
    word = int.from_bytes(data[:4].ljust(4, b"\0"))
    if name == "aac" and not context.extradata:
        # Sync word of 12 bits, layer 0; the length of the frame is in 13 bits.
        return word >> 16 & 0xFFF6 == 0xFFF0 and int.from_bytes(data[3:6]) >> 5 & 0x1FFF == len(
            data
        )
    if name == "aac_latm":
        return word >> 21 == 0x2B7 and 3 + (word >> 8 & 0x1FFF) == len(data)
    if name in ("ac3", "eac3"):
        return word >> 16 in (0x0B77, 0x770B)
    if name in _LAYERS:
        version, layer, rate = (word >> at & 3 for at in (19, 17, 10))
        valid = version != 1 and layer != 0 and rate != 3 and word >> 12 & 15 != 15
        return word >> 21 == 0x7FF and valid
    return True
