"""The page of a comparison: one self-contained HTML file, with pictures as WebP."""

import base64
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from importlib import resources

import av
import numpy as np
from numpy.typing import NDArray

from gvcodec.codec.fidelity import MeanPsnr

Picture = NDArray[np.uint8]

#: Most pictures of a row, and their width: a page of some megabytes.
_PICTURES, _WIDEST = 24, 960
_QUALITY = 90
_SIZES, _QUALITY_COLUMNS = (
    ("codec", "bytes", "kb/s", "bits a pixel"),
    ("PSNR-Y, dB", "worst frame, dB"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One codec: bytes of its packets, PSNR-Y (dB, infinite for equal frames) and pictures
    (H, W, 3) uint8 of its frames; `distances` from the source by their names (0 = equal), and
    `scores` (larger = nearer)."""

    title: str
    sizes: list[int]
    psnr: list[float]
    pictures: list[Picture]
    distances: dict[str, float] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)

    @property
    def mean_psnr(self) -> float:
        """Mean in dB, as in `encode` and `verify`."""
        mean = MeanPsnr()
        for value in self.psnr:
            mean.add(value)
        return mean.value


def write_page(
    name: str,
    originals: Sequence[Picture],
    rows: Sequence[Row],
    frame_rate: Fraction,
    notes: Sequence[str],
    verdict: str = "",
) -> str:
    """The page: pictures of the source and of rows, `notes` under the table."""
    count = len(originals)
    numbers = sorted({round(i) for i in np.linspace(0, count - 1, min(_PICTURES, count))})
    data = {
        "frames": numbers,
        "rate": float(frame_rate),
        "rows": [
            {"title": "source", "pictures": [_webp(originals[i]) for i in numbers]},
            *(
                {
                    "title": row.title,
                    "sizes": row.sizes,
                    "pictures": [_webp(row.pictures[i]) for i in numbers],
                }
                for row in rows
            ),
        ],
    }
    height, width = originals[0].shape[:2]
    heading = f"{name}: {width}×{height}, {count} frames"
    page = resources.files("gvcodec.compare").joinpath("page.html").read_text(encoding="utf-8")
    parts = {
        "TITLE": html.escape(heading),
        "VERDICT": html.escape(verdict),
        "HEADINGS": "".join(f"<th>{html.escape(name)}" for name in _columns(rows)),
        "TABLE": _table(rows, frame_rate, width * height),
        "NOTES": "".join(f"<p>{html.escape(note)}</p>" for note in notes),
        "DATA": json.dumps(data).replace("<", "\\u003c"),
    }
    for key, value in parts.items():
        page = page.replace(f"<!--{key}-->", value)
    return page


def _columns(rows: Sequence[Row]) -> tuple[str, ...]:
    """Distances before PSNR: the smaller, the nearer to the source."""
    distances = (f"{name} ↓" for name in rows[0].distances)
    return (*_SIZES, *distances, *(f"{name} ↑" for name in rows[0].scores), *_QUALITY_COLUMNS)


def _table(rows: Sequence[Row], frame_rate: Fraction, pixels: int) -> str:
    lines = []
    for row in rows:
        size, frames = sum(row.sizes), len(row.psnr)
        kbps = 8 * size * float(frame_rate) / frames / 1000
        cells = (
            html.escape(row.title),
            f"{size:,}",
            f"{kbps:.1f}",
            f"{8 * size / frames / pixels:.5f}",
            *(f"{value:.4f}" for value in row.distances.values()),
            *(f"{value:.2f}" for value in row.scores.values()),
            f"{row.mean_psnr:.2f}",
            f"{min(row.psnr):.2f}",
        )
        columns = zip(map(html.escape, _columns(rows)), cells, strict=True)
        row_cells = "".join(f'<td data-name="{name}">{cell}</td>' for name, cell in columns)
        lines.append(f"<tr>{row_cells}</tr>")
    return "".join(lines)


def _webp(picture: Picture) -> str:
    height, width = picture.shape[:2]
    scale = min(1.0, _WIDEST / width)
    size = max(2, round(width * scale)), max(2, round(height * scale))
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    encoder = av.CodecContext.create("libwebp", "w")
    encoder.width, encoder.height, encoder.pix_fmt = *size, "yuv420p"
    encoder.time_base = Fraction(1, 25)
    encoder.options = {"quality": str(_QUALITY)}
    yuv_frame = frame.reformat(*size, "yuv420p", dst_colorspace="itu601", interpolation="LANCZOS")
    packets = [*encoder.encode(yuv_frame), *encoder.encode(None)]
    data = b"".join(bytes(packet) for packet in packets)
    return "data:image/webp;base64," + base64.b64encode(data).decode()
