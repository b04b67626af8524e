"""`python -m gvcodec`, and the program `gvcodec`, are the command line of `gvcodec.cli`."""

import sys

from gvcodec.util import programs


def run() -> int:
    """The exit code. An interrupt while modules are loaded is no reason for a traceback."""
    programs.leave_working_directory()
    try:
        from gvcodec.cli import _standard_streams, main

        _standard_streams.prepare()
        return main()
    except ImportError as error:
        if error.name != "gvcodec._core":
            raise
        print(f"gvcodec: {programs.NOT_COMPILED}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("gvcodec: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(run())
