"""`python -m gvcodec`, and the program `gvcodec`, are the command line of `gvcodec.cli`."""

import sys


def run() -> int:
    """The exit code. An interrupt while modules are loaded is no reason for a traceback."""
    try:
        from gvcodec.cli import _standard_streams, main

        _standard_streams.prepare()
        return main()
    except KeyboardInterrupt:
        print("gvcodec: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(run())
