"""Command line: `gvcodec encode`, `decode`, `info` … `gvcodec --help` lists them. In: arguments and
files. Out: files, text, an exit code; the work is done by `gvcodec.api` and other folders.
Options of `encode` are fields of `EncoderConfig` (`gvcodec.config`), `InputOptions`
(`input_options.py`) or `Job` (`api/job.py`): not written here.

A command is a row of `COMMANDS` and a module of its name in this folder:

    EXAMPLES = ("NAME in.gvc", "NAME in.gvc out.gvc")             # calls that end its help
    USUAL = ("-q", "--size")      # options in its `--help`, the others in `--help all` (all)
    def arguments(parser: argparse.ArgumentParser) -> None: ...   # options, shared: `_arguments`
    def run(options: argparse.Namespace) -> None: ...             # does the work; raises errors

Shared by commands: `_arguments` (their options), `_habits` (options of FFmpeg), `_replace` (options
that replace originals), `_standard_streams` (closed or narrow standard streams).

Inputs are called `input`, `inputs` or `source`, the output `output`: no command writes what it
reads.

Exit codes: 0 ok, 1 file cannot be read or written, 2 wrong arguments, 3 damaged stream, 4 missing
model, 5 decoded frames differ from the encoder's, 6 some files of a batch failed, 7 the coded file
saves too little, 8 the source is damaged or cut off, 9 not a gvcodec file, 10 an original was not
replaced; 130, 143 and 129 ended by SIGINT, SIGTERM and SIGHUP. Every error is one line on standard
error.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any, NoReturn

from gvcodec.cli import _standard_streams
from gvcodec.cli._habits import HINTS, advice_for, is_option, map_ffmpeg_options
from gvcodec.errors import INSTALL_TORCH, GvcodecError, UsageError, WrongModelError
from gvcodec.util import signals
from gvcodec.util.file_io import protect_inputs, require_inputs
from gvcodec.util.messages import log_line, one_line, silence
from gvcodec.util.options import ExactParser
from gvcodec.util.process import let_threads_sleep, manage_process
from gvcodec.util.version import describe_version

#: Commands and their lines in `gvcodec --help`.
COMMANDS = {
    "encode": "encode a video to a gvcodec stream",
    "decode": "decode a stream to a video",
    "batch": "encode many videos, in chunks, on many cores and machines",
    "cat": "join streams, without re-encoding",
    "compare": "compare gvcodec with other encoders at equal bytes, as one HTML page",
    "condense": "condense a folder of labelled clips to a small set for training (.gvset)",
    "cut": "cut a stream at keyframes, without re-encoding",
    "extract": "convert a stream to a file that every player shows, and back",
    "info": "check a stream and print its contents",
    "play": "watch a stream in the browser",
    "repair": "save the intact part of a damaged or truncated stream",
    "search": "find moments by a picture, a clip or a time",
    "serve": "play streams on televisions, phones and in players, over HTTP (HLS)",
    "summarize": "add a summary for search to a stream",
    "verify": "decode and verify a stream, optionally against its source",
    "with": "run mpv, vlc, ffmpeg or another program with painted pictures (Linux)",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, return the exit code."""
    let_threads_sleep()
    manage_process()
    try:
        with _write_errors() if arguments is None else contextlib.nullcontext():
            words = map_ffmpeg_options(sys.argv[1:] if arguments is None else arguments)
            options = parser(words).parse_args(words or ["--help"])
            if "" in (*_inputs(options), getattr(options, "output", None)):
                raise UsageError("the name of a file is empty")
            output = getattr(options, "output", None) or ""
            if options.command != "batch" and os.path.lexists(output):
                # A wrong name of the input is told before an output that exists.
                require_inputs(_inputs(options))
            is_quiet = getattr(options, "quiet", False)
            guard = signals.guard_signals() if arguments is None else contextlib.nullcontext()
            with silence(is_quiet), guard, protect_inputs(_inputs(options)):
                _module(options.command).run(options)
    except GvcodecError as error:
        log_line(str(error))
        return error.exit_code
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        log_line(f"this needs torch, which is not installed ({INSTALL_TORCH})")
        return WrongModelError.exit_code
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        _standard_streams.drop_output()
        return GvcodecError.exit_code
    except MemoryError:
        print("gvcodec: out of memory", file=sys.stderr)
        return GvcodecError.exit_code
    except OSError as error:
        log_line(f"{error.filename or 'input or output'}: {error.strerror or error}")
        return GvcodecError.exit_code
    return 0


@contextlib.contextmanager
def _write_errors() -> Iterator[None]:
    """Flush standard output at every kind of end: at exit the interpreter would fail on it, with
    another exit code. A failed write takes precedence over later errors."""
    try:
        yield
    except BaseException:
        _standard_streams.finish()
        raise
    _standard_streams.finish()


def _inputs(options: argparse.Namespace) -> list[str]:
    values = (getattr(options, name, None) for name in ("input", "source", "stream"))
    several = [*getattr(options, "inputs", ()), *getattr(options, "models", ())]
    return [*several, *(name for name in values if name is not None)]


