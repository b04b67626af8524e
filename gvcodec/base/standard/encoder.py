"""Encoder of a base layer that is a standard bitstream: SVT-AV1 or VVenC, run by FFmpeg.

AV1 codes 8 or 10 bits a sample, as the source has them, H.266 always 10. At scale 3/4 or 1/2 the
coded picture is smaller. `StandardEncoder` gets its base frames from `StandardDecoder`, so they are
those of every decoder. Sizes that the encoders cannot code are padded by edge replication. Raises
`UsageError`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from fractions import Fraction

from gvcodec.base import BaseEncoder, BasePacket, EncodeResult
from gvcodec.base.resample import Resampler
from gvcodec.base.scene_cuts import GopStarts
from gvcodec.base.standard.decoders import StandardDecoder
from gvcodec.base.standard.encoders import (
    Settings,
    UnitEncoder,
    encoder_version,
    open_encoder,
    parse_params,
    texture_params,
)
from gvcodec.base.standard.payloads import strip_unit
from gvcodec.bases import base_of, standard_of
from gvcodec.config import ResolvedConfig
from gvcodec.errors import UsageError
from gvcodec.types import Plane, Planes, VideoFormat

#: Width and height that SVT-AV1 takes.
_AV1_MOST = (16384, 8704)


class StandardEncoder(BaseEncoder):
    """Encoder of the plug. `keyint`: frames from one keyframe to the next at most, fewer where a
    scene begins; 0 = only the first frame. `gop_q`: the offset to `settings.base_q` in each GOP,
    the last value in all that follow; a GOP of another quality has an encoder of its own.
    `camera_params`: options that prevail less than `settings.params` and hold in GOPs whose first
    picture is not drawn, such as `texture_params`. Raises `UsageError` for settings that the codec
    does not have."""

    def __init__(
        self,
        fmt: VideoFormat,
        codec: str,
        settings: Settings,
        keyint: int = 0,
        scale: Fraction = Fraction(1),
        gop_q: Sequence[float] = (),
        camera_params: Sequence[str] = (),
    ) -> None:
        if settings.preset is not None and settings.preset not in range(base_of(codec).presets):
            raise UsageError(
                "preset is 0…10 for base av1 and 0…4 for vvc",
                code="base-feature",
            )
        if settings.low_delay and not standard_of(codec).low_delay:
            raise UsageError(f"base {codec} has no low-delay mode", code="base-feature")
        max_base_q = base_of(codec).coarsest_full
        if not 0 <= settings.base_q <= max_base_q or keyint < 0:
            raise UsageError(
                f"no {codec} base layer with q {settings.base_q:g} and a keyframe distance of "
                f"{keyint}",
                code="option-value",
            )
        self._codec = codec
        self.written_by = encoder_version(codec)
        self._resampler = Resampler(fmt.width, fmt.height, scale)
        self._decoder = StandardDecoder(fmt, codec, scale, settings.threads, settings.low_delay)
        self._starts = GopStarts(fmt.width, fmt.height, keyint)
        size = self._resampler.coded_width, self._resampler.coded_height
        if codec == "av1" and (size[0] > _AV1_MOST[0] or size[1] > _AV1_MOST[1]):
            raise UsageError(
                f"base av1 codes pictures of {_AV1_MOST[0]}×{_AV1_MOST[1]} at most, not "
                f"{fmt.width}×{fmt.height}",
                code="picture-size",
            )

        def make_encoder(offset: float, keeps_texture: bool) -> UnitEncoder:
            gop_settings = dataclasses.replace(
                settings,
                base_q=min(max(settings.base_q + offset, 0.0), max_base_q),
                params=(*(camera_params if keeps_texture else ()), *settings.params),
                bit_depth=fmt.bit_depth,
            )
            return open_encoder(codec, *size, fmt.frame_rate, fmt.colour, gop_settings)

        self._make_encoder = make_encoder
        self._offsets, self._gop = tuple(gop_q) or (0.0,), 0
        self._zone = 0.0
        self._keeps_texture = bool(camera_params)
        #: Arguments of the encoder in use: an offset, and whether it keeps texture.
        self._gop_settings = self._offsets[0], self._keeps_texture
        self._encoder = make_encoder(*self._gop_settings)

    def set_q_offset(self, offset: float) -> None:
        """From the next GOP on `offset` is added to `base_q`."""
        self._zone = offset

    def send(self, planes: Planes, force_key: bool = False) -> EncodeResult:
        """Take the next frame (full size)."""
        key = self._starts.is_gop_start(planes[0], force_key)
        result = self._begin_gop(planes[0]) if key else EncodeResult()
        result.add(self._decode(self._encoder.encode(self._resampler.downsample(planes), key)))
        return result

    def _begin_gop(self, luma: Plane) -> EncodeResult:
        """Open a new encoder if the quality or the kind of picture changes. Returns the output that
        the previous encoder held back."""
        from gvcodec.base.drawn_pictures import is_drawn  # decoders need none of it

        result = EncodeResult()
        offset = self._offsets[min(self._gop, len(self._offsets) - 1)] + self._zone
        gop_settings = offset, self._keeps_texture and not is_drawn(luma)
        if gop_settings != self._gop_settings:
            for unit in self._encoder.drain() if self._gop else ():
                result.add(self._decode([unit]))
            self._encoder = self._make_encoder(*gop_settings)
            self._gop_settings = gop_settings
        self._gop += 1
        return result

    def flush(self) -> EncodeResult:
        result = EncodeResult()
        for part in self.drain():
            result.add(part)
        return result

    def drain(self) -> Iterator[EncodeResult]:
        for unit in self._encoder.drain():
            yield self._decode([unit])
        yield EncodeResult([], self._decoder.flush())

    def _decode(self, units: list[tuple[bytes, bool]]) -> EncodeResult:
        result = EncodeResult()
        for unit, key in units:
            payload = strip_unit(self._codec, unit)
            result.packets.append(BasePacket(payload, key))
            result.base_frames += self._decoder.send(payload, key)
        return result


def base_encoder(
    fmt: VideoFormat, config: ResolvedConfig, log_lambda_offset: float = 0.0
) -> StandardEncoder:
    """The encoder of `config.base`."""
    return StandardEncoder(
        fmt,
        config.base,
        Settings(
            config.base_q,
            config.low_delay,
            config.threads,
            log_lambda_offset,
            parse_params(config.base, config.encoder_params),
            config.preset_of(fmt.width * fmt.height),
            config.maxrate,
        ),
        config.keyint,
        config.scale,
        gop_q=config.gop_q,
        camera_params=_camera_params(config),
    )


def _camera_params(config: ResolvedConfig) -> tuple[str, ...]:
    """Settings for pictures that are painted, measured at full size (docs/results.md)."""
    is_painted = config.painter == "on" and config.look > 0 and config.scale == 1
    if config.base != "av1" or not (config.eye or is_painted):
        return ()
    return texture_params(config.eye)
