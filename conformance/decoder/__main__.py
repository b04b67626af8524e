"""`python -m conformance.decoder FILE`: JSON on standard output, or one line and an exit code."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from conformance.decoder.decode import answer
from conformance.decoder.wire import Refused


def main(path: str) -> int:
    try:
        print(json.dumps(answer(Path(path).read_bytes())))
    except Refused as error:
        print(f"{path}: {error}", file=sys.stderr)
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[-1]))
