"""Re-encodes sound as Opus: decoded, resampled to 48 kHz, coded with the times of its source.

    SoundCoder(streams, 48_000)  # bits a second; instead of a `TrackCopier`

Subtitles are copied. Sound that is Opus of at most this rate already is copied too. Samples that
the source hides are gone; samples that Opus adds before the sound (6.5 ms) are marked as hidden.

FFmpeg's decoder, resampler and encoder run in this process. A process of ffmpeg was tried: fed with
packets in NUT it codes AAC 23 ms late and refuses ALAC and TTA; fed with samples it takes the place
of 15 lines here, and a pipe with as many packets as were sent needs more.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import cast

import av
from av.stream import Stream

from gvcodec.input_options import MOST_OPUS_RATE
from gvcodec.tracks.codec_parameters import fitting_head
from gvcodec.tracks.copier import TrackCopier, track_of
from gvcodec.tracks.packets import Track, TrackPacket
from gvcodec.tracks.sound_clock import skipped_samples

#: Layouts of mapping family 1, by their number of channels.
LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
#: Layouts that FFmpeg takes as mono or stereo without mixing.
_ALIKE = ("1 channels", "2 channels", "downmix")
_SPEAKERS, _SEPARATE = "1", "255"


def coded_layout(layout: av.AudioLayout) -> tuple[str, str]:
    """Layout and mapping family of Opus: one of its eight arrangements of loudspeakers, or each
    channel by itself, unlabelled, since mixing would leave something out."""
    standard = LAYOUTS.get(layout.nb_channels, "")
    if layout.name.removesuffix("(side)") == standard or layout.name in _ALIKE:
        return standard, _SPEAKERS
    return layout.name, _SEPARATE


#: Bits a second of a channel where no rate is given: clear speech, and music without harm at a
#: first hearing.
_USUAL_RATE = 24_000
_RATE = 48_000
#: Samples of a packet of 20 ms.
_FRAME = 960
#: Samples by which times may be off before there is a hole, or samples are left out.
_JITTER = _RATE // 50


class SoundCoder(TrackCopier):
    """Codes the sound of some streams with `rate` bits a second each, 0 = by its channels."""

    def __init__(self, streams: Sequence[Stream], rate: int) -> None:
        self._rate = rate
        self._coders: dict[int, _OpusCoder] = {}
        super().__init__(streams)

    def describe(self, stream: Stream) -> Track | None:
        context = stream.codec_context
        if not isinstance(context, av.AudioCodecContext) or not context.sample_rate:
            return super().describe(stream)
        rate = self._rate or min(MOST_OPUS_RATE, _USUAL_RATE * context.layout.nb_channels)
        source_rate = getattr(stream, "bit_rate", None) or MOST_OPUS_RATE + 1
        if context.name in ("opus", "libopus") and source_rate <= rate:
            return super().describe(stream)
        coder = self._coders[stream.index] = _OpusCoder(context.layout, rate)
        return track_of(stream, Fraction(1, _RATE), coder.head) if coder.head else None

    def copy(self, packet: av.Packet, shift: Fraction) -> None:
        if (coder := self._coders.get(packet.stream.index)) is None:
            super().copy(packet, shift)
            return
        self._send_all(packet.stream.index, coder.send(packet, shift))

    def finish(self) -> None:
        for index, coder in self._coders.items():
            self._send_all(index, coder.finish())

    def _send_all(self, index: int, packets: Iterator[_OpusPacket]) -> None:
        for pts, duration, hidden, data in packets:
            self.send(TrackPacket(self._numbers[index], pts, duration, data, hidden))


class _OpusCoder:
    """Codes one stream, in samples of 48 kHz. Sound without a hole and of one format is a run."""

    def __init__(self, layout: av.AudioLayout, rate: int) -> None:
        self._layout, family = coded_layout(layout)
        # Rate control counts on about as many bytes for every second.
        self._options = {"vbr": "constrained", "mapping_family": family}
        self._rate = rate
        #: Codec parameters; empty where no file holds them.
        self.head = self._make_head()
        self._resampler: av.AudioResampler | None = None
        self._form: tuple[str, str, int] | None = None
        self._encoder: av.AudioCodecContext | None = None
        #: Where the run began, how much the encoder got.
        self._origin = self._samples_sent = 0
        #: When the sound that came so far ends.
        self._end: Fraction | None = None

    def send(self, packet: av.Packet, shift: Fraction) -> Iterator[_OpusPacket]:
        """Sound that cannot be decoded becomes a hole."""
        try:
            frames = cast("list[av.AudioFrame]", packet.decode())
        except av.FFmpegError:
            return
        for frame in frames:
            yield from self._encode_frame(frame, shift)

    def finish(self) -> Iterator[_OpusPacket]:
        """The end of the run, if there is one."""
        if self._resampler is None or self._encoder is None:
            return
        for frame in self._resampler.resample(None):
            yield from self._encode(frame)
        for packet in self._encoder.encode(None):
            yield self._place(packet)
        self._resampler = self._encoder = None

    def _encode_frame(self, frame: av.AudioFrame, shift: Fraction) -> Iterator[_OpusPacket]:
        begin = self._end
        if frame.pts is not None and frame.time_base:
            begin = (frame.pts * frame.time_base - shift) * _RATE
        if begin is None or not frame.samples:
            return
        off = 0 if self._end is None else begin - self._end
        if off < -_JITTER:
            return
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None or off > _JITTER or form != self._form:
            yield from self.finish()
            self._begin_run(round(begin))
            self._form, self._end = form, begin
        assert self._resampler is not None and self._end is not None
        self._end += Fraction(frame.samples * _RATE, frame.sample_rate)
        frame.pts = None
        for resampled in self._resampler.resample(frame):
            yield from self._encode(resampled)

    def _begin_run(self, origin: int) -> None:
        self._resampler = av.AudioResampler("flt", self._layout, _RATE, frame_size=_FRAME)
        self._encoder = av.CodecContext.create("libopus", "w")
        self._encoder.sample_rate, self._encoder.format = _RATE, "flt"
        self._encoder.layout, self._encoder.bit_rate = self._layout, self._rate
        self._encoder.time_base = Fraction(1, _RATE)
        self._encoder.options = self._options
        self._encoder.open()
        self._origin, self._samples_sent = origin, 0

    def _encode(self, frame: av.AudioFrame) -> Iterator[_OpusPacket]:
        assert self._encoder is not None
        frame.pts, frame.time_base = self._samples_sent, Fraction(1, _RATE)
        self._samples_sent += frame.samples
        for packet in self._encoder.encode(frame):
            yield self._place(packet)

    def _place(self, packet: av.Packet) -> _OpusPacket:
        pts, duration = packet.pts or 0, packet.duration or 0
        hidden = min(max(0, -pts), duration), skipped_samples(packet)[1]
        return self._origin + pts, duration, hidden, bytes(packet)

    def _make_head(self) -> bytes:
        with av.open(io.BytesIO(), "w", format="matroska") as output:
            stream = output.add_stream(
                "libopus", rate=_RATE, layout=self._layout, options=self._options
            )
            stream.bit_rate = self._rate
            output.start_encoding()
            return fitting_head(stream)


#: Time, duration, samples hidden at the start and at the end, data.
_OpusPacket = tuple[int, int, tuple[int, int], bytes]
