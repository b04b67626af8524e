"""One decoded frame as a picture file: .png (RGB, 8 bits), .jpg or .avif (4:2:0 with the bits and
colours of the video). JPEG has no tag of HDR, PNG and AVIF have.

    still(".avif", planes, fmt)
"""

from __future__ import annotations

import io
from fractions import Fraction

import av

from gvcodec.errors import MediaError
from gvcodec.media.mux_writer import codes_av1
from gvcodec.media.planes import frame_from_planes, rgb_from_planes
from gvcodec.media.writer import png
from gvcodec.types import Planes, VideoFormat

SUFFIXES = (".png", ".jpg", ".jpeg", ".avif")
#: Visually lossless: FFmpeg's scale of JPEG from 1, and the CRF of SVT-AV1.
_JPEG, _AVIF = "1", "10"
_BT601, _FULL = 5, 2


def still(suffix: str, planes: Planes, fmt: VideoFormat) -> bytes:
    """The bytes of a file of this kind, of `SUFFIXES`. Raises `MediaError`."""
    try:
        if suffix == ".png":
            return png(rgb_from_planes(planes, fmt.colour), fmt.colour)
        return _avif(planes, fmt) if suffix == ".avif" else _jpeg(planes, fmt)
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MediaError(f"a picture {suffix} cannot be made: {reason}") from error


def _jpeg(planes: Planes, fmt: VideoFormat) -> bytes:
    """JFIF: matrix of BT.601, full range."""
    rgb = av.VideoFrame.from_ndarray(rgb_from_planes(planes, fmt.colour), format="rgb24")
    frame = rgb.reformat(format="yuvj420p", dst_colorspace=_BT601, dst_color_range=_FULL)
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height = fmt.width, fmt.height
    encoder.pix_fmt, encoder.time_base, encoder.color_range = "yuvj420p", Fraction(1), _FULL
    encoder.options = {"qmin": _JPEG, "qmax": _JPEG}
    return b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))


def _avif(planes: Planes, fmt: VideoFormat) -> bytes:
    frame, colour = frame_from_planes(planes, fmt.bit_depth), fmt.colour
    frame.pts, frame.time_base = 0, fmt.time_base
    if not codes_av1(fmt):
        size = f"{fmt.width}×{fmt.height}"
        raise MediaError(
            f"{size} is no size for .avif: sides are even and at least 64; .png has no limit"
        )
    options = {"crf": _AVIF, "preset": "4", "svtav1-params": "avif=1"}
    file = io.BytesIO()
    with av.open(file, "w", format="avif") as container:
        stream = container.add_stream("libsvtav1", rate=fmt.frame_rate, options=options)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = fmt.width, fmt.height, frame.format.name
        context.time_base = stream.time_base = fmt.time_base
        context.color_range = 2 if colour.full_range else 1
        context.colorspace, context.color_primaries, context.color_trc = (
            colour.matrix,
            colour.primaries,
            colour.transfer,
        )
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()