class _Parser(ExactParser):
    """Reports wrong arguments in one line, unknown options first. Files may stand among the
    options.

    `command`: the command of these arguments, `options`: all of its options."""

    command = ""
    options: Sequence[str] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """argparse takes an optional file only right after the previous one."""
        self._require_known(list(args))
        options, remaining = super().parse_known_args(args, namespace)
        for action in self._get_positional_actions():
            words = [word for word in remaining if word == "-" or not word.startswith("-")]
            value = getattr(options, action.dest, None)
            if action.nargs == "?" and value == action.default and words:
                setattr(options, action.dest, words[0])
                remaining.remove(words[0])
            elif action.nargs in ("*", "+"):
                setattr(options, action.dest, [*(value or []), *words])
                remaining = [word for word in remaining if word not in words]
        return options, remaining

    def _require_known(self, words: list[str]) -> None:
        """A missing file, or one too many, may follow from an option that there is not."""
        command = self.prog.partition(" ")[2]
        end = words.index("--") if "--" in words else len(words)
        for word in words[: end if command else 1]:
            is_known = word.partition("=")[0] in self._option_string_actions
            if is_option(word) and not is_known and not self._get_option_tuples(word):
                self.command = self.command or command
                self.options = self.options or list(self._option_string_actions)
                self.error(f"unrecognized arguments: {word}")

    def error(self, message: str) -> NoReturn:
        """One line instead of the usage, which may be a screen long."""
        command = self.prog.partition(" ")[2] or self.command
        more = f"gvcodec help {command}" if command else "gvcodec --help"
        text = message.replace("argument ", "").replace("IN, OUT", "IN and OUT")
        if (words := text.removeprefix("unrecognized arguments: ")) != text:
            text = self._unknown(words.split())
        self.exit(UsageError.exit_code, f"gvcodec: {one_line(text)} ({more} lists the options)\n")

    def _unknown(self, words: list[str]) -> str:
        first = words[0]
        if not first.startswith("-") or not first.strip("-"):
            hint = "; gvcodec batch takes many videos" if self.command == "encode" else ""
            if len(words) == 1:
                return f"{first}: one file too many{hint}"
            return f"{first} …: {len(words)} files too many{hint}"
        name = first.partition("=")[0]
        if advice := advice_for(self.command, name):
            return f"there is no option {name}: {advice}"
        ours = [HINTS[name]] if HINTS.get(name) in self.options else []
        near = ours or difflib.get_close_matches(name, self.options, 1, 0.8)
        hint = f", did you mean {near[0]}?" if near else ""
        return f"there is no option {first}{hint}"

    def _print_message(self, message: str, file: Any = None) -> None:
        if file is sys.stdout:
            _standard_streams.out(message.rstrip("\n"))
        else:
            sys.stderr.write(message)


def parser(arguments: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The parser of these arguments: with the one command that they name, since only its module is
    loaded, or where they name none with the list of all. Without arguments: of all commands."""
    top_parser = _Parser(prog="gvcodec", description="A neural video codec for very low bitrate.")
    top_parser.add_argument("--version", action=_Version, nargs=0, help="show the version")
    subparsers = top_parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    if arguments and arguments[0] not in COMMANDS:
        for name, text in COMMANDS.items():
            subparsers.add_parser(name, help=text)
        return top_parser
    for name in arguments[:1] or COMMANDS:
        module = _module(name)
        lines = [f"  gvcodec {line}" for line in getattr(module, "EXAMPLES", ())]
        examples = "\n".join(("examples:", *lines)) if lines else None
        command_parser = subparsers.add_parser(
            name,
            help=COMMANDS[name],
            epilog=examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            add_help=False,
        )
        command_parser.add_argument(
            "-h", "--help", action=_Help, usual=getattr(module, "USUAL", ())
        )
        module.arguments(command_parser)
        if arguments:
            top_parser.command, top_parser.options = (
                name,
                list(command_parser._option_string_actions),
            )
    return top_parser


class _Version(argparse.Action):
    """Looks the version up where it is asked for only: git may take a while."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option: Any = None) -> None:
        parser._print_message(f"gvcodec {describe_version()}\n", sys.stdout)
        parser.exit()


class _Help(argparse.Action):
    """`--help` shows the options in `usual`, a screen of them; `--help all` shows all."""

    def __init__(self, option_strings: Sequence[str], dest: str, usual: Sequence[str]) -> None:
        text = "show this help, or that of all options" if usual else "show this help"
        nothing = argparse.SUPPRESS
        super().__init__(option_strings, nothing, "?", default=nothing, metavar="all", help=text)
        self._usual = usual

    def __call__(self, parser: Any, namespace: Any, values: Any, option: Any = None) -> None:
        if values == "all" or not self._usual:
            parser.print_help()
            parser.exit()
        formatter = parser.formatter_class(parser.prog)
        formatter.add_usage(parser.usage, parser._actions, ())
        usual = [*parser._get_positional_actions(), self]
        usual += [parser._option_string_actions[name] for name in self._usual]
        formatter.start_section(None)
        formatter.add_arguments(usual)
        formatter.end_section()
        hidden_count = len(parser._actions) - len(usual)
        formatter.add_text(f"{parser.prog} --help all has {hidden_count} more options.")
        formatter.add_text(parser.epilog)
        parser._print_message(formatter.format_help(), sys.stdout)
        parser.exit()


def _module(command: str) -> ModuleType:
    return import_module(f"{__name__}.{command}")
