"""What settings of the standard base layers are worth beside those of AV1: `python -m eval
settings`.

Every clip is coded at a few q with AV1's own settings and with each of others, `NAME=VALUE` joined
by colons: `base=NAME` for another base layer, `preset=N`, and options as SVT-AV1 takes them. What
is compared are base frames, or with `--painted` painted ones, fitted where a setting says
`steps=N`: bits at equal quality and processor time. `--anchor` names other settings to compare
with; `unpainted` among them means its base frames, and the bytes of its packets alone.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import fmean

from tqdm import tqdm

from eval import arguments as shared
from eval.metrics import METRICS, Measurer, looked_at, need
from eval.points.bd import RANGE, bd_rate
from eval.tools import EvalError, digest, markdown, read_json, write_json, write_text
from eval.video import Clip, raw_of, stand_in
from gvcodec.api.frames import decode_planes
from gvcodec.base.standard.codec import StandardEncoder
from gvcodec.codec.encode_stream import encode_stream
from gvcodec.codec.encoder import Encoder
from gvcodec.config import EncoderConfig
from gvcodec.errors import UsageError
from gvcodec.types import VideoFormat

#: One frame in how many each metric looks at; LPIPS-Alex is held out and has no part in a choice.
EVERY = {"psnr_y": 1, "lpips_vgg": 16, "dists": 16}
#: Of painted frames: by DISTS, a loss of fitting, and by metrics that have no part in a choice.
EVERY_PAINTED = {"dists": 16, "lpips_alex": 4, "ssimulacra2": 8, "cvvdp": 4, "psnr_y": 1}
#: What a setting may say beside options of SVT-AV1.
_OWN = ("base=", "preset=", "steps=")
_UNPAINTED = "unpainted"
_SETTINGS = ["preset=4", "preset=3", "preset=1", "tune=0:ac-bias=4"]
_SETTINGS += ["base=vvc", "base=vvc:preset=1"]
#: For each metric its points (bpp, quality), and processor seconds.
Measured = tuple[dict[str, list[tuple[float, float]]], float]


def arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_clips(parser, 48)
    add, form = parser.add_argument, "NAME=VALUE[:…]"
    each = "base=NAME, preset=N, steps=N of fitting, parameters of SVT-AV1"
    add("--settings", type=shared.words, default=_SETTINGS, metavar=f"{form},…", help=each)
    add("--anchor", default="", metavar=form, help="compare with these settings instead")
    add("--painted", action="store_true", help="compare painted frames, not base frames")
    qs = [36, 44, 52, 60]
    add("--q", type=shared.integers, default=qs, metavar="Q,…", help="three at least")
    shared.add_out(parser, "out/settings")
    shared.add_readme(parser, "settings or settings-painted")


def run(options: argparse.Namespace) -> None:
    need(EVERY_PAINTED if options.painted else EVERY)
    if len(options.q) < 3:
        raise EvalError("--q: three or more are needed for a BD-rate")
    clips = shared.clips(options)
    text = measure(clips, options.settings, options.q, options.out, options.painted, options.anchor)
    shared.publish(options, {"settings-painted" if options.painted else "settings": text})


@dataclass(frozen=True)
class Setting:
    """The words of one setting, read. Raises EvalError."""

    text: str

    def __post_init__(self) -> None:
        if not all(self.own.get(name, "0").isdecimal() for name in ("preset", "steps")):
            raise EvalError(f"--settings: {self.text}: a preset is a number")
        if self.params and self.base != "av1":
            raise EvalError(f"--settings: {self.text}: {self.params[0]} is for SVT-AV1")

    @property
    def words(self) -> list[str]:
        return [word for word in self.text.split(":") if word]

    @property
    def own(self) -> dict[str, str]:
        return dict(word.split("=", 1) for word in self.words if word.startswith(_OWN))

    @property
    def params(self) -> list[str]:
        return [word for word in self.words if not word.startswith(_OWN) and word != _UNPAINTED]

    @property
    def base(self) -> str:
        return self.own.get("base", "av1")

    @property
    def shows_base(self) -> bool:
        return _UNPAINTED in self.words

    def encoder(self, fmt: VideoFormat, q: int) -> Encoder:
        """Raises EvalError for what the encoder refuses."""
        preset = int(self.own["preset"]) if "preset" in self.own else None
        steps = int(self.own.get("steps", 0))
        try:
            base = StandardEncoder(fmt, self.base, q, params=self.params, preset=preset)
            config = EncoderConfig(
                base=self.base, base_q=q, preset=preset, fit_steps=steps, fit_by="small"
            )
            return Encoder(fmt, config, base_encoder=base)
        except (UsageError, ValueError) as error:
            raise EvalError(f"--settings: {self.text}: {error}") from None


def measure(
    clips: Sequence[Clip],
    settings: Sequence[str],
    qs: Sequence[int],
    out: Path,
    painted: bool = False,
    anchor: str = "",
) -> str:
    """Encodes, measures, writes `settings.json` and `.md` below `out`, where points that are there
    are kept; returns the Markdown. Raises EvalError."""
    found: dict[str, list[dict[str, float | None]]] = {name: [] for name in settings}
    every = EVERY_PAINTED if painted else EVERY
    for clip in tqdm(clips, unit="clip", disable=None):
        measurer = Measurer(clip, every)
        usual, usual_seconds = _encode(measurer, Setting(anchor), qs, painted, out)
        for text in settings:
            curves, seconds = _encode(measurer, Setting(text), qs, painted, out)
            deltas = {
                name: bd_rate(usual[name], curves[name], METRICS[name].higher_is_better).percent
                for name in every
            }
            found[text].append(deltas | {"time": seconds / usual_seconds})
    facts = {"clips": [c.describe() for c in clips], "q": list(qs), "rows": found}
    write_json(out / "settings.json", facts)
    against = f"`{anchor}`" if anchor else "AV1 with its own settings"
    text = _markdown(clips, qs, found, every, against, painted)
    write_text(out / "settings.md", text + "\n")
    return text


def _encode(
    measurer: Measurer, setting: Setting, qs: Sequence[int], painted: bool, out: Path
) -> Measured:
    """Points that were measured before are in `points.json`: a run that was stopped resumes
    there."""
    clip, painted = measurer.clip, painted and not setting.shows_base
    names = list(measurer.every)
    curves: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    total, path = 0.0, out / "points.json"
    state = digest([clip.sha256, clip.raw.frames, painted, names])
    for q in qs:
        points: dict[str, list[float]] = read_json(path) or {}
        key = f"{clip.name} {setting.text} q{q} {state}"
        if key not in points:
            points[key] = _point(measurer, setting, q, painted)
            write_json(path, points)
        bpp, seconds, *values = points[key]
        total += seconds
        for name, value in zip(names, values, strict=True):
            curves[name].append((bpp, value))
    return curves, total


def _point(measurer: Measurer, setting: Setting, q: int, painted: bool) -> list[float]:
    """Bits a pixel, processor seconds, and the mean of each metric."""
    clip = measurer.clip
    rate = Fraction(clip.fps).limit_denominator(1001)
    fmt = VideoFormat(clip.raw.width, clip.raw.height, rate, 1 / rate)
    began, stream = _processor_seconds(), io.BytesIO()
    encoder = setting.encoder(fmt, q)
    encode_stream(encoder, stream, ((planes, None) for planes in clip.ten_bits()))
    seconds = _processor_seconds() - began
    size = encoder.coded_bytes if setting.shows_base else len(stream.getvalue())
    with tempfile.TemporaryDirectory() as folder:
        shown = decode_planes(stream.getvalue(), fidelity=not painted)
        metrics = measurer(raw_of(shown, 10, clip, Path(folder) / "shown.yuv"))
    return [8 * size / clip.pixels, seconds, *(values["mean"] for values in metrics.values())]


def _processor_seconds() -> float:
    """Of this process and of those that it waited for: VVenC runs as one."""
    return sum(os.times()[:4])


def _markdown(
    clips: Sequence[Clip],
    qs: Sequence[int],
    found: dict[str, list[dict[str, float | None]]],
    every: Mapping[str, int],
    anchor: str,
    painted: bool,
) -> str:
    rows = []
    for setting, values in found.items():
        cells = []
        for name in every:
            known = [v for value in values if (v := value[name]) is not None]
            missing = f" ({len(known)} of {len(values)} clips)" if len(known) < len(values) else ""
            cells.append(f"{fmean(known):+.1f} %{missing}" if known else "no overlap")
        rows.append([f"`{setting}`", *cells, f"×{fmean(v['time'] or 0 for v in values):.2f}"])
    header = ["base layer with", *(METRICS[name].marked_label for name in every), "processor time"]
    note = (
        f"{'Painted' if painted else 'Base'} frames, bits more at equal quality than {anchor} "
        f"(BD-rate over {RANGE[0]}–{RANGE[1]} bpp, q {', '.join(map(str, qs))}), mean of "
        f"{len(clips)} clips ({', '.join(c.name for c in clips)}), first {clips[0].raw.frames} "
        f"frames. {looked_at(every)}. † A loss of training.{stand_in(clips)}"
    )
    return f"{markdown(header, rows)}\n\n{note}"
