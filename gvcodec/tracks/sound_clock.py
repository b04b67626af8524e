"""Timestamps of copied sound packets, in ticks of one sample, and which of their samples are
hidden.

Containers keep coarse clocks, and say in three ways that samples are not to be heard: a packet is
discarded, it carries a number of samples to skip, or the file does."""

import re
from fractions import Fraction
from typing import Any, Final

import av
from av.stream import Stream

#: Layers of MPEG audio; MP4 calls all of them MP3.
LAYERS = ("mp3", "mp2", "mp1")
#: PCM with its bits, of which the logarithmic kinds have eight.
_PCM = re.compile(r"pcm_(?:[suf](\d+)(?:le|be)?|alaw|mulaw)")
#: Samples of silence that are not 0.
_SILENCE = {"pcm_alaw": b"\xd5", "pcm_mulaw": b"\xff", "pcm_u8": b"\x80"}


def sample_bytes(stream: Stream) -> int:
    """Bytes of a sample of all channels, of PCM; 0 for other codecs."""
    context = stream.codec_context
    if not isinstance(context, av.AudioCodecContext):
        return 0
    match = _PCM.fullmatch(context.name)
    bits = int(match[1] or 8) if match else 0
    return bits // 8 * context.layout.nb_channels


def silence(stream: Stream) -> bytes:
    """A sample of silence of all channels, of PCM; nothing for other codecs."""
    sample = _SILENCE.get(stream.codec_context.name, b"\0") if stream.codec_context else b"\0"
    return sample * (sample_bytes(stream) // len(sample))


def is_frame(stream: Stream, data: bytes) -> bool:
    """Whether `data` can be a frame, by the header that codecs of broadcasts repeat in each (ADTS:
    ISO/IEC 13818-7, LOAS: 14496-3, MPEG audio: 11172-3, AC-3: ETSI TS 102 366)."""
    context = stream.codec_context
    name = context.codec.canonical_name if context is not None else ""
    word = int.from_bytes(data[:4].ljust(4, b"\0"))
    if name == "aac" and not context.extradata:
        return is_adts(data)
    if name == "aac_latm":
        return word >> 21 == 0x2B7 and 3 + (word >> 8 & 0x1FFF) == len(data)
    if name in ("ac3", "eac3"):
        return word >> 16 in (0x0B77, 0x770B)
    if name in LAYERS:
        version, layer, rate = (word >> at & 3 for at in (19, 17, 10))
        valid = version != 1 and layer != 0 and rate != 3 and word >> 12 & 15 != 15
        return word >> 21 == 0x7FF and valid
    return True


def is_adts(data: bytes) -> bool:
    """Whether `data` is an ADTS frame: sync word of 12 bits, layer 0, its length in 13 bits."""
    begins = int.from_bytes(data[:2]) & 0xFFF6 == 0xFFF0
    return begins and int.from_bytes(data[3:6]) >> 5 & 0x1FFF == len(data)


def form_of(stream: Stream, data: bytes) -> int:
    """Profile, sample rate and channels as the header of an ADTS frame says them; 0 for others."""
    context = stream.codec_context
    if context is None or context.codec.canonical_name != "aac" or context.extradata:
        return 0
    return int.from_bytes(data[2:4]) & _ADTS_FORM


def aac_config(frame: bytes) -> bytes:
    """`AudioSpecificConfig` (ISO/IEC 14496-3) by the header of an ADTS frame; empty where that does
    not say its channels."""
    head = int.from_bytes(frame[2:4])
    profile, rate, channels = head >> 14, head >> 10 & 15, head >> 6 & 7
    return ((profile + 1) << 11 | rate << 7 | channels << 3).to_bytes(2) if channels else b""


def adts_header(frame: bytes) -> int:
    """Bytes of the header of an ADTS frame: two more where it has a checksum."""
    return 7 if frame[1] & 1 else 9


#: Of bytes 2 and 3 of an ADTS header: all bits of these fields, without the private bit.
_ADTS_FORM = 0xFDC0
_SKIP: Final = "skip_samples"


class SoundClock:
    """The clock of a stream. Subtitles, and sound whose sample rate is unknown, keep their source's
    ticks."""

    def __init__(self, stream: Stream) -> None:
        context = stream.codec_context
        source = Fraction(stream.time_base or Fraction(1, 1000))
        sound = context if isinstance(context, av.AudioCodecContext) else None
        rate = (sound.sample_rate or 0) if sound else 0
        #: Seconds.
        self.tick = Fraction(1, rate) if rate else source
        self._rate = rate
        self.is_pcm = is_pcm(stream)
        self._sample_bytes = sample_bytes(stream)
        self._frame = sound.frame_size or 0 if sound and rate else 0
        #: Samples that a tick of the source lasts, where that is more than one.
        self._coarse = source * rate if source * rate > 1 else Fraction(0)
        #: Samples still to be hidden.
        self._skip = 0
        self._end: int | None = None
        #: Samples of the packet before.
        self._length = 0

    def place(self, packet: av.Packet, shift: Fraction) -> tuple[int, int, tuple[int, int]]:
        """(time, duration, samples hidden at start and end) in ticks, `shift` seconds earlier."""
        base, begin = packet.time_base, packet.pts or 0
        duration = max(0, round((packet.duration or 0) * base / self.tick))
        if not self._rate:
            return round((begin * base - shift) / self.tick), duration, (0, 0)
        skipped, end = skipped_samples(packet)
        if self._sample_bytes:
            duration = max(0, packet.size // self._sample_bytes - end)
        if not duration:
            # Matroska need not say it.
            duration = self._frame or self._length or skipped
        for likely in () if self._sample_bytes else (self._frame - end, self._length - end):
            if likely > 0 and abs(duration - likely) <= self._coarse:
                duration = likely
                break
        self._length = duration + end
        first = skipped and not self._skip
        self._skip = max(self._skip, skipped)
        hidden = duration if packet.is_discard else min(self._skip, duration)
        if self._coarse and first:
            # The clock is exact where the sound begins to be heard.
            heard = round(begin + self._skip * self.tick / base)
            pts = round((heard * base - shift) / self.tick) - self._skip
        else:
            pts = round((begin * base - shift) / self.tick)
            if self._end is not None and abs(pts - self._end) <= self._coarse:
                pts = self._end
        self._skip = max(0, self._skip - duration)
        self._end = pts + duration
        return pts, duration, (hidden, end)


def is_pcm(stream: Stream) -> bool:
    """Whether packets can be cut at every sample."""
    return stream.codec_context is not None and stream.codec_context.name.startswith("pcm_")


def hide_end(packet: av.Packet, samples: int) -> None:
    """Say in a packet that this many samples at its end are not to be heard."""
    kind = av.packet.packet_sidedata_type_from_literal(_SKIP)
    # The stubs have no arguments.
    make: Any = av.packet.PacketSideData
    skip = make(kind, 10)
    skip.update(bytes(4) + min(samples, (1 << 32) - 1).to_bytes(4, "little") + bytes(2))
    packet.set_sidedata(skip)


def skipped_samples(packet: av.Packet) -> tuple[int, int]:
    """Samples that a packet says to skip, from its start on and before its end."""
    if not packet.has_sidedata(_SKIP):
        return 0, 0
    data = bytes(packet.get_sidedata(_SKIP))
    return int.from_bytes(data[:4], "little"), int.from_bytes(data[4:8], "little")
