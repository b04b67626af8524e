"""Speed of encoders and decoders, interleaved with peers in one script because machines are noisy.

`python -m eval speed`. Every round runs every codec once, so that a slow moment of the machine hits
all; a ratio is taken within its round, and the median over rounds is shown. Reading the lossless
source and writing raw frames are part of every time. Where gvcodec's own time goes is read from one
profiled run of each of its commands, what memory a command takes from one run more. `--device`
measures the operations of a CUDA device instead.
"""

from __future__ import annotations

import argparse
import os
import pstats
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from tqdm import tqdm

from eval import arguments as shared
from eval.codecs import Codec, Options, resolve
from eval.codecs.ours import content_version
from eval.codecs.peers import make
from eval.report.speed_table import speed_table
from eval.tools import EvalError, digest, markdown, read_json, run_command, write_json, write_text
from eval.video import Clip

#: Without fitting, whose time the user chooses.
_CODECS = ["gvcodec:fit=off", "gvcodec:base=vvc:fit=off:base-q"]
#: Peers beside gvcodec: name → (preset, quality number).
PEERS = {"x264": (("-preset", "medium"), 34), "x265": (("-preset", "medium"), 34)}
_LINES = 8
#: A program that runs its arguments and prints the memory (KiB) that the largest process among them
#: and their children held.
_WATCHED = """import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"""
#: A rate–distortion run measures speed on the first frames only.
FRAMES_IN_RD = 6


def arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_clips(parser, 24)
    add = parser.add_argument
    add("--codecs", type=shared.words, default=_CODECS, metavar="NAME,…", help="as in rd")
    add("--q", type=int, default=40)
    add("--rounds", type=int, default=3)
    device = "instead: the stream coder on a CUDA device against the processor"
    add("--device", action="store_true", help=device)
    shared.add_threads(parser)
    shared.add_out(parser, "out/speed", "an rd folder shows it too")
    shared.add_readme(parser, "speed and speed-profile")


def run(options: argparse.Namespace) -> int:
    if options.device:
        return _device(options.rounds)
    clip = shared.largest(shared.clips(options))
    result = measure(clip, options.codecs, options.q, options.rounds, options.threads, options.out)
    texts = {"speed": to_markdown(result), "speed-profile": profile_markdown(result)}
    shared.publish(options, texts)
    return 0


def _device(rounds: int) -> int:
    from eval.rd import device
    from gvcodec.entropy.streams import cuda_missing

    if reason := cuda_missing():
        raise EvalError(reason)
    text, equal = device.measure(rounds)
    print(text)
    return 0 if equal else 1


def is_measured(clip: Clip, words: list[str], out: Path) -> bool:
    """Whether `measure` has been here with the same clip, codecs and state of gvcodec."""
    known = read_json(out / "speed" / f"{clip.name}.json")
    return known is not None and known["key"] == _key(clip, words)


def _key(clip: Clip, words: list[str]) -> str:
    return digest([clip.sha256, words, content_version()])


def measure(
    clip: Clip, words: list[str], q: int, rounds: int, threads: int, out: Path
) -> dict[str, Any]:
    """Times of all codecs; written to `speed/CLIP.json` and `.md` below `out`. Raises EvalError."""
    options = Options(threads=threads)
    codecs = [(codec, q) for codec in resolve(words, options) if codec.family == "gvcodec"]
    codecs += [(make(name, "ld", options, preset), crf) for name, (preset, crf) in PEERS.items()]
    times: dict[str, list[float]] = {}
    profiles: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for _ in tqdm(range(rounds), unit="round", disable=None):
            for codec, quality in codecs:
                _round(codec, quality, clip, folder, times)
        memory = {
            s: _peak(c)
            for codec, quality in codecs
            for s, c in _commands(codec, quality, clip, folder).items()
        }
        for codec, quality in codecs:
            if codec.family == "gvcodec":
                profiles |= _profiles(codec, quality, clip, folder)
    steps = {
        step: {
            "seconds": values,
            "fps": clip.raw.frames / statistics.median(values),
            "ratio": {peer: _ratio(step, peer, times) for peer in PEERS},
            "memory": memory[step],
        }
        for step, values in times.items()
    }
    result = {
        "key": _key(clip, words),
        "clip": clip.describe(),
        "rounds": rounds,
        "threads": threads,
        "cores": os.cpu_count(),
        "q": q,
        "peers": {
            peer: f"{' '.join(preset)} -crf {crf}, no B-frames"
            for peer, (preset, crf) in PEERS.items()
        },
        "steps": steps,
        "profiles": profiles,
    }
    write_json(out / "speed" / f"{clip.name}.json", result)
    write_text(
        out / "speed" / f"{clip.name}.md", f"{to_markdown(result)}\n\n{profile_markdown(result)}\n"
    )
    return result


