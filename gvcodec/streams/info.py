"""What a stream holds: facts for people and programs."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from gvcodec.bitstream import Kind, Reader
from gvcodec.media.metadata import Metadata
from gvcodec.types import VideoFormat
from gvcodec.util.messages import counted


def facts(reader: Reader) -> dict[str, Any]:
    """All of a stream, read and checked. Sizes in bytes, times in seconds, colour as code points of
    H.273. Raises `DamagedStreamError`."""
    header = reader.header
    packets: list[dict[str, Any]] = []
    metadata = Metadata()
    for packet in reader.packets():
        entry: dict[str, Any] = {
            "offset": reader.size - reader.packet_size,
            "type": packet.kind.name.lower(),
            "bytes": reader.packet_size,
        }
        if packet.is_frame:
            entry["frame"] = reader.frames - 1
        elif packet.kind is Kind.METADATA and not metadata:
            metadata = Metadata.unpack(packet.payload)
        packets.append(entry)
    sizes: dict[str, int] = {}
    counts: dict[str, int] = {}
    for entry in packets:
        sizes[entry["type"]] = sizes.get(entry["type"], 0) + entry["bytes"]
        counts[entry["type"]] = counts.get(entry["type"], 0) + 1
    fmt, frames = header.format, reader.frames
    # Older streams keep the clock of the source.
    start = round(header.start_pts * fmt.time_base * 1_000_000)
    video = reader.size - reader.track_size
    return {
        "width": fmt.width,
        "height": fmt.height,
        "frames": frames,
        "frame_rate": str(fmt.frame_rate),
        "duration": round(float(frames / fmt.frame_rate), 3),
        "time_base": str(fmt.time_base),
        "bit_depth": fmt.bit_depth,
        "primaries": fmt.colour.primaries,
        "transfer": fmt.colour.transfer,
        "matrix": fmt.colour.matrix,
        "full_range": fmt.colour.full_range,
        "chroma_location": fmt.colour.chroma_location,
        "sar": str(fmt.sar),
        "source_start": (metadata.source_start or start) / 1e6,
        "title": metadata.title or None,
        "tags": dict(metadata.tags),
        "chapters": [
            {"begin": chapter.begin / 1e6, "end": chapter.end / 1e6, "title": chapter.title}
            for chapter in metadata.chapters
        ],
        "mastering_display": metadata.mastering,
        "content_light": metadata.light,
        "base": header.base,
        "base_scale": str(header.scale),
        "q": header.q,
        "base_model_id": header.base_model_id.hex() if header.base_model_id else None,
        "painter_id": header.painter_id.hex() if header.painter_id else None,
        "base_hash": reader.base_hash.hex() if reader.base_hash else None,
        "file_bytes": reader.size,
        "track_bytes": reader.track_size,
        "video_bytes": video,
        "bpp": 8 * video / (frames * fmt.width * fmt.height) if frames else None,
        "kbps": kbps(video, frames, fmt.frame_rate) if frames else None,
        "keyframes": [entry["frame"] for entry in packets if entry["type"] == "key"],
        "packet_counts": counts,
        "packet_bytes": sizes,
        "framing_bytes": reader.size - sum(sizes.values()),
        "packets": packets,
    }


def text(found: dict[str, Any]) -> str:
    """The facts, a line each, and where the bytes go."""
    lines = []
    for name, value in found.items():
        if name not in _TABLES and (value or name not in _OPTIONAL):
            text_of = (
                CODE_POINTS[name].get(value, str(value)) if name in CODE_POINTS else _format(value)
            )
            if name == "tags":
                text_of = ", ".join(f"{tag}: {text}" for tag, text in value.items())
            lines.append(f"{name.replace('_', ' '):18} {text_of}")
    lines += ["", *_budget(found)]
    return "\n".join(lines)


def kbps(size: int, frames: int, rate: Fraction) -> float:
    """Bytes of so many frames as kilobits a second."""
    return 8 * size / 1000 / (frames / float(rate))


#: What H.273 calls its code points, in FFmpeg's spelling; chroma locations as in H.265.
CODE_POINTS = {
    "primaries": {1: "bt709", 2: "unspecified", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film",
                  9: "bt2020", 10: "smpte428", 11: "smpte431", 12: "smpte432", 22: "ebu3213"},
    "transfer": {1: "bt709", 2: "unspecified", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear",
                 9: "log100", 10: "log316", 11: "iec61966-2-4", 12: "bt1361e", 13: "iec61966-2-1", 14: "bt2020-10",
                 15: "bt2020-12", 16: "smpte2084", 17: "smpte428", 18: "arib-std-b67"},
    "matrix": {0: "gbr", 1: "bt709", 2: "unspecified", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco",
               9: "bt2020nc", 10: "bt2020c", 11: "smpte2085", 12: "chroma-derived-nc", 13: "chroma-derived-c", 14: "ictcp"},
    "chroma_location": {0: "left", 1: "center", 2: "topleft", 3: "top", 4: "bottomleft", 5: "bottom"},
}  # fmt: skip
#: Shown only where there is something.
_OPTIONAL = ("source_start", "title", "tags", "chapters", "mastering_display", "content_light")
_TABLES = ("packets", "packet_counts", "packet_bytes", "framing_bytes")


def _budget(found: dict[str, Any]) -> list[str]:
    """Where the bytes go."""
    total = found["file_bytes"]
    lines = [f"{'type':10} {'packets':>8} {'bytes':>12} {'share':>7} {'bytes each':>11}"]
    names = [kind.name.lower() for kind in Kind if kind.name.lower() in found["packet_counts"]]
    for name in names:
        count, size = found["packet_counts"][name], found["packet_bytes"][name]
        lines.append(f"{name:10} {count:8} {size:12} {size / total:7.1%} {size / count:11.1f}")
    framing = found["framing_bytes"]
    lines.append(f"{'framing':10} {'':8} {framing:12} {framing / total:7.1%}")
    return lines


def _format(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return " ".join(_format(part) for part in value.values())
    if isinstance(value, list | tuple):
        return ", ".join(map(_format, value))
    return "-" if value is None else str(value)


def encode_summary(
    fmt: VideoFormat, frames: int, size: int, tracks: tuple[int, int, str] | None, psnr_y: float
) -> str:
    """What came out: `size` bytes of a file, of which `tracks` = (bytes, packets, "audio" or
    "subtitles" or both)."""
    added = ""
    if tracks:
        added = f" + {counted(tracks[0], 'byte')} of {tracks[2]} ({counted(tracks[1], 'packet')})"
        size -= tracks[0]
    psnr = "lossless" if math.isinf(psnr_y) else f"PSNR-Y {psnr_y:.2f} dB"
    return (
        f"{counted(frames, 'frame')} {fmt.width}×{fmt.height}, {size} bytes{added}, "
        f"{8 * size / (frames * fmt.width * fmt.height):.5f} bpp, "
        f"{kbps(size, frames, fmt.frame_rate):.1f} kb/s, {psnr}"
    )
