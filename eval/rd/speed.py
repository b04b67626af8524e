"""Speed of encoders and decoders, interleaved with peers in one script because machines are noisy.

`python -m eval speed`. Every round runs every codec once, so that a slow moment of the machine hits
all; a ratio is taken within its round, and the median over rounds is shown, of wall and of
processor time. Start of the programs, reading of the lossless source and writing of raw frames are
part of every time. With `--device cuda` tokens are searched there, and the stream coder
is measured on it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from eval import arguments as shared
from eval.codecs import Codec, Options, resolve
from eval.codecs.ours import content_version
from eval.codecs.peers import make
from eval.report.speed_table import speed_table
from eval.tools import EvalError, digest, markdown, read_json, run_command, write_json, write_text
from eval.video import Clip
from gvcodec.compare.peers import PEERS as ENCODERS
from gvcodec.config import SPEEDS

_CODECS = [f"gvcodec:speed={speed}" for speed in SPEEDS]
#: Peers next to gvcodec in their random-access form, each at the quality number where a search for
#: rates begins: presets, those of `gvcodec compare`.
PEERS = {name: ENCODERS[name].presets["compare"] for name in ("svtav1", "x265", "vvenc")}
#: A rate–distortion run measures speed on the first frames only.
FRAMES_IN_RD = 6
#: A program that runs its arguments and prints wall seconds, processor seconds, and the memory
#: (KiB) that the largest process among them and their children held.
_WATCHED = """import resource, subprocess, sys, time
begin = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(time.perf_counter() - begin, used.ru_utime + used.ru_stime, used.ru_maxrss)"""


class Run(NamedTuple):
    """Seconds, processor seconds, and bytes of the largest process."""

    wall: float
    processor: float
    memory: int


def watch(command: Sequence[str]) -> Run:
    """Run a command. Raises EvalError."""
    wall, processor, peak = run_command([sys.executable, "-c", _WATCHED, *command])[1].split()
    return Run(float(wall), float(processor), 1024 * int(peak))


def arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_clips(parser, 24)
    add = parser.add_argument
    add("--codecs", type=shared.words, default=_CODECS, metavar="NAME,…", help="as in rd")
    add("--q", type=int, default=50)
    add("--rounds", type=int, default=3)
    place = "where gvcodec searches tokens: cpu, cuda (cpu)"
    add("--device", default="cpu", metavar="NAME", help=place)
    shared.add_threads(parser)
    shared.add_out(parser, "out/speed", "an rd folder shows it too")
    shared.add_readme(parser, "speed")


def run(options: argparse.Namespace) -> int:
    equal = options.device == "cpu" or _device(options.rounds)
    clip = shared.largest(shared.clips(options))
    arguments = options.codecs, options.q, options.rounds, options.threads, options.out
    result = measure(clip, *arguments, options.device)
    shared.publish(options, {"speed": to_markdown(result)})
    return 0 if equal else 1


def _device(rounds: int) -> bool:
    """Shows the stream coder on a CUDA device; whether it gives the same bytes."""
    from eval.rd import device
    from gvcodec.entropy.streams import cuda_missing

    if reason := cuda_missing():
        raise EvalError(reason)
    text, equal = device.measure(rounds)
    print(text)
    return equal


def is_measured(clip: Clip, words: list[str], out: Path) -> bool:
    """Whether `measure` has been here with the same clip, codecs and state of gvcodec."""
    record = read_json(out / "speed" / f"{clip.name}.json")
    return record is not None and record["key"] == _key(clip, words)


def _key(clip: Clip, words: list[str]) -> str:
    return digest([clip.sha256, words, content_version()])


def measure(
    clip: Clip,
    words: list[str],
    q: int,
    rounds: int,
    threads: int,
    out: Path,
    device: str = "cpu",
) -> dict[str, Any]:
    """Times of all codecs; written to `speed/CLIP.json`, `.csv` and `.md` below `out`. Raises
    EvalError."""
    options = Options(threads=threads)
    codecs = [(codec, q) for codec in resolve(words, options) if codec.family == "gvcodec"]
    peers = {name: make(name, "ra", options, preset) for name, preset in PEERS.items()}
    codecs += [(peer, peer.q_guess) for peer in peers.values()]
    runs_of: dict[str, list[Run]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for _ in tqdm(range(rounds), unit="round", disable=None):
            for codec, quality in codecs:
                for step, command in _commands(codec, quality, clip, folder, device).items():
                    runs_of.setdefault(step, []).append(watch(command))
        sizes = {codec.name: _stream(codec, folder).stat().st_size for codec, _ in codecs}
    steps = {
        step: {
            "seconds": [run.wall for run in runs],
            "processor": [run.processor for run in runs],
            "fps": clip.raw.frames / statistics.median(run.wall for run in runs),
            "ratio": {peer: _ratio(step, peer, runs_of) for peer in PEERS},
            "memory": max(run.memory for run in runs),
            "bytes": sizes.get(step.removesuffix(" encode")),
        }
        for step, runs in runs_of.items()
    }
    result = {
        "key": _key(clip, words),
        "clip": clip.describe(),
        "rounds": rounds,
        "threads": threads,
        "cores": os.cpu_count(),
        "device": device,
        "q": q,
        "peers": {
            name: f"{' '.join(PEERS[name])}, quality {peer.q_guess}, random access"
            for name, peer in peers.items()
        },
        "steps": steps,
    }
    place = out / "speed"
    write_json(place / f"{clip.name}.json", result)
    write_text(place / f"{clip.name}.md", to_markdown(result) + "\n")
    header, rows, _ = speed_table(result)
    lines = [",".join(cell.replace(",", "") for cell in row) for row in (header, *rows)]
    write_text(place / f"{clip.name}.csv", "\n".join(lines) + "\n")
    return result


def _stream(codec: Codec, folder: Path) -> Path:
    return folder / f"{codec.name}.{codec.extension}"


def _commands(
    codec: Codec, q: int, clip: Clip, folder: Path, device: str = "cpu"
) -> dict[str, list[str]]:
    """Encoding and each way of decoding, in this order, by the name of the step."""
    stream, output = _stream(codec, folder), folder / "out.y4m"
    place = [f"--device={device}"] if codec.family == "gvcodec" and device != "cpu" else []
    encode = codec.command(codec.encode, clip, q=q, stream=stream)
    command_of = {f"{codec.name} encode": encode + place}
    for name, template in codec.outputs.items():
        command = codec.command(template, clip, stream=stream, output=output)
        command_of[f"{codec.row(name)} decode"] = command + place
    return command_of


def _ratio(step: str, peer: str, runs_of: dict[str, list[Run]]) -> float:
    """Median over rounds of (peer's time / this step's time): how many times as fast as the peer it
    is."""
    other = runs_of[f"{peer}-ra {step.rsplit(' ', 1)[1]}"]
    pairs = zip(runs_of[step], other, strict=True)
    return statistics.median(theirs.wall / mine.wall for mine, theirs in pairs)


def to_markdown(result: dict[str, Any]) -> str:
    header, rows, note = speed_table(result)
    return "\n\n".join([markdown(header, rows), note])
