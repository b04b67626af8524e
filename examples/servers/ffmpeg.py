#!/usr/bin/env python3
"""An `ffmpeg` for media servers: takes the arguments that a server passes to ffmpeg, and runs it.

    install -m 755 examples/servers/ffmpeg.py /opt/gvcodec/ffmpeg

* A command that encodes one .mp4, .mkv or .webm with libsvtav1 writes a one-file: ffmpeg does all
  that the server asks (filters, streams, sound) into a lossless file, and gvcodec encodes that.
* Any other command runs under `gvcodec with`, so that ffmpeg decodes one-files as painted pictures.

$GVCODEC_REAL_FFMPEG names ffmpeg (/usr/bin/ffmpeg), $GVCODEC_COMMAND gvcodec (gvcodec);
$GVCODEC_ENCODE_OPTIONS has more options of `gvcodec encode`, such as "--speed fast". Exit codes are
those of ffmpeg or gvcodec; messages go to standard error.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ENCODER = "libsvtav1"
#: How an option may name the codec of the video.
CODEC_OPTIONS = ("-c:v", "-codec:v", "-vcodec", "-c:v:0", "-codec:v:0")
#: Options of the encoder, each with a value; `-crf` and `-g` become options of gvcodec.
ENCODER_OPTIONS = (
    *("-crf", "-preset", "-svtav1-params", "-b:v", "-maxrate", "-minrate", "-bufsize"),
    *("-pass", "-passlogfile", "-g", "-g:v", "-profile:v", "-level"),
)
LOSSLESS = ("libx264", "-qp", "0", "-preset", "ultrafast")
CONTAINERS = (".mp4", ".mkv", ".webm")


@dataclass(frozen=True)
class Encode:
    """A server's request: words for ffmpeg without its encoder and without the output, the
    output, values of `-crf` and `-g` ("" where there are none)."""

    words: tuple[str, ...]
    output: str
    crf: str
    keyint: str


def parse_encode(words: list[str]) -> Encode | None:
    """The encoding that these arguments ask for; None: anything else."""
    if not words or not words[-1].lower().endswith(CONTAINERS) or words.count("-i") != 1:
        return None
    places = [n for n, word in enumerate(words[:-1]) if word in CODEC_OPTIONS]
    is_hls = any(word == "-f" and words[n + 1] == "hls" for n, word in enumerate(words[:-1]))
    if len(places) != 1 or words[places[0] + 1] != ENCODER or is_hls:
        return None
    if places[0] < words.index("-i"):
        return None  # of the decoder
    outputs: list[str] = []
    values: dict[str, str] = {}
    rest = iter(words[:-1])
    for word in rest:
        if word in CODEC_OPTIONS:
            next(rest)
            outputs += [word, *LOSSLESS]
        elif word in ENCODER_OPTIONS and "-i" in outputs:
            values[word] = next(rest, "")
        else:
            outputs.append(word)
    keyint = values.get("-g", values.get("-g:v", ""))
    return Encode(tuple(outputs), words[-1], values.get("-crf", ""), keyint)


def encode(job: Encode, real: str, gvcodec: str) -> int:
    """Run both steps; the exit code of the first that fails."""
    with tempfile.TemporaryDirectory(prefix="gvcodec-") as folder:
        lossless = Path(folder, f"lossless{Path(job.output).suffix}")
        if Path(job.output).suffix.lower() == ".webm":
            lossless = lossless.with_suffix(".mkv")  # WebM has no lossless codec
        done = subprocess.run([gvcodec, "with", real, *job.words, str(lossless)], check=False)
        if done.returncode:
            return done.returncode
        words = [gvcodec, "encode", str(lossless), job.output, "-y", "--quiet"]
        words += ["-q", job.crf] if job.crf else []
        words += ["--keyint", job.keyint] if job.keyint else []
        words += shlex.split(os.environ.get("GVCODEC_ENCODE_OPTIONS", ""))
        return subprocess.run(words, check=False).returncode


def main(words: list[str]) -> int:
    real = os.environ.get("GVCODEC_REAL_FFMPEG", "/usr/bin/ffmpeg")
    gvcodec = os.environ.get("GVCODEC_COMMAND", "gvcodec")
    job = parse_encode(words)
    if job is None:
        os.execvp(gvcodec, [gvcodec, "with", real, *words])
    # A server that gives up sends SIGTERM: `subprocess.run` then ends the process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    return encode(job, real, gvcodec)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
