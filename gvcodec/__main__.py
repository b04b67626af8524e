"""`python -m gvcodec` is the command line of `gvcodec.cli`."""

import sys

from gvcodec.cli import main

if __name__ == "__main__":
    sys.exit(main())
