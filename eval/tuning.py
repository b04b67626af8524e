"""What per-video tuning gains with its time and with the part of the renderer that is sent: `python
-m eval tuning`.

Every clip is coded at the q nearest to one rate, without tuning and with several amounts of it.
Painted output is compared with the loop frames at equal bytes: those of the same q, brought to the
size of the tuned file by a second file one q finer (linear in the logarithm of the size). So the
weights sent are paid for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from tqdm import tqdm

from eval.codecs import ENDLESS, Codec, Options, resolve
from eval.encoding import encode
from eval.metrics import METRICS, looked_at
from eval.report.plot import OWN_COLOURS, Chart, Series
from eval.report.tables import markdown
from eval.runs import Plan, make_run, rate_search
from eval.tools import EvalError, read_json, write_bytes, write_json, write_text
from eval.video import Clip, stand_in

JUDGED = ("lpips_alex", "dists")


@dataclass(frozen=True)
class Setting:
    """One way of tuning: the words of `--tune`, `--fit-parts` and `--fit-by` (0 and "" = the
    default)."""

    tune: str
    parts: int = 0
    by: str = ""

    def word(self, base: str) -> str:
        given = [f":{k}={v}" for k, v in (("parts", self.parts), ("by", self.by)) if v]
        return f"gvcodec:base={base}:tune={self.tune}" + "".join(given)

    @property
    def amount(self) -> float:
        return 0.0 if self.tune == "off" else float(self.tune.removesuffix("steps"))


def measure(
    clips: Sequence[Clip],
    base: str,
    rate: float,
    tunes: Sequence[str],
    parts: Sequence[int],
    leaders: Sequence[str],
    every: dict[str, int],
    out: Path,
) -> str:
    """Encodes, measures, writes `tuning.json`, `.md` and two charts below `out`; returns the
    Markdown. The parts are compared at the last of `tunes`, the `leaders` (of `--fit-by`) at all
    of them. Raises EvalError."""
    if len({t.endswith("steps") for t in tunes}) != 1:
        raise EvalError("--tunes: seconds or steps, not both")
    settings = [Setting("off"), *map(Setting, tunes)]
    compared = [Setting(tunes[-1], n) for n in parts]
    (out / "tmp").mkdir(parents=True, exist_ok=True)
    plan = Plan(out, (), every)
    led = [Setting(t, by=leader) for leader in leaders for t in tunes]
    gains: dict[Setting, list[dict[str, float]]] = {s: [] for s in [*settings, *compared, *led]}
    for clip in tqdm(clips, unit="clip", disable=None):
        plain = _codec(Setting("off"), base)
        q, reached = rate_search(plain, clip, out / "streams")(rate)
        if not reached:
            tqdm.write(f"{clip.name} does not reach {rate} bpp")
            continue
        anchors = [_run(clip, plain, "fidelity", number, plan) for number in (q, q - 1)]
        for setting, found in gains.items():
            found.append(_gain(_run(clip, _codec(setting, base), "rendered", q, plan), anchors))
    if not any(gains.values()):
        raise EvalError(f"no clip reaches {rate} bpp")
    write_json(
        out / "tuning.json",
        {
            "clips": [c.describe() for c in clips],
            "base": base,
            "rate": rate,
            "gains": [
                {"tune": s.tune, "parts": s.parts, "by": s.by, "clips": g} for s, g in gains.items()
            ],
        },
    )
    text = _markdown(gains, clips, base, rate, every)
    write_text(out / "tuning.md", text + "\n")
    unit = "steps" if tunes[0].endswith("steps") else "seconds"
    _draw(
        out / "tuning-time",
        f"Gain of tuning by {unit}",
        unit,
        [(s.amount, gains[s]) for s in settings],
    )
    _draw(
        out / "tuning-bytes",
        "Gain of tuning by bytes sent",
        "bytes of tuned weights",
        [(fmean(g["bytes"] for g in gains[s]), gains[s]) for s in [settings[0], *compared]],
    )
    return text


def _codec(setting: Setting, base: str) -> Codec:
    return resolve([setting.word(base)], Options(keyint=ENDLESS))[0]


def _run(clip: Clip, codec: Codec, output: str, q: int, plan: Plan) -> dict[str, Any]:
    name = make_run(clip, codec, output, q, encode(codec, clip, q, plan.out / "streams"), [], plan)
    return read_json(plan.out / "runs" / name)  # type: ignore[no-any-return]


def _gain(run: dict[str, Any], anchors: list[dict[str, Any]]) -> dict[str, float]:
    """Change in per cent (in dB for PSNR) against loop frames at the bytes of the run, and the
    bytes that tuning added."""
    same, finer = anchors
    share = math.log(run["bytes"] / same["bytes"]) / math.log(finer["bytes"] / same["bytes"])
    gain: dict[str, float] = {
        "bytes": run["bytes"] - same["bytes"],
        "seconds": run["seconds"]["encode"] - same["seconds"]["encode"],
    }
    for name, values in run["metrics"].items():
        here, there = (anchor["metrics"][name]["mean"] for anchor in anchors)
        wanted = here + share * (there - here)
        gain[name] = (
            values["mean"] - wanted
            if name.startswith("psnr")
            else 100 * (values["mean"] / wanted - 1)
        )
    return gain


def _markdown(
    gains: dict[Setting, list[dict[str, float]]],
    clips: Sequence[Clip],
    base: str,
    rate: float,
    every: dict[str, int],
) -> str:
    rows = []
    for setting, found in gains.items():
        mean = {name: fmean(g[name] for g in found) for name in found[0]}
        cells = [f"{mean[n]:+.1f} %" for n in JUDGED] + [f"{mean['psnr_y']:+.2f} dB"]
        worst = ", ".join(f"{max(g[n] for g in found):+.1f} %" for n in JUDGED)
        amount = (
            setting.tune.replace("steps", " steps")
            if setting.tune.endswith("steps") or setting.tune == "off"
            else f"{setting.tune} s"
        )
        rows.append(
            [
                amount,
                str(setting.parts or "default"),
                setting.by or "default",
                f"{mean['bytes']:.0f}",
                f"{mean['seconds']:.0f}",
                *cells,
                worst,
            ]
        )
    header = [
        "tuning",
        "parts",
        "led by",
        "bytes",
        "seconds taken",
        "LPIPS-Alex",
        "DISTS†",
        "PSNR-Y",
        "worst clip (LPIPS-Alex, DISTS)",
    ]
    sampled = looked_at({n: every[n] for n in JUDGED})
    note = (
        f"Painted output against the loop frames at equal bytes, base {base}, about {rate} bpp, "
        f"mean of {len(next(iter(gains.values())))} clips "
        f"({', '.join(c.name for c in clips)}), first {clips[0].raw.frames} frames, one thread. "
        f"Bytes: what tuning adds to the file. {sampled}. "
        f"† A loss of tuning; LPIPS-Alex is held out.{stand_in(clips)}"
    )
    return f"{markdown(header, rows)}\n\n{note}"


def _draw(
    path: Path, title: str, label: str, points: list[tuple[float, list[dict[str, float]]]]
) -> None:
    series = [
        Series(
            name,
            METRICS[name].marked,
            [(x, fmean(g[name] for g in found)) for x, found in sorted(points, key=lambda p: p[0])],
            colour,
        )
        for name, colour in zip(JUDGED, OWN_COLOURS, strict=False)
    ]
    effect = "change against loop frames at equal bytes / %"
    chart = Chart(title, series, label, effect, legend=True)
    write_text(path.with_suffix(".svg"), chart.svg() + "\n")
    write_bytes(path.with_suffix(".png"), chart.png())
