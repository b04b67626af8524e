"""Mutated files of base gvc1d through `decode` and `info`, in one process:

    python -m tests.fuzz.robustness.network_files --count 10000

Files have a few small frames of a tiny network with random weights, in one of them the network
itself. Checksums of most mutants are right again, so that damage reaches the network. Prints how
many of each kind of mutation ended with which exit codes (decode, info), and seconds a file. An
exception that escapes, a call that takes longer than `HANG` seconds and a file that is left by a
command that failed are findings; the exit code is 1 then.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import gvcodec
from conformance import mutate
from conformance.network_inputs import save_tiny
from gvcodec import cli
from gvcodec.models import MODELS_VARIABLE
from gvcodec.types import VideoFormat
from tests.clips import make_clip

WIDTH, HEIGHT, FRAMES = 48, 40, 4
#: Seconds and bytes that a call may take.
HANG, MEMORY = 20.0, 128 << 20
#: One mutant in so many is of the file that holds its network.
EMBEDDED_EVERY = 5


@dataclass
class Findings:
    """Mutants by kind and exit codes; findings; seconds of all calls, and of the slowest file."""

    codes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0
    slowest: float = 0.0


def make_files(folder: Path) -> dict[str, mutate.Parts]:
    """ "plain" and "embedded": the same frames, without and with the network in the file. The
    network lies in `folder`."""
    weights = save_tiny(folder / "tiny.safetensors")
    fmt = VideoFormat(WIDTH, HEIGHT, Fraction(25), Fraction(1, 25))
    frames = make_clip(WIDTH, HEIGHT, FRAMES, seed=3)
    options = {"base": "gvc1d", "model": str(weights), "q": 20, "keyint": 2, "threads": 1}
    options |= {"alloc": "elbo", "token_share": 0.6, "format": fmt}
    files = {}
    for name in ("plain", "embedded"):
        data = gvcodec.encode(frames, embed_model=name == "embedded", **options)
        files[name] = mutate.apart(data)
    return files


def of_frames(parts: mutate.Parts, rng: random.Random) -> bytes:
    """Payloads of frames changed, everything else right."""
    packets = list(parts.packets)
    frames = [number for number, part in enumerate(packets) if part.kind < 2]
    for _ in range(rng.choice([1, 1, 2])):
        chosen = rng.choice(frames)
        payload = mutate.disturbed(packets[chosen].payload, rng)
        packets[chosen] = replace(packets[chosen], payload=payload)
    return mutate.together(replace(parts, packets=packets))


WAYS = {**mutate.WAYS, of_frames: 8}


def make_mutant(files: dict[str, mutate.Parts], seed: int, number: int) -> tuple[str, bytes]:
    """Kind of mutation, and the file."""
    rng = random.Random(seed << 32 | number)
    name = "plain" if rng.randrange(EMBEDDED_EVERY) else "embedded"
    way = rng.choices(list(WAYS), list(WAYS.values()))[0]
    return f"{name} {way.__name__}", way(files[name], rng)


@contextlib.contextmanager
def limit_time() -> Iterator[None]:
    """Raises TimeoutError after `HANG` seconds."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"still running after {HANG:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, HANG)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def call(*words: str) -> tuple[int | str, str]:
    """Exit code, or the exception that escaped, and what was said on standard error."""
    silent, spoken = contextlib.redirect_stdout, contextlib.redirect_stderr
    with silent(io.StringIO()), spoken(io.StringIO()) as message:
        try:
            with limit_time():
                code: int | str = cli.main(list(words))
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException as error:  # noqa: BLE001 (what gets out is the finding)
            code = f"{type(error).__name__}: {error}"
    return code, message.getvalue()


def judge(data: bytes, folder: Path, original: bytes) -> tuple[str, list[str]]:
    """Exit codes in words, and what is wrong with how the commands ended. `original`: samples of
    the frames before mutation."""
    source, output = folder / "in.gvc", folder / "out.y4m"
    source.write_bytes(data)
    limits = ("--max-memory", str(MEMORY), "--threads", "1")
    decoded, said = call("decode", str(source), str(output), "--fidelity", *limits)
    told, told_said = call("info", str(source))
    wrong = [f"{code}" for code in (decoded, told) if isinstance(code, str)]
    wrong += ["Traceback"] * ("Traceback" in said + told_said)
    wrong += ["no message"] * bool((decoded and not said) or (told and not told_said))
    wrong += ["output of a failed decode"] * bool(decoded and output.exists())
    shown = "" if decoded else " (same frames)"
    if not decoded and read_samples(output) != original:
        shown = " (other frames)"
    output.unlink(missing_ok=True)
    return f"decode {decoded}{shown}, info {told}", wrong


def read_samples(path: Path) -> bytes:
    """Of a .y4m file: all but its first line."""
    return path.read_bytes().partition(b"\n")[2] if path.exists() else b""


def run(count: int, first: int = 0, seed: int = 1, keep: Path | None = None) -> Findings:
    """`count` mutants from number `first`; `keep`: folder for those with findings."""
    findings = Findings()
    before = os.environ.get(MODELS_VARIABLE)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = make_files(folder)
        os.environ[MODELS_VARIABLE] = name
        try:
            (folder / "original.gvc").write_bytes(mutate.together(files["plain"]))
            call("decode", str(folder / "original.gvc"), str(folder / "original.y4m"))
            original = read_samples(folder / "original.y4m")
            for number in range(first, first + count):
                kind, data = make_mutant(files, seed, number)
                began = time.perf_counter()
                codes, wrong = judge(data, folder, original)
                took = time.perf_counter() - began
                findings.codes[f"{kind}: {codes}"] += 1
                findings.seconds += took
                findings.slowest = max(findings.slowest, took)
                findings.wrong += [f"{number} {kind}: {text}" for text in wrong]
                if wrong and keep:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{seed}-{number}.gvc").write_bytes(data)
        finally:
            if before is None:
                del os.environ[MODELS_VARIABLE]
            else:
                os.environ[MODELS_VARIABLE] = before
    return findings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--count", type=int, default=300, help="files (300)")
    parser.add_argument("--first", type=int, default=0, help="number of the first (0)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other files (1)")
    parser.add_argument("--keep", type=Path, help="folder for files with findings")
    options = parser.parse_args()
    findings = run(options.count, options.first, options.seed, options.keep)
    print(json.dumps(dict(sorted(findings.codes.items())), indent=1))
    each = findings.seconds / max(1, options.count)
    print(f"{options.count} files, {each:.4f} s a file, {findings.slowest:.2f} s the slowest")
    print("\n".join(findings.wrong) or "nothing wrong")
    return int(bool(findings.wrong))


if __name__ == "__main__":
    sys.exit(main())
