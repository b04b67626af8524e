"""`python -m eval rd`: every clip with every codec at every rate, then the report."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from eval import arguments as shared
from eval.codecs import ENDLESS, Options, resolve
from eval.metrics import DEFAULT, METRICS, missing, need, reasons, sampling
from eval.points.profiles import PROFILES, SHORT, USUAL, Profile
from eval.rd import short, speed
from eval.rd.rates import CLOSE, TARGETS
from eval.rd.runs import Plan, run_all
from eval.report import make
from eval.sequences import Source
from eval.tools import EvalError, log_line, need_packages, write_json
from eval.video import Clip, Part
from gvcodec.util.process import count_cores

#: Options that a profile sets, with the defaults of these options.
_SET_BY_PROFILE = {
    "frames": 96,
    "targets": TARGETS,
    "keyint": "endless",
    "every": {},
    "rgb": "clip",
}
#: Metrics of `--short`: those without packages of their own, and the two of published points.
_SHORT_METRICS = ("lpips_alex", "dists", "psnr_y", "psnr_yuv", "ms_ssim", "flicker")


def arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_clips(parser, 96)
    add = parser.add_argument
    conditions = "the conditions of a paper: frames, rates, low delay"
    profiles = [name for name in PROFILES if name != SHORT.name]
    add("--profile", choices=profiles, help=conditions)
    add(
        "--presets",
        choices=("conditions", "fast"),
        default="conditions",
        help="presets of the peers",
    )
    tried = "a try of everything on two generated clips, in two minutes"
    add("--short", action="store_true", help=tried)
    codecs = f"(default: {','.join(USUAL)}, or the profile's)"
    add("--codecs", type=shared.words, metavar="NAME,…", help=codecs)
    toml = {"type": Path, "action": "append", "default": [], "metavar": "TOML"}
    add("--codec-file", help="more codecs", **toml)
    names = f"of {', '.join(METRICS)} (default: all but the last, as far as this machine can)"
    add("--metrics", type=shared.words, metavar="NAME,…", help=names)
    sampled = "one frame in N for the metrics"
    add("--every", type=_every, default={}, metavar="N|NAME=N,…", help=sampled)
    add("--targets", type=_parse_targets, default=TARGETS, metavar="BPP,…", help="rates to find")
    near = f"a rate this many per cent off is near enough ({100 * CLOSE:g})"
    add("--near", type=float, default=100 * CLOSE, metavar="PERCENT", help=near)
    period = "frames between intra frames"
    rgb = "planes to RGB for metrics by the clip's own tags, or as DCVC's scripts do (clip)"
    add("--rgb", choices=("clip", "dcvc"), default="clip", help=rgb)
    add("--keyint", default="endless", metavar="endless|2s|N", help=period)
    cores = count_cores()
    add("--jobs", type=int, default=cores, help="processes (default: one a core)")
    devices = ("auto", "cpu", "cuda")
    add("--device", choices=devices, default="auto", help="where LPIPS and DISTS run")
    shared.add_out(parser)
    shared.add_readme(parser, "summary, headline and results")


def run(options: argparse.Namespace) -> int:
    if unknown := set(options.metrics or ()) - set(METRICS):
        listed = ", ".join(METRICS)
        raise EvalError(f"--metrics: no {', '.join(sorted(unknown))}; there are {listed}")
    # Mistakes and missing parts of the report are named first.
    need_packages("bjontegaard", "imageio_ffmpeg", "matplotlib", "torch")
    profile = profile_of(options)
    resolve(options.codecs, _resolving(options, ENDLESS))
    _period(options.keyint, 25.0)
    options.out = options.out.absolute()
    _sources(options)
    log_line(f"results go to {options.out}")
    metrics = _measurable(options.metrics, _SHORT_METRICS if options.short else DEFAULT)
    clips = clips_of(options, profile)
    failures = _measure(options, profile, metrics, clips)
    write_json(options.out / "failures.json", failures)
    log_line("speed and report")
    _speed(options, shared.largest(clips))
    print(make(options.out, options.readme))
    for line in failures:
        print(f"eval: {line}", file=sys.stderr)
    return 1 if failures else 0


def _measure(
    options: argparse.Namespace, profile: Profile | None, metrics: list[str], clips: list[Clip]
) -> list[str]:
    """All runs; a line for each clip and codec that failed."""
    device = _device(options.device)
    every = sampling(metrics, options.every, on_gpu=device == "cuda")
    threads = max(1, count_cores() // options.jobs)
    near = options.near / 100
    plan = Plan(options.out, tuple(options.targets), every, device, threads, near=near)
    if profile:
        plan = replace(plan, profile=profile.name)
    groups: dict[int, list[Clip]] = {}
    for clip in clips:
        groups.setdefault(_period(options.keyint, float(clip.fps)), []).append(clip)
    failures: list[str] = []
    for keyint, group in groups.items():
        codecs = resolve(options.codecs, _resolving(options, keyint))
        failures += run_all(group, codecs, plan, options.jobs)
    return failures


def _resolving(options: argparse.Namespace, keyint: int) -> Options:
    return Options(options.presets, keyint, tuple(options.codec_file))


def profile_of(options: argparse.Namespace) -> Profile | None:
    """The profile asked for, whose frames, rates and codecs are put into the options. Raises
    EvalError where these were given too."""
    if options.short:
        conflicts = [
            f"--{name}" for name in ("set", "sequences", "profile") if getattr(options, name)
        ]
        profile: Profile | None = SHORT
        options.presets = "fast"
    else:
        conflicts, profile = [], PROFILES[options.profile] if options.profile else None
    if profile is None:
        options.codecs = options.codecs or list(USUAL)
        return None
    conflicts += [f"--{n}" for n, usual in _SET_BY_PROFILE.items() if getattr(options, n) != usual]
    if conflicts:
        message = f"already sets {', '.join(conflicts)}"
        raise EvalError(f"{profile.option} {message}")
    options.frames, options.targets, options.every = profile.frames, profile.targets, profile.every
    options.codecs = profile.low_delay(options.codecs or profile.codecs)
    options.rgb = profile.rgb
    return profile


def _sources(options: argparse.Namespace) -> list[Source]:
    """The clips asked for, or the generated ones. Raises EvalError."""
    if options.short:
        return short.make_sources(options.out / "generated")
    return shared.sources(options)


def clips_of(options: argparse.Namespace, profile: Profile | None = None) -> list[Clip]:
    """The clips of the command, as the profile takes them. Raises EvalError where none is left."""
    check, part = None, Part(options.frames)
    if profile:
        check, part = profile.check, Part(profile.frames, profile.step, profile.rate)
    clips = shared.prepare(_sources(options), part, options.out, check)
    return [replace(clip, rgb_by=options.rgb) for clip in clips]


def _measurable(asked: list[str] | None, default: tuple[str, ...]) -> list[str]:
    """The metrics of a run: of `default` all that this machine can measure; those left out are
    named. Raises EvalError for a metric that was asked for and cannot be measured."""
    if asked is not None:
        need(asked)
        return asked
    lacking = missing(default)
    for line in reasons(lacking):
        log_line(line)
    measured = [name for name in default if name not in lacking]
    log_line(f"measured are {', '.join(METRICS[name].label for name in measured)}")
    return measured


def _speed(options: argparse.Namespace, clip: Clip) -> None:
    """A short speed measurement of the run's gvcodec rows on one clip, unless it is there
    already."""
    ours = [word for word in options.codecs if word.startswith("gvcodec:")]
    plain = ([p for p in word.split(":") if not p.startswith("fit=")] for word in ours)
    words = list(dict.fromkeys(":".join([*parts, "fit=off"]) for parts in plain))
    if words:
        source = next(s for s in _sources(options) if s.name == clip.name)
        short = source.prepare(speed.FRAMES_IN_RD, options.out / "sources")
        if not speed.is_measured(short, words, options.out):
            speed.measure(short, words, 40, 2, count_cores(), options.out)


def _device(name: str) -> str:
    if name != "auto":
        return name
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _period(text: str, fps: float) -> int:
    """Frames between intra frames that `--keyint` means for a clip. Raises EvalError."""
    if text == "endless":
        return ENDLESS
    try:
        return max(1, round(float(text[:-1]) * fps) if text.endswith("s") else int(text))
    except ValueError:
        message = "say endless, a number of frames or seconds as in 2s"
        raise EvalError(f"--keyint: {text}: {message}") from None


def _parse_targets(text: str) -> tuple[float, ...]:
    values = tuple(float(word) for word in text.split(","))
    if any(not 0 < v < 24 for v in values):
        raise argparse.ArgumentTypeError("rates are bits per pixel, between 0 and 24")
    return values


def _every(text: str) -> dict[str, int]:
    pairs = [word.rpartition("=") for word in text.split(",")]
    result = {name: int(number) for name, _, number in pairs}
    if any(n < 1 for n in result.values()):
        raise argparse.ArgumentTypeError("one frame in 1, 2, 3 …")
    return result