def _commands(codec: Codec, q: int, clip: Clip, folder: Path) -> dict[str, list[str]]:
    """Encoding and each way of decoding, in this order, by the name of the step."""
    stream, output = folder / f"{codec.name}.{codec.extension}", folder / "out.y4m"
    found = {f"{codec.name} encode": codec.command(codec.encode, clip, q=q, stream=stream)}
    for name, template in codec.outputs.items():
        found[f"{codec.row(name)} decode"] = codec.command(
            template, clip, stream=stream, output=output
        )
    return found


def _round(codec: Codec, q: int, clip: Clip, folder: Path, times: dict[str, list[float]]) -> None:
    for step, command in _commands(codec, q, clip, folder).items():
        seconds, _ = run_command(command)
        times.setdefault(step, []).append(seconds)


def _peak(command: list[str]) -> int:
    """Bytes that the largest process of a command held."""
    return 1024 * int(run_command([sys.executable, "-c", _WATCHED, *command])[1])


def _ratio(step: str, peer: str, times: dict[str, list[float]]) -> float:
    """Median over rounds of (peer's time / this step's time): how many times as fast as the peer it
    is."""
    other = times[f"{peer}-ld {step.rsplit(' ', 1)[1]}"]
    return statistics.median(theirs / mine for mine, theirs in zip(times[step], other, strict=True))


def _profiles(codec: Codec, q: int, clip: Clip, folder: Path) -> dict[str, list[dict[str, Any]]]:
    log, found = folder / "profile", {}
    names = ["encode", *(f"decode, {name}" for name in codec.outputs)]
    for name, (python, *rest) in zip(
        names, _commands(codec, q, clip, folder).values(), strict=True
    ):
        run_command([python, "-m", "cProfile", "-o", str(log), *rest])
        found[f"{codec.label} {name}"] = _top(log)
    return found


def _top(log: Path) -> list[dict[str, Any]]:
    """Functions with the largest own time: name and share of the whole."""
    stats: Any = pstats.Stats(str(log))
    total = stats.total_tt or 1.0
    entries = sorted(stats.stats.items(), key=lambda item: -item[1][2])[:_LINES]
    return [
        {"where": _function_name(key), "share": round(values[2] / total, 4)}
        for key, values in entries
    ]


def _function_name(key: tuple[str, int, str]) -> str:
    path, line, name = key
    if path == "~":  # not Python: what a C function calls itself, without its address
        return (
            name.split(" at 0x")[0]
            .strip("<>{}")
            .replace("built-in method ", "")
            .replace("method ", "")
        )
    parts = Path(path).parts
    return "/".join(parts[-2:]) + f":{line} {name}"


def to_markdown(result: dict[str, Any]) -> str:
    header, rows, note, _ = speed_table(result)
    return "\n\n".join([markdown(header, rows), note])


def profile_markdown(result: dict[str, Any]) -> str:
    """Where the time of gvcodec's own steps goes."""
    return "\n\n".join(speed_table(result)[3])
