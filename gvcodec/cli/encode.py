"""`gvcodec encode IN OUT`: a video to a gvcodec stream."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import replace

from gvcodec.api.encoding import encode_file
from gvcodec.av1_mux.write import ONE_FILE
from gvcodec.bases import AUTO, Q_END, names
from gvcodec.cli._arguments import (
    add_overwrite,
    add_part,
    add_progress,
    add_summary,
    add_threads,
    amount,
    end_of,
    fitting,
    integer,
    parse_target,
    picture_size,
    progress_of,
    quality,
    scale,
    sound,
    use_threads,
)
from gvcodec.cli._input_options import add_input_options, parse_input_options
from gvcodec.config import (
    DEFAULT_SPEED,
    MOST_TOKENS,
    SPEEDS,
    TOKEN_RATES,
    EncoderConfig,
    Speed,
)
from gvcodec.errors import UsageError
from gvcodec.gvc1d.allocation.budget import METHODS
from gvcodec.media.inputs import InputOptions
from gvcodec.util.messages import say

HELP = "video to gvcodec stream"
#: Endings of a stream by itself.
_STREAMS = (".gvc", ".bin")
EXAMPLES = ("encode film.mp4 film.gvc", "encode film.mp4 film.gvc --size 5M --base vvc")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "input",
        metavar="IN",
        help="any video, a URI, a folder of numbered pictures, f%%04d.png, NAME_WxH_FPS.yuv, "
        "- = y4m (or another streamable file) on standard input",
    )
    parser.add_argument(
        "output",
        metavar="OUT",
        nargs="?",
        help="stream to write, - = standard output (IN with the ending .gvc); .mp4, .mkv, .webm: "
        "AV1 that every player shows, with the packets for painting",
    )
    coding_arguments(parser)
    add_input_options(parser)
    parser.add_argument(
        "--resume",
        action="store_true",
        help="keep what is coded in OUT.part, and go on from there if it exists",
    )
    parser.add_argument(
        "--jobs",
        type=integer(1, 1024),
        metavar="N",
        help="encode N chunks in parallel; the output does not depend on N (one video in one go)",
    )
    parser.add_argument(
        "--alloc",
        choices=METHODS,
        default="",
        help="how windows and frames share tokens and, in av1 and vvc, scenes the bits; scenes are "
        "tried first (uniform)",
    )
    add_summary(parser)
    add_threads(parser)
    add_progress(parser)
    add_overwrite(parser)


def _by_speed(value: Callable[[Speed], int]) -> str:
    """Defaults of an option that follows from --speed."""
    return ", ".join(f"{name} {value(row)}" for name, row in SPEEDS.items())


def coding_arguments(parser: argparse.ArgumentParser) -> None:
    """How to encode, for `batch` too."""
    rate = parser.add_mutually_exclusive_group()
    rate.add_argument(
        "-q",
        type=quality(Q_END),
        default=50,
        metavar="N",
        help=f"quality, 0 best … {Q_END}, about the same PSNR in every base; pictures of av1 and "
        "motion are smaller beyond 63 (50)",
    )
    rate.add_argument(
        "--base-q",
        type=quality(255),
        metavar="N",
        help="quality by the base layer's own index, 0 best",
    )
    rate.add_argument(
        "--size", type=amount, metavar="BYTES", help="largest size of the file: 250k, 1.5M, 64Ki"
    )
    rate.add_argument(
        "--bitrate", type=amount, metavar="BITS", help="largest bitrate of the file, as in 300k"
    )
    rate.add_argument("--bpp", type=amount, metavar="BITS", help="most bits a pixel, without sound")
    rate.add_argument(
        "--target",
        type=parse_target,
        metavar="METRIC=VALUE",
        help="smallest file with psnr=DECIBEL or lpips=DISTANCE (VGG)",
    )
    parser.add_argument(
        "--maxrate",
        type=amount,
        metavar="BITS",
        help="with -q: cap the bitrate (SVT-AV1 capped CRF, one thread, av1 only, not "
        "--low-delay); the first second may exceed it by half",
    )
    parser.add_argument(
        "--base",
        choices=(AUTO, *names()),
        default=AUTO,
        help="base codec; auto tries av1 and motion on a short part, with -q on av1's scale (auto)",
    )
    parser.add_argument(
        "--base-scale",
        type=scale,
        default=None,
        metavar="1|3/4|1/2",
        help="size at which the base is coded (1, smaller where a rate is out of reach otherwise)",
    )
    parser.add_argument(
        "--speed",
        choices=tuple(SPEEDS),
        default=DEFAULT_SPEED,
        help=f"preset and steps of fitting together ({DEFAULT_SPEED})",
    )
    parser.add_argument(
        "--fit",
        type=fitting,
        default=(None, None),
        metavar="STEPS|SECONDSs|off",
        help="steps of fitting the painter to the video, or seconds as in 30s, whose file depends "
        f"on the machine ({_by_speed(lambda row: row.fit_steps)})",
    )
    parser.add_argument(
        "--fit-parts",
        type=integer(1, 4),
        default=0,
        metavar="N",
        help="how many parts of the painter, 1 to 4, may change (2, in large streams 3)",
    )
    parser.add_argument(
        "--fit-by",
        choices=("vgg", "small"),
        default="",
        help="perceptual network used as fitting loss (vgg if its weights are installed, else the "
        "small bundled one)",
    )
    _token_arguments(parser)
    parser.add_argument(
        "--device",
        default="cpu",
        metavar="NAME",
        help="where to fit and to run the networks of motion and tokens: cpu, cuda, cuda:1 (cpu)",
    )
    parser.add_argument(
        "--keyint",
        type=integer(0),
        default=240,
        metavar="N",
        help="frames between keyframes at most; a new scene has one too; 0 = only the first (240)",
    )
    parser.add_argument(
        "--low-delay",
        action="store_true",
        help="no B frames and no look-ahead: every packet leaves with its frame",
    )
    parser.add_argument(
        "--preset",
        type=integer(0, 10),
        metavar="N",
        help="of SVT-AV1 (av1): 0 slowest … 10 fastest "
        f"({_by_speed(lambda row: row.presets['av1'])}); of VVenC (vvc): 0 … 4 "
        f"({_by_speed(lambda row: row.presets['vvc'])})",
    )
    parser.add_argument(
        "--eye",
        action="store_true",
        help="make av1 weigh errors by structure: a tenth fewer bytes at equal LPIPS, a seventh "
        "more at equal PSNR",
    )
    add_part(parser)
    parser.add_argument("--frames", type=integer(1), metavar="N", help="number of frames to encode")
    parser.add_argument(
        "--scale",
        type=picture_size,
        metavar="WxH|1/2",
        help="size of the pictures; x480: the width by their shape (that of the source)",
    )
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument(
        "--sound",
        type=sound,
        metavar="copy|opus[:RATE]|none",
        help="copy it, code it anew as Opus of so many bits a second (24k a channel), or leave it "
        "out (copy)",
    )
    kinds.add_argument(
        "--no-sound", dest="sound", action="store_const", const="none", help="as --sound none"
    )
    parser.add_argument(
        "--no-subtitles", action="store_const", const=True, help="leave subtitles out"
    )


def wanted_of(options: argparse.Namespace, given: InputOptions) -> InputOptions:
    """What the options of `coding_arguments` say of the source, beside what is `given` of it."""
    return replace(
        given,
        until=end_of(options),
        scale=options.scale,
        sound=options.sound,
        no_subtitles=options.no_subtitles,
    )


def _token_arguments(parser: argparse.ArgumentParser) -> None:
    """Latent tokens."""
    parser.add_argument(
        "--tokens",
        type=_tokens,
        default="off",
        metavar="auto|off|N",
        help="latent tokens that restore frames, N a window of 256×256; auto: by rate and "
        "distortion, frame by frame (off; base none has nothing else)",
    )
    parser.add_argument(
        "--token-rate",
        type=integer(0, TOKEN_RATES - 1),
        metavar="R",
        help="how tokens are rounded, 0 finest … 7 (as -q says)",
    )
    parser.add_argument(
        "--search",
        type=integer(0),
        default=0,
        metavar="STEPS",
        help="steps of gradient descent on the tokens of each frame (0)",
    )
    parser.add_argument(
        "--model", default="", metavar="FILE", help="network of the tokens (the shipped one)"
    )


def _tokens(text: str) -> int | str:
    return text if text in ("auto", "off") else integer(1, MOST_TOKENS)(text)


def config_of(options: argparse.Namespace) -> EncoderConfig:
    """What the options of `coding_arguments` say, but for a budget or target."""
    return EncoderConfig(
        q=options.q,
        base_q=options.base_q,
        base=options.base,
        scale=options.base_scale,
        fit=options.fit[0],
        fit_steps=options.fit[1],
        fit_parts=options.fit_parts,
        fit_by=options.fit_by,
        device=options.device,
        keyint=options.keyint,
        low_delay=options.low_delay,
        threads=getattr(options, "threads", 0),
        maxrate=options.maxrate or 0,
        eye=options.eye,
        speed=options.speed,
        preset=options.preset,
        alloc=getattr(options, "alloc", ""),
        tokens=options.tokens,
        token_rate=options.token_rate,
        search=options.search,
        model=options.model,
    )


def _check_ending(output: str) -> None:
    """Raises `UsageError` for a name that promises another kind of file than is written."""
    suffix = os.path.splitext(output)[1].lower()
    pipe = os.path.exists(output) and not os.path.isfile(output)
    if suffix and suffix not in (*_STREAMS, *ONE_FILE) and not pipe:
        raise UsageError(
            f"{output}: a stream is called .gvc, or .mp4, .mkv or .webm to play everywhere, "
            f"not {suffix}; gvcodec decode writes other kinds"
        )


def _beside(source: str) -> str:
    """The stream's name where none is given. Raises `UsageError` where the input has none."""
    if source == "-":
        raise UsageError("the name of the stream is missing: standard input has none to go by")
    return os.path.splitext(source)[0] + ".gvc"


def run(options: argparse.Namespace) -> None:
    options.output = options.output or _beside(options.input)
    _check_ending(options.output)
    began = time.monotonic()
    if options.summary:
        use_threads(options.threads)
    shown = progress_of(options)
    done = encode_file(
        options.input,
        options.output,
        size=options.size,
        bitrate=options.bitrate,
        bpp=options.bpp,
        target=options.target,
        jobs=options.jobs,
        start=options.start,
        frames=options.frames,
        resume=options.resume,
        summary=options.summary or False,
        summary_rate=options.summary_rate,
        overwrite=options.overwrite,
        progress=shown["mode"],
        verbose=shown["verbose"],
        input_options=wanted_of(options, parse_input_options(options)),
        config=config_of(options),
    )
    for note in done.notes:
        say(note)
    say(f"{options.output}: {done.summary}, {time.monotonic() - began:.1f} s")
