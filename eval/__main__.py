"""Command line of the evaluation: `python -m eval --help`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from eval.tools import EvalError, fill_marks, say, write_json

if TYPE_CHECKING:
    from eval.profiles import Profile
    from eval.sequences import Source
    from eval.video import Clip

#: Without per-video tuning, whose time the user chooses.
SPEED_CODECS = ["gvcodec:tune=off", "gvcodec:base=klt:tune=off:base-q"]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m eval", description="Rate–distortion evaluation of gvcodec."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_rd(
        commands.add_parser("rd", help="encode, decode, measure, compare; then make the report")
    )
    report = commands.add_parser(
        "report", help="make report.html, tables and figures from the JSONs of a folder"
    )
    report.add_argument("dir", type=Path, metavar="DIR", help="the --out folder of `rd`")
    _add_readme(report, "summary, headline and results")
    report.add_argument(
        "--card",
        type=Path,
        metavar="JSON",
        help="also put the points of a checkpoint into its description, as checkpoints/base.json",
    )
    report.add_argument(
        "--charts",
        type=Path,
        metavar="DIR",
        help="also put the charts of the headline there, as eval/charts",
    )
    report.add_argument(
        "--kept",
        type=_words,
        default=[],
        metavar="NAME,…",
        help="first put the points of these codecs that come with the checkout (eval/measured) "
        "into DIR",
    )
    report.add_argument(
        "--seed",
        type=int,
        default=1,
        metavar="N",
        help="draws sides and order of the pairs in blind.html (default 1)",
    )
    kept = commands.add_parser(
        "keep", help="put the points of a folder into the checkout (numbers, no pictures)"
    )
    kept.add_argument("dir", type=Path, metavar="DIR", help="the --out folder of `rd`")
    _add_table(
        commands.add_parser(
            "table", help="gvcodec at fixed q beside x264 and x265, every decode checked"
        )
    )
    _add_speed(
        commands.add_parser(
            "speed", help="frames a second beside x264 and x265, and where the time goes"
        )
    )
    _add_ablate(
        commands.add_parser("ablate", help="what each tool of the klt structure layer is worth")
    )
    _add_sizes(commands.add_parser("sizes", help="does --size hold: every clip at four sizes"))
    _add_tuning(commands.add_parser("tuning", help="what tuning gains with time and with bytes"))
    _add_modules(commands.add_parser("modules", help="what each part of the renderer gives"))
    _add_settings(
        commands.add_parser("settings", help="what settings of the standard layers are worth")
    )
    quality = commands.add_parser(
        "quality", help="what q means in every base: the tables of gvcodec.bases"
    )
    _add_clips(quality, 24)
    _add_out(quality, "out/quality", "what is there is kept")
    _add_search(
        commands.add_parser("search", help="what summaries find, by method, rate and question")
    )
    _add_condense(
        commands.add_parser("condense", help="what a network learns from a condensed set")
    )
    places = commands.add_parser(
        "keyframes", help="keyframes at scene cuts, proposals, or the path of least cost"
    )
    places.add_argument(
        "material", type=Path, help="folder of python -m gvcodec.train.summary_material"
    )
    _add_out(places)
    _add_robustness(
        commands.add_parser(
            "robustness", help="hostile streams, signals, threads, fuzzing, heavy load"
        )
    )
    _add_player(
        commands.add_parser("player", help="the page of gvcodec play in a headless Chromium")
    )
    made = commands.add_parser(
        "weights", help="make the weight files of LPIPS and DISTS from the original packages"
    )
    made.add_argument(
        "dir", type=Path, nargs="?", default=Path.home() / ".cache/gvcodec/metrics", metavar="DIR"
    )
    _add_loop(
        commands.add_parser(
            "loop", help="a clip, gvcodec, x265 and SVT-AV1 at equal bytes, as a looping picture"
        )
    )
    _add_panels(
        commands.add_parser(
            "panels", help="one frame of a clip, gvcodec, x265 and SVT-AV1 at equal bytes"
        )
    )
    options = parser.parse_args(arguments)
    try:
        run = {
            "rd": _rd,
            "report": _report,
            "keep": _keep,
            "table": _table,
            "speed": _speed,
            "ablate": _ablate,
            "sizes": _sizes,
            "tuning": _tuning,
            "modules": _modules,
            "settings": _settings,
            "quality": _quality,
            "robustness": _robustness,
            "search": _search,
            "keyframes": _keyframes,
            "condense": _condense,
            "player": _player,
            "weights": _weights,
            "loop": _loop,
            "panels": _panels,
        }
        return run[options.command](options)
    except EvalError as error:
        print(f"eval: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("eval: stopped; the same command goes on where it was", file=sys.stderr)
        return 130


def _add_loop(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("output", type=Path, metavar="OUT.webp")
    parser.add_argument(
        "--video", type=Path, help="another clip, 48 frames of it (that of gvcodec.demo)"
    )
    parser.add_argument(
        "-q", type=float, default=57, help="quality of gvcodec; the others get its bytes (57)"
    )
    parser.add_argument("--tune-steps", type=int, default=60, help="(60)")


def _loop(options: argparse.Namespace) -> int:
    from eval import loop

    print("\n".join(loop.make(options.output, options.video, options.q, options.tune_steps)))
    return 0


def _add_panels(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("output", type=Path, metavar="OUT.png")
    parser.add_argument("--source", type=Path, required=True, metavar="VIDEO")
    parser.add_argument(
        "--stream", type=Path, required=True, metavar="FILE", help="what gvcodec made of it"
    )
    parser.add_argument(
        "--decoded", type=Path, required=True, metavar="VIDEO", help="the stream, decoded"
    )


def _panels(options: argparse.Namespace) -> int:
    from eval import panels

    print("\n".join(panels.make(options.output, options.source, options.stream, options.decoded)))
    return 0


def _add_player(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="streams")
    _add_out(parser, "out/player", "where to write (out/player)")


def _add_out(
    parser: argparse.ArgumentParser, default: str | None = None, help: str | None = None
) -> None:
    """`--out DIR`, which has to be named where there is no default."""
    place = {"default": Path(default)} if default else {"required": True}
    parser.add_argument("--out", type=Path, metavar="DIR", help=help, **place)


def _add_search(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "material", type=Path, help="folder of python -m gvcodec.train.summary_material"
    )
    parser.add_argument("--manifest", type=Path, metavar="CSV", help="columns file and source_repo")
    parser.add_argument("--hour", action="store_true", help="search in an hour of video instead")
    parser.add_argument("--seeds", type=int, default=5, help="(5)")
    parser.add_argument("--steps", type=int, default=300, help="of training (300)")
    parser.add_argument(
        "--ablations", type=int, default=2, help="seeds that train all variants (2)"
    )
    _add_out(parser)


def _search(options: argparse.Namespace) -> int:
    from eval.hour import hour
    from eval.search import run

    return hour(options.material, options.out) if options.hour else run(options)


def _add_condense(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="photos, of which Motion8 is made"
    )
    parser.add_argument("--clips", type=Path, metavar="DIR", help="videos that --labels names")
    parser.add_argument(
        "--labels", type=Path, metavar="CSV", help="columns file, label, fold, as eval/labels.csv"
    )
    parser.add_argument(
        "--shares",
        type=_shares,
        default=[0.005, 0.01, 0.02, 0.05],
        help="of the bytes (0.5,1,2,5 %%)",
    )
    parser.add_argument(
        "--methods", type=lambda text: text.split(";"), metavar="NAME;…", help="(all)"
    )
    parser.add_argument("--seeds", type=int, default=5, help="of Motion8 (5)")
    parser.add_argument(
        "--steps", type=int, default=300, help="of training on a condensed set (300)"
    )
    parser.add_argument(
        "--full", type=int, default=800, help="steps of training on all clips (800)"
    )
    parser.add_argument("--full-seeds", type=int, default=2, help="seeds that do so (2)")
    _add_out(parser)


def _shares(text: str) -> list[float]:
    return [float(part) / 100 for part in text.split(",")]


def _condense(options: argparse.Namespace) -> int:
    from eval.condense import run

    return run(options)


def _keyframes(options: argparse.Namespace) -> int:
    from eval.keyframes import keyframes

    return keyframes(options.material, options.out)


def _add_clips(parser: argparse.ArgumentParser, frames: int) -> None:
    from eval.sequences import SETS

    parser.add_argument("--set", choices=SETS, help="a named set of clips")
    parser.add_argument(
        "--sequences", type=Path, metavar="DIR", help="folder of the set, or any folder of videos"
    )
    parser.add_argument(
        "--only",
        type=_words,
        default=[],
        metavar="NAME,…",
        help="clips whose names contain one of these",
    )
    parser.add_argument(
        "--png-rate",
        type=_rate,
        default="25",
        metavar="FPS",
        help="of folders of PNGs (default 25)",
    )
    parser.add_argument(
        "--frames",
        type=int,
        default=frames,
        help=f"frames from the first, 0 = all (default {frames})",
    )


def _add_readme(parser: argparse.ArgumentParser, marks: str) -> None:
    parser.add_argument(
        "--readme",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help=f"also write it between the marks {marks} in these files",
    )


def _add_rd(parser: argparse.ArgumentParser) -> None:
    from eval.metrics import METRICS
    from eval.profiles import PROFILES
    from eval.rates import TARGETS

    _add_clips(parser, 96)
    parser.add_argument(
        "--profile", choices=PROFILES, help="the conditions of a paper: frames, rates, low delay"
    )
    parser.add_argument(
        "--presets", choices=("conditions", "fast"), default="conditions", help="of the peers"
    )
    parser.add_argument(
        "--codecs",
        type=_words,
        default=["gvcodec", "x264", "x265", "svtav1", "vvenc"],
        metavar="NAME,…",
    )
    parser.add_argument(
        "--codec-file", type=Path, action="append", default=[], metavar="TOML", help="more codecs"
    )
    parser.add_argument(
        "--metrics",
        type=_words,
        metavar="NAME,…",
        help=f"of {', '.join(METRICS)} (default: all but lpips_vgg, as far as this machine can)",
    )
    parser.add_argument(
        "--every",
        type=_every,
        default={},
        metavar="N|NAME=N,…",
        help="one frame in N for the metrics",
    )
    parser.add_argument(
        "--targets", type=_targets, default=TARGETS, metavar="BPP,…", help="rates to find"
    )
    parser.add_argument(
        "--keyint", default="endless", metavar="endless|2s|N", help="frames between intra frames"
    )
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)"
    )
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="a Ray cluster instead: HOST:PORT, auto or local (docs/batch.md)",
    )
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="where LPIPS and DISTS run",
    )
    parser.add_argument(
        "--anew",
        action="store_true",
        help="make the points again that come with the checkout; gives their pictures",
    )
    _add_out(parser)
    _add_readme(parser, "summary, headline and results")


def _add_table(parser: argparse.ArgumentParser) -> None:
    _add_clips(parser, 48)
    parser.add_argument("--base", default="klt", help="structure track (default klt)")
    parser.add_argument("--q", type=_integers, default=[0, 24, 32, 40, 48, 56], metavar="Q,…")
    _add_out(parser, "out/table")
    _add_readme(parser, "BASE-table (one frame: BASE-intra)")


def _add_speed(parser: argparse.ArgumentParser) -> None:
    _add_clips(parser, 24)
    parser.add_argument(
        "--codecs", type=_words, default=SPEED_CODECS, metavar="NAME,…", help="as in rd"
    )
    parser.add_argument("--q", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--threads",
        type=int,
        default=os.cpu_count() or 1,
        help="of every codec (default: all cores)",
    )
    _add_out(parser, "out/speed", "an rd folder shows it too")
    _add_readme(parser, "speed and speed-profile")


def _add_ablate(parser: argparse.ArgumentParser) -> None:
    _add_clips(parser, 24)
    parser.add_argument("--q", type=_integers, default=[26, 34, 42, 50, 58], metavar="Q,…")
    parser.add_argument("--train", type=Path, required=True, metavar="DIR", help="training clips")
    _add_out(parser, "out/ablation")
    _add_readme(parser, "klt-ablation")


def _add_sizes(parser: argparse.ArgumentParser) -> None:
    _add_clips(parser, 0)
    parser.add_argument(
        "--base", default="klt", choices=("klt", "av1", "hevc", "vvc"), help="structure layer (klt)"
    )
    parser.add_argument(
        "--quality", action="store_true", help="compare with the largest file of one q that fits"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    _add_out(parser, "out/sizes")
    _add_readme(parser, "sizes-BASE")


def _add_tuning(parser: argparse.ArgumentParser) -> None:
    _add_clips(parser, 48)
    parser.add_argument(
        "--base", default="av1", choices=("klt", "av1", "hevc", "vvc"), help="structure layer (av1)"
    )
    parser.add_argument("--rate", type=float, default=0.02, metavar="BPP")
    parser.add_argument(
        "--tunes", type=_words, default=["10", "30", "60", "90", "180"], metavar="S,…|Nsteps,…"
    )
    parser.add_argument(
        "--parts",
        type=_integers,
        default=[1, 2, 3, 4],
        metavar="N,…",
        help="of --tune-parts, at the last of --tunes",
    )
    parser.add_argument(
        "--leaders",
        type=_words,
        default=[],
        metavar="vgg|small,…",
        help="of --tune-by, at all of --tunes (default none)",
    )
    parser.add_argument(
        "--every",
        type=_every,
        default={},
        metavar="N|NAME=N,…",
        help="one frame in N for the metrics",
    )
    _add_out(parser, "out/tuning")
    _add_readme(parser, "tuning")


def _add_modules(parser: argparse.ArgumentParser) -> None:
    _add_clips(parser, 48)
    parser.add_argument(
        "--base", default="av1", choices=("klt", "av1", "hevc", "vvc"), help="structure layer (av1)"
    )
    parser.add_argument("--rate", type=float, default=0.02, metavar="BPP")
    parser.add_argument(
        "--every",
        type=_every,
        default={},
        metavar="N|NAME=N,…",
        help="one frame in N for the metrics",
    )
    _add_out(parser, "out/modules")
    _add_readme(parser, "modules")


def _add_settings(parser: argparse.ArgumentParser) -> None:
    _add_clips(parser, 48)
    parser.add_argument(
        "--settings",
        type=_words,
        default=[
            "preset=4",
            "preset=3",
            "preset=1",
            "tune=0:ac-bias=4",
            "base=vvc",
            "base=vvc:preset=1",
        ],
        metavar="NAME=VALUE[:…],…",
        help="each beside those of the AV1 layer: base=NAME, preset=N, shift=FACTOR, steps=N of "
        "tuning, parameters of SVT-AV1",
    )
    parser.add_argument(
        "--anchor", default="", metavar="NAME=VALUE[:…]", help="compare with these settings instead"
    )
    parser.add_argument(
        "--painted", action="store_true", help="compare painted frames, not loop frames"
    )
    parser.add_argument(
        "--q", type=_integers, default=[36, 44, 52, 60], metavar="Q,…", help="three at least"
    )
    _add_out(parser, "out/settings")
    _add_readme(parser, "settings")


def _add_robustness(parser: argparse.ArgumentParser) -> None:
    parts = ["trials", "fuzz", "load", "attacks"]
    parser.add_argument(
        "--parts", type=_words, default=parts, metavar="NAME,…", help=f"of {', '.join(parts)}"
    )
    parser.add_argument("--flips", type=int, default=10000, help="random bit flips (default 10000)")
    parser.add_argument(
        "--fuzz-seconds",
        type=int,
        default=300,
        metavar="S",
        help="of each fuzz target (default 300)",
    )
    _add_out(parser, "out/robustness", "what is there is kept")
    _add_readme(parser, "robustness")


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _rate(text: str) -> Fraction:
    from eval.sequences import known_rate

    try:
        value = known_rate(text)
    except (ValueError, ZeroDivisionError):
        value = Fraction(0)
    if not 0 < value <= 1000:
        raise argparse.ArgumentTypeError("frames a second: 25, 29.97, 30000/1001")
    return value


def _integers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def _targets(text: str) -> tuple[float, ...]:
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


def _rd(options: argparse.Namespace) -> int:
    from eval.codecs import ENDLESS, Options, resolve
    from eval.metrics import METRICS, sampling
    from eval.runs import Plan, run_all

    # Mistakes are named before anything else is said or done.
    if unknown := set(options.metrics or ()) - set(METRICS):
        raise EvalError(
            f"--metrics: no {', '.join(sorted(unknown))}; there are {', '.join(METRICS)}"
        )
    profile = _profile(options)
    resolve(options.codecs, Options(options.presets, ENDLESS, tuple(options.codec_file)))
    _period(options.keyint, 25.0)
    _sources(options)
    # Workers on other machines know no working folder.
    options.out = options.out.absolute()
    say(f"results go to {options.out}")
    metrics = _measurable(options.metrics)
    clips = _clips(options, profile)
    device = _device(options.device)
    every = sampling(metrics, options.every, on_gpu=device == "cuda")
    failures: list[str] = []
    for keyint, group in _by_keyint(options.keyint, clips):
        codecs = resolve(
            options.codecs, Options(options.presets, keyint, tuple(options.codec_file))
        )
        threads = max(1, (os.cpu_count() or 1) // options.jobs)
        plan = Plan(options.out, tuple(options.targets), every, device, threads, options.anew)
        if profile:
            plan = replace(plan, profile=profile.name, pictures=profile.pictures)
        failures += run_all(group, codecs, plan, options.jobs, options.cluster)
    write_json(options.out / "failures.json", failures)
    say("speed and report")
    _rd_speed(options, _largest(clips).name)
    _make_report(options.out, options.readme)
    for line in failures:
        print(f"eval: {line}", file=sys.stderr)
    return 1 if failures else 0


def _measurable(wanted: list[str] | None) -> list[str]:
    """The metrics of a run: by default all that this machine can measure, and it is said which are
    left out. What was asked for by name and cannot be measured is refused. Raises EvalError."""
    from eval.metrics import DEFAULT, METRICS, missing, need, told

    if wanted is not None:
        need(wanted)
        return wanted
    lacking = missing(DEFAULT)
    for line in told(lacking):
        say(line)
    kept = [name for name in DEFAULT if name not in lacking]
    say(f"measured are {', '.join(METRICS[name].label for name in kept)}")
    return kept


def _sampled(names: Iterable[str], every: dict[str, int]) -> dict[str, int]:
    """One frame in how many, of metrics that a command cannot do without. Raises EvalError."""
    from eval.metrics import need, sampling

    need(names)
    return sampling(names, every, on_gpu=False)


def _rd_speed(options: argparse.Namespace, name: str) -> None:
    """A short speed measurement of the run's gvcodec rows on one clip, unless it is there
    already."""
    from eval import speed

    ours = [
        ":".join([*(p for p in w.split(":") if not p.startswith("tune=")), "tune=off"])
        for w in options.codecs
    ]
    ours = list(dict.fromkeys(w for w in ours if w.startswith("gvcodec:")))
    if ours:
        source = next(s for s in _sources(options) if s.name == name)
        clip = source.prepare(speed.FRAMES_IN_RD, options.out / "sources")
        if not speed.is_measured(clip, ours, options.out):
            speed.measure(clip, ours, 40, 2, os.cpu_count() or 1, options.out)


def _largest(clips: list[Clip]) -> Clip:
    return max(clips, key=lambda clip: clip.raw.width * clip.raw.height)


def _device(wanted: str) -> str:
    if wanted != "auto":
        return wanted
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _by_keyint(text: str, clips: list[Clip]) -> list[tuple[int, list[Clip]]]:
    """Clips grouped by the intra period in frames that `--keyint` means for them."""
    groups: dict[int, list[Clip]] = {}
    for clip in clips:
        groups.setdefault(_period(text, float(clip.fps)), []).append(clip)
    return list(groups.items())


def _period(text: str, fps: float) -> int:
    """Frames between intra frames that `--keyint` means for a clip. Raises EvalError."""
    from eval.codecs import ENDLESS

    if text == "endless":
        return ENDLESS
    try:
        return max(1, round(float(text[:-1]) * fps) if text.endswith("s") else int(text))
    except ValueError:
        raise EvalError(
            f"--keyint: {text}: say endless, a number of frames or seconds as in 2s"
        ) from None


def _profile(options: argparse.Namespace) -> Profile | None:
    """The profile asked for, whose frames, rates and codecs are put into the options. Raises
    EvalError where these were given too."""
    from eval.profiles import PROFILES
    from eval.rates import TARGETS

    if options.profile is None:
        return None
    profile = PROFILES[options.profile]
    set_by_it = {"frames": 96, "targets": TARGETS, "keyint": "endless", "every": {}}
    if given := [
        f"--{name}" for name, default in set_by_it.items() if getattr(options, name) != default
    ]:
        raise EvalError(
            f"--profile {profile.name} says what {', '.join(given)} would say: leave it out"
        )
    options.frames, options.targets, options.every = profile.frames, profile.targets, {"": 1}
    options.codecs = profile.low_delay(options.codecs)
    return profile


def _sources(options: argparse.Namespace) -> list[Source]:
    from eval.sequences import select

    return select(options.set, options.sequences, options.only, options.png_rate)


def _clips(options: argparse.Namespace, profile: Profile | None = None) -> list[Clip]:
    """The clips of a command, read; those that cannot be, or are too short for the profile, are
    said and left out. Raises EvalError where none is left."""
    prepared, left_out = [], []
    for source in _sources(options):
        say(f"reading {source.name}")
        try:
            taken = profile.source(source) if profile else source
            clip = taken.prepare(options.frames, options.out / "sources")
            if profile and clip.raw.frames < profile.frames:
                wanted = (
                    profile.frames
                    if profile.step == 1
                    else f"{profile.frames} (one in {profile.step})"
                )
                raise EvalError(
                    f"{source.name}: {clip.raw.frames} frames, --profile {profile.name} takes "
                    f"{wanted}"
                )
            prepared.append(clip)
        except EvalError as error:
            left_out.append(str(error))
    if not prepared:
        raise EvalError("; ".join(left_out))
    for line in left_out:
        say(f"{line}; left out")
    return prepared


def _publish(options: argparse.Namespace, texts: dict[str, str]) -> None:
    """Shows tables, and writes them between the marks of their names where that is asked for."""
    print("\n\n".join(texts.values()))
    for path in options.readme:
        fill_marks(path, texts)


def _table(options: argparse.Namespace) -> int:
    from eval.table import make_table

    text, problems = make_table(_clips(options), options.base, options.q, options.out)
    _publish(options, {f"{options.base}-{'intra' if options.frames == 1 else 'table'}": text})
    for line in problems:
        print(f"eval: {line}", file=sys.stderr)
    return 1 if problems else 0


def _ablate(options: argparse.Namespace) -> int:
    from eval.ablate import make_ablation

    text = make_ablation(_clips(options), options.q, options.train, options.out)
    _publish(options, {"klt-ablation": text})
    return 0


def _sizes(options: argparse.Namespace) -> int:
    from eval.metrics import need
    from eval.sizes import JUDGE, measure

    need([JUDGE] if options.quality else [])
    clips = [clip for clip in _clips(options) if clip.raw.frames >= clip.fps]
    if not clips:
        raise EvalError("no clip of a second or more")
    text = measure(clips, options.base, options.threads, options.quality, options.out)
    _publish(options, {f"sizes-{options.base}": text})
    return 0


def _tuning(options: argparse.Namespace) -> int:
    from eval.tuning import JUDGED, measure

    every = _sampled([*JUDGED, "psnr_y"], options.every)
    text = measure(
        _clips(options),
        options.base,
        options.rate,
        options.tunes,
        options.parts,
        options.leaders,
        every,
        options.out,
    )
    _publish(options, {"tuning": text})
    return 0


def _modules(options: argparse.Namespace) -> int:
    from eval.modules import JUDGED, measure

    every = _sampled([*JUDGED, "psnr_y"], options.every)
    _publish(
        options,
        {
            f"{options.base}-modules": measure(
                _clips(options), options.base, options.rate, every, options.out
            )
        },
    )
    return 0


def _settings(options: argparse.Namespace) -> int:
    from eval.metrics import METRICS, need
    from eval.settings import EVERY, EVERY_PAINTED, measure

    need(name for name in (EVERY_PAINTED if options.painted else EVERY) if name in METRICS)
    text = measure(
        _clips(options), options.settings, options.q, options.out, options.painted, options.anchor
    )
    _publish(options, {"settings-painted" if options.painted else "settings": text})
    return 0


def _speed(options: argparse.Namespace) -> int:
    from eval import speed

    result = speed.measure(
        _largest(_clips(options)),
        options.codecs,
        options.q,
        options.rounds,
        options.threads,
        options.out,
    )
    _publish(
        options,
        {"speed": speed.to_markdown(result), "speed-profile": speed.profile_markdown(result)},
    )
    return 0


def _quality(options: argparse.Namespace) -> int:
    from eval.quality import measure

    print(measure(_clips(options), options.out))
    return 0


def _robustness(options: argparse.Namespace) -> int:
    from eval.robustness import table

    if unknown := set(options.parts) - set(table.PARTS):
        raise EvalError(
            f"--parts: no {', '.join(sorted(unknown))}; there are {', '.join(table.PARTS)}"
        )
    findings = table.measure(options.out, options.parts, options.flips, options.fuzz_seconds, print)
    text = table.to_markdown(options.out)
    _publish(options, {"robustness": text})
    for line in findings:
        print(f"eval: {line}", file=sys.stderr)
    return 1 if findings else 0


def _report(options: argparse.Namespace) -> int:
    from eval.measured import restore

    if options.kept:
        print(restore(options.dir, options.kept))
    _make_report(options.dir, options.readme, options.card, options.charts, options.seed)
    return 0


def _keep(options: argparse.Namespace) -> int:
    from eval.measured import keep

    print(keep(options.dir))
    return 0


def _player(options: argparse.Namespace) -> int:
    from eval.player import run

    run(options.files, options.out)
    return 0


def _weights(options: argparse.Namespace) -> int:
    from eval.weights import export

    print(*export(options.dir), sep="\n")
    return 0


def _make_report(
    folder: Path,
    readme: list[Path],
    checkpoint: Path | None = None,
    charts: Path | None = None,
    seed: int = 1,
) -> None:
    from eval.report import make

    print(make(folder, readme, checkpoint, charts, seed))


if __name__ == "__main__":
    sys.exit(main())
