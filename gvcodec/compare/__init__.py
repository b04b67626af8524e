"""A clip coded by gvcodec and by other encoders at the same number of bytes. In: a video, and a
stream of it. Out: one HTML page.

    made = compare(Path("film.mp4"), Path("film.gvc"), ["x265", "svtav1"])
    Path("film.html").write_text(made.html, encoding="utf-8")

`peers` codes with the encoders of the program `ffmpeg`, `page` shows pictures, figures and bytes,
`blind` asks a person which of two clips is better.
Distances: LPIPS-Alex and DISTS if their weights are installed, otherwise the small network that
ships with gvcodec; none without torch. gvcodec's painter is trained and fitted with DISTS and the
small network as losses, tokens and base gvc1d with LPIPS-Alex. SSIMULACRA2 (package
`ssimulacra2`), on which no part is trained, is measured too; without it, PSNR-Y has that place in
the verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gvcodec.base.drawn_pictures import is_drawn
from gvcodec.bitstream import Packet, Reader
from gvcodec.codec.decoder import Decoder
from gvcodec.codec.fidelity import psnr
from gvcodec.compare.blind import write_blind_page
from gvcodec.compare.page import Row, write_page
from gvcodec.compare.peers import PEERS, PeerEncode, encode_at
from gvcodec.edit.verify import Originals
from gvcodec.errors import INSTALL_TORCH, UsageError
from gvcodec.input_options import InputOptions
from gvcodec.limits import NO_LIMITS
from gvcodec.planes import rgb_from_planes
from gvcodec.rate.quality import missing_package, ssimulacra2
from gvcodec.source.reader import VideoReader
from gvcodec.types import Planes
from gvcodec.util.ffmpeg import find_ffmpeg
from gvcodec.util.file_io import name_of
from gvcodec.util.torch_settings import default_torch_settings, has_torch

__all__ = ["PEERS", "Comparison", "compare", "tell_nearest"]

#: Why gvcodec can lose on a clip.
DRAWN_NOTE = (
    "The pictures are drawn (slides, a screen, a cartoon). gvcodec is made for a camera's: here is "
    "little texture to synthesize, and another encoder can be nearer at equal bytes."
)

#: Title of a peer, total frames, number of its attempt, frames sent.
ProgressWrapper = Callable[[str, int, int, int], None]

#: Most samples of all pictures in memory: about two gigabytes.
_MOST_SAMPLES = 1 << 30


@dataclass(frozen=True, slots=True)
class Comparison:
    """`rows`: one a codec, gvcodec first; `notes`: on peers that need more bytes, and on distances;
    `verdict`: the codec nearest to the source, and by how much."""

    rows: list[Row]
    html: str
    notes: list[str]
    verdict: str


def compare(
    source: Path,
    stream: Path,
    peers: Sequence[str] = ("x265", "svtav1"),
    log_line: Callable[[str], None] = lambda line: None,
    input_options: InputOptions | None = None,
    watch: ProgressWrapper = lambda title, total, attempt, done: None,
    blind: bool = False,
) -> Comparison:
    """Compare the decoded `stream` with `peers` at the bytes of its video.

    `log_line` gets a line for each finished codec, `watch` the progress of a peer. `input_options`:
    missing properties of the source. `blind`: a page that asks which of two clips looks better and
    hides which is which. Raises `UsageError` for a peer that is unknown or not in any ffmpeg, a
    source of other frames, or a clip too long to hold in memory; `MediaError`,
    `DamagedStreamError`.
    """
    for name in peers:
        if name not in PEERS:
            raise UsageError(
                f"no encoder {name} to compare with; there are {', '.join(PEERS)}",
                code="comparison",
            )
        find_ffmpeg(PEERS[name].library)
    with open(stream, "rb") as file:
        reader = Reader(file, name_of(stream))
        fmt = reader.header.format
        frames = sum(gop.frames for gop in reader.gops())
        if 3 * fmt.width * fmt.height * frames * (2 + len(peers)) > _MOST_SAMPLES:
            raise UsageError(
                f"{source}: {frames} frames of {fmt.width}×{fmt.height} are too many to compare "
                "at a time; --frames takes the first ones",
                code="comparison",
            )
        ours, times, metadata = _decode(reader)
    with VideoReader(source, input_options=input_options) as video:
        by_time = Originals(video, reader.header)
        source_frames = [by_time.at(pts, metadata) for pts in times]
    originals = [planes for planes in source_frames if planes is not None]
    if len(originals) != len(ours.frames):
        raise UsageError(
            f"{source}: has {len(originals)} of the {len(ours.frames)} frames of {stream}",
            code="comparison",
        )
    size = sum(ours.sizes)
    rows, notes = [], list[str]()
    pictures = [rgb_from_planes(planes, fmt.colour) for planes in originals]
    metrics = metrics_for(fmt.height, fmt.width)
    for name in ("", *peers):
        title = PEERS[name].title if name else "gvcodec"
        report_progress = partial(watch, title, len(originals))
        coded = encode_at(name, originals, fmt, size, report_progress) if name else ours
        if coded is None:
            notes.append(f"{title} needs more than {size:,} bytes, coarsest and at half size too")
            continue
        if coded.scale < 1:
            title += ", at half size"
        quality = [psnr(a[0], b[0]) for a, b in zip(originals, coded.frames, strict=True)]
        rgb_frames = [rgb_from_planes(planes, fmt.colour) for planes in coded.frames]
        rows.append(Row(title, coded.sizes, quality, rgb_frames))
        for metric in metrics:
            values = rows[-1].scores if metric.is_score else rows[-1].distances
            values[metric.name] = mean_of(metric, rows[-1].pictures, pictures)
        far = "".join(f", {name} {value:.4f}" for name, value in rows[-1].distances.items())
        far += "".join(f", {name} {value:.2f}" for name, value in rows[-1].scores.items())
        log_line(f"{title}: {sum(coded.sizes):,} bytes{far}, PSNR-Y {rows[-1].mean_psnr:.2f} dB")
    if is_drawn_clip(originals) and not is_nearest_everywhere(rows):
        notes.append(DRAWN_NOTE)
    notes += _notes(metrics)
    verdict = tell_nearest(rows)
    if blind:
        html = write_blind_page(source.name, pictures, rows, fmt.frame_rate)
    else:
        html = write_page(source.name, pictures, rows, fmt.frame_rate, notes, verdict)
    return Comparison(rows, html, notes, verdict)


def is_drawn_clip(frames: Sequence[Planes]) -> bool:
    """Whether two of five frames, evenly over the clip, are slides, screens or cartoons."""
    some = [frames[n * (len(frames) - 1) // 4] for n in range(5)]
    return sum(is_drawn(planes[0]) for planes in some) >= 2


def is_nearest_everywhere(rows: Sequence[Row]) -> bool:
    """Whether gvcodec, the first row, is nearest to the source by every figure of the verdict."""
    ours, others = rows[0], rows[1:]
    return all(
        all(ours.distances[name] <= row.distances[name] for name in ours.distances)
        and all(_score(ours, name) >= _score(row, name) for name in ours.scores or ("PSNR-Y",))
        for row in others
    )


def tell_nearest(rows: Sequence[Row]) -> str:
    """Name the codec nearest to the source by each distance and score, without any score by PSNR-Y,
    and how much nearer it is than the next."""
    ours = rows[0]
    size = f"At {sum(ours.sizes):,} bytes"
    if len(rows) == 1:
        return f"{size} there is nothing to compare {ours.title} with."
    if not ours.distances and not ours.scores:
        best, second = sorted(rows, key=lambda row: -row.mean_psnr)[:2]
        gain = f"{best.mean_psnr - second.mean_psnr:.2f} dB above {second.title}"
        return f"{size} {best.title} has the highest PSNR-Y, {gain}. Looks were not measured."
    parts = []
    for name in ours.distances:
        best, second = sorted(rows, key=lambda row: row.distances[name])[:2]
        share = 1 - best.distances[name] / max(second.distances[name], 1e-9)
        loss = " (a loss of gvcodec's training)" if name in _LOSSES else ""
        parts.append(
            f"{best.title} by {name}{loss}, {100 * share:.0f} % nearer than {second.title}"
        )
    for name in ours.scores or ("PSNR-Y",):
        best, second = sorted(rows, key=lambda row: -_score(row, name))[:2]
        difference = _score(best, name) - _score(second, name)
        unit = "" if ours.scores else " dB"
        parts.append(f"{best.title} by {name}, {difference:.2f}{unit} above {second.title}")
    return f"{size} the nearest to the source is {'; '.join(parts)}."


def _score(row: Row, name: str) -> float:
    return row.scores.get(name, row.mean_psnr)


def _notes(metrics: Sequence[Metric]) -> list[str]:
    """Where the figures of the verdict come from."""
    notes = [f"{metric.name}: {metric.origin}." for metric in metrics]
    if not any(metric.is_score for metric in metrics):
        notes.append(
            "PSNR-Y: a formula, fitted to nothing; it counts restored texture as error. "
            "SSIMULACRA2 is fitted to ratings of people: pip install ssimulacra2."
        )
    if all(metric.is_score for metric in metrics):
        notes.append(f"Without torch no perceptual distance is measured: {INSTALL_TORCH}")
    elif not any(metric.name == "LPIPS-Alex" for metric in metrics):
        notes.append(
            "LPIPS-Alex and DISTS are missing: in a checkout, python -m eval weights downloads "
            "their weights."
        )
    return notes


def _decode(reader: Reader) -> tuple[PeerEncode, list[int], bytes]:
    """Decoded frames and bytes of their packets (the first includes everything other than frames
    and sound), timestamps, and the `metadata` packet."""
    decoder = Decoder(reader.header, limits=NO_LIMITS)
    sizes: list[int] = []

    def count_frames(packets: Iterator[Packet]) -> Iterator[Packet]:
        for packet in packets:
            if packet.is_frame:
                sizes.append(reader.packet_size)
            yield packet

    frames = list(decoder.frames_of(count_frames(reader.packets())))
    if sizes:
        sizes[0] += reader.size - reader.track_size - sum(sizes)
    coded = PeerEncode(sizes, [frame.planes for frame in frames])
    return coded, [frame.pts for frame in frames], decoder.metadata


Picture = NDArray[np.uint8]
#: Frames that are measured, evenly over the clip.
_LOOKS = 12
#: Least side of a picture for the networks.
_SMALLEST = 48


@dataclass(frozen=True, slots=True)
class Metric:
    """`name` as in tables; `origin`: its training data, and whether gvcodec was trained on it;
    `is_score`: larger = nearer."""

    name: str
    origin: str
    of: Callable[[Picture, Picture], float]
    is_score: bool = False


#: Metrics that are losses of gvcodec's training or fitting.
_LOSSES = ("DISTS", "small-network distance")
_ORIGINS = {
    "LPIPS-Alex": "fitted to judgements of people; tokens and base gvc1d are trained on it, the "
    "painter and fitting are not",
    "DISTS": "a loss of gvcodec's training and fitting, so it favours gvcodec",
    "small-network distance": "distilled from LPIPS for gvcodec, a loss of its training and "
    "fitting, so it favours gvcodec",
    "SSIMULACRA2": "fitted to ratings of people; no part of gvcodec is trained on it",
}


def metrics_for(height: int, width: int) -> list[Metric]:
    """Metrics available for pictures of this size, the most important first."""
    if min(height, width) < _SMALLEST:
        return []
    metrics = _distances() if has_torch() else []
    if not missing_package("ssimulacra2"):
        metrics.append(Metric("SSIMULACRA2", _ORIGINS["SSIMULACRA2"], _measure_ssimulacra2, True))
    return metrics


def _distances() -> list[Metric]:
    from gvcodec import perceptual
    from gvcodec.perceptual.vgg import PerceptualLoss

    def metric(name: str, measure: Callable[[Any, Any], Any]) -> Metric:
        return Metric(name, _ORIGINS[name], _on_tensors(measure))

    if perceptual.find_weights():
        return [metric("LPIPS-Alex", perceptual.lpips("alex")), metric("DISTS", perceptual.dists())]
    if (small := perceptual.loss_network("small")) is None:
        return []
    loss = PerceptualLoss(weights=small[1])

    def both(picture: Any, source: Any) -> Any:
        return sum(loss(picture, loss.reference(source)))

    return [metric("small-network distance", both)]


def _measure_ssimulacra2(picture: Picture, source: Picture) -> float:
    return ssimulacra2(_planar(picture), _planar(source))


def _planar(picture: Picture) -> NDArray[np.float32]:
    return np.moveaxis(picture, 2, 0).astype(np.float32) / np.float32(255)  # [3, H, W]


def mean_of(metric: Metric, pictures: Sequence[Picture], source: Sequence[Picture]) -> float:
    """Over frames of a clip that are spread evenly."""
    count = len(source)
    numbers = sorted({round(n) for n in np.linspace(0, count - 1, min(_LOOKS, count))})
    return float(np.mean([metric.of(pictures[n], source[n]) for n in numbers]))


def _on_tensors(measure: Callable[[Any, Any], Any]) -> Callable[[Picture, Picture], float]:
    @default_torch_settings()
    def measure_pictures(picture: Picture, source: Picture) -> float:
        import torch

        from gvcodec.util.tensors import rgb_tensor

        with torch.inference_mode():
            return float(measure(rgb_tensor(picture), rgb_tensor(source)))

    return measure_pictures
